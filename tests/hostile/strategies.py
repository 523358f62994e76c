"""Hostile bytes that get further than random ones: pieces of what sites send, broken and put together."""

from __future__ import annotations

import html
import json

from hypothesis import strategies as st
from wire import (
    DONE,
    FINISH,
    FINISHED,
    NONCE,
    START,
    aipkit_box,
    chunk,
    deltas,
    failure,
    json_answer,
    json_failure,
    params,
    refusal,
    typed,
    wpaicg_box,
)

JUNK = st.sampled_from(
    [b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r", b"\n", b"\xf0\x9f\x98", b"<", b">", b"&", b'"', b"'", b"{", b"}", b"\\", b"\x1b[2J", "\u202e".encode(), b"-->", b"]]>", b"</script>"]
) | st.binary(max_size=8)  # fmt: skip
NUMBERS = [
    "NaN",
    "-Infinity",
    "1e999",
    "-0",
    "9" * 400,
    "9" * 5000,
    "0." + "3" * 5000,
    str(10**18),
    "1" * 18,
    "true",
]
WORDS = [
    r"\ud83d",
    r"\ude00",
    r"\ud83d\ude00",
    r"\\ud800",
    r"\u0000",
    "&#" + "9" * 5000 + ";",
    "&#xD800;",
    "&amp;quot;",
    "\\n" * 50,
    "0",
    NONCE,
    "a" * 300,
    "/image,/x",
    "//evil.example/",
    "http://[",
    "https://shop.example:99999/",
    "nonce",
    "\u202e",
    "<b>",
    "file:///etc/passwd",
]
KEYS = [
    "status",
    "msg",
    "data",
    "error",
    "message",
    "success",
    "code",
    "cache_key",
    "nonce",
    "botId",
    "postId",
    "ajaxUrl",
    "headerName",
    "imageTriggers",
    "requireConsentCompliance",
    "text",
    "consentMessage",
    "tokenLimitReached",
    "ipBanned",
    "choices",
    "delta",
    "content",
    "finish_reason",
    "message_id",
    "thread_id",
    "role",
    "type",
    "html",
    "globals",
    "state",
    "wpaicgParams",
    r"\ud800",
    "data-nonce",
]

_WORD = st.sampled_from([json.dumps(word).replace("\\\\", "\\") for word in WORDS])
_VALUES = st.recursive(
    st.sampled_from([*NUMBERS, "null", "false", '"success"', '"user"', '"text"', "1", "5"]) | _WORD,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(st.sampled_from(KEYS), inner), max_size=6).map(
            lambda members: "{" + ",".join(f'"{key}":{value}' for key, value in members) + "}"
        )
    ),
    max_leaves=12,
)
"""JSON texts, most of which can be read; keys come twice, and numbers as nobody can hold them."""

_DEEP = st.sampled_from(
    [opening * times for opening in ("[", '{"a":', '[{"b":') for times in (30, 900, 2000)]
    + ['{"a":' * 900 + "1" + "}" * 900, '{"botId":1,"nonce":' * 500 + "1" + "}" * 500]
)


def _broken(piece: bytes, junk: bytes, place: int) -> bytes:
    return piece[:place] + junk + piece[place:]


