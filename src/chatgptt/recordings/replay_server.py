"""A small HTTP server that sends replies exactly as they are: chunk by chunk, cut off, or reset.

It is written on asyncio's streams alone. Web frameworks hide what matters here, and a user's test suite shall
not need one. Each connection takes one request, because how it ends is part of the reply.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from chatgptt.browser.http_heads import read_request_head
from chatgptt.net.connection_server import ConnectionServer
from chatgptt.recordings.case import Exchange, Sender
from chatgptt.recordings.matching import exchange_of

_MAX_HEAD_BYTES = 64 * 1024
_MAX_BODY_BYTES = 4 * 2**20


@contextlib.contextmanager
def serve_replies(
    sockets: Mapping[str, socket.socket], answer: Callable[[Exchange, Mapping[str, str]], Exchange]
) -> Iterator[None]:
    """Answers the requests at some sockets, each the address of one host, until the block ends.

    It runs in a thread with a loop of its own. `answer` gets a request and its headers, by their lower-case
    names.
    """
    loop, is_over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        servers = [
            ConnectionServer(listening, partial(_converse, host, answer), limit=_MAX_HEAD_BYTES)
            for host, listening in sockets.items()
        ]
        await is_over.wait()
        for server in servers:
            await server.end()

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=run, name="chatgptt-replay", daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()


async def _converse(
    host: str,
    answer: Callable[[Exchange, Mapping[str, str]], Exchange],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Takes one request and sends its reply. A client that speaks no HTTP gets none."""
    with contextlib.suppress(ValueError, asyncio.LimitOverrunError):
        request, headers = await _read_request(host, reader)
        await _send(answer(request, headers), writer, reader)


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
    first = f"HTTP/1.1 {reply.status} {http.client.responses.get(reply.status, 'Unknown')}"
    lines = [f"{name}: {value}" for name, value in reply.headers]
    return "\r\n".join([first, *lines, "", ""]).encode("utf-8")
