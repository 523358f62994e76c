"""A terminal in memory: runs commands on it, and draws what it shows as an SVG.

The bytes that a command writes to a pseudo-terminal go through a terminal emulator, so a picture shows what a
person sees: a bar that is drawn over and over is one bar. The SVG needs nothing else, no font either.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROWS = 60
"""More than any picture shows, so that nothing scrolls away."""
PATIENCE = 120.0
"""Seconds after which a command that should have ended or shown something is a failure."""

_THEME = TerminalTheme(
    background=(22, 27, 34),
    foreground=(201, 209, 217),
    normal=[
        (139, 148, 158),
        (255, 123, 114),
        (63, 185, 80),
        (210, 153, 34),
        (88, 166, 255),
        (188, 140, 255),
        (57, 197, 207),
        (177, 186, 196),
    ],
)
"""Each colour has at least 5 times the ground's luminance."""

_SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font: {char_height}px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre }}
.{unique_id}-title {{ font: 15px system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_PYTE_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}


class Recorder:
    """A terminal, and a shell's prompt on it.

    Args:
        folder: the working folder of the commands.
        env: their environment.
        columns: the width.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], columns: int) -> None:
        self._folder = folder
        self._columns = columns
        size = {"COLUMNS": str(columns), "LINES": str(ROWS)}
        self._env = {**env, **size, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    def run(self, command: str, *, until: str | None = None) -> None:
        """Runs a shell command to its end, or until the terminal shows the pattern `until`."""
        if self._screen.cursor.y:
            self._stream.feed(b"\r\n")
        self._stream.feed(f"\x1b[1;32m$\x1b[0m {command}\r\n".encode())
        controller, side = pty.openpty()
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._env,
            stdin=side,
            stdout=side,
            stderr=side,
        )
        os.close(side)
        try:
            self._read(controller, until)
        finally:
            process.terminate()
            process.wait(PATIENCE)
            os.close(controller)

    def _read(self, controller: int, until: str | None) -> None:
        end = time.monotonic() + PATIENCE
        while until is None or re.search(until, "\n".join(self._screen.display)) is None:
            ready, _, _ = select.select([controller], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError("\n".join(self._screen.display))
            try:
                data = os.read(controller, 65536)
            except OSError:  # Linux says so when the command has closed its side
                data = b""
            if not data:
                if until is not None:
                    raise RuntimeError(f"{until!r} was never shown:\n" + "\n".join(self._screen.display))
                return
            self._stream.feed(data)

    def svg(self, title: str) -> str:
        """What the terminal shows, with the title in its frame."""
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            console = Console(record=True, width=self._columns, file=nowhere, color_system="truecolor")
            for row in range(self._last_row() + 1):
                console.print(self._line(row), no_wrap=True, highlight=False)
            svg = console.export_svg(title=title, theme=_THEME, code_format=_SVG, unique_id="t")
        return re.sub(r"[ \t]+$", "", svg, flags=re.M)

    def _last_row(self) -> int:
        return max(row for row, line in enumerate(self._screen.display) if line.strip())

    def _line(self, row: int) -> Text:
        cells = [self._screen.buffer[row][column] for column in range(self._columns)]
        runs = [("".join(cell.data for cell in run), style) for style, run in groupby(cells, _style)]
        line = Text.assemble(*runs)
        line.rstrip()
        return line


def _style(cell: Char) -> Style:
    return Style(
        color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold or None, italic=cell.italics or None
    )


def _colour(name: str) -> Color | None:
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return Color.parse(f"#{name}")
    return Color.parse(_PYTE_NAMES.get(name, name.replace("bright", "bright_")))
