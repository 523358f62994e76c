"""A check that is compared with earlier ones, and added to the history."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import anyio
import anyio.to_thread

from chatgptt._stream import Context
from chatgptt.health.check import check
from chatgptt.health.history import History, Remembered
from chatgptt.health.plan import Plan
from chatgptt.health.report import HealthReport
from chatgptt.tokens.acquisition import Wanted

_MOMENT = 0.25
"""Seconds for the history where the check used up its time. It needs some milliseconds."""

_RECENT = 7 * 86_400.0
"""Seconds. A change that is older than a week is no news."""


async def check_and_record(
    context: Context,
    wanted: Wanted,
    plan: Plan,
    *,
    history: History,
    clock: Callable[[], float] = time.time,
) -> HealthReport:
    """Checks one page and appends the report to the history.

    Where a page fails before its box is found, the report has the protocol of the last check, so that counts
    by protocol stay complete. A page that needs a browser and lately needed none is a warning.

    See `check` for the arguments.
    """
    report = await check(context, wanted, plan, clock=clock)
    # A locked file does not delay the check: the thread writes when it can.
    with anyio.move_on_after(max(plan.timeout - report.elapsed, _MOMENT)):
        if report.protocol is None or report.rung == "browser":
            since = report.checked_at - _RECENT
            remembered = await anyio.to_thread.run_sync(
                history.recall, wanted.page, since, report.bot, abandon_on_cancel=True
            )
            report = _informed(report, remembered)
        await anyio.to_thread.run_sync(history.add, [report], abandon_on_cancel=True)
    return report


def _informed(report: HealthReport, remembered: Remembered) -> HealthReport:
    """The report, compared with earlier checks."""
    if report.protocol is None:
        return replace(report, protocol=remembered.protocol)
    if report.rung != "browser" or remembered.static_rung is None:
        return report
    tokens = report.phase("tokens")
    hint = "the page changed: its tokens now come by script, which costs a browser each time"
    warned = tokens.as_warning("browser_needed", hint, f"{remembered.static_rung} used to do")
    phases = tuple(warned if phase is tokens else phase for phase in report.phases)
    if report.verdict != "ok":
        return replace(report, phases=phases)
    return replace(
        report,
        verdict="warning",
        code=warned.code,
        summary=f"tokens: {warned.detail}",
        hint=warned.hint,
        phases=phases,
    )
