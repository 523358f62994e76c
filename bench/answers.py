"""The processor time of a message, beside httpx and aiohttp that only read the bytes of its reply.

Client and site are processes of their own, and the site answers in microseconds. In every round each side has
its turn.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from time import perf_counter, process_time

from peers import ASKING, MESSAGE, Ask, by_two_requests
from servers import LAST, WORDS, quick_site
from table import Row, compared

import chatgptt

ROUNDS = 15
IN_A_ROW = 40
"""Messages of a round, one at a time."""


def rows_of_answers() -> list[Row]:
    """One at a time, many at once, and the provider class."""
    rows = []
    with quick_site() as page:
        ours, aiohttp, httpx = asyncio.run(_one_at_a_time(page))
        what = f"a message, one at a time, {WORDS} deltas: processor time"
        rows.append(compared(what, ours, httpx, than="httpx, bytes alone", at_most=1.35))
        rows.append(compared(what, ours, aiohttp, than="aiohttp, bytes alone"))
    for count, again in ((50, True), (50, False), (400, False)):
        with quick_site(together=count) as page:
            ours, aiohttp, httpx = asyncio.run(_at_once(page, count, again=again))
        what = (
            f"a message, {count} at once, {'connections at hand' if again else 'new client'}: processor time"
        )
        rows.append(compared(what, ours, httpx, than="httpx, bytes alone", at_most=0.8))
        rows.append(compared(what, ours, aiohttp, than="aiohttp, bytes alone"))
    with quick_site() as page, tempfile.TemporaryDirectory() as state:
        provider, peer = asyncio.run(_provider(page, state))
    what, than = "an answer of the provider class", "aiohttp, page and message each time"
    rows.append(compared(f"{what}: time", provider[0], peer[0], than=than))
    rows.append(compared(f"{what}: processor time", provider[1], peer[1], than=than))
    return rows


async def _one_at_a_time(page: str) -> list[float]:
    async def row(ask: Ask) -> None:
        for _ in range(IN_A_ROW):
            assert LAST in await ask()

    async with AsyncExitStack() as stack:
        asks = [await stack.enter_async_context(asking(page)) for asking in ASKING.values()]
        spent = await _spent([partial(row, ask) for ask in asks])
    return [processor / IN_A_ROW for _, processor in spent]


async def _at_once(page: str, count: int, *, again: bool) -> list[float]:
    """With a new client in each round, or `again` with one whose connections are idle.

    The latter not for hundreds: a round would take httpx's pool a minute.
    """

    async def crowd(ask: Ask) -> None:
        assert all(LAST in answer for answer in await asyncio.gather(*(ask() for _ in range(count))))

    taken: list[list[float]] = [[] for _ in ASKING]
    for _ in range(ROUNDS):
        for asking, times in zip(ASKING.values(), taken, strict=True):
            async with asking(page) as ask:
                if again:
                    await crowd(ask)
                times.append((await _time(partial(crowd, ask)))[1])
    return [median(times) / count for times in taken]


async def _provider(page: str, state: str) -> list[tuple[float, float]]:
    async def ours() -> None:
        messages = [{"role": "user", "content": MESSAGE}]
        pieces = chatgptt.ChatGptt.create_async_generator("", messages, site=page, state_dir=state)
        assert LAST in "".join([piece async for piece in pieces])

    async def peer() -> None:
        assert LAST in await by_two_requests(page)

    return await _spent([ours, peer])


async def _spent(calls: list[Callable[[], Awaitable[None]]]) -> list[tuple[float, float]]:
    """Median wall and processor seconds of each call, after one that is not counted."""
    taken: list[list[tuple[float, float]]] = [[] for _ in calls]
    for turn in range(ROUNDS + 1):
        for call, times in zip(calls, taken, strict=True):
            spent = await _time(call)
            if turn:
                times.append(spent)
    return [(median(wall for wall, _ in times), median(spent for _, spent in times)) for times in taken]


async def _time(call: Callable[[], Awaitable[None]]) -> tuple[float, float]:
    """Wall and processor seconds of a call."""
    gc.collect()
    start, spent = perf_counter(), process_time()
    await call()
    return perf_counter() - start, process_time() - spent
