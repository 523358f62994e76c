"""What 1.x is sent, and what is left of it after the site's cleaning (docs/protocols.md W2, W3)."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import AJAX, FRESH_NONCE, NONCE, PAGE

from chatgptt._models import BoxKind, ChatBox, Question, Request, Turn
from chatgptt.protocols.wpaicg import build_message

BOX = ChatBox(
    protocol="wpaicg",
    kind="shortcode",
    bot_id=0,
    post_id=31,
    ajax_url=AJAX,
    nonce=NONCE,
    found_by="html",
    page_url=PAGE,
)


def build(box: ChatBox, question: Question) -> Request:
    return build_message(box, FRESH_NONCE, question, client_id="Ab3dEf6hIj", chat_id=4711)


def fields(question: Question, box: ChatBox = BOX) -> dict[str, str]:
    return dict(build(box, question).fields)


def clean_line(text: str) -> str:
    """WordPress' cleaning of a field that is one line of text."""
    text = re.sub(r"<[^<>]*?(?=<|$)", lambda found: found[0].replace("<", "&lt;"), text)  # a lone <
    text = re.sub(r"<[^>]*>", "", text)
    text = re.sub(r"[\r\n\t ]+", " ", text).strip()
    while found := re.search(r"%[a-fA-F0-9]{2}", text):
        text = text.replace(found[0], "")
    return text


def read_history(field: str) -> list[dict[str, str]] | None:
    """The history that reaches the model: the field cleaned, every backslash dropped, then decoded."""
    try:
        entries = json.loads(clean_line(field).replace("\\", ""))
    except ValueError:
        return None  # lost without a word
    read = []
    for entry in entries:
        text = entry["text"]
        if text.startswith("Human: "):
            read.append({"role": "user", "text": text.removeprefix("Human: ")})
        else:
            read.append({"role": "assistant", "text": text.replace("AI: ", "")})
    return read


def fold(text: str) -> str:
    return " ".join(html.unescape(re.sub(r"[\x00-\x20\x7f\u2028\u2029]+", " ", text)).split())


def test_a_message_is_one_form() -> None:
    assert build(BOX, Question(text="Hi")) == Request(
        method="POST",
        url=AJAX,
        accept="application/json",
        fields=(
            ("_wpnonce", FRESH_NONCE),
            ("post_id", "31"),
            ("url", PAGE),
            ("action", "wpaicg_chat_shortcode_message"),
            ("message", "Hi"),
            ("bot_id", "0"),
            ("chatbot_identity", "shortcode"),
            ("wpaicg_chat_history", "[]"),
            ("wpaicg_chat_client_id", "Ab3dEf6hIj"),
            ("chat_id", "4711"),
        ),
    )


@pytest.mark.parametrize(
    ("kind", "bot_id", "action", "identity"),
    [
        ("shortcode", 0, "wpaicg_chat_shortcode_message", "shortcode"),
        ("shortcode", 12, "wpaicg_chat_shortcode_message", "custom_bot_12"),
        ("widget", 0, "wpaicg_chatbox_message", "widget"),
        ("widget", 12, "wpaicg_chatbox_message", "custom_bot_12"),
    ],
    ids=["shortcode", "shortcode of a bot", "widget", "widget of a bot"],
)
def test_the_kind_of_box_decides_the_action(kind: BoxKind, bot_id: int, action: str, identity: str) -> None:
    sent = fields(Question(text="Hi"), replace(BOX, kind=kind, bot_id=bot_id))
    assert (sent["action"], sent["chatbot_identity"], sent["bot_id"]) == (action, identity, str(bot_id))


def test_an_unknown_post_is_sent_empty() -> None:
    assert fields(Question(text="Hi"), replace(BOX, post_id=None))["post_id"] == ""


def test_only_streaming_boxes_send_a_chat_id() -> None:
    assert "chat_id" not in fields(Question(text="Hi"), replace(BOX, is_streaming=False))


def test_an_assistants_thread_is_sent_back() -> None:
    assert fields(Question(text="Hi", thread_id="thread_9"))["thread_id"] == "thread_9"
    assert "thread_id" not in fields(Question(text="Hi"))


TEXT = 'Is 1 < 2 & "x" > \\ 50%25\n<b>it\'s</b>?'


