"""Whenever a call is cancelled, nothing of it is left, and the client is as good as before.

The moments are random over the length of the call, from a seed that a failure shows. They are many: what goes
wrong between two particular awaits is found by hitting every pair of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from pathlib import Path
from types import CoroutineType

import anyio
import httpcore
import httpx
import pytest
import trustme
from asking import ECHO, Options, client_of
from faults import chat, serving
from proxies import http_proxy, socks5_proxy

from chatgptt import AsyncClient, ChatGptt, InvalidInputError, PageError, StreamInterruptedError
from chatgptt.demo import DemoSite
from chatgptt.net.clients import OwnClients
from chatgptt.net.deadline import Deadline
from chatgptt.net.pool import Pool
from chatgptt.net.proxies import Proxies
from chatgptt.net.reach import Destination, Reach

SEED = 20_240_611
MOMENTS = 8
"""For each of the calls below; with those in tests/browser more than 200 in all."""

WORKERS = 4
"""Threads of anyio that may be there beyond those of a call that was not cancelled: one that was left in the
middle of its work (the disk, a large page) ends it by itself, and the next piece of work takes another one.
Idle ones are taken again, and end by themselves."""

SOON = 10.0
"""Seconds in which what is on its way out has to be gone; it mostly takes some milliseconds."""

pytestmark = pytest.mark.anyio

Call = Callable[[AsyncClient], Awaitable[object]]


async def ask(client: AsyncClient) -> None:
    await client.ask("SLOWWORDS 0.002 a b c")


async def stream(client: AsyncClient) -> None:
    async with client.stream("SLOWWORDS 0.002 a b c") as pieces:
        async for _ in pieces:
            pass


async def converse(client: AsyncClient) -> None:
    talk = client.conversation()
    await talk.ask("one")
    await talk.ask("two")


async def find_boxes(client: AsyncClient) -> None:
    await client.find_boxes()


async def check(client: AsyncClient) -> None:
    await client.health_check()


CALLS: dict[str, Call] = {
    "ask": ask,
    "stream": stream,
    "conversation": converse,
    "find_boxes": find_boxes,
    "health_check": check,
}
PAGES = {"1.x": "wpaicg/", "2.x": "aipkit/"}


# What a call may leave behind


def sockets() -> int:
    """The open ones of this process, the demo site's ends of them included."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")
    return count


def children() -> list[str]:
    found: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return found


def threads() -> tuple[int, int]:
    """As Python and as the system count them."""
    return threading.active_count(), len(os.listdir("/proc/self/task"))


def pool_of(client: AsyncClient) -> Pool:
    assert isinstance(client._clients, OwnClients)
    return client._clients.get_pool()


async def until(is_so: Callable[[], bool], what: Callable[[], object]) -> None:
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end, what()
        await asyncio.sleep(0.001)


def assert_nothing_checked_out(client: AsyncClient, where: str) -> None:
    assert not pool_of(client).busy, where


def assert_folder_is_whole(folder: Path, where: str) -> None:
    for path in folder.iterdir():
        if path.suffix == ".json":
            json.loads(path.read_text("utf-8"))
        else:
            assert path.suffix.startswith(".sqlite"), (where, path.name)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)


async def cancel_each(
    case: str,
    length: float,
    call: Callable[[], Coroutine[object, object, None]],
    look: Callable[[str], Awaitable[None]],
) -> None:
    """Cancels the call at random moments, in one of the two ways that there are: by a scope, or by asyncio."""
    dice = random.Random(f"{SEED} {case}")
    before = tasks()
    for number in range(MOMENTS):
        moment, is_scope = dice.uniform(0.0, length), dice.random() < 0.5
        where = f"{case}, seed {SEED}, moment {number}: {moment * 1000:.2f} ms, {is_scope=}"
        if is_scope:
            with anyio.move_on_after(moment):
                await call()
        else:
            task = asyncio.ensure_future(call())
            await asyncio.wait((task,), timeout=moment)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await until(lambda: tasks() <= before, lambda: (where, tasks() - before))  # noqa: B023 - called in this round
        await look(where)


def tasks() -> set[asyncio.Task[object]]:
    """All but those of the servers that run in this loop."""
    found = set()
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        assert isinstance(coroutine, CoroutineType)
        if Path(coroutine.cr_code.co_filename).name not in (
            "connection_server.py",
            "faults.py",
            "proxies.py",
        ):
            found.add(task)
    return found


