"""Which request gets which connection, for hundreds of them at once.

Whenever a request begins or ends, httpcore's own pool asks the system about each idle connection's socket,
counts all connections for each of them, gives one idle connection to everybody who waits, and closes what
is idle as soon as more are open than it may keep idle, the busy ones included. With 200 messages at once that
takes longer than all else together, and most of them wait for a new connection. This pool goes through them
once, gives a connection to one request, and asks about the socket of the one that is to be used.
"""

from __future__ import annotations

import httpcore
import httpx

__all__ = ["Pool", "widen"]


class Pool(httpcore.AsyncConnectionPool):
    """As many connections as there are requests at once; some are kept for a while."""

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        """Gives every waiting request a connection; returned are those to be closed."""
        closing: list[httpcore.AsyncConnectionInterface] = []
        given = {id(request.connection) for request in self._requests}
        self._connections = [connection for connection in self._connections if not connection.is_closed()]
        idle = [
            connection
            for connection in self._connections
            if connection.is_idle() and id(connection) not in given
        ]
        # The last ones are used first, so those that nobody needs any more gather at the front.
        while idle and (len(idle) > self._max_keepalive_connections or idle[0].has_expired()):
            closing.append(idle.pop(0))
        for request in self._requests:
            if request.is_queued():
                origin = request.request.url.origin
                connection = _maybe_usable(idle, origin, closing)
                if connection is None:
                    connection = self.create_connection(origin)
                    self._connections.append(connection)
                request.assign_to_connection(connection)
        for connection in closing:
            self._connections.remove(connection)
        return closing


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


def widen(http: httpx.AsyncClient) -> None:
    """Lets `http` open connections by a `Pool`, but for those through a proxy."""
    # httpx has no argument for it.
    transport = http._transport
    if isinstance(transport, httpx.AsyncHTTPTransport):
        known = transport._pool
        transport._pool = Pool(
            ssl_context=known._ssl_context,
            max_connections=None,
            max_keepalive_connections=known._max_keepalive_connections,
            keepalive_expiry=known._keepalive_expiry,
        )
