"""What sites put on the wire, made up for these tests in the kinds and shapes that real sites use."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Literal

from chatgptt._models import ReplyHead

AJAX = "https://shop.example/wp-admin/admin-ajax.php"
PAGE = "https://shop.example/help/"
NONCE = "3fa4c91b07"
FRESH_NONCE = "b81e07d2c5"

_WORDPRESS = {
    "cache-control": "no-cache, must-revalidate, max-age=0",
    "expires": "Wed, 11 Jan 1984 05:00:00 GMT",
    "x-robots-tag": "noindex",
}
TYPES = {
    "json": "application/json; charset=UTF-8",
    "stream": "text/event-stream; charset=utf-8",
    "html": "text/html; charset=UTF-8",
}


def head(kind: str = "stream", status: int = 200, headers: Mapping[str, str] | None = None) -> ReplyHead:
    """The head of a reply that WordPress sends, with further headers."""
    return ReplyHead(
        status=status,
        headers={"content-type": TYPES[kind], **_WORDPRESS, **(headers or {})},
        url=AJAX,
        received_at=784_111_777.0,  # Sun, 06 Nov 1994 08:49:37 GMT
    )


def foreign_head(status: int, headers: Mapping[str, str] | None = None) -> ReplyHead:
    """The head of a reply that something in front of WordPress sends."""
    return ReplyHead(
        status=status,
        headers={"content-type": "text/html", **(headers or {})},
        url=AJAX,
        received_at=784_111_777.0,
    )


def dump(value: object) -> bytes:
    """JSON as WordPress writes it: slashes escaped, all else ASCII."""
    return json.dumps(value).replace("/", "\\/").encode()


def event(data: object, name: str = "") -> bytes:
    """One event of a stream; `data` may be text that is no JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    first = f"event: {name}\n" if name else ""
    return f"{first}data: {text}\n\n".encode()


# 1.x


def chunk(text: str | None, finish: str | None = None) -> bytes:
    """One chunk of a provider's own stream, as a 1.x site passes it on."""
    delta = {} if text is None else {"content": text}
    return event(
        {
            "id": "chatcmpl-7",
            "object": "chat.completion.chunk",
            "created": 1700000000,
            "model": "gpt-4o",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    )


FINISH = chunk(None, "stop")
DONE = b"data: [DONE]\n\n"


def chunks(*texts: str) -> bytes:
    """An answer up to its last word."""
    return chunk("") + b"".join(map(chunk, texts))


def typed(words: str) -> bytes:
    """A failed provider's words as 1.x types them out: unescaped, a word a frame, closed, all of it twice."""
    first, *others = words.split(" ")
    frames = [
        f'data: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}'
        for word in [first, *(f" {o}" for o in others)]
    ]
    once = "".join(f"event: message\n{frame}\n\n" for frame in frames)
    return (once + 'data: {"choices":[{"finish_reason":"stop"}]}\n\n').encode() * 2


def json_answer(answer: object) -> bytes:
    """A 1.x JSON reply that succeeded."""
    return dump(
        {
            "status": "success",
            "msg": "Something went wrong",
            "greeting_message": 'You are a shop\'s helper.\n, Current context: "Help"',
            "data": answer,
            "log": False,
        }
    )


def json_failure(words: str, *, has_prompt: bool = False) -> bytes:
    """A 1.x JSON reply that did not; a provider's failure comes with the prompt."""
    prompt = {"greeting_message": "You are a shop's helper.", "log": False} if has_prompt else {}
    return dump({"status": "error", "msg": words, **prompt})


# 2.x

PADDING = b":" + b" " * 4096 + b"\n\n"
START = event({"message_id": "aipkit-msg-77"}, "message_start")
FINISHED = event({"finished": True}, "done")


def deltas(*texts: str) -> bytes:
    """Pieces of a 2.x answer."""
    return b"".join(event({"delta": text}) for text in texts)


def failure(words: str, **more: object) -> bytes:
    """A 2.x error event."""
    data = dump({"error": words, **more}).decode()
    return f"event: error\nid: err-1700000000\ndata: {data}\n\n".encode()


def refusal(code: str, words: str = "No.") -> bytes:
    """How step 1 of 2.x says no."""
    return dump({"success": False, "data": {"message": words, "code": code}})


# Pages


def page(body: str, *, title: str = "Help", in_head: str = "") -> bytes:
    """A page around `body`."""
    return f"<!doctype html><html><head><title>{title}</title>{in_head}</head><body>{body}</body></html>".encode()


_ODD_NAMES = {"data_openai_stream_nav": "data-openai_stream_nav"}


def wpaicg_box(kind: str = "shortcode", inside: str = "", **attributes: str) -> str:
    """A 1.x box; `data_nonce=""` empties an attribute, other keywords set theirs."""
    values = {
        "data-nonce": NONCE,
        "data-post-id": "31",
        "data-url": PAGE,
        "data-bot-id": "0",
        "data-type": kind,
        "data-openai_stream_nav": "1",
        **{_ODD_NAMES.get(name, name.replace("_", "-")): value for name, value in attributes.items()},
    }
    classes = "wpaicg-chat-shortcode" if kind == "shortcode" else "wpaicg-chatbox wpaicg-chat-widget"
    written = " ".join(f'{name}="{html.escape(value)}"' for name, value in values.items())
    return f'<div class="{classes}" {written}>{inside}</div>'


def aipkit_config(**members: object) -> dict[str, object]:
    """A 2.x bot's configuration."""
    return {
        "botId": 5,
        "ajaxUrl": AJAX,
        "nonce": NONCE,
        "postId": 31,
        "headerName": "Helper",
        "requireConsentCompliance": False,
        "imageTriggers": "/image, /generate",
        "text": {"errorPrefix": "Error:"},
        **members,
    }


def aipkit_box(kind: Literal["inline", "popup"] = "inline", /, **members: object) -> str:
    """A 2.x box; keywords replace members of its configuration."""
    config = aipkit_config(**members)
    text = json.dumps(config)
    for character in "<>'&":
        text = text.replace(character, f"\\u{ord(character):04X}")
    shown = html.escape(text, quote=True)
    bot = config["botId"]
    if kind == "popup":
        return (
            f'<div class="aipkit_popup_wrapper aipkit-popup" id="aipkit_popup_wrapper_{bot}" data-config=\'{shown}\' '
            f'data-bot-id="{bot}"><div class="aipkit_popup_hint" data-bot-id="{bot}"></div>'
            '<div class="aipkit_chat_container aipkit_popup"></div></div>'
        )
    return f'<div class="aipkit_chat_container" data-bot-id="{bot}" data-config=\'{shown}\'></div>'


def params(nonce: str = NONCE, ajax_url: str = AJAX) -> str:
    """The script text that 1.x has on every page."""
    url = ajax_url.replace("/", "\\/")
    return f'var wpaicgParams = {{"ajax_url":"{url}","search_nonce":"{nonce}","logged_in":"0"}};'
