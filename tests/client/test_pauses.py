"""A site that wants no message for a while is left alone, by all who share the store; and one acquires for all."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from asking import client_of

from chatgptt import AsyncClient, ChatGpttError, FileStore, MemoryStore, RateLimitedError, RetryPolicy, Store
from chatgptt.demo import DemoSite
from chatgptt.net.retry import pause_after
from chatgptt.protocols.urls import origin
from chatgptt.tokens.acquisition import Wanted

ONCE = RetryPolicy(attempts=1)
GENERATIONS = ["wpaicg/", "aipkit/"]


@pytest.fixture(params=["a file", "memory"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the place that is shared."""
    memory = MemoryStore()
    return (lambda: FileStore(tmp_path)) if request.param == "a file" else lambda: memory


async def code_of(client: AsyncClient, message: str) -> str:
    try:
        await client.ask(message)
    except ChatGpttError as error:
        return error.code
    return "text"


@pytest.mark.parametrize("path", GENERATIONS)
@pytest.mark.anyio
async def test_a_long_retry_after_holds_back_all_who_share_the_store(
    demo: DemoSite, path: str, opened: Callable[[], Store]
) -> None:
    async with client_of(demo.page(path), store=opened()) as client:
        assert await code_of(client, "BUSYLONG") == "rate_limited"
    demo.clear()
    async with client_of(demo.page(path), store=opened()) as another:
        with pytest.raises(RateLimitedError, match="nothing was sent") as caught:
            await another.ask("Hello")
    assert caught.value.retry_after is not None
    assert 3500 < caught.value.retry_after <= 3600
    assert caught.value.hint == "ask again after that"  # the policy waits no longer, however long the call
    assert demo.requests == []


@pytest.mark.parametrize("path", GENERATIONS)
@pytest.mark.anyio
async def test_a_short_one_is_waited_for_where_it_fits_the_call(
    demo: DemoSite, path: str, opened: Callable[[], Store], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatgptt.client")
    async with client_of(demo.page(path), store=opened(), retry=ONCE) as client:
        assert await code_of(client, "BUSY") == "rate_limited"
    async with client_of(demo.page(path), store=opened()) as another:
        assert await code_of(another, "Hello") == "text"
    assert [line for line in caplog.messages if line.startswith("waiting")]


@pytest.mark.anyio
async def test_one_that_the_call_has_no_time_for_ends_it_at_once(demo: DemoSite) -> None:
    store = MemoryStore()
    await store.cool(origin(demo.page("wpaicg/")), 50.0)
    async with client_of(demo.page("wpaicg/"), store=store) as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.ask("Hello", timeout=40.0)
    assert caught.value.hint == "ask again after that, or allow more time with timeout="
    assert demo.requests == []


@pytest.mark.anyio
async def test_other_sites_are_asked_meanwhile(demo: DemoSite) -> None:
    store = MemoryStore()
    await store.cool("http://127.0.0.1:9", 3600.0)
    async with client_of(demo.page("wpaicg/"), store=store) as client:
        assert await code_of(client, "Hello") == "text"


@pytest.mark.parametrize("path", GENERATIONS)
@pytest.mark.parametrize(("message", "is_held"), [("QUOTA", True), ("BANWORD", False), ("ERR500", False)])
@pytest.mark.anyio
async def test_a_used_up_quota_holds_the_next_message_back_and_other_failures_do_not(
    demo: DemoSite, path: str, message: str, is_held: bool
) -> None:
    store = MemoryStore()
    retry = RetryPolicy(first_wait=10.0, attempts=1)
    async with client_of(demo.page(path), store=store, retry=retry) as client:
        assert await code_of(client, message) != "text"
    assert (await store.cool_until(origin(demo.page(path))) > 0.0) is is_held


@pytest.mark.anyio
async def test_a_page_that_answers_with_429_holds_the_next_message_back(demo: DemoSite) -> None:
    store = MemoryStore()
    async with client_of(demo.page("status/429/"), store=store, retry=ONCE) as client:
        assert await code_of(client, "Hello") == "rate_limited"
    assert await store.cool_until(origin(demo.page("status/429/"))) > 0.0


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 0.5), (1, 0.5), (2, 1.0), (3, 2.0), (9, 10.0)])
def test_a_429_without_a_time_holds_for_as_long_as_its_repeat_may_wait(attempts: int, seconds: float) -> None:
    assert pause_after(RateLimitedError("busy"), attempts, RetryPolicy()) == seconds


@pytest.mark.anyio
async def test_a_challenge_holds_nothing_back(demo: DemoSite) -> None:
    store = MemoryStore()
    async with client_of(demo.page("challenge/body/"), store=store) as client:
        assert await code_of(client, "Hello") == "challenge"
    assert await store.cool_until(origin(demo.page("challenge/body/"))) == 0.0


# One acquisition for all


@pytest.mark.parametrize("path", GENERATIONS)
@pytest.mark.anyio
async def test_clients_that_share_a_store_read_the_page_once(
    demo: DemoSite, path: str, opened: Callable[[], Store]
) -> None:
    async def ask() -> None:
        async with client_of(demo.page(path), store=opened()) as client:
            await client.ask("Hello")

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert len([seen for seen in demo.requests if seen.path == f"/{path}" and not seen.params]) == 1
    assert len(demo.messages) == 8


def test_processes_that_share_a_folder_read_the_page_once(demo: DemoSite) -> None:
    command = [sys.executable, "-m", "chatgptt", "ask", "Hello", "--site", demo.page("wpaicg/")]
    asking = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) for _ in range(4)
    ]
    assert [process.wait(60) for process in asking] == [0] * 4
    assert len([seen for seen in demo.requests if seen.path == "/wpaicg/"]) == 1


@pytest.mark.anyio
async def test_a_holder_that_was_killed_holds_nobody_up_for_more_than_half_of_the_call(
    demo: DemoSite, opened: Callable[[], Store]
) -> None:
    page = demo.page("wpaicg/")
    assert await opened().lease(origin(page), Wanted(page=page).key, 300.0) is not None
    async with client_of(page, store=opened()) as client:
        reply = await client.ask("Hello", timeout=3.0)
    assert reply.tokens_from == "html"


@pytest.mark.anyio
async def test_an_acquisition_that_fails_gives_its_lease_back(
    demo: DemoSite, opened: Callable[[], Store]
) -> None:
    page = demo.page("status/404/")
    async with client_of(page, store=opened()) as client:
        assert await code_of(client, "Hello") == "http_error"
    assert await opened().lease(origin(page), Wanted(page=page).key, 30.0) is not None


def test_the_retry_after_of_a_503_holds_nobody_back_for_long() -> None:
    """WordPress asks for 600 s whatever its maintenance takes, and a gateway does not know."""
    policy = RetryPolicy()
    maintenance = RateLimitedError("maintenance", status=503, retry_after=600.0)
    assert pause_after(maintenance, 1, policy) == policy.first_wait
    assert pause_after(RateLimitedError("busy", status=429, retry_after=600.0), 1, policy) == 600.0
