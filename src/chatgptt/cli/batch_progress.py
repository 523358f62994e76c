"""What `chatgptt batch` shows: progress on stderr, and the summary.

A thread looks at the counts. So a line comes also while every site has to be waited for.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

from chatgptt._errors import ChatGpttError
from chatgptt.batch.batch import Batch
from chatgptt.batch.schedule import Box
from chatgptt.cli import terminal
from chatgptt.protocols.urls import without_credentials

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
        with _bar(batch) as update:
            with _every(_DRAW_EVERY, update):
                yield
            update()
    else:
        started, before = time.monotonic(), batch.ended
        with _every(line_every, lambda: _write_line(batch, before, time.monotonic() - started)):
            yield


@contextlib.contextmanager
def _bar(batch: Batch) -> Iterator[Callable[[], None]]:
    """A bar for the block, which gets a function that shows how the rows stand."""
    from rich.console import Console  # here: rich is for terminals
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("failed: {task.fields[failed]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=batch.total, completed=batch.ended, failed=batch.failed, rate="")

        def update() -> None:
            speed = bar.tasks[0].speed  # of the last rows
            rate = "" if speed is None else f"{speed * 60:.0f}/min"
            bar.update(task, completed=batch.ended, failed=batch.failed, rate=rate)

        yield update


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
    terminal.say(f"{done}, {per_minute:.0f}/min, time left: {left}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How a batch stands at the end of a run; its fields are the keys of `--json`."""

    output: str
    rows: int
    answered: int
    failed: int
    ambiguous: int
    not_asked: int
    errors: dict[str, int]
    """Rows by the code of their error."""
    left: list[dict[str, str]]
    """The sites that were left, and why."""
    elapsed_s: float

    @property
    def exit_code(self) -> int:
        """0 where all rows are answered, 3 where none is, else 1."""
        return 0 if self.answered == self.rows else 1 if self.answered else 3

    def show(self, passed_over: Mapping[Box, ChatGpttError], *, as_json: bool) -> None:
        """Prints it to stdout; the text also names the boxes with rows that were not asked, and why."""
        lines = "\n".join(map(terminal.on_one_line, [*self._lines(), *_box_lines(passed_over)]))
        terminal.print_result(asdict(self), f"{lines}\n", as_json=as_json)

    def _lines(self) -> Iterator[str]:
        yield f"answered: {self.answered} of {self.rows}, in {self.output}, after {self.elapsed_s:.1f} s"
        if self.failed:
            yield f"failed: {self.failed} (--retry-errors asks them again)"
        if self.ambiguous:
            words = "the sites may have answered them; --retry-ambiguous asks them again"
            yield f"ambiguous: {self.ambiguous} ({words})"
        if self.not_asked:
            yield f"not asked: {self.not_asked} (run it again to go on)"
        if self.errors:
            yield "errors: " + ", ".join(f"{code} {count}" for code, count in self.errors.items())
        for site in self.left:
            yield f"left {site['site']}: {site['message']}"


def _box_lines(passed_over: Mapping[Box, ChatGpttError]) -> Iterator[str]:
    for (site, bot), error in passed_over.items():
        page = without_credentials(site)
        yield f"stopped asking {f'bot {bot} of {page}' if bot else page}: {error.message}"


def summarise(batch: Batch, left: Mapping[str, ChatGpttError], output: Path, elapsed: float) -> Summary:
    """The summary of a run.

    Args:
        batch: its rows.
        left: the sites that were left, and why.
        output: where the answers are.
        elapsed: seconds that the run took.
    """
    return Summary(
        output=str(output),
        rows=batch.total,
        answered=batch.counts["answered"],
        failed=batch.counts["error"],
        ambiguous=batch.counts["ambiguous"],
        not_asked=batch.counts["new"],
        errors=batch.journal.codes(),
        left=[{"site": site, "code": error.code, "message": error.message} for site, error in left.items()],
        elapsed_s=round(elapsed, 3),
    )
