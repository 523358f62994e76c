"""The files that a failed browser visit leaves, a picture and a trace: once written, stderr names them."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from chatgptt.cli import terminal

Versions = Mapping[Path, tuple[int, int] | None]
"""What differs of a file after it was replaced; None where there is none."""


def versions_of(files: Iterable[Path | None]) -> Versions:
    """The files that were asked for, as they are before a visit."""
    return {file: _version(file) for file in files if file is not None}


def find_written(before: Versions) -> list[Path]:
    """The files that were written since."""
    return [file for file, version in before.items() if _version(file) != version]


def print_written(files: Iterable[Path], *, trace: Path | None = None) -> None:
    """Names the files, and says how a trace is opened; it needs no browser of Playwright's own."""
    for file in files:
        kind = "trace" if file == trace else "picture"
        terminal.write_diagnosis(f"{kind} of the failed visit: {terminal.on_one_line(str(file))}\n")
        if file == trace:
            words = (sys.executable, "-m", "playwright", "show-trace", "--port", "0", str(file))
            terminal.write_diagnosis(f"  open it with: {terminal.on_one_line(shlex.join(words))}\n")


def _version(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
