"""Calls a dead-man's switch: a service that raises the alarm when calls stop, or when a call reports failure.

The service may redirect as a page may: to http and https, and no further into this network than its own
address.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx

from chatgptt._errors import InvalidInputError
from chatgptt.net.lookup import look_up
from chatgptt.net.proxies import Proxies
from chatgptt.protocols.addresses import Space, is_further_in, space_of
from chatgptt.protocols.urls import has_host, origin

_log = logging.getLogger("chatgptt.health")

_TIMEOUT = 10.0
"""Seconds, and 3 tries: what such services advise their callers to do."""
_TRIES = 3
_MOST_REDIRECTS = 5


def ping_target(url: str, *, is_working: bool) -> str:
    """The URL to call: as given, with `/fail` at the end of its path where something is wrong.

    Raises:
        InvalidInputError: for what is no http(s) URL.
    """
    target = url
    try:
        if not is_working:
            parts = urlsplit(url)
            target = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))
        httpx.Request("GET", target)
        is_sound = has_host(url)
    except (httpx.InvalidURL, ValueError, TypeError):  # IDNAError and UnicodeError are ValueErrors
        is_sound = False
    if not is_sound:
        # No part of it is shown. It is a secret, and the start of its path is unknown.
        raise InvalidInputError("the URL to ping is not a URL", hint="give it as https://host/path")
    return target


async def ping(
    url: str, *, is_working: bool, proxy: str = "", sleep: Callable[[float], Awaitable[None]] = anyio.sleep
) -> bool:
    """Calls the switch. Where it cannot be reached, logs a warning and returns False.

    The URL's path is a secret of its owner, so it is not logged.
    """
    target, proxies = ping_target(url, is_working=is_working), Proxies(proxy or None)
    problem = ""
    try:
        client = httpx.AsyncClient(proxy=proxy or None, timeout=_TIMEOUT)
    except (ImportError, ValueError, httpx.InvalidURL):  # no socks package, or no proxy's URL
        _log.warning("the dead-man's switch at %s could not be called: no such proxy", origin(target))
        return False
    async with client as http:
        for attempt in range(_TRIES):
            if attempt:
                await sleep(float(attempt))
            try:
                with anyio.fail_after(_TIMEOUT):
                    status = await _call(http, target, proxies)
            except _Astray as error:
                problem = str(error)
                break
            except Exception as error:  # noqa: BLE001 - wherever the switch leads, the check's verdict stands
                problem = type(error).__name__
                continue
            if 200 <= status < 300:
                return True
            problem = f"HTTP {status}"
            if status < 500 and status != 429:
                break
    _log.warning("the dead-man's switch at %s could not be called: %s", origin(target), problem)
    return False


class _Astray(Exception):
    """The switch redirects to a forbidden address; the message says why."""


async def _call(http: httpx.AsyncClient, target: str, proxies: Proxies) -> int:
    """The status of the last reply, redirects followed; its body is not read.

    Raises:
        _Astray: see there.
    """
    request = http.build_request("GET", target)
    home = request.url.host
    for _ in range(_MOST_REDIRECTS + 1):
        response = await http.send(request, stream=True)
        await response.aclose()
        if response.next_request is None:
            return response.status_code
        request = response.next_request
        if request.url.scheme not in ("http", "https") or not request.url.host:
            raise _Astray("it redirects to an address that is not http or https")
        is_proxied = proxies.find(str(request.url)) is not None
        if await _leads_in(request.url.host, home, is_proxied=is_proxied):
            raise _Astray("it redirects further into this network than it is itself")
        # A login of the switch's own is in the headers by now, and goes to its own address alone.
        request.url = request.url.copy_with(userinfo=b"")
    raise _Astray("it redirects in a circle")


async def _leads_in(host: str, home: str, *, is_proxied: bool) -> bool:
    """Whether a host lies further in than the one that was named; a proxy looks names up by itself."""
    if is_further_in(host, home):
        return True
    if host == home or is_proxied:
        return False
    spaces, at_home = await _spaces_of(host), await _spaces_of(home)
    return min(spaces, default=Space.PUBLIC) < max(at_home, default=Space.PUBLIC)


async def _spaces_of(host: str) -> list[Space]:
    try:
        return [space_of(address) for address in await look_up(host, 0)]
    except OSError:  # connecting fails in the same way, with an error
        return []
