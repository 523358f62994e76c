"""The command `health-check`: which sites, one round of checks or many, and how they are shown.

Its exit code is the worst verdict's, and 3 for a call that cannot work: monitors read 2 as the site's fault.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, assert_never

import anyio

from chatgptt._client import DEFAULT_SITE, AsyncClient, StateDir
from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import Strategy
from chatgptt.cli import terminal
from chatgptt.health.history import History
from chatgptt.health.junit import junit_text
from chatgptt.health.nagios import nagios_text
from chatgptt.health.page import report_page
from chatgptt.health.ping import ping, ping_target
from chatgptt.health.report import (
    EXIT_CODES,
    HealthReport,
    Level,
    Status,
    Verdict,
    broken_off,
    iso,
    not_checked,
    reports_as_json,
    soften,
    worst,
)
from chatgptt.health.sites import Site, plan_of, site_of
from chatgptt.health.trends import Trend, alike, read_trend
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.sites.file import find_site, read_sites
from chatgptt.sites.named import NamedSite
from chatgptt.state.files import check_file, replace_file
from chatgptt.tokens.store import default_folder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["Format", "HealthCommand"]

_log = logging.getLogger("chatgptt.health")

Format = Literal["text", "json", "nagios", "prometheus", "junit"]

_DAY = 86_400.0
_WIDTH = 10_000
"""Columns of a pipe or a file: wide enough to fold no line, so that what is searched for is found."""
_SKEW = 60.0
"""Seconds by which clocks of machines that share a folder may differ."""
_JITTER = 0.1
"""Share of the waiting time: many machines that watch a site don't come all at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCommand:
    """What was asked for on the command line; the option of the same name says what each means.

    The options from `level` to `strategy` hold for every page, in place of what a named site's table says.
    """

    urls: Sequence[str] = field(default=(), repr=False)
    site: str = field(default="", repr=False)
    sites_file: Path | None = None
    level: Level | None = None
    message: str = ""
    expect: str = ""
    warn: float | None = None
    cert_days: float | None = None
    timeout: float | None = None
    bot: str = ""
    proxy: str = field(default="", repr=False)
    strategy: Strategy | None = None
    format: Format = "text"
    output: Path | None = None
    shows_history: bool = False
    report: Path | None = None
    days: float = 30.0
    watch: float | None = None
    failures: int | None = None
    ping_url: str = field(default="", repr=False)
    replay: Path | None = None
    sleep: Callable[[float], Awaitable[None]] = field(default=anyio.sleep, repr=False)

    def run(self) -> int:
        """Does it all and gives the exit code."""
        try:
            self._check_options()
            if self.shows_history:
                self._show_history()
                return 0
            if self.replay is not None:
                return self._run_replayed(self.replay)
            return anyio.run(self._run)
        except BrokenPipeError:
            terminal.abandon_stdout()
            return EXIT_CODES["unknown"]
        except OSError as error:  # of our own output, a full disk say
            terminal.print_failure(error)
            return EXIT_CODES["unknown"]
        except ChatGpttError as error:
            if self.format == "json" and self.output is None and sys.stdout is not None:
                terminal.print_json(terminal.error_document(error))
            else:
                terminal.print_error(error)
            return EXIT_CODES["unknown"]
        except Exception as error:  # noqa: BLE001 - Python would exit with 1, which says that the site works
            _log_failure(error)
            terminal.print_error(_own_failure(error))
            return EXIT_CODES["unknown"]

    def _check_options(self) -> None:
        if self.output is None:
            terminal.check_stdout()
        if self.ping_url:
            for is_working in (True, False):
                ping_target(self.ping_url, is_working=is_working)
        for file in (self.output, self.report):
            if file is not None:
                check_file(file)
        is_sane = (self.watch is None or self.watch > 0) and (self.failures is None or self.failures > 0)
        if not is_sane or not self.days > 0:
            raise InvalidInputError("watch, failures and days have to be above 0", hint="mend the number")

    def _run_replayed(self, folder: Path) -> int:
        """Checks a recorded case, which answers its own messages alone and leaves no trace in the history."""
        from chatgptt.recordings import read_case, serve_case

        if self.urls or self.sites_file is not None or self.report is not None:
            raise InvalidInputError(
                "--replay checks one recorded case", hint="leave out URLs, --sites and --report"
            )
        case = read_case(folder)
        message = self.message or next(iter(case.messages), "")
        level = "tokens" if self.level in (None, "full") and not message else self.level
        with serve_case(case) as served:
            check = replace(
                self,
                site=served.page,
                bot=self.bot or case.bot,
                strategy=case.strategy if self.strategy in (None, "auto") else self.strategy,
                level=level,
                message=message,
            )
            return anyio.run(check._run)

    def _sites(self) -> list[Site]:
        options = NamedSite(
            bot=self.bot,
            strategy=self.strategy,
            proxy=self.proxy,
            timeout=self.timeout,
            level=self.level,
            message=self.message or None,
            expect=self.expect or None,
            warn=self.warn,
            cert_days=self.cert_days,
        )
        plan_of(options)  # what is wrong with an option is no site's fault
        return [_site_of(options.over(named)) for named in self._named()]

    def _named(self) -> list[NamedSite]:
        """The pages given and the sites of a file; a name among the pages chooses from the file."""
        given = self.urls or ([self.site] if self.site else [])
        pages = [find_site(page, self.sites_file) or NamedSite(url=page) for page in given]
        if (self.sites_file is None and pages) or any(page.name for page in pages):
            return pages
        listed = read_sites(self.sites_file)
        if not listed and self.sites_file is not None:
            raise InvalidInputError(
                f"{self.sites_file} holds no sites",
                hint='a site is a table: [name], then url = "https://..."',
            )
        return [*listed, *(pages if self.urls else [])] or [NamedSite(url=DEFAULT_SITE)]

    async def _run(self) -> int:
        sites = self._sites()
        failures = [0] * len(sites)
        trouble = ""
        while True:
            started = time.monotonic()
            reports = await self._check_all(sites)
            shown = [self._softened(report, place, failures) for place, report in enumerate(reports)]
            verdict = worst(report.verdict for report in shown)
            trouble = self._put_out(shown, trouble)
            if self.ping_url:
                is_working = verdict in ("ok", "warning")
                await ping(self.ping_url, is_working=is_working, proxy=self.proxy, sleep=self.sleep)
            if self.watch is None:
                return EXIT_CODES[verdict]
            pause = self.watch * random.uniform(1 - _JITTER, 1 + _JITTER)
            await self.sleep(max(0.0, pause - (time.monotonic() - started)))

    def _put_out(self, shown: Sequence[HealthReport], trouble: str) -> str:
        """Shows a round; gives what kept it from being written, "" for nothing.

        A watch goes on then, since disks are cleared up, and says it once: `trouble` is the last round's.
        """
        try:
            self._show(shown)
            if self.report is not None:
                self._write_report([report.site for report in shown])
        except BrokenPipeError:
            raise
        except (OSError, InvalidInputError) as error:
            if self.watch is None:
                raise
            words = str(error)
            if words != trouble:
                _print_trouble(error)
            return words
        return ""

    async def _check_all(self, sites: Sequence[Site]) -> list[HealthReport]:
        """Checks the sites side by side; the reports are in their order."""
        reports: dict[int, HealthReport] = {}
        with _LiveTable(sites, is_shown=self._is_at_terminal()) as update:

            async def check(place: int, site: Site) -> None:
                reports[place] = _in_options(await _check(site, is_kept=self.replay is None))
                update(reports)

            async with anyio.create_task_group() as tasks:
                for place, site in enumerate(sites):
                    tasks.start_soon(check, place, site)
        return [reports[place] for place in range(len(sites))]

    def _softened(self, report: HealthReport, place: int, failures: list[int]) -> HealthReport:
        """The report in view of those before it: of this watch, or of the history."""
        if self.watch is not None:
            before = failures[place]
            if report.verdict != "unknown":
                failures[place] = before + 1 if report.verdict == "critical" else 0
            return soften(report, failures_before=before, needed=self.failures or 2)
        if report.verdict != "critical" or self.failures in (None, 1):
            return report
        needed = self.failures or 1
        counted = History(default_folder()).failures_in_a_row(report.site, report.level, report.bot)
        # None counted though this one failed: there is no history, and what cannot be counted is not a blip.
        return soften(report, failures_before=counted - 1 if counted else needed, needed=needed)

    def _is_at_terminal(self) -> bool:
        return self.format == "text" and self.output is None and sys.stdout.isatty()

    def _show(self, reports: Sequence[HealthReport]) -> None:
        if self._is_at_terminal():
            _print_reports(_console(), reports)
            return
        text = self._rendered(reports)
        if self.output is None:
            terminal.write_text(text, sys.stdout)
        else:
            replace_file(self.output, text)

    def _rendered(self, reports: Sequence[HealthReport]) -> str:
        match self.format:
            case "text":
                return _as_text(lambda console: _print_reports(console, reports))
            case "json":
                indent = 2 if self.watch is None else None  # a watch prints one line a round
                return json.dumps(reports_as_json(reports), indent=indent) + "\n"
            case "nagios":
                return nagios_text(reports)
            case "prometheus":
                # here, since loading it takes longer than all of the rest
                from chatgptt.health.prometheus import prometheus_text

                return prometheus_text(reports)
            case "junit":
                return junit_text(reports)
            case _:
                assert_never(self.format)

    # Earlier checks

    def _show_history(self) -> None:
        history, until = History(default_folder()), self._until()
        wanted = self._wanted_pages() or history.sites()
        kept = [history.read(site, self._since(until), until) for site in wanted]
        trends = [read_trend(checks) for page in kept for checks in alike(page)]
        if self.format == "json":
            text = json.dumps([trend.as_dict() for trend in trends], indent=2) + "\n"
        elif self.format == "text":
            text = _as_text(lambda console: _print_trends(console, trends, self.days))
        else:
            raise InvalidInputError(
                f"the history has no format {self.format!r}", hint="use text or json, or --report FILE.html"
            )
        if self.output is not None:
            replace_file(self.output, text)
        elif self._is_at_terminal():
            _print_trends(_console(), trends, self.days)
        else:
            terminal.write_text(text, sys.stdout)
        if self.report is not None:
            self._write_report(wanted)

    def _until(self) -> float:
        """The end of what is shown: what is dated later was kept before the clock was set back."""
        return time.time() + _SKEW

    def _since(self, until: float) -> float:
        return max(0.0, until - self.days * _DAY)

    def _wanted_pages(self) -> list[str]:
        sites = self._sites() if self.urls or self.sites_file is not None else []
        return [without_credentials(page_url(site.url)) for site in sites]

    def _write_report(self, pages: Sequence[str]) -> None:
        assert self.report is not None
        history, until = History(default_folder()), time.time()
        since = self._since(until)
        histories = [history.read(page, since, self._until()) for page in dict.fromkeys(pages)]
        replace_file(self.report, report_page(histories, since=since, until=until))


