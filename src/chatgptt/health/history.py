"""The history of all checks made on this machine, in an SQLite file of the state folder.

A check never fails because of the disk. The last check is the one that was added last: clocks are set back.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import Level, PluginGeneration, Rung
from chatgptt.health.report import PHASES, HealthReport, Phase, PhaseName, Status, Verdict
from chatgptt.health.trends import Check
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
            columns, values = ", ".join(rows[0]), ", ".join(f":{column}" for column in rows[0])
            database.executemany(f"INSERT INTO checks ({columns}) VALUES ({values})", rows)  # noqa: S608 - constants
            database.execute("DELETE FROM checks WHERE id <= (SELECT max(id) FROM checks) - ?", (MOST,))

        if rows:
            self._database.use(insert, None, is_writing=True)

    def recall(self, site: str, since: float, bot: str = "") -> Remembered:
        """What earlier checks of a page found. The rung is of this bot, and of checks since a Unix time."""
        static = "site = ? AND bot = ? AND checked_at >= ? AND rung IN ('html', 'script', 'endpoint')"
        by_rung = self._newest(static, site, bot, since)
        of_protocol = self._newest("site = ? AND protocol IS NOT NULL", site)
        return Remembered(
            static_rung=by_rung.rung if by_rung is not None else None,
            protocol=of_protocol.protocol if of_protocol is not None else None,
        )

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
        check = self._newest(where, base)
        return check is not None and check.verdict in ("ok", "warning")

    def failures_in_a_row(self, site: str, level: Level, bot: str = "") -> int:
        """How often checks of this level and bot found the page critical since one last did not.

        What is unknown does not count, nor do other levels: a page may have its tokens and still not answer.
        """
        same = "SELECT {} FROM checks WHERE site = ?1 AND level = ?2 AND bot = ?3 AND verdict"
        worked = f"{same.format('ifnull(max(id), 0)')} IN ('ok', 'warning')"
        failures = f"{same.format('count(*)')} = 'critical' AND id > ({worked})"

        def count(database: sqlite3.Connection) -> int:
            return int(database.execute(failures, (site, level, bot)).fetchone()[0])

        return self._database.use(count, 0)

    def sites(self) -> list[str]:
        """All pages that were ever checked."""
        query = "SELECT DISTINCT site FROM checks ORDER BY site"
        return self._database.use(lambda database: [str(site) for (site,) in database.execute(query)], [])

    def latest(self, site: str, bot: str = "") -> Check | None:
        """The last check of a bot's page, None before any."""
        return self._newest("site = ? AND bot = ?", site, bot)

    def read(self, site: str, since: float, until: float = math.inf) -> list[Check]:
        """The checks of a page from `since` to `until` (Unix times), oldest first."""
        return self._find(
            "site = ? AND checked_at BETWEEN ? AND ? ORDER BY checked_at, id", site, since, until
        )

    def _newest(self, where: str, *values: str | float) -> Check | None:
        return next(iter(self._find(f"{where} ORDER BY id DESC LIMIT 1", *values)), None)

    def _find(self, where: str, *values: str | float) -> list[Check]:
        def ask(database: sqlite3.Connection) -> list[Check]:
            database.row_factory = sqlite3.Row
            rows = database.execute(f"SELECT * FROM checks WHERE {where}", values)  # noqa: S608 - constants
            return [check for check in map(_as_check, rows) if check is not None]

        return self._database.use(ask, [])


def _as_row(report: HealthReport) -> dict[str, str | float | None]:
    """The columns with their values."""
    phases = {phase.name: [phase.status, phase.elapsed] for phase in report.phases if phase.status != "skip"}
    return {
        "site": report.site,
        "checked_at": report.checked_at,
        "level": report.level,
        "bot": storable(report.bot),
        "verdict": report.verdict,
        "code": report.code,
        "summary": storable(report.summary[:1000]),
        "hint": storable(report.hint[:1000]),
        "elapsed": report.elapsed,
        "protocol": report.protocol,
        "rung": report.rung,
        "certificate_expires_at": report.certificate_expires_at,
        "phases": json.dumps(phases, separators=(",", ":")),
    }


def _as_check(row: sqlite3.Row) -> Check | None:
    """A row as it was written; None for anything else."""
    checked_at, elapsed = row["checked_at"], row["elapsed"]
    level, verdict = _one_of(_LEVELS, row["level"]), _one_of(_VERDICTS, row["verdict"])
    if not isinstance(checked_at, float) or level is None or verdict is None:
        return None
    return Check(
        site=str(row["site"]),
        checked_at=checked_at,
        level=level,
        bot=str(row["bot"]),
        verdict=verdict,
        code=str(row["code"] or ""),
        summary=str(row["summary"]),
        hint=str(row["hint"]),
        elapsed=elapsed if isinstance(elapsed, float) else 0.0,
        protocol=_one_of(_PROTOCOLS, row["protocol"]),
        rung=_one_of(_RUNGS, row["rung"]),
        phases=_read_phases(str(row["phases"])),
    )


def _read_phases(text: str) -> dict[PhaseName, Phase]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    phases: dict[PhaseName, Phase] = {}
    for key, pair in found.items() if isinstance(found, dict) else ():
        name = _one_of(PHASES, key)
        status, elapsed = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        known = _one_of(_STATUSES, status)
        if name is not None and known is not None:
            elapsed = float(elapsed) if isinstance(elapsed, int | float) else None
            phases[name] = Phase(name=name, status=known, elapsed=elapsed)
    return phases


def _one_of(names: tuple[_Value, ...], value: object) -> _Value | None:
    return next((name for name in names if name == value), None)
