"""Which request gets which connection, counted at the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from asking import client_of
from faults import (
    ANSWER,
    Answer,
    Connection,
    Got,
    Server,
    always,
    chat,
    closed_port,
    reply,
    serving,
    stream_reply,
)

from chatgptt._pool import widen

pytestmark = pytest.mark.anyio
AT_ONCE = 60


@asynccontextmanager
async def pooling(expiry: float = 60.0, most_idle: int = 100) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=most_idle, keepalive_expiry=expiry)
    async with httpx.AsyncClient(trust_env=False, limits=limits, timeout=30.0) as http:
        widen(http)
        yield http


class Together:
    """Answers as many requests as are told together, none before the last of them has come."""

    def __init__(self, count: int) -> None:
        self._barrier = asyncio.Barrier(count)

    async def __call__(self, connection: Connection, got: Got) -> bool:
        await self._barrier.wait()
        await connection.send(reply("fine"))
        return True


async def get_together(http: httpx.AsyncClient, url: str, count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(http.get, url)


async def until_open(server: Server, count: int) -> None:
    with anyio.fail_after(10):
        while server.open_connections != count:  # noqa: ASYNC110 - the server's side has no event for it
            await anyio.sleep(0.005)


async def test_one_after_the_other_takes_one_connection() -> None:
    async with serving(always(reply("fine"))) as server, pooling() as http:
        for _ in range(20):
            await http.get(server.url)
        assert server.connections == 1


async def test_all_at_once_take_one_each_and_the_next_ones_the_same() -> None:
    async with serving(Together(AT_ONCE)) as server, pooling(most_idle=AT_ONCE) as http:
        for _ in range(3):
            await get_together(http, server.url, AT_ONCE)
        assert server.connections == AT_ONCE


async def test_no_more_idle_ones_are_kept_than_allowed() -> None:
    async with serving(Together(30)) as server, pooling(most_idle=10) as http:
        await get_together(http, server.url, 30)
        await until_open(server, 10)


async def test_busy_ones_do_not_count_among_the_idle() -> None:
    held = asyncio.Event()

    async def answer(connection: Connection, got: Got) -> bool:
        if got.path == "/held":
            await held.wait()
        await connection.send(reply("fine"))
        return True

    async with serving(answer) as server, pooling(most_idle=3) as http, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(http.get, f"{server.url}/held")
        await until_open(server, 5)
        for _ in range(10):
            await http.get(server.url)
        assert server.connections == 6
        held.set()


async def test_what_was_idle_for_too_long_is_closed_and_not_used() -> None:
    async with serving(always(reply("fine"))) as server, pooling(expiry=0.0) as http:
        for _ in range(3):
            await http.get(server.url)
        assert server.connections == 3
        await until_open(server, 1)


async def test_one_that_the_server_has_closed_is_not_used() -> None:
    async def once(connection: Connection, got: Got) -> None:
        await connection.send(reply("fine"))

    async with serving(once) as server, pooling() as http:
        for count in range(1, 4):
            await http.get(server.url)
            await until_open(server, 0)
            assert server.connections == count


async def test_each_site_has_its_own() -> None:
    async with serving(always(reply("a"))) as one, serving(always(reply("b"))) as other, pooling() as http:
        for _ in range(3):
            assert (await http.get(one.url)).text == "a"
            assert (await http.get(other.url)).text == "b"
        assert (one.connections, other.connections) == (1, 1)


async def test_one_that_could_not_be_opened_or_was_given_up_leaves_nothing() -> None:
    waiting = asyncio.Event()

    async def answer(connection: Connection, got: Got) -> bool:
        if got.path == "/never":
            waiting.set()
            await connection.until_closed()
        await connection.send(reply("fine"))
        return True

    async with serving(answer) as server, pooling() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{closed_port()}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(http.get, f"{server.url}/never")
            await waiting.wait()
            tasks.cancel_scope.cancel()
        await until_open(server, 0)
        await http.get(server.url)
        assert server.open_connections == 1


async def test_the_client_s_messages_share_connections_however_many_are_under_way() -> None:
    barrier = asyncio.Barrier(AT_ONCE)

    async def together(connection: Connection, got: Got) -> bool:
        await barrier.wait()
        await connection.send(stream_reply(ANSWER))
        return True

    message: Answer = together
    async with serving(chat(message=message)) as server, client_of(server.url) as client:
        await client.find_boxes()
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(client.ask, "Hello")
        assert server.counts[1] == 3 * AT_ONCE
        assert server.connections <= AT_ONCE + 1  # the page took one
