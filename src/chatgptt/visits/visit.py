"""A person's visit as a value: the cookies, local storage and user agent of one site's origin.

A visit has only what a browser would send to its origin, or show to the origin's scripts. The host with
`www.` and the one without are one site here, since most sites lead from one to the other. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from chatgptt._models import StoredCookie

VisitSource = Literal["browser", "file"]

_LOGIN_COOKIE = "wordpress_logged_in_"
"""How the name of WordPress's login cookie begins. Its value is `user|end|token|hash`."""

_GRACE = 3600.0
"""Seconds for which WordPress takes a login that has ended, for messages and other requests of scripts."""

_MOST_COOKIES = 300
"""Chromium keeps 180 for a domain."""
_MOST_COOKIE_CHARACTERS = 4096
_MOST_STORAGE_CHARACTERS = 500_000
"""Of local storage, names and values together. Entries that do not fit are left out: each call reads them."""

_SLIDING = 3600.0
"""Seconds by which a cookie's end has to move to be worth a write: some sites move it with each reply."""


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
        """The visit after the site has changed some cookies."""
        return replace(self, cookies=changes.apply(self.cookies))


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
        storage=_storage_of(site, contents.storage),
        is_member=any(cookie.name.startswith(_LOGIN_COOKIE) for cookie in cookies),
    )


def cookies_of(site: str, cookies: Iterable[StoredCookie]) -> tuple[StoredCookie, ...]:
    """The cookies that some request to `site` would carry."""
    origins = _spellings_of(site)
    found = [
        cookie
        for cookie in cookies
        if _can_be_sent(cookie) and any(is_carried(cookie, origin) for origin in origins)
    ]
    return tuple({_key_of(cookie): cookie for cookie in found}.values())[:_MOST_COOKIES]


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


def _spellings_of(site: str) -> tuple[str, str]:
    scheme, _, rest = site.partition("://")
    return site, f"{scheme}://{rest.removeprefix('www.') if rest.startswith('www.') else f'www.{rest}'}"


def _can_be_sent(cookie: StoredCookie) -> bool:
    """Whether it can stand in a header, and is no longer than browsers allow."""
    is_short = len(cookie.name) + len(cookie.value) < _MOST_COOKIE_CHARACTERS
    is_name = re.fullmatch(r"[!-~]+", cookie.name) and not set(cookie.name) & set("=;,")
    return bool(is_short and is_name and re.fullmatch(r"[ -:<-~]*", cookie.value))


def _storage_of(site: str, storage: Iterable[StorageItem]) -> tuple[StorageItem, ...]:
    origins, left, kept = _spellings_of(site), _MOST_STORAGE_CHARACTERS, []
    for item in storage:
        size = len(item.name) + len(item.value)
        if item.origin in origins and size <= left:
            left -= size
            kept.append(item)
    return tuple(kept)


# Its login


def find_login(visit: Visit, now: float) -> Login | None:
    """The WordPress login of a visit; None where there is none, or it has ended."""
    for cookie in visit.cookies:
        if not cookie.name.startswith(_LOGIN_COOKIE) or (cookie.expires or now + 1) <= now:
            continue
        user, _, rest = unquote(cookie.value).partition("|")
        end = rest.partition("|")[0]
        ends_at = float(end) if re.fullmatch(r"[0-9]{1,11}", end) else now + _GRACE
        if user and ends_at + _GRACE > now:
            return Login(user=user[:100], ends_at=ends_at)
    return None


def has_ended(visit: Visit, now: float) -> bool:
    """Whether there was a login, and there is none any more."""
    return visit.is_member and find_login(visit, now) is None


# Its changes


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieChanges:
    """What a site did to its cookies."""

    set: tuple[StoredCookie, ...] = field(repr=False)
    removed: frozenset[tuple[str, str, str]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.set or self.removed)

    def apply(self, cookies: tuple[StoredCookie, ...]) -> tuple[StoredCookie, ...]:
        """The cookies after the changes."""
        known = {_key_of(cookie): cookie for cookie in (*cookies, *self.set)}
        return tuple(cookie for key, cookie in known.items() if key not in self.removed)[:_MOST_COOKIES]


def changes_between(old: tuple[StoredCookie, ...], new: tuple[StoredCookie, ...]) -> CookieChanges:
    """What differs enough to be kept."""
    known, keys = {_key_of(cookie): cookie for cookie in old}, {_key_of(cookie) for cookie in new}
    return CookieChanges(
        set=tuple(cookie for cookie in new if _differs(known.get(_key_of(cookie)), cookie)),
        removed=frozenset(known.keys() - keys),
    )


def _differs(old: StoredCookie | None, new: StoredCookie) -> bool:
    if old is None or old.value != new.value or (old.expires is None) != (new.expires is None):
        return True
    return abs((old.expires or 0.0) - (new.expires or 0.0)) > _SLIDING


def _key_of(cookie: StoredCookie) -> tuple[str, str, str]:
    return cookie.domain, cookie.path, cookie.name
