"""The bar of a batch on a terminal's stderr, drawn by rich."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from chatgptt.batch.batch import Batch


class _Rate(ProgressColumn):
    """Rows a minute."""

    def render(self, task: Task) -> Text:
        """What the last rows took."""
        return Text("" if task.speed is None else f"{task.speed * 60:.0f}/min")


@contextlib.contextmanager
def show_bar(batch: Batch) -> Iterator[Callable[[], None]]:
    """A bar for the block, which gets a function that shows how the rows stand."""
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("failed: {task.fields[failed]}"),
        _Rate(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False),
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("", total=batch.total, completed=batch.ended, failed=batch.failed)
        yield lambda: bar.update(task, completed=batch.ended, failed=batch.failed)
