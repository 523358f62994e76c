"""The files of visits: those of other programs are read with suspicion, our own come back as they were."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from visits.samples import SITE, cookie, cookies_txt, item, login_cookie, storage_state, visit

from chatgptt import InvalidInputError
from chatgptt.state.folder import NotOursError
from chatgptt.visits.formats import decode, encode, read_contents
from chatgptt.visits.visit import Visit


def test_a_storage_state_of_playwright_is_read() -> None:
    state = storage_state(
        {
            "name": "a",
            "value": "b",
            "domain": ".site.example",
            "path": "/wp-admin",
            "expires": 1_800_000_000.5,
            "httpOnly": True,
            "secure": True,
            "sameSite": "Lax",
        },
        {"name": "s", "value": "", "domain": "localhost", "path": "/", "expires": -1},
        origins=[{"origin": "https://Site.example:443", "localStorage": [{"name": "k", "value": "v"}]}],
    )
    contents = read_contents(state)
    assert contents.cookies == (
        cookie(
            domain=".site.example",
            path="/wp-admin",
            is_secure=True,
            is_http_only=True,
            expires=1_800_000_000.5,
        ),
        cookie("s", "", "localhost.local"),
    )
    assert contents.storage == (item(),)


def test_a_cookies_txt_is_read() -> None:
    text = cookies_txt(
        ("site.example", "FALSE", "/", "TRUE", "1800000000", "a", "b"),
        (".site.example", "TRUE", "/shop", "FALSE", "0", "wide", "x=y"),
        ("#HttpOnly_site.example", "FALSE", "/", "FALSE", "", "hidden", ""),
    )
    expected = (
        cookie(is_secure=True, expires=1_800_000_000.0),
        cookie("wide", "x=y", ".site.example", path="/shop"),
        cookie("hidden", "", is_http_only=True),
    )
    assert read_contents(text).cookies == expected
    assert read_contents(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")).cookies == expected


def test_a_broken_line_of_a_cookies_txt_spoils_no_other() -> None:
    good = ("site.example", "FALSE", "/", "FALSE", "0", "a", "b")
    assert read_contents(cookies_txt(("other.example", "x"), good, ("y",))).cookies == (cookie(),)


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe\x00",
        b"{",
        b"{}",
        b'{"cookies": {}}',
        b'{"cookies": [1]}',
        b'{"cookies": [{"name": "a", "value": "s3cret"}]}',
        b'{"cookies": ' + b"[" * 100_000,
        b"SQLite format 3\0",
        b"site.example\tTRUE\ts3cret",
        b"<html>",
    ],
)
def test_another_file_is_an_error_that_quotes_nothing_of_it(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_contents(data)
    assert caught.value.hint
    assert "s3cret" not in caught.value.message


def test_strange_values_of_a_storage_state_are_left_out() -> None:
    strange = [True, "soon", None, float("nan"), float("inf"), -5, 1e300]
    cookies: list[dict[str, object]] = [
        {"name": "a", "value": "b", "domain": "site.example", "expires": value, "path": 3}
        for value in strange
    ]
    contents = read_contents(
        storage_state(*cookies, origins=[{"origin": 5}, 7, {"origin": "https://[", "localStorage": []}])
    )
    assert {(one.expires, one.path) for one in contents.cookies} == {(1.0, "/"), (None, "/")}
    assert contents.storage == ()


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_give_contents_or_an_error_of_ours(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        read_contents(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@given(JSON, JSON)
def test_any_json_gives_contents_or_an_error_of_ours(cookies: object, origins: object) -> None:
    with contextlib.suppress(InvalidInputError):
        read_contents(json.dumps({"cookies": cookies, "origins": origins}).encode())


# Our own


WHOLE = visit(
    login_cookie(),
    cookie(is_http_only=True, expires=1_900_000_000.0),
    storage=(item(), item("ü", "\u2028 ✓")),
)


def test_a_visit_comes_back_as_it_was_kept() -> None:
    assert WHOLE.is_member
    assert decode(encode(WHOLE), SITE) == WHOLE
    assert decode(encode(WHOLE), "https://other.example") is None


def test_the_file_of_a_later_version_is_left_alone() -> None:
    record = {**json.loads(encode(WHOLE)), "format": 2}
    with pytest.raises(NotOursError):
        decode(json.dumps(record).encode(), SITE)


@pytest.mark.parametrize(
    "name", [part for part in json.loads(encode(WHOLE)) if part not in ("format", "site")]
)
@pytest.mark.parametrize("value", [None, [1], [{}], {"a": 1}])
def test_a_damaged_file_is_no_visit(name: str, value: object) -> None:
    record = {**json.loads(encode(WHOLE)), name: value}
    assert decode(json.dumps(record).encode(), SITE) is None


@pytest.mark.parametrize("value", [" ", "b ", "b\r\nx: y", "ü"])
def test_a_file_with_what_no_header_may_hold_is_no_visit(value: str) -> None:
    record = json.loads(encode(WHOLE))
    cookies = [*record["cookies"], {**record["cookies"][0], "name": "last", "value": value}]
    for more in ({"cookies": cookies}, {"user_agent": value}):
        assert decode(json.dumps({**record, **more}).encode(), SITE) is None


@pytest.mark.parametrize(
    ("part", "place", "other"),
    [("cookies", "domain", "other.example"), ("storage", "origin", "https://other.example")],
)
def test_a_file_with_what_is_another_sites_is_no_visit(part: str, place: str, other: str) -> None:
    record = json.loads(encode(WHOLE))
    record[part][0][place] = other
    assert decode(json.dumps(record).encode(), SITE) is None


@given(st.integers(0, 400), st.binary(max_size=3))
def test_a_file_that_is_cut_or_overwritten_is_a_visit_or_none(place: int, more: bytes) -> None:
    data = encode(WHOLE)
    for damaged in (data[:place], data[:place] + more + data[place + len(more) :]):
        with contextlib.suppress(NotOursError):
            assert isinstance(decode(damaged, SITE), Visit | None)


def test_no_secret_is_in_how_a_visit_looks() -> None:
    looks = repr(WHOLE) + repr(WHOLE.cookies) + repr(WHOLE.storage)
    assert "h4sh" not in looks
    assert WHOLE.cookies[0].value not in looks
