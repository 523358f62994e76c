"""The connections of a client in one event loop, for hundreds of requests at once.

httpcore's pool compares all requests with all connections whenever a request begins or ends. It also asks
the system about the socket of each idle connection. With 200 messages at once this takes more time than
everything else. So httpcore makes the connections, and this module keeps them. A request takes the connection
that was used last, or a new one, and never waits for another request.

A connection serves another request only after a whole answer with nothing behind it. In all other cases
(a cancelled task, a generator that two tasks close at once) it is closed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator

import anyio
import httpcore
import httpx

from chatgptt._errors import ClosedError
from chatgptt.net.lookup import Lookups
from chatgptt.net.proxies import Proxies, Proxy
from chatgptt.net.reach import Destination
from chatgptt.net.sockets import ConnectionSockets
from chatgptt.net.tls import tls_context

_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}
"""What httpcore raises, and what httpx raises in its place."""


class Pool(httpx.AsyncBaseTransport):
    """As many connections as there are requests at once; some are kept for a while.

    Each request has its `Destination` among its extensions, as `destination`.

    Args:
        proxies: which proxy a request is sent through.
        most_idle: connections that are kept for later requests.
        keepalive: seconds that an idle connection is kept. Apache hangs up after 5 s, and no message must
            meet that.

    Attributes:
        busy: the connections that serve a request.
        idle: the connections that wait for one, those that were used last at the end.
    """

    def __init__(self, proxies: Proxies, *, most_idle: int = 100, keepalive: float = 3.0) -> None:
        self._proxies = proxies
        self._most_idle = most_idle
        self._keepalive = keepalive
        self._lookups = Lookups()
        self.busy: set[_Connection] = set()
        self.idle: list[_Connection] = []
        self.is_closed = False
        # A loop that ends closes the generators that were begun in it. Nothing else says that it ends.
        self._open_until_loop_ends = self._close_with_loop()
        with contextlib.suppress(StopIteration):
            self._open_until_loop_ends.__anext__().send(None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.AsyncBaseTransport."""
        if request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"no requests are made over {request.url.scheme!r}")
        connection, outdated = self._take(request.url)
        self.busy.add(connection)
        try:
            await _close_all(outdated)
            with self.errors_of_httpx():
                response = await connection.send(request)
        except BaseException:
            await self._discard(connection)
            raise
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response, connection, self),
            extensions=response.extensions,
        )

    @contextlib.contextmanager
    def errors_of_httpx(self) -> Iterator[None]:
        """Within the block, errors of httpcore are turned into those of httpx."""
        try:
            yield
        except tuple(_ERRORS) as error:
            if self.is_closed:  # whether a connection broke or was closed here, the error does not say
                raise _closed_meanwhile() from error
            raise _ERRORS[type(error)](str(error)) from error

    async def take_back(self, connection: _Connection) -> None:
        """Keeps a connection whose answer was read to its end; closes any other."""
        if self.is_closed or not connection.is_idle:
            await self._discard(connection)
            return
        self.busy.discard(connection)
        self.idle.append(connection)
        connection.idle_until = time.monotonic() + self._keepalive
        await _close_all(self._take_surplus())

    async def aclose(self) -> None:
        """Ends what is open or about to be."""
        self.is_closed = True
        connections = [*self.busy, *self.idle]
        self.idle.clear()
        self.busy.clear()
        try:
            await _close_all(connections)
        finally:
            with contextlib.suppress(RuntimeError):  # the loop may be closing it right now
                await self._open_until_loop_ends.aclose()

    def _take(self, url: httpx.URL) -> tuple[_Connection, list[_Connection]]:
        """The idle connection for a URL that was used last, or a new one; and those to close."""
        outdated = self._take_surplus()
        route = (self._proxies.find(str(url)), url.scheme, url.host, url.port)
        for connection in reversed(self.idle):
            if connection.route == route:
                self.idle.remove(connection)
                if connection.is_reusable:
                    return connection, outdated
                outdated.append(connection)
        return _Connection(route, self._lookups), outdated

    def _take_surplus(self) -> list[_Connection]:
        """Idle connections that are too many or too old. Those that were used last are at the end."""
        now, surplus = time.monotonic(), []
        while self.idle and (len(self.idle) > self._most_idle or self.idle[0].idle_until <= now):
            surplus.append(self.idle.pop(0))
        return surplus

    async def _discard(self, connection: _Connection) -> None:
        self.busy.discard(connection)
        with anyio.CancelScope(shield=True):
            await connection.close()

    async def _close_with_loop(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.aclose()


class _Connection:
    """One connection, which its first request opens.

    Attributes:
        idle_until: when an idle one is closed, by the monotonic clock.
    """

    def __init__(self, route: tuple[Proxy | None, str, str, int | None], lookups: Lookups) -> None:
        self.route = route
        self.idle_until = 0.0
        self._sockets = ConnectionSockets(lookups)
        proxy, scheme, *_ = route
        self._maker = httpcore.AsyncConnectionPool(
            ssl_context=tls_context() if scheme == "https" else None,
            proxy=None if proxy is None else _read_proxy(proxy),
            network_backend=self._sockets,
        )
        self._http: httpcore.AsyncConnectionInterface | None = None
        self._sending = anyio.CancelScope()

    @property
    def is_idle(self) -> bool:
        """Whether its last answer was read to its end, and nothing arrived with it."""
        return self._http is not None and self._http.is_idle() and not self._sockets.holds_more

    @property
    def is_reusable(self) -> bool:
        """Whether it is idle, and nothing came since: not even its closing."""
        return self._http is not None and self.is_idle and not self._http.has_expired()

    async def send(self, request: httpx.Request) -> httpcore.Response:
        """The head of the answer to a request.

        Raises:
            ClosedError: where the connection is closed meanwhile.
        """
        destination = request.extensions.get("destination")
        assert isinstance(destination, Destination)
        self._sockets.destination = destination
        url = request.url
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        assert isinstance(request.stream, httpx.AsyncByteStream)
        sent = httpcore.Request(
            request.method,
            target,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        if self._http is None:
            self._http = self._maker.create_connection(target.origin)
        with anyio.CancelScope() as self._sending:
            return await self._http.handle_async_request(sent)
        raise _closed_meanwhile()

    async def close(self) -> None:
        """Ends its request, and closes its sockets."""
        self._sending.cancel()
        await self._sockets.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closing it gives its connection back."""

    def __init__(self, response: httpcore.Response, connection: _Connection, pool: Pool) -> None:
        self._response = response
        self._connection = connection
        self._pool = pool
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, AsyncIterable)
        with self._pool.errors_of_httpx():
            async for piece in self._response.stream:
                yield piece

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._response.aclose()
        finally:  # asyncio's own cancellation ignores anyio's shields
            await self._pool.take_back(self._connection)


def _read_proxy(proxy: Proxy) -> httpcore.Proxy:
    """A proxy in the form that httpcore takes."""
    read = httpx.Proxy(proxy.url)
    url = read.url
    return httpcore.Proxy(
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        auth=read.raw_auth,
        ssl_context=tls_context() if url.scheme == "https" else None,
    )


def _closed_meanwhile() -> ClosedError:
    return ClosedError(
        "the client was closed while a call was under way", hint="close it after the last call"
    )


async def _close_all(connections: list[_Connection]) -> None:
    interruption: BaseException | None = None
    for connection in connections:
        try:
            await connection.close()
        except BaseException as error:  # noqa: BLE001 - raised when the others are closed too
            interruption = error
    if interruption is not None:
        raise interruption
