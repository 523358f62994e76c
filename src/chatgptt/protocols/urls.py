"""Judges URLs: whether a page can be asked, which site it belongs to, and whether a message may go there.

The main rule is `is_same_site`: a page's scripts may name any admin-ajax URL, and a message goes only to the
site that the user named. Another scheme or `www.` is the same site, and so is a parent or child domain.
Another port is another site, unless each is the default port of its scheme.
"""

from __future__ import annotations

import functools
import re
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.address_spaces import is_address
from chatgptt.protocols.text import is_unicode

AJAX_PATH = "wp-admin/admin-ajax.php"
"""Where WordPress answers scripts, below the site's root (docs/protocols.md C1)."""

_HAS_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*):(?!\d)")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HINT = "give the page's address as https://host/path"

_MOST_KEPT = 64
"""Results that a function keeps, those used last. Few processes ask more pages at a time, and each further
address costs 1 us."""


def page_url(text: str) -> str:
    """The page that `text` names: an absolute http(s) URL without a fragment, https where it names no scheme.

    Raises:
        InvalidInputError: for another scheme, no host, or a URL that no request can be made of.
    """
    text = text.strip()
    shown = without_credentials(text)
    if not text:
        raise InvalidInputError("no page URL was given", hint=_HINT)
    if any(ord(character) < 0x21 or ord(character) == 0x7F for character in text) or not is_unicode(text):
        raise InvalidInputError(
            f"the URL {shown!r} holds white space, control characters or broken text", hint=_HINT
        )
    scheme = _HAS_SCHEME.match(text)
    if scheme is None:
        text = f"https://{text.removeprefix('//')}"
    elif not text[scheme.end() :].startswith("//"):
        raise InvalidInputError(f"the URL {shown!r} does not begin with http:// or https://", hint=_HINT)
    elif scheme[1].lower() not in _DEFAULT_PORTS:
        raise InvalidInputError(f"cannot ask a page over {scheme[1]!r}", hint=_HINT)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        host = _ascii(host or "")
    except ValueError:  # its words may quote a password
        raise InvalidInputError(f"{shown!r} is no URL", hint=_HINT) from None
    if not host or port == 0:
        raise InvalidInputError(f"{shown!r} names no host", hint=_HINT)
    login, at, _ = parts.netloc.rpartition("@")
    netloc = f"{login}{at}{f'[{host}]' if ':' in host else host}{'' if port is None else f':{port}'}"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    return urlunsplit((parts.scheme.lower(), netloc, path, parts.query, ""))


def _ascii(host: str) -> str:
    """A host name as it goes over the wire; ValueError for one that cannot."""
    if host.isascii():
        return host
    import idna  # here, since few hosts need its tables; httpx brings it

    return idna.encode(host, uts46=True).decode("ascii")


def has_host(url: str) -> bool:
    """Whether `url` is an absolute http(s) URL."""
    return _maybe_host_and_port(url) is not None


def without_credentials(address: str) -> str:
    """`address` without the `user:password@` in it, fit to be stored and shown; of any text.

    Where a URL is not in order, any part of it may be the password: what lies before its last `@` is left
    out then, and without an `@` all behind the first colon.
    """
    lead = _LEAD.match(address)
    start = lead.end() if lead else 0
    rest = address[start:]
    if rest.isascii() and ":" not in rest and "@" not in rest:
        return address
    authority = _BEHIND_AUTHORITY.split(rest, maxsplit=1)[0]
    is_in_order = _HOST_AND_PORT.fullmatch(authority.translate(_AT))
    is_cut_short = authority.endswith(":") and "@" in rest.translate(_AT)  # by a slash in the password
    if is_in_order and not is_cut_short:
        return address
    searched = authority if "@" in authority.translate(_AT) else rest
    end = searched.translate(_AT).rfind("@") + 1
    if not end and ":" not in rest:
        return address
    return address[:start] + (rest[end:] if end else f"{rest.partition(':')[0]}:***")


def without_login(url: str) -> tuple[str, tuple[str, str] | None]:
    """An address to store and show, and the user and password that were in it."""
    parts = urlsplit(url)
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    return without_credentials(url), login


_LEAD = re.compile(r"(?:\s*[a-zA-Z][a-zA-Z0-9+.-]*:[/\\]+)?[\s/\\]*")
_BEHIND_AUTHORITY = re.compile(r"[/?#\\]")
_HOST_AND_PORT = re.compile(r"(?:\[[^\]@\s]*\]|[^:@\s]*)(?::\d*)?")
_AT = {ord("\uff20"): "@", ord("\ufe6b"): "@"}
"""What becomes an `@` where a host's name is brought into its form for the wire."""


@functools.lru_cache(maxsize=_MOST_KEPT)  # a message needs that of its page several times, for 1 us each
def origin(url: str) -> str:
    """`scheme://host[:port]` of an absolute URL, lower case, a default port left out."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def site_of(ajax_url: str) -> str:
    """The site that an ajax URL belongs to: its origin and the path that WordPress is installed under."""
    root, found, _ = without_credentials(ajax_url).partition(f"/{AJAX_PATH}")
    return root if found else origin(ajax_url)


def is_same_site(url: str, page: str) -> bool:
    """Whether a message meant for `page` may be sent to `url`."""
    first, second = _maybe_host_and_port(url), _maybe_host_and_port(page)
    if first is None or second is None or first[1] != second[1]:
        return False
    if first == second:
        return True
    shorter, longer = sorted((first[0], second[0]), key=len)
    return "." in shorter and not is_address(longer) and longer.endswith(f".{shorter}")


def is_same_host(url: str, page: str) -> bool:
    """Whether two addresses are of one host, `www.` aside. A CDN below the site's domain is another one."""
    place = _maybe_host_and_port(url)
    return place is not None and place == _maybe_host_and_port(page)


def may_carry_credentials(url: str, page: str) -> bool:
    """Whether credentials for `page` may go to `url`: to its site, and over https if `page` is."""
    return is_same_site(url, page) and (urlsplit(url).scheme == "https" or urlsplit(page).scheme == "http")


@functools.lru_cache(maxsize=_MOST_KEPT)  # a page's own address is judged beside each address in it
def _maybe_host_and_port(url: str) -> tuple[str, int | None] | None:
    """The host of an absolute http(s) URL without `www.`, and its port, None for its scheme's own."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not host or port == 0:
        return None
    return host.removeprefix("www."), None if port == _DEFAULT_PORTS[parts.scheme] else port
