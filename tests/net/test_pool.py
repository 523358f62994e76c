"""Which request gets which connection, counted at the server."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import anyio
import httpx
import pytest
import trustme
from asking import client_of
from faults import (
    AIPKIT_PAGE,
    ANSWER,
    BEGINNING,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    Server,
    always,
    chat,
    chunk,
    closed_port,
    reply,
    serving,
    stream_reply,
)

from chatgptt.net.deadline import Deadline
from chatgptt.net.pool import Pool
from chatgptt.net.proxies import Proxies
from chatgptt.net.reach import Destination, Reach

pytestmark = pytest.mark.anyio
AT_ONCE = 60


@asynccontextmanager
async def pooling(expiry: float = 60.0, most_idle: int = 100) -> AsyncIterator[httpx.AsyncClient]:
    pool = Pool(Proxies(None), most_idle=most_idle, keepalive=expiry)
    hooks = {"request": [go_anywhere]}
    async with httpx.AsyncClient(transport=pool, timeout=30.0, event_hooks=hooks) as http:
        yield http


async def go_anywhere(request: httpx.Request) -> None:
    url = request.url
    reach = Reach(url.host)
    request.extensions["destination"] = Destination(
        deadline=Deadline(60.0), reach=reach, host=url.host, port=url.port or 80
    )


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


# What comes behind an answer


BEHIND = reply("A second answer, which nothing asked for.")
LEFTOVERS = {
    "a second answer": BEHIND,
    "a second answer of the same kind": stream_reply(ANSWER.replace(b"Hi ", b"No ")),
    "the server's farewell": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    "a byte": b"\n",
}


def sending_behind(leftover: bytes, when: str, html: str, answers: dict[str, bytes]) -> Answer:
    """A site that sends something that nothing asked for: with each answer, or between two messages."""

    async def answer(connection: Connection, got: Got) -> bool:
        action = got.fields.get("action") or dict(parse_qsl(urlsplit(got.target).query)).get("action", "")
        said = answers.get(action, reply(html))
        if when == "with each answer":
            await connection.send(said + leftover)
        else:
            await connection.send(said)
            if action in list(answers)[-1:]:
                await asyncio.sleep(PAUSE)
                await connection.send(leftover)
        return True

    return answer


PAUSE = 0.05


SITES = {
    "1.x": (WPAICG_PAGE, {"wpaicg_chat_shortcode_message": stream_reply()}),
    "2.x": (
        AIPKIT_PAGE,
        {
            "aipkit_cache_sse_message": reply(
                '{"success":true,"data":{"cache_key":"aipkit_sse_1"}}', kind="application/json"
            ),
            "aipkit_frontend_chat_stream": stream_reply(
                b'data: {"delta": "Hi there"}\n\nevent: done\ndata: {"finished": true}\n\n'
            ),
        },
    ),
}


@pytest.mark.parametrize("is_safe", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("when", ["with each answer", "between two messages"])
@pytest.mark.parametrize("leftover", LEFTOVERS)
@pytest.mark.parametrize("protocol", SITES)
async def test_what_comes_behind_an_answer_is_never_the_next_one(
    protocol: str, leftover: str, when: str, is_safe: bool, authority: trustme.CA
) -> None:
    html, answers = SITES[protocol]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if is_safe else None
    if tls is not None:
        authority.issue_cert("127.0.0.1").configure_cert(tls)
    site = sending_behind(LEFTOVERS[leftover], when, html.format(nonce=NONCE), answers)
    async with serving(site, tls=tls) as server, client_of(server.url) as client:
        for _ in range(3):
            assert (await client.ask("Hello")).text == "Hi there"
            await anyio.sleep(2 * PAUSE)
        assert server.connections == (len(server.got) if when == "with each answer" else 3)
        assert server.count("POST") == 3


CHUNKED_HEAD = b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n%b\r\n\r\n"


@pytest.mark.parametrize(
    "header",
    [
        b"Transfer-Encoding: chunked",
        b"transfer-encoding:  Chunked",
        b"Connection: close\r\nTransfer-Encoding: chunked",
    ],
)
@pytest.mark.parametrize(
    "arrivals",
    [
        ["{head}{body}0\r\n\r\n{leftover}"],
        ["{head}{body}", "0\r\n\r\n{leftover}"],
        ["{head}{body}0", "\r\n\r\n{leftover}"],
        ["{head}{body}00", "0 \r\n\r\n{leftover}"],
        ["{head}{body}0\r", "\n\r\n{leftover}"],
        ["{head}{body}0\r\nTrailer: 1", "\r\n\r", "\n{leftover}"],
        ["{head}{body}0;extension=1", "\r\n\r\n{leftover}"],
        ["{head}", "{body}", "0", "\r\n\r\n{leftover}"],
    ],
)
async def test_nor_is_what_comes_behind_a_chunked_answer(arrivals: list[str], header: bytes) -> None:
    parts = {"head": CHUNKED_HEAD % header, "body": chunk(ANSWER), "leftover": stream_reply(BEGINNING)}

    async def answer(connection: Connection, got: Got) -> bool:
        if not got.is_message:
            await connection.send(reply(WPAICG_PAGE.format(nonce=NONCE)))
            return True
        for arrival in arrivals:
            await connection.send(arrival.format(**{k: v.decode() for k, v in parts.items()}).encode())
            await asyncio.sleep(0.02)  # so that it arrives by itself
        return True

    async with serving(answer) as server, client_of(server.url) as client:
        for _ in range(3):
            assert (await client.ask("Hello")).text == "Hi there"
        assert server.count("POST") == 3
        assert server.connections == 3  # the first one brought the page too


async def test_a_connection_with_something_behind_its_answer_is_closed_at_once() -> None:
    async with serving(always(reply("fine") + BEHIND)) as server, pooling() as http:
        assert (await http.get(server.url)).text == "fine"
        await until_open(server, 0)
