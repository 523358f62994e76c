"""What `chatgptt batch` shows: progress on stderr, and the summary.

A thread looks at the counts. So a line comes also while every site has to be waited for.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

from chatgptt._errors import ChatGpttError
from chatgptt.batch.batch import Batch
from chatgptt.cli import terminal

LINE_EVERY = 30.0
"""Seconds between two lines where stderr is no terminal."""

_DRAW_EVERY = 0.25
"""Seconds between two changes of the bar."""


@contextlib.contextmanager
def showing_progress(batch: Batch, line_every: float = LINE_EVERY) -> Iterator[None]:
    """A bar at a terminal for the block, and elsewhere a line every so often.

    Args:
        batch: whose counts are shown.
        line_every: seconds.
    """
    if sys.stderr.isatty():
        from chatgptt.cli.batch_bar import show_bar  # here: rich is for terminals

        with show_bar(batch) as update:
            with _every(_DRAW_EVERY, update):
                yield
            update()
    else:
        started, before = time.monotonic(), batch.ended
        with _every(line_every, lambda: _write_line(batch, before, time.monotonic() - started)):
            yield


@contextlib.contextmanager
def _every(seconds: float, show: Callable[[], None]) -> Iterator[None]:
    is_over = threading.Event()

    def run() -> None:
        while not is_over.wait(seconds):
            show()

    thread = threading.Thread(target=run, name="chatgptt-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _write_line(batch: Batch, before: int, elapsed: float) -> None:
    per_minute = (batch.ended - before) / elapsed * 60
    left = timedelta(minutes=round((batch.total - batch.ended) / per_minute)) if per_minute else "unknown"
    done = f"{batch.ended} of {batch.total} done, {batch.failed} failed"
    terminal.write_diagnosis(f"{done}, {per_minute:.0f}/min, time left: {left}\n")


class Summary:
    """How a batch stands at the end of a run.

    Args:
        batch: its rows.
        left: the sites that were left, and why.
        output: where the answers are.
        elapsed: seconds that this run took.
    """

    def __init__(self, batch: Batch, left: Mapping[str, ChatGpttError], output: Path, elapsed: float) -> None:
        self._counts = dict(batch.counts)
        self._codes = batch.journal.codes()
        self._total = batch.total
        self._left = left
        self._output = output
        self._elapsed = elapsed

    @property
    def exit_code(self) -> int:
        """0 where all rows are answered, 3 where none is, else 1."""
        answered = self._counts.get("answered", 0)
        return 0 if answered == self._total else 1 if answered else 3

    def show(self, *, as_json: bool) -> None:
        """Prints it to stdout."""
        if as_json:
            terminal.print_json(self._as_dict())
        else:
            terminal.write_text(
                "".join(f"{terminal.on_one_line(line)}\n" for line in self._lines()), sys.stdout
            )

    def _as_dict(self) -> dict[str, object]:
        return {
            "output": str(self._output),
            "rows": self._total,
            "answered": self._counts.get("answered", 0),
            "failed": self._counts.get("error", 0),
            "ambiguous": self._counts.get("ambiguous", 0),
            "not_asked": self._counts.get("new", 0),
            "errors": self._codes,
            "left": [
                {"site": origin, "code": error.code, "message": error.message}
                for origin, error in self._left.items()
            ],
            "elapsed_s": round(self._elapsed, 3),
        }

    def _lines(self) -> Iterator[str]:
        answered, total = self._counts.get("answered", 0), self._total
        yield f"answered: {answered} of {total}, in {self._output}, after {self._elapsed:.1f} s"
        for state, hint in (
            ("error", "--retry-errors asks them again"),
            ("ambiguous", "the sites may have answered them; --retry-ambiguous asks them again"),
            ("new", "run it again to go on"),
        ):
            if self._counts.get(state):
                name = {"error": "failed", "new": "not asked"}.get(state, state)
                yield f"{name}: {self._counts[state]} ({hint})"
        if self._codes:
            yield "errors: " + ", ".join(f"{code} {count}" for code, count in self._codes.items())
        for origin, error in self._left.items():
            yield f"left {origin}: {error.message}"
