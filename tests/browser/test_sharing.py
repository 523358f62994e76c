"""A process has one browser, of whatever thread or event loop its clients are, and shares nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces, without_notice

from chatgptt import AsyncClient, BrowserError, Client
from chatgptt.browser.shared import MOST_TABS
from chatgptt.demo import DemoSite

anyio_test = pytest.mark.anyio


def test_clients_of_all_threads_and_loops_share_one_browser(traces: Traces, demo: DemoSite) -> None:
    page = demo.page("browser/fetched/")
    meeting = threading.Barrier(6, timeout=60)

    def ask() -> None:
        with Client(page, strategy="browser", state_dir=None) as client:
            client.ask("Hello")
            meeting.wait()
            meeting.wait()

    async def ask_async() -> None:
        async with AsyncClient(page, strategy="browser", state_dir=None) as client:
            await client.ask("Hello")
            await asyncio.to_thread(meeting.wait)
            await asyncio.to_thread(meeting.wait)

    with ThreadPoolExecutor(5) as threads:
        calls = [threads.submit(ask) for _ in range(3)]
        calls += [threads.submit(lambda: asyncio.run(ask_async())) for _ in range(2)]
        meeting.wait()
        try:
            assert len(traces.browsers()) == 1
            assert len(traces.drivers()) == 1
        finally:
            meeting.wait()
        for call in calls:
            call.result()
    assert traces.processes() == []


@anyio_test
async def test_pages_of_all_clients_together_are_bounded(traces: Traces, demo: DemoSite) -> None:
    demo.clear()
    clients = [
        AsyncClient(demo.page(f"browser/never/?{number}"), strategy="browser", state_dir=None)
        for number in range(2 * MOST_TABS)
    ]
    calls = [asyncio.ensure_future(client.health_check("tokens")) for client in clients]
    with anyio.fail_after(30):
        while len(pages(demo)) < MOST_TABS:  # noqa: ASYNC110 - the site sets no event
            await anyio.sleep(0.05)
    await anyio.sleep(1.0)
    assert len(pages(demo)) == MOST_TABS
    assert len(traces.browsers()) == 1
    for client in clients:
        await client.close()
    await asyncio.wait(calls)
    assert traces.processes() == []


def pages(demo: DemoSite) -> list[str]:
    return [seen.path for seen in demo.requests if seen.path == "/browser/never/"]


@anyio_test
async def test_a_cookie_of_one_client_is_not_sent_for_another(traces: Traces, demo: DemoSite) -> None:
    demo.clear()
    agents = ("Mozilla/5.0 (one) Chrome/156.0.0.0", "Mozilla/5.0 (other) Chrome/156.0.0.0")
    clients = [
        AsyncClient(demo.page("cookies/"), strategy="browser", state_dir=None, user_agent=agent)
        for agent in agents
    ]
    for client in clients:
        await client.ask("Hello")
    visits = [seen for seen in demo.requests if seen.path == "/cookies/"]
    assert [seen.headers["user-agent"] for seen in visits] == list(agents)
    assert ["cookie" in seen.headers for seen in visits] == [False, False]
    assert len(traces.browsers()) == 1
    for client in clients:
        await client.close()


@anyio_test
async def test_closing_a_client_leaves_the_browser_to_others(traces: Traces, demo: DemoSite) -> None:
    closed = AsyncClient(demo.page("browser/never/"), strategy="browser", state_dir=None)
    other = AsyncClient(demo.page("browser/late/"), strategy="browser", state_dir=None)
    waiting = asyncio.ensure_future(closed.ask("Hello"))
    answered = asyncio.ensure_future(other.ask("Hello"))
    with anyio.fail_after(30):
        while len(demo.requests) < 2 or not traces.browsers():  # noqa: ASYNC110 - the site sets no event
            await anyio.sleep(0.02)
    await anyio.sleep(0.5)
    before = traces.browsers()
    await closed.close()
    with pytest.raises(BrowserError):
        await waiting
    assert (await answered).text.endswith("You wrote: Hello")
    assert traces.browsers() == before
    await other.close()
    assert traces.processes() == []


def test_a_later_event_loop_has_the_same_browser(traces: Traces, demo: DemoSite) -> None:
    acquirings: list[Acquiring] = []

    async def acquire() -> None:
        acquirings.append(Acquiring())
        await acquirings[-1].acquire(demo.page("browser/fetched/"), strategy="browser")

    async def close() -> None:
        for acquiring in acquirings:
            await acquiring.browser.close()

    asyncio.run(acquire())
    before = traces.browsers()
    asyncio.run(acquire())
    assert traces.browsers() == before
    asyncio.run(close())
    assert traces.processes() == []


FORKING = """
import os, sys
from chatgptt import Client

def ask():
    with Client(sys.argv[1], strategy="browser", state_dir=None) as client:
        return client.ask("Hello").text.endswith("You wrote: Hello")

parents = Client(sys.argv[1], strategy="browser", state_dir=None)
parents.ask("Hello")
child = os.fork()
if not child:
    {child}
print("forked", flush=True)
{parent}
"""


def run_forking(page: str, traces: Traces, *, child: str, parent: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            FORKING.format(child=child, parent=parent),
            page,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(traces.folder)},
    )


def test_a_forked_process_has_a_browser_of_its_own_and_leaves_its_parents(
    traces: Traces, demo: DemoSite
) -> None:
    forking = run_forking(
        demo.page("browser/fetched/"),
        traces,
        child="os._exit(0 if ask() else 1)",
        parent="print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), parents.ask('Hello').text[-5:], ask())\n"
        "parents.close()",
    )
    out, error = forking.communicate(timeout=90)
    assert out.split() == [b"forked", b"0", b"Hello", b"True"], error
    assert (forking.returncode, without_notice(error)) == (0, b"")


def test_a_parents_browser_ends_with_the_parent_though_a_forked_process_lives_on(
    traces: Traces, demo: DemoSite
) -> None:
    forking = run_forking(
        demo.page("browser/fetched/"),
        traces,
        child="os.read(0, 1)",
        parent="os.kill(os.getpid(), 9)",
    )
    try:
        traces.assert_none_within(30.0)
    finally:
        forking.kill()
        forking.communicate(timeout=10)
    assert forking.returncode == -signal.SIGKILL
