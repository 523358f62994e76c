"""Every page of the demo site and what asking it amounts to."""

from __future__ import annotations

import httpx
import pytest
from asking import ECHO, QUICK, answer, client_of, failure, outcome

from chatgptt import ChatGpttError, Reply
from chatgptt.demo import DemoSite

WPAICG = {
    "": ("html", 0, 1),
    "json/": ("html", 4, 1),
    "custom/": ("html", 5, 1),
    "widget/": ("html", 0, 1),
    "json-and-widget/": ("html", 4, 1),
    "many/": ("html", 4, 1),
    "decoy/": ("html", 4, 1),
    "nochat/": ("no_chat_box", None, 1),
    "unclosed/": ("html", 4, 1),
    "minified/": ("html", 5, 1),
    "assistant/": ("html", 7, 1),
    "assistant-json/": ("html", 8, 1),
    "quota/": ("html", 9, 1),
    "google/": ("html", 10, 1),
    "widget-streams/": ("html", 11, 1),
    "cached/": ("html", 0, 1),
    "cached-hard/": ("html", 0, 1),
    "empty-nonce/": ("script", 0, 1),
    "placeholder/": ("script", 0, 1),
    "wrapped-datauri/": ("script", 0, 1),
    "wrapped-type/": ("script", 0, 1),
    "wrapped-litespeed/": ("script", 0, 1),
    "wrapped-delayed/": ("script", 0, 1),
    "wrapped-minified/": ("script", 0, 1),
    "wrapped-combined/": ("script", 0, 2),
    "no-nonce/": ("endpoint", 0, 3),
    "elsewhere/": ("no_chat_box", None, 1),
}
AIPKIT = {
    "": ("html", 5, 1),
    "json/": ("html", 4, 1),
    "popup/": ("html", 6, 1),
    "many/": ("html", 5, 1),
    "decoy/": ("html", 5, 1),
    "nochat/": ("no_chat_box", None, 1),
    "consent/": ("refused consent_required", None, 1),
    "quota/": ("html", 9, 1),
    "cached/": ("html", 5, 1),
    "cached-hard/": ("html", 5, 1),
    "empty-nonce/": ("endpoint", 5, 2),
    "no-config/": ("endpoint", 5, 2),
    "draft/": ("refused other", None, 1),
    "guests-disabled/": ("refused guests_disabled", None, 1),
    "elsewhere/": ("no_chat_box", None, 1),
    "entities/": ("html", 12, 1),
}
OUTCOMES: dict[str, tuple[str, int | None, int]] = {
    **{
        f"{site}/{page}": expected
        for site in ("wpaicg", "wpaicg-1.8.79", "wpaicg-1.8.90", "wpaicg-1.8.95", "wpaicg-1.8.98")
        for page, expected in WPAICG.items()
        if not (page.startswith("assistant") and site in ("wpaicg-1.8.79", "wpaicg-1.8.90"))
    },
    **{
        f"{site}/{page}": expected
        for site in ("aipkit", "aipkit-2.3.20", "aipkit-2.3.43")
        for page, expected in AIPKIT.items()
        if not (page == "json/" and site == "aipkit")
    },
    # No nonce action yet, and 2.x has no other page that shows one.
    "aipkit-2.3.20/empty-nonce/": ("tokens_missing", None, 3),
    "aipkit-2.3.20/no-config/": ("tokens_missing", None, 3),
    "never/": ("tokens_missing", None, 4),
    "never/json/": ("tokens_missing", None, 4),
    "never/widget/": ("tokens_missing", None, 4),
    "cookies/": ("html", 0, 1),
    "cookies/json/": ("html", 4, 1),
    "latin1/": ("html", 0, 1),
    "challenge/message/": ("challenge", None, 1),
    "challenge/message-429/": ("challenge", None, 1),
    "challenge/cloudflare/": ("challenge", None, 1),
    "challenge/body/": ("challenge", None, 1),
    "slow/": ("html", 0, 1),
    "huge-with-box/": ("html", 0, 1),
    "huge/": ("no_chat_box", None, 1),
    "deep/": ("no_chat_box", None, 1),
    "pdf/": ("http_error", None, 1),
    "json-page/": ("http_error", None, 1),
    "status/404/": ("http_error", None, 1),
    "status/500/": ("http_error", None, 3),
    "status/429/": ("rate_limited", None, 1),
    "status/503/": ("html", 0, 3),
    "loop/": ("http_error", None, 21),
    "moved/": ("html", 0, 2),
}
SCRIPTED = {
    "scripted/": "tokens_missing",
    "scripted/late/": "tokens_missing",
    "scripted/flicker/": "tokens_missing",
    "scripted-aipkit/": "no_chat_box",
}


def told(result: Reply | ChatGpttError) -> str:
    if isinstance(result, Reply):
        return result.tokens_from
    return " ".join(filter(None, (result.code, getattr(result, "reason", ""))))


@pytest.mark.anyio
@pytest.mark.parametrize("path", OUTCOMES)
async def test_each_page_has_its_outcome(demo: DemoSite, path: str) -> None:
    expected, bot_id, page_requests = OUTCOMES[path]
    seconds = "?seconds=0.05" if path == "slow/" else ""
    result = await outcome(demo.page(path + seconds), strategy="static")
    assert told(result) == expected
    others = [
        seen for seen in demo.requests if not (seen.fields.get("message") or "cache_key" in seen.params)
    ]
    assert len(others) == page_requests
    if isinstance(result, Reply):
        assert result.bot_id == bot_id
        assert result.text == f"{ECHO}Hello"
        assert result.site == demo.page(
            "wpaicg" if path == "moved/" else path.rstrip("/").removesuffix(_slug(path))
        )
        assert [seen.message for seen in demo.messages] == ["Hello"]
        assert result.attempts == 1
        if path not in ("moved/",):
            assert result.page_requests == page_requests
    else:
        assert demo.messages == []
        assert result.hint


