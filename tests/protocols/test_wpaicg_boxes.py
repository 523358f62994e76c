from __future__ import annotations

import pytest
from wire import FRESH_NONCE, NONCE, PAGE, page, params, wpaicg_box

from chatgptt._models import ChatBox
from chatgptt.protocols.page import Page
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES
from chatgptt.protocols.wpaicg import find_boxes


def boxes(body: str, in_head: str = "", url: str = PAGE) -> list[ChatBox]:
    return find_boxes(Page(page(body, in_head=in_head), url))


def summary(body: str) -> list[tuple[str, int, int | None, str | None]]:
    return [(box.kind, box.bot_id, box.post_id, box.nonce) for box in boxes(body)]


def test_a_box_is_read_in_full() -> None:
    html = wpaicg_box(
        data_bot_id="7",
        data_memory_limit="6",
        data_ai_name="Ada & co",
        data_url="https://shop.example/help",
        data_post_id="31",
    )
    in_head = '<link id="wp-ai-content-generator-css" href="/a.css?ver=1.9.18">'
    assert boxes(f"{html}<script>{params()}</script>", in_head) == [
        ChatBox(
            protocol="wpaicg",
            kind="shortcode",
            bot_id=7,
            post_id=31,
            ajax_url="https://shop.example/wp-admin/admin-ajax.php",
            nonce=NONCE,
            found_by="html",
            name="Ada & co",
            page_url="https://shop.example/help",
            is_streaming=True,
            memory_limit=6,
            plugin_version="1.9.18",
        )
    ]


