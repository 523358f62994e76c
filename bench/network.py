"""Messages over loopback. The demo site runs in a process of its own: it shares no interpreter lock."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx
from pages import usual_page
from table import Row, shown_time

import chatgptt
from chatgptt._models import ChatBox, Question
from chatgptt.demo import serve
from chatgptt.protocols import wpaicg

__all__ = ["rows_of_answers", "rows_of_crowd", "rows_of_latency", "rows_of_requests"]

STREAMS = 1_000
DELTAS = 300
INTERVAL = 0.003


@contextmanager
def demo_process() -> Iterator[str]:
    """The URL of a demo site in another process."""
    command = [sys.executable, "-m", "chatgptt", "demo", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            document = ""
            while not document.endswith("}\n"):
                document += process.stdout.readline()
            yield json.loads(document)["url"]
        finally:
            process.terminate()  # a background job's programs may ignore SIGINT
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


# Requests


def rows_of_requests() -> list[Row]:
    """How many requests a message takes once the tokens are known, and in a process that starts later."""
    rows = []
    with serve() as site, tempfile.TemporaryDirectory() as state:
        for name, path, allowed in (("1.x", "wpaicg/", 1), ("2.x", "aipkit/", 2)):
            page = site.page(path)
            with chatgptt.Client(page, state_dir=state) as client:
                client.ask("Hello")
                counts = []
                for _ in range(5):
                    site.clear()
                    client.ask("Hello")
                    counts.append(len(site.requests))
            pages = sum(seen.path == f"/{path}" for seen in site.requests)
            rows.append(_requests_row(f"{name}, second to sixth message", max(counts), pages, allowed))
            site.clear()
            script = f"import chatgptt; chatgptt.Client({page!r}, state_dir={state!r}).ask('Hello')"
            subprocess.run([sys.executable, "-c", script], check=True)
            pages = sum(seen.path == f"/{path}" for seen in site.requests)
            rows.append(_requests_row(f"{name}, first of a new process", len(site.requests), pages, allowed))
    return rows


def _requests_row(what: str, count: int, pages: int, allowed: int) -> Row:
    return Row(
        what=f"requests of a message: {what}",
        figure=f"{count}, for pages {pages}",
        target=f"{allowed}, for pages 0",
        is_met=count == allowed and pages == 0,
    )


# Whole answers


def rows_of_answers() -> list[Row]:
    """A message with tokens at hand, beside a bare POST of the same fields whose reply is only read."""
    with demo_process() as url:
        return asyncio.run(_compare_answers(f"{url}/wpaicg/"))


async def _compare_answers(page: str) -> list[Row]:
    rows = []
    for what, message, rounds in (
        ("a short answer (15 deltas)", "Hello", 150),
        ("1,000 deltas", "LONG 1000", 20),
    ):
        async with chatgptt.AsyncClient(page, state_dir=None) as client, httpx.AsyncClient() as bare:
            (box,) = await client.find_boxes()

            async def ask(message: str = message, client: chatgptt.AsyncClient = client) -> None:
                await client.ask(message)

            async def post(
                message: str = message, box: ChatBox = box, bare: httpx.AsyncClient = bare
            ) -> None:
                await _post(bare, box, message)

            ours, theirs = await _timed([ask, post], rounds=rounds)
        rows.append(
            Row(
                what=f"an answer on loopback, {what}",
                figure=shown_time(ours),
                reference=f"{shown_time(theirs)} bare httpx POST",
                ratio=ours / theirs,
                target="at most 1.5 x",
                is_met=ours / theirs <= 1.5,
            )
        )
    return rows


async def _post(bare: httpx.AsyncClient, box: ChatBox, message: str) -> None:
    request = wpaicg.build_message(box, box.nonce or "", Question(text=message), client_id="bench", chat_id=1)
    async with bare.stream("POST", request.url, data=dict(request.fields)) as response:
        async for _ in response.aiter_bytes():
            pass


async def _timed(calls: list[Callable[[], Awaitable[None]]], *, rounds: int) -> list[float]:
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        await call()
    for _ in range(rounds):
        for call, taken in zip(calls, seconds, strict=True):
            start = perf_counter()
            await call()
            taken.append(perf_counter() - start)
    return [median(taken) for taken in seconds]


# Latency of a delta


def rows_of_latency() -> list[Row]:
    """From just before the server's `write` of a delta's last bytes to the caller having the text.

    Server and caller share a process and so a clock; each delta is one write, the next follows 3 ms later.
    With the async client they share the loop as well, with the sync one the server has a thread of its own.
    """
    return [*asyncio.run(_async_latencies()), _sync_latency()]


async def _async_latencies() -> list[Row]:
    async with _ticking_server() as (url, sent):
        async with chatgptt.AsyncClient(url, state_dir=None) as client, client.stream("Hello") as stream:
            ours = await _delays(stream, sent)
        sent.clear()
        async with (
            httpx.AsyncClient() as bare,
            bare.stream("POST", f"{url}wp-admin/admin-ajax.php") as response,
        ):
            theirs = await _delays(response.aiter_bytes(), sent)
    return [_latency_row("AsyncClient", ours, f"{shown_time(theirs)} bare httpx", theirs)]


async def _delays(pieces: AsyncIterator[object], sent: list[float]) -> float:
    delays = []
    async for _ in pieces:
        delays.append(perf_counter() - sent[-1])
    return median(delays[:DELTAS])


def _sync_latency() -> Row:
    with _ticking_server_in_a_thread() as (url, sent):
        delays = []
        with chatgptt.Client(url, state_dir=None) as client, client.stream("Hello") as stream:
            for _ in stream:
                delays.append(perf_counter() - sent[-1])
    return _latency_row("Client (sync)", median(delays[:DELTAS]))


def _latency_row(what: str, seconds: float, reference: str = "", theirs: float | None = None) -> Row:
    return Row(
        what=f"a delta's way from the socket to the caller, {what}",
        figure=shown_time(seconds),
        reference=reference,
        ratio=None if theirs is None else seconds / theirs,
        target="at most 1 ms",
        is_met=seconds <= 0.001,
    )


@asynccontextmanager
async def _ticking_server() -> AsyncIterator[tuple[str, list[float]]]:
    """A 1.x site that sends a delta every few milliseconds, and when it did."""
    sent: list[float] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"GET"):
                page = usual_page().replace(b"https:\\/\\/site.example", b"")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % len(page) + page)
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
                )
                for number in range(DELTAS):
                    await asyncio.sleep(INTERVAL)
                    choice = {"index": 0, "delta": {"content": f"w{number} "}}
                    frame = f"data: {json.dumps({'id': 'x', 'choices': [choice]})}\n\n".encode()
                    sent.append(perf_counter())
                    writer.write(frame)
                writer.write(b"data: [DONE]\n\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", sent


@contextmanager
def _ticking_server_in_a_thread() -> Iterator[tuple[str, list[float]]]:
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(_ticking_server()) as serving:
        yield serving


# Many at once


def rows_of_crowd() -> list[Row]:
    """A thousand streams in one process against the demo in another."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by both processes
    crowd = Path(__file__).with_name("crowd.py")
    seen = {}
    with demo_process() as url:
        for how in ("rss", "traced"):
            command = [sys.executable, os.fspath(crowd), f"{url}/wpaicg/", str(STREAMS), how]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seen[how] = json.loads(done.stdout)
    answered, most = int(seen["rss"]["answered"]), int(seen["rss"]["most"])
    return [
        Row(
            what=f"{STREAMS:,} concurrent streams: complete",
            figure=f"{answered:,}, {most:,} open at once, in {shown_time(seen['rss']['seconds'])}",
            target=f"{STREAMS:,}",
            is_met=answered == STREAMS,
        ),
        Row(
            what=f"{STREAMS:,} concurrent streams: peak memory per stream",
            figure=f"{seen['rss']['bytes'] / 1000:.0f} kB (RSS)",
            reference=f"{seen['traced']['bytes'] / 1000:.0f} kB of Python objects (tracemalloc)",
        ),
    ]
