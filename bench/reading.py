"""Tokens from a page, and text from a stream: the pure part, no network."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial

import lxml.html
from bs4 import BeautifulSoup
from pages import NONCE, POST_ID, URL, composition, dense_page, usual_page
from selectolax.lexbor import LexborHTMLParser
from table import Row, compared, shown_time, timed

from chatgptt._models import ReplyHead
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.box_choice import choose_box, find_boxes
from chatgptt.protocols.page import Page

__all__ = ["rows_of_decoding", "rows_of_pages"]

ROUNDS = 60
_NONCE = re.compile(r'data-nonce="([0-9a-f]{10})"')
_POST_ID = re.compile(r'data-post-id="(\d+)"')
_XPATH = "//div[contains(concat(' ', normalize-space(@class), ' '), ' wpaicg-chat-shortcode ')]"


def _by_chatgptt(page: bytes) -> tuple[str | None, str]:
    box = choose_box(find_boxes(Page(page, URL)), None, URL)
    return box.nonce, str(box.post_id)


def _by_searches(text: str) -> tuple[str, str]:
    nonce, post_id = _NONCE.search(text), _POST_ID.search(text)
    assert nonce is not None
    assert post_id is not None
    return nonce[1], post_id[1]


def _by_lxml(page: bytes) -> tuple[str, str]:
    box = lxml.html.fromstring(page).xpath(_XPATH)[0]
    return box.get("data-nonce"), box.get("data-post-id")


def _by_soup(page: bytes) -> tuple[object, object]:
    box = BeautifulSoup(page, "html.parser").select_one("div.wpaicg-chat-shortcode")
    assert box is not None
    return box["data-nonce"], box["data-post-id"]


def rows_of_pages() -> list[Row]:
    """From the page's bytes to the chosen box with its tokens; the searches get the text decoded already."""
    rows = []
    for name, page in (("usual", usual_page()), ("dense", dense_page())):
        text = page.decode()
        calls: list[Callable[[], object]] = [
            partial(_by_chatgptt, page),
            partial(_by_searches, text),
            partial(_by_lxml, page),
            partial(_by_soup, page),
        ]
        assert all(call() == (NONCE, POST_ID) for call in calls)
        # Apart from the others, whose many megabytes would cost the call behind them more than its own work.
        ours, searches, parse = timed([*calls[:2], partial(LexborHTMLParser, page)], rounds=5 * ROUNDS)
        _, lxml_, soup = timed([calls[0], *calls[2:]], rounds=ROUNDS)
        is_goal = name == "usual"
        what = f"tokens from a page, {name}"
        rows += [
            compared(
                f"{what}: {composition(page)}",
                ours,
                searches,
                than="two regex searches",
                at_most=8 if is_goal else None,
            ),
            compared(what, ours, parse, than="lexbor's parse alone", at_most=2 if is_goal else None),
            compared(what, ours, lxml_, than="lxml, XPath", times_faster=4),
            compared(what, ours, soup, than="BeautifulSoup", times_faster=30),
        ]
    return rows


# Streams


def _wpaicg_frame(text: str) -> bytes:
    chunk = {
        "id": "chatcmpl-bench",
        "created": 1_795_334_887,
        "model": "gpt-4o-mini",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _aipkit_frame(text: str) -> bytes:
    return f"event: message\ndata: {json.dumps({'delta': text})}\n\n".encode()


def _wpaicg_stream(texts: list[str]) -> bytes:
    return b"".join(map(_wpaicg_frame, texts)) + b"data: [DONE]\n\n"


def _aipkit_stream(texts: list[str]) -> bytes:
    start = b'event: message_start\ndata: {"message_id":"aipkit-1"}\n\n'
    return start + b"".join(map(_aipkit_frame, texts)) + b'event: done\ndata: {"finished":true}\n\n'


_HEAD = ReplyHead(status=200, headers={"content-type": "text/event-stream"}, url="https://site.example/")
_NETWORK_READ_BYTES = 65_536


def _decode(make: Callable[[ReplyHead], wpaicg.ReplyReader | aipkit.ReplyReader], pieces: list[bytes]) -> str:
    reader = make(_HEAD)
    texts: list[str] = []
    for piece in pieces:
        texts += reader.receive(piece)
    texts += reader.end()[0]
    return "".join(texts)


def _cut(stream: bytes, size_bytes: int) -> list[bytes]:
    return [stream[start : start + size_bytes] for start in range(0, len(stream), size_bytes)]


def rows_of_decoding() -> list[Row]:
    """Cost per byte of long replies beside that of a small one."""
    rows = []
    words = ["word "] * 100_000
    for name, make, stream_of in (
        ("1.x", wpaicg.ReplyReader, _wpaicg_stream),
        ("2.x", aipkit.ReplyReader, _aipkit_stream),
    ):
        small, many, big = stream_of(words[:20]), stream_of(words), stream_of(["x" * 10_000_000])
        small_pieces, big_pieces = _cut(small, 10), _cut(big, 10)
        many_pieces = _cut(many, _NETWORK_READ_BYTES)
        assert _decode(make, many_pieces) == "".join(words)
        assert len(_decode(make, big_pieces)) == 10_000_000

        def repeat(pieces: list[bytes], times: int, make: type = make) -> None:
            for _ in range(times):
                _decode(make, pieces)

        whole, cut, of_many, of_big = timed(
            [
                partial(repeat, [small], 500),
                partial(repeat, small_pieces, 100),
                partial(repeat, many_pieces, 1),
                partial(repeat, big_pieces, 1),
            ],
            rounds=3,
        )
        per_byte = whole / 500 / len(small)
        per_byte_cut = cut / 100 / len(small)
        for what, figure, reference, than, at_most in (
            ("100,000 one-word deltas", of_many / len(many), per_byte, "small reply", 3.0),
            ("one delta of 10 MB in 10-byte pieces", of_big / len(big), per_byte, "small reply", 3.0),
            ("the same", of_big / len(big), per_byte_cut, "small reply in 10-byte pieces", None),
        ):
            rows.append(
                Row(
                    what=f"decoding {name}, per byte: {what}",
                    figure=shown_time(figure),
                    reference=f"{shown_time(reference)} {than} ({len(small)} bytes)",
                    ratio=figure / reference,
                    target="" if at_most is None else f"at most {at_most:g} x",
                    is_met=None if at_most is None else figure / reference <= at_most,
                )
            )
    return rows
