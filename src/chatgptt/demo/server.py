"""The demo on a port: in a thread for tests and examples, or in the foreground for people.

uvicorn's own loop looks every 0.1 s whether it shall stop, and then waits as long again; a test suite starts
and stops many of these. Hence a server that is woken to stop, and that hangs up instead of waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chatgptt.demo.app import Demo
from chatgptt.demo.stream import HANG_UP, Hangup
from chatgptt.demo.world import World

if TYPE_CHECKING:
    from chatgptt.demo.seen import Seen

__all__ = ["DemoSite", "run", "serve"]

BACKLOG = 2048
"""Connections that may wait to be accepted: more than a thousand come at once in a test of concurrency."""


class DemoSite:
    """A running demo: where it is, what it saw, and its clock."""

    def __init__(self, url: str, world: World) -> None:
        self.url = url
        """Scheme, host and port, without a slash at the end."""
        self._world = world

    def page(self, path: str) -> str:
        """The full URL of a page, such as `wpaicg/`."""
        return f"{self.url}/{path.lstrip('/')}"

    @property
    def requests(self) -> list[Seen]:
        """All requests since the start or the last `clear`, in the order in which they arrived."""
        return self._world.log.snapshot()

    @property
    def messages(self) -> list[Seen]:
        """Those requests for which the made-up AI was really asked; `Seen.message` is what it was asked."""
        return [seen for seen in self.requests if seen.message is not None]

    def clear(self) -> None:
        """Forget the log, quotas, conversations and the counters of scripted words."""
        self._world.clear()

    def advance(self, seconds: float) -> None:
        """Move the demo's clock on: nonces expire, and what the page caches hold gets older."""
        self._world.clock.advance(seconds)


@contextlib.contextmanager
def serve(
    port: int = 0, host: str = "127.0.0.1", clock: Callable[[], float] = time.time, pace: float = 0.0
) -> Iterator[DemoSite]:
    """A demo that runs in a thread of its own until the block ends.

    Args:
        port: 0 takes a free one.
        host: The address to listen at; anything but loopback shows the demo to the network.
        clock: Seconds since the epoch; `DemoSite.advance` moves on from there.
        pace: Seconds between the pieces of a streamed answer, so that people can see it stream.

    Raises:
        OSError: The port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=BACKLOG) as listening:
        # asyncio does this by itself only for sockets made with an explicit protocol number.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        world = World(clock)
        shown = f"[{host}]" if ":" in host else host
        site = DemoSite(f"http://{shown}:{listening.getsockname()[1]}", world)
        config = uvicorn.Config(
            Demo(world, pace),
            http=_Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,  # the demo's clock makes it
            backlog=BACKLOG,
        )
        server = _Server(config)
        thread = threading.Thread(target=server.run, args=([listening],), name="chatgptt-demo", daemon=True)
        thread.start()
        try:
            server.ready.wait()
            yield site
        finally:
            server.stop()
            thread.join()


def run(port: int, host: str = "127.0.0.1", on_ready: Callable[[DemoSite], None] = lambda site: None) -> None:
    """Serve until Ctrl-C, whose KeyboardInterrupt comes out of here when everything has ended.

    Args:
        port: 0 takes a free one.
        host: The address to listen at.
        on_ready: Called with the site as soon as it answers.

    Raises:
        KeyboardInterrupt: The way it ends.
        OSError: The port is taken.
    """
    with serve(port, host) as site:
        on_ready(site)
        while True:
            time.sleep(3600.0)


class _Connection(H11Protocol):
    """A connection that its application can break off."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: uvicorn.server.ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, {**app_state, HANG_UP: self._hang_up}, _loop)

    def _hang_up(self, how: Hangup) -> None:
        if how is Hangup.RESET:
            # On, for 0 seconds: closing sends a reset. Windows has shorter numbers in it.
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
            return
        if self.cycle.response_started:
            self.transport.write(b"400\r\ndata: the first bytes of a chunk of 1024")
        self.transport.close()


class _Server(uvicorn.Server):
    """A server that stops when told, at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End it, from any thread and at any time, even before it has begun."""
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        # Each answer ends by itself when its connection is lost.
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
