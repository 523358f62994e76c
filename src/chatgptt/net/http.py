"""Opens requests and hands over the bytes of their replies.

Every await on the network runs under the call's deadline. `failures` turns foreign exceptions into ours,
around the single awaited call. No cancel scope ever spans a `yield`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import httpx

from chatgptt._errors import InvalidInputError, PageError
from chatgptt._models import ReplyHead, Request, StoredCookie, Timeouts
from chatgptt.net.bodies import ACCEPT_ENCODING, BodyDecoder, UndecodableBodyError
from chatgptt.net.cookies import drop_cookies, make_cookie
from chatgptt.net.deadline import Deadline
from chatgptt.net.failures import mapped, refused_by, undecodable
from chatgptt.net.proxies import Proxies
from chatgptt.net.reach import Inward, Lookup, Reach, Way, way_taken
from chatgptt.protocols.urls import may_carry_credentials, origin, without_credentials

__all__ = ["CREDENTIALS", "DEFAULT_USER_AGENT", "MAX_REDIRECTS", "OpenReply", "Trace", "Transport"]

_log = logging.getLogger("chatgptt.transport")


Trace = Callable[[str, Mapping[str, object]], Awaitable[None]]
"""Called with an event's name, as `connection.connect_tcp.complete`, and what belongs to it."""


DEFAULT_USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
"""What a desktop Chrome sends; sites' firewalls refuse the names of HTTP libraries outright."""


CREDENTIALS = ("authorization", "cookie")
"""Headers that say who somebody is."""


class _WithoutSecrets(logging.Filter):
    """httpx logs each request's URL: that of a 2.x message holds the nonce and the visitor's id (A4), and one
    that a site redirects to may hold a login.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _as_logged(value) if isinstance(value, httpx.URL) else value for value in record.args
            )
        return True


def _as_logged(url: httpx.URL) -> str:
    return without_credentials(str(url.copy_with(query=None) if b"nonce=" in url.query else url))


logging.getLogger("httpx").addFilter(_WithoutSecrets())


MAX_REDIRECTS = 20
"""As httpx and browsers have it."""


_FAREWELL = 0.02
"""Seconds to wait for a body's end behind its last word: less than the handshakes of a new connection."""


# The last one says that the client was closed meanwhile.
_BROKEN = (httpx.HTTPError, httpx.StreamError, UndecodableBodyError, OSError, InvalidInputError)