@pytest.mark.parametrize("version", ["", "1.8.96", "1.8.98", "1.9.18", "2.2"])
def test_a_message_is_sent_raw(version: str) -> None:
    assert fields(Question(text=TEXT), replace(BOX, plugin_version=version))["message"] == TEXT


@pytest.mark.parametrize("version", ["1.8.79", "1.8.91", "1.8.95"])
@given(text=st.text())
def test_a_message_survives_the_cleaning_of_older_versions(version: str, text: str) -> None:
    sent = fields(Question(text=text), replace(BOX, plugin_version=version))["message"]
    assert fold(clean_line(sent)) == fold(text)


TURNS = (Turn(role="user", content="I am Ada."), Turn(role="assistant", content="Hello Ada."))


def test_a_history_is_a_list_of_labelled_texts() -> None:
    sent = fields(Question(text="Who am I?", history=TURNS))["wpaicg_chat_history"]
    assert sent == '[{"id":"","text":"Human: I am Ada."},{"id":"","text":"AI: Hello Ada."}]'


def test_a_history_leaves_instructions_out() -> None:
    turns = (Turn(role="system", content="Be brief."), *TURNS)
    assert fields(Question(text="x", history=turns)) == fields(Question(text="x", history=TURNS))


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (3, 3), (10, 10), (100, 20)])
def test_a_history_holds_the_newest_entries(limit: int, count: int) -> None:
    turns = tuple(Turn(role="user", content=str(number)) for number in range(20))
    history = read_history(
        fields(Question(text="x", history=turns), replace(BOX, memory_limit=limit))["wpaicg_chat_history"]
    )
    assert history is not None
    assert [entry["text"] for entry in history] == [str(number) for number in range(20 - count, 20)]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('say "hi"', "say &quot;hi&quot;"),
        ("C:\\new", "C:&#92;new"),
        ("a\n\tb\x00c", "a b c"),
        ("1 < 2 > 0 <b>", "1 &lt; 2 &gt; 0 &lt;b&gt;"),
        ("100%ab 5% %zz", "100&#37;ab 5% %zz"),
        ("AI: AI: x", "AI&#58; AI&#58; x"),
        ("näh 🕙 辿", "näh 🕙 辿"),
        ("&lt; &amp;", "&lt; &amp;"),
        ("it's", "it's"),
    ],
    ids=[
        "quotes",
        "backslash",
        "controls",
        "angle brackets",
        "percent",
        "label",
        "unicode",
        "entities",
        "apostrophe",
    ],
)
def test_a_historys_text_is_escaped(text: str, sent: str) -> None:
    entry = json.loads(
        fields(Question(text="x", history=(Turn(role="assistant", content=text),)))["wpaicg_chat_history"]
    )
    assert entry == [{"id": "", "text": f"AI: {sent}"}]


def test_the_model_of_the_site_loses_a_history_to_one_quote() -> None:
    assert read_history(json.dumps([{"id": "", "text": 'Human: "hi"'}])) is None


TRICKY = st.lists(
    st.sampled_from([
        '"', "'", "\\", "\\u0022", "\n", "\t", "\x00", "\x7f", "\u2028", " ", "<", ">", "<script>", "</script>", "<b",
        "%", "%4", "41", "%%4141", "&", "&quot;", "&#", "37;", "AI: ", "A", "I:", "Human: ", "[", "]", "{", "}", "é", "🕙",
    ])
).map("".join)  # fmt: skip
ROLES = st.sampled_from(["user", "assistant"])


@given(st.lists(st.builds(Turn, role=ROLES, content=TRICKY | st.text()), max_size=5))
def test_any_history_survives_the_sites_cleaning(turns: list[Turn]) -> None:
    history = read_history(fields(Question(text="x", history=tuple(turns)))["wpaicg_chat_history"])
    assert history is not None
    assert [entry["role"] for entry in history] == [turn.role for turn in turns]
    assert [fold(entry["text"]) for entry in history] == [fold(turn.content) for turn in turns]


def test_the_oldest_turns_go_where_the_history_is_too_long_to_post() -> None:
    turns = tuple(Turn(role="user", content=f"{number} " + "x" * 90_000) for number in range(4))
    entries = json.loads(fields(Question(text="Hi", history=turns))["wpaicg_chat_history"])
    assert [entry["text"][:8] for entry in entries] == ["Human: 2", "Human: 3"]
