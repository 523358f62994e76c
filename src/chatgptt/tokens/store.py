"""What is remembered of a site, in memory and on disk: who we are to it, and its tokens.

One file a site (a site here is an origin, as for a browser's storage), readable by its owner alone and
replaced in one step, so that a reader never sees half of it. The visitor's ids are what a site counts its
quota by: whichever process writes them first, all others take them over. Writers take turns by a lock on
the folder itself, which leaves nothing behind and goes with the process that held it.

The disk is a help, never a condition: a file that is damaged or not ours is rewritten; a folder that cannot
be used, or a file of a later version, is left alone, said once, and memory serves.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import random
import re
import string
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import get_args

import anyio
import anyio.to_thread

from chatgptt._models import ChatBox, Kind, Protocol, Rung, StoredCookie, Tokens
from chatgptt.protocols.page import maybe_nonce
from chatgptt.protocols.urls import is_same_site

if sys.platform != "win32":
    import fcntl

__all__ = ["MAX_AGE", "TokenStore", "Visitor", "default_folder"]

_log = logging.getLogger("chatgptt.store")

MAX_AGE = 12 * 3600.0
"""Seconds. A nonce lives 12 to 24 hours (docs/protocols.md C2); past the sure half it is not worth trying."""

MAX_LOCK_WAIT = 2.0
"""Seconds. A writer holds the lock for a millisecond; who waits longer works on without the disk."""

MEMORY = 24 * 3600.0
"""Seconds after which the cheap rungs are tried again on a site that needed a browser."""

_FORMAT = 1
_MAX_FILE_BYTES = 2**20
_MAX_ENTRIES = 50
_dice = random.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who we are to a site, for ever: the 1.x client id and the 2.x session id."""

    client_id: str
    session_id: str


@dataclass(slots=True, kw_only=True)
class _Site:
    visitor: Visitor
    tokens: dict[str, Tokens] = field(default_factory=dict)
    needs_browser: dict[str, float] = field(default_factory=dict)
    """When it was learned, in Unix time, for what key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a call does to a site's record."""

    added: Mapping[str, Tokens] = field(default_factory=dict)
    dropped: tuple[str, str] | None = None
    needs_browser: Mapping[str, float | None] = field(default_factory=dict)
    """None forgets it."""

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.dropped or self.needs_browser)


def default_folder() -> Path:
    """The platform's folder for a program's state, or what `CHATGPTT_STATE_DIR` names."""
    named = os.environ.get("CHATGPTT_STATE_DIR")
    if named:
        return Path(named)
    import platformdirs  # here, since most of its import time is spent for nothing where a folder is given

    return Path(platformdirs.user_state_dir("chatgptt", appauthor=False))


