"""Opens requests and hands over the bytes of their replies.

Every await on the network runs under the call's deadline. `httpx_errors` turns foreign exceptions into ours,
around the single awaited call. No cancel scope ever spans a `yield`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import AsyncGeneratorType, TracebackType
from typing import Self

import anyio
import anyio.lowlevel
import httpx

from chatgptt._errors import InvalidInputError
from chatgptt._models import ReplyHead, Request, StoredCookie, Timeouts
from chatgptt.net.bodies import ACCEPT_ENCODING, BodyDecoder, UndecodableBodyError
from chatgptt.net.clients import HandedInClient, OwnClients, Trace
from chatgptt.net.cookies import drop_cookies, make_cookie, read_cookie
from chatgptt.net.deadline import Deadline
from chatgptt.net.httpx_errors import FOREIGN_ERRORS, error_of_call, maybe_cause, refused_by, undecodable
from chatgptt.net.reach import Destination, OutOfReachError, Reach
from chatgptt.protocols.urls import may_carry_credentials, origin, without_credentials

_log = logging.getLogger("chatgptt.transport")


DEFAULT_USER_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/156.0.0.0 Safari/537.36"
)
"""What a desktop Chrome sends; sites' firewalls refuse the names of HTTP libraries outright."""


CREDENTIALS = ("authorization", "cookie")
"""Headers that identify the visitor."""


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


_MOST_FOR_END = 0.02
"""Seconds to wait for a body's end after its last event: less than the handshakes of a new connection."""


# `InvalidInputError` says here that the client was closed meanwhile.
_BROKEN = (*FOREIGN_ERRORS, InvalidInputError)


