"""What is remembered of a site, in memory and on disk: who we are to it, and its tokens.

One file a site (a site here is an origin, as for a browser's storage), readable by its owner alone and
replaced in one step, so that a reader never sees half of it. The visitor's ids are what a site counts its
quota by: whichever process writes them first, all others take them over. Writers take turns by a lock on
the folder itself, which leaves nothing behind and goes with the process that held it.

The disk is a help, never a condition. A file that is damaged is rewritten. One that is not ours to touch (a
later version's, somebody else's, a link) is left alone, and memory serves for its site; in a folder that
cannot be written, it serves for all. Either is said once, and what can still be read is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import math
import os
import random
import re
import stat
import string
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import TypeGuard, get_args

import anyio
import anyio.to_thread

from chatgptt._models import BoxKind, ChatBox, PluginGeneration, Rung, StoredCookie, Tokens, VisitorIds
from chatgptt.net.loops import PerLoop, ThreadLock
from chatgptt.protocols.page import maybe_nonce
from chatgptt.protocols.urls import is_same_site
from chatgptt.state.files import is_trusted

if sys.platform != "win32":
    import fcntl

__all__ = [
    "MAX_AGE",
    "UNUSABLE",
    "TokenStore",
    "check_owner",
    "default_folder",
]

_log = logging.getLogger("chatgptt.store")

MAX_AGE = 12 * 3600.0
"""Seconds. A nonce lives 12 to 24 hours (docs/protocols.md C2); past the sure half it is not worth trying."""

MAX_LOCK_WAIT = 2.0
"""Seconds in which nobody writes. A writer holds the lock for some milliseconds: one that holds it so long
has been stopped, and whoever waits works on without the disk. While others write, it is worth waiting on.
"""

_SHORT_LOCK_WAIT = 0.1
"""The same once a wait was in vain: each call would wait anew."""

_LOCK_WAITS = 10
"""How many times as long it is waited at most, however many write."""

MEMORY = 24 * 3600.0
"""Seconds after which the cheap rungs are tried again on a site that needed a browser."""

_SKEW = 60.0
"""Seconds by which tokens may come from the future: machines that share a folder differ a little."""

_FORMAT = 1
_MAX_FILE_BYTES = 2**20
"""More is not read, so no more is written."""
_MAX_ENTRIES = 50
_dice = random.SystemRandom()
_changing = ThreadLock()


@dataclass(slots=True, kw_only=True)
class _Site:
    visitor: VisitorIds
    tokens: dict[str, Tokens] = field(default_factory=dict)
    needs_browser: dict[str, float] = field(default_factory=dict)
    """When it was learned, in Unix time, for what key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What a call does to a site's record."""

    added: Mapping[str, Tokens] = field(default_factory=dict)
    dropped: tuple[str, str] | None = field(default=None, repr=False)
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
        self._one_at_a_time = PerLoop(anyio.Lock)
        self._is_writable = True
        self._left_alone: set[str] = set()
        """Sites whose file is not ours to touch."""
        self._patience = MAX_LOCK_WAIT

    async def visitor(self, site: str) -> VisitorIds:
        """Our ids at `site` (an origin), made on the first call ever."""
        known = self._sites.get(site)
        if known is None:
            async with self._one_at_a_time.get():
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
        return tokens if -_SKEW <= age < MAX_AGE else None

    async def _merge(self, site: str, change: _Change) -> _Site:
        """Reads the site's file, merges it with memory and the change, and writes it where it differs."""
        known = self._sites.get(site)
        merged = known or _Site(visitor=_new_visitor())
        if self._folder is not None:
            stored = await anyio.to_thread.run_sync(
                self._exchange, site, merged, change, abandon_on_cancel=True
            )
            if stored is not None:
                merged = stored
        with _changing:
            newer = self._sites.get(site)
            if newer is not None and newer is not known:  # another task merged while the disk was read
                merged = _Site(
                    visitor=newer.visitor,
                    tokens=newer.tokens | merged.tokens,
                    needs_browser=newer.needs_browser | merged.needs_browser,
                )
            _apply(merged, change, self._clock())
            self._sites[site] = merged
        return merged

    def _exchange(self, site: str, ours: _Site, change: _Change) -> _Site | None:
        """What the disk holds of a site, with the change where it can be written; None for nothing."""
        folder = self._folder
        assert folder is not None
        if site in self._left_alone:
            return None
        path = folder / _file_name(site)
        try:
            if self._is_writable:
                theirs = _look(folder, path, site) if change.is_empty else None
                return theirs or self._rewrite(folder, path, site, ours, change)
        except _NotOurs as error:
            self._leave_alone(site, path, error)
            return None
        except _Busy:
            self._patience = _SHORT_LOCK_WAIT
            _log.info("the state folder %s is locked by another process, going on without it", folder)
        except OSError as error:
            self._give_up_writing(folder, error)
        return _read_beside(folder, path, site, ours)

    def _rewrite(self, folder: Path, path: Path, site: str, ours: _Site, change: _Change) -> _Site:
        with _locked(folder, self._patience):
            self._patience = MAX_LOCK_WAIT
            merged = _read(path, site) or _Site(
                visitor=ours.visitor, tokens=dict(ours.tokens), needs_browser=dict(ours.needs_browser)
            )
            _apply(merged, change, self._clock())
            _write(path, site, merged)
            return merged

    def _leave_alone(self, site: str, path: Path, why: _NotOurs) -> None:
        with _changing:
            if site in self._left_alone:
                return
            self._left_alone.add(site)
        _log.warning("%s is left alone, and nothing is kept of its site: it %s", path, why)

    def _give_up_writing(self, folder: Path, error: OSError) -> None:
        with _changing:
            if not self._is_writable:
                return
            self._is_writable = False
        _log.warning(UNUSABLE, folder, error.strerror or error)


