"""How a command is run: its log on stderr, an error in words or as JSON, and the exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

import click

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import streams, terminal


def run_reporting(
    command: Callable[[], int | None], *, verbose: int, as_json: bool, needs_stdout: bool
) -> int:
    """Runs a command and gives its exit code; prints its error, and its log on stderr.

    Raises:
        click.Abort: where Ctrl-C ended it.
    """
    try:
        with logging_to_stderr(_level_of(verbose)):
            try:
                if needs_stdout:
                    terminal.check_stdout()
                return command() or 0
            except ChatGpttError as error:
                terminal.report_error(error, as_json=as_json)
                return 2 if isinstance(error, InvalidInputError) else 1
    except KeyboardInterrupt:
        terminal.end_interrupted_line()
        raise click.Abort from None
    except BrokenPipeError:
        streams.abandon_stdout()
        return 1
    except OSError as error:  # of our own output, a full disk say; the library maps those of the network
        terminal.print_failure(error)
        return 1


# The log, in lines that no words of a site can leave


def _level_of(verbose: int) -> int:
    """The level for `-v` and `-vv`, or that of `CHATGPTT_LOG` where it shows more."""
    by_flag = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    named = {"debug": logging.DEBUG, "info": logging.INFO}
    return min(by_flag, named.get(os.environ.get("CHATGPTT_LOG", "").lower(), by_flag))


@contextlib.contextmanager
def logging_to_stderr(level: int) -> Iterator[None]:
    """Shows what the library logs, from `level` on, as long as the block lasts."""
    log = logging.getLogger("chatgptt")
    before = log.level
    handler = _ToStderr(level)
    handler.setFormatter(_EscapingFormatter("%(name)s: %(message)s"))
    handler.addFilter(_Once())
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield
    finally:
        log.setLevel(before)
        log.removeHandler(handler)


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stderr` is at the time: where a table is live, to the lines above it."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.setLevel(level)  # the log of progress is open where a line shows it

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _Once(logging.Filter):
    """Lets a line about the state on disk pass once, though each of many clients logs it."""

    def __init__(self) -> None:
        super().__init__()
        self._logged: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        words = record.getMessage()
        if record.name != "chatgptt.store":
            return True
        is_new = words not in self._logged
        self._logged.add(words)
        return is_new


class _EscapingFormatter(logging.Formatter):
    """Keeps a record on one line; the lines of a traceback are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return terminal.on_one_line(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        return terminal.escape(super().format(record)).replace("\n", "\n  ")
