"""The history of all checks made on this machine, in an SQLite file of the state folder.

A check never fails because of the disk. A damaged file is renamed, a file of a later version is not used, and
a folder that cannot be used is logged once. Writes do not wait until the disk has them, so a power cut may
lose the history. The last check is the one that was added last, since a clock may be set back.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import Level, PluginGeneration, Rung
from chatgptt.health.report import PHASES, HealthReport, PhaseName, Status, Verdict
from chatgptt.health.trends import Check, PastPhase
from chatgptt.net.loops import ThreadLock
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.state.files import is_trusted
from chatgptt.state.folder import UNUSABLE, check_owner

_log = logging.getLogger("chatgptt.store")
_Value = TypeVar("_Value")

FILE_NAME = "health.sqlite3"

MOST = 500_000
"""The number of checks that are kept, regardless of their dates: after a jump of the clock all earlier ones
would be too old. It is some 250 MB: four pages, checked every five minutes for more than a year.
"""

_RUNGS: tuple[Rung, ...] = get_args(Rung)
_PROTOCOLS: tuple[PluginGeneration, ...] = get_args(PluginGeneration)
_LEVELS: tuple[Level, ...] = get_args(Level)
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_STATUSES: tuple[Status, ...] = get_args(Status)

_FORMAT = 2
_PATIENCE = 10.0
"""Seconds to wait for other writers, each of which takes some milliseconds."""
_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS checks (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    checked_at REAL NOT NULL,
    level TEXT NOT NULL,
    bot TEXT NOT NULL DEFAULT '',
    verdict TEXT NOT NULL,
    code TEXT,
    summary TEXT NOT NULL,
    elapsed REAL NOT NULL,
    protocol TEXT,
    rung TEXT,
    certificate_expires_at REAL,
    phases TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS checks_by_site ON checks (site, checked_at);
CREATE INDEX IF NOT EXISTS checks_by_time ON checks (checked_at);
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
_UPGRADE = (
    "ALTER TABLE checks ADD COLUMN bot TEXT NOT NULL DEFAULT ''",
    f"PRAGMA user_version = {_FORMAT}",
)
_UNUSABLE = "the history of checks %s cannot be used, working on without it: %s"
_AS_UPGRADED = "CREATE TEMP VIEW checks AS SELECT *, '' AS bot FROM main.checks"
"""Reads a file of the first format, which has no bots, without changing it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What earlier checks found: the last rung without a browser, and the last protocol."""

    static_rung: Rung | None = None
    protocol: PluginGeneration | None = None


class History:
    """The checks of a state folder. Its methods block. None raises an error of the disk.

    Args:
        folder: the state folder; None remembers nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE_NAME if folder is not None else None

    def add(self, reports: Iterable[HealthReport]) -> None:
        """Appends reports, and drops the first ones beyond `MOST`."""
        rows = [_as_row(report) for report in reports]

        def insert(database: sqlite3.Connection) -> None:
            database.executemany(f"INSERT INTO checks ({_COLUMNS}) VALUES ({_MARKS})", rows)  # noqa: S608 - constants
            database.execute("DELETE FROM checks WHERE id <= (SELECT max(id) FROM checks) - ?", (MOST,))

        if rows:
            self._use(insert, None, is_writing=True)

    def recall(self, site: str, since: float, bot: str = "") -> Remembered:
        """What earlier checks of a page found. The rung is of this bot, and of checks since a Unix time."""
        static = "site = ? AND bot = ? AND checked_at >= ? AND rung IN ('html', 'script', 'endpoint')"

        def ask(database: sqlite3.Connection) -> Remembered:
            return Remembered(
                static_rung=_one_of(_RUNGS, _newest(database, "rung", static, site, bot, since)),
                protocol=_one_of(
                    _PROTOCOLS, _newest(database, "protocol", "site = ? AND protocol IS NOT NULL", site)
                ),
            )

        return self._use(ask, Remembered())

    def is_working(self, url: str) -> bool:
        """Whether the last full check of a page at or below `url` found it working; False before any.

        A check that failed on this machine does not count.
        """
        try:
            base = without_credentials(page_url(url)).rstrip("/")
        except InvalidInputError:
            return False
        where = (
            "(site = ?1 OR substr(site, 1, length(?1) + 1) = ?1 || '/')"
            " AND level = 'full' AND verdict <> 'unknown'"
        )
        verdict = self._use(lambda database: _newest(database, "verdict", where, base), None)
        return verdict in ("ok", "warning")

    def failures_in_a_row(self, site: str, level: Level, bot: str = "") -> int:
        """How often checks of this level and bot found the page critical since one last did not.

        What is unknown does not count, nor do other levels: a page may have its tokens and still not answer.
        """

        def count(database: sqlite3.Connection) -> int:
            failures = 0
            for (verdict,) in database.execute(
                "SELECT verdict FROM checks WHERE site = ? AND level = ? AND bot = ? AND verdict <> 'unknown'"
                " ORDER BY id DESC LIMIT 1000",
                (site, level, bot),
            ):
                if verdict != "critical":
                    break
                failures += 1
            return failures

        return self._use(count, 0)

    def sites(self) -> list[str]:
        """All pages that were ever checked."""

        def ask(database: sqlite3.Connection) -> list[str]:
            return [
                str(site) for (site,) in database.execute("SELECT DISTINCT site FROM checks ORDER BY site")
            ]

        return self._use(ask, [])

    def latest(self, site: str, bot: str = "") -> Check | None:
        """The last check of a bot's page, None before any."""

        def ask(database: sqlite3.Connection) -> Check | None:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM checks WHERE site = ? AND bot = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - constants
                (site, bot),
            ).fetchone()
            return None if row is None else _as_check(row)

        return self._use(ask, None)

    def read(self, site: str, since: float, until: float = math.inf) -> list[Check]:
        """The checks of a page from `since` to `until` (Unix times), oldest first."""

        def ask(database: sqlite3.Connection) -> list[Check]:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM checks WHERE site = ? AND checked_at BETWEEN ? AND ?"  # noqa: S608 - constants
                " ORDER BY checked_at, id",
                (site, since, until),
            )
            return [check for check in map(_as_check, rows) if check is not None]

        return self._use(ask, [])

    def _use(
        self, work: Callable[[sqlite3.Connection], _Value], otherwise: _Value, *, is_writing: bool = False
    ) -> _Value:
        path = self._path
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
                with _opened(path, is_writing=is_writing) as database:
                    return otherwise if database is None else work(database)
            except sqlite3.Error as error:
                is_damaged = "malformed" in str(error) or "not a database" in str(error)
                if is_damaged and _put_aside(path):
                    continue
                _log.warning(_UNUSABLE, path, error)
            except _NotOurs as error:
                _log.warning(_UNUSABLE, path, error)
            except OSError as error:
                _log.warning(UNUSABLE, path.parent, error.strerror or error)
            break
        self._path = None
        return otherwise


