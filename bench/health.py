"""What a health check costs beside an `ask`, and fifty sites beside the slowest of them.

Both are cold, with a fresh client and no tokens known, and take turns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable, Sequence
from statistics import median
from time import perf_counter

import anyio
from servers import demo_process
from table import Row, compared

from chatgptt import AsyncClient

__all__ = ["rows_of_health"]

SITES = 50
SLOWEST = 3.0
"""Seconds that the slowest of them waits for its answer."""


def rows_of_health() -> list[Row]:
    """A full check beside a cold ask, then many sites at once."""
    with demo_process() as url:
        return anyio.run(_rows, url)


async def _rows(url: str) -> list[Row]:
    rows = []
    for what, page, message, rounds, keeps in (
        ("1.x, nothing kept", "wpaicg/", "Hello", 100, False),
        ("2.x, nothing kept", "aipkit/", "Hello", 100, False),
        ("1.x, history on disk", "wpaicg/", "Hello", 100, True),
        ("1.x, an answer of 0.5 s", "wpaicg/", "SLOW 0.5", 12, True),
    ):
        check, ask = await _compare(f"{url}/{page}", message, rounds, keeps=keeps)
        rows.append(compared(f"health check: {what}", check, ask, than="a cold ask", at_most=1.05))
    pages = [f"{url}/{('wpaicg', 'aipkit')[place % 2]}/?n={place}" for place in range(SITES)]
    together, alone = await _at_once(pages)
    rows.append(
        compared(
            f"health check: {SITES} sites at once", together, alone, than="the slowest alone", at_most=1.2
        )
    )
    return rows


async def _compare(page: str, message: str, rounds: int, *, keeps: bool) -> tuple[float, float]:
    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncClient(page, state_dir=folder if keeps else None) as client:
                report = await client.health_check(message=message)
        assert report.verdict == "ok", report

    async def ask() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with AsyncClient(page, state_dir=folder if keeps else None) as client:
                await client.ask(message)

    times: dict[Callable[[], Awaitable[None]], list[float]] = {check: [], ask: []}
    for turn in range(rounds + 3):
        for call in (check, ask) if turn % 2 else (ask, check):
            start = perf_counter()
            await call()
            if turn >= 3:  # the first ones load modules
                times[call].append(perf_counter() - start)
    return median(times[check]), median(times[ask])


async def _at_once(pages: Sequence[str]) -> tuple[float, float]:
    async def check(page: str, message: str) -> float:
        async with AsyncClient(page, state_dir=None) as client:
            return (await client.health_check(message=message)).elapsed

    alone = min([await check(pages[0], f"SLOW {SLOWEST}") for _ in range(2)])
    start = perf_counter()
    async with anyio.create_task_group() as tasks:
        for place, page in enumerate(pages):
            tasks.start_soon(check, page, f"SLOW {SLOWEST * (place + 1) / len(pages)}")
    return perf_counter() - start, alone
