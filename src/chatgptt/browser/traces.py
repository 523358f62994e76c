"""A trace of a visit without secrets, so that it can be shown to others.

Playwright writes everything, with every header, cookie and nonce, to a file that every user can read. This
module writes a copy that only its owner can read. Stars replace each value that identifies a person. Pictures
stay as they are.
"""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.protocols.urls import without_credentials
from chatgptt.state.files import find_place, replacing

_STARS = "***"
_SHORTEST = 6
"""Characters of a value that is searched in all of a trace. A shorter one would be found everywhere. It is
removed only behind its name."""

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-wp-nonce"})

_NONCE = re.compile(rb"(?<![0-9A-Za-z])(?:(?=[0-9]*[a-f])[0-9a-f]{10}|(?<=[\"'=])[0-9]{10})(?![0-9A-Za-z])")
"""As WordPress makes them (docs/protocols.md); one of digits alone may be a number of Playwright's."""

_PICTURES = (".jpeg", ".jpg", ".png", ".gif", ".webp")
_RECORDS = (".trace", ".network")
"""JSON, a line a record."""

_Pair = tuple[str, str]


def write_clean_trace(
    raw: Path, target: Path, *, identity: VisitorIdentity, cookies: Iterable[_Pair]
) -> None:
    """Copies the trace `raw` to `target` without the visitor's headers, logins, storage and these cookies.

    Raises:
        OSError: where `target` cannot be written.
        zipfile.BadZipFile: where `raw` is no trace.
    """
    names = _SECRET_HEADERS | {name.lower() for name, _ in identity.headers}
    secret = _pattern(identity, tuple(cookies))
    find_place(target).parent.mkdir(parents=True, exist_ok=True)
    with (
        replacing(target, mode=0o600) as file,
        zipfile.ZipFile(raw) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(_RECORDS):
                data = b"".join(_without_values(line, names) for line in data.splitlines())
            if not name.endswith(_PICTURES):
                data = secret.sub(_STARS.encode(), data)
            new.writestr(name, data)


def _without_values(line: bytes, names: frozenset[str]) -> bytes:
    """A record without the values of cookies, storage and these headers; "" for one that cannot be read."""

    def star(part: dict[str, object]) -> dict[str, object]:
        if str(part.get("name")).lower() in names and "value" in part:
            part["value"] = _STARS
        for held in (part.get("cookies"), part.get("localStorage")):
            for entry in held if isinstance(held, list) else ():
                if isinstance(entry, dict) and "value" in entry:
                    entry["value"] = _STARS
        url = part.get("url")
        if isinstance(url, str) and url.startswith("http"):
            part["url"] = without_credentials(url)
        return {key: _STARS if key.lower() in _SECRET_HEADERS else value for key, value in part.items()}

    try:
        return json.dumps(json.loads(line, object_hook=star)).encode() + b"\n"
    except (ValueError, RecursionError):
        return b""


def _pattern(identity: VisitorIdentity, cookies: tuple[_Pair, ...]) -> re.Pattern[bytes]:
    """What is a secret wherever it stands: values of some length, short ones behind their names, nonces."""
    values = [*_secrets_in(value for _, value in identity.headers), *(value for _, value in cookies)]
    values += [item.value for item in identity.storage]
    parts = urlsplit(identity.proxy.url if identity.proxy is not None else "")
    values += [unquote(parts.password or ""), parts.netloc.rpartition("@")[0]]
    known = {form for value in values if len(value) >= _SHORTEST for form in _spellings_of(value)}
    pairs = {f"{name}={value}".encode() for name, value in (*cookies, *identity.cookies) if value}
    words = [re.escape(form) for form in sorted(known, key=len, reverse=True)]
    words += [rb"(?<!\w)" + re.escape(pair) + rb"(?!\w)" for pair in sorted(pairs, key=len, reverse=True)]
    return re.compile(b"|".join([*words, _NONCE.pattern]))


def _secrets_in(headers: Iterable[str]) -> Iterable[str]:
    """Each header's value and what is in it: cookies, and the token or login behind a scheme."""
    for header in headers:
        yield header
        yield from (pair.partition("=")[2] for pair in header.split("; "))
        scheme, _, credentials = header.partition(" ")
        yield credentials
        if scheme.lower() == "basic":
            try:
                login = base64.b64decode(credentials).decode()
            except ValueError:
                continue
            yield login.partition(":")[2]


def _spellings_of(value: str) -> Iterable[bytes]:
    """The forms that a value takes in JSON, markup and addresses."""
    return (form.encode() for form in (value, json.dumps(value)[1:-1], quote(value, safe="")))
