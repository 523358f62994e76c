"""The store on disk: one file a site, in a folder that all processes of a user share.

The disk is a help, never a condition. A file that is damaged is rewritten. One that is not ours (a later
version's, another user's, a link) is left alone, and memory serves for its site. In a folder that cannot be
written, memory serves for all sites. Either is logged once, and the files that can be read are still read.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from chatgptt._arguments import check_folder
from chatgptt.net.loops import ThreadLock
from chatgptt.state.folder import (
    UNUSABLE,
    BusyError,
    FileState,
    NotOursError,
    check_owner,
    file_name,
    locked,
    maybe_state,
    read_own_file,
    replace_own_file,
)
from chatgptt.tokens.records import MAX_RECORD_BYTES, Change, SiteRecord, apply, decode, encode, merge
from chatgptt.tokens.store import Store

_log = logging.getLogger("chatgptt.store")

MAX_LOCK_WAIT = 2.0
"""Seconds without a write after which a locked folder is not waited for any longer. A writer holds the lock
for some milliseconds; one that holds it so long was stopped."""

_SHORT_LOCK_WAIT = 0.1
"""The same after a wait that did not get the lock, since each call would wait again."""

_changing = ThreadLock()


class FileStore(Store):
    """A store that all processes with the same folder share.

    Args:
        folder: where the files live; it is made where it is missing.
        clock: Unix time in seconds.

    Raises:
        InvalidInputError: for a folder that can be no path.
    """

    def __init__(self, folder: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock)
        self._folder = check_folder("the store's folder", folder)
        self._is_writable = True
        self._left_alone: set[str] = set()
        """Sites whose file is not ours to touch."""
        self._patience = MAX_LOCK_WAIT
        self._merged: dict[str, FileState] = {}
        """The state of each site's file when what it says was merged into what this process knows."""

    async def exchange(self, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        """What is known of a site after a look at the disk; the change is written there if it can be."""
        path = self._folder / file_name(site, ".json")
        merged = self._merged.get(site) if change.is_empty else None

        def exchange() -> tuple[SiteRecord, FileState | None]:
            state = maybe_state(path)
            if merged is not None and state == merged:
                return ours, state
            record, is_whole = self._exchange(path, site, ours, change)
            return record, state if is_whole else None

        record, state = await anyio.to_thread.run_sync(exchange, abandon_on_cancel=True)
        if state is not None:
            self._merged[site] = state
        return record

    def _exchange(self, path: Path, site: str, ours: SiteRecord, change: Change) -> tuple[SiteRecord, bool]:
        """What is known of a site, and whether the file could be read."""
        if site in self._left_alone:
            return ours, False
        try:
            if self._is_writable:
                theirs = _read(path, site) if change.is_empty else None
                return theirs or self._rewrite(path, site, ours, change), True
        except NotOursError as error:
            self._leave_alone(site, path, error)
            return ours, False
        except BusyError:
            self._patience = _SHORT_LOCK_WAIT
            _log.info("the state folder %s is locked by another process, going on without it", self._folder)
        except OSError as error:
            self._give_up_writing(error)
        try:
            theirs = _read(path, site)
        except (OSError, NotOursError):
            return ours, False
        return (ours if theirs is None else merge(theirs, ours)), True

    def _rewrite(self, path: Path, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        with locked(self._folder, self._patience):
            self._patience = MAX_LOCK_WAIT
            merged = apply(_read(path, site) or ours, change, self._clock())
            replace_own_file(path, encode(site, merged))
            return merged

    def _leave_alone(self, site: str, path: Path, why: NotOursError) -> None:
        with _changing:
            if site in self._left_alone:
                return
            self._left_alone.add(site)
        _log.warning("%s is left alone, and nothing is kept of its site: it %s", path, why)

    def _give_up_writing(self, error: OSError) -> None:
        with _changing:
            if not self._is_writable:
                return
            self._is_writable = False
        _log.warning(UNUSABLE, self._folder, error.strerror or error)


def _read(path: Path, site: str) -> SiteRecord | None:
    check_owner(path.parent)
    data = read_own_file(path, MAX_RECORD_BYTES)
    return None if data is None else decode(data, site)
