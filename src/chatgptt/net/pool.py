"""The connections of a client in one event loop, for hundreds of requests at once.

httpcore's own pool asks the system about each idle connection's socket whenever a request begins or ends. It
counts all connections for each of them, and gives one idle connection to all requests that wait. With 200
messages at once this takes more time than everything else. In this pool no request waits: it gets the
connection that was used last, or a new one, and the system is asked about that one socket.

A connection serves another request only after a whole answer with nothing behind it. In all other cases (a
cancelled task, a generator that two tasks close at once) it is closed.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

import httpcore
import httpx
from httpcore._async.http11 import HTTP11ConnectionByteStream

from chatgptt.net.sockets import Network

__all__ = ["Connections", "Pool"]


class Pool(httpcore.AsyncConnectionPool):
    """As many connections as there are requests at once; some are kept for a while.

    Args:
        network: opens them.
        model: a pool that was not used yet; it says where they lead, through a proxy perhaps.
    """

    def __init__(self, network: Network, model: httpcore.AsyncConnectionPool) -> None:
        super().__init__(max_connections=None, max_keepalive_connections=model._max_keepalive_connections)
        model._network_backend = network
        self.create_connection = model.create_connection  # type: ignore[method-assign]
        self._network = network
        self._idle: list[httpcore.AsyncConnectionInterface] = []

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """See httpcore.AsyncConnectionPool."""
        if request.url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol(f"no requests are made over {request.url.scheme!r}")
        closing = self._take_surplus()
        connection = _maybe_usable(self._idle, request.url.origin, closing)
        if connection is None:
            connection = self.create_connection(request.url.origin)
            self._connections.append(connection)
        try:
            await self._drop(closing)
            response = await self._network.attempt(lambda: connection.handle_async_request(request))
        except BaseException:
            await self._drop([connection])
            raise
        stream = response.stream
        assert isinstance(stream, HTTP11ConnectionByteStream)
        return httpcore.Response(
            status=response.status,
            headers=response.headers,
            content=_Body(stream, connection, self),
            extensions=response.extensions,
        )

    async def take_back(self, connection: httpcore.AsyncConnectionInterface, *, is_clean: bool) -> None:
        """Keeps a connection for another request, if it `is_clean` and its answer was read to the end."""
        if is_clean and connection.is_idle() and not connection.is_closed():
            self._idle.append(connection)
            await self._drop(self._take_surplus())
        else:
            await self._drop([connection])

    async def aclose(self) -> None:
        """See httpcore.AsyncConnectionPool."""
        self._idle.clear()
        await super().aclose()

    def _take_surplus(self) -> list[httpcore.AsyncConnectionInterface]:
        """Those that are too many or too old; the last ones are used first, so they are in front."""
        surplus = []
        idle = self._idle
        while idle and (len(idle) > self._max_keepalive_connections or idle[0].has_expired()):
            surplus.append(idle.pop(0))
        return surplus

    async def _drop(self, connections: list[httpcore.AsyncConnectionInterface]) -> None:
        for connection in connections:
            if connection in self._connections:
                self._connections.remove(connection)
        await self._close_connections(connections)


def _maybe_usable(
    idle: list[httpcore.AsyncConnectionInterface],
    origin: httpcore.Origin,
    closing: list[httpcore.AsyncConnectionInterface],
) -> httpcore.AsyncConnectionInterface | None:
    """Takes a connection to `origin` out of `idle`; what turns out to be dead on the way is to be closed."""
    for place in reversed(range(len(idle))):
        if idle[place].can_handle_request(origin):
            connection = idle.pop(place)
            if not connection.has_expired():
                return connection
            closing.append(connection)
    return None


class _Body(AsyncIterable[bytes]):
    """The body of an answer; closing it gives its connection back."""

    def __init__(
        self, stream: HTTP11ConnectionByteStream, connection: httpcore.AsyncConnectionInterface, pool: Pool
    ) -> None:
        self._stream = stream
        self._connection = connection
        self._pool = pool
        self._is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._stream.aclose()
        finally:  # asyncio's own cancellation ignores anyio's shields
            # httpcore has no public word on bytes behind an answer, and would read them as the next one.
            behind, _ = self._stream._connection._h11_state.trailing_data
            await self._pool.take_back(self._connection, is_clean=not behind)


class Connections:
    """The connections of one client in the event loop that runs now; closed with it at the latest.

    Args:
        http: a client that has sent nothing yet.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self._network = Network()
        # httpx has no argument for it.
        for transport in (http._transport, *http._mounts.values()):
            if isinstance(transport, httpx.AsyncHTTPTransport):
                assert isinstance(transport._pool, httpcore.AsyncConnectionPool)
                transport._pool = Pool(self._network, transport._pool)
        # A loop that ends closes the generators that were begun in it. Nothing else says that it ends.
        self._until_the_end = _until_the_end(http, self._network)
        with contextlib.suppress(StopIteration):
            self._until_the_end.__anext__().send(None)

    async def close(self) -> None:
        """Ends what is open or about to be."""
        try:
            await self._network.close()
        finally:
            await self.http.aclose()
            with contextlib.suppress(RuntimeError):  # the loop may be closing it right now
                await self._until_the_end.aclose()


async def _until_the_end(http: httpx.AsyncClient, network: Network) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        await network.close()
        await http.aclose()
