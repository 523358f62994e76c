"""A server for the connections of one socket that leaves nothing open when it ends.

`asyncio.start_server` does leave something: a connection that arrives in the moment of the end, and the
connection of a task that is cancelled before its first step.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

ServeConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_NO_DESCRIPTORS_PAUSE = 0.1
"""Seconds until the next try, where this process has no file descriptor for a connection."""


class ConnectionServer:
    """Serves each connection in a task of its own, and closes it after that.

    Args:
        listening: the socket. It is closed with the server.
        serve: serves one connection. An OSError or EOFError of it is the end of that connection, no fault.
        limit: of the reader's buffer, in bytes.
        tls: what the server shows of itself, where it speaks TLS.
    """

    def __init__(
        self,
        listening: socket.socket,
        serve: ServeConnection,
        *,
        limit: int = 2**16,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        listening.setblocking(False)
        self._listening = listening
        self._serve = serve
        self._limit = limit
        self._tls = tls
        self._is_ending = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept_all())

    @property
    def port(self) -> int:
        """Where it listens."""
        port = self._listening.getsockname()[1]
        assert isinstance(port, int)
        return port

    async def end(self) -> None:
        """Ends the server and its connections."""
        self._is_ending = True
        # A cancelled `sock_accept` may lose a connection. One more connection lets it return instead.
        with contextlib.suppress(OSError), socket.socket(self._listening.family) as last:
            last.setblocking(False)
            last.connect_ex(self._listening.getsockname()[:2])
            await asyncio.wait([self._accepting])
        self._accepting.cancel()
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)  # until the loop has closed what was aborted

    async def _accept_all(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._is_ending:
            try:
                connection, _ = await loop.sock_accept(self._listening)
            except OSError:
                await asyncio.sleep(_NO_DESCRIPTORS_PAUSE)
                continue
            task = asyncio.create_task(self._serve_one(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step would not close its connection.
        await asyncio.sleep(0)

    async def _serve_one(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(self._limit, loop)
        made: list[asyncio.StreamWriter] = []
        # The callback tells the protocol that it is a server's, for `writer.start_tls`.
        protocol = asyncio.StreamReaderProtocol(reader, lambda _, writer: made.append(writer), loop)
        with contextlib.suppress(OSError, EOFError):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls)
            try:
                await self._serve(reader, made[0])
                made[0].close()
                await made[0].wait_closed()
            except BaseException:
                transport.abort()
                raise