class _NotOurs(Exception):
    """A file that is neither read nor written. The message says why."""


@contextlib.contextmanager
def _opened(path: Path, *, is_writing: bool) -> Iterator[sqlite3.Connection | None]:
    """The database in one transaction; None where it is still empty.

    A reader opens it read-only, since the folder may be.
    """
    mode = "rw" if is_writing else "ro"
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", timeout=_PATIENCE, uri=True)
    database.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        (number,) = database.execute("PRAGMA user_version").fetchone()
        if number > _FORMAT:
            raise _NotOurs("it was written by a later version, and is left alone")
        if number == 0 and not is_writing:
            yield None
            return
        database.execute("PRAGMA synchronous = OFF")
        if number == 0:
            database.executescript(_SCHEMA)
        elif number < _FORMAT:
            _upgrade(database, is_writing=is_writing)
        with database:
            yield database
    finally:
        database.close()


def _upgrade(database: sqlite3.Connection, *, is_writing: bool) -> None:
    if not is_writing:
        database.execute(_AS_UPGRADED)
        return
    database.execute("BEGIN IMMEDIATE")
    (number,) = database.execute("PRAGMA user_version").fetchone()
    if number < _FORMAT:  # else another process was faster
        for statement in _UPGRADE:
            database.execute(statement)
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
        raise _NotOurs("it is no file")
    if not is_trusted(found.st_uid):
        raise _NotOurs("it belongs to somebody else")


def _put_aside(path: Path) -> bool:
    aside = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, aside)
        # SQLite would apply the journal of the damaged file to the new one.
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
    except OSError:
        return False
    _log.warning("the history of checks was damaged; it is now %s, and a new one begins", aside)
    return True


_COLUMNS = (
    "site, checked_at, level, bot, verdict, code, summary, elapsed, protocol, rung, certificate_expires_at, "
    "phases"
)
_MARKS = ", ".join("?" * 12)

_Row = tuple[str, float, str, str, str, str | None, str, float, str | None, str | None, float | None, str]


def _as_row(report: HealthReport) -> _Row:
    phases = {phase.name: [phase.status, phase.elapsed] for phase in report.phases if phase.status != "skip"}
    return (
        report.site,
        report.checked_at,
        report.level,
        _storable(report.bot),
        report.verdict,
        report.code,
        _storable(report.summary[:1000]),
        report.elapsed,
        report.protocol,
        report.rung,
        report.certificate_expires_at,
        json.dumps(phases, separators=(",", ":")),
    )


def _storable(text: str) -> str:
    """A site's words may hold lone surrogates, which a database cannot."""
    return text.encode("utf-8", "replace").decode()


def _as_check(row: Sequence[object]) -> Check | None:
    """A row as it was written; None for anything else."""
    site, checked_at, level, bot, verdict, code, summary, elapsed, protocol, rung, _, phases = row
    known_level, known_verdict = _one_of(_LEVELS, level), _one_of(_VERDICTS, verdict)
    if not isinstance(checked_at, float) or known_level is None or known_verdict is None:
        return None
    return Check(
        site=str(site),
        checked_at=checked_at,
        level=known_level,
        bot=str(bot),
        verdict=known_verdict,
        code=str(code or ""),
        summary=str(summary),
        elapsed=elapsed if isinstance(elapsed, float) else 0.0,
        protocol=_one_of(_PROTOCOLS, protocol),
        rung=_one_of(_RUNGS, rung),
        phases=_read_phases(phases),
    )


def _read_phases(text: object) -> dict[PhaseName, PastPhase]:
    try:
        found = json.loads(str(text))
    except ValueError:
        return {}
    phases: dict[PhaseName, PastPhase] = {}
    for name, pair in found.items() if isinstance(found, dict) else ():
        known = _one_of(PHASES, name)
        if known is not None and isinstance(pair, list) and len(pair) == 2:
            status: Status | None = _one_of(_STATUSES, pair[0])
            elapsed = float(pair[1]) if isinstance(pair[1], int | float) else None
            if status is not None:
                phases[known] = PastPhase(status=status, elapsed=elapsed)
    return phases


def _newest(database: sqlite3.Connection, column: str, where: str, *values: str | float) -> object:
    row = database.execute(
        f"SELECT {column} FROM checks WHERE {where} ORDER BY id DESC LIMIT 1",  # noqa: S608 - constants
        values,
    ).fetchone()
    return None if row is None else row[0]


def _one_of(names: tuple[_Value, ...], value: object) -> _Value | None:
    return next((name for name in names if name == value), None)
