"""The rows of the bench's table, and how figures are taken side by side."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from rich.console import Console
from rich.table import Table

__all__ = ["Row", "compared", "print_table", "shown_time", "timed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: a figure beside its reference, and whether it is within its target; None for no target."""

    what: str
    figure: str
    reference: str = ""
    ratio: float | None = None
    target: str = ""
    is_met: bool | None = None


def shown_time(seconds: float) -> str:
    """Seconds in the unit that suits them."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1.0:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def timed(calls: Sequence[Callable[[], object]], *, rounds: int) -> list[float]:
    """The median seconds of each call; in every round each has its turn, so that all see the same machine."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, taken in zip(calls, seconds, strict=True):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
    return [median(taken) for taken in seconds]


def compared(
    what: str,
    figure: float,
    reference: float,
    *,
    than: str,
    at_most: float | None = None,
    times_faster: float | None = None,
) -> Row:
    """A row for two times: either how many times the reference it takes, or how many times faster it is."""
    ratio = reference / figure if times_faster is not None else figure / reference
    target, is_met = "", None
    if at_most is not None:
        target, is_met = f"at most {at_most:g} x", ratio <= at_most
    if times_faster is not None:
        target, is_met = f"at least {times_faster:g} x faster", ratio >= times_faster
    return Row(
        what=what,
        figure=shown_time(figure),
        reference=f"{shown_time(reference)} {than}",
        ratio=ratio,
        target=target,
        is_met=is_met,
    )


def print_table(title: str, rows: Sequence[Row]) -> None:
    """All rows, in one table."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("what", "figure", "reference"):
        table.add_column(name, overflow="fold")
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("met", no_wrap=True)
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        is_met = {None: "", True: "yes", False: "NO"}[row.is_met]
        table.add_row(row.what, row.figure, row.reference, ratio, row.target, is_met)
    Console(highlight=False, width=None if sys.stdout.isatty() else 170).print(table)
