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
from chatgptt.net.http import host_and_port
from chatgptt.net.lookup import look_up
from chatgptt.net.proxies import Proxies
from chatgptt.net.reach import OutOfReachError, Reach
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
    target = ping_target(url, is_working=is_working)
    problem = await _try(target, proxy, sleep)
    if problem:
        _log.warning("the dead-man's switch at %s could not be called: %s", origin(target), problem)
    return not problem


async def _try(target: str, proxy: str, sleep: Callable[[float], Awaitable[None]]) -> str:
    """Why the switch could not be called, in words; "" where it was."""
    problem = ""
    try:
        client = _open(target, proxy)
    except (ImportError, ValueError, httpx.InvalidURL):  # no socks package, or no proxy's URL
        return "no such proxy"
    async with client as http:
        for attempt in range(_TRIES):
            if attempt:
                await sleep(float(attempt))
            try:
                with anyio.fail_after(_TIMEOUT):
                    async with http.stream("GET", target) as response:  # its body is not read
                        status = response.status_code
            except OutOfReachError:
                return "it redirects further into this network than it is itself"
            except httpx.TooManyRedirects:
                return "it redirects in a circle"
            except Exception as error:  # noqa: BLE001 - wherever the switch leads, the check's verdict stands
                problem = type(error).__name__
                continue
            if 200 <= status < 300:
                return ""
            problem = f"HTTP {status}"
            if status < 500 and status != 429:
                break
    return problem


def _open(target: str, proxy: str) -> httpx.AsyncClient:
    """A client that follows redirects as far as they may lead."""
    reach, proxies = Reach(host_and_port(target)[0]), Proxies(proxy or None)

    async def check(request: httpx.Request) -> None:
        host, port = host_and_port(str(request.url))
        reach.check_name(host, port)
        if proxies.find(str(request.url)) is None:  # a proxy looks names up by itself
            await reach.find_addresses(host, port, look_up)

    return httpx.AsyncClient(
        proxy=proxy or None,
        timeout=_TIMEOUT,
        follow_redirects=True,
        max_redirects=_MOST_REDIRECTS,
        event_hooks={"request": [check]},
    )
