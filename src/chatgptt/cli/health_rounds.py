"""Rounds of `health-check`: which sites, one round of checks or many, and what each round leads to."""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio

from chatgptt._client import AsyncClient, StateDir
from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import streams, terminal
from chatgptt.cli.evidence import naming_written
from chatgptt.cli.health_check import HealthOptions
from chatgptt.cli.health_history import names_of, show_history, write_report
from chatgptt.cli.health_output import progress, show_reports
from chatgptt.health.history import History
from chatgptt.health.ping import ping, ping_target
from chatgptt.health.plan import plan_of
from chatgptt.health.report import EXIT_CODES, HealthReport, Verdict, not_checked, soften, worst
from chatgptt.protocols.urls import without_credentials
from chatgptt.sites import DEFAULT_SITE
from chatgptt.sites.file import find_site, read_sites
from chatgptt.sites.named import NamedSite
from chatgptt.state.files import check_file
from chatgptt.state.folder import default_folder

_log = logging.getLogger("chatgptt.health")

_Sleep = Callable[[float], Awaitable[None]]

_JITTER = 0.1
"""Share of the waiting time: many machines that watch a site don't come all at once."""


def run_checks(options: HealthOptions, sleep: _Sleep = anyio.sleep) -> int:
    """Runs the command and gives its exit code. Each error is printed, and its code is 3."""
    try:
        return _run(options, sleep)
    except BrokenPipeError:
        streams.abandon_stdout()
    except OSError as error:  # of our own output, a full disk say
        terminal.print_failure(error)
    except ChatGpttError as error:
        terminal.report_error(error, as_json=options.format == "json" and options.output is None)
    except Exception as error:  # noqa: BLE001 - Python would exit with 1, which says that the site works
        _log_failure(error)
        terminal.print_error(
            ChatGpttError(
                f"this program failed ({type(error).__name__})",
                hint="run again with -vv, and report what it prints",
            )
        )
    return EXIT_CODES["unknown"]


def _run(options: HealthOptions, sleep: _Sleep) -> int:
    _check_options(options)
    if options.shows_history:
        is_named = bool(options.urls or options.sites_file)
        show_history(options, [site.url for site in _sites_of(options)] if is_named else [])
        return 0
    if options.replay is not None:
        return _run_replayed(options, options.replay, sleep)
    return anyio.run(_Rounds(options, sleep).run)


def _check_options(options: HealthOptions) -> None:
    if options.output is None:
        terminal.check_stdout()
    if options.ping_url:
        for is_working in (True, False):
            ping_target(options.ping_url, is_working=is_working)
    for file in (options.output, options.report, options.screenshot):
        if file is not None:
            check_file(file)
    if not all(number is None or number > 0 for number in (options.watch, options.failures, options.days)):
        raise InvalidInputError("watch, failures and days have to be above 0", hint="mend the number")


def _run_replayed(options: HealthOptions, folder: Path, sleep: _Sleep) -> int:
    """Checks a recorded case, which answers its own messages alone and leaves no trace in the history."""
    from chatgptt.recordings import read_case, serve_case

    if options.urls or options.sites_file is not None or options.report is not None:
        raise InvalidInputError(
            "--replay checks one recorded case", hint="leave out URLs, --sites and --report"
        )
    case = read_case(folder)
    given = options.given
    message = given.message or next(iter(case.messages), None)
    replayed = replace(
        given,
        bot=given.bot or case.bot,
        strategy=case.strategy if given.strategy in (None, "auto") else given.strategy,
        level="tokens" if given.level in (None, "full") and not message else given.level,
        message=message,
    )
    with serve_case(case) as served:
        return anyio.run(_Rounds(replace(options, site=served.page, given=replayed), sleep).run)


# Which sites


def _sites_of(options: HealthOptions) -> list[NamedSite]:
    plan_of(options.given)  # what is wrong with an option is no site's fault
    sites = [options.given.over(named) for named in _named_by(options)]
    for site in sites:
        try:
            plan_of(site)
        except InvalidInputError as error:
            raise InvalidInputError(f"[{site.name}]: {error.message}", hint=error.hint) from error
    return sites


def _named_by(options: HealthOptions) -> list[NamedSite]:
    """The pages given and the sites of a file; a name among the pages chooses from the file."""
    given = options.urls or ([options.site] if options.site else [])
    pages = [find_site(page, options.sites_file) or NamedSite(url=page) for page in given]
    if (options.sites_file is None and pages) or any(page.name for page in pages):
        return pages
    listed = read_sites(options.sites_file)
    if not listed and options.sites_file is not None:
        raise InvalidInputError(
            f"{options.sites_file} holds no sites", hint='a site is a table: [name], then url = "https://..."'
        )
    return [*listed, *(pages if options.urls else [])] or [NamedSite(url=DEFAULT_SITE)]


# Rounds


