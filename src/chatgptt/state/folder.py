"""The state folder: where it is, whose it is, its lock, and files in it that are replaced in one step.

Writers take turns by a lock on the folder itself. It leaves nothing behind, and ends with the process that
holds it. Windows locks no folders: there the lock is on a file of its own in it, which stays. A reader
takes no lock: a file is replaced in one step, so it never sees half of it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import random
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from chatgptt.state.files import NO_FOLLOW, NO_WAIT, is_trusted, moving

_log = logging.getLogger("chatgptt.store")

FileState = tuple[int, int, int]
"""A file's number, time and size. A change replaces the file, so that one of them differs."""

UNUSABLE = (
    "the state folder %s cannot be used, working on without it: %s "
    "(mend that, or name another folder with CHATGPTT_STATE_DIR or state_dir)"
)
"""The warning about a folder that cannot be used, logged once."""

_MOST_WAITS = 10
"""How many times as long a lock is waited for at most, while other processes write."""


if sys.platform == "win32":
    import msvcrt

    _LOCK_FLAGS = os.O_RDWR | os.O_CREAT

    def _lock_place(folder: Path) -> Path:
        return folder / ".lock"

    def _maybe_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    _LOCK_FLAGS = os.O_RDONLY | os.O_DIRECTORY

    def _lock_place(folder: Path) -> Path:
        return folder

    def _maybe_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class NotOursError(Exception):
    """A file that is neither read nor replaced; the words say what it is."""


class BusyError(Exception):
    """Another process holds the lock too long; it may have been stopped."""


def default_folder() -> Path:
    """The platform's folder for a program's state, or what `CHATGPTT_STATE_DIR` names."""
    named = os.environ.get("CHATGPTT_STATE_DIR")
    if named:
        return Path(named)
    import platformdirs  # here, since its import takes time, which is needless where a folder is given

    return Path(platformdirs.user_state_dir("chatgptt", appauthor=False))


def check_owner(folder: Path) -> None:
    """Refuses a folder in which another user could say who we are.

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
        raise OSError("it belongs to another user")


@contextlib.contextmanager
def locked(folder: Path, patience: float) -> Iterator[None]:
    """Holds the folder's lock; the folder is made where it is missing.

    Args:
        folder: the folder.
        patience: seconds to wait for a process that holds the lock and does not write.

    Raises:
        BusyError: where the lock was not free in time.
        OSError: where the folder cannot be used.
    """
    check_owner(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with taking_turns(folder, patience):
        yield


@contextlib.contextmanager
def taking_turns(folder: Path, patience: float) -> Iterator[None]:
    """Holds the lock of a folder that exists, whatever its owner. See `locked`."""
    place = _lock_place(folder)
    descriptor = os.open(place, _LOCK_FLAGS)
    try:
        _take_lock(descriptor, folder, patience)
        if not os.path.samestat(os.fstat(descriptor), os.stat(place)):
            raise OSError("it was replaced meanwhile")  # others hold the lock of the new one
        yield
    finally:
        os.close(descriptor)


def _take_lock(descriptor: int, folder: Path, patience: float) -> None:
    now = time.monotonic()
    give_up, end, pause, written_at = now + patience, now + _MOST_WAITS * patience, 0.002, 0
    while not _maybe_lock(descriptor):
        now, before, written_at = time.monotonic(), written_at, os.stat(folder).st_mtime_ns
        if written_at != before:
            give_up = min(now + patience, end)
        elif now > give_up:
            raise BusyError
        time.sleep(random.uniform(0.0, pause))
        pause = min(1.5 * pause, 0.05)  # after a long wait there are many waiters, who slow the writers down


def file_name(site: str, ending: str) -> str:
    """The name of a site's file in the state folder."""
    readable = re.sub(r"[^a-z0-9.]+", "-", site.partition("://")[2].lower()).strip("-.")[:60]
    return f"{readable}-{hashlib.sha256(site.encode()).hexdigest()[:12]}{ending}"


def maybe_state(path: Path) -> FileState | None:
    """A file's state; None where there is no file."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_own_file(path: Path, most_bytes: int, *, is_login: bool = False) -> bytes | None:
    """The bytes of a file in the state folder; None where there is none, or a larger one.

    A file with `is_login` that others can read is made the owner's alone again. One that others can write is
    not read: they may have put another login there.

    Raises:
        NotOursError: where the file is to be left alone.
        OSError: where the folder cannot be used.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    except FileNotFoundError:
        return None
    except OSError as error:
        is_passing = error.errno in (errno.EMFILE, errno.ENFILE)
        if is_passing or not os.path.lexists(path):
            raise
        raise NotOursError(f"cannot be read ({error.strerror})") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotOursError("is no file")
        if not is_trusted(found.st_uid):
            raise NotOursError("belongs to another user")
        if is_login:
            _make_private(path, descriptor, found.st_mode)
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    return data if len(data) <= most_bytes else None


def _make_private(path: Path, descriptor: int, mode: int) -> None:
    if sys.platform == "win32" or not mode & 0o077:
        return
    if mode & 0o022:
        raise NotOursError("can be written by others")
    try:
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise NotOursError("can be read by others") from error
    _log.warning("others could read %s, which holds a login; it is its owner's alone again", path)


def replace_own_file(path: Path, data: bytes) -> None:
    """Puts `data` in the place of a file, readable by its owner alone; the caller holds the lock."""
    new = _new_name(path)
    new.unlink(missing_ok=True)
    with moving(new, path, 0o600) as file:
        file.write(data)


def remove_own_file(path: Path) -> bool:
    """Removes a file, and what a writer of it that died has left; whether there was one.

    The caller holds the lock.
    """
    _new_name(path).unlink(missing_ok=True)
    is_there = os.path.lexists(path)
    path.unlink(missing_ok=True)
    return is_there


def _new_name(path: Path) -> Path:
    """Always the same name: under the lock, one that is there already was left by a writer that died."""
    return path.with_name(f"{path.name}.new")