def _site_of(named: NamedSite) -> Site:
    try:
        return site_of(named)
    except InvalidInputError as error:
        raise InvalidInputError(f"[{named.name}]: {error.message}", hint=error.hint) from error


async def _check(site: Site, *, is_kept: bool) -> HealthReport:
    plan = site.plan
    shown = without_credentials(site.url)
    try:
        async with AsyncClient(
            site.url,
            bot=site.bot,
            strategy=site.strategy,
            proxy=site.proxy,
            state_dir=StateDir.DEFAULT if is_kept else None,
        ) as client:
            report = await client.health_check(
                plan.level,
                message=plan.message,
                expect=plan.expect,
                warn=plan.warn,
                cert_days=plan.cert_days,
                timeout=plan.timeout,
            )
    except InvalidInputError as error:
        report = not_checked(shown, error, checked_at=time.time(), level=plan.level, bot=site.bot)
    except Exception as error:  # noqa: BLE001 - it leaves no other site unchecked and ends no watch
        _log_failure(error)
        report = broken_off(shown, error, checked_at=time.time(), level=plan.level, bot=site.bot)
    return replace(report, name=site.name)


def _in_options(report: HealthReport) -> HealthReport:
    """The report with its hints in the words of the command line."""
    phases = tuple(replace(phase, hint=terminal.in_options(phase.hint)) for phase in report.phases)
    return replace(report, hint=terminal.in_options(report.hint), phases=phases)


