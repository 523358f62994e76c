"""Files that a user names: written whole or not at all, read with a bound, never through a stranger's link.

In a folder that many users may write to, such as `/tmp`, another user may have put a link under the given
name. So a link is followed only if it belongs to us or to the administrator. A new file gets a name that
cannot be guessed and replaces the old one in one step, which follows no link. Pipes, devices and all other
files that are not regular are refused: opening one may wait for ever, and replacing one would break it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from chatgptt._errors import InvalidInputError

_MOST_LINKS = 40
"""As many as Linux follows in one path."""

NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""No link is followed."""
NO_WAIT = getattr(os, "O_NONBLOCK", 0)
"""A pipe in the file's place makes nothing wait."""


def is_trusted(owner: int) -> bool:
    """Whether a user id is ours, or the administrator's."""
    return sys.platform == "win32" or owner in (os.geteuid(), 0)


def find_place(path: Path) -> Path:
    """The absolute path that `path` leads to, without links; what does not exist yet is kept as it is.

    Raises:
        OSError: for a link that belongs to another user, and for a path that cannot be walked.
    """
    place, parts, links = Path(), deque((path if path.is_absolute() else Path.cwd() / path).parts), 0
    while parts:
        part = parts.popleft()
        if part == os.pardir:
            place = place.parent
            continue
        step = place / part
        try:
            found = os.lstat(step)
        except (FileNotFoundError, NotADirectoryError):
            place = step
            continue
        if not stat.S_ISLNK(found.st_mode):
            place = step
            continue
        if not is_trusted(found.st_uid):
            raise PermissionError(errno.EACCES, f"the link {step} belongs to another user")
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        parts.extendleft(reversed(Path(os.readlink(step)).parts))
    return place


# Writing


def check_file(path: Path, *, makes_folder: bool = False) -> None:
    """Whether a file can be put at `path`, as far as that can be told without writing.

    Args:
        path: the file.
        makes_folder: whether a missing folder will be made.

    Raises:
        InvalidInputError: for a folder, a pipe, a device, a stranger's link, and a folder that is missing.
    """
    with _named(path):
        place = _place_of_file(path)
        if not makes_folder and not place.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def replace_file(path: Path, text: str, *, mode: int | None = None) -> None:
    """Puts `text` in place of what `path` holds: readers see the old file or the new one, whole.

    A link of ours stays one; what it leads to is replaced. See `replacing` for the mode.

    Raises:
        InvalidInputError: where the file cannot be written.
    """
    with _named(path), replacing(path, mode=mode) as file:
        file.write(text.encode())


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[BinaryIO]:
    """A new file, which takes the place of `path` if the block ends without an error.

    Args:
        path: the file.
        mode: the new file's permissions; None takes those of an old one of ours, else what the umask says.

    Raises:
        OSError: where the file cannot be written.
    """
    place = _place_of_file(path)
    new = place.with_name(f".chatgptt-{secrets.token_hex(8)}.new")
    kept = _mode_of(place) if mode is None else None
    with moving(new, place, 0o666 if mode is None else mode) as file:
        if kept is not None and sys.platform != "win32":
            os.fchmod(file.fileno(), kept)
        yield file


@contextlib.contextmanager
def moving(new: Path, place: Path, mode: int) -> Iterator[BinaryIO]:
    """The file `new`, which is made, and moved to `place` if the block ends without an error.

    Raises:
        OSError: where it exists, or cannot be written.
    """
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, mode)
    try:
        with open(descriptor, "wb") as file:
            yield file
        os.replace(new, place)
    except BaseException:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def _place_of_file(path: Path) -> Path:
    try:
        found = os.stat(path)  # follows links, since those of /dev and /proc lead to what has no path
    except (FileNotFoundError, NotADirectoryError):
        found = None
    if found is not None and not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")
    return find_place(path)


def _mode_of(place: Path) -> int | None:
    """The permissions of a file of ours."""
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        return None
    is_ours = stat.S_ISREG(found.st_mode) and sys.platform != "win32" and found.st_uid == os.geteuid()
    return found.st_mode & 0o777 if is_ours else None


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a zero character in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidInputError(
            f"cannot write {str(path)!r}: {why}",
            hint="name a regular file in a folder that can be written",
        ) from error


# Reading


def read_file(path: Path, most_bytes: int) -> bytes:
    """The bytes of a regular file that another person may have made; no link is followed.

    Raises:
        OSError: where it cannot be opened.
        ValueError: where it is no regular file, or larger than `most_bytes`.
    """
    if not stat.S_ISREG(os.lstat(path).st_mode):  # opening a device may already act on it
        raise ValueError(f"{path.name} is no regular file")
    descriptor = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path.name} is no regular file")
        data = file.read(most_bytes + 1) if found.st_size <= most_bytes else None
    if data is None or len(data) > most_bytes:
        raise ValueError(f"{path.name} is larger than {most_bytes} bytes")
    return data
