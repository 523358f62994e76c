"""Earlier checks: `health-check --history`, and the HTML page of `--report`."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from chatgptt._errors import InvalidInputError
from chatgptt.cli import terminal
from chatgptt.cli.health_check import HealthOptions
from chatgptt.cli.health_output import show_drawn, write_output
from chatgptt.health.history import History
from chatgptt.health.html_report import Pictures, report_page
from chatgptt.health.trends import Check, Names, Trend, group_by_scope, read_trend
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.sites.file import read_sites
from chatgptt.sites.named import NamedSite
from chatgptt.state.files import replace_file
from chatgptt.state.folder import default_folder

_DAY = 86_400.0
_SKEW = 60.0
"""Seconds by which clocks of machines that share a folder may differ."""


def show_history(options: HealthOptions, urls: Sequence[str]) -> None:
    """Shows the checks of some pages, of all pages where none is given, and writes the report."""
    history, until = History(default_folder()), _latest()
    names = names_of(read_sites(options.sites_file))
    pages = list(dict.fromkeys(map(_page_of, urls))) or history.sites()
    since = _since(until, options.days)
    checks = [history.read(page, since, until) for page in pages]
    _show_trends([read_trend(same, names) for page in checks for same in group_by_scope(page)], options)
    if options.report is not None:
        write_report(options.report, pages, names, options.days)


def names_of(sites: Iterable[NamedSite]) -> Names:
    """The names of sites by page and bot, as the history has these."""
    found = {}
    for site in sites:
        with contextlib.suppress(InvalidInputError):  # an address that cannot be asked was never checked
            found[_page_of(site.url), site.bot] = site.name
    return {key: name for key, name in found.items() if name}


def write_report(
    file: Path, pages: Sequence[str], names: Names, days: float, pictures: Pictures | None = None
) -> None:
    """Writes an HTML page of the checks of the last days, and of what the browser saw in the last one."""
    history, until = History(default_folder()), time.time()
    since = _since(until, days)
    histories = [
        [_in_options(check) for check in history.read(page, since, _latest())]
        for page in dict.fromkeys(pages)
    ]
    replace_file(file, report_page(histories, names, pictures, since=since, until=until))


def _in_options(check: Check) -> Check:
    return replace(check, hint=terminal.in_options(check.hint)) if check.hint else check


def _page_of(url: str) -> str:
    """A page as the history has it."""
    return without_credentials(page_url(url))


def _show_trends(trends: Sequence[Trend], options: HealthOptions) -> None:
    match options.format:
        case "json":
            write_output(json.dumps([trend.as_dict() for trend in trends], indent=2) + "\n", options)
        case "text":
            from chatgptt.cli.health_tables import print_trends

            show_drawn(lambda console: print_trends(console, trends, options.days), options)
        case _:
            raise InvalidInputError(
                f"the history has no format {options.format!r}",
                hint="use text or json, or --report FILE.html",
            )


def _latest() -> float:
    """The end of what is shown: a later check was kept before the clock was set back."""
    return time.time() + _SKEW


def _since(until: float, days: float) -> float:
    return max(0.0, until - days * _DAY)
