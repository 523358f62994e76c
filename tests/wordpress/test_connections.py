"""Connections that the site's server closes under us between two messages."""

from __future__ import annotations

import random

import anyio
import pytest
from asking import client_of
from wordpress.installation import Generation, WordPress
from wordpress.traffic import Counted

from chatgptt import ChatGpttError, TransportError

pytestmark = pytest.mark.anyio


def connections(wordpress: WordPress) -> int:
    return len({seen.connection for seen in wordpress.traffic.seen()})


async def test_one_that_was_idle_too_long_for_the_server_costs_no_message(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat("hasty")) as client:
        await client.ask("Before")
        await anyio.sleep(1.5)  # nginx hangs up after 1 s
        reply = await client.ask("After")
    assert reply.attempts == 1
    assert connections(wordpress) == 2
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_one_that_the_servers_reload_closes_costs_no_message(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.reload_nginx()
        reply = await client.ask("After")
    assert reply.attempts == 1
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_a_server_that_keeps_none_is_asked_over_new_ones(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat("curt")) as client:
        await client.ask("One")
        await client.ask("Two")
    requests = len(wordpress.traffic.seen())
    assert connections(wordpress) == requests
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_a_message_that_meets_the_hang_up_is_answered_once_or_reported(
    wordpress: WordPress, generation: Generation
) -> None:
    dice = random.Random(generation)
    failures: list[ChatGpttError] = []

    async def ask_twice(number: int) -> None:
        async with client_of(wordpress.chat("hasty")) as client:
            await client.ask(f"Before, number {number}")
            await anyio.sleep(dice.uniform(0.97, 1.01))
            try:
                await client.ask(f"After, number {number}")
            except ChatGpttError as error:
                failures.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(24):
            tasks.start_soon(ask_twice, number)
    assert all(isinstance(error, TransportError) and error.is_sent for error in failures), failures
    counted = wordpress.traffic.counted()
    assert counted.pages == 24
    assert counted.answered >= 48 - len(failures)
