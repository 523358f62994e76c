"""Writing a file that others read at the same time: they see the old one or the new one, whole.

What is no file, `/dev/stdout` or a pipe, is written to instead: to put a file in its place would break it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from chatgptt._errors import InvalidInputError

__all__ = ["replace_file"]


def replace_file(path: Path, text: str) -> None:
    """Puts `text` in place of what `path` holds, readable as the umask says: other programs shall read it.

    A symbolic link stays one; what it leads to is replaced.

    Raises:
        InvalidInputError: where the file cannot be written.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
        else:
            _replace(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise InvalidInputError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that can be written"
        ) from error


def _replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise
