"""The files that a failed browser visit leaves, a picture and a trace: once written, stderr names them."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chatgptt.cli import terminal


@contextlib.contextmanager
def naming_written(files: Sequence[Path], *, trace: Path | None = None) -> Iterator[list[Path]]:
    """Names those of the files that the block writes, which are in the list that it gets at its end.

    It says how a `trace` among them is opened; that needs no browser of Playwright's own.
    """
    before = {file: _version(file) for file in files}
    written: list[Path] = []
    try:
        yield written
    finally:
        written += [file for file, version in before.items() if _version(file) != version]
        for file in written:
            terminal.say(f"{'trace' if file == trace else 'picture'} of the failed visit: {file}")
            if file == trace:
                words = (sys.executable, "-m", "playwright", "show-trace", "--port", "0", str(file))
                terminal.say(f"  open it with: {shlex.join(words)}")


def _version(file: Path) -> tuple[int, int] | None:
    """What differs of a file after it was replaced; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