class _Rounds:
    """The rounds of one call: a single one, or those of a watch, which has no end of its own."""

    def __init__(self, options: HealthOptions, sleep: _Sleep) -> None:
        self._options = options
        self._sites = _sites_of(options)
        self._sleep = sleep
        self._failures = [0] * len(self._sites)  # in a row, of each site
        self._pictures = _pictures_of(options.screenshot, self._sites)
        self._trouble = ""  # what kept the last round from being written

    async def run(self) -> int:
        """Checks and shows, again and again with `--watch`; the exit code."""
        watch = self._options.watch
        while True:
            started = time.monotonic()
            verdict = await self._run_once()
            if watch is None:
                return EXIT_CODES[verdict]
            pause = watch * random.uniform(1 - _JITTER, 1 + _JITTER)
            await self._sleep(max(0.0, pause - (time.monotonic() - started)))

    async def _run_once(self) -> Verdict:
        with naming_written([file for file in self._pictures if file is not None]) as pictures:
            reports = await self._check_all()
        shown = [self._softened(report, place) for place, report in enumerate(reports)]
        verdict = worst(report.verdict for report in shown)
        self._put_out(shown, pictures)
        if self._options.ping_url:
            await ping(
                self._options.ping_url,
                is_working=verdict in ("ok", "warning"),
                proxy=self._options.given.proxy,
                sleep=self._sleep,
            )
        return verdict

    async def _check_all(self) -> list[HealthReport]:
        """Checks the sites side by side; the reports are in their order."""
        reports: dict[int, HealthReport] = {}
        names = [site.name or without_credentials(site.url) for site in self._sites]
        with progress(names, self._options) as update:

            async def check(place: int, site: NamedSite) -> None:
                is_kept = self._options.replay is None
                report = await _check(site, self._pictures[place], is_kept=is_kept)
                reports[place] = _in_options(report)
                update(reports)

            async with anyio.create_task_group() as tasks:
                for place, site in enumerate(self._sites):
                    tasks.start_soon(check, place, site)
        return [reports[place] for place in range(len(self._sites))]

    def _softened(self, report: HealthReport, place: int) -> HealthReport:
        """The report in view of those before it: of this watch, or of the history."""
        needed = self._options.failures
        if self._options.watch is not None:
            before = self._failures[place]
            if report.verdict != "unknown":
                self._failures[place] = before + 1 if report.verdict == "critical" else 0
            return soften(report, failures_before=before, needed=needed or 2)
        if report.verdict != "critical" or needed in (None, 1):
            return report
        counted = History(default_folder()).failures_in_a_row(report.site, report.level, report.bot)
        # This check failed. If none is counted, no history can be written: report the failure at once.
        return soften(report, failures_before=counted - 1 if counted else needed, needed=needed)

    def _put_out(self, shown: Sequence[HealthReport], pictures: Sequence[Path]) -> None:
        """Shows a round. A watch goes on where a file cannot be written, and says each cause once."""
        try:
            show_reports(shown, self._options)
            if self._options.report is not None:
                pages, names = [report.site for report in shown], names_of(self._sites)
                seen = {
                    (report.site, report.bot, report.level): file.read_bytes()
                    for report, file in zip(shown, self._pictures, strict=True)
                    if file is not None and file in pictures
                }
                write_report(self._options.report, pages, names, self._options.days, seen)
        except BrokenPipeError:
            raise
        except (OSError, InvalidInputError) as error:
            if self._options.watch is None:
                raise
            if str(error) != self._trouble:
                _print_trouble(error)
            self._trouble = str(error)
        else:
            self._trouble = ""


def _pictures_of(file: Path | None, sites: Sequence[NamedSite]) -> list[Path | None]:
    """Where the picture of each failed visit goes: of several sites, each has its name or number in it."""
    if file is None or len(sites) == 1:
        return [file] * len(sites)
    return [file.with_stem(f"{file.stem}-{site.name or place}") for place, site in enumerate(sites, 1)]


async def _check(site: NamedSite, picture: Path | None, *, is_kept: bool) -> HealthReport:
    shown, plan = without_credentials(site.url), plan_of(site)
    try:
        browser = None
        if picture is not None:
            from chatgptt.browser.shared import BrowserOptions  # here: it loads what runs a browser

            browser = BrowserOptions(screenshot=picture)
        async with AsyncClient(
            site.url,
            bot=site.bot,
            strategy=site.strategy,
            proxy=site.proxy,
            state_dir=StateDir.DEFAULT if is_kept else None,
            browser=browser,
        ) as client:
            report = await client.health_check(
                plan.level,
                message=plan.message,
                expect=plan.expect,
                warn=plan.warn,
                cert_days=plan.cert_days,
                timeout=plan.timeout,
            )
    except Exception as error:  # noqa: BLE001 - it leaves no other site unchecked and ends no watch
        if not isinstance(error, InvalidInputError):
            _log_failure(error)
        report = not_checked(shown, error, checked_at=time.time(), level=plan.level, bot=site.bot)
    return replace(report, name=site.name or None)


def _in_options(report: HealthReport) -> HealthReport:
    """The report with its hints in the words of the command line."""
    phases = tuple(replace(phase, hint=terminal.in_options(phase.hint)) for phase in report.phases)
    return replace(report, hint=terminal.in_options(report.hint), phases=phases)


# Failures of the program itself


def _log_failure(error: Exception) -> None:
    """Logs where it happened, without its words: those of an unknown exception may hold a login."""
    where = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    _log.debug("the check broke with %s:\n%s", type(error).__name__, where)


def _print_trouble(error: OSError | InvalidInputError) -> None:
    if isinstance(error, OSError):
        terminal.print_failure(error)
    else:
        terminal.print_error(error)
