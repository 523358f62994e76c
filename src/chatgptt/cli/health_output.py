"""The output of `health-check`: its form, and the terminal, stdout or file that gets it.

The tables are imported where one is drawn: they load rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, assert_never

from chatgptt.cli import terminal
from chatgptt.cli.health_check import HealthOptions
from chatgptt.health.junit import junit_text
from chatgptt.health.nagios import nagios_text
from chatgptt.health.report import HealthReport, reports_as_json
from chatgptt.state.files import replace_file

if TYPE_CHECKING:
    from rich.console import Console


def progress(
    names: Sequence[str], options: HealthOptions
) -> AbstractContextManager[Callable[[Mapping[int, HealthReport]], object]]:
    """Gives the block a function that shows the reports so far, where a terminal can show them."""
    if not _is_at_terminal(options):
        return nullcontext(lambda reports: None)
    from chatgptt.cli.health_tables import live_table

    return live_table(names)


def _is_at_terminal(options: HealthOptions) -> bool:
    """Whether tables are drawn on a terminal."""
    return options.format == "text" and options.output is None and sys.stdout.isatty()


def show_reports(reports: Sequence[HealthReport], options: HealthOptions) -> None:
    """Shows the reports of one round."""
    match options.format:
        case "text":
            from chatgptt.cli.health_tables import print_reports

            has_time = options.watch is not None
            show_drawn(lambda console: print_reports(console, reports, has_time=has_time), options)
        case "json":
            indent = 2 if options.watch is None else None  # a watch prints one line a round
            write_output(json.dumps(reports_as_json(reports), indent=indent) + "\n", options)
        case "nagios":
            write_output(nagios_text(reports), options)
        case "prometheus":
            # Here: its library takes longer to load than all other formats.
            from chatgptt.health.prometheus import prometheus_text

            write_output(prometheus_text(reports), options)
        case "junit":
            write_output(junit_text(reports), options)
        case _:
            assert_never(options.format)


def show_drawn(draw: Callable[[Console], None], options: HealthOptions) -> None:
    """Shows what is drawn, without colour where no terminal gets it."""
    from chatgptt.cli.health_tables import as_text, open_console

    if _is_at_terminal(options):
        draw(open_console())
    else:
        write_output(as_text(draw), options)


def write_output(text: str, options: HealthOptions) -> None:
    """Writes to the file of `--output`, else to stdout."""
    if options.output is None:
        terminal.write_text(text, sys.stdout)
    else:
        replace_file(options.output, text)
