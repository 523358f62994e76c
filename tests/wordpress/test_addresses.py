"""Where the chat is: plain and pretty permalinks, a sub-folder, redirects, a language in front of the path."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from asking import answer, client_of
from wordpress.installation import Site, WordPress
from wordpress.traffic import Counted

pytestmark = pytest.mark.anyio


async def test_plain_permalinks(wordpress: WordPress) -> None:
    reply = await answer(wordpress.chat("plain"))
    assert reply.page == wordpress.chat("plain")
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


async def test_a_dead_nonce_is_renewed_under_plain_permalinks(wordpress: WordPress) -> None:
    async with client_of(wordpress.chat("plain")) as client:
        await client.ask("Before")
        wordpress.set(replace(wordpress.conditions, nonce_life=3600))
        reply = await client.ask("After")
    assert reply.page == wordpress.chat("plain")
    assert wordpress.traffic.counted() == Counted(pages=2, messages=3, answered=2)


async def test_wordpress_in_a_sub_folder(wordpress: WordPress) -> None:
    reply = await answer(wordpress.chat("folder"))
    assert reply.site == wordpress.url("folder", "")
    assert {urlsplit(seen.target).path for seen in wordpress.traffic.seen()} == {
        "/blog/chat/",
        "/blog/wp-admin/admin-ajax.php",
    }
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)


@pytest.mark.parametrize("path", ["/chat", "/index.php/chat/", "/?page_id={id}", "/?p={id}"])
async def test_wordpress_redirects_to_the_address_that_it_writes_itself(
    wordpress: WordPress, path: str
) -> None:
    page = wordpress.url("pretty", path.format(id=wordpress.chat_pages["pretty"]))
    async with client_of(page) as client:
        first = await client.ask("One")
        await client.ask("Two")
    assert first.page == wordpress.chat()
    assert {seen.referer for seen in wordpress.traffic.seen() if seen.is_ajax} == {wordpress.chat()}
    assert wordpress.traffic.counted() == Counted(pages=2, messages=2, answered=2)


@pytest.mark.parametrize("path", ["/chat/", "/de/chat/"])
async def test_a_front_page_that_redirects(wordpress: WordPress, path: str) -> None:
    wordpress.set(replace(wordpress.conditions, front_page_goes_to=path))
    reply = await answer(wordpress.url("pretty"))
    assert reply.page == wordpress.url("pretty", path)
    assert wordpress.traffic.counted() == Counted(pages=2, messages=1, answered=1)


async def test_a_front_page_that_redirects_in_a_sub_folder(wordpress: WordPress) -> None:
    wordpress.set(replace(wordpress.conditions, front_page_goes_to="/chat/"))
    reply = await answer(wordpress.url("folder"))
    assert (reply.page, reply.site) == (wordpress.chat("folder"), wordpress.url("folder", ""))
    assert wordpress.traffic.counted() == Counted(pages=2, messages=1, answered=1)


@pytest.mark.parametrize("site", ["pretty", "folder"])
async def test_a_language_prefix_goes_along_to_the_message(wordpress: WordPress, site: Site) -> None:
    reply = await answer(wordpress.url(site, "/de/chat/"))
    assert reply.text == f"A guest wrote into {wordpress.conditions.generation}: Hello"
    targets = [seen.target for seen in wordpress.traffic.seen() if seen.is_ajax]
    assert all("?lang=de" in target for target in targets), targets
    assert wordpress.traffic.counted() == Counted(pages=1, messages=1, answered=1)
