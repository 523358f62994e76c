"""Names and addresses of a public net, each answered by a server on loopback. What is fake is the map alone."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field

import httpcore
import pytest


class _Stream(httpcore.AsyncNetworkStream):
    """A real connection that says it was made to another address."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, address: str, port: int) -> None:
        self._inner = inner
        self._peer = (address, port)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout), *self._peer)

    async def aclose(self) -> None:
        await self._inner.aclose()

    def get_extra_info(self, info: str) -> object:
        return self._peer if info == "server_addr" else self._inner.get_extra_info(info)


@dataclass
class Internet:
    """What names resolve to and which port of loopback answers for an address.

    Attributes:
        names: the addresses of each; other names are looked up as always.
        ports: which port of loopback answers for an address and port; what is not here is dialled as it is.
        dialled: the addresses that connections were opened to, in order.
    """

    names: dict[str, list[str]] = field(default_factory=dict)
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    dialled: list[str] = field(default_factory=list)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Internet:
    """The net that the client's own connections go to, as long as the test lasts."""
    net = Internet()
    connect, resolve, dial = httpcore.AnyIOBackend.connect_tcp, socket.getaddrinfo, asyncio.open_connection

    def getaddrinfo(host: str | bytes, port: int, *args: int, **named: int) -> list[tuple[object, ...]]:
        name = host.decode("ascii") if isinstance(host, bytes) else host
        if name not in net.names:
            return list(resolve(host, port, *args, **named))
        return [entry for address in net.names[name] for entry in resolve(address, port, *args, **named)]

    async def connect_tcp(
        backend: httpcore.AnyIOBackend,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        host = net.names.get(host, [host])[0]  # a client that was handed in dials names
        net.dialled.append(host)
        there = net.ports.get((host, port))
        if there is None:
            return await connect(backend, host, port, timeout, local_address, socket_options)
        inner = await connect(backend, "127.0.0.1", there, timeout, local_address, socket_options)
        return _Stream(inner, host, port)

    async def open_connection(
        host: str, port: int, *, ssl: ssl.SSLContext | None = None, server_hostname: str | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """What the browser's gate and the tests' proxies dial by."""
        host = net.names.get(host, [host])[0]
        net.dialled.append(host)
        there = net.ports.get((host, port))
        if there is None:
            return await dial(host, port, ssl=ssl, server_hostname=server_hostname)
        return await dial("127.0.0.1", there, ssl=ssl, server_hostname=server_hostname)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(asyncio, "open_connection", open_connection)
    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_tcp)
    return net
