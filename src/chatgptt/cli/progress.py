"""A line on stderr while nothing has come yet: what is being done, and for how long.

The library says so in its log `chatgptt.progress`. The line shows at a terminal only, and not before a wait
can be felt: most answers begin sooner.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from chatgptt.cli.terminal import is_dumb

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_DELAY = 0.3
"""Seconds before the line shows."""


@contextlib.contextmanager
def showing_progress(*, is_plain: bool) -> Iterator[None]:
    """Says what is being done as long as the block lasts, at a terminal that is not plain."""
    if is_plain or is_dumb() or not (sys.stderr.isatty() and sys.stdout.isatty()):
        yield
        return
    log, line = logging.getLogger("chatgptt.progress"), _Line()
    log.addHandler(line)
    log.setLevel(logging.DEBUG)
    timer = threading.Timer(_DELAY, line.show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        log.setLevel(logging.NOTSET)
        log.removeHandler(line)
        line.hide()


class _Line(logging.Handler):
    """The last record and its age, drawn anew several times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._words = "starting"
        self._since = time.monotonic()
        self._live: Live | None = None

    def emit(self, record: logging.LogRecord) -> None:
        self._words, self._since = record.getMessage(), time.monotonic()

    def __rich__(self) -> Text:
        from rich.text import Text

        seconds = time.monotonic() - self._since
        return Text(f"{self._words}, {seconds:.0f} s", no_wrap=True, overflow="ellipsis")

    def show(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        spinner = Spinner("dots", text=self)
        self._live = Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._live.start(refresh=True)

    def hide(self) -> None:
        if self._live is not None:
            self._live.stop()
