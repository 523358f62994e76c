"""Who asks: guests, members, and guests whom a shop knows by a cookie. Page and message go as the same visitor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from asking import answer, client_of
from wordpress.installation import WordPress
from wordpress.traffic import Counted
from wordpress.visitors import log_in, log_out, only_1x

pytestmark = pytest.mark.anyio


async def test_a_guest_is_answered_with_one_page_and_one_message(wordpress: WordPress) -> None:
    reply = await answer(wordpress.chat(), "Größe & “quotes” <b>, \\ 100 %20?")
    protocol = wordpress.conditions.generation
    assert reply.text == f"A guest wrote into {protocol}: Größe & “quotes” <b>, \\ 100 %20?"
    assert (reply.protocol, reply.tokens_from, reply.is_streamed) == (protocol, "html", True)
    assert reply.site == wordpress.url("pretty", "")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


@only_1x
async def test_an_answer_that_comes_as_json_is_the_same(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, streams=False))
    reply = await answer(wordpress.chat(), "Größe")
    assert (reply.text, reply.is_streamed) == ("A guest wrote into wpaicg: Größe", False)
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_the_box_that_floats_on_every_page_answers_too(wordpress: WordPress) -> None:
    reply = await answer(wordpress.url("pretty", "/sample-page/"))
    assert reply.text == f"A guest wrote into {wordpress.conditions.generation}: Hello"
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_page_and_message_share_a_connection(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat()) as client:
        await client.ask("One")
        await client.ask("Two")
    assert len({seen.connection for seen in wordpress.traffic.seen()}) == 1
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_a_member_with_a_jar_is_known_on_page_and_message(wordpress: WordPress) -> None:
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http)
        wordpress.traffic.clear()
        async with client_of(wordpress.chat(), http_client=http) as client:
            await client.ask("One")
            await client.ask("Two")
    assert wordpress.traffic.answered() == [("One", "ada"), ("Two", "ada")]
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_a_member_with_a_cookie_header_is_known_on_page_and_message(wordpress: WordPress) -> None:
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in http.cookies.jar)
    wordpress.traffic.clear()
    await answer(wordpress.chat(), headers={"Cookie": cookies})
    assert wordpress.traffic.answered() == [("Hello", "ada")]
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_guest_and_member_with_one_state_folder_never_use_each_others_nonce(
    wordpress: WordPress, tmp_path: Path
) -> None:
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http)
        wordpress.traffic.clear()
        for turn in ("One", "Two"):
            await answer(wordpress.chat(), f"{turn} of a guest", state_dir=tmp_path)
            await answer(wordpress.chat(), f"{turn} of Ada", state_dir=tmp_path, http_client=http)
    assert wordpress.traffic.answered() == [
        ("One of a guest", ""),
        ("One of Ada", "ada"),
        ("Two of a guest", ""),
        ("Two of Ada", "ada"),
    ]
    assert wordpress.traffic.counted() == Counted(pages=2, messages=4, answered=4)


async def test_a_member_whose_session_ended_goes_on_as_a_guest(wordpress: WordPress) -> None:
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http)
        async with client_of(wordpress.chat(), http_client=http) as client:
            await client.ask("Before")
            await log_out(wordpress, http)
            wordpress.traffic.clear()
            await client.ask("After")
    assert wordpress.traffic.answered() == [("After", "")]
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=1)


async def test_a_guest_known_by_a_cookie_keeps_it_from_page_to_message(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, guest_cookie=True))
    await answer(wordpress.chat())
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_guest_known_by_a_cookie_keeps_it_from_process_to_process(
    wordpress: WordPress, tmp_path: Path
) -> None:
    wordpress.set(replace(wordpress.conditions, guest_cookie=True))
    await answer(wordpress.chat(), "One", state_dir=tmp_path)
    reply = await answer(wordpress.chat(), "Two", state_dir=tmp_path)
    assert reply.tokens_from == "cache"
    assert wordpress.traffic.counted() == Counted(pages=1, messages=2, answered=2)


async def test_a_guest_known_by_a_cookie_may_send_one_of_his_own_as_well(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, guest_cookie=True))
    await answer(wordpress.chat(), headers={"Cookie": "consent=yes"})
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_member_with_a_cookie_header_is_known_behind_a_redirect_as_well(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, front_page_goes_to="/chat/"))
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in http.cookies.jar)
    wordpress.traffic.clear()
    await answer(wordpress.url("pretty"), headers={"Cookie": cookies})
    assert wordpress.traffic.answered() == [("Hello", "ada")]
    assert wordpress.traffic.counted() == Counted(pages=2, messages=1, answered=1)
