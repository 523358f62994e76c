"""The endpoint of `chatgptt serve` beside the library: first text, processor time, memory of many streams."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import anyio
import httpx
from servers import demo_process
from table import Row, shown_time

import chatgptt

__all__ = ["rows_of_serve"]

ROUNDS = 200
STREAMS = 200
MOST_MORE = 0.005
"""Seconds that the first text may take longer through the endpoint."""
HELD = "SLOWWORDS 0.3 and more"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Endpoint:
    url: str
    process: int

    def processor(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self) -> int:
        """The most memory so far."""
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def rows_of_serve() -> list[Row]:
    """What the endpoint adds to a question that the library asks."""
    with demo_process() as url, tempfile.TemporaryDirectory() as folder:
        page, state = f"{url}/wpaicg/", Path(folder)
        with _endpoint(page, state / "endpoint") as endpoint:
            return anyio.run(_rows, page, endpoint, state)


@contextlib.contextmanager
def _endpoint(page: str, state: Path) -> Iterator[_Endpoint]:
    command = [sys.executable, "-m", "chatgptt", "serve", "--port", "0", "--json", "--site", page]
    with subprocess.Popen(
        [*command, "--concurrency", str(STREAMS)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "CHATGPTT_STATE_DIR": str(state)},
    ) as process:
        assert process.stdout is not None
        try:
            document = ""
            while not document.endswith("}\n"):
                document += process.stdout.readline()
            yield _Endpoint(url=json.loads(document)["url"], process=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()


async def _rows(page: str, endpoint: _Endpoint, state: Path) -> list[Row]:
    limits = httpx.Limits(max_connections=None)
    async with (
        chatgptt.AsyncClient(page, state_dir=state / "library") as library,
        httpx.AsyncClient(base_url=endpoint.url, timeout=120.0, limits=limits) as client,
    ):

        async def ask_library() -> float:
            start = perf_counter()
            async with library.stream("Hello") as stream:
                seconds = perf_counter() - start
                await stream.drain()
            return seconds

        async def ask_endpoint() -> float:
            return await _first_text(client, "Hello")

        first = await _first_texts(ask_endpoint, ask_library)
        return [
            _row_of_first_text(*first),
            await _row_of_processor_time(ask_endpoint, ask_library, endpoint),
            await _row_of_memory(client, endpoint),
        ]


async def _first_text(client: httpx.AsyncClient, message: str) -> float:
    """Seconds to the first text; the answer is taken to its end."""
    body = {"model": "default", "stream": True, "messages": [{"role": "user", "content": message}]}
    start, seconds, end = perf_counter(), 0.0, ""
    async with client.stream("POST", "/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not seconds and '"delta":{"content"' in line:
                seconds = perf_counter() - start
            end = line or end
    assert end == "data: [DONE]", end
    return seconds


async def _first_texts(*asks: Callable[[], Awaitable[float]]) -> list[float]:
    """Medians; both take turns, so that they see the same machine."""
    seconds: list[list[float]] = [[] for _ in asks]
    for number in range(ROUNDS + 5):
        for ask, taken in zip(asks, seconds, strict=True):
            one = await ask()
            if number >= 5:
                taken.append(one)
    return [median(taken) for taken in seconds]


def _row_of_first_text(ours: float, library: float) -> Row:
    return Row(
        what="serve: first text of a stream",
        figure=shown_time(ours),
        reference=f"{shown_time(library)} through the library",
        ratio=ours / library,
        target=f"at most {shown_time(MOST_MORE)} more",
        is_met=ours - library <= MOST_MORE,
    )


async def _row_of_processor_time(
    ask_endpoint: Callable[[], Awaitable[float]],
    ask_library: Callable[[], Awaitable[float]],
    endpoint: _Endpoint,
) -> Row:
    before = endpoint.processor()
    for _ in range(ROUNDS):
        await ask_endpoint()
    ours = (endpoint.processor() - before) / ROUNDS
    start = process_time()
    for _ in range(ROUNDS):
        await ask_library()
    library = (process_time() - start) / ROUNDS
    return Row(
        what="serve: processor time of a streamed answer (15 pieces)",
        figure=shown_time(ours),
        reference=f"{shown_time(library)} in the library",
        ratio=ours / library,
    )


async def _row_of_memory(client: httpx.AsyncClient, endpoint: _Endpoint) -> Row:
    before = endpoint.peak_bytes()
    start = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(STREAMS):
            tasks.start_soon(_first_text, client, HELD)
    seconds = perf_counter() - start
    peak = endpoint.peak_bytes()
    return Row(
        what=f"serve: memory with {STREAMS} streams at once",
        figure=f"{peak / 1e6:.0f} MB, {(peak - before) / STREAMS / 1000:.0f} kB a stream",
        reference=f"{before / 1e6:.0f} MB without; all answered in {shown_time(seconds)}",
    )
