"""The result of a check: nine phases, in the order in which a message meets them, and a verdict.

A verdict is about the site. What is wrong on this machine (no browser, no network, a call that cannot work)
is `unknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, get_args

from chatgptt._errors import ChatGpttError, ErrorCode
from chatgptt._models import Level, PluginGeneration, Rung

PhaseName = Literal["dns", "tcp", "tls", "page", "box", "tokens", "message", "first_text", "answer"]
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)

Status = Literal["pass", "warn", "fail", "skip"]
Verdict = Literal["ok", "warning", "critical", "unknown"]

HealthCode = (
    ErrorCode
    | Literal[
        "slow", "certificate_expiring", "browser_needed", "stale_cache", "several_bots", "unexpected_answer"
    ]
)
"""An error's code, or what only a check notices."""

EXIT_CODES: Mapping[Verdict, int] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
"""As monitoring plugins have them."""

_BY_WEIGHT: tuple[Verdict, ...] = ("ok", "warning", "unknown", "critical")


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One step of a check.

    Attributes:
        name: one of the nine phases.
        status: `pass`, `warn`, `fail`, or `skip` for a phase that was not reached.
        elapsed: seconds, None where nothing was measured. The time to the first text counts from sending the
            message, as `message` does; all others follow one another.
        detail: what was seen, for people.
        code: an error's code, or what only a check notices; None unless the phase warns or fails.
        hint: what to do next, possibly empty.
    """

    name: PhaseName
    status: Status
    elapsed: float | None = None
    detail: str = ""
    code: HealthCode | None = None
    hint: str = ""

    def as_warning(self, code: HealthCode, hint: str, more: str = "") -> Phase:
        """The phase as a warning, with more in its detail."""
        detail = f"{self.detail}; {more}" if more else self.detail
        return replace(self, status="warn", code=code, hint=hint, detail=detail)

    def as_dict(self) -> dict[str, object]:
        """The phase as `--json` prints it."""
        return {
            "name": self.name,
            "status": self.status,
            "elapsed_s": None if self.elapsed is None else round(self.elapsed, 4),
            "detail": self.detail,
            "code": self.code,
            "hint": self.hint,
        }


def passed(name: PhaseName, elapsed: float | None, detail: str) -> Phase:
    """A phase that passed."""
    return Phase(name=name, status="pass", elapsed=elapsed, detail=detail)


def skipped(name: PhaseName, why: str) -> Phase:
    """A phase that was not reached, or not measured."""
    return Phase(name=name, status="skip", detail=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """The outcome of one check of one page.

    Attributes:
        site: the page that was checked, without credentials.
        verdict: `ok`, `warning`, `critical`, or `unknown` where this machine is at fault, or
            keeps a pause and sent nothing.
        code: that of the first phase that failed, else of the first that warns, else None.
        summary: one line for people.
        hint: what to do next, possibly empty.
        checked_at: Unix time in seconds at which the check began.
        elapsed: seconds that it took.
        phases: all nine, in order; those that were not reached are `skip`.
        level: how far the check was meant to go.
        bot: the bot that was asked for, "" for the page's own choice.
        protocol: the chat box's, None where none was found.
        rung: what gave the tokens, None where nothing did.
        certificate_expires_at: Unix time in seconds, None without TLS.
        name: of a named site (docs/sites.md), None for a page that was given by its address.
    """

    site: str
    verdict: Verdict
    code: HealthCode | None
    summary: str
    hint: str
    checked_at: float
    elapsed: float
    phases: tuple[Phase, ...]
    level: Level = "full"
    bot: str = ""
    protocol: PluginGeneration | None = None
    rung: Rung | None = None
    certificate_expires_at: float | None = field(default=None, repr=False)
    name: str | None = None

    @property
    def title(self) -> str:
        """The page for people, behind its name where it has one."""
        return f"{self.name} ({self.site})" if self.name else self.site

    @property
    def is_working(self) -> bool:
        """Whether the site works, with or without a warning."""
        return self.verdict in ("ok", "warning")

    @property
    def exit_code(self) -> int:
        """0 for ok, 1 warning, 2 critical, 3 unknown, as monitoring plugins have them."""
        return EXIT_CODES[self.verdict]

    @property
    def failing(self) -> Phase | None:
        """The first phase that failed, else the first that warns, else None."""
        return first_failing(self.phases)

    def phase(self, name: PhaseName) -> Phase:
        """The phase of this name."""
        return next(phase for phase in self.phases if phase.name == name)

    def as_dict(self) -> dict[str, object]:
        """The report as `--json` prints it."""
        return {
            "site": self.site,
            "name": self.name,
            "verdict": self.verdict,
            "code": self.code,
            "summary": self.summary,
            "hint": self.hint,
            "checked_at": iso(self.checked_at),
            "elapsed_s": round(self.elapsed, 4),
            "phases": [phase.as_dict() for phase in self.phases],
        }


def first_failing(phases: Sequence[Phase]) -> Phase | None:
    """The first phase that failed, else the first that warns, else None."""
    failing = (phase for status in ("fail", "warn") for phase in phases if phase.status == status)
    return next(failing, None)


def iso(seconds: float) -> str:
    """A Unix time as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def minute(seconds: float) -> str:
    """A Unix time as `2026-01-31 12:00`, in UTC."""
    return iso(seconds)[:16].replace("T", " ")


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that counts of several: critical, then unknown, then warning; unknown for none at all."""
    return max(verdicts, key=_BY_WEIGHT.index, default="unknown")


def reports_as_json(reports: Sequence[HealthReport]) -> object:
    """What `--json` prints: one report as it is, several as a list."""
    documents = [report.as_dict() for report in reports]
    return documents[0] if len(documents) == 1 else documents


def soften(report: HealthReport, *, failures_before: int, needed: int) -> HealthReport:
    """The report, `warning` instead of `critical` until that came `needed` times in a row."""
    if report.verdict != "critical" or failures_before + 1 >= needed:
        return report
    count = f"failure {failures_before + 1} of {needed} before it counts"
    return replace(report, verdict="warning", summary=f"{report.summary} ({count})")


def not_checked(
    site: str, error: Exception, *, checked_at: float, level: Level, bot: str = ""
) -> HealthReport:
    """The report for a site that was not checked, since the call or this program is at fault.

    The words of an unknown exception may hold anything, so they are left out.
    """
    code: HealthCode | None = None
    why, hint = (
        f"this program failed ({type(error).__name__})",
        "run again with -vv, and report what it prints",
    )
    if isinstance(error, ChatGpttError):
        code, why, hint = error.code, error.message, error.hint
    return HealthReport(
        site=site,
        verdict="unknown",
        code=code,
        summary=f"not checked: {why}",
        hint=hint,
        checked_at=checked_at,
        elapsed=0.0,
        phases=tuple(skipped(name, "not reached") for name in PHASES),
        level=level,
        bot=bot,
    )
