from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import outcome_of
from wire import foreign_head, head

from chatgptt._models import ReplyHead
from chatgptt.protocols.reply_errors import maybe_retry_after, read_failure, said, words_of
from chatgptt.protocols.text import is_html


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("Sun, 06 Nov 1994 08:51:37 GMT", 120.0),
        ("Sunday, 06-Nov-94 08:51:37 GMT", 120.0),
        ("Sun Nov  6 08:51:37 1994", 120.0),
        ("Sun, 06 Nov 1994 08:51:37 -0000", 120.0),
        ("Sun, 06 Nov 1994 10:51:37 +0200", 120.0),
        ("Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
        ("Sun, 06 Now 1994 08:51:37 GMT", None),
        ("Sun, 06 Nov 99999 08:51:37 GMT", None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("1e9", None),
        ("1_000", None),
        ("١٢", None),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_a_retry_after_is_seconds_in_any_form(value: str, seconds: float | None) -> None:
    assert maybe_retry_after(foreign_head(503, {"retry-after": value})) == seconds


def test_without_a_retry_after_there_are_no_seconds() -> None:
    assert maybe_retry_after(foreign_head(503)) is None


@given(st.text() | st.text(st.sampled_from("SunNov 0123456789:,-+GMT")))
def test_any_retry_after_is_seconds_or_none(value: str) -> None:
    seconds = maybe_retry_after(foreign_head(429, {"retry-after": value}))
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("value", ["7", "Sun, 06 Nov 1994 08:49:44 GMT"])
def test_a_busy_site_says_when_to_come_back(status: int, value: str) -> None:
    error = read_failure(foreign_head(status, {"retry-after": value}), "Later.")
    assert (error.code, error.status, error.retry_after) == ("rate_limited", status, 7.0)


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (400, "0", "unreadable_answer", "updated"),
        (400, "\ufeff 0\n", "unreadable_answer", "updated"),
        (200, " 0\n", "unreadable_answer", "owner"),
        (200, "\ufeff0", "unreadable_answer", "owner"),
        (403, "-1", "token_rejected", "page cache"),
        (403, "0", "http_error", "firewall"),
        (200, "-1", "unreadable_answer", "inspect"),
        (301, "", "http_error", "https, www or not"),
        (401, "", "http_error", "login"),
        (403, "<h1>No</h1>", "http_error", "firewall"),
        (404, "", "http_error", "address"),
        (405, "", "http_error", "messages"),
        (413, "", "http_error", "too long"),
        (500, "", "http_error", "failing"),
        (524, "", "http_error", "failing"),
        (202, "", "unreadable_answer", "inspect"),
        (403, "<title>Just a moment...</title>", "challenge", "browser"),
        (503, "<title>Just a moment...</title>", "challenge", "browser"),
    ],
)
def test_a_reply_that_is_no_answer_amounts_to_an_error(status: int, body: str, code: str, hint: str) -> None:
    error = read_failure(head("html", status), body)
    assert (error.code, error.status) == (code, status)
    assert hint in error.hint
    assert error.url


@given(st.integers(100, 599), st.text())
def test_any_reply_amounts_to_an_error_of_the_project(status: int, body: str) -> None:
    assert outcome_of(read_failure(head("html", status), body)).code


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<title>Not  Found\n&amp; gone</title><p>x", ": 'Not Found & gone'"),
        ("<TITLE lang=en>Oops</TITLE>", ": 'Oops'"),
        ("<style>p{}</style><script>x</script><p>Bad <b>day</b></p>", ": 'Bad day'"),
        ("x" * 9000, f": {'x' * 200!r}"),
        ("<br>", ""),
        ("", ""),
    ],
    ids=["title", "title with attributes", "text", "long", "no words", "empty"],
)
def test_an_error_page_is_quoted(body: str, words: str) -> None:
    assert said(body) == words


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (" a\n b ", "a b"),
        ("&lt;b&gt; &#039;x&#039;", "<b> 'x'"),
        ("x" * 2000, "x" * 1000),
        (None, ""),
        (5, ""),
        ({"a": 1}, ""),
    ],
    ids=["folded", "unescaped", "cut", "none", "number", "object"],
)
def test_an_errors_words_are_on_one_line(message: object, words: str) -> None:
    assert words_of(message) == words


@pytest.mark.parametrize(
    ("body", "is_page"),
    [
        ("<!DOCTYPE html><p>", True),
        ("\ufeff\n<html lang=en>", True),
        ("<!-- a --> <HTML>", True),
        ("<p>The link you followed has expired.</p>", False),
        ("<htmlx>", False),
        ("", False),
    ],
    ids=["doctype", "byte order mark", "comment", "fragment", "another tag", "empty"],
)
def test_a_whole_page_is_told_from_a_fragment(body: str, is_page: bool) -> None:
    assert is_html(body) is is_page


def test_only_a_replay_on_this_machine_is_believed_that_it_is_one() -> None:
    headers = {"x-chatgptt-replay-miss": "yes"}
    here = ReplyHead(status=501, headers=headers, url="http://127.0.0.1:8000/")
    elsewhere = ReplyHead(status=501, headers=headers, url="http://site.example/")
    assert read_failure(here, "no reply to GET /").code == "invalid_input"
    assert read_failure(elsewhere, "no reply to GET /").code == "http_error"
