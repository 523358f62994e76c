"""Writes `docs/performance.md` and its drawing from what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from string import Template

import matplotlib
from crowds import Crowd
from matplotlib.figure import Figure
from table import Row

DOCS = Path(__file__).parents[1] / "docs"
_TEMPLATE = Path(__file__).with_name("performance.md")
_COLOURS = {"chatgptt": "#0b6e4f", "aiohttp": "#c46210", "httpx": "#4a5a8a"}


def write_report(rows: Sequence[Row], crowds: Sequence[Crowd]) -> None:
    """The page in `docs/`, with the table, the machine, and the drawing beside it."""
    _draw(crowds, DOCS / "performance.svg")
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        machine=machine(), table="\n".join(map(_line, rows))
    )
    (DOCS / "performance.md").write_text(text, encoding="utf-8")


def machine() -> str:
    """Where and with what the figures were taken."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        model = next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model
        )
    packages = ", ".join(f"{name} {version(name)}" for name in ("httpx", "httpcore", "anyio", "aiohttp"))
    return (
        f"{model}, {os.cpu_count()} processors, {platform.system()}; "
        f"Python {platform.python_version()}, {packages}"
    )


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
    is_met = {None: "", True: "yes", False: "**no**"}[row.is_met]
    return f"| {row.what} | {row.figure} | {row.reference} | {ratio} | {row.target} | {is_met} |"


def _draw(crowds: Sequence[Crowd], file: Path) -> None:
    matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text
    matplotlib.rcParams["svg.hashsalt"] = "chatgptt"  # the same drawing for the same figures
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for name, colour in _COLOURS.items():
        own = [crowd for crowd in crowds if crowd.name == name]
        counts = [crowd.count for crowd in own]
        style = {"color": colour, "marker": "o", "label": name}
        time.plot(counts, [crowd.processor for crowd in own], **style)
        memory.plot(counts, [crowd.stream_bytes * crowd.count / 1e6 for crowd in own], **style)
    for plot, what in ((time, "processor seconds, all streams"), (memory, "memory at the peak, MB")):
        plot.set_xlabel("streams at once")
        plot.set_ylabel(what)
        plot.set_ylim(bottom=0)
        plot.grid(alpha=0.3)
        plot.legend()
    figure.savefig(file, metadata={"Date": None})
