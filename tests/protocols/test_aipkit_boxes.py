from __future__ import annotations

import html
import json

import pytest
from wire import AJAX, FRESH_NONCE, NONCE, PAGE, aipkit_box, aipkit_config, page

from chatgptt._errors import RefusedError
from chatgptt._models import ChatBox
from chatgptt.protocols.aipkit import check_text, find_boxes
from chatgptt.protocols.page import Page


def boxes(body: str, in_head: str = "", url: str = PAGE) -> list[ChatBox]:
    return find_boxes(Page(page(body, in_head=in_head), url))


def summary(body: str) -> list[tuple[str, int, int | None, str | None]]:
    return [(box.kind, box.bot_id, box.post_id, box.nonce) for box in boxes(body)]


def test_a_box_is_read_in_full() -> None:
    in_head = '<script id="aipkit-public-main-js" src="/a.js?ver=2.4.71"></script>'
    name = 'Ada\'s "bot" & <co> &#8211; 🕙'
    assert boxes(aipkit_box(headerName=name), in_head) == [
        ChatBox(
            protocol="aipkit",
            kind="inline",
            bot_id=5,
            post_id=31,
            ajax_url=AJAX,
            nonce=NONCE,
            found_by="html",
            name='Ada\'s "bot" & <co> – 🕙',
            image_triggers=("/image", "/generate"),
            origin="https://" + AJAX.split("/")[2],
            plugin_version="2.4.71",
        )
    ]


INLINE = ("inline", 5, 31, NONCE)
POPUP = ("popup", 5, 31, NONCE)
CONFIG = html.escape(json.dumps(aipkit_config()))
FOUND = [
    pytest.param(aipkit_box(), [INLINE], id="inline"),
    pytest.param(aipkit_box("popup"), [POPUP], id="popup with its inner container"),
    pytest.param(aipkit_box() + aipkit_box("popup", botId=6), [INLINE, ("popup", 6, 31, NONCE)], id="two bots"),
    pytest.param(aipkit_box() + aipkit_box("popup"), [INLINE], id="one bot twice"),
    pytest.param(aipkit_box() * 2, [INLINE], id="one box twice"),
    pytest.param(aipkit_box(nonce="") + aipkit_box("popup"), [POPUP], id="the one with a nonce"),
    pytest.param(aipkit_box(nonce=FRESH_NONCE) + aipkit_box(), [("inline", 5, 31, FRESH_NONCE)], id="the first nonce"),
    pytest.param(aipkit_box(postId=0), [("inline", 5, None, NONCE)], id="no post"),
    pytest.param(aipkit_box(botId="5", postId="31"), [INLINE], id="ids as text"),
    pytest.param(aipkit_box(nonce=None), [("inline", 5, 31, None)], id="no nonce"),
    pytest.param(aipkit_box(nonce="XXXXXXXXXX"), [("inline", 5, 31, None)], id="a placeholder"),
    pytest.param(f"<div class=aipkit_chat_container data-config={CONFIG.replace(' ', '')}></div>", [INLINE], id="minified"),
    pytest.param(f'<div class="a aipkit_chat_container" data-config="{html.escape(CONFIG)}"></div>', [INLINE], id="escaped twice"),
    pytest.param('<div class="aipkit_chat_container" data-bot-id="5"></div>', [("inline", 5, None, None)], id="no config"),
    pytest.param('<div class="aipkit_chat_container" data-bot-id="5" data-config="{broken"></div>', [("inline", 5, None, None)], id="a broken config"),
    pytest.param('<div class="aipkit_chat_container" data-bot-id="5" data-config="[]"></div>', [("inline", 5, None, None)], id="a list"),
    pytest.param(f"<div class='aipkit_chat_container' data-bot-id='9' data-config='{CONFIG}'></div>", [INLINE], id="the config comes first"),
    pytest.param(f"<div class='aipkit_chat_container' data-config='{html.escape(json.dumps(aipkit_config(unheardOf=[1])))}'></div>", [INLINE], id="unknown keys"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), FOUND)
def test_a_box_is_found(body: str, expected: object) -> None:
    assert summary(body) == expected


