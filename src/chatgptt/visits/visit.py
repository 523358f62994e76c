"""A person's visit as a value: the cookies, local storage and user agent of one site's origin.

A visit has only what a browser would send to its origin, or show to the origin's scripts. The host with
`www.` and the one without are one site here, since most sites lead from one to the other. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from chatgptt._models import StoredCookie

VisitSource = Literal["browser", "file"]

_LOGIN_COOKIE = "wordpress_logged_in_"
"""How the name of WordPress's login cookie begins. Its value is `user|end|token|hash`."""

_UNKNOWN_SPAN = 3600.0
"""Seconds for which a login is good at least whose cookie does not say when it ends."""

_MOST_COOKIES = 300
"""Chromium keeps 180 for a domain."""
_MOST_COOKIE_CHARACTERS = 4096
"""Of a name, a value and a path together."""
_MOST_STORAGE_BYTES = 1_000_000
"""Of local storage, as it is kept. Entries that do not fit are left out: each call reads them."""

_SLIDING = 3600.0
"""Seconds by which a cookie's end has to move to be worth a write: some sites move it with each reply. Half
of the time that the cookie has left is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageItem:
    """An entry of an origin's local storage."""

    origin: str
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a browser holds, of any number of sites."""

    cookies: tuple[StoredCookie, ...] = field(default=(), repr=False)
    storage: tuple[StorageItem, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A visit to the origin `site`.

    Attributes:
        id: tells the visits to a site apart. It stays when the site renews cookies.
        made_at: Unix time.
        source: a browser's window, or a file that another program wrote.
        user_agent: the browser's; "" where it is unknown.
        is_member: whether there was a WordPress login. It stays true when the login has ended.
    """

    site: str
    id: str = field(repr=False)
    made_at: float
    source: VisitSource
    user_agent: str
    cookies: tuple[StoredCookie, ...] = field(repr=False)
    storage: tuple[StorageItem, ...] = field(repr=False)
    is_member: bool

    def with_changes(self, changes: CookieChanges) -> Visit:
        """The visit after the site has changed some cookies, one of which may be a login."""
        cookies = changes.apply(self.cookies)
        return replace(self, cookies=cookies, is_member=self.is_member or any(map(_is_login, cookies)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A WordPress login: the user's name, and the Unix time at which it ends."""

    user: str
    ends_at: float


def make_visit(
    site: str,
    contents: Contents,
    *,
    name: str,
    made_at: float,
    source: VisitSource,
    user_agent: str = "",
) -> Visit:
    """The part of `contents` that belongs to the origin `site`; `name` is the visit's id."""
    cookies = cookies_of(site, contents.cookies)
    return Visit(
        site=site,
        id=name,
        made_at=made_at,
        source=source,
        user_agent=user_agent,
        cookies=cookies,
        storage=storage_of(site, contents.storage),
        is_member=any(map(_is_login, cookies)),
    )


def cookies_of(site: str, cookies: Iterable[StoredCookie]) -> tuple[StoredCookie, ...]:
    """The cookies that some request to `site` would carry."""
    origins = _spellings_of(site)
    found = [
        cookie
        for cookie in cookies
        if _can_be_sent(cookie) and any(is_carried(cookie, origin) for origin in origins)
    ]
    return tuple(_by_key(found).values())[:_MOST_COOKIES]


def is_carried(cookie: StoredCookie, url: str) -> bool:
    """Whether a request to a host of `url`, with the right path, carries a cookie, as browsers have it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = host if "." in host else f"{host}.local"  # as Python's jar calls it
    domain = cookie.domain.lower()
    if cookie.is_secure and parts.scheme != "https":
        return False
    if domain.startswith(".") and domain.count(".") > 1:
        return f".{place}".endswith(domain)
    return domain == place


def _spellings_of(site: str) -> list[str]:
    """The origins that are one site. An http site may lead to https, where a person then logs in."""
    scheme, _, host = site.partition("://")
    other = host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
    return [f"{each}://{name}" for each in dict.fromkeys((scheme, "https")) for name in (host, other)]


def _can_be_sent(cookie: StoredCookie) -> bool:
    """Whether it can stand in a header, and is no longer than browsers allow."""
    is_short = len(cookie.name) + len(cookie.value) + len(cookie.path) < _MOST_COOKIE_CHARACTERS
    is_name = re.fullmatch(r"[!-~]+", cookie.name) and not set(cookie.name) & set("=;,")
    return bool(is_short and is_name and all(map(_is_header_text, (cookie.value, cookie.path))))


def _is_header_text(text: str) -> bool:
    return text == text.strip() and bool(re.fullmatch(r"[ -:<-~]*", text))


def storage_of(site: str, storage: Iterable[StorageItem]) -> tuple[StorageItem, ...]:
    """The local storage of a site's origins."""
    origins, left, kept = _spellings_of(site), _MOST_STORAGE_BYTES, []
    for item in storage:
        size = len(json.dumps({"origin": item.origin, "name": item.name, "value": item.value}))
        if item.origin in origins and size <= left:
            left -= size
            kept.append(item)
    return tuple(kept)


# Its login


def _is_login(cookie: StoredCookie) -> bool:
    return cookie.name.startswith(_LOGIN_COOKIE) and cookie.value != ""


def find_login(visit: Visit, now: float) -> Login | None:
    """The WordPress login of a visit; None where there is none, or it has ended."""
    for cookie in visit.cookies:
        if not _is_login(cookie) or (cookie.expires is not None and cookie.expires <= now):
            continue
        user, _, rest = unquote(cookie.value).partition("|")
        end = rest.partition("|")[0]
        ends_at = float(end) if re.fullmatch(r"[0-9]{1,11}", end) else now + _UNKNOWN_SPAN
        if user and ends_at > now:
            return Login(user=user[:100], ends_at=ends_at)
    return None


def has_ended(visit: Visit, now: float) -> bool:
    """Whether there was a login, and there is none any more."""
    return visit.is_member and find_login(visit, now) is None


# Its changes


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieChanges:
    """What a site did to its cookies: those that it changed, as they were and as they are."""

    before: tuple[StoredCookie, ...] = field(repr=False)
    after: tuple[StoredCookie, ...] = field(repr=False)

    def __bool__(self) -> bool:
        return bool(self.before or self.after)

    @property
    def removed(self) -> frozenset[_Key]:
        """Domain, path and name of each cookie that is gone."""
        return frozenset(_by_key(self.before).keys() - _by_key(self.after).keys())

    def apply(self, cookies: tuple[StoredCookie, ...]) -> tuple[StoredCookie, ...]:
        """The cookies after the changes, save to those that another process has changed meanwhile."""
        known, before, after = _by_key(cookies), _by_key(self.before), _by_key(self.after)
        for key in before | after:
            if _maybe_value(known.get(key)) != _maybe_value(before.get(key)):
                continue
            if key in after:
                known[key] = after[key]
            else:
                known.pop(key, None)
        return tuple(known.values())[:_MOST_COOKIES]


def changes_between(
    old: tuple[StoredCookie, ...], new: tuple[StoredCookie, ...], *, now: float
) -> CookieChanges:
    """What differs enough to be kept at the Unix time `now`."""
    before, after = _by_key(old), _by_key(new)
    keys = {key for key in before | after if _differs(before.get(key), after.get(key), now)}
    return CookieChanges(
        before=tuple(cookie for key, cookie in before.items() if key in keys),
        after=tuple(cookie for key, cookie in after.items() if key in keys),
    )


def _differs(old: StoredCookie | None, new: StoredCookie | None, now: float) -> bool:
    if old is None or new is None or old.value != new.value:
        return True
    if old.expires is None or new.expires is None:
        return old.expires != new.expires
    return abs(old.expires - new.expires) > min(_SLIDING, max(old.expires - now, 0.0) / 2)


_Key = tuple[str, str, str]


def _by_key(cookies: Iterable[StoredCookie]) -> dict[_Key, StoredCookie]:
    return {(cookie.domain, cookie.path, cookie.name): cookie for cookie in cookies}


def _maybe_value(cookie: StoredCookie | None) -> str | None:
    return None if cookie is None else cookie.value
