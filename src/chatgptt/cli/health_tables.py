"""The tables of `health-check`, drawn by rich. A site's words are shown on one line, escaped."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chatgptt.cli import terminal
from chatgptt.health.report import HealthReport, Status, Verdict, iso, minute
from chatgptt.health.trends import Incident, Trend

_WIDTH = 10_000
"""Columns of a pipe or a file: wide enough to fold no line, so that what is searched for is found."""

_COLOURS: Mapping[Verdict | Status, str] = {
    "ok": "green",
    "warning": "yellow",
    "critical": "bold red",
    "unknown": "magenta",
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "skip": "bright_black",
}


def open_console() -> Console:
    """The terminal on stdout."""
    return Console(highlight=False)


def as_text(draw: Callable[[Console], None]) -> str:
    """What `draw` shows, without colour, for pipes and files."""
    file = io.StringIO()
    draw(Console(file=file, highlight=False, width=_WIDTH, color_system=None, force_terminal=False))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def print_reports(console: Console, reports: Sequence[HealthReport], *, has_time: bool) -> None:
    """Prints one report with its phases, or a line for each of several; above them the time, if wanted."""
    if has_time:
        checked_at = iso(min(report.checked_at for report in reports))
        console.print(_text(f"{checked_at[:19].replace('T', ' ')} UTC", _COLOURS["skip"]))
    if len(reports) == 1:
        _print_report(console, reports[0])
        return
    console.print(_sites_table([report.name or report.site for report in reports], dict(enumerate(reports))))
    for report in reports:
        if report.hint and report.verdict != "ok":
            console.print(_text(f"{report.name or report.site}: {report.hint}"))


def _print_report(console: Console, report: HealthReport) -> None:
    console.print(_text(f"{report.verdict.upper():9}", _COLOURS[report.verdict]), _text(report.title))
    table = _empty_table("phase", "status", "time", "what was seen")
    for phase in report.phases:
        table.add_row(
            _text(phase.name.replace("_", " ")),
            _text(phase.status, _COLOURS[phase.status]),
            _text(_seconds(phase.elapsed)),
            _text(_coded(phase.detail, phase.code), _COLOURS["skip"] if phase.status == "skip" else ""),
        )
    console.print(table)
    failing = report.failing
    if failing is None or report.summary != f"{failing.name}: {failing.detail}":  # the table says that
        console.print(_text(report.summary))
    if report.hint:
        console.print(_text(f"hint: {report.hint}"))


@contextlib.contextmanager
def live_table(names: Sequence[str]) -> Iterator[Callable[[Mapping[int, HealthReport]], None]]:
    """A table on the terminal for the block, which gets a function that shows the reports so far in it."""
    live = Live(
        _sites_table(names, {}),
        console=open_console(),
        transient=True,
        # Other lines for the same terminal go above the table meanwhile. Output to a file stays as it is.
        redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
    )
    with live:
        yield lambda reports: live.update(_sites_table(names, reports), refresh=True)


def _sites_table(names: Sequence[str], reports: Mapping[int, HealthReport]) -> Table:
    table = _empty_table("site", "verdict", "time", "what was seen")
    for place, name in enumerate(names):
        report = reports.get(place)
        if report is None:
            table.add_row(_text(name), _text("...", _COLOURS["skip"]), "", "")
            continue
        table.add_row(
            _text(name),
            _text(report.verdict, _COLOURS[report.verdict]),
            _text(_seconds(report.elapsed)),
            _text(_coded(report.summary, report.code)),
        )
    return table


def _empty_table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
    return table


def print_trends(console: Console, trends: Sequence[Trend], days: float) -> None:
    """Prints what the checks of `days` days show, a block for each page."""
    if not trends:
        console.print(_text(f"no checks in the last {days:g} days"))
    for place, trend in enumerate(trends):
        if place:
            console.print()
        name = f"{trend.name}, {trend.site}" if trend.name else trend.site
        name = f"{name} ({trend.scope})"
        console.print(_text(f"{trend.verdict.upper():9}", _COLOURS[trend.verdict]), _text(name))
        share = "-" if trend.availability is None else f"{trend.availability * 100:.2f} %"
        period = f"{minute(trend.since)} to {minute(trend.until)} UTC"
        console.print(_text(f"available {share}, checks: {trend.checks}, {period}"))
        console.print(_times_table(trend))
        for incident in trend.incidents[-5:]:
            console.print(_text(_describe(incident)))
        for change in trend.changes[-5:]:
            console.print(_text(f"{change.what} {minute(change.at)}: {change.before} to {change.after}"))


def _times_table(trend: Trend) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("phase")
    for name in ("median", "95 %", "checks"):
        table.add_column(name, justify="right")
    table.add_row("whole check", _seconds(trend.median), _seconds(trend.p95), "")
    for times in trend.phases:
        name = times.name.replace("_", " ")
        table.add_row(name, _seconds(times.median), _seconds(times.p95), str(times.checks))
    return table


def _describe(incident: Incident) -> str:
    until = "until now" if incident.ended_at is None else f"to {minute(incident.ended_at)}"
    return (
        f"incident {minute(incident.began_at)} {until}, checks: {incident.checks}, "
        f"{_coded(incident.summary[:200], incident.code)}"
    )


def _coded(words: str, code: str | None) -> str:
    """The words with the code of their error in front, unless they name it themselves, as of a refusal."""
    return f"{code}: {words}" if code and f"{code} (" not in words else words


def _text(words: str, style: str = "") -> Text:
    return Text(terminal.on_one_line(words), style=style)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f} s"
