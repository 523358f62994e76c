"""Proxies on loopback that count what goes through them: HTTP (forward and CONNECT) and SOCKS5."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chatgptt.net.connection_server import ConnectionServer


@dataclass
class Proxy:
    """Where it listens and where it was asked to go, one entry a request or tunnel."""

    url: str = ""
    targets: list[str] = field(default_factory=list)
    denied: int = 0


@contextlib.asynccontextmanager
async def http_proxy(*, login: str = "") -> AsyncIterator[Proxy]:
    """Forwards absolute-form requests one a connection, and tunnels CONNECT; `login` is `user:password`."""
    proxy = Proxy()
    expected = f"Basic {b64encode(login.encode()).decode()}"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        method, target, _ = first.split(" ")
        headers = [line for line in lines if not line.lower().startswith(("proxy-", "connection:"))]
        given = next(
            (line.partition(":")[2].strip() for line in lines if line.lower().startswith("proxy-auth")), ""
        )
        if login and given != expected:
            proxy.denied += 1
            writer.write(
                b'HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
            )
            return
        proxy.targets.append(target)
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        there = await asyncio.open_connection(url.hostname, url.port or 80)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Go\r\n\r\n")
        else:
            path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
            request = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "Connection: close", "", ""])
            there[1].write(request.encode("latin-1"))
        await _join((reader, writer), there)

    async with _listening(serve) as port:
        proxy.url = f"http://{login + '@' if login else ''}127.0.0.1:{port}"
        yield proxy


@contextlib.asynccontextmanager
async def socks5_proxy() -> AsyncIterator[Proxy]:
    proxy = Proxy()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        *_, kind = await reader.readexactly(4)
        if kind == 1:
            host = ".".join(map(str, await reader.readexactly(4)))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        (port,) = struct.unpack(">H", await reader.readexactly(2))
        proxy.targets.append(f"{host}:{port}")
        there = await asyncio.open_connection(host, port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _join((reader, writer), there)

    async with _listening(serve) as port:
        proxy.url = f"socks5://127.0.0.1:{port}"
        yield proxy


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _join(here: Ends, there: Ends) -> None:
    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    try:
        await asyncio.gather(copy(here[0], there[1]), copy(there[0], here[1]))
    finally:
        there[1].close()
        with contextlib.suppress(OSError):
            await there[1].wait_closed()


@contextlib.asynccontextmanager
async def _listening(serve: Serve) -> AsyncIterator[int]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        await writer.drain()

    server = ConnectionServer(socket.create_server(("127.0.0.1", 0)), handle)
    try:
        yield server.port
    finally:
        await server.end()