class TokenStore:
    """Tokens and visitor ids by site.

    Args:
        folder: where the files live; None keeps nothing on disk.
        clock: Unix time in seconds.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._sites: dict[str, _Site] = {}
        self._one_at_a_time = anyio.Lock()

    async def visitor(self, site: str) -> Visitor:
        """Our ids at `site` (an origin), made on the first call ever."""
        known = self._sites.get(site)
        if known is None:
            async with self._one_at_a_time:
                known = self._sites.get(site) or await self._merge(site, _Change())
        return known.visitor

    async def find(self, site: str, key: str, rejected: frozenset[str] = frozenset()) -> Tokens | None:
        """Tokens under `key` that are younger than `MAX_AGE` and not among the rejected, else None."""
        known = self._sites.get(site)
        if known is None or self._usable(known, key, rejected) is None:
            known = await self._merge(site, _Change())  # another process may have acquired some
        return self._usable(known, key, rejected)

    async def put(self, site: str, key: str, tokens: Tokens, *, is_lesson: bool = True) -> None:
        """Keeps tokens under `key`, and with `is_lesson` whether it took a browser to get them."""
        learned: dict[str, float | None] = {}
        known = self._sites.get(site)
        if is_lesson and tokens.rung == "browser":
            learned = {key: self._clock()}
        elif is_lesson and (known is None or key in known.needs_browser):
            learned = {key: None}
        await self._merge(site, _Change(added={key: tokens}, needs_browser=learned))

    async def needs_browser(self, site: str, key: str) -> bool:
        """Whether a browser was needed for `key` not longer than `MEMORY` ago."""
        known = self._sites.get(site) or await self._merge(site, _Change())
        since = known.needs_browser.get(key)
        return since is not None and 0.0 <= self._clock() - since < MEMORY

    async def drop(self, site: str, key: str, nonce: str) -> None:
        """Forgets the tokens under `key` if they still hold this rejected nonce."""
        known = self._sites.get(site)
        if known is not None and (key not in known.tokens or known.tokens[key].nonce != nonce):
            return
        await self._merge(site, _Change(dropped=(key, nonce)))

    def _usable(self, site: _Site, key: str, rejected: frozenset[str]) -> Tokens | None:
        tokens = site.tokens.get(key)
        if tokens is None or tokens.nonce in rejected:
            return None
        # A clock that was set back would make old tokens look new for ever.
        age = self._clock() - tokens.acquired_at
        return tokens if -60.0 <= age < MAX_AGE else None

    async def _merge(self, site: str, change: _Change) -> _Site:
        """Reads the site's file, merges it with memory and the change, and writes it where it differs."""
        known = self._sites.get(site)
        merged = known or _Site(visitor=_new_visitor())
        if self._folder is not None:
            stored = await anyio.to_thread.run_sync(self._exchange, site, merged, change)
            if stored is not None:
                merged = stored
        newer = self._sites.get(site)
        if newer is not None and newer is not known:  # another task merged while the disk was read
            merged = _Site(
                visitor=newer.visitor,
                tokens=newer.tokens | merged.tokens,
                needs_browser=newer.needs_browser | merged.needs_browser,
            )
        _apply(merged, change)
        self._sites[site] = merged
        return merged

    def _exchange(self, site: str, ours: _Site, change: _Change) -> _Site | None:
        folder = self._folder
        assert folder is not None
        path = folder / _file_name(site)
        try:
            theirs, is_foreign = _read(path, site)
            if theirs is not None and change.is_empty:
                return theirs
            with _locked(folder):
                theirs, is_foreign = _read(path, site)
                if is_foreign:
                    raise OSError(f"{path.name} was written by a later version")
                merged = theirs or _Site(
                    visitor=ours.visitor, tokens=dict(ours.tokens), needs_browser=dict(ours.needs_browser)
                )
                _apply(merged, change)
                _write(path, site, merged)
                return merged
        except _Busy:
            _log.info("the state folder %s is locked by another process, going on without it", folder)
            return None
        except OSError as error:
            _log.warning("the state folder %s cannot be used, working on without it: %s", folder, error)
            self._folder = None
            return None


def _apply(site: _Site, change: _Change) -> None:
    if change.dropped is not None:
        key, nonce = change.dropped
        if key in site.tokens and site.tokens[key].nonce == nonce:
            del site.tokens[key]
    site.tokens |= change.added
    if len(site.tokens) > _MAX_ENTRIES:
        newest = sorted(site.tokens.items(), key=lambda item: item[1].acquired_at)[-_MAX_ENTRIES:]
        site.tokens = dict(newest)
    for key, since in change.needs_browser.items():
        if since is None:
            site.needs_browser.pop(key, None)
        else:
            site.needs_browser[key] = since
    if len(site.needs_browser) > _MAX_ENTRIES:
        site.needs_browser = dict(
            sorted(site.needs_browser.items(), key=lambda item: item[1])[-_MAX_ENTRIES:]
        )


def _new_visitor() -> Visitor:
    alphabet = string.ascii_letters + string.digits
    return Visitor(client_id="".join(_dice.choices(alphabet, k=10)), session_id=str(uuid.uuid4()))