class OpenReply:
    """A reply whose head has arrived; `receive` gives the body's next bytes, b"" at its end.

    With `is_bounded` each wait for the network ends at the deadline by itself, and needs no timer around each
    read.
    """

    def __init__(
        self,
        response: httpx.Response,
        head: ReplyHead,
        deadline: Deadline,
        *,
        decoder: BodyDecoder,
        is_bounded: bool,
    ) -> None:
        self.head = head
        self._response = response
        self._deadline = deadline
        self._decoder = decoder
        # Bytes may take long to decompress to nothing.
        self._is_bounded = is_bounded and not decoder.is_encoded
        # A handed-in client's own hooks may have read it all.
        is_read = response.is_stream_consumed
        self._chunks: AsyncIterator[bytes] = response.aiter_bytes() if is_read else response.aiter_raw()

    async def receive(self) -> bytes:
        """The next bytes of the body, decompressed, a bounded piece of it; b"" where it is complete.

        Raises:
            TransportError: where the connection breaks or the deadline passes.
        """
        return await mapped(self._next, self.head.url, self._deadline, is_bounded=self._is_bounded)

    async def _next(self) -> bytes:
        if not self._decoder.is_encoded:
            arrived = await anext(self._chunks, b"")
            self._decoder.count(arrived)
            return arrived
        while True:
            data = self._decoder.take()
            if data is None:
                arrived = await anext(self._chunks, b"")
                if not arrived:
                    self._decoder.end()
                    return b""
                self._decoder.feed(arrived)
            else:
                await anyio.lowlevel.checkpoint()  # a few bytes may hold hours of work
            if data:
                return data

    async def finish(self) -> None:
        """Reads the end of a body whose answer is complete, so that its connection can be used again.

        Mostly the end is there already. If it does not come soon, or more data comes, the connection is
        closed.
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
        del body[limit_bytes:]
        return bytes(body)

    async def close(self) -> None:
        """Gives the connection back, or closes it where the body was not read to its end."""
        await _give_back(self._response)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Transport:
    """Sends requests as one visitor: the same cookies, user agent, proxy and extra headers on every hop.

    What was given to prove who we are goes to the site of `home` alone, wherever its pages may redirect, and
    never without TLS where `home` has it. Nor do they lead further in than where `home` itself was found: see
    docs/decisions.md.

    With `is_bounded`, reads and writes of `http` end at the deadline of the call by themselves, and names are
    looked up by the way that a request may take.

    Attributes:
        reach: where the pages of `home` may lead, for its browser too.
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
        endpoint: str = "",
        endpoint_auth: tuple[str, str] | None = None,
        keeps_cookies: bool = True,
        is_bounded: bool = False,
    ) -> None:
        self._http = http
        self._home = home
        self.reach = Reach(_host(home), [_host(endpoint)] if endpoint else [])
        self._headers = dict(headers)
        self._user_agent = user_agent
        self._auth = httpx.BasicAuth(*auth) if auth else None
        self._endpoint = httpx.URL(endpoint).copy_with(query=None)
        self._endpoint_auth = httpx.BasicAuth(*endpoint_auth) if endpoint_auth else None
        # Read once, as httpx does: to ask the environment for each request takes longer than to build it.
        self._proxies = Proxies(proxy)
        self._timeouts = timeouts
        self._clock = clock
        self._keeps_cookies = keeps_cookies
        self._is_bounded = is_bounded

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
                jar.set_cookie(make_cookie(cookie))

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
                headers={
                    "user-agent": self._user_agent,
                    "accept-encoding": ACCEPT_ENCODING,
                    **headers,
                    **self._headers,
                },
                timeout=httpx.Timeout(silence, connect=min(limits.connect, left), pool=left),
            )
        except (httpx.InvalidURL, UnicodeError, TypeError) as error:
            raise InvalidInputError(
                f"cannot make a request of {without_credentials(url)!r} ({type(error).__name__})",
                hint="check URL and headers",
            ) from None  # its words may quote a password

        hops = 0

        async def send() -> httpx.Response:
            nonlocal hops
            response = await self._attempt(http, request, trace)
            while is_page and response.next_request is not None:
                await _give_back(response)
                if hops == MAX_REDIRECTS:
                    raise httpx.TooManyRedirects("too many redirects", request=response.next_request)
                hops += 1
                response = await self._attempt(http, response.next_request, trace)
            return response

        proxy = self._proxies.maybe_for(url) if self._keeps_cookies else None
        response = await mapped(send, without_credentials(url), deadline, proxy=proxy)
        if response.status_code == 407 and proxy is not None:
            await _give_back(response)
            raise refused_by(proxy, url)
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
        try:
            codings = "" if response.is_stream_consumed else head.headers.get("content-encoding", "")
            decoder = BodyDecoder(codings)
        except UndecodableBodyError as error:
            await _give_back(response)
            raise undecodable(error, head.url) from error
        return OpenReply(response, head, deadline, decoder=decoder, is_bounded=self._is_bounded)

    async def _attempt(
        self, http: httpx.AsyncClient, request: httpx.Request, trace: Trace | None
    ) -> httpx.Response:
        """One hop that leaves no socket behind where it fails, and leads no further than a page may."""
        url = str(request.url)
        if (request.url.port or 0) > 65535:  # httpx lets that pass, and sockets don't
            raise httpx.InvalidURL(f"there is no port {request.url.port}")
        if self._is_behind_proxy(url):
            self._judge_name(url)
        way = Way(find=partial(self._find, url), check=partial(self._check, url))
        if not self._is_bounded:
            trace = self._guarded(way, trace)
        request.extensions = {**request.extensions} | ({} if trace is None else {"trace": trace})
        token = way_taken.set(way)
        try:
            response = await self._send_once(http, request)
        finally:
            way_taken.reset(token)
        self.reach.heed(_host(url), {name.lower(): value for name, value in response.headers.items()})
        return response

    async def _send_once(self, http: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        """One hop; elsewhere than at home it carries nothing that the caller gave us."""
        is_endpoint = request.url.copy_with(query=None) == self._endpoint
        login = self._endpoint_auth if is_endpoint else None
        if may_carry_credentials(str(request.url), self._home):
            # Without a login of our own, that of a client that was handed in is used.
            auth = login or self._auth or httpx.USE_CLIENT_DEFAULT
            return await http.send(request, stream=True, follow_redirects=False, auth=auth)
        for name in (self._headers.keys() | http.headers.keys() | {"authorization"}) - _EVERYBODYS:
            request.headers.pop(name, None)
        drop_cookies(request, {cookie.name for cookie in http.cookies.jar if not cookie.domain})
        return await http.send(request, stream=True, follow_redirects=False, auth=login)

    # Where pages may lead

    def _is_behind_proxy(self, url: str) -> bool:
        """Whether a proxy or a handed-in client may look up the names by itself."""
        return not self._keeps_cookies or self._proxies.maybe_for(url) is not None

    def _judge_name(self, url: str) -> None:
        """By what a host says by itself, which is all that can be judged where names are looked up elsewhere.

        Raises:
            PageError: where it is further in than home.
        """
        try:
            self.reach.judge_name(_host(url), _port(url))
        except Inward as error:
            raise error.error(url) from error

    async def _find(self, url: str, host: str, port: int, look_up: Lookup) -> list[str]:
        """The addresses of a host that a request to `url` may be connected to: its own, or a proxy's."""
        if host != _host(url):
            self._judge_name(url)
            return await look_up(host, port)
        try:
            return await self.reach.find(host, port, look_up)
        except Inward as error:
            raise error.error(url) from error

    def _check(self, url: str, host: str, address: str) -> None:
        try:
            if host == _host(url):
                self.reach.judge_connection(host, address)
        except Inward as error:
            raise error.error(url) from error

    def _guarded(self, way: Way, trace: Trace | None) -> Trace:
        """Judges the connections of a client that was handed in, before and after they are made."""
        host = ""

        async def guard(event: str, info: Mapping[str, object]) -> None:
            nonlocal host
            if event == "connection.connect_tcp.started":
                from chatgptt.net.sockets import look_up  # here: see AsyncClient

                host, port = str(info["host"]), info["port"]
                assert isinstance(port, int)
                with suppress(OSError):  # connecting fails in the same way, with an error
                    await way.find(host, port, look_up)
            elif event == "connection.connect_tcp.complete":
                import httpcore  # here, since httpx too loads it only when it is used

                stream = info.get("return_value")
                assert isinstance(stream, httpcore.AsyncNetworkStream)
                peer = stream.get_extra_info("server_addr")
                try:
                    if isinstance(peer, tuple):
                        way.check(host, str(peer[0]))
                except PageError:
                    await stream.aclose()
                    raise
            if trace is not None:
                await trace(event, info)

        return guard


_EVERYBODYS = frozenset({"accept", "accept-encoding", "connection", "user-agent"})
"""Headers that say nothing about who somebody is."""


def _host(url: str) -> str:
    """The host as connections are made to it, lower case."""
    return httpx.URL(url).raw_host.decode("ascii")


def _port(url: str) -> int:
    """The port that connections are made to."""
    parts = httpx.URL(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


async def _give_back(response: httpx.Response) -> None:
    """Gives a reply's connection back, or closes it where the body was not read to its end."""
    with anyio.CancelScope(shield=True):
        await response.aclose()
