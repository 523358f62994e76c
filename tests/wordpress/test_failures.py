"""What a site does when it does not work, and how often it is then asked."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from asking import QUICK, answer, client_of, failure
from wordpress.installation import Stray, WordPress
from wordpress.traffic import Counted
from wordpress.visitors import only_1x, only_2x

from chatgptt import ChatGpttError

pytestmark = pytest.mark.anyio

STRAY = pytest.mark.parametrize("warns", [stray for stray in get_args(Stray) if stray])
TRANSLATED = """<?php
require_once ABSPATH . WPINC . '/functions.php';
header( 'Retry-After: 600' );
wp_die( 'Wegen planmäßiger Wartungsarbeiten ist die Website kurz nicht erreichbar.', 'Wartung', 503 );
"""
"""What WordPress itself does in maintenance, in German."""

UPDATE_ENDS = """<?php
unlink( ABSPATH . '.maintenance' );
http_response_code( 503 );
header( 'Retry-After: 0' );
echo 'We are back in a moment.';
"""


async def test_a_chat_for_members_alone_is_asked_twice_and_reported(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, members_only=True))
    error = await failure(wordpress.chat())
    assert (error.code, error.status) == ("unreadable_answer", 400)
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 0)


async def test_a_handler_that_returns_without_a_word_is_not_asked_again(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="returns without a word"))
    error = await failure(wordpress.chat())
    assert (error.code, error.status) == ("unreadable_answer", 200)
    answered = 1 if wordpress.conditions.generation == "wpaicg" else 0
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=answered)


async def test_maintenance_is_reported_at_once_with_its_retry_after(wordpress: WordPress) -> None:
    wordpress.begin_maintenance()
    error = await failure(wordpress.chat())
    assert (error.code, error.status, error.retry_after) == ("rate_limited", 503, 600.0)
    assert wordpress.traffic.counted() == Counted(pages=1)


async def test_so_is_maintenance_that_begins_between_page_and_message(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.begin_maintenance()
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Meanwhile")
        assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 600.0)
        assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=1)
        wordpress.end_maintenance()
        await client.ask("After")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=3, answered=2)


async def test_in_another_language_it_is_reported_as_maintenance_too(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.begin_maintenance(TRANSLATED)
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Meanwhile")
    assert (caught.value.code, caught.value.retry_after) == ("rate_limited", 600.0)


async def test_maintenance_that_is_about_to_end_is_waited_for(wordpress: WordPress) -> None:
    wordpress.begin_maintenance(UPDATE_ENDS)
    await answer(wordpress.chat())
    assert wordpress.traffic.counted() == Counted(pages=2, messages=1, answered=1)


async def test_a_message_is_not_sent_again_after_a_notice_of_the_site_s_own(wordpress: WordPress) -> None:
    """It is a 503 with a Retry-After and nothing else that is WordPress's, as a gateway's is."""
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.begin_maintenance(UPDATE_ENDS)
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Meanwhile")
    assert (caught.value.code, caught.value.status) == ("http_error", 503)
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=1)


async def test_a_page_that_dies_is_asked_for_three_times(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="page dies"))
    error = await failure(wordpress.chat())
    assert (error.code, error.status) == ("http_error", 500)
    assert wordpress.traffic.counted() == Counted(pages=3)


async def test_a_page_that_dies_once_is_asked_for_again(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="page dies", breaks_times=1))
    await answer(wordpress.chat())
    assert wordpress.traffic.counted() == Counted(pages=2, messages=1, answered=1)


async def test_a_page_that_dies_behind_its_box_will_do(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="page dies half-way"))
    await answer(wordpress.chat())
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_message_over_which_php_dies_is_not_sent_again(wordpress: WordPress) -> None:
    """In 1.x it has been answered, and billed, by then; in 2.x it has only been handed in."""
    wordpress.set(replace(wordpress.conditions, breaks="message dies"))
    error = await failure(wordpress.chat())
    assert (error.code, error.status) == ("http_error", 500)
    assert "critical error" in error.message
    answered = 1 if wordpress.conditions.generation == "wpaicg" else 0
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=answered)


@only_2x
async def test_it_is_where_the_caller_wants_that(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="message dies", breaks_times=1))
    await answer(wordpress.chat(), retry=replace(QUICK, retry_ambiguous=True))
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=1)


async def test_an_answer_amid_which_php_dies_is_interrupted(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, breaks="stream dies"))
    error = await failure(wordpress.chat())
    assert (error.code, error.partial_text) == ("stream_interrupted", "A")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


@STRAY
async def test_what_php_prints_before_an_answer_is_passed_over(wordpress: WordPress, warns: Stray) -> None:
    wordpress.set(replace(wordpress.conditions, warns=warns))
    reply = await answer(wordpress.chat())
    assert reply.text == f"A guest wrote into {wordpress.conditions.generation}: Hello"
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


@only_1x
@STRAY
async def test_so_is_what_it_prints_before_json(wordpress: WordPress, warns: Stray) -> None:
    wordpress.set(replace(wordpress.conditions, warns=warns, streams=False))
    reply = await answer(wordpress.chat())
    assert reply.text == "A guest wrote into wpaicg: Hello"
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


@STRAY
async def test_a_dead_nonce_is_renewed_behind_what_php_prints(wordpress: WordPress, warns: Stray) -> None:
    wordpress.set(replace(wordpress.conditions, warns=warns))
    async with client_of(wordpress.chat()) as client:
        await client.ask("Before")
        wordpress.set(replace(wordpress.conditions, nonce_life=3600))
        await client.ask("After")
    assert wordpress.traffic.counted() == Counted(pages=2, messages=3, answered=2)
