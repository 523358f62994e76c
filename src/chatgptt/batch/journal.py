"""What became of each row, in an SQLite file beside the output: written before the row's message is sent.

A row is `new`, then `asked`, then it has a line in the output. A batch that was killed leaves rows at
`asked`: their messages may have reached the site. The file holds the messages too. So the memory of a batch
does not grow with its input, and a site's next row is found wherever it stands. The file is locked while a
batch runs. A kill loses nothing of it; a power cut may lose what the disk did not have yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, Self

from chatgptt._errors import Finding, InvalidInputError
from chatgptt.batch.rows import Mistake, Row

State = Literal["new", "asked", "answered", "error", "ambiguous"]

_MOST_SHOWN = 10
"""Mistakes of an input that an error lists."""

_TABLES = (
    "CREATE TABLE rows (number INTEGER PRIMARY KEY, id TEXT UNIQUE, message TEXT, system TEXT, site TEXT,"
    " origin TEXT, bot TEXT, model TEXT, state TEXT DEFAULT 'new', code TEXT DEFAULT '')",
    "CREATE INDEX by_origin ON rows (origin, number)",
    "CREATE INDEX under_way ON rows (number) WHERE state = 'asked'",
    "CREATE TABLE batch (digest TEXT, form TEXT)",
)
_COLUMNS = "number, id, message, system, site, origin, bot, model"


class Journal:
    """The journal of one output, locked until `close`.

    Raises:
        InvalidInputError: where another batch has it, or the file is no journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            self._database = sqlite3.connect(path, timeout=0.0, isolation_level=None)
            try:
                self.is_new = self._lock()
            except BaseException:
                self._database.close()
                raise
        except (OSError, sqlite3.Error) as error:
            is_locked = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            raise InvalidInputError(
                f"cannot use {str(path)!r}: {'another batch is writing it' if is_locked else error}",
                hint="wait for that batch, or name another output",
            ) from error

    def _lock(self) -> bool:
        """Locks the file; whether it holds no batch yet."""
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = NORMAL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("BEGIN EXCLUSIVE")
        found = self._database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batch'").fetchone()
        self._database.execute("COMMIT")
        return bool(found == (0,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()
        if self.is_new:
            self._path.unlink(missing_ok=True)

    # The input

    def take(self, rows: Iterable[Row | Mistake], form: str) -> None:
        """Keeps the rows of a new batch, or sees that a batch that goes on has the same ones.

        Args:
            rows: all of the input's.
            form: the output's.

        Raises:
            InvalidInputError: for an input with mistakes or without rows, and for that of another batch.
        """
        if self.is_new:
            with self._database:
                self._database.execute("BEGIN")
                for table in _TABLES:
                    self._database.execute(table)
                digest = _read_digest(self._insert(rows))
                self._database.execute("INSERT INTO batch VALUES (?, ?)", (digest, form))
            self.is_new = False
            return
        known = self._database.execute("SELECT digest, form FROM batch").fetchone()
        if known != (_read_digest(rows), form):
            raise InvalidInputError(
                f"{str(self._path.with_suffix(''))!r} belongs to another input, or to other options",
                hint="name another output, or remove this one and its .journal",
            )

    def _insert(self, rows: Iterable[Row | Mistake]) -> Iterator[Row | Mistake]:
        insert = f"INSERT INTO rows ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constants
        for row in rows:
            if isinstance(row, Row):
                try:
                    self._database.execute(insert, _as_record(row))
                except sqlite3.IntegrityError:
                    first, _ = self.find(row.id) or (0, "")
                    yield Mistake(number=row.number, why=f"its id {row.id[:80]!r} is that of line {first}")
                    continue
            yield row

    # The states

    def find(self, row_id: str) -> tuple[int, str] | None:
        """The number and the state of the row with an id."""
        found: tuple[int, str] | None = self._database.execute(
            "SELECT number, state FROM rows WHERE id = ?", (row_id,)
        ).fetchone()
        return found

    def set(self, row_id: str, state: State, code: str = "") -> None:
        """Notes what became of a row, with the code of its error."""
        self._database.execute("UPDATE rows SET state = ?, code = ? WHERE id = ?", (state, code, row_id))

    def reopen(self, state: State) -> None:
        """Makes the rows of a state new ones."""
        self._database.execute("UPDATE rows SET state = 'new', code = '' WHERE state = ?", (state,))

    def origins(self) -> list[str]:
        """The origins that have new rows, in the order of their first ones."""
        found = self._database.execute(
            "SELECT origin FROM rows WHERE state = 'new' GROUP BY origin ORDER BY min(number)"
        )
        return [origin for (origin,) in found]

    def next_new(self, origin: str, after: int) -> Row | None:
        """The first new row of an origin behind a number."""
        return self._first("origin = ? AND state = 'new' AND number > ?", origin, after)

    def first_asked(self) -> Row | None:
        """The first row that was asked, and that has not ended."""
        return self._first("state = 'asked'")

    def _first(self, condition: str, *values: object) -> Row | None:
        found = self._database.execute(
            f"SELECT {_COLUMNS} FROM rows WHERE {condition} ORDER BY number LIMIT 1",  # noqa: S608 - constants
            values,
        ).fetchone()
        if found is None:
            return None
        number, row_id, message, system, site, origin, bot, model = found
        return Row(
            number=number,
            id=row_id,
            message=json.loads(message),
            system=system,
            site=site,
            origin=origin,
            bot=bot,
            model=model,
        )

    def counts(self) -> dict[str, int]:
        """The number of rows in each state."""
        return dict(self._database.execute("SELECT state, count(*) FROM rows GROUP BY state"))

    def codes(self) -> dict[str, int]:
        """The number of rows with each error's code, the most frequent first."""
        return dict(
            self._database.execute(
                "SELECT code, count(*) FROM rows WHERE code != '' GROUP BY code ORDER BY count(*) DESC, code"
            )
        )


def _as_record(row: Row) -> tuple[int | str, ...]:
    message = json.dumps(row.message)
    return row.number, row.id, message, row.system, row.site, row.origin, row.bot, row.model


def _read_digest(rows: Iterable[Row | Mistake]) -> str:
    """A digest of all rows.

    Raises:
        InvalidInputError: for mistakes, the first ones as its findings, and where there are no rows.
    """
    digest, count, mistakes, shown = hashlib.sha256(), 0, 0, []
    for row in rows:
        if isinstance(row, Mistake):
            mistakes += 1
            if mistakes <= _MOST_SHOWN:
                shown.append(Finding(rung=f"line {row.number}", saw=row.why))
        else:
            count += 1
            digest.update(json.dumps(_as_record(row)).encode())
    if mistakes:
        raise InvalidInputError(
            f"rows of the input that cannot be asked: {mistakes}; nothing was sent",
            hint="mend the lines and run it again",
            findings=tuple(shown),
        )
    if not count:
        raise InvalidInputError("the input has no rows", hint="give at least one message")
    return digest.hexdigest()