def _file_name(site: str) -> str:
    readable = re.sub(r"[^a-z0-9.]+", "-", site.partition("://")[2].lower()).strip("-.")[:60]
    return f"{readable}-{hashlib.sha256(site.encode()).hexdigest()[:12]}.json"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32":  # folders cannot be locked there: the last writer wins
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if os.fstat(descriptor).st_uid not in (os.geteuid(), 0):
            raise OSError("it belongs to somebody else")
        _take_lock(descriptor)
        yield
    finally:
        os.close(descriptor)


class _Busy(Exception):
    """Another process holds the lock and does not let go, stopped perhaps."""


def _take_lock(descriptor: int) -> None:
    give_up = time.monotonic() + MAX_LOCK_WAIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > give_up:
                raise _Busy from None
            time.sleep(_dice.uniform(0.001, 0.01))


def _read(path: Path, site: str) -> tuple[_Site | None, bool]:
    """What a file holds, None for nothing usable; and whether a later version wrote it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except FileNotFoundError:
        return None, False
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    try:
        record = json.loads(data) if len(data) <= _MAX_FILE_BYTES else None
        json.dumps(record, ensure_ascii=False).encode()  # half a character could be written nowhere again
    except (ValueError, RecursionError):
        return None, False
    if not isinstance(record, dict) or record.get("site") != site:
        return None, False
    number = record.get("format")
    if not isinstance(number, int) or number != _FORMAT:
        return None, isinstance(number, int) and number > _FORMAT
    try:
        visitor = Visitor(client_id=record["client_id"], session_id=record["session_id"])
        if (
            not re.fullmatch(r"[A-Za-z0-9]{10}", visitor.client_id)
            or str(uuid.UUID(visitor.session_id)) == ""
        ):
            return None, False
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, False
    stored = record.get("tokens")
    tokens = {key: _maybe_tokens(value) for key, value in stored.items()} if isinstance(stored, dict) else {}
    site_record = _Site(
        visitor=visitor,
        tokens={key: value for key, value in tokens.items() if value is not None},
        needs_browser=_read_times(record.get("needs_browser")),
    )
    return site_record, False


def _read_times(record: object) -> dict[str, float]:
    if not isinstance(record, dict):
        return {}
    return {str(key): float(since) for key, since in record.items() if isinstance(since, int | float)}


def _maybe_tokens(record: object) -> Tokens | None:
    """Tokens as `_write` wrote them; None for anything else."""
    if not isinstance(record, dict):
        return None
    try:
        box = ChatBox(**{**record["box"], "image_triggers": tuple(record["box"]["image_triggers"])})
        cookies = tuple(StoredCookie(**cookie) for cookie in record["cookies"])
        tokens = Tokens(**{**record, "box": box, "cookies": cookies})
    except (KeyError, TypeError):
        return None
    is_sane = (
        all(isinstance(getattr(box, name), kind) for name, kind in _BOX_TYPES.items())
        and box.protocol in get_args(Protocol)
        and box.kind in get_args(Kind)
        and isinstance(tokens.page, str)
        and tokens.rung in get_args(Rung)
        and isinstance(tokens.acquired_at, int | float)
        and isinstance(tokens.user_agent, str)
        and all(isinstance(word, str) for word in box.image_triggers)
        and all(
            isinstance(value, bool if name == "is_secure" else str)
            for cookie in cookies
            for name, value in asdict(cookie).items()
        )
        and is_same_site(box.ajax_url, tokens.page)
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


def _write(path: Path, site: str, content: _Site) -> None:
    record = {
        "format": _FORMAT,
        "site": site,
        "client_id": content.visitor.client_id,
        "session_id": content.visitor.session_id,
        "needs_browser": content.needs_browser,
        "tokens": {key: asdict(tokens) for key, tokens in content.tokens.items()},
    }
    # Always the same name: under the lock, one that is there already was left by a writer that died.
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(record, file, ensure_ascii=False, indent=1)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
