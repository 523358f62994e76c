"""Calls a dead-man's switch: a service that raises the alarm when calls stop, or one says that it failed."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit, urlunsplit

import anyio
import httpx

from chatgptt._errors import InvalidInputError
from chatgptt.protocols.urls import has_host, origin

__all__ = ["ping", "ping_target"]

_log = logging.getLogger("chatgptt.health")

_TIMEOUT = 10.0
"""Seconds, and 3 tries: what such services advise their callers to do."""
_TRIES = 3


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
        # Not even a part of it is shown: it is a secret, and where its path begins cannot be told.
        raise InvalidInputError("the URL to ping is none", hint="give it as https://host/path")
    return target


async def ping(
    url: str, *, is_working: bool, proxy: str = "", sleep: Callable[[float], Awaitable[None]] = anyio.sleep
) -> bool:
    """Calls the switch; False, and a warning in the log, where it could not be reached.

    The URL's path is a secret of its owner, so it is not logged.
    """
    target = ping_target(url, is_working=is_working)
    problem = ""
    try:
        client = httpx.AsyncClient(proxy=proxy or None, timeout=_TIMEOUT, follow_redirects=True)
    except (ImportError, ValueError, httpx.InvalidURL):  # no socks package, or no proxy's URL
        _log.warning("the dead-man's switch at %s could not be called: no such proxy", origin(target))
        return False
    async with client as http:
        for attempt in range(_TRIES):
            if attempt:
                await sleep(float(attempt))
            try:
                with anyio.fail_after(_TIMEOUT):
                    response = await http.get(target)
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
                problem = type(error).__name__
                continue
            if response.is_success:
                return True
            problem = f"HTTP {response.status_code}"
            if response.status_code < 500 and response.status_code != 429:
                break
    _log.warning("the dead-man's switch at %s could not be called: %s", origin(target), problem)
    return False
