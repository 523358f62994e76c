"""A server that answers with raw bytes, or breaks off, exactly as a test's script says."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from chatgptt.net.connection_server import ConnectionServer

NONCE = "1f2e3d4c5b"
AJAX = "/wp-admin/admin-ajax.php"
WPAICG_PAGE = (
    '<!doctype html><title>A</title><div class="wpaicg-chat-shortcode" data-nonce="{nonce}" data-post-id="7" '
    'data-bot-id="0" data-type="shortcode" data-openai_stream_nav="1"></div>'
)
AIPKIT_PAGE = (
    '<!doctype html><title>A</title><div class="aipkit_chat_container" id="aipkit_chat_container_5" data-bot-id="5" '
    "data-config='{{&quot;botId&quot;:5,&quot;nonce&quot;:&quot;{nonce}&quot;,&quot;postId&quot;:9}}'></div>"
)
ANSWER = (
    b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"Hi "},"finish_reason":null}]}\n\n'
    b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"there"},"finish_reason":null}]}\n\n'
    b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
BEGINNING = ANSWER[: ANSWER.index(b"\n\n") + 2]


@dataclass(frozen=True)
class Got:
    """A request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def is_message(self) -> bool:
        return self.path == AJAX and self.method == "POST"

    @property
    def fields(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Connection:
    """One connection, from the server's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_closed(self) -> None:
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass


_BACKLOG = 500
"""Connections that may wait to be accepted; one more would be tried again after a second, at the earliest."""

Answer = Callable[[Connection, Got], Awaitable[bool | None]]
"""Answers one request; True keeps the connection for another one."""


@dataclass
class Server:
    """Where it listens and what it got."""

    url: str
    port: int
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0

    def count(self, method: str) -> int:
        return sum(got.method == method for got in self.got)

    @property
    def counts(self) -> tuple[int, int]:
        """Page requests and messages."""
        return sum(not got.is_message for got in self.got), sum(got.is_message for got in self.got)

    async def until_all_closed(self) -> None:
        async with asyncio.timeout(10):
            while self.open_connections:  # noqa: ASYNC110 - a test may look at any moment
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        server.connections += 1
        server.open_connections += 1
        try:
            while (got := await read_request(reader)) is not None:
                server.got.append(got)
                if not await answer(connection, got):
                    break
        finally:
            server.open_connections -= 1

    listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
    connections = ConnectionServer(listening, serve, tls=tls)
    port = connections.port
    server = Server(f"{'https' if tls else 'http'}://127.0.0.1:{port}", port)
    try:
        yield server
    finally:
        await connections.end()


async def read_request(reader: asyncio.StreamReader) -> Got | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, OSError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Got(method, target, headers, body)


def reply(
    body: bytes | str,
    *,
    status: int = 200,
    kind: str = "text/html; charset=UTF-8",
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """A whole reply that leaves the connection open."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + data


def stream_reply(body: bytes = ANSWER) -> bytes:
    return reply(body, kind="text/event-stream")


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED_PAGE = CHUNKED.replace(b"event-stream", b"html")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def chat(
    *, page: Answer | None = None, message: Answer | None = None, html: str = WPAICG_PAGE.format(nonce=NONCE)
) -> Answer:
    """A 1.x site whose page or message goes as told; what is not told goes well."""

    async def answer(connection: Connection, got: Got) -> bool | None:
        told = message if got.is_message else page
        if told is not None:
            return await told(connection, got)
        await connection.send(stream_reply() if got.is_message else reply(html))
        return True

    return answer


def always(data: bytes) -> Answer:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(data)
        return True

    return answer


def first(fault: Answer, *, then: bytes) -> Answer:
    """The fault for the first request of its kind, `then` for all later ones."""
    done: list[Got] = []

    async def answer(connection: Connection, got: Got) -> bool | None:
        done.append(got)
        if len(done) == 1:
            return await fault(connection, got)
        await connection.send(then)
        return True

    return answer


async def reset(connection: Connection, got: Got) -> None:
    connection.reset()


async def close(connection: Connection, got: Got) -> None:
    pass


async def reset_after_head(connection: Connection, got: Got) -> None:
    await connection.send(CHUNKED if got.is_message else CHUNKED_PAGE)
    connection.reset()


async def silence(connection: Connection, got: Got) -> None:
    await connection.until_closed()


async def silence_after_head(connection: Connection, got: Got) -> None:
    await connection.send(CHUNKED if got.is_message else CHUNKED_PAGE)
    await connection.until_closed()


async def reset_after_text(connection: Connection, got: Got) -> None:
    await connection.send(CHUNKED + chunk(BEGINNING))
    await asyncio.sleep(0.05)  # else the reset may overtake the text
    connection.reset()


async def silence_after_text(connection: Connection, got: Got) -> None:
    await connection.send(CHUNKED + chunk(BEGINNING))
    await connection.until_closed()


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
