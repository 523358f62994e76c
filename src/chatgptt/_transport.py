"""The edge to the network: opens a request, hands over its bytes, and names what went wrong.

It decides nothing. Every await on the network runs under the call's deadline, and every exception of httpx
is mapped by one table, around the single awaited call. No cancel scope ever spans a `yield`.
"""

from __future__ import annotations

import logging
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from http.cookiejar import Cookie
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio
import httpx

from chatgptt._errors import ChatGpttError, ErrorCode, InvalidInputError, PageError, TransportError
from chatgptt._models import ReplyHead, Request, StoredCookie, Timeouts
from chatgptt.protocols.urls import is_same_site, origin, without_credentials

__all__ = ["CREDENTIALS", "DEFAULT_USER_AGENT", "Deadline", "OpenReply", "Trace", "Transport", "causes"]

_log = logging.getLogger("chatgptt.transport")
_Value = TypeVar("_Value")

Trace = Callable[[str, Mapping[str, object]], Awaitable[None]]
"""Called with an event's name, as `connection.connect_tcp.complete`, and what belongs to it."""

DEFAULT_USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
"""What a desktop Chrome sends; sites' firewalls refuse the names of HTTP libraries outright."""

CREDENTIALS = ("authorization", "cookie")
"""Headers that say who somebody is."""


class Deadline:
    """The end of a call, by a clock that only goes forward. Seconds.

    `name` and `hint` say in an error which limit it was, and how there may be more time.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        name: str = "",
        hint: str = "allow more time with timeout",
    ) -> None:
        self.seconds = seconds
        self.name = name or f"time limit of {seconds:g} s"
        self.hint = hint
        self._clock = clock
        self.started = clock()

    def within(self, seconds: float, *, name: str, hint: str) -> Deadline:
        """A deadline for a part of the call, no later than the call's own."""
        remaining = self.remaining()
        if remaining <= seconds:
            return Deadline(remaining, self._clock, name=self.name, hint=self.hint)
        return Deadline(seconds, self._clock, name=name, hint=hint)

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock() - self.started

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed())


_MAX_REDIRECTS = 20
"""As httpx and browsers have it."""

_FAREWELL = 0.02
"""Seconds to wait for a body's end behind its last word: less than the handshakes of a new connection."""


_BROKEN = (httpx.HTTPError, httpx.StreamError)