class OpenReply:
    """A reply whose head has arrived; `receive` gives the body's next bytes, b"" at its end.

    Args:
        response: as httpx has it.
        head: its head.
        deadline: the call's.
        decoder: undoes the compression.
        heeds_deadline: whether its sockets end a wait at the deadline; else each piece gets a timeout, which
            takes longer than all else about a piece.
    """

    def __init__(
        self,
        response: httpx.Response,
        head: ReplyHead,
        deadline: Deadline,
        decoder: BodyDecoder,
        *,
        heeds_deadline: bool,
    ) -> None:
        self.head = head
        self._heeds_deadline = heeds_deadline
        self._response = response
        self._deadline = deadline
        self._decoder = decoder
        assert isinstance(response.stream, httpx.AsyncByteStream)
        is_read = response.is_stream_consumed  # by the hooks of a handed-in client
        self._chunks = response.aiter_bytes() if is_read else aiter(response.stream)

    async def receive(self) -> bytes:
        """The next bytes of the body, decompressed, a bounded piece of it; b"" where it is complete.

        Raises:
            TransportError: where the connection breaks or the deadline passes.
        """
        try:
            if self._heeds_deadline:
                return await self._read_piece()
            async with asyncio.timeout(self._deadline.remaining()):
                return await self._read_piece()
        except FOREIGN_ERRORS as error:
            raise error_of_call(error, self.head.url, self._deadline) from maybe_cause(error)

    async def _read_piece(self) -> bytes:
        if not self._decoder.is_encoded:
            arrived = await anext(self._chunks, b"")
            self._decoder.count(arrived)
            return arrived
        while True:
            data = self._decoder.take()
            if data:
                return data
            if data is None:
                arrived = await anext(self._chunks, b"")
                if not arrived:
                    self._decoder.end()
                    return b""
                self._decoder.feed(arrived)
            else:
                await anyio.lowlevel.checkpoint()  # a few bytes may hold hours of work

    async def finish(self) -> None:
        """Reads the end of a body whose answer is complete, so that its connection can be used again.

        Mostly the end is there already. If it does not come soon, or more data comes, the connection is
        closed.
        """
        with suppress(*_BROKEN):  # a TimeoutError is one of them
            async with asyncio.timeout(min(_MOST_FOR_END, self._deadline.remaining())):
                await self._read_piece()

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
        await _close(self._response)
        # A generator that is left suspended is ended by the garbage collector, at any later time.
        if isinstance(self._chunks, AsyncGeneratorType) and not self._chunks.ag_running:
            await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Transport:
    """Sends requests as one visitor: the same cookies, user agent, proxy and extra headers on every hop.

    The caller's login, cookies and headers go to the site of `home` alone, wherever its pages redirect, and
    never without TLS where `home` has it. Pages lead no further in than where `home` itself was found: see
    docs/decisions.md.

    Attributes:
        reach: where the pages of `home` may lead, for its browser too.
    """

    def __init__(
        self,
        clients: OwnClients | HandedInClient,
        *,
        home: str,
        headers: Mapping[str, str],
        user_agent: Callable[[], str],
        auth: tuple[str, str] | None,
        timeouts: Timeouts,
        clock: Callable[[], float] = time.time,
        endpoint: str = "",
        endpoint_auth: tuple[str, str] | None = None,
    ) -> None:
        self._clients = clients
        self._home = home
        named = [host_and_port(endpoint)[0]] if endpoint else []
        self.reach = Reach(host_and_port(home)[0], named)
        self._headers = dict(headers)
        self._user_agent = user_agent
        self._auth = httpx.BasicAuth(*auth) if auth else None
        self._endpoint = httpx.URL(endpoint).copy_with(query=None)
        self._endpoint_auth = httpx.BasicAuth(*endpoint_auth) if endpoint_auth else None
        self._timeouts = timeouts
        self._clock = clock

    async def get_page(
        self, url: str, *, deadline: Deadline, is_fresh: bool = False, trace: Trace | None = None
    ) -> OpenReply:
        """Opens a page, redirects followed. It gets no more of the deadline than the bound for one page.

        Args:
            url: where it is.
            deadline: the call's.
            is_fresh: whether caches on the way are asked to stand aside.
            trace: is called with the events of the connection, in the terms of httpcore's trace extension.

        Raises:
            ChatGpttError: where no reply comes, or the page may not lead where it does.
        """
        headers = {"cache-control": "no-cache", "pragma": "no-cache"} if is_fresh else {}
        bound = self._timeouts.page
        deadline = deadline.within(
            bound, name=f"limit of {bound:g} s for one page", hint="allow more with Timeouts(page=...)"
        )
        accept = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5"
        request = self._build_request(Request(method="GET", url=url, accept=accept), headers, deadline)
        return await self._open(request, url, deadline, is_page=True, trace=trace)

    async def send(
        self, request: Request, *, page: str, deadline: Deadline, user_agent: str = ""
    ) -> OpenReply:
        """Sends a protocol's request from `page`, the page that a browser would show.

        Raises:
            ChatGpttError: where no reply comes.
        """
        headers = {"referer": without_credentials(page)}
        if request.method == "POST":
            headers["origin"] = request.origin or origin(request.url)
        if user_agent:
            headers["user-agent"] = user_agent
        built = self._build_request(request, headers, deadline)
        return await self._open(built, request.url, deadline)

    def cookies_for(self, url: str) -> tuple[StoredCookie, ...]:
        """The cookies of `url`'s site that a later process may send again; none of a handed-in client.

        The host with `www.` and the one without are one site: most lead from one to the other.
        """
        if isinstance(self._clients, HandedInClient):
            return ()
        host = httpx.URL(url).host.removeprefix("www.")
        hosts = (f".{host}", f".www.{host}")
        return tuple(
            read_cookie(cookie)
            for cookie in self._clients.get().cookies.jar
            if any(one.endswith(f".{cookie.domain.lstrip('.').removesuffix('.local')}") for one in hosts)
            and not cookie.is_expired(int(self._clock()))
        )

    def add_cookies(self, cookies: Sequence[StoredCookie]) -> None:
        """Adds cookies of an earlier process, or of the browser; those that are there already stay."""
        if not cookies:
            return
        jar = self._clients.get().cookies.jar
        known = {(cookie.domain, cookie.path, cookie.name) for cookie in jar}
        for cookie in cookies:
            if (cookie.domain, cookie.path, cookie.name) not in known:
                jar.set_cookie(make_cookie(cookie))

    def _build_request(
        self, request: Request, headers: Mapping[str, str], deadline: Deadline
    ) -> httpx.Request:
        limits = self._timeouts
        left = max(deadline.remaining(), 0.001)
        own = {
            "user-agent": self._user_agent(),
            "accept-encoding": ACCEPT_ENCODING,
            "accept": request.accept,
            **headers,
            **self._headers,
        }
        try:
            address = _read_url(request.url)
            return self._clients.build_request(
                request.method,
                address.copy_merge_params(dict(request.params)) if request.params else address,
                fields=dict(request.fields),
                headers=own,
                timeout=httpx.Timeout(
                    min(limits.silence, left), connect=min(limits.connect, left), pool=left
                ),
            )
        except (httpx.InvalidURL, UnicodeError, TypeError) as error:
            raise InvalidInputError(
                f"cannot make a request of {without_credentials(request.url)!r} ({type(error).__name__})",
                hint="check URL and headers",
            ) from None  # its words may quote a password

    async def _open(
        self,
        request: httpx.Request,
        url: str,
        deadline: Deadline,
        *,
        is_page: bool = False,
        trace: Trace | None = None,
    ) -> OpenReply:
        """The reply to a request; a page's redirects are followed.

        `url` is its address in errors: a message's own query holds its nonce and the visitor's id.
        """
        hops, proxy = 0, self._clients.find_proxy(url)
        try:
            async with asyncio.timeout(deadline.remaining()):
                response = await self._send_hop(request, deadline, trace)
                while is_page and response.next_request is not None:
                    await _close(response)
                    if hops == MAX_REDIRECTS:
                        raise httpx.TooManyRedirects("too many redirects", request=response.next_request)
                    hops += 1
                    response = await self._send_hop(response.next_request, deadline, trace)
        except FOREIGN_ERRORS as error:
            raise error_of_call(error, without_credentials(url), deadline, proxy) from maybe_cause(error)
        if response.status_code == 407 and proxy is not None:
            await _close(response)
            raise refused_by(proxy, url)
        head = ReplyHead(
            status=response.status_code,
            headers=dict(response.headers.items()),
            url=without_credentials(str(response.url) if is_page else url),
            received_at=self._clock(),
            redirects=hops,
        )
        kind = head.headers.get("content-type", "no content type")
        _log.debug("%s %s: HTTP %d, %s", request.method, head.url.partition("?")[0], head.status, kind)
        is_read = response.is_stream_consumed
        try:
            decoder = BodyDecoder("" if is_read else head.headers.get("content-encoding", ""))
        except UndecodableBodyError as error:
            await _close(response)
            raise undecodable(error, head.url) from error
        heeds_deadline = isinstance(self._clients, OwnClients)
        return OpenReply(response, head, deadline, decoder, heeds_deadline=heeds_deadline)

    async def _send_hop(
        self, request: httpx.Request, deadline: Deadline, trace: Trace | None
    ) -> httpx.Response:
        """The reply to one request, which leads no further than a page may."""
        url = str(request.url)
        if (request.url.port or 0) > 65535:  # httpx lets that pass, and sockets don't
            raise httpx.InvalidURL(f"there is no port {request.url.port}")
        host, port = _host_and_port(request.url)
        destination = Destination(deadline=deadline, reach=self.reach, host=host, port=port)
        if isinstance(self._clients, HandedInClient):
            is_looked_up_elsewhere, trace = True, self._clients.note_loop(trace)
        else:
            is_looked_up_elsewhere = self._clients.find_proxy(url) is not None
        http = self._clients.get()
        endpoint_login = self._endpoint_auth
        if endpoint_login is not None and request.url.copy_with(query=None) != self._endpoint:
            endpoint_login = None
        # Without a login of its own, a request to the page's site has the login of the caller's httpx client.
        home_login = endpoint_login or self._auth or httpx.USE_CLIENT_DEFAULT
        is_home = may_carry_credentials(url, self._home)
        login = home_login if is_home else endpoint_login
        if not is_home:
            self._drop_identity(request, http)
        request.extensions = {**request.extensions, "destination": destination}
        if trace is not None:
            request.extensions["trace"] = trace
        try:
            if is_looked_up_elsewhere:
                self.reach.check_name(host, port)
            response = await http.send(request, stream=True, follow_redirects=False, auth=login)
        except OutOfReachError as error:
            raise error.error(url) from error
        self.reach.note_reply(host, response.headers)
        return response

    def _drop_identity(self, request: httpx.Request, http: httpx.AsyncClient) -> None:
        """Takes from a request to another site than home's what belongs to the caller."""
        for name in (self._headers.keys() | http.headers.keys() | {"authorization"}) - _IMPERSONAL:
            request.headers.pop(name, None)
        drop_cookies(request, {cookie.name for cookie in http.cookies.jar if not cookie.domain})


_IMPERSONAL = frozenset({"accept", "accept-encoding", "connection", "user-agent"})
"""Headers that do not identify the visitor."""


def host_and_port(url: str) -> tuple[str, int]:
    """Where connections for a URL are made to; the host in lower case."""
    return _host_and_port(_read_url(url))


def _host_and_port(url: httpx.URL) -> tuple[str, int]:
    return url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)


@functools.lru_cache(maxsize=100)
def _read_url(url: str) -> httpx.URL:
    """An address, read once for all messages: it takes as long as ten frames of an answer."""
    return httpx.URL(url)


async def _close(response: httpx.Response) -> None:
    """Gives a reply's connection back, or closes it where the body was not read to its end."""
    with anyio.CancelScope(shield=True):
        await response.aclose()
