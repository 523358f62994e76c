"""What stands in front of a site: a page cache that serves yesterday's nonce, and compression."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from asking import answer, failure
from wordpress.installation import Generation, Site, WordPress
from wordpress.traffic import Counted
from wordpress.visitors import log_in

pytestmark = pytest.mark.anyio


def caches(wordpress: WordPress) -> list[str]:
    return [seen.cache for seen in wordpress.traffic.seen() if not seen.is_ajax]


def let_nonces_die(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, nonce_life=3600))


@pytest.mark.parametrize("site", ["cached", "stubborn"])
async def test_a_cached_page_is_as_good_as_new_while_its_nonce_lives(
    wordpress: WordPress, site: Site
) -> None:
    await answer(wordpress.chat(site), "One")
    await answer(wordpress.chat(site), "Two")
    assert caches(wordpress) == ["MISS", "HIT"]
    assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=2)


async def test_yesterdays_nonce_is_renewed_past_a_cache_that_heeds_the_query(wordpress: WordPress) -> None:
    await answer(wordpress.chat("cached"), "Yesterday")
    let_nonces_die(wordpress)
    wordpress.traffic.clear()
    reply = await answer(wordpress.chat("cached"), "Today")
    assert (reply.tokens_from, reply.page) == ("html", wordpress.chat("cached"))
    assert caches(wordpress) == ["HIT", "MISS"]
    assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=1)


async def test_yesterdays_nonce_is_renewed_past_a_cache_that_heeds_nothing(wordpress: WordPress) -> None:
    await answer(wordpress.chat("stubborn"), "Yesterday")
    let_nonces_die(wordpress)
    wordpress.traffic.clear()
    reply = await answer(wordpress.chat("stubborn"), "Today")
    assert reply.tokens_from == "endpoint"
    if wordpress.conditions.generation == "wpaicg":  # from the page of an address that is none
        assert caches(wordpress) == ["HIT", "HIT", "MISS"]
        assert wordpress.traffic.counted() == Counted(pages=3, messages=2, answered=1)
    else:
        assert caches(wordpress) == ["HIT", "HIT"]
        assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=1, nonces=1)


@pytest.mark.parametrize("site", ["cached", "stubborn"])
async def test_yesterdays_nonce_is_renewed_behind_a_cached_redirect(wordpress: WordPress, site: Site) -> None:
    wordpress.set(replace(wordpress.conditions, front_page_goes_to="/chat/"))
    await answer(wordpress.url(site), "Yesterday")
    let_nonces_die(wordpress)
    wordpress.traffic.clear()
    reply = await answer(wordpress.url(site), "Today")
    assert reply.page == wordpress.chat(site)
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 1)


async def test_a_member_past_a_cache_that_knows_members_gets_a_page_of_her_own(wordpress: WordPress) -> None:
    await answer(wordpress.chat("cached"), "One")
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http, "cached")
        wordpress.traffic.clear()
        await answer(wordpress.chat("cached"), "Two", http_client=http)
    assert caches(wordpress) == ["BYPASS"]
    assert wordpress.traffic.answered() == [("Two", "ada")]
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_member_who_is_served_a_guests_page_is_answered_as_herself(wordpress: WordPress) -> None:
    await answer(wordpress.chat("stubborn"), "One")
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http, "stubborn")
        wordpress.traffic.clear()
        await answer(wordpress.chat("stubborn"), "Two", http_client=http)
    assert wordpress.traffic.answered() == [("Two", "ada")]
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 1)


async def test_a_guest_who_is_served_a_members_page_is_answered_as_a_guest(wordpress: WordPress) -> None:
    async with httpx.AsyncClient() as http:
        await log_in(wordpress, http, "stubborn")
        await answer(wordpress.chat("stubborn"), "One", http_client=http)
    wordpress.traffic.clear()
    await answer(wordpress.chat("stubborn"), "Two")
    assert caches(wordpress)[0] == "HIT"
    assert wordpress.traffic.answered() == [("Two", "")]
    counted = wordpress.traffic.counted()
    assert (counted.messages, counted.answered) == (2, 1)


async def test_a_plugin_that_was_updated_overnight_is_asked_in_its_new_protocol(wordpress: WordPress) -> None:
    await answer(wordpress.chat("cached"), "Yesterday")
    new: Generation = "aipkit" if wordpress.conditions.generation == "wpaicg" else "wpaicg"
    wordpress.set(replace(wordpress.conditions, generation=new))
    wordpress.traffic.clear()
    reply = await answer(wordpress.chat("cached"), "Today")
    assert reply.protocol == new
    assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=1)


@pytest.mark.parametrize(("site", "code"), [("cached", "no_chat_box"), ("stubborn", "unreadable_answer")])
async def test_a_plugin_that_was_switched_off_is_reported(
    wordpress: WordPress, site: Site, code: str
) -> None:
    await answer(wordpress.chat(site), "Yesterday")
    wordpress.set(replace(wordpress.conditions, generation="none"))
    wordpress.traffic.clear()
    error = await failure(wordpress.chat(site), "Today")
    assert error.code == code
    assert wordpress.traffic.counted().answered == 0


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("site", "encoding"), [("gzip", "gzip"), ("brotli", "")])
async def test_pages_and_answers_come_compressed_if_the_server_knows_gzip(
    wordpress: WordPress, site: Site, encoding: str, streams: bool
) -> None:
    wordpress.set(replace(wordpress.conditions, streams=streams))
    reply = await answer(wordpress.chat(site), "Größe")
    assert reply.text == f"A guest wrote into {wordpress.conditions.generation}: Größe"
    assert {seen.encoding for seen in wordpress.traffic.seen()} == {encoding}
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)
