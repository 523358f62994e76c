"""Earlier checks: `health-check --history`, and the HTML page of `--report`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from chatgptt._errors import InvalidInputError
from chatgptt.cli.health_check import HealthOptions
from chatgptt.cli.health_output import is_at_terminal, write_output
from chatgptt.health.history import History
from chatgptt.health.html_report import report_page
from chatgptt.health.trends import Trend, group_by_scope, read_trend
from chatgptt.protocols.urls import page_url, without_credentials
from chatgptt.state.files import replace_file
from chatgptt.state.folder import default_folder

_DAY = 86_400.0
_SKEW = 60.0
"""Seconds by which clocks of machines that share a folder may differ."""


def show_history(options: HealthOptions, urls: Sequence[str]) -> None:
    """Shows the checks of some pages, of all pages where none is given, and writes the report."""
    history, until = History(default_folder()), _latest()
    pages = [without_credentials(page_url(url)) for url in urls] or history.sites()
    since = _since(until, options.days)
    checks = [history.read(page, since, until) for page in pages]
    _show_trends([read_trend(same) for page in checks for same in group_by_scope(page)], options)
    if options.report is not None:
        write_report(options.report, pages, options.days)


def write_report(file: Path, pages: Sequence[str], days: float) -> None:
    """Writes an HTML page of the checks of the last days."""
    history, until = History(default_folder()), time.time()
    since = _since(until, days)
    histories = [history.read(page, since, _latest()) for page in dict.fromkeys(pages)]
    replace_file(file, report_page(histories, since=since, until=until))


def _show_trends(trends: Sequence[Trend], options: HealthOptions) -> None:
    match options.format:
        case "json":
            write_output(json.dumps([trend.as_dict() for trend in trends], indent=2) + "\n", options)
        case "text":
            from chatgptt.cli.health_tables import as_text, open_console, print_trends

            if is_at_terminal(options):
                print_trends(open_console(), trends, options.days)
            else:
                write_output(as_text(lambda console: print_trends(console, trends, options.days)), options)
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
