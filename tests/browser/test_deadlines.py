"""Whatever a page, or the browser itself, does: the call ends at its deadline, and then nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from browser.processes import Traces
from faults import (
    CHUNKED_PAGE,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    chat,
    chunk,
    reply,
    serving,
    silence,
    silence_after_head,
)

import chatgptt
from chatgptt import AsyncClient, BrowserError, ChatGptt, ChatGpttError
from chatgptt.browser.shared import BrowserOptions

PATIENCE = 8.0
"""Seconds. On a busy machine a call may end that much after its timeout. These pages and browsers would hold a
call for ever, and what closes a browser by force gives up later than this."""

TIMEOUT = 1.5
"""Seconds: mostly a browser that runs has begun to show the page by then."""

SHORT = (0.05, 0.4, TIMEOUT)
"""Seconds: at first hardly anything is there, then the driver or the browser starts, at last it runs the page."""

pytestmark = pytest.mark.anyio


def page_with(script: str) -> str:
    return f"{WPAICG_PAGE.format(nonce='')}<script>{script}</script>"


PAGES: dict[str, str] = {
    "no nonce ever": page_with(""),
    "a loop without end": page_with("while (true) {}"),
    "a loop without end, after a moment": page_with("setTimeout(() => { while (true) {} }, 200)"),
    "dialogs without end": page_with("setInterval(() => { alert(1); confirm(2); prompt(3) }, 10)"),
    "a page that does not let go": page_with(
        "onbeforeunload = event => { event.preventDefault(); return 'Stay!' }; setInterval(() => alert(1), 50)"
    ),
    "a page that loads itself again for ever": page_with("setTimeout(() => location.reload(), 50)"),
    "windows without end": page_with("setInterval(() => open('/'), 100)"),
    "requests without end": page_with("setInterval(() => fetch('/?' + Math.random()), 5)"),
    "markup without end": page_with(
        "setInterval(() => { for (let n = 0; n < 2000; n++) document.body.append(document.createElement('p')) }, 5)"
    ),
}


def showing(html: str) -> Answer:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(reply(html))
        return True

    return answer


async def drip(connection: Connection, got: Got) -> None:
    await connection.send(CHUNKED_PAGE)
    while True:
        await connection.send(chunk(b"<p>some text</p>"))
        await asyncio.sleep(0.02)


HELD_UP: dict[str, Answer] = {
    **{what: showing(html) for what, html in PAGES.items()},
    "a page without a head": silence,
    "a page without a body": silence_after_head,
    "a page without an end": drip,
}


async def timed_out(client: AsyncClient, timeout: float) -> None:
    with anyio.fail_after(timeout + PATIENCE), pytest.raises(ChatGpttError) as caught:
        await client.ask("Hello", timeout=timeout)
    assert caught.value.code == "timeout"


async def closed_in_time(client: AsyncClient, traces: Traces) -> None:
    with anyio.fail_after(PATIENCE):
        await client.close()
    assert traces.processes() == []
    assert traces.files() == []


async def started(client: AsyncClient, traces: Traces) -> None:
    """The browser goes on to start for the next call when a first one has no time for that."""
    await timed_out(client, 0.05)
    with anyio.fail_after(30):
        while not traces.browsers():  # noqa: ASYNC110 - processes set no event
            await anyio.sleep(0.01)


@pytest.mark.parametrize("what", HELD_UP)
async def test_a_page_cannot_hold_a_call_up(traces: Traces, what: str) -> None:
    async with serving(HELD_UP[what]) as server:
        client = AsyncClient(server.url, strategy="browser", state_dir=None)
        try:
            await started(client, traces)
            assert server.got == []
            with anyio.fail_after(60):
                while not server.got:  # a busy machine may not have come to the page by then
                    await timed_out(client, TIMEOUT)
        finally:
            await closed_in_time(client, traces)


async def test_a_check_and_a_search_end_at_their_deadline(traces: Traces) -> None:
    async with (
        serving(showing(PAGES["a loop without end"])) as server,
        AsyncClient(server.url, strategy="browser", state_dir=None) as client,
    ):
        await started(client, traces)
        with anyio.fail_after(TIMEOUT + PATIENCE):
            report = await client.health_check(timeout=TIMEOUT)
        assert report.code == "timeout"
        with anyio.fail_after(TIMEOUT + PATIENCE):
            (box,) = await client.find_boxes(timeout=TIMEOUT)
        assert box.nonce is None


async def provide(page: str, timeout: float) -> None:
    async for _ in ChatGptt.create_async_generator(
        "", "Hello", site=page, strategy="browser", timeout=timeout, state_dir=None
    ):
        pass


async def ask(page: str, timeout: float) -> None:
    await anyio.to_thread.run_sync(
        lambda: chatgptt.ask("Hello", page, strategy="browser", timeout=timeout, state_dir=None)
    )


@pytest.mark.parametrize("timeout", SHORT)
@pytest.mark.parametrize("face", [provide, ask])
async def test_the_one_call_faces_end_in_time_with_their_browser(
    traces: Traces, face: Callable[[str, float], Awaitable[None]], timeout: float
) -> None:
    async with serving(showing(PAGES["a loop without end"])) as server:
        with anyio.fail_after(timeout + PATIENCE), pytest.raises(ChatGpttError) as caught:
            await face(server.url, timeout)
        assert caught.value.code == "timeout"
        assert traces.processes() == []
        assert traces.files() == []


# The browser itself


def executable(folder: Path, script: str) -> BrowserOptions:
    path = folder / "browser"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return BrowserOptions(executable=str(path))


@pytest.mark.parametrize("script", ["sleep 600", "trap '' TERM INT HUP; sleep 600; sleep 600"])
async def test_a_browser_that_never_gets_ready_holds_no_call_up(
    traces: Traces, tmp_path: Path, script: str
) -> None:
    async with serving(silence) as server:
        client = AsyncClient(
            server.url, strategy="browser", state_dir=None, browser=executable(tmp_path, script)
        )
        try:
            for _ in range(2):
                await timed_out(client, 1.0)
        finally:
            await closed_in_time(client, traces)


async def test_a_browser_that_ends_at_once_is_said_to(traces: Traces, tmp_path: Path) -> None:
    options = executable(tmp_path, "exit 3")
    async with AsyncClient(
        "http://127.0.0.1:9/", strategy="browser", state_dir=None, browser=options
    ) as client:
        for _ in range(2):
            with pytest.raises(BrowserError, match="does not start"):
                await client.ask("Hello")


STOPPED = {"the browser": b"--user-data-dir=", "Playwright's driver": b"run-driver"}


@pytest.mark.parametrize("which", STOPPED)
async def test_a_browser_that_is_stopped_holds_no_call_up(traces: Traces, which: str) -> None:
    async with serving(chat(html=WPAICG_PAGE.format(nonce=NONCE))) as server:
        client = AsyncClient(server.url, strategy="browser", state_dir=None)
        try:
            assert (await client.health_check("tokens")).verdict == "ok"
            for pid in processes(traces, STOPPED[which]):
                os.kill(pid, signal.SIGSTOP)
            with anyio.fail_after(1.0 + PATIENCE):
                assert (await client.health_check("tokens", timeout=1.0)).code == "timeout"
        finally:
            await closed_in_time(client, traces)


def processes(traces: Traces, argument: bytes) -> list[int]:
    """Of the browser, those with this in their command line."""
    mark = str(traces.folder).encode()
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if argument in command and mark in command + (entry / "environ").read_bytes():
                found.append(int(entry.name))
    assert found
    return found


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2, 0.4, 0.8])
async def test_closing_the_client_while_its_browser_starts_ends_the_call_and_the_browser(
    traces: Traces, moment: float
) -> None:
    async with serving(silence) as server:
        client = AsyncClient(server.url, strategy="browser", state_dir=None)
        call = asyncio.ensure_future(client.ask("Hello"))
        await asyncio.wait((call,), timeout=moment)
        await closed_in_time(client, traces)
        with pytest.raises(ChatGpttError):
            await call
