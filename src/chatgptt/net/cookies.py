"""The cookies of one visitor: which ones are taken, and in what form they are kept."""

from __future__ import annotations

import contextlib
import os
import re
import urllib.request
from collections.abc import Iterator
from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy

import httpx

from chatgptt._models import StoredCookie


def drop_cookies(request: httpx.Request, names: set[str]) -> None:
    """Takes cookies out of a request by name."""
    pairs = request.headers.pop("cookie", "").split("; ")
    kept = [pair for pair in pairs if pair and pair.partition("=")[0] not in names]
    if kept:
        request.headers["cookie"] = "; ".join(kept)


class CookieRules(DefaultCookiePolicy):
    """Which cookies of a site are taken: Python's own rules, and those of browsers."""

    def set_ok(self, cookie: Cookie, request: urllib.request.Request) -> bool:
        """See CookiePolicy."""
        words = f"{cookie.name}={cookie.value or ''}"
        is_sane = len(words) <= _MAX_COOKIE_CHARACTERS and not re.search("[\x00-\x1f\x7f]", words)
        return is_sane and super().set_ok(cookie, request)


class VisitorsCookies(CookieJar):
    """The cookies of one visitor, in whichever event loop, thread or forked child requests are sent."""

    def __init__(self, rules: CookieRules) -> None:
        super().__init__(rules)
        self._process = os.getpid()
        self._rules = rules

    def __iter__(self) -> Iterator[Cookie]:
        with self._cookies_lock:  # type: ignore[attr-defined]
            return iter(tuple(super().__iter__()))

    def set_cookie(self, cookie: Cookie) -> None:
        """Takes a cookie. A jar that is full takes no new one: the login is among the old ones."""
        key = cookie.domain, cookie.path, cookie.name
        if len(self) < _MOST_COOKIES or any((one.domain, one.path, one.name) == key for one in self):
            super().set_cookie(cookie)

    def discard(self, domain: str, path: str, name: str) -> None:
        """Removes a cookie, where there is one."""
        with contextlib.suppress(KeyError):
            self.clear(domain, path, name)

    def of_this_process(self) -> VisitorsCookies:
        """The jar; in a forked child a copy, since the lock of this one may be locked there for ever."""
        if self._process == os.getpid():
            return self
        copy = VisitorsCookies(self._rules)
        for cookie in super().__iter__():
            copy.set_cookie(cookie)
        return copy


_MOST_COOKIES = 300
"""As many as a visit has. All that are for a page are sent with each request to it."""

_MAX_COOKIE_CHARACTERS = 4096
"""RFC 6265, section 6.1."""


def jar_domain(domain: str) -> str:
    """Python's cookie jar calls a host without a dot `.local`."""
    return domain if "." in domain else f"{domain}.local"


def read_cookie(cookie: Cookie) -> StoredCookie:
    """A cookie of Python's jar in the form that is kept."""
    is_http_only = any(map(cookie.has_nonstandard_attr, ("HttpOnly", "httponly", "HTTPOnly")))
    return StoredCookie(
        name=cookie.name,
        value=cookie.value or "",
        domain=cookie.domain,
        path=cookie.path,
        is_secure=cookie.secure,
        is_http_only=is_http_only,
        expires=cookie.expires,
    )


def make_cookie(cookie: StoredCookie) -> Cookie:
    """A stored cookie in the form that Python's jar takes."""
    has_dot = cookie.domain.startswith(".")
    return Cookie(
        version=0,
        name=cookie.name,
        value=cookie.value,
        port=None,
        port_specified=False,
        domain=cookie.domain,
        domain_specified=has_dot,
        domain_initial_dot=has_dot,
        path=cookie.path,
        path_specified=True,
        secure=cookie.is_secure,
        expires=None if cookie.expires is None else int(cookie.expires),
        discard=cookie.expires is None,
        comment=None,
        comment_url=None,
        rest={"HttpOnly": ""} if cookie.is_http_only else {},
    )
