"""What of a page's replies is read: those that a documented place gives, few and small ones."""

from __future__ import annotations

import json
import sys
from types import FrameType

import pytest

from chatgptt.browser.observations import PageObservations
from chatgptt.protocols.page import Page

SITE = "https://shop.example"
PAGE = f"{SITE}/chat/"
AJAX = f"{SITE}/wp-admin/admin-ajax.php"
EMBED = f"{SITE}/wp-json/aipkit/v1/chatbots/5/embed-config"
NONCE = "3fa4c91b07"
MARKUP = (
    f"<div class='wpaicg-chat-shortcode' data-nonce='{NONCE}' data-post-id='7' data-bot-id='0' "
    "data-type='shortcode'></div>"
)
CONFIG = {"botId": 5, "nonce": NONCE, "ajaxUrl": AJAX, "text": {}}


def observations_of(*replies: tuple[str, object]) -> PageObservations:
    observations = PageObservations(page=PAGE, bot=None)
    for url, value in replies:
        observations.observe_reply(url, json.dumps(value), "action=any")
    return observations


def pages_read(observations: PageObservations, url: str, body: str) -> int:
    count = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal count
        count += event == "call" and frame.f_code is Page.__init__.__code__

    sys.setprofile(note)
    try:
        observations.observe_reply(url, body)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    ("url", "value"),
    [
        (AJAX, {"data": {"html": MARKUP}}),
        (f"{AJAX}?action=aipkit_get_frontend_chat_nonce", {"config": CONFIG}),
        (EMBED, {"config": CONFIG, "html": "<p>"}),
    ],
)
def test_the_endpoint_and_the_embed_route_may_give_a_box(url: str, value: object) -> None:
    (box,) = observations_of((url, value)).boxes
    assert (box.nonce, box.ajax_url) == (NONCE, AJAX)


@pytest.mark.parametrize(
    "url",
    [
        f"{SITE}/wp-json/wc/store/cart",
        f"{SITE}/graphql",
        "https://other.example/wp-admin/admin-ajax.php",
        "https://other.example/wp-json/aipkit/v1/chatbots/5/embed-config",
        "https://other.example/x?u=/aipkit/v1/chatbots/",
    ],
)
def test_other_json_gives_neither_box_nor_nonce(url: str) -> None:
    observations = observations_of((url, {"html": MARKUP, "config": CONFIG, "nonce": NONCE}))
    assert observations.boxes == ()
    observations.observe_frame("main", PAGE, is_main=True, text=_report(MARKUP.replace(NONCE, "")))
    assert observations.choose_candidate(0.0) is None
    assert observations.choose_candidate(9.0) is None


def test_of_a_reply_few_pieces_of_markup_are_read() -> None:
    observations = PageObservations(page=PAGE, bot=None)
    assert 0 < pages_read(observations, AJAX, json.dumps({"all": [MARKUP] * 500})) <= 5
    one_by_one = "".join(json.dumps({"html": MARKUP}) for _ in range(30))
    assert 0 < pages_read(observations, AJAX, one_by_one) <= 5


def test_a_large_reply_is_not_read() -> None:
    body = json.dumps({"html": MARKUP, "padding": "x" * 2**18})
    assert pages_read(PageObservations(page=PAGE, bot=None), AJAX, body) == 0


def test_a_page_that_asks_its_site_without_end_is_read_to_an_end() -> None:
    observations, body = PageObservations(page=PAGE, bot=None), json.dumps({"html": MARKUP})
    assert sum(pages_read(observations, AJAX, body) for _ in range(1000)) <= 100


def _report(markup: str) -> str:
    return json.dumps({"html": markup, "globals": {}, "scripted": False, "state": "complete"})
