from __future__ import annotations

import json

import httpx
import pytest
from demo.visitors import Wpaicg
from hypothesis import given
from hypothesis import strategies as st

from chatgptt.demo import DemoSite
from chatgptt.demo.model import Turn
from chatgptt.demo.wpaicg.sanitising import read_history, sanitised


def history(*texts: str) -> str:
    return json.dumps([{"id": "", "text": text} for text in texts], ensure_ascii=False)


def pairs(field: str) -> list[tuple[str, str]]:
    return [(turn.role, turn.content) for turn in read_history(field)]


def test_turns_are_told_apart_by_their_beginning() -> None:
    assert pairs(history("Human: hi", "AI: hello AI: there", "human: x")) == [
        ("user", "hi"),
        ("assistant", "hello there"),
        ("assistant", "human: x"),
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a\nb", "anb"),
        ("a\tb", "atb"),
        ("c:\\dir", "c:dir"),
        ("1 <b>2</b> 3", "1 2 3"),
        ("1 < 2", "1 &lt; 2"),
        ("<script>x</script>y", "y"),
        ("100%20sure%%2020", "100sure"),
        ("a  b", "a b"),
        ("ünï ✓ 😀", "ünï ✓ 😀"),
        ("&quot;q&quot; &#92;", "&quot;q&quot; &#92;"),
    ],
)
def test_what_is_left_of_a_text(text: str, left: str) -> None:
    assert pairs(history("Human: " + text, "AI: ok")) == [("user", left), ("assistant", "ok")]


@pytest.mark.parametrize(
    "field",
    [
        history("Human: hi", 'AI: "quoted"'),
        '["Human: a\x01b"]',
        "",
        "no json",
        '{"text": "Human: hi"}',
        '"Human: hi"',
        "[NaN]",
        "[" * 100_000,
    ],
)
def test_the_whole_history_is_lost(field: str) -> None:
    assert read_history(field) == []


def test_plain_strings_and_other_entries() -> None:
    assert pairs('["Human: hi", {"text": "AI: ho"}, {"id": 1}, 7, {"text": 8}]') == [
        ("user", "hi"),
        ("assistant", "ho"),
    ]


def test_unicode_escapes_lose_their_backslash() -> None:
    assert read_history('["Human: \\u00e9"]') == [Turn("user", "u00e9")]


@given(st.text(alphabet=st.sampled_from("ab <>\"'\\%20\n\t/&script;")))
def test_sanitising_leaves_no_tag_and_no_line_break(text: str) -> None:
    left = sanitised(text)
    assert "\n" not in left
    assert "\t" not in left
    assert "<script" not in left
    assert left == left.strip()
    read_history(text)


@pytest.mark.parametrize("page", ["wpaicg/json/", "wpaicg/", "wpaicg-1.8.79/json/", "wpaicg-1.8.98/"])
def test_what_reaches_the_model(site: DemoSite, client: httpx.Client, page: str) -> None:
    visitor = Wpaicg(site, client, page)
    field = history("Human: my name is Ada", "AI: hello <i>Ada</i>")
    turns = json.loads(visitor.text("HISTORY", wpaicg_chat_history=field))
    title = "Json" if page.endswith("json/") else "Front page"
    assert turns == [
        ["user", f'Answer as the demo would.\n, Current context: "{title}"'],
        ["user", "my name is Ada"],
        ["assistant", "hello Ada"],
        ["user", "HISTORY"],
    ]


def test_one_quotation_mark_costs_the_history(site: DemoSite, client: httpx.Client) -> None:
    field = history("Human: my name is Ada", 'AI: hello "Ada"')
    turns = json.loads(Wpaicg(site, client, "wpaicg/json/").text("HISTORY", wpaicg_chat_history=field))
    assert [turn[1] for turn in turns[1:]] == ["HISTORY"]


def test_only_a_real_post_id_brings_the_page_into_context(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/widget/")
    own = visitor.box()["data-post-id"]
    assert own.startswith("<")
    assert "Current context" not in visitor.text("HISTORY")
    assert 'Current context: \\"Widget\\"' in visitor.text("HISTORY", post_id=own.removeprefix("<"))
    for other in ("", "0", "99999", "x"):
        assert "Current context" not in visitor.text("HISTORY", post_id=other)
