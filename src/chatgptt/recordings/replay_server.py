"""A small HTTP server that sends replies exactly as they are: chunk by chunk, cut off, or reset.

It is written on asyncio's streams alone. Web frameworks hide what matters here, and a user's test suite shall
not need one. Each connection takes one request, because how it ends is part of the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

from chatgptt.browser.http_heads import read_request_head
from chatgptt.net.connection_server import ConnectionServer
from chatgptt.recordings.case import Exchange, Sender
from chatgptt.recordings.matching import exchange_of

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 4 * 2**20


class ReplayServer:
    """Answers the requests at some sockets, each the address of one host, in an event loop of its own.

    `answer` gets a request and its headers, by their lower-case names.
    """

    def __init__(
        self, sockets: Mapping[str, socket.socket], answer: Callable[[Exchange, Mapping[str, str]], Exchange]
    ) -> None:
        self._sockets = sockets
        self._answer = answer
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        """Serves until `stop`."""
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    def stop(self) -> None:
        """Ends `run`. May be called from any thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        servers = [
            ConnectionServer(listening, partial(self._converse, host), limit=_MAX_HEAD_BYTES)
            for host, listening in self._sockets.items()
        ]
        await self._stopping.wait()
        for server in servers:
            await server.end()

    async def _converse(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Takes one request and sends its reply. A client that speaks no HTTP gets none."""
        with contextlib.suppress(ValueError, asyncio.LimitOverrunError):
            request, headers = await _read_request(host, reader)
            await _send(self._answer(request, headers), writer, reader)


async def _read_request(host: str, reader: asyncio.StreamReader) -> tuple[Exchange, Mapping[str, str]]:
    head = await read_request_head(reader)
    pairs = [line.partition(":")[::2] for line in head.lines]
    headers = {name.strip().lower(): value.strip() for name, value in pairs}
    size = int(headers.get("content-length", "0"))
    if size > _MAX_BODY_BYTES:
        raise ValueError("no case has such a body")
    body = await reader.readexactly(size)
    by: Sender = "browser" if "sec-fetch-mode" in headers else "client"
    return exchange_of(head.method, host, head.target, headers.get("content-type", ""), body, by=by), headers


async def _send(reply: Exchange, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
    if reply.ending == "awaited":
        await reader.read()  # until the client hangs up
    if reply.ending in ("nothing", "awaited"):
        return
    writer.write(_head(reply))
    at = 0
    for chunk in reply.chunks:
        if chunk.delay:
            await writer.drain()
            await asyncio.sleep(chunk.delay)
        piece = reply.body[at : at + chunk.size_bytes]
        at += chunk.size_bytes
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.framing == "chunked" else piece)
        await writer.drain()
        await asyncio.sleep(0)
    match reply.ending:
        case "complete" if reply.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        case "cut" if reply.framing == "chunked":
            writer.write(b"400\r\n")  # a chunk of 1024 bytes that never come
        case "reset":
            await writer.drain()
            await asyncio.sleep(0.05)  # a reset overtakes bytes that the client has not read yet
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        case _:
            pass
    await writer.drain()


def _head(reply: Exchange) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    lines = [f"{name}: {value}" for name, value in reply.headers]
    return "\r\n".join([f"HTTP/1.1 {reply.status} {phrase}", *lines, "", ""]).encode("utf-8")
