"""How long a nonce lives, by WordPress's own clock, and how each generation refuses one that has died."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import httpx
import pytest
from asking import answer, client_of, failure
from wordpress.installation import WordPress
from wordpress.traffic import Counted
from wordpress.visitors import only_1x, only_2x

pytestmark = pytest.mark.anyio

LIFE = 10
"""Seconds, instead of a day. Half of it is a tick (docs/protocols.md C2), and time for a slow machine."""


async def next_tick() -> None:
    tick = LIFE / 2
    await anyio.sleep(math.ceil(time.time() / tick) * tick - time.time() + 0.1)


async def test_a_nonce_outlives_one_tick_boundary_and_is_renewed_after_two(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, nonce_life=LIFE))
    async with client_of(wordpress.chat()) as client:
        await next_tick()
        await client.ask("In its own tick")
        await next_tick()
        await client.ask("In the next one")
        assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)
        await next_tick()
        reply = await client.ask("After that")
    assert reply.tokens_from == "html"
    assert wordpress.traffic.counted() == Counted(pages=2, messages=4, answered=3)


def before_the_second(wordpress: WordPress) -> Callable[[httpx.Request], Awaitable[None]]:
    """Lets all nonces die just before the request that fetches the answer is sent."""

    async def before(request: httpx.Request) -> None:
        if "aipkit_frontend_chat_stream" in str(request.url):
            wordpress.set(replace(wordpress.conditions, nonce_life=3600))

    return before


@pytest.mark.parametrize("path", ["/chat/", "/de/chat/"])
async def test_a_dead_nonce_is_renewed_once_in_any_language(wordpress: WordPress, path: str) -> None:
    async with client_of(wordpress.url("pretty", path)) as client:
        await client.ask("Before")
        wordpress.set(replace(wordpress.conditions, nonce_life=3600))
        await client.ask("After")
    assert wordpress.traffic.counted() == Counted(pages=2, messages=3, answered=2)


@only_1x
@pytest.mark.parametrize("path", ["/chat/", "/de/chat/"])
@pytest.mark.parametrize("streams", [False, True])
async def test_so_is_one_that_an_old_version_refuses_with_status_200(
    wordpress: WordPress, path: str, streams: bool
) -> None:
    wordpress.set(replace(wordpress.conditions, version="1.8.90", streams=streams))
    async with client_of(wordpress.url("pretty", path)) as client:
        await client.ask("Before")
        wordpress.set(replace(wordpress.conditions, nonce_life=3600))
        await client.ask("After")
    assert wordpress.traffic.counted() == Counted(pages=2, messages=3, answered=2)


@only_2x
async def test_a_nonce_that_dies_between_the_two_requests_is_renewed(wordpress: WordPress) -> None:
    async with httpx.AsyncClient(event_hooks={"request": [before_the_second(wordpress)]}) as http:
        await answer(wordpress.chat(), http_client=http)
    assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=1)


@only_2x
async def test_unless_the_site_says_so_in_words_that_are_not_known(wordpress: WordPress) -> None:
    """The second request's refusals have no code but their words (docs/protocols.md A5)."""

    async with httpx.AsyncClient(event_hooks={"request": [before_the_second(wordpress)]}) as http:
        error = await failure(wordpress.url("pretty", "/de/chat/"), http_client=http)
    assert (error.code, error.message[:40]) == ("refused", "Die Sicherheitsprüfung ist fehlgeschlage")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1)


async def test_many_messages_at_once_renew_a_dead_nonce_together(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.set(replace(wordpress.conditions, nonce_life=3600))
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(client.ask, f"After, number {number}")
    counted = wordpress.traffic.counted()
    assert (counted.pages, counted.answered) == (2, 21)


async def test_a_site_that_refuses_its_own_nonces_is_asked_twice_and_reported(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="refuses with -1"))
    error = await failure(wordpress.chat())
    assert (error.code, error.status) == ("token_rejected", 403)
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 0)


async def test_a_nonce_refused_with_minus_one_is_renewed(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="refuses with -1", breaks_times=1))
    await answer(wordpress.chat())
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 1)