def _log_failure(error: Exception) -> None:
    """Where it happened, without its words: those of a stranger may hold a login."""
    where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    _log.debug("the check broke with %s:\n%s", type(error).__name__, where)


def _own_failure(error: Exception) -> ChatGpttError:
    return ChatGpttError(
        f"this program failed ({type(error).__name__})", hint="run again with -vv, and report what it prints"
    )


def _print_trouble(error: OSError | InvalidInputError) -> None:
    if isinstance(error, OSError):
        terminal.print_failure(error)
    else:
        terminal.print_error(error)


# What people see. Words of a site are not to be trusted with a terminal

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


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _as_text(draw: Callable[[Console], None]) -> str:
    """What a console would show, without colour, for pipes and files."""
    import io

    from rich.console import Console

    file = io.StringIO()
    draw(Console(file=file, highlight=False, width=_WIDTH, color_system=None, force_terminal=False))
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _print_reports(console: Console, reports: Sequence[HealthReport]) -> None:
    if len(reports) == 1:
        _print_report(console, reports[0])
        return
    console.print(_sites_table([report.site for report in reports], dict(enumerate(reports))))
    for report in reports:
        if report.hint and report.verdict != "ok":
            console.print(_text(f"{report.site}: {report.hint}"))


def _print_report(console: Console, report: HealthReport) -> None:
    from rich.table import Table

    console.print(_text(f"{report.verdict.upper():9}", _COLOURS[report.verdict]), _text(report.site))
    table = Table(box=None, pad_edge=False)
    for name in ("phase", "status", "time", "what was seen"):
        table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
    for phase in report.phases:
        detail = f"{phase.code}: {phase.detail}" if phase.code else phase.detail
        table.add_row(
            _text(phase.name.replace("_", " ")),
            _text(phase.status, _COLOURS[phase.status]),
            _text(_seconds(phase.elapsed)),
            _text(detail, _COLOURS["skip"] if phase.status == "skip" else ""),
        )
    console.print(table)
    seen = report.failing
    if seen is None or report.summary != f"{seen.name}: {seen.detail}":  # which the table says
        console.print(_text(report.summary))
    if report.hint:
        console.print(_text(f"hint: {report.hint}"))


