"""The memory of sites: who we are to each, and its tokens; in this process and on disk.

One file a site; a site here is an origin, as for a browser's storage. A site counts its quota by the
visitor's ids: the process that writes them first decides them for all others.

The disk is a help, never a condition. A file that is damaged is rewritten. One that is not ours (a later
version's, another user's, a link) is left alone, and memory serves for its site. In a folder that cannot be
written, memory serves for all sites. Either is logged once, and the files that can be read are still read.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import string
import uuid
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread

from chatgptt._models import Tokens, VisitorIds
from chatgptt.net.loops import PerLoop, ThreadLock
from chatgptt.state.folder import (
    UNUSABLE,
    BusyError,
    NotOursError,
    check_owner,
    locked,
    read_own_file,
    replace_own_file,
)
from chatgptt.tokens.records import (
    MAX_RECORD_BYTES,
    MAX_SKEW,
    Change,
    SiteRecord,
    apply,
    decode,
    encode,
    merge,
)

_log = logging.getLogger("chatgptt.store")

MAX_AGE = 12 * 3600.0
"""Seconds. A nonce lives 12 to 24 hours (docs/protocols.md C2); past the sure half it is not worth trying."""

MAX_LOCK_WAIT = 2.0
"""Seconds without a write after which a locked folder is not waited for any longer. A writer holds the lock
for some milliseconds; one that holds it so long was stopped."""

_SHORT_LOCK_WAIT = 0.1
"""The same after a wait that was in vain, since each call would wait again."""

MEMORY = 24 * 3600.0
"""Seconds after which the cheap rungs are tried again on a site that needed a browser."""

_dice = random.SystemRandom()
_changing = ThreadLock()


class TokenStore:
    """Tokens and visitor ids by site.

    Args:
        folder: where the files live; None keeps nothing on disk.
        clock: Unix time in seconds.
    """

    def __init__(self, folder: Path | None, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._sites: dict[str, SiteRecord] = {}
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
                known = self._sites.get(site) or await self._merge(site, Change())
        return known.visitor

    async def find(self, site: str, key: str, rejected: frozenset[str] = frozenset()) -> Tokens | None:
        """Tokens under `key` that are younger than `MAX_AGE` and not among the rejected, else None."""
        known = self._sites.get(site)
        if known is None or self._usable(known, key, rejected) is None:
            known = await self._merge(site, Change())  # another process may have acquired some
        return self._usable(known, key, rejected)

    async def put(self, site: str, key: str, tokens: Tokens, *, is_lesson: bool = True) -> None:
        """Keeps tokens under `key`, and with `is_lesson` whether it took a browser to get them."""
        learned: dict[str, float | None] = {}
        known = self._sites.get(site)
        if is_lesson and tokens.rung == "browser":
            learned = {key: self._clock()}
        elif is_lesson and (known is None or key in known.needs_browser):
            learned = {key: None}
        await self._merge(site, Change(added={key: tokens}, needs_browser=learned))

    async def needs_browser(self, site: str, key: str) -> bool:
        """Whether a browser was needed for `key` not longer than `MEMORY` ago."""
        known = self._sites.get(site) or await self._merge(site, Change())
        since = known.needs_browser.get(key)
        return since is not None and 0.0 <= self._clock() - since < MEMORY

    async def needed_browser(self, site: str, key: str) -> bool:
        """Whether a browser was needed for `key` when its page was last read, however long ago."""
        known = self._sites.get(site) or await self._merge(site, Change())
        return key in known.needs_browser

    async def drop(self, site: str, key: str, nonce: str) -> None:
        """Forgets the tokens under `key` if they still hold this rejected nonce."""
        known = self._sites.get(site)
        if known is not None and (key not in known.tokens or known.tokens[key].nonce != nonce):
            return
        await self._merge(site, Change(dropped=(key, nonce)))

    def _usable(self, record: SiteRecord, key: str, rejected: frozenset[str]) -> Tokens | None:
        tokens = record.tokens.get(key)
        if tokens is None or tokens.nonce in rejected:
            return None
        # A clock that was set back would make old tokens look new for ever.
        age = self._clock() - tokens.acquired_at
        return tokens if -MAX_SKEW <= age < MAX_AGE else None

    async def _merge(self, site: str, change: Change) -> SiteRecord:
        """Reads the site's file, merges it with memory and the change, and writes it where it differs."""
        known = self._sites.get(site)
        merged = known or SiteRecord(visitor=_new_visitor())
        if self._folder is not None:
            merged = await anyio.to_thread.run_sync(
                self._exchange, self._folder, site, merged, change, abandon_on_cancel=True
            )
        with _changing:
            newer = self._sites.get(site)
            if newer is not None and newer is not known:  # another task merged while the disk was read
                merged = merge(newer, merged)
            merged = self._sites[site] = apply(merged, change, self._clock())
        return merged

    def _exchange(self, folder: Path, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        """What is known of a site after a look at the disk; the change is written there if it can be."""
        if site in self._left_alone:
            return ours
        path = folder / _file_name(site)
        try:
            if self._is_writable:
                theirs = _read(folder, path, site) if change.is_empty else None
                return theirs or self._rewrite(folder, path, site, ours, change)
        except NotOursError as error:
            self._leave_alone(site, path, error)
            return ours
        except BusyError:
            self._patience = _SHORT_LOCK_WAIT
            _log.info("the state folder %s is locked by another process, going on without it", folder)
        except OSError as error:
            self._give_up_writing(folder, error)
        try:
            theirs = _read(folder, path, site)
        except (OSError, NotOursError):
            theirs = None
        return ours if theirs is None else merge(theirs, ours)

    def _rewrite(self, folder: Path, path: Path, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        with locked(folder, self._patience):
            self._patience = MAX_LOCK_WAIT
            merged = apply(_read(folder, path, site) or ours, change, self._clock())
            replace_own_file(path, encode(site, merged))
            return merged

    def _leave_alone(self, site: str, path: Path, why: NotOursError) -> None:
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


def _read(folder: Path, path: Path, site: str) -> SiteRecord | None:
    check_owner(folder)
    data = read_own_file(path, MAX_RECORD_BYTES)
    return None if data is None else decode(data, site)


def _new_visitor() -> VisitorIds:
    alphabet = string.ascii_letters + string.digits
    return VisitorIds(client_id="".join(_dice.choices(alphabet, k=10)), session_id=str(uuid.uuid4()))


def _file_name(site: str) -> str:
    readable = re.sub(r"[^a-z0-9.]+", "-", site.partition("://")[2].lower()).strip("-.")[:60]
    return f"{readable}-{hashlib.sha256(site.encode()).hexdigest()[:12]}.json"
