"""Requests, stop strings and failures as values."""

from __future__ import annotations

import contextlib
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve.bodies import FUZZ, bodies

from chatgptt import ChatGpttError, RefusedError
from chatgptt._errors import ErrorCode
from chatgptt.serve.failures import Failure, RequestError, failure_of
from chatgptt.serve.models import Catalogue
from chatgptt.serve.requests import ApiRequest, read_chat, read_response
from chatgptt.serve.stops import TextUntilStop
from chatgptt.sites.named import NamedSite

USER = {"role": "user", "content": "Hello"}


def chat(**fields: object) -> bytes:
    return json.dumps({"model": "m", "messages": [USER], **fields}).encode()


def response(**fields: object) -> bytes:
    return json.dumps({"model": "m", "input": "Hello", **fields}).encode()


# Stop strings


def cut(pieces: list[str], stops: tuple[str, ...]) -> str:
    text, passed = TextUntilStop(stops), []
    for piece in pieces:
        passed.append(text.receive(piece))
        if text.is_stopped:
            return "".join(passed)
    return "".join([*passed, text.end()])


@pytest.mark.parametrize(
    ("text", "stops", "before"),
    [
        ("one two three", ("two",), "one "),
        ("one two three", ("three", "two"), "one "),
        ("one two three", ("four",), "one two three"),
        ("aab", ("ab",), "a"),
        ("aaaa", ("aaa",), ""),
        ("abcd", ("abcd", "c"), "ab"),  # the one that is complete first
        ("abc", ("c", "bc"), "a"),
        ("ends with a half st", ("stop",), "ends with a half st"),
        ("anything", (), "anything"),
    ],
)
def test_text_ends_before_the_first_stop_string(text: str, stops: tuple[str, ...], before: str) -> None:
    assert cut([text], stops) == before
    assert cut(list(text), stops) == before


@FUZZ
@given(
    st.lists(st.text("ab", max_size=4), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_text_is_cut_alike_however_its_pieces_come(pieces: list[str], stops: tuple[str, ...]) -> None:
    whole = "".join(pieces)
    assert cut(pieces, stops) == cut([whole], stops) == cut(list(whole), stops)
    assert not any(stop in cut(pieces, stops) for stop in stops)


# Requests


def test_a_chat_request_is_read() -> None:
    body = chat(stream=True, stream_options={"include_usage": True}, stop=["a", "b"], n=1)
    assert read_chat(body) == ApiRequest(
        model="m", messages=[USER], is_streamed=True, wants_usage=True, stops=("a", "b")
    )
    assert read_chat(chat(stop="a", stream=None, stream_options=None)).stops == ("a",)


def test_fields_without_effect_are_named_where_they_have_a_value() -> None:
    body = chat(temperature=0, tools=[], seed=None, **{"bad\r\nname": 1})
    assert read_chat(body).ignored == ("temperature", "tools")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 3}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages"),
        ({"n": 2}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "include_usage"),
        ({"stop": 1}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a", 1]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": "a" * 1001}, "stop"),
    ],
)
def test_a_chat_request_that_cannot_work_names_its_field(fields: dict[str, object], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_chat(chat(**fields))
    assert (caught.value.failure.status, caught.value.failure.param) == (400, param)


@pytest.mark.parametrize(
    "body", [b"", b"Hello", b"[]", b"\xff", b"[" * 200_000, b'{"n": ' + b"9" * 5000 + b"}"]
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    for read in (read_chat, read_response):
        with pytest.raises(RequestError) as caught:
            read(body)
        assert caught.value.failure.status == 400


def test_a_response_s_input_becomes_messages() -> None:
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Hello"}]},
        {"type": "reasoning", "summary": []},
        {"type": "function_call", "call_id": "1", "name": "sum", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "4"},
        {"type": "message", "role": "user", "content": "And now?"},
        {"type": None, "role": "user", "content": "Well?"},
    ]
    read = read_response(response(input=items, instructions="Be brief.", store=False))
    assert read.messages == [
        {"role": "system", "content": "Be brief."},
        items[0],
        {"role": "assistant", "content": None},
        {"role": "assistant", "content": None},
        {"role": "tool", "content": "4"},
        items[4],
        items[5],
    ]
    assert read.ignored == ("store",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input"),
        ({"instructions": 1}, "instructions"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
    ],
)
def test_a_response_that_would_be_to_another_question_is_refused(
    fields: dict[str, object], param: str
) -> None:
    with pytest.raises(RequestError) as caught:
        read_response(response(**fields))
    assert (caught.value.failure.status, caught.value.failure.param) == (400, param)


@FUZZ
@given(bodies())
def test_any_body_is_read_or_refused(body: bytes) -> None:
    for read in (read_chat, read_response):
        with contextlib.suppress(RequestError):
            assert read(body).messages


# Models


def test_a_page_has_the_usual_names_and_its_own() -> None:
    catalogue = Catalogue.of_page(NamedSite(url="https://site.example", name="shop"))
    assert list(catalogue.keys) == ["shop", "default", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"]


def test_named_sites_are_the_models() -> None:
    shop, blog = (
        NamedSite(url="https://a.example", name="shop"),
        NamedSite(url="https://b.example", name="blog"),
    )
    catalogue = Catalogue.of_sites((shop, blog))
    assert catalogue.find("shop") == ("shop", None)
    assert catalogue.find("blog:Support bot") == ("blog", "Support bot")


@pytest.mark.parametrize("model", ["default", "shop:", "https://a.example", "shop.x", ""])
def test_an_unknown_model_is_told_the_known_ones(model: str) -> None:
    catalogue = Catalogue.of_sites((NamedSite(url="https://a.example", name="shop"),))
    with pytest.raises(RequestError, match="the models are: shop") as caught:
        catalogue.find(model)
    assert (caught.value.failure.status, caught.value.failure.code) == (404, "model_not_found")


# Failures

STATUSES = {"invalid_input": 400, "refused": 403, "rate_limited": 429, "timeout": 504}


@pytest.mark.parametrize("code", get_args(ErrorCode))
def test_every_error_has_its_status(code: ErrorCode) -> None:
    failure = failure_of(ChatGpttError("It failed.", code=code, hint="do this"))
    assert (failure.status, failure.code) == (STATUSES.get(code, 502), code)
    assert failure.headers["x-should-retry"] == "false"
    assert failure.message == "It failed. (hint: do this)"


def test_a_quota_and_a_rate_say_when_to_come_back() -> None:
    quota = failure_of(RefusedError("Used up.", reason="quota"))
    assert (quota.status, quota.headers["retry-after"]) == (429, "3600")
    rate = failure_of(ChatGpttError("Busy.", code="rate_limited", retry_after=6.5))
    assert (rate.status, rate.headers["retry-after"]) == (429, "7")


def test_a_bot_that_a_page_lacks_is_a_model_that_there_is_not() -> None:
    error = ChatGpttError("no such bot", code="no_chat_box")
    assert failure_of(error, names_bot=True).status == 404
    assert failure_of(error).status == 502


@FUZZ
@given(st.text(st.characters()))
def test_a_failure_can_be_sent_whatever_it_quotes(text: str) -> None:
    failure = Failure(status=404, code="not_found", message=text)
    assert json.loads(failure.body)["error"]["message"] == text
