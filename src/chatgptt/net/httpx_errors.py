"""Turns the exceptions of httpx and of the system into ours: one table, around the single awaited call."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Iterable

import httpx

from chatgptt._errors import ChatGpttError, ErrorCode, InvalidInputError, PageError, TransportError
from chatgptt.net.bodies import UndecodableBodyError
from chatgptt.net.deadline import Deadline
from chatgptt.net.proxies import Proxy
from chatgptt.protocols.urls import origin, without_credentials

_TABLE: tuple[tuple[type[Exception], ErrorCode, bool, str], ...] = (
    # exception, code, whether the request may have reached the site, hint
    (httpx.ConnectTimeout, "timeout", False, "the site's server does not answer; try again later"),
    (httpx.PoolTimeout, "timeout", False, "too many requests are under way in this client"),
    (httpx.TimeoutException, "timeout", True, "the site is slow; allow more time with timeout="),
    (httpx.ConnectError, "connect_error", False, "check the address, and that the site is up"),
    (httpx.ProxyError, "connect_error", False, "check the proxy's address and login"),
    (httpx.StreamError, "connect_error", True, "the connection was closed"),
    (
        httpx.HTTPError,
        "connect_error",
        True,
        "the site's server, or something on the way, broke the connection",
    ),
    (
        OSError,
        "connect_error",
        True,
        "the site's server, or something on the way, broke the connection",
    ),  # bytes that are no TLS, for one
)


_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""No failure, but how TLS waits for the network: in the chain of whatever ends that wait."""


_DNS_HINT = "check the host name and this machine's network"


_TLS_HINT = "the site's certificate or TLS set-up is at fault, or something on the way replaces it"


FOREIGN_ERRORS = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    UndecodableBodyError,
    UnicodeError,
    OSError,
)
"""What a call on the network may raise; a TimeoutError is an OSError."""


def error_of_call(
    error: Exception, url: str, deadline: Deadline, proxy: Proxy | None = None
) -> ChatGpttError:
    """Our error for a foreign one of a call on the network. A TimeoutError is the end of the deadline."""
    match error:
        case httpx.TimeoutException() if deadline.remaining() > 0.0:
            return map_error(error, url, proxy)
        case TimeoutError() | httpx.TimeoutException():
            return deadline.error(f"talking to {origin(url)}", url=url, is_sent=True)
        case UndecodableBodyError():
            return undecodable(error, url)
        case httpx.LocalProtocolError() if _quotes_header(error):
            hint = "check the headers, the user agent and the cookies that were given"
            return InvalidInputError("a header of the request cannot be sent", hint=hint, url=url)
        case _ if isinstance(error, _ASTRAY):
            hint = "check the page's address in a browser"
            return PageError(_where_it_redirects(error), hint=hint, url=url)
        case _:
            return map_error(error, url, proxy)


def maybe_cause(error: Exception) -> Exception | None:
    """The error as the cause that a traceback shows; None for one that quotes a header."""
    return None if _quotes_header(error) else error


_QUOTED_HEADER = re.compile(r"(header (?:name|value|line)).*", re.IGNORECASE | re.DOTALL)
"""In the words of h11 a header that is invalid follows, which may be a cookie."""


def _quotes_header(error: Exception) -> bool:
    is_of_protocol = isinstance(error, httpx.ProtocolError)
    return is_of_protocol and any(_QUOTED_HEADER.search(str(cause)) for cause in causes(error))


_ASTRAY = (
    httpx.TooManyRedirects,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.CookieConflict,
    UnicodeError,
)
"""How a redirect ends that leads to no page."""


def _where_it_redirects(error: Exception) -> str:
    match error:
        case httpx.TooManyRedirects():
            return "the page redirects in a circle"
        case httpx.UnsupportedProtocol():
            return "the page redirects to an address that is not http or https"
        case _:
            return f"the site redirects to an invalid address: {error}"


def refused_by(proxy: Proxy, url: str) -> TransportError:
    """The error for a proxy that does not take the login."""
    return TransportError(
        f"cannot reach {origin(url)} through {proxy}: it wants another login (HTTP 407)",
        code="connect_error",
        hint=proxy.hint,
        url=without_credentials(url),
    )


def undecodable(error: UndecodableBodyError, url: str) -> TransportError:
    """The error for a body whose compression cannot be undone."""
    return TransportError(
        f"cannot read what {origin(url)} sent: {error}",
        code="connect_error",
        hint="the site, or something on the way, compresses its replies wrongly",
        url=url,
        is_sent=True,
    )


def map_error(error: Exception, url: str, proxy: Proxy | None = None) -> ChatGpttError:
    """Our error for one of httpx or of the system."""
    chain = list(causes(error))
    is_connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)
    is_about_tls = any(isinstance(cause, ssl.SSLError) for cause in chain)
    if proxy is not None and is_connecting and not is_about_tls:
        return TransportError(
            f"cannot reach {origin(url)} through {proxy}: {_reason(chain)}",
            code="timeout" if isinstance(error, httpx.ConnectTimeout) else "connect_error",
            hint=proxy.hint,
            url=url,
        )
    if isinstance(error, httpx.RequestError) and _target(error) not in ("", origin(url)):
        url = f"{_target(error)}/"  # a redirect led there
    where = f"{origin(url)}: {_reason(chain)}"
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return TransportError(f"cannot find {where}", code="dns_error", hint=_DNS_HINT, url=url)
    if any(isinstance(cause, ssl.SSLError) and not isinstance(cause, _WAITING) for cause in chain):
        is_sent = not isinstance(error, httpx.ConnectError)
        return TransportError(
            f"no safe connection to {where}", code="tls_error", hint=_TLS_HINT, url=url, is_sent=is_sent
        )
    if any(isinstance(cause, BrokenPipeError) for cause in chain):
        # The server had closed before it had all of the request, so it cannot have acted on it.
        hint = "the site's server hung up; try again"
        return TransportError(f"cannot talk to {where}", code="connect_error", hint=hint, url=url)
    for kind, code, is_sent, hint in _TABLE:
        if isinstance(error, kind):
            return TransportError(f"cannot talk to {where}", code=code, hint=hint, url=url, is_sent=is_sent)
    raise AssertionError(f"unmapped {type(error)}")  # pragma: no cover


def map_connect_error(error: Exception, url: str, proxy: Proxy | None) -> ChatGpttError:
    """Our error for a connection that could not be made, where httpx had no part in it."""
    kind = httpx.ConnectTimeout if isinstance(error, TimeoutError) else httpx.ConnectError
    failed = kind(str(error) or "no answer")
    failed.__cause__ = error
    return map_error(failed, url, proxy)


def _target(error: httpx.RequestError) -> str:
    """The origin that a failed request went to; "" where it is not known."""
    try:
        return origin(str(error.request.url))
    except (RuntimeError, ValueError):
        return ""


def causes(error: BaseException | None) -> Iterable[BaseException]:
    """The chain of exceptions under `error`; a failed connect is a group with one for each address."""
    seen: set[int] = set()
    pending = [error]
    while pending:
        error = pending.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        pending += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            pending += error.exceptions


def _reason(causes: list[BaseException]) -> str:
    """The most telling words in a chain: those of the system where it has some."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            if isinstance(cause, ssl.SSLError | socket.gaierror) or not cause.errno:
                return cause.strerror[:200]
            return os.strerror(cause.errno)  # asyncio has words of its own, "Connect call failed"
    words = next((str(cause) for cause in causes if str(cause)), "")
    return _QUOTED_HEADER.sub(r"\1", words)[:200] or type(causes[0]).__name__