def _slug(path: str) -> str:
    site, _, rest = path.rstrip("/").rpartition("/")
    return f"/{rest}" if site and path in OUTCOMES and f"{site}/" in OUTCOMES else ""


@pytest.mark.anyio
@pytest.mark.parametrize("path", SCRIPTED)
async def test_a_page_that_makes_its_tokens_by_script_has_none_for_a_static_reader(
    demo: DemoSite, path: str
) -> None:
    assert (await failure(demo.page(path), strategy="static")).code == SCRIPTED[path]
    assert demo.messages == []


def test_the_table_of_pages_is_the_demo_s_index(demo: DemoSite) -> None:
    index = httpx.get(demo.url, trust_env=False).text
    listed = {
        line.split('"')[1].lstrip("/") for line in index.splitlines() if line.startswith('<li><a href="')
    }
    in_tests_browser = {path for path in listed if path.startswith(("browser/", "browser-2x/"))}
    assert listed - in_tests_browser == {*OUTCOMES, *SCRIPTED}


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/elsewhere/", "aipkit/elsewhere/"])
async def test_a_box_that_names_another_site_is_not_asked_and_the_error_says_where_it_belongs(
    demo: DemoSite, path: str
) -> None:
    error = await failure(demo.page(path))
    assert error.code == "no_chat_box"
    assert "belongs to another site, https://collector.example" in error.message
    assert "https://collector.example" in error.hint
    assert [(one.rung, "it is not asked" in one.saw) for one in error.findings] == [
        ("html", True),
        ("html", False),
    ]
    async with client_of(demo.page(path)) as client:
        with pytest.raises(ChatGpttError, match="belongs to another site"):
            await client.find_boxes()
    assert {seen.method for seen in demo.requests} == {"GET"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("bot", "expected"),
    [
        (None, 5),
        (6, 6),
        ("7", 7),
        ("popup", 6),
        ("THE OTHER INLINE BOT", 7),
        ('Popup "bot" & friends', 6),
    ],
)
async def test_a_bot_is_chosen_by_number_name_or_kind(
    demo: DemoSite, bot: str | int | None, expected: int
) -> None:
    assert (await answer(demo.page("aipkit/many/"), bot=bot)).bot_id == expected


@pytest.mark.anyio
async def test_an_unknown_bot_is_an_error_that_names_those_that_are_there(demo: DemoSite) -> None:
    error = await failure(demo.page("aipkit/many/"), bot="Nobody")
    assert error.code == "no_chat_box"
    assert "'Nobody'" in error.message
    assert "7 (The other inline bot)" in error.message
    assert demo.messages == []


@pytest.mark.anyio
async def test_a_call_may_ask_another_bot_than_the_client_s(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/many/"), bot=5) as client:
        assert (await client.ask("a")).bot_id == 5
        assert (await client.ask("b", bot=4)).bot_id == 4
        assert (await client.conversation(bot="widget").ask("c")).bot_id == 0
    assert demo.messages[-1].fields["action"] == "wpaicg_chatbox_message"


@pytest.mark.anyio
async def test_find_boxes_gives_every_box_with_its_nonce_and_where_it_was_found(demo: DemoSite) -> None:
    table = {
        "wpaicg/many/": [
            ("shortcode", 4, "html"),
            ("shortcode", 5, "html"),
            ("shortcode", 0, "html"),
            ("widget", 0, "html"),
        ],
        "wpaicg/empty-nonce/": [("shortcode", 0, "script")],
        "wpaicg/no-nonce/": [("shortcode", 0, "endpoint")],
        "aipkit/empty-nonce/": [("inline", 5, "endpoint")],
    }
    for path, expected in table.items():
        async with client_of(demo.page(path)) as client:
            boxes = await client.find_boxes()
        assert [(box.kind, box.bot_id, box.found_by) for box in boxes] == expected
        assert all(box.nonce for box in boxes)
    assert demo.messages == []


@pytest.mark.anyio
async def test_find_boxes_of_a_page_without_nonces_gives_the_boxes_all_the_same(demo: DemoSite) -> None:
    async with client_of(demo.page("never/"), retry=QUICK, strategy="static") as client:
        (box,) = await client.find_boxes()
    assert (box.nonce, box.found_by) == (None, "html")


@pytest.mark.anyio
async def test_find_boxes_runs_no_browser_where_none_may_be_used(
    demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "chatgptt")
    async with client_of(demo.page("never/"), retry=QUICK, strategy="static") as client:
        await client.find_boxes()
    assert "an unknown page of the site" in caplog.text  # the last static rung was tried
    assert "browser" not in caplog.text


@pytest.mark.anyio
async def test_find_boxes_of_a_page_without_boxes_is_an_error_with_findings(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/nochat/")) as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.find_boxes()
    assert caught.value.code == "no_chat_box"
    assert caught.value.findings[0].saw == "HTTP 200, title 'Nochat – Demo', no boxes"
