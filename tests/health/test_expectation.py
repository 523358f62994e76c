"""`--expect`: the caller's pattern on the site's text ends, whatever the two are."""

from __future__ import annotations

import json
import sys

import pytest
from asking import client_of
from faults import always, chat, serving, stream_reply

from chatgptt import InvalidInputError
from chatgptt.demo import DemoSite
from chatgptt.health import expectation
from chatgptt.health.expectation import MOST_CHARACTERS, is_match
from chatgptt.health.report import HealthReport

pytestmark = pytest.mark.anyio


def answering(text: str) -> bytes:
    return stream_reply(
        b'data: {"choices":[{"delta":{"content":%b}}]}\n\ndata: [DONE]\n\n' % json.dumps(text).encode()
    )


async def checked(expect: str, text: str) -> HealthReport:
    async with serving(chat(message=always(answering(text)))) as server, client_of(server.url) as client:
        return await client.health_check(expect=expect)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 60 + "b"),
        ("(a|aa)+$", "a" * 90 + "b"),
        (r"^(\w+\s?)*$", "word " * 40 + "!"),
        (r"(?:.*,){25}x", "1," * 60),
    ],
)
async def test_a_pattern_that_takes_years_is_the_calls_fault(
    pattern: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expectation, "TIMEOUT", 0.5)
    report = await checked(pattern, text)
    assert (report.verdict, report.code) == ("unknown", "invalid_input")
    assert "takes more than 0.5 s for this answer" in report.summary
    assert report.phase("answer").status == "fail"
    assert report.phase("first_text").status == "pass"
    assert "repeat inside of a repeat" in report.hint


@pytest.mark.parametrize(
    ("pattern", "text", "verdict"),
    [
        ("^Hello$", "Hello", "ok"),
        (r"(?i)\bHELLO\b.*\[x", "say hello [x", "ok"),
        ("(?s)one.two", "one\ntwo", "ok"),
        ("(?P<word>\\w)(?P=word)", "aa", "ok"),
        ("\u00fc\U0001f600", "gr\u00fc\U0001f600\u00df", "ok"),
        ("^never$", "Hello", "critical"),
    ],
)
async def test_patterns_are_those_of_python(pattern: str, text: str, verdict: str) -> None:
    assert (await checked(pattern, text)).verdict == verdict


async def test_of_a_long_answer_the_beginning_is_searched() -> None:
    text = "a" * (MOST_CHARACTERS - 3) + "end" + "beyond"
    assert await is_match("end", text)
    assert not await is_match("beyond", text)


async def test_half_a_character_is_searched_too() -> None:
    assert await is_match("x.z", "x\ud83dz")


@pytest.mark.parametrize("executable", ["/nowhere/python", "/bin/false", ""])
async def test_where_no_process_can_be_started_nothing_is_said_of_the_site(
    executable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    report = await checked("Hello", "Hello")
    assert (report.verdict, report.code) == ("unknown", "invalid_input")
    assert "the process that looks for 'Hello' failed" in report.summary


@pytest.mark.parametrize("pattern", ["(", "[a", "a{99999999999}", "*", "(" * 5000 + ")" * 5000, "(?<x", "\\"])
async def test_what_is_no_pattern_is_refused_before_anything_is_sent(pattern: str, demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        with pytest.raises(InvalidInputError, match="no regular expression"):
            await client.health_check(expect=pattern)
    assert demo.requests == []
