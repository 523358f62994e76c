"""Checks the arguments of public calls before anything is sent.

The error names only the type of a wrong value: the value may be a secret in the wrong place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from chatgptt._errors import InvalidInputError

_MAX_NAME_BYTES = 255
"""Of one part of a path, on every common file system."""


def check_kind(name: str, value: object, *kinds: type | None, wanted: str) -> None:
    """Refuses a value whose type is not in `kinds`. None is a kind too. True and False are no numbers.

    Raises:
        InvalidInputError: with what is `wanted`.
    """
    classes = tuple(type(None) if kind is None else kind for kind in kinds)
    if not isinstance(value, classes) or (isinstance(value, bool) and bool not in classes):
        raise InvalidInputError(f"{name} is of the type {type(value).__name__}", hint=f"give {wanted}")


def check_seconds(value: float, name: str = "timeout") -> float:
    """Seconds, above 0.

    Raises:
        InvalidInputError: for anything else.
    """
    check_kind(name, value, int, float, wanted="a number of seconds")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = 0.0
    if not seconds > 0:
        raise InvalidInputError(f"a {name} of {value!r:.20} s leaves no time", hint="give seconds above 0")
    return seconds


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Headers, names in lower case. httpx would quote a value that cannot be sent, and it may be a secret.

    Raises:
        InvalidInputError: for what can be no headers.
    """
    check_kind("headers", headers, Mapping, None, wanted='a mapping, {"name": "value"}')
    for name, value in (headers or {}).items():
        check_kind("the name of a header", name, str, wanted="text")
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise InvalidInputError(f"{name[:80]!r} is not a valid header name", hint="check headers")
        check_kind(f"the value of the header {name!r}", value, str, wanted="text")
        if not re.fullmatch(r"[\t\x20-\x7e]*", value) or value != value.strip():
            raise InvalidInputError(
                f"the value of the header {name!r} cannot be sent",
                hint="use printable ASCII, without blanks around it",
            )
    return {name.lower(): value for name, value in (headers or {}).items()}


def check_folder(name: str, value: str | os.PathLike[str]) -> Path:
    """The path of a folder, which need not exist.

    Raises:
        InvalidInputError: for a value that cannot be a path.
    """
    path = os.fspath(value)
    check_kind(name, path, str, wanted="the path of a folder")
    try:
        parts = [os.fsencode(part) for part in Path(path).parts]
    except UnicodeEncodeError:
        parts = [b"\0"]
    if any(b"\0" in part or len(part) > _MAX_NAME_BYTES for part in parts):
        raise InvalidInputError(f"{name} cannot be a path on this system", hint="name a folder")
    return Path(path)