DECOYS = [
    pytest.param(f"<!-- {aipkit_box()} -->", id="comment"),
    pytest.param(f"<textarea>{aipkit_box()}</textarea>", id="textarea"),
    pytest.param(f"<template>{aipkit_box()}</template>", id="template"),
    pytest.param(f"<noscript>{aipkit_box()}</noscript>", id="noscript"),
    pytest.param(f"<script>a={json.dumps(aipkit_box())}</script>", id="script"),
    pytest.param('<div data-config="{broken" data-bot-id="5">x</div>', id="another plugin's config"),
    pytest.param(f"<div class='chart' data-config='{CONFIG}'></div>", id="another class"),
    pytest.param(f"<div class='aipkit_chat_container_x' data-config='{CONFIG}'></div>", id="a longer class"),
    pytest.param('<div class="aipkit_chat_container"></div>', id="the inner half of a popup"),
    pytest.param('<div class="aipkit_chat_container" data-bot-id="x"></div>', id="a bot id that is none"),
    pytest.param('<div class="aipkit_chat_container" data-config="{}"></div>', id="no bot id"),
    pytest.param(aipkit_box(botId=True).replace('data-bot-id="True"', ""), id="a bot id of another type"),
    pytest.param(aipkit_box(botId=-5).replace('data-bot-id="-5"', ""), id="a negative bot id"),
    pytest.param('<script src="https://shop.example/e.js" data-bot-id="5"></script>', id="an embed"),
    pytest.param("[aipkit_chatbot id=5]", id="a shortcode as text"),
    pytest.param('<div class="aipkit_ai_form" data-bot-id="5" data-config="{}"></div>', id="a form"),
]


@pytest.mark.parametrize("decoy", DECOYS)
def test_a_decoy_is_no_box(decoy: str) -> None:
    assert summary(decoy) == []
    assert summary(decoy + aipkit_box()) == [INLINE]


@pytest.mark.parametrize(
    ("named", "in_head", "ajax_url"),
    [
        (AJAX, "", AJAX),
        ("http://shop.example/wp-admin/admin-ajax.php", "", AJAX),
        ("https://shop.example/de/wp-admin/admin-ajax.php?lang=de", "", "https://shop.example/de/wp-admin/admin-ajax.php?lang=de"),
        (None, "<script src='/blog/wp-content/plugins/gpt3-ai-content-generator/a.js'></script>", "https://shop.example/blog/wp-admin/admin-ajax.php"),
    ],
    ids=["named", "http on https", "a sub-folder and a query", "not named"],
)  # fmt: skip
def test_messages_go_to_the_sites_own_address(named: object, in_head: str, ajax_url: str) -> None:
    assert boxes(aipkit_box(ajaxUrl=named), in_head)[0].ajax_url == ajax_url


@pytest.mark.parametrize(
    ("member", "is_streaming"),
    [({}, True), ({"streamEnabled": True}, True), ({"streamEnabled": False}, False)],
    ids=["absent", "true", "false"],
)
def test_the_pages_wish_for_a_stream_is_read(member: dict[str, object], is_streaming: bool) -> None:
    assert boxes(aipkit_box(**member))[0].is_streaming is is_streaming


ASKED = {"requireConsentCompliance": True}


@pytest.mark.parametrize(
    ("members", "consent"),
    [
        ({}, ""),
        ({"requireConsentCompliance": "0"}, ""),
        ({"requireConsentCompliance": None}, ""),
        (
            {**ASKED, "text": {"consentMessage": "We keep\n what you say &amp; more."}},
            "We keep what you say & more.",
        ),
        ({**ASKED, "text": {}}, "the site asks for consent before the first message"),
        ({**ASKED, "text": "x"}, "the site asks for consent before the first message"),
        ({**ASKED, "text": {"consentMessage": "x" * 5000}}, "x" * 1000),
    ],
    ids=["no", "zero", "null", "its words", "no words", "no texts", "many words"],
)
def test_consent_is_read(members: dict[str, object], consent: str) -> None:
    assert boxes(aipkit_box(**members))[0].consent == consent


def test_a_site_that_asks_for_consent_is_asked_nothing() -> None:
    box = boxes(aipkit_box(**ASKED, text={"consentMessage": "Do you agree?"}))[0]
    with pytest.raises(RefusedError) as caught:
        check_text(box, "Hi")
    assert caught.value.reason == "consent_required"
    assert "Do you agree?" in caught.value.message


@pytest.mark.parametrize(
    ("triggers", "expected"),
    [
        ("/image, /Generate", ("/image", "/generate")),
        ("draw, /paint ,, ", ("/paint",)),
        ("", ()),
        (5, ()),
    ],
    ids=["default", "words without a slash", "none", "no text"],
)
def test_image_commands_are_read(triggers: object, expected: tuple[str, ...]) -> None:
    assert boxes(aipkit_box(imageTriggers=triggers))[0].image_triggers == expected


@pytest.mark.parametrize(
    "text", ["/image", " /Image a cat", "/generate x", '{"stream_context":"x"}', ' {"a":1,"stream_context":null}\n'],
)  # fmt: skip
def test_a_text_that_the_site_would_not_take_for_chat_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_text(boxes(aipkit_box())[0], text)
    assert caught.value.reason == "other"
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "Hi",
        "/images",
        "an /image",
        "/imagex y",
        '{"a":1}',
        "[1]",
        'say {"stream_context":1}',
        '"stream_context"',
    ],
)
def test_any_other_text_is_chat(text: str) -> None:
    check_text(boxes(aipkit_box())[0], text)


def test_a_box_before_100_000_nested_elements_is_found() -> None:
    assert summary(aipkit_box() + "<div>" * 100_000) == [INLINE]