UNUSABLE = (
    "the state folder %s cannot be used, working on without it: %s "
    "(mend that, or name another folder with CHATGPTT_STATE_DIR or state_dir)"
)
"""What is said, once, of a state folder; the history of checks says the same."""


def _apply(site: _Site, change: _Change, now: float) -> None:
    if change.dropped is not None:
        key, nonce = change.dropped
        if key in site.tokens and site.tokens[key].nonce == nonce:
            del site.tokens[key]
    site.tokens |= change.added
    if len(site.tokens) > _MAX_ENTRIES:
        newest = sorted(site.tokens.items(), key=lambda item: _in_order(item[1].acquired_at, now))
        site.tokens = dict(newest[-_MAX_ENTRIES:])
    for key, since in change.needs_browser.items():
        if since is None:
            site.needs_browser.pop(key, None)
        else:
            site.needs_browser[key] = since
    if len(site.needs_browser) > _MAX_ENTRIES:
        latest = sorted(site.needs_browser.items(), key=lambda item: _in_order(item[1], now))
        site.needs_browser = dict(latest[-_MAX_ENTRIES:])


def _in_order(at: float, now: float) -> float:
    """When it was, for sorting; what is from the future, since the clock was set back, is the oldest."""
    return at if at <= now + _SKEW else -math.inf


def _new_visitor() -> VisitorIds:
    alphabet = string.ascii_letters + string.digits
    return VisitorIds(client_id="".join(_dice.choices(alphabet, k=10)), session_id=str(uuid.uuid4()))


def _file_name(site: str) -> str:
    readable = re.sub(r"[^a-z0-9.]+", "-", site.partition("://")[2].lower()).strip("-.")[:60]
    return f"{readable}-{hashlib.sha256(site.encode()).hexdigest()[:12]}.json"


def _look(folder: Path, path: Path, site: str) -> _Site | None:
    """What the disk holds of a site. See `_read`."""
    check_owner(folder)
    return _read(path, site)


def _read_beside(folder: Path, path: Path, site: str, ours: _Site) -> _Site | None:
    """What can still be read, with what could not be written; None for nothing."""
    try:
        theirs = _look(folder, path, site)
    except (OSError, _NotOurs):
        return None
    if theirs is None:
        return None
    return _Site(
        visitor=theirs.visitor,
        tokens=theirs.tokens | ours.tokens,
        needs_browser=theirs.needs_browser | ours.needs_browser,
    )


class _NotOurs(Exception):
    """A file that is neither read nor replaced; the words say what it is."""


class _Busy(Exception):
    """Another process holds the lock and does not let go, stopped perhaps."""


def check_owner(folder: Path) -> None:
    """Refuses a folder in which somebody else could say who we are.

    Raises:
        OSError: for such a folder, and for one that cannot be reached.
    """
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        if os.path.islink(folder):
            raise OSError("it is a link to nowhere") from None
        return  # it will be made
    if not stat.S_ISDIR(found.st_mode):
        raise OSError("it is no folder")
    if not is_trusted(found.st_uid):
        raise OSError("it belongs to somebody else")


