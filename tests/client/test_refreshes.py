"""Pages that lead on by themselves: followed as a redirect is, or named; and pages whose box nothing hints at."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from asking import answer, client_of, failure
from faults import AIPKIT_PAGE, NONCE, WPAICG_PAGE, Answer, Connection, Got, reply, serving, stream_reply

from chatgptt.protocols.page import Page

pytestmark = pytest.mark.anyio

PAGES = {"1.x": WPAICG_PAGE.format(nonce=NONCE), "2.x": AIPKIT_PAGE.format(nonce=NONCE)}
BARE = "<!doctype html><title>Bare</title><p>Words of a page of its own, more than a few of them.</p>"


def leading(pages: Mapping[str, str | bytes]) -> Answer:
    """A site of these pages that answers messages of either generation."""

    async def site(connection: Connection, got: Got) -> bool:
        if "aipkit_frontend_chat_stream" in got.target:
            sent = stream_reply(b'data: {"delta":"Hi there"}\n\nevent: done\ndata: {}\n\n')
        elif "aipkit" in got.fields.get("action", ""):
            sent = reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
        elif got.is_message:
            sent = stream_reply()
        else:
            page = pages.get(got.path, reply("<!doctype html>Not found", status=404))
            sent = page if isinstance(page, bytes) else reply(page)
        await connection.send(sent)
        return True

    return site


def refresh(content: str) -> str:
    return f'{BARE}<meta http-equiv="Refresh" content="{content}">'


CONTENTS = {
    "0; url=/chat/": "/chat/",
    "0;URL='/chat/'": "/chat/",
    "1 , url = /chat/#top": "/chat/",
    "0 /chat/": "/chat/",
    "0.5;chat/": "/start/chat/",
    " 3;url=&quot;/chat/&quot; and more": "/chat/",
    "0": "/start/",
    "0;url=javascript:alert(1)": None,
    "soon;url=/chat/": None,
    "": None,
}


@pytest.mark.parametrize("content", CONTENTS)
def test_a_refresh_is_read_as_browsers_read_it(content: str) -> None:
    page = Page(refresh(content).encode(), "https://shop.example/start/")
    path = CONTENTS[content]
    found = page.refresh()
    assert (found and found[1]) == (path and f"https://shop.example{path}")


def test_a_refresh_without_scripts_is_none_for_a_visitor() -> None:
    meta = '<meta http-equiv="refresh" content="0;url=/x/">'
    html = f"<!doctype html><head><noscript>{meta}</noscript></head><template>{meta}</template>"
    assert Page(html.encode(), "https://shop.example/").refresh() is None
    assert Page(b"", "https://shop.example/").refresh("0; url=/x/") == (0.0, "https://shop.example/x/")


@pytest.mark.parametrize("generation", PAGES)
@pytest.mark.parametrize("strategy", ["auto", "static"])
async def test_a_refresh_is_followed_to_the_chat(generation: str, strategy: str) -> None:
    header = reply(BARE, headers={"Refresh": "0; url=/chat/"})
    pages: dict[str, str | bytes] = {
        "/start/": refresh("0; url=/between/"),
        "/between/": header,
        "/chat/": PAGES[generation],
    }
    async with serving(leading(pages)) as server:
        result = await answer(f"{server.url}/start/", strategy="static" if strategy == "static" else "auto")
        assert (result.text, result.page, result.page_requests) == ("Hi there", f"{server.url}/chat/", 3)


async def test_a_refresh_leads_to_the_site_that_is_asked_and_takes_no_login_there() -> None:
    async with serving(leading({"/chat/": PAGES["1.x"]})) as there:
        aside = f"0; url=http://ada:sesame@localhost:{there.port}/chat/"
        async with serving(leading({"/start/": refresh(aside)})) as here:
            start = f"{here.url}/start/".replace("http://", "http://bob:secret@")
            async with client_of(start, headers={"Cookie": "login=1"}) as client:
                assert (await client.ask("Hello")).site == f"http://localhost:{there.port}"
            assert here.count("POST") == 0
        assert not any({"authorization", "cookie"} & got.headers.keys() for got in there.got)


NAMED = {
    "a long delay": ("30; url=/chat/", "it leads on to {url}/chat/ after 30 s"),
    "itself": ("0; url=/start/", "it reloads itself after 0 s"),
    "itself, by nothing": ("60", "it reloads itself after 60 s"),
    "in a circle": ("0; url=/circle/", "it reloads itself after 0 s"),
}


@pytest.mark.parametrize("name", NAMED)
async def test_a_refresh_that_is_not_followed_is_named(name: str) -> None:
    content, words = NAMED[name]
    pages = {"/start/": refresh(content), "/circle/": refresh("0;url=/start/"), "/chat/": PAGES["1.x"]}
    async with serving(leading(pages)) as server:
        error = await failure(f"{server.url}/start/", strategy="static")
        assert error.code == "no_chat_box"
        assert words.format(url=server.url) in error.message
        assert server.counts[0] <= 2


async def test_refreshes_end_where_redirects_do() -> None:
    pages = {f"/{number}/": refresh(f"0;url=/{number + 1}/") for number in range(50)}
    async with serving(leading(pages)) as server:
        error = await failure(f"{server.url}/0/", strategy="static")
        assert server.counts == (21, 0)
    assert "it leads on to" in error.message


async def test_a_page_with_a_box_is_not_left() -> None:
    page = PAGES["1.x"] + refresh("0;url=/elsewhere/")
    async with serving(leading({"/start/": page})) as server:
        assert (await answer(f"{server.url}/start/", strategy="static")).page == f"{server.url}/start/"
        assert server.counts == (1, 1)


@pytest.mark.parametrize("strategy", ["auto", "static"])
async def test_a_page_without_a_hint_at_a_box_names_the_strategy_that_may_find_one(strategy: str) -> None:
    async with serving(leading({"/": BARE})) as server:
        error = await failure(server.url, strategy="static" if strategy == "static" else "auto")
        async with client_of(server.url, strategy="static") as client:
            with pytest.raises(type(error)) as caught:
                await client.find_boxes()
    assert error.code == "no_chat_box"
    for hint in (error.hint, caught.value.hint):
        assert "--strategy browser" in hint
        assert 'strategy="browser"' in hint
