from __future__ import annotations

import pytest
from wire import AJAX, FRESH_NONCE, NONCE

from chatgptt._models import ChatBox, Request
from chatgptt.protocols.aipkit import build_nonce_request, build_stream_request, build_upload


def box(post_id: int | None = 31) -> ChatBox:
    return ChatBox(
        protocol="aipkit",
        kind="inline",
        bot_id=5,
        post_id=post_id,
        ajax_url=AJAX,
        nonce=NONCE,
        found_by="html",
    )


def test_step_1_hands_the_text_in() -> None:
    text = ' Say "hi" \\ <b>&amp;</b> 100%41\n🕙\n'
    assert build_upload(box(), FRESH_NONCE, text, message_id="aipkit-client-msg-5-1-abcde") == Request(
        method="POST",
        url=AJAX,
        accept="application/json",
        fields=(
            ("action", "aipkit_cache_sse_message"),
            ("message", text.strip()),
            ("_ajax_nonce", FRESH_NONCE),
            ("bot_id", "5"),
            ("user_client_message_id", "aipkit-client-msg-5-1-abcde"),
        ),
    )


@pytest.mark.parametrize(
    ("post_id", "sent"), [(31, (("post_id", "31"),)), (0, ()), (None, ())], ids=["31", "0", "none"]
)
def test_step_2_fetches_the_answer_with_everything_in_the_query(
    post_id: int | None, sent: tuple[tuple[str, str], ...]
) -> None:
    request = build_stream_request(
        box(post_id),
        FRESH_NONCE,
        cache_key="aipkit_sse_Ab9",
        session_id="s-1",
        conversation_id="c-1",
        now_ms=1700000000123,
    )
    assert request == Request(
        method="GET",
        url=AJAX,
        accept="text/event-stream",
        params=(
            ("action", "aipkit_frontend_chat_stream"),
            ("cache_key", "aipkit_sse_Ab9"),
            ("bot_id", "5"),
            ("session_id", "s-1"),
            ("conversation_uuid", "c-1"),
            *sent,
            ("_ts", "1700000000123"),
            ("_ajax_nonce", FRESH_NONCE),
        ),
    )


def test_a_nonce_is_asked_for_without_one() -> None:
    assert build_nonce_request(box()) == Request(
        method="POST",
        url=AJAX,
        accept="application/json",
        fields=(("action", "aipkit_get_frontend_chat_nonce"), ("bot_id", "5")),
    )