@contextlib.contextmanager
def _locked(folder: Path, patience: float) -> Iterator[None]:
    check_owner(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if sys.platform == "win32":  # folders cannot be locked there: the last writer wins
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _take_lock(descriptor, patience)
        if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            raise OSError("it was replaced meanwhile")  # others hold the lock of the new one
        yield
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, patience: float) -> None:
    now = time.monotonic()
    give_up, end, pause, written_at = now + patience, now + _LOCK_WAITS * patience, 0.002, 0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now, before, written_at = time.monotonic(), written_at, os.fstat(descriptor).st_mtime_ns
            if written_at != before:
                give_up = min(now + patience, end)
            elif now > give_up:
                raise _Busy from None
        time.sleep(_dice.uniform(0.0, pause))
        pause = min(1.5 * pause, 0.05)  # who waits long waits for many, and would only keep them from working


_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""No link is followed, and a pipe in the file's place keeps nobody waiting."""


def _read(path: Path, site: str) -> _Site | None:
    """What a file holds, None for nothing usable.

    Raises:
        _NotOurs: where the file is to be left alone.
        OSError: where the folder cannot be used.
    """
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        is_passing = error.errno in (errno.EMFILE, errno.ENFILE)
        if is_passing or not os.path.lexists(path):
            raise
        raise _NotOurs(f"cannot be read ({error.strerror})") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not is_trusted(found.st_uid):
        os.close(descriptor)
        raise _NotOurs("belongs to somebody else" if stat.S_ISREG(found.st_mode) else "is no file")
    with open(descriptor, "rb") as file:
        data = file.read(_MAX_FILE_BYTES + 1)
    try:
        record = json.loads(data) if len(data) <= _MAX_FILE_BYTES else None
        json.dumps(record, ensure_ascii=False).encode()  # half a character could be written nowhere again
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("site") != site:
        return None
    number = record.get("format")
    if isinstance(number, int) and number > _FORMAT:
        raise _NotOurs("was written by a later version")
    if number != _FORMAT:
        return None
    try:
        visitor = VisitorIds(client_id=record["client_id"], session_id=record["session_id"])
        if (
            not re.fullmatch(r"[A-Za-z0-9]{10}", visitor.client_id)
            or str(uuid.UUID(visitor.session_id)) == ""
        ):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    stored = record.get("tokens")
    tokens = {key: _maybe_tokens(value) for key, value in stored.items()} if isinstance(stored, dict) else {}
    return _Site(
        visitor=visitor,
        tokens={key: value for key, value in tokens.items() if value is not None},
        needs_browser=_read_times(record.get("needs_browser")),
    )


def _read_times(record: object) -> dict[str, float]:
    if not isinstance(record, dict):
        return {}
    return {str(key): since for key, since in record.items() if _is_time(since)}


def _is_time(value: object) -> TypeGuard[float]:
    """Whether it can be reckoned with: JSON has whole numbers of any length."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**53)


def _maybe_tokens(record: object) -> Tokens | None:
    """Tokens as `_write` wrote them; None for anything else."""
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
        and all(
            isinstance(value, bool if name == "is_secure" else str)
            for cookie in cookies
            for name, value in _fields_of(cookie).items()
        )
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


def _write(path: Path, site: str, content: _Site) -> None:
    data = _encode(site, content)
    # Always the same name: under the lock, one that is there already was left by a writer that died.
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
        os.replace(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _as_record(tokens: Tokens) -> dict[str, object]:
    # `asdict` copies every value, which takes longer than all the rest of what is done under the lock.
    return {
        **_fields_of(tokens),
        "box": _fields_of(tokens.box),
        "cookies": [_fields_of(cookie) for cookie in tokens.cookies],
    }


def _fields_of(value: Tokens | ChatBox | StoredCookie) -> dict[str, object]:
    return {part.name: getattr(value, part.name) for part in fields(value)}


def _encode(site: str, content: _Site) -> bytes:
    """The record of a site. Where it is too long, cookies as a rule, it loses tokens, never who we are."""
    tokens = sorted(content.tokens.items(), key=lambda item: item[1].acquired_at)
    needs_browser = content.needs_browser
    while True:
        record = {
            "format": _FORMAT,
            "site": site,
            "client_id": content.visitor.client_id,
            "session_id": content.visitor.session_id,
            "needs_browser": needs_browser,
            "tokens": {key: _as_record(value) for key, value in tokens},
        }
        # A bot's name may hold half a character, which no file can.
        data = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
        if len(data) <= _MAX_FILE_BYTES or not (tokens or needs_browser):
            return data
        if not tokens:
            needs_browser = {}
        tokens = tokens[len(tokens) // 2 + 1 :]
