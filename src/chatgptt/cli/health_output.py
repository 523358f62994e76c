"""The output of `health-check`: its form, and the terminal, stdout or file that gets it.

The tables are imported where one is drawn: they load rich.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, assert_never

from chatgptt.cli import terminal
from chatgptt.cli.health_check import HealthOptions
from chatgptt.health.junit import junit_text
from chatgptt.health.nagios import nagios_text
from chatgptt.health.report import HealthReport, reports_as_json
from chatgptt.state.files import replace_file

if TYPE_CHECKING:
    from rich.console import Console


def is_at_terminal(options: HealthOptions) -> bool:
    """Whether tables are drawn on a terminal."""
    return options.format == "text" and options.output is None and sys.stdout.isatty()


@contextlib.contextmanager
def progress(
    names: Sequence[str], options: HealthOptions
) -> Iterator[Callable[[Mapping[int, HealthReport]], None]]:
    """Gives the block a function that shows the reports so far, where a terminal can show them."""
    if is_at_terminal(options):
        from chatgptt.cli.health_tables import live_table

        with live_table(names) as update:
            yield update
    else:
        yield lambda reports: None


def show_reports(reports: Sequence[HealthReport], options: HealthOptions) -> None:
    """Shows the reports of one round."""
    if is_at_terminal(options):
        from chatgptt.cli.health_tables import open_console

        _draw(open_console(), reports, options)
    else:
        write_output(_rendered(reports, options), options)


def _draw(console: Console, reports: Sequence[HealthReport], options: HealthOptions) -> None:
    from chatgptt.cli.health_tables import print_reports, print_time

    if options.watch is not None:
        print_time(console, min(report.checked_at for report in reports))
    print_reports(console, reports)


def write_output(text: str, options: HealthOptions) -> None:
    """Writes to the file of `--output`, else to stdout."""
    if options.output is None:
        terminal.write_text(text, sys.stdout)
    else:
        replace_file(options.output, text)


def _rendered(reports: Sequence[HealthReport], options: HealthOptions) -> str:
    match options.format:
        case "text":
            from chatgptt.cli.health_tables import as_text

            return as_text(lambda console: _draw(console, reports, options))
        case "json":
            indent = 2 if options.watch is None else None  # a watch prints one line a round
            return json.dumps(reports_as_json(reports), indent=indent) + "\n"
        case "nagios":
            return nagios_text(reports)
        case "prometheus":
            # Here: its library takes longer to load than all other formats.
            from chatgptt.health.prometheus import prometheus_text

            return prometheus_text(reports)
        case "junit":
            return junit_text(reports)
        case _:
            assert_never(options.format)
