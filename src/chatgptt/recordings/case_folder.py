"""A case on disk: a folder with `case.toml` and the bodies of the replies (see case_file.py).

A case may come from another person, so only regular files in the folder are read, up to a limit. Writing is
whole or not at all: the new folder is made beside its place and then moved there. Of the case that it
replaces, only the files that the case names are deleted.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from chatgptt.recordings.case import Case, CaseError
from chatgptt.recordings.case_file import CASE_FILE, MAX_TEXT_CHARACTERS, files_of, parse_case, parse_toml
from chatgptt.state.files import find_place, read_file

_MAX_BODIES_BYTES = 2**24
"""The limit of all bodies together, each as often as it is named. A recorded case has a megabyte at most."""


def find_cases(folder: Path) -> list[Path]:
    """The folders of all cases in `folder`, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{CASE_FILE}"))


def read_case(folder: Path) -> Case:
    """The case in `folder`.

    Raises:
        CaseError: where the folder holds no case, or the case contradicts itself.
    """
    return _read(folder)[0]


def _read(folder: Path) -> tuple[Case, set[str]]:
    """The case in `folder`, and the names of its files."""
    file = folder / CASE_FILE
    try:
        table = parse_toml(read_file(file, 4 * MAX_TEXT_CHARACTERS).decode())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CaseError(
            f"{folder} holds no case: there is no {CASE_FILE} in it",
            hint="name a folder that `record` has made",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CaseError(f"{file} cannot be read: {error}", hint="record the case again") from error
    bodies = _BodyReader(folder)
    try:
        return parse_case(table, bodies.read), bodies.names | {CASE_FILE}
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise CaseError(
            f"{file} is no case: {error}", hint="record the case again, or mend the file"
        ) from error


class _BodyReader:
    """Reads the bodies of one case: regular files of its folder, up to a limit for all together."""

    def __init__(self, folder: Path) -> None:
        self.names: set[str] = set()
        self._folder = folder
        self._left_bytes = _MAX_BODIES_BYTES

    def read(self, name: str) -> bytes:
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"{name!r:.60} is no file of the case")
        body = read_file(self._folder / name, self._left_bytes)
        self._left_bytes -= len(body)
        self.names.add(name)
        return body


def write_case(case: Case, folder: Path) -> None:
    """Writes a case to `folder`, in place of the case that may be there.

    Raises:
        CaseError: where the folder holds anything else, or cannot be written.
    """
    check_place(folder)
    try:
        place = find_place(folder)  # "." has no name, and a link stays a link
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        made, aside = beside / "made", beside / "replaced"
        try:
            made.mkdir(0o755)
            for name, data in files_of(case).items():
                (made / name).write_bytes(data)
            _replace(place, made, aside, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            with contextlib.suppress(OSError):
                beside.rmdir()
    except OSError as error:
        raise CaseError(f"{folder} cannot be written: {error}", hint="name another folder") from error


def _replace(place: Path, made: Path, aside: Path, folder: Path) -> None:
    """Moves the folder `made` to its place. The old folder goes aside, and back where that fails."""
    if place.exists():
        place.rename(aside)
    try:
        old = _check_replaceable(aside, folder)  # again, because recording took a while
        made.rename(place)
    except BaseException:
        if aside.exists() and not place.exists():
            aside.rename(place)
        raise
    with contextlib.suppress(OSError):  # the new case is in its place all the same
        for name in old:
            (aside / name).unlink()
        aside.rmdir()


def _check_replaceable(place: Path, folder: Path) -> set[str]:
    """The names of the files of the case in `place`; an empty set where that is empty or missing.

    Raises:
        CaseError: where anything else is in it. The error names `folder`.
        OSError: where it cannot be read.
    """
    try:
        found = set(os.listdir(place))
    except FileNotFoundError:
        found = set()
    except NotADirectoryError:
        found = {""}
    if not found:
        return found
    if CASE_FILE not in found:
        raise CaseError(f"{folder} is there and holds no case; nothing was written", hint="name a new folder")
    try:
        names = _read(place)[1]
    except CaseError as error:
        raise CaseError(
            f"{folder} holds no case that can be read, so it is not replaced: {error.message}",
            hint="name a new folder, or delete that one yourself",
        ) from error
    if others := found - names:
        raise CaseError(
            f"{folder} holds {min(others)!r}, which is no part of its case; nothing was written",
            hint="name a new folder, or move that file",
        )
    return names


def check_place(folder: Path) -> None:
    """Checks that a case can be written to `folder`, as far as possible without writing.

    Raises:
        CaseError: where the folder holds anything but a case, or cannot be made.
    """
    try:
        place = find_place(folder)
        above = next(one for one in place.parents if one.exists())
        is_open = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
        if is_open:
            _check_replaceable(place, folder)
    except OSError as error:
        raise CaseError(
            f"{folder} cannot be written: {error.strerror}", hint="name another folder"
        ) from error
    if not is_open:
        raise CaseError(
            f"{folder} cannot be written: {above} is no folder that may be written to",
            hint="name another folder",
        )
