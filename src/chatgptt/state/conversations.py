"""The conversations that were held at a terminal, in an SQLite file of the state folder.

They hold what was said, to which page, and when: no nonce, no cookie, no visitor id. A conversation belongs
to its page, so a program that goes on with one has to ask that page.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from chatgptt.state.database import Database, Schema, storable
from chatgptt.state.transcript import Exchange, Transcript

FILE_NAME = "conversations.sqlite3"

_SCHEMA = Schema(
    name="the log of conversations",
    version=1,
    tables="""
CREATE TABLE IF NOT EXISTS conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    page TEXT NOT NULL,
    name TEXT NOT NULL,
    bot TEXT NOT NULL,
    system TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS exchanges (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL,
    message TEXT NOT NULL,
    answer TEXT NOT NULL,
    asked_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS exchanges_by_conversation ON exchanges (conversation);
""",
)


class Conversations:
    """The conversations of a state folder. Its methods block. None raises an error of the disk.

    Args:
        folder: the state folder; None keeps nothing.
        is_needed: whether a file that cannot be used is an InvalidInputError of each method.
    """

    def __init__(self, folder: Path | None, *, is_needed: bool = False) -> None:
        path = folder / FILE_NAME if folder is not None else None
        self._database = Database(path, _SCHEMA, is_needed=is_needed)

    def keep(self, transcript: Transcript, *, replaces_last: bool = False) -> Transcript:
        """Keeps the last exchange, of a new conversation all of them; the transcript with its id.

        Args:
            transcript: the conversation.
            replaces_last: whether the last exchange takes the place of the one that is kept as the last.
        """

        def write(database: sqlite3.Connection) -> Transcript:
            number, new = _find(database, transcript.id), transcript.exchanges[-1:]
            if number is None:  # new, or removed meanwhile
                number, new = _begin(database, transcript), transcript.exchanges
            elif replaces_last:
                database.execute(_DELETE_LAST, (number,))
            database.execute(
                "UPDATE conversations SET system = ? WHERE id = ?", (storable(transcript.system), number)
            )
            database.executemany(
                "INSERT INTO exchanges (conversation, message, answer, asked_at) VALUES (?, ?, ?, ?)",
                [(number, storable(said.message), storable(said.answer), said.asked_at) for said in new],
            )
            return transcript._replace(id=number)

        return self._database.use(write, transcript, is_writing=True)

    def latest(self, page: str = "", bot: str = "") -> Transcript | None:
        """The conversation with the last message, of a page or bot if one is given; None before any."""
        recent = self.recent(1, page=page, bot=bot)
        return recent[0] if recent else None

    def recent(self, most: int, *, containing: str = "", page: str = "", bot: str = "") -> list[Transcript]:
        """The conversations with the last messages, the newest first.

        Args:
            most: how many at most.
            containing: what a message or an answer of them has to hold, in upper or lower case.
            page: the page they were held with, "" for any.
            bot: the bot that was asked for, "" for any.
        """

        def read(database: sqlite3.Connection) -> list[Transcript]:
            numbers = database.execute(
                "SELECT conversation FROM exchanges GROUP BY conversation ORDER BY max(id) DESC"
            )
            found = (_read(database, number) for (number,) in numbers)
            wanted = (
                transcript
                for transcript in found
                if transcript is not None
                and page in ("", transcript.page)
                and bot in ("", transcript.bot)
                and _holds(transcript, containing.casefold())
            )
            return list(islice(wanted, most))

        return self._database.use(read, [])

    def read(self, number: int) -> Transcript | None:
        """A conversation by its id; None where there is none."""
        return self._database.use(lambda database: _read(database, number), None)

    def remove(self, numbers: Sequence[int] | None) -> int:
        """Removes conversations by their ids, None all of them; how many there were.

        What they held is overwritten in the file. With all of them, a copy of a damaged file goes too.
        """

        def write(database: sqlite3.Connection) -> int:
            database.execute("PRAGMA secure_delete = ON")
            count = 0
            for number in _read_numbers(database) if numbers is None else numbers:
                database.execute("DELETE FROM exchanges WHERE conversation = ?", (number,))
                count += database.execute("DELETE FROM conversations WHERE id = ?", (number,)).rowcount
            return count

        if numbers is None:
            self._database.remove_damaged()
        return self._database.use(write, 0, is_writing=True)


_MOST_ID = 2**63 - 1
"""SQLite takes no larger number."""

_DELETE_LAST = """
DELETE FROM exchanges WHERE id = (SELECT max(id) FROM exchanges WHERE conversation = ?)
"""


def _read_numbers(database: sqlite3.Connection) -> list[int]:
    return [number for (number,) in database.execute("SELECT id FROM conversations")]


def _find(database: sqlite3.Connection, number: int | None) -> int | None:
    row = database.execute("SELECT id FROM conversations WHERE id = ?", (number,)).fetchone()
    return None if row is None else number


def _begin(database: sqlite3.Connection, transcript: Transcript) -> int | None:
    about = (transcript.page, transcript.name, transcript.bot, transcript.system)
    return database.execute(
        "INSERT INTO conversations (page, name, bot, system) VALUES (?, ?, ?, ?)", tuple(map(storable, about))
    ).lastrowid


def _read(database: sqlite3.Connection, number: int) -> Transcript | None:
    row = database.execute(
        "SELECT page, name, bot, system FROM conversations WHERE id = ?", (min(number, _MOST_ID),)
    ).fetchone()
    if row is None:
        return None
    page, name, bot, system = map(str, row)
    said = database.execute(
        "SELECT message, answer, asked_at FROM exchanges WHERE conversation = ? ORDER BY id", (number,)
    )
    exchanges = tuple(
        Exchange(message=str(message), answer=str(answer), asked_at=float(asked_at))
        for message, answer, asked_at in said
    )
    return Transcript(id=number, page=page, name=name, bot=bot, system=system, exchanges=exchanges)


def _holds(transcript: Transcript, words: str) -> bool:
    texts = (text for said in transcript.exchanges for text in (said.message, said.answer))
    return not words or any(words in text.casefold() for text in texts)
