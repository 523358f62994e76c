from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import AJAX, NONCE, PAGE, aipkit_box, page, params, wpaicg_box

from chatgptt._errors import ChatBoxNotFoundError
from chatgptt._models import BoxKind, ChatBox, PluginGeneration
from chatgptt.protocols.box_choice import choose_box, find_boxes, foreign_sites
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.page import Page
from chatgptt.protocols.urls import site_of


def box(bot_id: int, kind: BoxKind, name: str = "") -> ChatBox:
    return ChatBox(
        protocol="wpaicg" if kind in ("shortcode", "widget") else "aipkit",
        kind=kind,
        bot_id=bot_id,
        post_id=None,
        ajax_url=AJAX,
        nonce=NONCE,
        found_by="html",
        name=name,
    )


def test_boxes_of_both_generations_are_found() -> None:
    found = find_boxes(Page(page(aipkit_box() + wpaicg_box()), PAGE))
    assert [item.protocol for item in found] == ["wpaicg", "aipkit"]


BOXES = (box(0, "widget"), box(7, "shortcode", "Ada"), box(8, "popup", "8"), box(7, "widget", "Bob"))


@pytest.mark.parametrize(
    ("bot", "index"),
    [
        (None, 1),
        ("", 1),
        (" ", 1),
        ("7", 1),
        (" 8 ", 2),
        ("0", 0),
        ("ada", 1),
        ("BOB", 3),
        ("widget", 0),
        ("popup", 2),
    ],
    ids=[
        "the page's choice",
        "empty",
        "blank",
        "an id",
        "an id in blanks",
        "the default bot",
        "a name",
        "a name in capitals",
        "a kind",
        "a popup",
    ],
)
def test_a_box_is_chosen(bot: str | None, index: int) -> None:
    assert choose_box(BOXES, bot, PAGE) is BOXES[index]


def test_a_box_in_the_page_comes_before_a_floating_one() -> None:
    assert choose_box((box(1, "popup"), box(2, "inline")), None, PAGE).bot_id == 2


def test_an_id_comes_before_a_name() -> None:
    assert choose_box((box(1, "inline", "2"), box(2, "inline", "x")), "2", PAGE).bot_id == 2


@pytest.mark.parametrize(
    ("boxes", "bot"), [((), None), ((), "7"), (BOXES, "9")], ids=["none", "none of an id", "another id"]
)
def test_a_missing_box_is_reported(boxes: tuple[ChatBox, ...], bot: str | None) -> None:
    with pytest.raises(ChatBoxNotFoundError) as caught:
        choose_box(boxes, bot, PAGE)
    assert caught.value.url == PAGE
    assert caught.value.hint
    assert not boxes or "7 (Ada)" in caught.value.message


FOREIGN = "https://evil.example/wp-admin/admin-ajax.php"


@pytest.mark.parametrize(
    ("body", "urls"),
    [
        (wpaicg_box() + f"<script>{params(ajax_url=FOREIGN)}</script>", (FOREIGN,)),
        (aipkit_box(ajaxUrl=FOREIGN) + aipkit_box("popup", botId=6, ajaxUrl=FOREIGN), (FOREIGN,)),
        (aipkit_box(ajaxUrl=5) + "<div class=aipkit_chat_container></div>", ()),
        (wpaicg_box() + f"<script>{params()}</script>" + aipkit_box(), ()),
    ],
    ids=["1.x", "2.x", "no address", "the site's own"],
)
def test_a_box_that_names_another_site_s_endpoint_is_none_of_the_page_s(
    body: str, urls: tuple[str, ...]
) -> None:
    found = Page(page(body), PAGE)
    assert foreign_sites(found) == tuple(map(site_of, urls))
    assert {item.ajax_url for item in find_boxes(found)} <= {AJAX}
    assert bool(find_boxes(found)) is not bool(urls)


@pytest.mark.parametrize(
    "body", [wpaicg_box() + f"<script>{params(ajax_url=FOREIGN)}</script>", aipkit_box(ajaxUrl=FOREIGN)]
)
def test_a_box_that_names_another_site_is_asked_where_the_caller_says(body: str) -> None:
    (item,) = find_boxes(Page(page(body), PAGE), FOREIGN)
    assert (item.ajax_url, item.ajax_guesses) == (FOREIGN, ())


PARTS = st.sampled_from(
    ["<div class='wpaicg-chatbox' ", "<div class='aipkit_chat_container' ", "data-nonce=", "data-config=", "data-bot-id=", "'", '"', ">", "</div>",
    f"data-nonce={NONCE}", '{"botId":5}', "{", "<!--", "-->", "<script>", "</script>", "wpaicgParams={", "<template>", "\x00", "\xff", "9" * 30,
    "&quot;", "<script src='data:text/javascript;base64,", "<textarea>", "٣", "data-post-id='<"]
)  # fmt: skip


@given(st.lists(PARTS).map("".join) | st.text())
def test_any_html_gives_boxes_or_none(html: str) -> None:
    found = Page(html.encode(), PAGE)
    for item in find_boxes(found):
        assert item.nonce is None or len(item.nonce) == 10
        assert item.ajax_url.startswith("https://shop.example/")
    assert isinstance(foreign_sites(found), tuple)


@given(st.binary(max_size=300))
def test_any_bytes_in_attributes_give_boxes_or_none(value: bytes) -> None:
    html = b'<div class="wpaicg-chatbox" data-nonce="%b" data-post-id="%b"><div class=aipkit_chat_container data-config=\'%b\'>'
    assert isinstance(find_boxes(Page(html % (value, value, value), PAGE)), tuple)


def test_each_generation_of_the_plugin_has_a_protocol() -> None:
    assert set(PROTOCOLS) == set(get_args(PluginGeneration))
