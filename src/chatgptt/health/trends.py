"""Trends of many checks of a page: availability, times, incidents and changes. No I/O, no clock.

A trend holds checks of one level and one bot. Checks of another level or bot take another time and fail for
other reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from typing import Literal, get_args

from chatgptt._models import Level, PluginGeneration, Rung
from chatgptt.health.report import PHASES, Phase, PhaseName, Verdict, iso

Names = Mapping[tuple[str, str], str]
"""The names of sites, by page and bot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """An earlier check, as the history keeps it: its phases are those that were reached, without words."""

    site: str
    checked_at: float
    level: Level
    bot: str
    verdict: Verdict
    code: str
    summary: str
    hint: str
    elapsed: float
    protocol: PluginGeneration | None
    rung: Rung | None
    phases: Mapping[PhaseName, Phase]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseTimes:
    """How long a phase takes where it passes, in seconds."""

    name: PhaseName
    checks: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """A time in which every check was critical, unknown ones aside.

    Unix times; `ended_at` is None while it lasts.
    """

    began_at: float
    ended_at: float | None
    checks: int
    code: str
    summary: str


_Changing = Literal["protocol", "rung"]
_CHANGING: tuple[_Changing, ...] = get_args(_Changing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The page speaks another protocol, or its tokens come another way."""

    at: float
    what: _Changing
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The checks of one page, all of one level and for one bot.

    Attributes:
        name: of a named site with this page and bot, None where there is none.
        bot: the one that was asked for, "" for the page's own choice.
        availability: the share of checks that found it working, unknown ones aside; None where all are
            unknown.
        median: seconds of a check that found it working, and `p95` their 95th percentile.
    """

    site: str
    level: Level
    bot: str
    checks: int
    since: float
    until: float
    verdict: Verdict
    availability: float | None
    median: float | None
    p95: float | None
    phases: tuple[PhaseTimes, ...]
    incidents: tuple[Incident, ...]
    changes: tuple[Change, ...]
    name: str | None = None

    @property
    def scope(self) -> str:
        """What was checked of the page, for people."""
        return f"level {self.level}" + (f", bot {self.bot}" if self.bot else "")

    def as_dict(self) -> dict[str, object]:
        """The trend as `--history --json` prints it."""
        return {
            "site": self.site,
            "name": self.name,
            "level": self.level,
            "bot": self.bot,
            "checks": self.checks,
            "since": iso(self.since),
            "until": iso(self.until),
            "verdict": self.verdict,
            "availability": None if self.availability is None else round(self.availability, 6),
            "median_s": _rounded(self.median),
            "p95_s": _rounded(self.p95),
            "phases": [
                {
                    "name": times.name,
                    "checks": times.checks,
                    "median_s": _rounded(times.median),
                    "p95_s": _rounded(times.p95),
                }
                for times in self.phases
            ],
            "incidents": [
                {
                    "began_at": iso(incident.began_at),
                    "ended_at": None if incident.ended_at is None else iso(incident.ended_at),
                    "checks": incident.checks,
                    "code": incident.code,
                    "summary": incident.summary,
                }
                for incident in self.incidents
            ],
            "changes": [
                {"at": iso(change.at), "what": change.what, "before": change.before, "after": change.after}
                for change in self.changes
            ],
        }


def group_by_scope(checks: Sequence[Check]) -> list[list[Check]]:
    """The checks of one page in a list for each level and bot, the deepest level first."""
    found: dict[tuple[Level, str], list[Check]] = {}
    for check in checks:
        found.setdefault((check.level, check.bot), []).append(check)
    return [found[key] for key in sorted(found, key=lambda key: (-_DEPTH.index(key[0]), key[1]))]


def current_trends(trends: Sequence[Trend]) -> list[Trend]:
    """The trends that no later check replaces: one of the same page and bot that went as far or further."""
    return [
        trend
        for trend in trends
        if not any(
            (other.site, other.bot) == (trend.site, trend.bot)
            and other.until > trend.until
            and _DEPTH.index(other.level) >= _DEPTH.index(trend.level)
            for other in trends
        )
    ]


_DEPTH: tuple[Level, ...] = get_args(Level)


def read_trend(checks: Sequence[Check], names: Names | None = None) -> Trend:
    """The trend of checks of one page, level and bot: at least one, oldest first."""
    conclusive = [check for check in checks if check.verdict != "unknown"]
    worked = [check for check in conclusive if check.verdict != "critical"]
    times = [check.elapsed for check in worked]
    return Trend(
        site=checks[0].site,
        level=checks[0].level,
        bot=checks[0].bot,
        checks=len(checks),
        since=checks[0].checked_at,
        until=checks[-1].checked_at,
        verdict=checks[-1].verdict,
        availability=len(worked) / len(conclusive) if conclusive else None,
        median=percentile(times, 0.5) if times else None,
        p95=percentile(times, 0.95) if times else None,
        phases=tuple(_phase_times(checks)),
        incidents=tuple(_incidents(conclusive)),
        changes=tuple(_changes(checks)),
        name=(names or {}).get((checks[0].site, checks[0].bot)),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated; 0.5 is the median.

    There has to be at least one value.
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _phase_times(checks: Sequence[Check]) -> Iterator[PhaseTimes]:
    for name in PHASES:
        phases = [check.phases[name] for check in checks if name in check.phases]
        times = [phase.elapsed for phase in phases if phase.elapsed is not None and phase.status != "fail"]
        if times:
            median, p95 = percentile(times, 0.5), percentile(times, 0.95)
            yield PhaseTimes(name=name, checks=len(times), median=median, p95=p95)


def _incidents(checks: Sequence[Check]) -> Iterator[Incident]:
    runs = [list(run) for _, run in groupby(checks, key=lambda check: check.verdict == "critical")]
    for run, after in zip_longest(runs, runs[1:]):
        if run[0].verdict == "critical":
            yield Incident(
                began_at=run[0].checked_at,
                ended_at=after[0].checked_at if after is not None else None,
                checks=len(run),
                code=run[0].code,
                summary=run[0].summary,
            )


def _changes(checks: Sequence[Check]) -> Iterator[Change]:
    known: dict[str, str] = {}
    for check in checks:
        for what in _CHANGING:
            now = getattr(check, what)
            if now and known.setdefault(what, now) != now:
                yield Change(at=check.checked_at, what=what, before=known[what], after=now)
                known[what] = now


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
