"""A Varnish that gives up on the site before the answer comes: it says 503 with a Retry-After of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asking import QUICK, answer, client_of, failure
from wordpress.installation import Fault, WordPress
from wordpress.traffic import Counted
from wordpress.visitors import only_2x

pytestmark = pytest.mark.anyio


async def test_a_site_behind_varnish_answers(wordpress: WordPress) -> None:
    reply = await answer(wordpress.chat("varnish"))
    assert reply.page == wordpress.chat("varnish")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_message_that_the_gateway_gave_up_on_is_not_sent_again(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="message is late"))
    error = await failure(wordpress.chat("varnish"))
    assert (error.code, error.status) == ("http_error", 503)
    assert "Backend fetch failed" in error.message
    assert error.retry_after
    answered = 1 if wordpress.conditions.generation == "wpaicg" else 0
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=answered)


@only_2x
async def test_nor_is_one_whose_answer_the_gateway_gave_up_on(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="stream is late"))
    error = await failure(wordpress.chat("varnish"))
    assert (error.code, error.status) == ("http_error", 503)
    assert wordpress.traffic.counted().messages == 1


@only_2x
@pytest.mark.parametrize("fault", ["message is late", "stream is late"])
async def test_it_is_where_the_caller_wants_that(wordpress: WordPress, fault: Fault) -> None:
    wordpress.set(replace(wordpress.conditions, breaks=fault, breaks_times=1))
    await answer(wordpress.chat("varnish"), retry=replace(QUICK, retry_ambiguous=True), timeout=60.0)
    assert wordpress.traffic.counted().messages == 2


async def test_a_health_check_behind_it_sends_one_message(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="message is late"))
    async with client_of(wordpress.chat("varnish")) as client:
        report = await client.health_check()
    assert (report.verdict, report.code) == ("critical", "http_error")
    assert [phase.name for phase in report.phases if phase.status == "fail"] == ["message"]
    assert wordpress.traffic.counted().messages == 1
