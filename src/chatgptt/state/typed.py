"""What was typed at the prompt of `chat`: a file of the state folder, for its owner alone.

Its form is that of prompt_toolkit's history: a line `# time`, then the lines that were typed, each after `+`.
"""

from __future__ import annotations

import os
from pathlib import Path

from chatgptt.state.files import NO_FOLLOW, NO_WAIT, replacing
from chatgptt.state.folder import check_owner

FILE_NAME = "typed"

MOST_BYTES = 1_000_000
"""A larger file loses the older half. Some 10,000 messages, which are read at each start in 10 ms."""


def make_typed(folder: Path) -> Path:
    """The file, which is made where it is missing.

    Raises:
        OSError: where it cannot be used.
    """
    path = folder / FILE_NAME
    check_owner(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | NO_FOLLOW | NO_WAIT, 0o600))
    if path.stat().st_size > MOST_BYTES:
        _halve(path)
    return path


def _halve(path: Path) -> None:
    newest = path.read_bytes()[-MOST_BYTES // 2 :]
    start = newest.find(b"\n# ")  # no line that was typed begins so
    with replacing(path, mode=0o600) as file:
        file.write(newest[start:] if start >= 0 else b"")


def remove_typed(folder: Path) -> None:
    """Removes the file.

    Raises:
        OSError: where it is there and cannot be removed.
    """
    (folder / FILE_NAME).unlink(missing_ok=True)
