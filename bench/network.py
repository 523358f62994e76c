"""Messages over loopback: how many requests each takes, and how soon a delta is at the caller."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from statistics import median
from time import perf_counter

import httpx
from pages import usual_page
from table import Row, shown_time

import chatgptt
from chatgptt.demo import serve

DELTAS = 300
INTERVAL = 0.003


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
        reference=f"{allowed + 1}, for pages 1, of a script without a memory",
        target=f"{allowed}, for pages 0",
        is_met=count == allowed and pages == 0,
    )


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
    return [_latency_row("AsyncClient", ours, theirs)]


async def _delays(pieces: AsyncIterator[object], sent: list[float]) -> float:
    delays = []
    async for _ in pieces:
        delays.append(perf_counter() - sent[-1])
    return median(delays[:DELTAS])


def _sync_latency() -> Row:
    with _ticking_server_in_a_thread() as (url, sent):
        with chatgptt.Client(url, state_dir=None) as client, client.stream("Hello") as stream:
            ours = median([perf_counter() - sent[-1] for _ in stream][:DELTAS])
        sent.clear()
        with httpx.stream("POST", f"{url}wp-admin/admin-ajax.php") as response:
            theirs = median([perf_counter() - sent[-1] for _ in response.iter_bytes()][:DELTAS])
    return _latency_row("Client (sync)", ours, theirs)


def _latency_row(what: str, ours: float, theirs: float) -> Row:
    return Row(
        what=f"a delta's way from the socket to the caller, {what}",
        figure=shown_time(ours),
        reference=f"{shown_time(theirs)} bare httpx",
        ratio=ours / theirs,
        target="at most 1 ms",
        is_met=ours <= 0.001,
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
