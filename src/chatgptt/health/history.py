"""The history of all checks made on this machine, in an SQLite file of the state folder.

A check never fails because of the disk. The last check is the one that was added last: clocks are set back.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import Level, PluginGeneration, Rung
from chatgptt.health.report import PHASES, HealthReport, PhaseName, Status, Verdict
from chatgptt.health.trends import Check, PastPhase
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.state.database import Database, Schema, storable

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

_SCHEMA = Schema(
    name="the history of checks",
    version=3,
    tables="""
CREATE TABLE IF NOT EXISTS checks (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    checked_at REAL NOT NULL,
    level TEXT NOT NULL,
    bot TEXT NOT NULL DEFAULT '',
    verdict TEXT NOT NULL,
    code TEXT,
    summary TEXT NOT NULL,
    hint TEXT NOT NULL DEFAULT '',
    elapsed REAL NOT NULL,
    protocol TEXT,
    rung TEXT,
    certificate_expires_at REAL,
    phases TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS checks_by_site ON checks (site, checked_at);
CREATE INDEX IF NOT EXISTS checks_by_time ON checks (checked_at);
""",
    upgrade=(
        "ALTER TABLE checks ADD COLUMN bot TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE checks ADD COLUMN hint TEXT NOT NULL DEFAULT ''",
    ),
    as_upgraded=(
        "CREATE TEMP VIEW checks AS SELECT *, '' AS bot, '' AS hint FROM main.checks",
        "CREATE TEMP VIEW checks AS SELECT *, '' AS hint FROM main.checks",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What earlier checks found: the last rung without a browser, and the last protocol."""

    static_rung: Rung | None = None
    protocol: PluginGeneration | None = None


class History:
    """The checks of a state folder; without a folder nothing is remembered.

    Its methods block. None raises an error of the disk.
    """

    def __init__(self, folder: Path | None) -> None:
        self._database = Database(folder / FILE_NAME if folder is not None else None, _SCHEMA)

    def add(self, reports: Iterable[HealthReport]) -> None:
        """Appends reports, and drops the first ones beyond `MOST`."""
        rows = [_as_row(report) for report in reports]

        def insert(database: sqlite3.Connection) -> None:
            database.executemany(f"INSERT INTO checks ({_COLUMNS}) VALUES ({_MARKS})", rows)  # noqa: S608 - constants
            database.execute("DELETE FROM checks WHERE id <= (SELECT max(id) FROM checks) - ?", (MOST,))

        if rows:
            self._database.use(insert, None, is_writing=True)

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

        return self._database.use(ask, Remembered())

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
        verdict = self._database.use(lambda database: _newest(database, "verdict", where, base), None)
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

        return self._database.use(count, 0)

    def sites(self) -> list[str]:
        """All pages that were ever checked."""

        def ask(database: sqlite3.Connection) -> list[str]:
            return [
                str(site) for (site,) in database.execute("SELECT DISTINCT site FROM checks ORDER BY site")
            ]

        return self._database.use(ask, [])

    def latest(self, site: str, bot: str = "") -> Check | None:
        """The last check of a bot's page, None before any."""

        def ask(database: sqlite3.Connection) -> Check | None:
            row = database.execute(
                f"SELECT {_COLUMNS} FROM checks WHERE site = ? AND bot = ? ORDER BY id DESC LIMIT 1",  # noqa: S608 - constants
                (site, bot),
            ).fetchone()
            return None if row is None else _as_check(row)

        return self._database.use(ask, None)

    def read(self, site: str, since: float, until: float = math.inf) -> list[Check]:
        """The checks of a page from `since` to `until` (Unix times), oldest first."""

        def ask(database: sqlite3.Connection) -> list[Check]:
            rows = database.execute(
                f"SELECT {_COLUMNS} FROM checks WHERE site = ? AND checked_at BETWEEN ? AND ?"  # noqa: S608 - constants
                " ORDER BY checked_at, id",
                (site, since, until),
            )
            return [check for check in map(_as_check, rows) if check is not None]

        return self._database.use(ask, [])


_COLUMNS = (
    "site, checked_at, level, bot, verdict, code, summary, hint, elapsed, protocol, rung, "
    "certificate_expires_at, phases"
)
_MARKS = ", ".join("?" * 13)

_Row = tuple[
    str, float, str, str, str, str | None, str, str, float, str | None, str | None, float | None, str
]


def _as_row(report: HealthReport) -> _Row:
    phases = {phase.name: [phase.status, phase.elapsed] for phase in report.phases if phase.status != "skip"}
    return (
        report.site,
        report.checked_at,
        report.level,
        storable(report.bot),
        report.verdict,
        report.code,
        storable(report.summary[:1000]),
        storable(report.hint[:1000]),
        report.elapsed,
        report.protocol,
        report.rung,
        report.certificate_expires_at,
        json.dumps(phases, separators=(",", ":")),
    )


def _as_check(row: Sequence[object]) -> Check | None:
    """A row as it was written; None for anything else."""
    site, checked_at, level, bot, verdict, code, summary, hint, elapsed, protocol, rung, _, phases = row
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
        hint=str(hint),
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
