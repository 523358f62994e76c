"""What a fresh recording says about a case: each change in words, and silence where nothing that matters changed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from chatgptt.demo import DemoSite
from chatgptt.recordings import record
from chatgptt.recordings.case import Case
from chatgptt.recordings.drift import find_drift

pytestmark = pytest.mark.anyio


class Changed(httpx.AsyncBaseTransport):
    """The demo site after its owner has changed something: texts of its replies are others."""

    def __init__(self, *changes: tuple[str, str]) -> None:
        self._changes = changes
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        body = (await response.aread()).decode()
        await response.aclose()
        for old, new in self._changes:
            body = body.replace(old, new)
        headers = {
            name: value
            for name, value in response.headers.items()
            if name not in ("content-length", "transfer-encoding")
        }
        return httpx.Response(
            response.status_code, headers={**headers, "transfer-encoding": "chunked"}, stream=Whole(body)
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class Whole(httpx.AsyncByteStream):
    def __init__(self, body: str) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body.encode()


async def drift(demo: DemoSite, path: str, *changes: tuple[str, str], message: str = "Hello") -> list[str]:
    """What is said when the site at a page changes between two recordings."""
    before = await recorded(demo, path, message)
    return find_drift(before, await recorded(demo, path, message, *changes))


async def recorded(demo: DemoSite, path: str, message: str, *changes: tuple[str, str]) -> Case:
    demo.clear()
    return (await record(demo.page(path), [message], transport=Changed(*changes))).case


@pytest.mark.parametrize("path", ["wpaicg/", "wpaicg/json/", "aipkit/", "wpaicg/many/", "challenge/body/"])
async def test_an_unchanged_site_has_not_drifted(demo: DemoSite, path: str) -> None:
    assert await drift(demo, path) == []


async def test_new_words_are_no_drift(demo: DemoSite) -> None:
    changes = (
        ("Made up", "Invented"),
        ("This answer is made up", "Nobody wrote this"),
        ("What would you say", "Say"),
    )
    assert await drift(demo, "wpaicg/", *changes) == []


SHORTCODE = "shortcode box of bot 4 (wpaicg)"
CHANGES: dict[str, tuple[str, tuple[tuple[str, str], ...], list[str]]] = {
    "the box's class": (
        "wpaicg/json/",
        (('class="wpaicg-chat-shortcode"', 'class="wpaicg-chat-box-2"'),),
        [
            f"the {SHORTCODE} is gone",
            "the call comes to no_chat_box, before to answered",
            "the request wpaicg_chat_shortcode_message is not made any more",
        ],
    ),
    "no nonce on the box": (
        "wpaicg/json/",
        (("data-nonce=", "data-once="),),
        [
            f"the {SHORTCODE} shows no usable nonce any more",
            "the tokens for the call come from script, before from html",
        ],
    ),
    "another bot": (
        "wpaicg/json/",
        (('data-bot-id="4"', 'data-bot-id="5"'),),
        [
            "there is a new box: the shortcode box of bot 5 (wpaicg)",
            f"the {SHORTCODE} is gone",
            "wpaicg_chat_shortcode_message is answered as text/event-stream, before as application/json",
            "the answer to the call is a stream now",
        ],
    ),
    "another plugin version": (
        "wpaicg/json/",
        (("?ver=1.9.18", "?ver=1.9.20"),),
        ["the plugin's version: 1.9.18 before, 1.9.20 now"],
    ),
    "another endpoint": (
        "wpaicg/json/",
        (("wp-admin\\/admin-ajax.php", "wp-admin\\/admin-ajax.php?lang=de"),),
        [
            f"the {SHORTCODE} posts to: http://site.example/wpaicg/wp-admin/admin-ajax.php before, http://site.example/wpaicg/wp-admin/admin-ajax.php?lang=de now"
        ],
    ),
    "a shorter memory": (
        "wpaicg/json/",
        (('data-memory-limit = "100"', 'data-memory-limit = "10"'),),
        [f"the {SHORTCODE} takes so many history entries: 100 before, 10 now"],
    ),
    "a new key": (
        "wpaicg/json/",
        (('"log":', '"usage":1,"log":'),),
        ["the reply to wpaicg_chat_shortcode_message has in addition: usage"],
    ),
    "another name of the answer": (
        "wpaicg/json/",
        (('"data":', '"answer":'),),
        [
            "the call comes to empty_answer, before to answered",
            "the reply to wpaicg_chat_shortcode_message lacks: data",
            "the reply to wpaicg_chat_shortcode_message has in addition: answer",
        ],
    ),
    "no end of the stream": (
        "wpaicg/",
        (("data: [DONE]\n\n", ""),),
        ["the reply to wpaicg_chat_shortcode_message lacks: event message: [DONE]"],
    ),
    "consent": (
        "aipkit/",
        (("&quot;requireConsentCompliance&quot;:false", "&quot;requireConsentCompliance&quot;:true"),),
        [
            "the inline box of bot 5 (aipkit) asks for consent now",
            "the call comes to refused consent_required, before to answered",
            "the request aipkit_cache_sse_message is not made any more",
            "the request aipkit_frontend_chat_stream is not made any more",
        ],
    ),
    "another name of the bot": (
        "aipkit/",
        (("Inline bot", "Ada"),),
        ["the inline box of bot 5 (aipkit) is called: Inline bot before, Ada now"],
    ),
    "another event": (
        "aipkit/",
        (("event: done", "event: finished"),),
        [
            "the call comes to stream_interrupted, before to answered",
            "the reply to aipkit_frontend_chat_stream lacks: event done: finished",
            "the reply to aipkit_frontend_chat_stream has in addition: event finished: finished",
        ],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_reported_as_what_it_is(demo: DemoSite, change: str) -> None:
    path, changes, expected = CHANGES[change]
    assert sorted(await drift(demo, path, *changes)) == sorted(expected)


async def test_another_generation_of_the_plugin_is_said_first(demo: DemoSite) -> None:
    before, now = await recorded(demo, "wpaicg/", "Hello"), await recorded(demo, "aipkit/", "Hello")
    said = find_drift(before, now)
    assert said[0] == "the site speaks another protocol: wpaicg before, aipkit now"
    assert said[1] == "the plugin's version: 1.9.18 before, 2.4.71 now"
    assert "there is a new request: aipkit_cache_sse_message" in said


async def test_a_page_that_fails_and_an_answer_that_breaks_off_are_said(demo: DemoSite) -> None:
    page, gone = await recorded(demo, "wpaicg/", "Hello"), await recorded(demo, "status/404/", "Hello")
    assert "the page answers with HTTP 404, before with 200" in find_drift(page, gone)
    whole, cut = await recorded(demo, "wpaicg/", "Hello"), (await record(demo.page("wpaicg/"), ["DROP"])).case
    assert "the reply to wpaicg_chat_shortcode_message is cut, before complete" in find_drift(whole, cut)
    one, two = whole, (await record(demo.page("wpaicg/"), ["a", "b"])).case
    assert "message 2 was not made now" in find_drift(two, one)
