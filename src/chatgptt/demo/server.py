"""The demo on a port: in a thread for tests and examples, or in the foreground for people.

uvicorn's own loop checks every 0.1 s whether it shall stop, and then waits as long again. A test suite starts
and stops many demos, so this server stops at once: an event wakes it, and it closes all connections.
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

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chatgptt.demo.app import Demo
from chatgptt.demo.state import DemoState, LoggedRequest
from chatgptt.demo.stream import HANG_UP, Hangup

BACKLOG = 2048
"""Connections that may wait to be accepted: a test of concurrency opens more than a thousand at once."""

KEEP_ALIVE = 75
"""Seconds that an idle connection stays open, as with nginx. Clients close theirs earlier."""


class DemoSite:
    """A running demo: its address, its requests, and its clock."""

    def __init__(self, url: str, state: DemoState) -> None:
        self.url = url
        """Scheme, host and port, without a slash at the end."""
        self._state = state

    def page(self, path: str) -> str:
        """The full URL of a page, such as `wpaicg/`."""
        return f"{self.url}/{path.lstrip('/')}"

    @property
    def requests(self) -> list[LoggedRequest]:
        """All requests since the start or the last `clear`, in the order of their arrival."""
        return self._state.requests()

    @property
    def messages(self) -> list[LoggedRequest]:
        """The requests whose message reached the made-up AI, in the order of their arrival."""
        return [request for request in self.requests if request.message is not None]

    def clear(self) -> None:
        """Clears the log, the quotas, the conversations and the counters of scripted words."""
        self._state.clear()

    def advance(self, seconds: float) -> None:
        """Moves the demo's clock forward: nonces expire, and cached pages get older."""
        self._state.advance(seconds)


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
        state = DemoState(clock)
        shown = f"[{host}]" if ":" in host else host
        site = DemoSite(f"http://{shown}:{listening.getsockname()[1]}", state)
        config = uvicorn.Config(
            Demo(state, pace),
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
            timeout_keep_alive=KEEP_ALIVE,
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
    """Serves until Ctrl-C. Its KeyboardInterrupt comes out when everything has ended.

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
    """A connection that its application can close or reset."""

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
            # With a linger time of 0 seconds, closing sends a reset. The numbers are shorter on Windows.
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.transport.abort()
            return
        if self.cycle.response_started:
            self.transport.write(b"400\r\ndata: the first bytes of a chunk of 1024")
        self.transport.close()


class _Server(uvicorn.Server):
    """A server that stops at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Stops the server. May be called from any thread, and before the server has started."""
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
        for _ in range(3):  # a connection that was just accepted is known a turn of the loop later
            for connection in list(self.server_state.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        # Each answer ends by itself when its connection is lost.
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
