"""Whenever a call is cancelled that a browser works for, the browser goes on to serve others, and ends whole.

The moments are random over the length of the call, from a seed that a failure shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import threading
import time
from collections.abc import Awaitable, Callable

import anyio
import pytest
from browser.processes import Traces

from chatgptt import AsyncClient
from chatgptt.demo import DemoSite

SEED = 20_240_611
WARM, COLD = 10, 4
"""Moments for each of the protocols: with a browser that runs, and with one that has to be started."""

WORKERS = 4
"""Idle threads of anyio and asyncio that may be there beyond those before: they are taken again."""

SOON = 10.0
"""Seconds in which what is on its way out has to be gone."""

PAGES = {"1.x": "browser/fetched/", "2.x": "browser-2x/embed/"}

pytestmark = pytest.mark.anyio


async def until(is_so: Callable[[], bool], what: Callable[[], object]) -> None:
    end = time.monotonic() + SOON
    while not is_so():
        assert time.monotonic() < end, what()
        await asyncio.sleep(0.005)


def descriptors() -> list[str]:
    """The sockets and pipes of this process; of the demo site as well."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            if target.startswith(("socket:", "pipe:")):
                found.append(target)
    return sorted(found)


async def cancel_at(moment: float, *, is_scope: bool, call: Callable[[], Awaitable[object]]) -> None:
    if is_scope:
        with anyio.move_on_after(moment):
            await call()
        return
    task = asyncio.ensure_future(call())
    await asyncio.wait((task,), timeout=moment)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("is_warm", [True, False], ids=["warm", "cold"])
@pytest.mark.parametrize("protocol", PAGES)
async def test_a_browser_is_as_good_as_before_a_cancelled_call(
    traces: Traces, demo: DemoSite, protocol: str, is_warm: bool
) -> None:
    dice = random.Random(f"{SEED} {protocol} {is_warm}")
    page = demo.page(PAGES[protocol])
    open_before, tasks_before, threads_before = descriptors(), asyncio.all_tasks(), threading.active_count()
    client = AsyncClient(page, strategy="browser", state_dir=None)
    try:
        if is_warm:
            await client.health_check()
        began = time.monotonic()
        await client.health_check()
        length = time.monotonic() - began
        for number in range(WARM if is_warm else COLD):
            if not is_warm:
                await client.close()
                assert traces.processes() == []
                client = AsyncClient(page, strategy="browser", state_dir=None)
            moment, is_scope = dice.uniform(0.0, length), dice.random() < 0.5
            where = (
                f"{protocol} {is_warm=}, seed {SEED}, moment {number}: {moment * 1000:.1f} ms, {is_scope=}"
            )
            await cancel_at(moment, is_scope=is_scope, call=client.health_check)
            if is_warm:  # else it may be closed while it starts
                report = await client.health_check(timeout=30.0)
                assert (report.verdict, report.rung) == ("ok", "browser"), (where, report.summary)
                assert len(traces.browsers()) == 1, where
        assert (await client.health_check()).verdict == "ok"
        assert (await client.ask("Hello")).text.endswith("You wrote: Hello")
    finally:
        await client.close()
    assert traces.processes() == []
    assert traces.files() == []
    await until(lambda: asyncio.all_tasks() == tasks_before, lambda: asyncio.all_tasks() - tasks_before)
    await until(lambda: len(descriptors()) <= len(open_before), lambda: set(descriptors()) - set(open_before))
    assert threading.active_count() <= threads_before + WORKERS, threading.enumerate()
