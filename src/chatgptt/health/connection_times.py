"""Times and certificate of the page request's own connection, by httpcore's trace events.

The name is looked up once more right before the connection is opened, since the lookup in httpcore has no
event of its own. The system's resolver answers the second lookup from its cache.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from chatgptt.net.http import host_and_port
from chatgptt.net.lookup import look_up
from chatgptt.net.sockets import find_peer, find_tls
from chatgptt.protocols.address_spaces import is_address


@dataclass(slots=True, kw_only=True)
class Connection:
    """One connection. Times are in seconds, None for what did not happen or did not end."""

    host: str
    port: int
    is_proxy: bool
    addresses: tuple[str, ...] = ()
    lookup: float | None = None
    is_looking_up: bool = False
    peer: str = ""
    tcp: float | None = None
    has_tls_begun: bool = False
    tls: float | None = None
    tls_version: str = ""
    certificate_expires_at: float | None = None

    @property
    def setup(self) -> float:
        """Seconds until it could be used."""
        return (self.lookup or 0.0) + (self.tcp or 0.0) + (self.tls or 0.0)


class ConnectionTimes:
    """A callback for `Acquisition.trace`.

    Args:
        page: the page's URL; a first connection to elsewhere is one to a proxy.
        clock: seconds since the check began.

    Attributes:
        last: the connection that the page came over, or the one that failed; redirects and repeats open
            further ones.
        body_at: when the last body so far had arrived.
    """

    def __init__(self, page: str, clock: Callable[[], float]) -> None:
        self._site = host_and_port(page)
        self._clock = clock
        self._started = 0.0
        self.last: Connection | None = None
        self.body_at: float | None = None

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        """Takes in one event, as `connection.connect_tcp.complete`."""
        last = self.last
        match event.split(".")[1:]:
            case ["connect_tcp", "started"]:
                await self._connect(str(info.get("host")), info.get("port"))
                self._started = self._clock()
            case ["connect_tcp", "complete"] if last is not None:
                last.tcp = self._clock() - self._started
                last.peer = find_peer(info.get("return_value"))
            case ["start_tls", "started"] if last is not None:
                last.has_tls_begun = True
                self._started = self._clock()
            case ["start_tls", "complete"] if last is not None:
                self._secured(last, info.get("return_value"))
            case ["receive_response_body", "complete"]:
                self.body_at = self._clock()

    async def _connect(self, host: str, port: object) -> None:
        number = port if isinstance(port, int) else 0
        is_proxy = (host, number) != self._site if self.last is None else self.last.is_proxy
        self.last = connection = Connection(host=host, port=number, is_proxy=is_proxy)
        if is_proxy or is_address(host):
            return
        started = self._clock()
        connection.is_looking_up = True
        with suppress(OSError):  # the connection that follows fails for the same reason, and says it
            connection.addresses = tuple(await look_up(host, number))
        connection.is_looking_up = False
        connection.lookup = self._clock() - started

    def _secured(self, connection: Connection, stream: object) -> None:
        connection.tls = self._clock() - self._started
        tls = find_tls(stream)
        if tls is not None:
            connection.tls_version = tls.version() or ""
            ends = (tls.getpeercert() or {}).get("notAfter")
            if isinstance(ends, str):
                connection.certificate_expires_at = float(ssl.cert_time_to_seconds(ends))