class OpenReply:
    """A reply whose head has arrived; `receive` gives the body's next bytes, b"" at its end.

    `silence` is after how many seconds without a byte httpx gives up by itself, infinite where that is not
    sure. While the deadline is further away than that, it needs no timer of its own around each read.
    """

    def __init__(
        self, response: httpx.Response, head: ReplyHead, deadline: Deadline, *, silence: float
    ) -> None:
        self.head = head
        self._response = response
        self._deadline = deadline
        self._silence = silence
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes()

    async def receive(self) -> bytes:
        """The next bytes of the body, decompressed; b"" where it is complete.

        Raises:
            TransportError: where the connection breaks or the deadline passes.
        """
        is_bounded = self._deadline.remaining() > self._silence
        return await _mapped(self._next, self.head.url, self._deadline, is_bounded=is_bounded)

    async def _next(self) -> bytes:
        return await anext(self._chunks, b"")

    async def finish(self) -> None:
        """Takes the end of a body that has said all, so that its connection can serve the next request.

        It mostly is there already. One that lets us wait, or has more to say, is not worth it.
        """
        with anyio.move_on_after(min(_FAREWELL, self._deadline.remaining())), suppress(*_BROKEN):
            await self._next()

    async def read(self, limit_bytes: int) -> bytes:
        """The body, or its first `limit_bytes`."""
        body = bytearray()
        while len(body) < limit_bytes:
            data = await self.receive()
            if not data:
                break
            body += data
        return bytes(body[:limit_bytes])

    async def close(self) -> None:
        """Gives the connection back, or closes it where the body was not read to its end."""
        with anyio.CancelScope(shield=True):
            await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Transport:
    """Sends requests as one visitor: the same cookies, user agent, proxy and extra headers on every hop.

    What was given to prove who we are goes to the site of `home` alone, wherever its pages may redirect.
    """

    def __init__(
        self,
        http: Callable[[], httpx.AsyncClient],
        *,
        home: str,
        headers: Mapping[str, str],
        user_agent: str,
        auth: tuple[str, str] | None,
        proxy: str | None,
        timeouts: Timeouts,
        clock: Callable[[], float],
        keeps_cookies: bool = True,
    ) -> None:
        self._http = http
        self._home = home
        self._headers = dict(headers)
        self._user_agent = user_agent
        self._auth = httpx.BasicAuth(*auth) if auth else None
        self._proxy = proxy
        self._timeouts = timeouts
        self._clock = clock
        self._keeps_cookies = keeps_cookies

    async def get_page(
        self, url: str, *, deadline: Deadline, is_fresh: bool = False, trace: Trace | None = None
    ) -> OpenReply:
        """Opens a page, redirects followed.

        Args:
            url: where it is.
            deadline: the call's; one page gets no more than its own bound of it.
            is_fresh: whether caches on the way are asked to stand aside.
            trace: is told how the connection comes about, in the terms of httpcore's trace extension.
        """
        headers = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5"}
        if is_fresh:
            headers |= {"cache-control": "no-cache", "pragma": "no-cache"}
        bound = self._timeouts.page
        deadline = deadline.within(
            bound, name=f"limit of {bound:g} s for one page", hint="allow more with Timeouts(page=...)"
        )
        return await self._open("GET", url, headers=headers, deadline=deadline, is_page=True, trace=trace)

    async def send(
        self, request: Request, *, page: str, deadline: Deadline, user_agent: str = ""
    ) -> OpenReply:
        """Sends a protocol's request from `page`, the page that a browser would show."""
        headers = {"accept": request.accept, "referer": without_credentials(page)}
        if request.method == "POST":
            headers["origin"] = request.origin or origin(request.url)
        if user_agent:
            headers["user-agent"] = user_agent
        return await self._open(
            request.method,
            request.url,
            headers=headers,
            deadline=deadline,
            params=dict(request.params),
            fields=dict(request.fields),
        )

    def cookies_for(self, url: str) -> tuple[StoredCookie, ...]:
        """The cookies of `url`'s site that a later process may send again; none of a handed-in client."""
        if not self._keeps_cookies:
            return ()
        host = httpx.URL(url).host
        return tuple(
            StoredCookie(
                name=cookie.name,
                value=cookie.value or "",
                domain=cookie.domain,
                path=cookie.path,
                is_secure=cookie.secure,
            )
            for cookie in self._http().cookies.jar
            if f".{host}".endswith(f".{cookie.domain.lstrip('.').removesuffix('.local')}")
        )

    def add_cookies(self, cookies: Iterable[StoredCookie]) -> None:
        """Takes up cookies of an earlier process, or of the browser; those that are there already stay."""
        jar = self._http().cookies.jar
        known = {(cookie.domain, cookie.path, cookie.name) for cookie in jar}
        for cookie in cookies:
            if (cookie.domain, cookie.path, cookie.name) not in known:
                jar.set_cookie(_jar_cookie(cookie))

    async def _open(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        deadline: Deadline,
        params: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        is_page: bool = False,
        trace: Trace | None = None,
    ) -> OpenReply:
        http = self._http()
        limits = self._timeouts
        left = max(deadline.remaining(), 0.001)
        silence = min(limits.silence, left)
        try:
            address = httpx.URL(url)
            request = http.build_request(
                method,
                address.copy_merge_params(params) if params else address,
                data=dict(fields) if fields else None,
                headers={"user-agent": self._user_agent, **headers, **self._headers},
                timeout=httpx.Timeout(silence, connect=min(limits.connect, left), pool=left),
                extensions={"trace": trace} if trace else None,
            )
        except (httpx.InvalidURL, UnicodeError, TypeError) as error:
            raise InvalidInputError(
                f"cannot make a request of {without_credentials(url)!r}: {error}",
                hint="check URL and headers",
            ) from error

        hops = 0

        async def send() -> httpx.Response:
            nonlocal hops
            response = await self._send_once(http, request)
            while is_page and response.next_request is not None:
                if hops == _MAX_REDIRECTS:
                    raise httpx.TooManyRedirects("too many redirects", request=response.next_request)
                hops += 1
                await response.aclose()
                response = await self._send_once(http, response.next_request)
            return response

        proxy = maybe_proxy(url, self._proxy) if self._keeps_cookies else None
        response = await _mapped(send, without_credentials(url), deadline, proxy=proxy)
        head = ReplyHead(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            # A message's own query holds its nonce and the visitor's id, and it is never redirected.
            url=without_credentials(str(response.url) if is_page else url),
            received_at=self._clock(),
            redirects=hops,
        )
        _log.debug(
            "%s %s: HTTP %d, %s",
            method,
            head.url.partition("?")[0],
            head.status,
            head.headers.get("content-type", "no content type"),
        )
        # A handed-in client may not heed timeouts, and bytes that decompress to nothing reset them.
        is_sure = self._keeps_cookies and "content-encoding" not in head.headers
        return OpenReply(response, head, deadline, silence=silence if is_sure else math.inf)

    async def _send_once(self, http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """One hop; elsewhere than at home it carries nothing that the caller gave us."""
        is_home = is_same_site(str(request.url), self._home)
        if not is_home:
            for name in self._headers.keys() - {"user-agent"}:
                request.headers.pop(name, None)
        # Without a login of our own, that of a client that was handed in is used.
        auth = self._auth if self._auth and is_home else httpx.USE_CLIENT_DEFAULT
        return await http.send(request, stream=True, follow_redirects=False, auth=auth)


def _jar_cookie(cookie: StoredCookie) -> Cookie:
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
        expires=None,
        discard=True,
        comment=None,
        comment_url=None,
        rest={},
    )


