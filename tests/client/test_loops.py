"""One client in several event loops: one after the other, and at once in threads; and what a loop's end leaves."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import httpx
import pytest
from asking import ECHO, client_of
from faults import NONCE, WPAICG_PAGE

import chatgptt
from chatgptt import AsyncClient, InvalidInputError
from chatgptt.demo import DemoSite

PAGES = ("wpaicg/", "wpaicg/json/", "aipkit/")
_Value = TypeVar("_Value")


async def ask(client: AsyncClient, message: str = "Hello") -> str:
    return (await client.ask(message)).text


def in_a_thread(call: Callable[[], Awaitable[_Value]]) -> _Value:
    """The outcome of a call in a loop of its own, while this thread's loop is held up."""

    async def run() -> _Value:
        return await call()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(run())).result(30)


# One after the other


@pytest.mark.parametrize("path", PAGES)
def test_a_client_answers_in_one_run_after_the_other(demo: DemoSite, path: str) -> None:
    client = client_of(demo.page(path))
    for count in range(1, 4):
        assert asyncio.run(ask(client)) == f"{ECHO}Hello"
        assert len(demo.messages) == count


@pytest.mark.parametrize("path", PAGES)
def test_loops_that_end_without_a_word_leave_the_client_usable(demo: DemoSite, path: str) -> None:
    client = client_of(demo.page(path))
    loops = [asyncio.new_event_loop() for _ in range(3)]
    try:
        for loop in (*loops, *loops):
            assert loop.run_until_complete(ask(client)) == f"{ECHO}Hello"
    finally:
        for loop in loops:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    assert asyncio.run(ask(client)) == f"{ECHO}Hello"