def _mixed(pieces: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A few of the pieces, with junk put into some of them, and perhaps cut off."""
    broken = st.builds(_broken, pieces, JUNK, st.integers(0, 300))
    joined = st.lists(pieces | broken | JUNK, max_size=6).map(b"".join)
    return joined | st.builds(lambda data, end: data[:end], joined, st.integers(0, 2000))


JSON = st.one_of(_VALUES, _DEEP).map(str.encode)

_SHOWN = _VALUES.map(lambda text: html.escape(text, quote=True))
_BOXES = st.one_of(
    st.builds(lambda config: f"<div class='aipkit_chat_container' data-config='{config}'>", _SHOWN),
    st.builds(lambda word: wpaicg_box(data_nonce=word, data_post_id=word, data_bot_id=word), st.sampled_from(WORDS)),
    st.builds(lambda word: aipkit_box(headerName=word, ajaxUrl=word, imageTriggers=word), st.sampled_from(WORDS)),
    st.builds(lambda value: f"<script>var wpaicgParams = {value};</script>", _VALUES),
    st.sampled_from(
        [wpaicg_box("widget"), aipkit_box("popup"), f"<script>{params()}</script>", "<script>wpaicgParams={", "<div " * 40, "<b id=x><p>" * 30, "<table><td>" * 30, "<template>", "<noscript>", "<!--", "<title>", "<svg><path/>", "<textarea>", "<select>", "<script src='data:text/javascript;base64,a'>", "<script src='data:text/javascript,%f'>", "<script type=text/plain>aipkit", "<base href='http://['>", "<script src='http://[/wp-includes/a.js'>", "<link rel=EditURI href='//[/xmlrpc.php'>"]
    ),
)  # fmt: skip
DOCUMENTS = _mixed(_BOXES.map(lambda text: text.encode("utf-8", "replace")))

_FRAMES = st.one_of(
    st.builds(lambda name, value: f"event: {name}\ndata: {value}\n\n".encode(), st.sampled_from(["message", "error", "done", "warning", "message_start", "thread_id", "assistant_error", "thread.message.delta", "display_form_event", "x"]), _VALUES),
    st.builds(lambda value: f"data: {value}\n\n".encode(), _VALUES),
    st.builds(lambda word: f'data: {{"delta":{word}}}\n\n'.encode(), _WORD),
    st.builds(lambda word: f'data: {{"choices":[{{"delta":{{"content":{word}}}}}]}}\n\n'.encode(), _WORD),
    st.sampled_from([START, FINISHED, FINISH, DONE, chunk("a"), deltas("a", "b"), typed("It failed"), failure("No"), b"data: [LIMITED]\n\n", b"<b>Warning</b>: x in /y.php\n", b"data\n", b"data: {\n", b": \n", b"id: \0\n"]),
)  # fmt: skip
_BODIES = st.one_of(
    JSON,
    st.sampled_from([json_answer("Hi"), json_failure("No", has_prompt=True), refusal("nonce_failure"), b"0", b"-1", b"", b"<!doctype html><title>x</title>", b"<br />\n<b>Notice</b>: x\n"]),
)  # fmt: skip
_MARKS = st.sampled_from([bytes([status, how]) for status in range(8) for how in (0, 1, 2, 16, 33)])
"""What the readers of `hostile.readers` take for the status and the size of the pieces."""

REPLIES = st.builds(lambda mark, body: mark + body, _MARKS, _mixed(_FRAMES) | _mixed(_BODIES))

TEXTS = st.one_of(JSON, _mixed(JSON), DOCUMENTS)
URLS = st.lists(st.sampled_from([*WORDS, "https:", "//", "/", "@", ":", "?", "#", ".", "www.", "shop.example", "[::1]", "%", "\u2100", "xn--a", "ä", " "]), max_size=8).map(lambda parts: "".join(parts).encode("utf-8", "replace"))  # fmt: skip

_TOML = st.one_of(
    st.sampled_from(["format = 1\n", "recorded = 2026-01-01\n", 'page = "https://site.example/"\n', "[[ask]]\noutcome = 'answered'\n", "[[exchange]]\nmethod = 'GET'\npath = '/'\nstatus = 200\nbody = 'body.txt'\n", "chunks = [5]\n", "chunks = [inf]\n", "chunks = [nan]\n", f"chunks = [{10**400}]\n", f"delays = [{10**400}]\n", "[[box]]\n", "a = " + "[" * 2000, "a" + ".a" * 200 + " = 1\n", "a = 0x" + "f" * 5000, "body = '../x'\n", "[exchange.query]\n", 'x = "\\ud800"\n']),
    st.builds(lambda key, value: f"{key} = {value}\n", st.sampled_from(["format", "status", "chunks", "page", "method", "text", "bot_id", "outcome"]), _VALUES),
)  # fmt: skip
_CASE = "format = 1\nrecorded = 2026-01-01\npage = 'https://site.example/'\n[[ask]]\noutcome = 'answered'\n"
CASES = st.builds(
    lambda front, rest: front + rest, st.sampled_from([b"", _CASE.encode()]), _mixed(_TOML.map(str.encode))
)