_TABLE: tuple[tuple[type[Exception], ErrorCode, bool, str], ...] = (
    # exception, code, whether the request may have reached the site, hint
    (httpx.ConnectTimeout, "timeout", False, "the site's server does not answer; try again later"),
    (httpx.PoolTimeout, "timeout", False, "too many requests are under way in this client"),
    (httpx.TimeoutException, "timeout", True, "the site is slow; allow more time with timeout"),
    (httpx.ConnectError, "connect_error", False, "check the address, and that the site is up"),
    (httpx.ProxyError, "connect_error", False, "check the proxy's address and login"),
    (httpx.DecodingError, "connect_error", True, "the site sent a body that cannot be decompressed"),
    (httpx.StreamError, "connect_error", True, "the connection was closed"),
    (httpx.HTTPError, "connect_error", True, "the connection broke; try again"),
)
_WAITING = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
"""No failure, but how TLS waits for the network: in the chain of whatever ends that wait."""
_DNS_HINT = "check the host name and this machine's network"
_TLS_HINT = "the site's certificate or TLS set-up is at fault, or something on the way replaces it"


async def _mapped(
    call: Callable[[], Awaitable[_Value]],
    url: str,
    deadline: Deadline,
    *,
    is_bounded: bool = False,
    proxy: str | None = None,
) -> _Value:
    """The result of one awaited call on the network, with its exceptions mapped.

    It runs under the deadline, unless it `is_bounded` to end before that by itself.
    """
    try:
        if is_bounded:
            return await call()
        with anyio.fail_after(deadline.remaining()):
            return await call()
    except TimeoutError as error:
        raise TransportError(
            f"the {deadline.name} passed while talking to {origin(url)}",
            code="timeout",
            hint=deadline.hint,
            url=url,
            is_sent=True,
        ) from error
    except httpx.TooManyRedirects as error:
        raise PageError(
            "the page redirects in a circle", hint="check the page's address in a browser", url=url
        ) from error
    except httpx.UnsupportedProtocol as error:
        raise PageError(
            "the page redirects to an address that is not http or https",
            hint="check the page's address in a browser",
            url=url,
        ) from error
    except (httpx.HTTPError, httpx.StreamError) as error:
        raise _map(error, url, proxy) from error
    except (httpx.InvalidURL, httpx.CookieConflict, UnicodeError) as error:
        raise PageError(
            f"the site redirects to an address that is none: {error}",
            hint="check the page's address in a browser",
            url=url,
        ) from error


def maybe_proxy(url: str, named: str | None) -> str | None:
    """The proxy that a request to `url` takes: the named one, else the environment's; None for none."""
    if named is not None:
        return named
    parts = urlsplit(url)
    found = getproxies()
    proxy = found.get(parts.scheme) or found.get("all")
    if proxy is None or proxy_bypass(parts.hostname or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _map(error: Exception, url: str, proxy: str | None = None) -> ChatGpttError:
    chain = list(causes(error))
    if proxy is not None and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
        is_tls = any(isinstance(cause, ssl.SSLError) for cause in chain)
        if not is_tls:
            return TransportError(
                f"cannot reach {origin(url)} through the proxy {proxy.rpartition('@')[2]}: {_reason(chain)}",
                code="timeout" if isinstance(error, httpx.ConnectTimeout) else "connect_error",
                hint="check the proxy's address and login",
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
            return cause.strerror[:200]
    words = next((str(cause) for cause in causes if str(cause)), "")
    return words[:200] or type(causes[0]).__name__