@pytest.mark.filterwarnings("ignore:asynchronous generator:ResourceWarning")  # of its own generators too
def test_a_loop_goes_on_with_the_client_after_its_generators_were_closed(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    loop = asyncio.new_event_loop()
    for _ in range(2):
        assert loop.run_until_complete(ask(client)) == f"{ECHO}Hello"
        loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_the_visitor_is_the_same_in_each_loop(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    for _ in range(2):
        asyncio.run(ask(client))
    assert len({seen.fields["wpaicg_chat_client_id"] for seen in demo.messages}) == 1


def test_the_cookies_are_the_same_in_each_loop(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))

    async def take_one() -> str | None:
        cookies = client._clients.get().cookies
        before = cookies.get("kind")
        cookies.set("kind", "oat", domain="127.0.0.1")
        return before

    assert [asyncio.run(take_one()) for _ in range(2)] == [None, "oat"]


def test_a_closed_client_is_closed_in_each_loop(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    asyncio.run(ask(client))
    asyncio.run(client.close())
    with pytest.raises(InvalidInputError, match="the client is closed"):
        asyncio.run(ask(client))
    assert len(demo.messages) == 1


@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
def test_a_conversation_goes_on_in_another_loop(demo: DemoSite, path: str) -> None:
    talk = client_of(demo.page(path)).conversation()
    for message in ("one", "two", "three"):

        async def say(message: str = message) -> None:
            await talk.ask(message)

        asyncio.run(say())
    assert [turn["content"] for turn in talk.messages if turn["role"] == "user"] == ["one", "two", "three"]


def test_a_conversation_goes_on_where_a_loop_ended_within_an_answer(demo: DemoSite) -> None:
    talk = client_of(demo.page("wpaicg/")).conversation()
    kept: list[object] = []

    async def leave() -> None:
        stream = talk.stream("SLOWWORDS 3600")
        await stream.__aenter__()
        await anext(stream)
        kept.append(stream)

    async def go_on() -> str:
        return (await talk.ask("Hello", timeout=20)).text

    asyncio.run(leave())
    assert asyncio.run(go_on()) == f"{ECHO}Hello"


# At once


@pytest.mark.parametrize("path", PAGES)
def test_threads_with_a_loop_each_share_a_client(demo: DemoSite, path: str) -> None:
    client = client_of(demo.page(path))
    together = threading.Barrier(8)

    def work(number: int) -> list[str]:
        async def several() -> list[str]:
            together.wait(30)
            return [(await client.ask(f"{number}.{turn}")).text for turn in range(5)]

        return asyncio.run(several())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[f"{ECHO}{number}.{turn}" for turn in range(5)] for number in range(8)]
    assert len(demo.messages) == 40


@pytest.mark.anyio
async def test_a_conversation_in_two_loops_at_once_is_an_error_before_anything_is_sent(
    demo: DemoSite,
) -> None:
    talk = client_of(demo.page("wpaicg/")).conversation()
    async with talk.stream("SLOWWORDS 3600") as stream:
        await anext(stream)
        sent = len(demo.messages)
        with pytest.raises(InvalidInputError, match="another event loop has a message of this conversation"):
            in_a_thread(lambda: talk.ask("Hello"))
        assert len(demo.messages) == sent
    assert in_a_thread(lambda: talk.ask("Hello")).text.startswith(ECHO)


@pytest.mark.anyio
async def test_a_stream_is_read_and_closed_in_its_own_loop(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client, client.stream("SLOWWORDS 0.01 a b c") as stream:
        text = await anext(stream)
        with pytest.raises(InvalidInputError, match="opened in another event loop"):
            in_a_thread(lambda: anext(stream))
        text += "".join([piece async for piece in stream])
    assert stream.reply is not None
    assert stream.reply.text == text


# A handed-in client


def test_a_handed_in_client_in_another_loop_is_an_error_before_anything_is_sent(demo: DemoSite) -> None:
    http = httpx.AsyncClient()
    client = client_of(demo.page("wpaicg/"), http_client=http)

    async def two() -> None:
        await ask(client)
        await ask(client_of(demo.page("aipkit/"), http_client=http))

    with asyncio.Runner() as first:
        first.run(two())
        demo.clear()
        for other in (client, client_of(demo.page("wpaicg/"), http_client=http)):
            with pytest.raises(InvalidInputError, match="http_client was used in another event loop"):
                asyncio.run(ask(other))
        with pytest.raises(InvalidInputError, match="http_client was used in another event loop"):
            chatgptt.ask("Hello", demo.page("wpaicg/"), http_client=http)
        assert demo.requests == []
        first.run(http.aclose())


def test_a_handed_in_client_without_sockets_works_in_each_loop() -> None:
    def site(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, html=WPAICG_PAGE.format(nonce=NONCE))
        return httpx.Response(200, json={"status": "success", "data": "fine"})

    http = httpx.AsyncClient(transport=httpx.MockTransport(site))
    client = client_of("https://shop.example/", http_client=http)
    for _ in range(2):
        assert asyncio.run(ask(client)) == "fine"


# What a loop's end leaves


LEFT = {
    "a stream": """
async def main():
    stream = chatgptt.AsyncClient(page, state_dir=None).stream("SLOWWORDS 0.001 " + "w " * 500)
    kept.append(stream)
    await stream.__aenter__()
    async for piece in stream:
        break
""",
    "the provider's generator, held": """
async def main():
    pieces = chatgptt.ChatGptt.create_async_generator("", "SLOWWORDS 0.001 " + "w " * 500, site=page)
    kept.append(pieces)
    async for piece in pieces:
        break
""",
    "the provider's generator": """
async def main():
    async for piece in chatgptt.ChatGptt.create_async_generator("", "SLOWWORDS 0.001 " + "w " * 500, site=page):
        break
""",
    "an idle client": """
async def main():
    client = chatgptt.AsyncClient(page, state_dir=None)
    kept.append(client)
    await client.ask("Hello")
""",
}
RUN = {
    "run": "asyncio.run(main())",
    "gpt4free's way": """
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
asyncio.runners._cancel_all_tasks(loop)
loop.run_until_complete(loop.shutdown_asyncgens())
loop.close()
""",
}


@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
def test_what_was_left_open_when_its_loop_ends_prints_nothing_and_holds_no_connection(
    demo: DemoSite, path: str, left: str, run: str
) -> None:
    script = (
        "import asyncio, gc, os, chatgptt\n"
        f"page, kept = {demo.page(path)!r}, []\n{LEFT[left]}\n"
        f"for _ in range(10):\n{textwrap.indent(RUN[run], '    ')}\n"
        "links = [os.path.realpath(f'/proc/self/fd/{name}') for name in os.listdir('/proc/self/fd')]\n"
        "print(sum('socket:' in link for link in links))\n"
        "kept.clear(); gc.collect()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "0\n")
