from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatgptt.protocols.text import (
    SurrogateJoiner,
    find_objects,
    lines_of,
    loads,
    loads_frame,
    read_object,
    unescape,
    without_surrogates,
)

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=20)


def join(*pieces: str) -> str:
    joiner = SurrogateJoiner()
    return "".join([*map(joiner.receive, pieces), joiner.end()])


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a", "b"], "ab"),
        (["\ud83d", "\ude00"], "😀"),
        (["a\ud83d", "\ude00b"], "a😀b"),
        (["\ud83d", "x"], "\ufffdx"),
        (["\ude00"], "\ufffd"),
        (["x\ud83d"], "x\ufffd"),
        (["\ud83d", "", "\ude00", "ä"], "😀ä"),
        (["\ud83d\ud83d\ude00"], "\ufffd😀"),
        (["\ude00", "😀", "\ud83d"], "\ufffd😀\ufffd"),
    ],
    ids=["plain", "a pair", "a pair in text", "first half alone", "second half alone", "first half at the end",
    "an empty piece between", "half before a pair", "halves around a whole"],
)  # fmt: skip
def test_halves_are_joined_or_replaced(pieces: list[str], text: str) -> None:
    assert join(*pieces) == text


@given(st.lists(ANY_TEXT))
def test_the_joined_text_does_not_depend_on_the_pieces(pieces: list[str]) -> None:
    whole = without_surrogates("".join(pieces))
    assert join(*pieces) == whole
    whole.encode()


@given(st.text())
def test_text_without_halves_stays_as_it_is(text: str) -> None:
    assert without_surrogates(text) == text


DEEP = '{"a":' * 100_000


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ('{"a":1}', [{"a": 1}]),
        ('<b>Notice</b> {"a":1}', [{"a": 1}]),
        ('\ufeff{"a":{"b":2}}<!-- x -->', [{"a": {"b": 2}}]),
        ('{"a":1}{"b":2}', [{"a": 1}, {"b": 2}]),
        ('{oops} [{"a":1}]', [{"a": 1}]),
        ("{" * 40 + '"a":1}', []),
        ("no", []),
        ("", []),
        (DEEP, []),
        ('{"a":' + "1" * 5000 + "}", []),
    ],
    ids=["clean", "a notice", "around", "two", "a stray brace", "too many braces", "none", "empty", "too deep", "too long a number"],
)  # fmt: skip
def test_objects_are_found_among_stray_output(text: str, objects: list[dict[str, object]]) -> None:
    assert list(find_objects(text)) == objects


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1]", [1]), ("null", None), ("{", None), ("", None), (DEEP, None), ("1" * 5000, None)],
    ids=["list", "null", "broken", "empty", "too deep", "too long a number"],
)
def test_json_is_loaded_or_none(text: str, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a":1};x', {"a": 1}), ("[1]", None), ("x", None), (DEEP, None)],
    ids=["an object", "a list", "no JSON", "too deep"],
)
def test_an_object_is_read_at_the_start(text: str, value: object) -> None:
    assert read_object(text) == value


@given(st.text() | st.text(st.sampled_from('{}[]":,a1\\ ')))
def test_any_text_is_searched_without_an_error(text: str) -> None:
    for found in find_objects(text):
        assert isinstance(found, dict)
    loads(text)
    read_object(text)


def test_json_of_more_values_than_any_reply_is_none() -> None:
    many = f'{{"a":[{"1," * 100_000}1]}}'
    assert loads(many) is None
    assert read_object(many) is None
    assert list(find_objects(many)) == []
    assert loads(f'{{"a":[{"1," * 90_000}1]}}') == {"a": [1] * 90_001}


@pytest.mark.parametrize(
    "text",
    [r'{"a":"\ud83dx"}', r'{"a":"\uD83Dx"}', '{"a":"\ud83dx"}'],
    ids=["escaped", "in capitals", "as it stands"],
)
def test_half_a_character_is_replaced_everywhere_but_in_frames(text: str) -> None:
    assert loads(text) == read_object(text) == {"a": "\ufffdx"}
    assert list(find_objects(text)) == [{"a": "\ufffdx"}]
    assert loads_frame(text) == {"a": "\ud83dx"}


@pytest.mark.parametrize(
    ("text", "plain"),
    [("a &amp; b", "a & b"), ("&#38;", "&"), ("&#" + "0" * 50 + "38;", "&"), ("&#" + "9" * 5000 + ";", "\ufffd"), ("&#xD800;", "\ufffd")],
    ids=["a name", "a number", "many noughts", "5,000 digits", "half a character"],
)  # fmt: skip
def test_references_are_replaced(text: str, plain: str) -> None:
    assert unescape(text) == plain


@given(st.text(st.sampled_from("a\n\r")))
def test_lines_are_those_of_split(text: str) -> None:
    assert list(lines_of(text)) == text.split("\n")
