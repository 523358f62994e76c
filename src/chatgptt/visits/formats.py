"""The files of visits: Playwright's `storage_state.json`, Netscape's `cookies.txt`, and our own. Pure.

Another person may have made a file, so each value in it is checked. No error quotes one: it may be a cookie.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import fields
from typing import get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import StoredCookie
from chatgptt.net.cookies import jar_domain
from chatgptt.protocols.urls import origin
from chatgptt.state.folder import NotOursError
from chatgptt.visits.visit import Contents, StorageItem, Visit, VisitSource, cookies_of, storage_of

MAX_FILE_BYTES = 16 * 2**20
"""A browser's state of many sites is some megabytes; of it, one site is kept."""

_FORMAT = 1
_HTTP_ONLY = "#HttpOnly_"
_HINT = "give Playwright's storage_state.json, or a cookies.txt in Netscape's form (docs/login.md)"


def read_contents(data: bytes) -> Contents:
    """The contents of a file that another program wrote.

    Raises:
        InvalidInputError: for a file in neither of the two forms.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError("the file of the visit is no text", hint=_HINT) from None
    return _read_storage_state(text) if text.lstrip().startswith("{") else _read_cookies_txt(text)


def _read_storage_state(text: str) -> Contents:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInputError("the file of the visit is broken JSON", hint=_HINT) from None
    if not isinstance(state, dict) or not isinstance(state.get("cookies"), list):
        raise InvalidInputError("the file of the visit has no list of cookies", hint=_HINT)
    cookies = [_read_cookie(number, cookie) for number, cookie in enumerate(state["cookies"])]
    origins = state.get("origins")
    storage = [item for part in origins for item in _read_storage(part)] if isinstance(origins, list) else []
    return Contents(cookies=tuple(cookies), storage=tuple(storage))


def _read_cookie(number: int, cookie: object) -> StoredCookie:
    match cookie:
        case {"name": str(name), "value": str(value), "domain": str(domain), **more}:
            path = more.get("path")
            return StoredCookie(
                name=name,
                value=value,
                domain=jar_domain(domain),
                path=path if isinstance(path, str) and path.startswith("/") else "/",
                is_secure=more.get("secure") is True,
                is_http_only=more.get("httpOnly") is True,
                expires=_maybe_end(more.get("expires")),
            )
        case _:
            raise InvalidInputError(
                f"cookies[{number}] of the visit's file lacks a name, a value or a domain", hint=_HINT
            )


def _read_storage(part: object) -> Iterable[StorageItem]:
    match part:
        case {"origin": str(address), "localStorage": list(entries)}:
            try:
                site = origin(address)
            except ValueError:
                return
            for entry in entries:
                match entry:
                    case {"name": str(name), "value": str(value)}:
                        yield StorageItem(origin=site, name=name, value=value)


def _read_cookies_txt(text: str) -> Contents:
    """A cookie is a line of seven fields with tabs between them: domain, whether the hosts below it get the
    cookie, path, whether it needs https, Unix time of its end or 0, name, value. A broken line, which may be
    another site's, spoils no other.
    """
    cookies, broken = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        is_http_only = line.startswith(_HTTP_ONLY)
        line = line.removeprefix(_HTTP_ONLY).rstrip("\r")
        if not line.strip() or line.startswith(("#", "$")):
            continue
        parts = line.split("\t")
        if len(parts) != 7:
            broken = broken or number
            continue
        domain, is_wide, path, is_secure, end, name, value = parts
        host = domain.removeprefix(".")
        cookies.append(
            StoredCookie(
                name=name,
                value=value,
                domain=jar_domain(f".{host}" if is_wide.upper() == "TRUE" else host),
                path=path if path.startswith("/") else "/",
                is_secure=is_secure.upper() == "TRUE",
                is_http_only=is_http_only,
                expires=_maybe_end(_number(end)),
            )
        )
    if broken and not cookies:
        raise InvalidInputError(f"line {broken} of the visit's file is no cookie", hint=_HINT)
    return Contents(cookies=tuple(cookies))


def _number(text: str) -> float:
    try:
        return float(text) or -1.0  # 0 is a cookie of the session
    except ValueError:
        return -1.0


def _maybe_end(value: object) -> float | None:
    """A cookie's end; None for a cookie of the session."""
    return float(value) if isinstance(value, int | float) and 0 <= value < 2**53 else None


# Our own


def encode(visit: Visit) -> bytes:
    """The file of a visit."""
    content = {
        "format": _FORMAT,
        "site": visit.site,
        "id": visit.id,
        "made_at": visit.made_at,
        "source": visit.source,
        "user_agent": visit.user_agent,
        "is_member": visit.is_member,
        "cookies": [_fields_of(cookie) for cookie in visit.cookies],
        "storage": [_fields_of(item) for item in visit.storage],
    }
    return json.dumps(content).encode()


def _fields_of(value: StoredCookie | StorageItem) -> dict[str, object]:
    return {part.name: getattr(value, part.name) for part in fields(value)}


def decode(data: bytes, site: str) -> Visit | None:
    """The visit in the file of a site; None for anything else.

    Raises:
        NotOursError: for the file of a later version.
    """
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("site") != site:
        return None
    number = record.pop("format", None)
    if isinstance(number, int) and number > _FORMAT:
        raise NotOursError("was written by a later version")
    try:
        cookies = tuple(StoredCookie(**cookie) for cookie in record["cookies"])
        storage = tuple(StorageItem(**item) for item in record["storage"])
        visit = Visit(**{**record, "cookies": cookies, "storage": storage})
    except (KeyError, TypeError):
        return None
    texts = [visit.id, visit.user_agent]
    texts += [text for item in storage for text in (item.origin, item.name, item.value)]
    is_sane = (
        all(isinstance(text, str) for text in texts)
        and all(cookie.is_sane for cookie in cookies)
        and (cookies, storage) == (cookies_of(site, cookies), storage_of(site, storage))
        and re.fullmatch(r"(?! )[ -~]*(?<! )", visit.user_agent) is not None
        and isinstance(visit.made_at, int | float)
        and 0 <= visit.made_at < 1e11  # calendars end
        and visit.source in get_args(VisitSource)
        and isinstance(visit.is_member, bool)
    )
    return visit if is_sane else None
