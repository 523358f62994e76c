"""A trace of a visit that can be shown to others.

Playwright writes down all that it sees, with every header, cookie and nonce, in a file for everybody to read.
What is kept is a copy for its owner alone, in which stars are in the place of each value that says who
somebody is. Pictures are kept as they are.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from chatgptt._files import find_place, replacing

__all__ = ["keep_clean"]

_STARS = b"***"
_SHORTEST = 6
"""Characters of a value. What is shorter is no secret, and would be found all over the trace."""

_NONCE = re.compile(rb"(?<![0-9A-Za-z])(?:(?=[0-9]*[a-f])[0-9a-f]{10}|(?<=[\"'=])[0-9]{10})(?![0-9A-Za-z])")
"""As WordPress makes them (docs/protocols.md); one of digits alone may be a number of Playwright's."""

_PICTURES = (".jpeg", ".jpg", ".png", ".gif", ".webp")


def keep_clean(raw: Path, target: Path, headers: Iterable[str], values: Iterable[str]) -> None:
    """Copies the trace `raw` to `target` without the values of these headers and the other `values`.

    Raises:
        OSError: where `target` cannot be written.
        zipfile.BadZipFile: where `raw` is no trace.
    """
    known = {spelled for value in (*_told_by(headers), *values) for spelled in _spelled(value)}
    longest_first = sorted(known, key=len, reverse=True)
    secret = re.compile(b"|".join(map(re.escape, longest_first))) if known else _NONCE
    find_place(target).parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(target, mode=0o600) as file,
        zipfile.ZipFile(raw) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if not name.endswith(_PICTURES):
                data = _NONCE.sub(_STARS, secret.sub(_STARS, data))
            new.writestr(name, data)


def _told_by(headers: Iterable[str]) -> Iterable[str]:
    """Each header's value and what is in it: cookies, and the token or login behind a scheme."""
    for header in headers:
        yield header
        yield from (pair.partition("=")[2] for pair in header.split("; "))
        scheme, _, told = header.partition(" ")
        yield told
        if scheme.lower() == "basic":
            try:
                login = base64.b64decode(told).decode()
            except ValueError:
                continue
            yield login.partition(":")[2]


def _spelled(value: str) -> Iterable[bytes]:
    """The forms that a value takes in JSON, markup and addresses."""
    if len(value) >= _SHORTEST:
        yield from (form.encode() for form in (value, json.dumps(value)[1:-1], quote(value, safe="")))
