"""Cookies between the client's jar and the browser, in the terms of Chromium's debugging protocol."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chatgptt._models import StoredCookie
from chatgptt.net.cookies import jar_domain

if TYPE_CHECKING:
    from playwright.async_api import Cookie


def cookies_to_set(
    site: str, named: Iterable[tuple[str, str]], stored: Iterable[StoredCookie]
) -> list[dict[str, object]]:
    """Arguments of `Network.setCookies` for a site's origin: the caller's own cookies, and those of the jar.

    Cookies of a host go to the ports of its site alone.
    """
    cookies: list[dict[str, object]] = [{"name": name, "value": value} for name, value in named]
    cookies += [_fields_of(cookie) for cookie in stored]
    return [{**place, **cookie} for place in _places_of(site) for cookie in cookies]


def stored_cookies(cookies: Iterable[Cookie | Mapping[str, object]]) -> tuple[StoredCookie, ...]:
    """The browser's cookies as the jar has them."""
    return tuple(
        StoredCookie(
            name=str(cookie.get("name", "")),
            value=str(cookie.get("value", "")),
            domain=jar_domain(str(cookie.get("domain", ""))),
            path=str(cookie.get("path", "/")),
            is_secure=cookie.get("secure") is True,
            is_http_only=cookie.get("httpOnly") is True,
            expires=_maybe_time(cookie.get("expires")),
        )
        for cookie in cookies
    )


def _fields_of(cookie: StoredCookie) -> dict[str, object]:
    is_bare = cookie.domain.count(".") == 1 and cookie.domain.endswith(".local")
    return {
        "name": cookie.name,
        "value": cookie.value,
        "domain": cookie.domain.removesuffix(".local") if is_bare else cookie.domain,
        "path": cookie.path,
        "secure": cookie.is_secure,
        "httpOnly": cookie.is_http_only,
    }


def _maybe_time(expires: object) -> float | None:
    """A browser's time of expiry, which is -1 for a cookie of the session."""
    return float(expires) if isinstance(expires, int | float) and expires >= 0 else None


def _places_of(site: str) -> list[dict[str, object]]:
    """The schemes and ports that a site's cookies are for, as `may_carry_credentials` has it."""
    parts = urlsplit(site)
    safe = _place(f"https://{parts.netloc}/", "Secure", parts.port or 443)
    if parts.scheme == "https":
        return [safe]
    clear = _place(f"{site}/", "NonSecure", parts.port or 80)
    return [clear] if parts.port else [clear, safe]


def _place(url: str, scheme: str, port: int) -> dict[str, object]:
    return {"url": url, "sourceScheme": scheme, "sourcePort": port, "secure": scheme == "Secure"}