async def length_of(call: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    await call()
    return time.monotonic() - began


@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("protocol", PAGES)
async def test_nothing_is_left_of_a_cancelled_call(
    demo: DemoSite, tmp_path: Path, protocol: str, name: str, is_warm: bool
) -> None:
    page, call = demo.page(PAGES[protocol]), CALLS[name]
    open_before = sockets()
    length = max(
        [await one_call(page, tmp_path / "warm", call) for _ in range(2 if is_warm else 1)][-1], 0.005
    )
    threads_before = threads()
    places = iter(range(1000))

    def folder() -> Path:
        return tmp_path / ("warm" if is_warm else f"cold{next(places)}")

    client = client_of(page, state_dir=folder())
    try:

        async def one() -> None:
            nonlocal client
            if not is_warm:
                before, client = client, client_of(page, state_dir=folder())
                await before.close()
            await call(client)

        async def look(where: str) -> None:
            assert_nothing_checked_out(client, where)
            assert (await client.ask("Hello")).text == f"{ECHO}Hello", where
            assert client._folder is not None
            assert_folder_is_whole(client._folder, where)

        await cancel_each(f"{protocol} {name} {is_warm=}", length, one, look)
    finally:
        await client.close()
    assert not [*pool_of(client).busy, *pool_of(client).idle]
    await until(lambda: sockets() == open_before, lambda: (sockets(), open_before))
    assert children() == []
    now = threads()
    assert all(count <= before + WORKERS for count, before in zip(now, threads_before, strict=True)), now


async def one_call(page: str, folder: Path, call: Call) -> float:
    async with client_of(page, state_dir=folder) as client:
        return await length_of(lambda: call(client))


@pytest.mark.parametrize("protocol", PAGES)
async def test_nothing_is_left_of_a_cancelled_provider_s_answer(demo: DemoSite, protocol: str) -> None:
    async def call() -> None:
        pieces = ChatGptt.create_async_generator(
            "", "SLOWWORDS 0.002 a b c", site=demo.page(PAGES[protocol]), state_dir=None
        )
        async for _ in pieces:
            pass

    open_before = sockets()
    length = await length_of(call)

    async def look(where: str) -> None:
        await until(lambda: sockets() == open_before, lambda: (where, sockets(), open_before))

    await cancel_each(f"{protocol} provider", length, call, look)


@pytest.mark.parametrize("protocol", PAGES)
async def test_nothing_is_left_of_a_call_whose_client_is_closed(demo: DemoSite, protocol: str) -> None:
    page, open_before, case = demo.page(PAGES[protocol]), sockets(), f"{protocol} closed"
    dice = random.Random(f"{SEED} {case}")
    async with client_of(page) as client:
        length = await length_of(lambda: ask(client))
    for _ in range(MOMENTS):
        moment = dice.uniform(0.0, length)
        where = f"{case}, seed {SEED}: {moment * 1000:.2f} ms"
        client = client_of(page)
        call = asyncio.ensure_future(ask(client))
        await asyncio.wait((call,), timeout=moment)
        await client.close()
        with contextlib.suppress(InvalidInputError, StreamInterruptedError):
            await call
        await until(lambda: sockets() == open_before, lambda: (where, sockets()))  # noqa: B023 - called in this round


class OneSocket(httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """A connection that stands as soon as it may."""

    def __init__(self) -> None:
        self.may_stand = anyio.Event()
        self.is_closed = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        await self.may_stand.wait()
        return self

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_connection_that_stands_while_the_client_is_closed_is_closed_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner = OneSocket()
    monkeypatch.setattr("chatgptt.net.sockets._backend", inner)
    pool = Pool(Proxies(None))
    destination = Destination(deadline=Deadline(60.0), reach=Reach("127.0.0.1"), host="127.0.0.1", port=80)
    request = httpx.Request("GET", "http://127.0.0.1/", extensions={"destination": destination})
    opening = asyncio.ensure_future(pool.handle_async_request(request))
    await anyio.wait_all_tasks_blocked()
    inner.may_stand.set()  # so that both happen in the same turn of the loop
    await pool.aclose()
    with pytest.raises(InvalidInputError, match="the client was closed"):
        await opening
    assert inner.is_closed


# Handshakes, and what a failed request leaves


@contextlib.asynccontextmanager
async def directly() -> AsyncIterator[None]:
    yield None


WAYS = {"direct": directly, "SOCKS": socks5_proxy, "tunnel": http_proxy}


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_left_of_a_cancelled_handshake(way: str, authority: trustme.CA) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with serving(chat(), tls=tls) as server, WAYS[way]() as proxy:
        open_before = sockets()
        options = Options(proxy=proxy.url if proxy is not None else None)
        client = client_of(server.url, **options)
        await client.ask("Hello")
        try:

            async def one() -> None:
                nonlocal client
                before, client = client, client_of(server.url, **options)
                await before.close()
                await client.ask("Hello")

            async def look(where: str) -> None:
                assert_nothing_checked_out(client, where)
                # No connection but idle ones of the pool: the proxy's two ends count, and both of the site's.
                most = open_before + len(pool_of(client).idle) * (4 if proxy else 2)
                await until(lambda: sockets() <= most, lambda: (where, sockets(), most))
                assert (await client.ask("Hello")).text == "Hi there", where

            await cancel_each(f"{way} handshake", await length_of(one), one, look)
        finally:
            await client.close()
        await until(lambda: sockets() == open_before, lambda: (sockets(), open_before))


async def test_a_page_that_redirects_in_a_circle_holds_no_connection(demo: DemoSite) -> None:
    async with client_of(demo.page("loop/")) as client:
        with pytest.raises(PageError, match="in a circle"):
            await client.ask("Hello")
        assert_nothing_checked_out(client, "loop")
