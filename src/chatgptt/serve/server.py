"""The edge: a listening socket and uvicorn, with bounds on what a client may hold open."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chatgptt.serve.app import build_app
from chatgptt.serve.models import Catalogue
from chatgptt.serve.options import ServeOptions

_BACKLOG = 2048
"""Connections that may wait to be accepted."""
_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open. Clients close theirs earlier: none posts into a closed one."""
_ENDING = 5
"""Seconds that answers under way get after the server got the signal to end."""
_TELLING = 2.0
"""Seconds in which the answers that are cancelled then say so to their clients."""
_MAX_HEAD_BYTES = 32_768
"""Of a request's headers; as much as nginx takes."""


def run(catalogue: Catalogue, options: ServeOptions, on_ready: Callable[[str], None]) -> None:
    """Serves until Ctrl-C or SIGTERM.

    Args:
        catalogue: what is served.
        options: how.
        on_ready: called with the address, without `/v1`, once connections are taken.

    Raises:
        InvalidInputError: for options and sites that cannot work.
        KeyboardInterrupt: the way Ctrl-C ends it.
        OSError: the port is taken.
    """
    options.check()
    server = build_server(catalogue, options)
    with listen(options) as listening:
        on_ready(url_of(listening, options.host))
        server.run(sockets=[listening])


def listen(options: ServeOptions) -> socket.socket:
    """The listening socket.

    Raises:
        OSError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.create_server((options.host, options.port), family=family, backlog=_BACKLOG)
    # asyncio does this by itself only for sockets made with an explicit protocol number.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """Where clients reach it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listening.getsockname()[1]}"


class Connection(H11Protocol):
    """A connection that ends if a request's head takes too long, or if the client takes no bytes.

    uvicorn bounds the time between requests alone.
    """

    head_seconds: ClassVar[float] = 20.0
    write_seconds: ClassVar[float] = 60.0
    _giving_up: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins the wait for the first head."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # any byte that waits calls pause_writing
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        """Ends the wait with a head's last byte, begins it with the first one of the next."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        else:
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Begins the wait for the client to take what was written. To close would wait for that as well."""
        super().pause_writing()
        self._writing = self.loop.call_later(self.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends that wait."""
        self._stop_writing()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends both."""
        self._stop_waiting()
        self._stop_writing()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._giving_up is None:
            self._giving_up = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None


class Server(uvicorn.Server):
    """A server that ends with word to each client: one that gets no answer would send its message again."""

    def __init__(self, config: uvicorn.Config, ending: asyncio.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Waits for the answers under way, then cancels them. uvicorn by itself does not wait for that."""
        self._ending.set()
        await super().shutdown(sockets)
        if (tasks := set(self.server_state.tasks)) and not self.force_exit:
            await asyncio.wait(tasks, timeout=_TELLING)


def build_server(
    catalogue: Catalogue, options: ServeOptions, connection: type[Connection] = Connection
) -> Server:
    """The server for these sites.

    Raises:
        InvalidInputError: for a site that cannot be asked.
    """
    ending = asyncio.Event()
    config = uvicorn.Config(
        build_app(catalogue, options, ending),
        http=connection,
        ws="none",
        loop="asyncio",
        interface="asgi3",
        lifespan="on",
        log_config=None,  # its lines would have addresses and queries
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_ENDING,
        h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
    )
    return Server(config, ending)
