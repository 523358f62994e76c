"""However it ends, no process of the browser and no file of it is left behind; the fixture `traces` looks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import anyio
import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces

from chatgptt import BrowserError, TransportError
from chatgptt.browser.shared import BrowserOptions
from chatgptt.demo import DemoSite
from chatgptt.tokens.acquisition import Acquired

anyio_test = pytest.mark.anyio


@anyio_test
async def test_one_browser_serves_all_acquisitions_and_ends_with_its_client(
    traces: Traces, demo: DemoSite
) -> None:
    async with Acquiring() as acquiring:
        assert traces.processes() == []
        for _ in range(2):
            await asyncio.gather(
                *(acquiring.acquire(demo.page(f"browser/fetched/?{n}"), strategy="browser") for n in range(6))
            )
            assert len(traces.browsers()) == 1
    assert traces.processes() == []
    assert traces.files() == []


@anyio_test
async def test_an_idle_browser_is_ended_and_started_again(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring(BrowserOptions(idle=1.0)) as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        with anyio.fail_after(10):
            while traces.processes():  # noqa: ASYNC110 - processes set no event
                await anyio.sleep(0.05)
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert len(traces.browsers()) == 1


def test_two_clients_need_the_browser_at_the_same_time(traces: Traces, demo: DemoSite) -> None:
    found: list[Acquired] = []

    async def acquire() -> None:
        async with Acquiring() as one, Acquiring() as other:
            page = demo.page("browser/fetched/")
            found.extend(
                await asyncio.gather(*(each.acquire(page, strategy="browser") for each in (one, other)))
            )

    thread = threading.Thread(target=lambda: asyncio.run(acquire()), daemon=True)
    thread.start()
    thread.join(60.0)
    assert len(found) == 2, "they wait for each other"
    assert found[0].tokens.nonce == found[1].tokens.nonce


@anyio_test
async def test_a_crashed_browser_is_started_once_more(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring() as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        kill_browsers(traces)
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert len(traces.browsers()) == 1


@anyio_test
async def test_a_browser_that_crashes_under_a_visit_gets_one_more_try(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring() as acquiring:
        async with asyncio.TaskGroup() as group:
            demo.clear()
            visit = group.create_task(acquiring.acquire(demo.page("browser/late/"), strategy="browser"))
            with anyio.fail_after(20):
                while not demo.requests:  # noqa: ASYNC110 - the site sets no event
                    await anyio.sleep(0.02)
            kill_browsers(traces)
        assert visit.result().tokens.rung == "browser"
        assert any("died" in finding.saw for finding in visit.result().findings)
        crashing = asyncio.ensure_future(acquiring.acquire(demo.page("browser/never/"), strategy="browser"))
        while not crashing.done():
            kill_browsers(traces)
            await anyio.sleep(0.3)
        with pytest.raises(BrowserError):
            await crashing


@anyio_test
@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.1, 0.25, 0.4, 0.6, 0.8, 1.0, 1.5])
async def test_cancellation_in_each_phase(traces: Traces, demo: DemoSite, seconds: float) -> None:
    async with Acquiring() as acquiring:
        with anyio.move_on_after(seconds) as scope:
            await acquiring.acquire(demo.page("browser/never/"), strategy="browser")
        assert scope.cancelled_caught
    assert traces.processes() == []


@anyio_test
async def test_a_cancelled_visit_leaves_the_browser_to_others(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring() as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        for seconds in (0.0, 0.01, 0.05, 0.1, 0.3, 0.6):
            for _ in range(6):
                with anyio.move_on_after(seconds):
                    await acquiring.acquire(demo.page("browser/never/"), strategy="browser")
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert len(traces.browsers()) == 1


@anyio_test
async def test_an_exception_in_the_caller(traces: Traces, demo: DemoSite) -> None:
    async def fail() -> None:
        async with Acquiring() as acquiring:
            await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert traces.processes() == []


@anyio_test
async def test_a_deadline(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring() as acquiring:
        with pytest.raises(TransportError):
            await acquiring.acquire(demo.page("browser/never/"), strategy="browser", timeout=0.3)
    assert traces.processes() == []


def test_two_event_loops_one_after_the_other(traces: Traces, demo: DemoSite) -> None:
    caller = start_caller(demo.page("browser/fetched/"), traces, "two-loops")
    out, error = caller.communicate(timeout=60)
    assert (out.split(), caller.returncode) == ([b"running", b"running"], 0), error


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("is_group", [False, True])
@pytest.mark.parametrize("path", ["browser/never/", "browser/busy/"])
def test_a_caller_that_is_interrupted_or_killed(
    traces: Traces, demo: DemoSite, how: signal.Signals, is_group: bool, path: str
) -> None:
    caller = start_caller(demo.page(path), traces)
    assert caller.stdout is not None
    assert caller.stdout.readline() == b"running\n"
    (os.killpg if is_group else os.kill)(caller.pid, how)
    caller.communicate(timeout=10)
    if how is signal.SIGINT:
        assert caller.returncode == 130
    traces.assert_none_within(10.0)


def test_a_caller_that_is_killed_while_the_browser_starts(traces: Traces, demo: DemoSite) -> None:
    for seconds in (0.3, 0.6, 0.9, 1.2):
        caller = start_caller(demo.page("browser/never/"), traces)
        with pytest.raises(subprocess.TimeoutExpired):
            caller.wait(timeout=seconds)
        caller.kill()
        caller.communicate()
        traces.assert_none_within(10.0)


def start_caller(page: str, traces: Traces, how: str = "") -> subprocess.Popen[bytes]:
    tests = Path(__file__).parents[1]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("caller.py")), page, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tests), "TMPDIR": str(traces.folder)},
        start_new_session=True,
    )


def kill_browsers(traces: Traces) -> None:
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue
        if (
            str(traces.folder).encode() in command
            and b"--user-data-dir=" in command
            and b"--type=" not in command
        ):
            os.kill(int(entry.name), signal.SIGKILL)
