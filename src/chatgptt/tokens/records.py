"""What is remembered of a site, as a value and as the JSON of its file. No file is touched here."""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import TypeGuard, TypeVar, get_args

from chatgptt._models import BoxKind, ChatBox, PluginGeneration, Rung, StoredCookie, Tokens, VisitorIds
from chatgptt.protocols.page import maybe_nonce
from chatgptt.protocols.urls import is_same_site
from chatgptt.state.folder import NotOursError

_Entry = TypeVar("_Entry")

MAX_RECORD_BYTES = 2**20
"""More is not read, so no more is written."""

MAX_SKEW = 60.0
"""Seconds by which tokens may come from the future: machines that share a folder differ a little."""

NONCE_LIFE = 24 * 3600.0
"""Seconds. No nonce is good for longer (docs/protocols.md C2), so no record keeps one for longer."""

MAX_PAUSE = 3600.0
"""Seconds for which one word of a site holds messages back at most: it may err, and so may a clock."""

_FORMAT = 1
_MAX_ENTRIES = 50
_MAX_LEASE = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Which process acquires tokens, and until when no other one does, in Unix time."""

    holder: str
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRecord:
    """Who we are to a site, and what is known of it.

    Tokens, leases and the times when a browser was needed are by key. `cool_until` is when the next message
    may be sent. Times are Unix times.
    """

    visitor: VisitorIds
    tokens: Mapping[str, Tokens] = field(default_factory=dict)
    needs_browser: Mapping[str, float] = field(default_factory=dict)
    leases: Mapping[str, Lease] = field(default_factory=dict)
    cool_until: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a call does to a site's record.

    A `needs_browser` of None is forgotten. A lease is taken where no other process has it; one that is
    over gives the holder's back.
    """

    added: Mapping[str, Tokens] = field(default_factory=dict)
    dropped: tuple[str, str] | None = field(default=None, repr=False)
    needs_browser: Mapping[str, float | None] = field(default_factory=dict)
    lease: tuple[str, Lease] | None = None
    cool_until: float = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether it does nothing."""
        return not (self.added or self.dropped or self.needs_browser or self.lease or self.cool_until)


def merge(record: SiteRecord, other: SiteRecord) -> SiteRecord:
    """The record with what the other one holds; the ids stay."""
    return SiteRecord(
        visitor=record.visitor,
        tokens={**record.tokens, **other.tokens},
        needs_browser={**record.needs_browser, **other.needs_browser},
        leases={**record.leases, **other.leases},
        cool_until=max(record.cool_until, other.cool_until),
    )


def apply(record: SiteRecord, change: Change, now: float) -> SiteRecord:
    """The record after a change, with its newest entries where there are too many."""
    tokens = {key: value for key, value in record.tokens.items() if now - value.acquired_at < NONCE_LIFE}
    if change.dropped is not None:
        key, nonce = change.dropped
        if key in tokens and tokens[key].nonce == nonce:
            del tokens[key]
    tokens |= change.added
    times = {**record.needs_browser, **change.needs_browser}
    return SiteRecord(
        visitor=record.visitor,
        tokens=dict(_newest(tokens.items(), lambda item: item[1].acquired_at, now)),
        needs_browser=dict(
            _newest(((key, at) for key, at in times.items() if at is not None), lambda item: item[1], now)
        ),
        leases=_apply_lease(record.leases, change.lease, now),
        cool_until=max(
            (at for at in (record.cool_until, change.cool_until) if 0.0 < at - now <= MAX_PAUSE), default=0.0
        ),
    )


def _apply_lease(
    leases: Mapping[str, Lease], change: tuple[str, Lease] | None, now: float
) -> dict[str, Lease]:
    """The leases that hold, after one was asked for or given back."""
    held = {key: lease for key, lease in leases.items() if 0.0 < lease.until - now <= _MAX_LEASE}
    if change is not None:
        key, lease = change
        if key not in held or held[key].holder == lease.holder:
            held[key] = lease
    return {key: lease for key, lease in held.items() if lease.until > now}


def _newest(entries: Iterable[_Entry], time_of: Callable[[_Entry], float], now: float) -> list[_Entry]:
    """The newest entries. Those from the future, since the clock was set back, are the oldest."""

    def order(entry: _Entry) -> float:
        at = time_of(entry)
        return at if at <= now + MAX_SKEW else -math.inf

    found = list(entries)
    return found if len(found) <= _MAX_ENTRIES else sorted(found, key=order)[-_MAX_ENTRIES:]


# Reading


def decode(data: bytes, site: str) -> SiteRecord | None:
    """The record in a site's file; None for anything else.

    Raises:
        NotOursError: for the file of a later version.
    """
    try:
        record = json.loads(data)
        json.dumps(record, ensure_ascii=False).encode()  # half a character could not be written again
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("site") != site:
        return None
    number = record.get("format")
    if isinstance(number, int) and number > _FORMAT:
        raise NotOursError("was written by a later version")
    visitor = _maybe_visitor(record)
    if number != _FORMAT or visitor is None:
        return None
    stored, times, leases = (record.get(name) for name in ("tokens", "needs_browser", "leases"))
    cool_until = record.get("cool_until")
    tokens = {key: _maybe_tokens(value) for key, value in stored.items()} if isinstance(stored, dict) else {}
    return SiteRecord(
        visitor=visitor,
        tokens={key: value for key, value in tokens.items() if value is not None},
        needs_browser=(
            {key: at for key, at in times.items() if _is_time(at)} if isinstance(times, dict) else {}
        ),
        leases=_read_leases(leases) if isinstance(leases, dict) else {},
        cool_until=cool_until if _is_time(cool_until) else 0.0,
    )


def _read_leases(stored: dict[str, object]) -> dict[str, Lease]:
    return {
        key: Lease(holder=value["holder"], until=value["until"])
        for key, value in stored.items()
        if isinstance(value, dict) and isinstance(value.get("holder"), str) and _is_time(value.get("until"))
    }


def _maybe_visitor(record: dict[str, object]) -> VisitorIds | None:
    client_id, session_id = record.get("client_id"), record.get("session_id")
    if not isinstance(client_id, str) or not re.fullmatch(r"[A-Za-z0-9]{10}", client_id):
        return None
    try:
        uuid.UUID(session_id if isinstance(session_id, str) else "")
    except ValueError:
        return None
    return VisitorIds(client_id=client_id, session_id=str(session_id))


def _is_time(value: object) -> TypeGuard[float]:
    """Whether it can be reckoned with: JSON has whole numbers of any length."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**53)


