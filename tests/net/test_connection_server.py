"""The server for connections: it serves, it ends, and it leaves nothing open at any moment of its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest

from chatgptt.net.connection_server import ConnectionServer


def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends more than a client that does not read takes."""
    writer.write(bytes(64 * 2**20))


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("serve", [echo, flood])
def test_no_connection_is_left_open(serve: object, turns: int) -> None:
    """`turns` of the loop lie between the connections and the end."""
    assert callable(serve)
    before = os.listdir("/proc/self/fd")

    async def run(stack: contextlib.ExitStack) -> None:
        server = ConnectionServer(listening(), serve)
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", server.port))
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.end()

    for _ in range(5):
        with contextlib.ExitStack() as stack:
            asyncio.run(run(stack))
    assert os.listdir("/proc/self/fd") == before


def test_what_was_written_arrives_before_the_end_of_a_connection() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(2**22))

    async def run() -> int:
        server = ConnectionServer(listening(), serve)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            return len(await reader.read())
        finally:
            writer.close()
            await writer.wait_closed()
            await server.end()

    assert asyncio.run(run()) == 2**22


def test_a_connection_that_breaks_ends_no_other_one() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(2) == b"no":
            raise EOFError
        writer.write(b"ok")

    async def say(server: ConnectionServer, text: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            writer.write(text)
            with contextlib.suppress(ConnectionResetError):
                return await reader.read()
            return b""
        finally:
            writer.close()

    async def run() -> list[bytes]:
        server = ConnectionServer(listening(), serve)
        try:
            return [await say(server, text) for text in (b"no", b"hi", b"no", b"hi")]
        finally:
            await server.end()

    assert asyncio.run(run()) == [b"", b"ok", b"", b"ok"]
