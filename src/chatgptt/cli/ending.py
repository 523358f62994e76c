"""How a command ends: an error in words or as JSON, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import logs, streams, terminal


def run_reporting(
    command: Callable[[], int | None], *, verbose: int, as_json: bool, needs_stdout: bool
) -> int:
    """Runs a command and gives its exit code; prints its error, and its log on stderr.

    Raises:
        click.Abort: where Ctrl-C ended it.
    """
    try:
        with logs.logging_to_stderr(logs.level_of(verbose)):
            return _run_explaining(command, as_json=as_json, needs_stdout=needs_stdout)
    except KeyboardInterrupt:
        terminal.end_interrupted_line()
        raise click.Abort from None
    except BrokenPipeError:
        streams.abandon_stdout()
        return 1
    except OSError as error:  # of our own output, a full disk say; the library maps those of the network
        terminal.print_failure(error)
        return 1


def _run_explaining(command: Callable[[], int | None], *, as_json: bool, needs_stdout: bool) -> int:
    try:
        if needs_stdout:
            terminal.check_stdout()
        return command() or 0
    except ChatGpttError as error:
        if as_json and sys.stdout is not None:
            terminal.print_json(terminal.error_document(error))
        else:
            terminal.print_error(error)
        return 2 if isinstance(error, InvalidInputError) else 1