SHORTCODE = ("shortcode", 0, 31, NONCE)
WIDGET = ("widget", 0, 31, NONCE)
FOUND = [
    pytest.param(wpaicg_box(), [SHORTCODE], id="shortcode"),
    pytest.param(f'<div class="wpaicg_chat_widget">{wpaicg_box("widget")}</div>', [WIDGET], id="floating widget"),
    pytest.param(wpaicg_box("widget"), [WIDGET], id="widget as shortcode"),
    pytest.param(wpaicg_box(data_bot_id="12"), [("shortcode", 12, 31, NONCE)], id="a bot of its own"),
    pytest.param(wpaicg_box() + wpaicg_box("widget", data_bot_id="12"), [SHORTCODE, ("widget", 12, 31, NONCE)], id="two boxes"),
    pytest.param(wpaicg_box(inside=wpaicg_box("widget", data_post_id="32")), [SHORTCODE, ("widget", 0, 32, NONCE)], id="nested"),
    pytest.param(wpaicg_box().replace("</div>", "<div>") + wpaicg_box("widget"), [SHORTCODE, WIDGET], id="a div left open"),
    pytest.param(wpaicg_box("widget", data_post_id="<31"), [WIDGET], id="a stray < in the post id"),
    pytest.param(wpaicg_box("widget", data_post_id="<"), [("widget", 0, None, NONCE)], id="only a < in the post id"),
    pytest.param(wpaicg_box(data_post_id=""), [("shortcode", 0, None, NONCE)], id="no post"),
    pytest.param(wpaicg_box().replace('"', ""), [SHORTCODE], id="minified"),
    pytest.param(wpaicg_box().replace('="', ' = "'), [SHORTCODE], id="blanks around ="),
    pytest.param(wpaicg_box().replace(" data-", "\n\t data-"), [SHORTCODE], id="an attribute a line"),
    pytest.param(wpaicg_box().replace("data-nonce", "DATA-NONCE"), [SHORTCODE], id="capital letters"),
    pytest.param(wpaicg_box(data_type=""), [SHORTCODE], id="a shortcode by its class"),
    pytest.param(wpaicg_box("widget", data_type="x"), [WIDGET], id="a widget by its class"),
    pytest.param(wpaicg_box("widget", data_type="shortcode"), [SHORTCODE], id="the type comes first"),
    pytest.param(wpaicg_box(data_nonce=""), [("shortcode", 0, 31, None)], id="an empty nonce"),
    pytest.param(wpaicg_box(data_nonce="__litespeed_var_0__"), [("shortcode", 0, 31, None)], id="a placeholder"),
    pytest.param(wpaicg_box().replace(f'data-nonce="{NONCE}"', ""), [("shortcode", 0, 31, None)], id="no nonce"),
    pytest.param(wpaicg_box(data_nonce=FRESH_NONCE) + wpaicg_box(), [("shortcode", 0, 31, FRESH_NONCE), SHORTCODE], id="each its own nonce"),
    pytest.param(wpaicg_box(inside=f'<i data-type="widget" data-nonce="{FRESH_NONCE}" data-post-id="9"></i>'), [SHORTCODE], id="attributes of children"),
    pytest.param(wpaicg_box(data_bot_id="x"), [SHORTCODE], id="a bot id that is none"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FOUND)
def test_a_box_is_found(body: str, expected: object) -> None:
    assert summary(body) == expected


DECOYS = [
    pytest.param(f"<!-- {wpaicg_box()} -->", id="comment"),
    pytest.param(f"<textarea>{wpaicg_box()}</textarea>", id="textarea"),
    pytest.param(f"<template>{wpaicg_box()}</template>", id="template"),
    pytest.param(f"<noscript>{wpaicg_box()}</noscript>", id="noscript"),
    pytest.param(f"<script>a='{wpaicg_box()}'</script>", id="script"),
    pytest.param(f"<style>{wpaicg_box()}</style>", id="style"),
    pytest.param(f"<iframe>{wpaicg_box()}</iframe>", id="iframe"),
    pytest.param(f"<pre>{wpaicg_box().replace('<', '&lt;')}</pre>", id="quoted code"),
    pytest.param(
        f'<button data-nonce="{NONCE}" data-post-id="9" data-bot-id="1">Like</button>',
        id="another plugin's button",
    ),
    pytest.param(f'<div data-nonce="{NONCE}" data-type="shortcode"></div>', id="another plugin's div"),
    pytest.param(
        wpaicg_box().replace('"wpaicg-chat-shortcode"', '"wpaicg-chat-shortcode-content"'),
        id="a longer class",
    ),
    pytest.param(
        wpaicg_box("widget").replace("wpaicg-chatbox ", "wpaicg-chatbox-messages "), id="another longer class"
    ),
    pytest.param('<div class="wpaicg-chatbox"></div>', id="no attribute"),
    pytest.param(wpaicg_box().replace("<div", "<span"), id="another element"),
    pytest.param(f"<script>{params()}</script>", id="the plugin's script alone"),
    pytest.param("[wpaicg_chatgpt id=5]", id="a shortcode as text"),
    pytest.param("", id="nothing"),
]


@pytest.mark.parametrize("decoy", DECOYS)
def test_a_decoy_is_no_box(decoy: str) -> None:
    assert summary(decoy) == []
    assert summary(decoy + wpaicg_box()) == [SHORTCODE]


@pytest.mark.parametrize(
    ("value", "is_streaming"), [("1", True), ("0", False), ("", False)], ids=["1", "0", "empty"]
)
def test_the_pages_wish_for_a_stream_is_read(value: str, is_streaming: bool) -> None:
    assert boxes(wpaicg_box(data_openai_stream_nav=value))[0].is_streaming is is_streaming


@pytest.mark.parametrize(
    ("value", "limit"), [("6", 6), ("", 100), ("x", 100)], ids=["6", "empty", "no number"]
)
def test_the_memory_limit_is_100_where_none_is_named(value: str, limit: int) -> None:
    assert boxes(wpaicg_box(data_memory_limit=value))[0].memory_limit == limit


@pytest.mark.parametrize(
    ("script", "in_head", "url", "ajax_url"),
    [
        (params(), "", PAGE, "https://shop.example/wp-admin/admin-ajax.php"),
        (params(ajax_url="https://shop.example/de/wp-admin/admin-ajax.php?lang=de"), "", PAGE, "https://shop.example/de/wp-admin/admin-ajax.php?lang=de"),
        (params(ajax_url="/blog/wp-admin/admin-ajax.php"), "", PAGE, "https://shop.example/blog/wp-admin/admin-ajax.php"),
        (params(ajax_url="http://shop.example/wp-admin/admin-ajax.php"), "", PAGE, "https://shop.example/wp-admin/admin-ajax.php"),
        ("", "", PAGE, "https://shop.example/wp-admin/admin-ajax.php"),
        ("", "<script src='/blog/wp-content/plugins/gpt3-ai-content-generator/a.js'></script>", PAGE, "https://shop.example/blog/wp-admin/admin-ajax.php"),
        ("", "", "http://127.0.0.1:8000/x", "http://127.0.0.1:8000/wp-admin/admin-ajax.php"),
    ],
    ids=["named", "with a query", "relative", "http on https", "not named", "a sub-folder", "a port"],
)  # fmt: skip
def test_messages_go_to_the_sites_own_address(script: str, in_head: str, url: str, ajax_url: str) -> None:
    assert boxes(f"{wpaicg_box()}<script>{script}</script>", in_head, url)[0].ajax_url == ajax_url


def test_a_box_before_100_000_nested_elements_is_found() -> None:
    assert summary(wpaicg_box() + "<div>" * 100_000) == [SHORTCODE]


def test_a_box_within_the_first_2_mb_is_found() -> None:
    found = Page(page(wpaicg_box() + "x" * MAX_PAGE_BYTES + wpaicg_box("widget")), PAGE)
    assert found.is_cut
    assert [box.kind for box in find_boxes(found)] == ["shortcode"]
