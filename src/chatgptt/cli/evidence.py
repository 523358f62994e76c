"""The files that a failed browser visit leaves, a picture and a trace. stderr names those written."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from chatgptt.cli import terminal


@contextlib.contextmanager
def naming_written(files: Sequence[Path], *, trace: Path | None = None) -> Iterator[list[Path]]:
    """Names on stderr those `files` that the block writes.

    The block gets a list. It is empty until the block ends, and holds the written files then. For a `trace`
    stderr also says how it is opened; that needs no browser of Playwright's own.
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
