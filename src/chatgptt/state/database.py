"""An SQLite file of the state folder, for its owner alone.

No work fails because of the disk. A damaged file is renamed, a file of a later version is not used, and a
folder that cannot be used is logged once. Writes do not wait until the disk has them, so a power cut may lose
the file.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from chatgptt._errors import InvalidInputError
from chatgptt.net.loops import ThreadLock
from chatgptt.state.files import is_trusted
from chatgptt.state.folder import UNUSABLE, NotOursError, check_owner

_log = logging.getLogger("chatgptt.store")
_Value = TypeVar("_Value")

_PATIENCE = 10.0
"""Seconds to wait for other writers, each of which takes some milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What such a file holds.

    Attributes:
        name: what it is called in warnings, such as `the history of checks`.
        version: the file's `user_version`, from 1 on.
        tables: the statements that make its tables.
        upgrade: the statement that makes version 2 of version 1, that for version 3, and so on.
        as_upgraded: the statement that shows a reader version 1 as this one, that for version 2, and so on.
    """

    name: str
    version: int
    tables: str
    upgrade: tuple[str, ...] = ()
    as_upgraded: tuple[str, ...] = ()


class Database:
    """A file that is opened for each piece of work. It blocks, and raises no error of the disk.

    Args:
        path: the file; None keeps nothing.
        schema: what it holds.
        is_needed: whether the work cannot go on without it; then a file that cannot be used is an error.
    """

    def __init__(self, path: Path | None, schema: Schema, *, is_needed: bool = False) -> None:
        self._path = path
        self._schema = schema
        self._is_needed = is_needed

    def use(
        self, work: Callable[[sqlite3.Connection], _Value], otherwise: _Value, *, is_writing: bool = False
    ) -> _Value:
        """The result of `work` in one transaction; `otherwise`, where there is no file that can be used.

        Raises:
            InvalidInputError: where it cannot be used, and is needed.
        """
        path, name = self._path, self._schema.name
        if path is None:
            return otherwise
        for _ in range(2):
            try:
                if not is_writing and not os.path.lexists(path):
                    return otherwise
                check_owner(path.parent)
                if is_writing:
                    _create(path)
                _check_file(path)
                with _opened(path, self._schema, is_writing=is_writing) as database:
                    return otherwise if database is None else work(database)
            except (sqlite3.Error, NotOursError) as error:
                is_damaged = "malformed" in str(error) or "not a database" in str(error)
                if is_damaged and _put_aside(path, name):
                    continue
                self._give_up(error, "%s %s cannot be used, working on without it: %s", name, path, error)
            except OSError as error:
                why = error.strerror or error
                self._give_up(why, UNUSABLE, path.parent, why)
            break
        self._path = None
        return otherwise

    def _give_up(self, why: object, warning: str, *about: object) -> None:
        if self._is_needed:
            raise InvalidInputError(
                f"{self._schema.name} {str(self._path)!r} cannot be used: {why}",
                hint="mend that, or name another folder with CHATGPTT_STATE_DIR",
            )
        _log.warning(warning, *about)

    def remove_damaged(self) -> None:
        """Removes the file that was damaged and renamed, if there is one."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                _aside(self._path).unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path, schema: Schema, *, is_writing: bool) -> Iterator[sqlite3.Connection | None]:
    """The database in one transaction; None where it is still empty.

    A reader opens it read-only, since the folder may be.
    """
    mode = "rw" if is_writing else "ro"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=_PATIENCE, uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        (number,) = database.execute("PRAGMA user_version").fetchone()
        if number > schema.version:
            raise NotOursError("it was written by a later version, and is left alone")
        if number == 0 and not is_writing:
            yield None
            return
        database.execute("PRAGMA synchronous = OFF")
        if number == 0:
            version = f"PRAGMA user_version = {schema.version};"
            database.executescript(f"BEGIN IMMEDIATE;{schema.tables}{version}COMMIT;")
        elif number < schema.version:
            _upgrade(database, schema, number, is_writing=is_writing)
        with database:
            yield database
    finally:
        database.close()


def _upgrade(database: sqlite3.Connection, schema: Schema, number: int, *, is_writing: bool) -> None:
    if not is_writing:
        database.execute(schema.as_upgraded[number - 1])
        return
    database.execute("BEGIN IMMEDIATE")
    (number,) = database.execute("PRAGMA user_version").fetchone()
    for statement in schema.upgrade[number - 1 :]:  # none where another process was faster
        database.execute(statement)
    database.execute(f"PRAGMA user_version = {schema.version}")
    database.commit()


_creating = ThreadLock()


def _create(path: Path) -> None:
    """Creates the file, for its owner alone, if there is none.

    An existing one is never opened here: closing it would drop all locks that this process holds on it, other
    threads' too, and another process would write in between (sqlite.org/howtocorrupt.html, section 2.2).
    """
    with _creating:
        if not os.path.lexists(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # another process was faster
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _check_file(path: Path) -> None:
    """Refuses a link, a pipe or device, and a file of another user."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise NotOursError("it is no file")
    if not is_trusted(found.st_uid):
        raise NotOursError("it belongs to another user")


def _aside(path: Path) -> Path:
    return path.with_name(f"{path.name}.damaged")


def _put_aside(path: Path, name: str) -> bool:
    aside = _aside(path)
    try:
        os.replace(path, aside)
        # SQLite would apply the journal of the damaged file to the new one.
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    except OSError:
        return False
    _log.warning("%s was damaged; it is now %s, and a new one begins", name, aside)
    return True


def storable(text: str) -> str:
    """A site's words may hold lone surrogates, which a database cannot."""
    return text.encode("utf-8", "replace").decode()