class _LiveTable:
    """A context that gives a function which shows the reports so far; it shows nothing unless told to."""

    def __init__(self, sites: Sequence[Site], *, is_shown: bool) -> None:
        self._names = [without_credentials(site.url) for site in sites]
        self._is_shown = is_shown

    def __enter__(self) -> Callable[[Mapping[int, HealthReport]], None]:
        if not self._is_shown:
            return lambda reports: None
        from rich.live import Live

        self._live = Live(
            _sites_table(self._names, {}),
            console=_console(),
            transient=True,
            # Other lines for the same terminal go above the table meanwhile. Output to a file stays as it is.
            redirect_stderr=sys.stderr is not None and sys.stderr.isatty(),
        )
        self._live.start()
        return lambda reports: self._live.update(_sites_table(self._names, reports), refresh=True)

    def __exit__(self, *error: object) -> None:
        if self._is_shown:
            self._live.stop()


def _sites_table(names: Sequence[str], reports: Mapping[int, HealthReport]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("site", "verdict", "time", "what was seen"):
        table.add_column(name, justify="right" if name == "time" else "left", overflow="fold")
    for place, name in enumerate(names):
        report = reports.get(place)
        if report is None:
            table.add_row(_text(name), _text("...", _COLOURS["skip"]), "", "")
            continue
        table.add_row(
            _text(name),
            _text(report.verdict, _COLOURS[report.verdict]),
            _text(_seconds(report.elapsed)),
            _text(f"{report.code}: {report.summary}" if report.code else report.summary),
        )
    return table


def _print_trends(console: Console, trends: Sequence[Trend], days: float) -> None:
    from rich.table import Table

    if not trends:
        console.print(_text(f"no checks in the last {days:g} days"))
    for trend in trends:
        name = f"{trend.site} ({trend.scope})"
        console.print(_text(f"{trend.verdict.upper():9}", _COLOURS[trend.verdict]), _text(name))
        share = "-" if trend.availability is None else f"{trend.availability * 100:.2f} %"
        period = f"{_day(trend.since)} to {_day(trend.until)} UTC"
        console.print(_text(f"available {share}, checks: {trend.checks}, {period}"))
        table = Table(box=None, pad_edge=False)
        table.add_column("phase")
        for name in ("median", "95 %", "checks"):
            table.add_column(name, justify="right")
        table.add_row("whole check", _seconds(trend.median), _seconds(trend.p95), "")
        for times in trend.phases:
            name = times.name.replace("_", " ")
            table.add_row(name, _seconds(times.median), _seconds(times.p95), str(times.checks))
        console.print(table)
        for incident in trend.incidents[-5:]:
            until = "until now" if incident.ended_at is None else f"to {_day(incident.ended_at)}"
            words = f"{_day(incident.began_at)} {until}, checks: {incident.checks}"
            console.print(_text(f"incident {words}, {incident.code}: {incident.summary[:200]}"))
        for change in trend.changes[-5:]:
            console.print(_text(f"{change.what} {_day(change.at)}: {change.before} to {change.after}"))


def _text(words: str, style: str = "") -> Text:
    from rich.text import Text

    return Text(terminal.on_one_line(words), style=style)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.3f} s"


def _day(seconds: float) -> str:
    return iso(seconds)[:16].replace("T", " ")