def _maybe_tokens(record: object) -> Tokens | None:
    """Tokens as `encode` wrote them; None for anything else."""
    if not isinstance(record, dict):
        return None
    try:
        lists = {name: tuple(record["box"][name]) for name in ("ajax_guesses", "image_triggers")}
        box = ChatBox(**{**record["box"], **lists})
        cookies = tuple(StoredCookie(**cookie) for cookie in record["cookies"])
        tokens = Tokens(**{**record, "box": box, "cookies": cookies})
    except (KeyError, TypeError):
        return None
    is_sane = (
        all(isinstance(getattr(box, name), kind) for name, kind in _BOX_TYPES.items())
        and box.protocol in get_args(PluginGeneration)
        and box.kind in get_args(BoxKind)
        and isinstance(tokens.page, str)
        and tokens.rung in get_args(Rung)
        and _is_time(tokens.acquired_at)
        and isinstance(tokens.user_agent, str)
        and all(isinstance(word, str) for word in box.image_triggers)
        and all(cookie.is_sane for cookie in cookies)
        and is_same_site(box.ajax_url, tokens.page)
        and all(isinstance(url, str) and is_same_site(url, tokens.page) for url in box.ajax_guesses)
        and maybe_nonce(tokens.nonce) is not None
    )
    return tokens if is_sane else None


_BOX_TYPES: dict[str, type | UnionType] = {
    "name": str,
    "is_streaming": bool,
    "bot_id": int,
    "post_id": int | None,
    "ajax_url": str,
    "page_url": str,
    "memory_limit": int,
    "consent": str,
    "origin": str,
    "plugin_version": str,
}


# Writing


def encode(site: str, record: SiteRecord) -> bytes:
    """The file of a site. Where it is too long, cookies as a rule, it loses tokens, never who we are."""
    tokens = sorted(record.tokens.items(), key=lambda item: item[1].acquired_at)
    needs_browser = record.needs_browser
    while True:
        content = {
            "format": _FORMAT,
            "site": site,
            "client_id": record.visitor.client_id,
            "session_id": record.visitor.session_id,
            "cool_until": record.cool_until,
            "leases": {key: _fields_of(lease) for key, lease in record.leases.items()},
            "needs_browser": needs_browser,
            "tokens": {key: _as_json(value) for key, value in tokens},
        }
        # A bot's name may hold half a character, which no file can.
        data = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        if len(data) <= MAX_RECORD_BYTES or not (tokens or needs_browser):
            return data
        if not tokens:
            needs_browser = {}
        tokens = tokens[len(tokens) // 2 + 1 :]


def _as_json(tokens: Tokens) -> dict[str, object]:
    # `asdict` copies every value, which takes longer than all other work under the lock.
    return {
        **_fields_of(tokens),
        "box": _fields_of(tokens.box),
        "cookies": [_fields_of(cookie) for cookie in tokens.cookies],
    }


def _fields_of(value: Tokens | ChatBox | StoredCookie | Lease) -> dict[str, object]:
    return {part.name: getattr(value, part.name) for part in fields(value)}
