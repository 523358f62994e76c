"""What is asked through the endpoint, and what comes back, from sites of both generations."""

from __future__ import annotations

import asyncio
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import anyio
import faults
import httpx
import pytest
from asking import ECHO
from hypothesis import given
from serve.bodies import FUZZ, bodies
from serve.conftest import Endpoints
from serve.serving import (
    CHAT,
    PATIENCE,
    RESPONSES,
    chat,
    chunks_of,
    delta_of,
    error_of,
    events_of,
    serving,
    text_of,
)

from chatgptt.demo import DemoSite
from chatgptt.serve.answers import Places
from chatgptt.serve.failures import RequestError
from chatgptt.serve.models import Catalogue
from chatgptt.serve.options import ServeOptions
from chatgptt.sites.named import NamedSite

WAYS = pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(params=["wpaicg/", "aipkit/"])
def page(request: pytest.FixtureRequest, demo: DemoSite) -> str:
    return demo.page(request.param)


@pytest.fixture
def endpoint(page: str, endpoints: Endpoints) -> httpx.Client:
    return endpoints(page, ServeOptions(port=0))


# Chat completions


def test_an_answer_comes_whole(endpoint: httpx.Client) -> None:
    response = endpoint.post(CHAT, json=chat())
    document = response.json()
    assert (document["object"], document["model"], document["usage"]) == ("chat.completion", "default", None)
    assert isinstance(document["created"], int)
    assert document["id"].startswith("chatcmpl-")
    (choice,) = document["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"] == {"role": "assistant", "content": f"{ECHO}Hello", "refusal": None}


def test_an_answer_streams(endpoint: httpx.Client) -> None:
    response = endpoint.post(CHAT, json=chat(stream=True))
    assert response.headers["content-type"].startswith("text/event-stream")
    first, *middle, last = chunks_of(response)
    assert len({chunk["id"] for chunk in (first, *middle, last)}) == 1
    assert {chunk["object"] for chunk in (first, *middle, last)} == {"chat.completion.chunk"}
    assert delta_of(first) == {"role": "assistant", "content": ""}
    assert "".join(str(delta_of(chunk)["content"]) for chunk in middle) == f"{ECHO}Hello"
    assert len(middle) > 1
    assert delta_of(last) == {}
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]


def test_usage_is_sent_and_not_made_up(endpoint: httpx.Client) -> None:
    *_, end, usage = chunks_of(
        endpoint.post(CHAT, json=chat(stream=True, stream_options={"include_usage": True}))
    )
    assert end["choices"]
    assert (usage["choices"], usage["usage"]) == ([], None)


@WAYS
def test_earlier_messages_reach_the_site(is_streamed: bool, endpoint: httpx.Client, demo: DemoSite) -> None:
    messages = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": [{"type": "text", "text": "Who am I?"}]},
    ]
    assert endpoint.post(CHAT, json=chat(stream=is_streamed) | {"messages": messages}).status_code == 200
    asked = demo.messages[-1]
    history = json.loads(asked.fields.get("wpaicg_chat_history") or "[]")
    if history:
        assert asked.message == "Who am I?"
        assert [turn["text"] for turn in history] == ["Human: I am Ada.", "AI: Hello Ada."]
    else:
        assert asked.message == "User: I am Ada.\nAssistant: Hello Ada.\nUser: Who am I?\nAssistant:"


@WAYS
def test_a_stop_string_ends_answer_and_question(is_streamed: bool, endpoint: httpx.Client) -> None:
    body = chat(
        "SLOWWORDS 1000", stop=["never", "is "], stream=is_streamed
    )  # the next word would take 1000 s
    assert text_of(endpoint.post(CHAT, json=body)) == "Th"


def test_fields_without_effect_are_named(page: str, caplog: pytest.LogCaptureFixture) -> None:
    body = chat(temperature=0.5, tools=[{"type": "function"}], max_tokens=1)
    with serving(page) as endpoint:
        for _ in range(2):
            response = endpoint.post(CHAT, json=body)
            assert response.headers["x-chatgptt-ignored"] == "max_tokens, temperature, tools"
    lines = [record.getMessage() for record in caplog.records if record.name == "chatgptt.serve"]
    assert lines == ["fields of requests without effect: max_tokens, temperature, tools"]


def test_an_image_is_refused_by_its_place(endpoint: httpx.Client, demo: DemoSite) -> None:
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}
    response = endpoint.post(CHAT, json=chat() | {"messages": [*chat()["messages"], image]})  # type: ignore[misc]
    assert error_of(response) == (400, "invalid_input")
    assert "messages[1].content[0]" in response.json()["error"]["message"]
    assert demo.requests == []


# Responses


def test_a_response_comes_whole(endpoint: httpx.Client, demo: DemoSite) -> None:
    document = endpoint.post(RESPONSES, json={"model": "gpt-4o", "input": "Hello"}).json()
    assert (document["object"], document["status"], document["usage"]) == ("response", "completed", None)
    (message,) = document["output"]
    assert [part["text"] for part in message["content"]] == [f"{ECHO}Hello"]


def test_a_response_streams(endpoint: httpx.Client) -> None:
    response = endpoint.post(RESPONSES, json={"model": "gpt-4o", "input": "Hello", "stream": True})
    events = [event.document for event in events_of(response.text)]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event.name for event in events_of(response.text)] == [event["type"] for event in events]
    kinds = [str(event["type"]).removeprefix("response.") for event in events]
    assert kinds[:4] == ["created", "in_progress", "output_item.added", "content_part.added"]
    assert set(kinds[4:-4]) == {"output_text.delta"}
    assert kinds[-4:] == ["output_text.done", "content_part.done", "output_item.done", "completed"]
    deltas = [str(event["delta"]) for event in events if "delta" in event]
    assert "".join(deltas) == events[-4]["text"] == f"{ECHO}Hello"


def test_a_response_s_instructions_and_input_reach_the_site(endpoint: httpx.Client, demo: DemoSite) -> None:
    body = {"model": "gpt-4o", "input": [{"role": "user", "content": "Hello"}], "instructions": "Be brief."}
    assert endpoint.post(RESPONSES, json=body).status_code == 200
    assert demo.messages[-1].message == "System: Be brief.\nUser: Hello\nAssistant:"


# Models


def test_models_are_listed_and_shown(endpoint: httpx.Client, demo: DemoSite) -> None:
    listed = endpoint.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["default", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"]
    assert endpoint.get("/v1/models/gpt-4o").json() == listed["data"][1]
    assert isinstance(listed["data"][1]["created"], int)
    assert demo.requests == []


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_url_is_never_a_model(path: str, page: str, endpoint: httpx.Client, demo: DemoSite) -> None:
    body = chat("Hello", input="Hello") | {"model": page}
    response = endpoint.post(path, json=body)
    assert error_of(response) == (404, "model_not_found")
    assert "default, gpt-4o" in response.json()["error"]["message"]
    assert error_of(endpoint.get(f"/v1/models/{page}")) == (404, "model_not_found")
    assert demo.requests == []


def test_named_sites_and_their_bots_are_models(demo: DemoSite) -> None:
    sites = Catalogue.of_sites(
        (
            NamedSite(name="one", url=demo.page("wpaicg/many/")),
            NamedSite(name="two", url=demo.page("aipkit/many/"), bot="6"),
        )
    )
    with serving(sites) as endpoint:
        for model, bot in (("one:5", "5"), ("two", "6"), ("two:7", "7")):
            assert endpoint.post(CHAT, json=chat() | {"model": model}).json()["model"] == model
            assert {request.fields["bot_id"] for request in demo.requests if request.fields} == {bot}
            demo.clear()
        response = endpoint.post(CHAT, json=chat() | {"model": "one:nobody"})
        assert error_of(response) == (404, "model_not_found")
        assert error_of(endpoint.post(CHAT, json=chat())) == (404, "model_not_found")


# Failures

FAILURES = {
    "MODERATION": (403, "refused"),
    "EMPTY": (502, "empty_answer"),
    "PROVIDER401": (502, "provider_error"),
    "NONCE": (502, "token_rejected"),
    "ERR500": (502, "http_error"),
    "DROPFIRST": (502, "connect_error"),
    "0": (400, "invalid_input"),
}


@WAYS
@pytest.mark.parametrize("word", FAILURES)
def test_a_failure_before_the_first_text_has_its_status(
    word: str, is_streamed: bool, endpoint: httpx.Client, demo: DemoSite
) -> None:
    response = endpoint.post(CHAT, json=chat(word, stream=is_streamed))
    assert error_of(response) == FAILURES[word]
    assert ("retry-after" in response.headers) is (response.status_code == 429)
    assert len(demo.messages) <= 1


@WAYS
@pytest.mark.parametrize(("word", "code"), [("BUSYLONG", "rate_limited"), ("QUOTA", "refused")])
def test_a_site_that_wants_to_be_left_alone_is_a_429(
    word: str, code: str, is_streamed: bool, page: str
) -> None:
    with serving(page) as endpoint:  # of its own, since later questions wait
        response = endpoint.post(CHAT, json=chat(word, stream=is_streamed))
        assert error_of(response) == (429, code)
        assert int(response.headers["retry-after"]) > 1000


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("challenge/message/", 502, "challenge"),
        ("wpaicg/nochat/", 502, "no_chat_box"),
        ("status/404/", 502, "http_error"),
    ],
)
def test_a_page_that_fails_has_its_status(path: str, status: int, code: str, demo: DemoSite) -> None:
    with serving(demo.page(path)) as endpoint:
        assert error_of(endpoint.post(CHAT, json=chat())) == (status, code)


def test_a_site_that_takes_too_long_is_a_504(page: str) -> None:
    site = Catalogue.of_page(NamedSite(url=page, timeout=1.0))
    with serving(site) as endpoint:
        assert error_of(endpoint.post(CHAT, json=chat("SLOW 1000"))) == (504, "timeout")


def test_a_site_that_is_gone_is_a_502() -> None:
    with serving(f"http://127.0.0.1:{faults.closed_port()}/") as endpoint:
        assert error_of(endpoint.post(CHAT, json=chat())) == (502, "connect_error")


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_failure_after_the_first_text_is_an_event_without_an_end(path: str, endpoint: httpx.Client) -> None:
    response = endpoint.post(path, json=chat("MIDERROR", input="MIDERROR", stream=True))
    assert response.status_code == 200
    *before, last = [event.document for event in events_of(response.text)]
    assert isinstance(error := last["error"], dict)
    assert error["code"] == "provider_error"
    assert len(before) > 1
    assert "[DONE]" not in response.text


def test_a_failure_after_some_text_is_a_status_where_nothing_was_sent(endpoint: httpx.Client) -> None:
    assert error_of(endpoint.post(CHAT, json=chat("MIDERROR"))) == (502, "provider_error")


# Waiting


@pytest.mark.anyio
async def test_comments_keep_a_stream_without_text_in_use() -> None:
    answers = anyio.Event()
    async with faults.serving(held(answers)) as site:
        with serving(site.url, ServeOptions(port=0, comment_every=0.05)) as endpoint:
            async with (
                same(endpoint) as client,
                client.stream("POST", CHAT, json=chat(stream=True)) as response,
            ):
                lines = response.aiter_lines()
                assert [await anext(lines) for _ in range(4)] == [": no text yet", "", ": no text yet", ""]
                answers.set()
                text = "\n".join([line async for line in lines])
    assert text.rfind(": no text yet") < text.index('"role":"assistant"')
    assert text.endswith("data: [DONE]\n")


def held(answers: anyio.Event) -> faults.Answer:
    """A site that answers once `answers` is set."""

    async def answer(connection: faults.Connection, got: faults.Got) -> bool:
        await answers.wait()
        await connection.send(faults.stream_reply())
        return True

    return faults.chat(message=answer)


def same(endpoint: httpx.Client) -> httpx.AsyncClient:
    """An async client of the endpoint, with as many connections as it takes."""
    return httpx.AsyncClient(
        base_url=endpoint.base_url,
        timeout=PATIENCE,
        trust_env=False,
        limits=httpx.Limits(max_connections=None),
    )


def test_a_failure_after_a_comment_is_an_event(page: str) -> None:
    site = Catalogue.of_page(NamedSite(url=page, timeout=2.0))
    with serving(site, ServeOptions(port=0, comment_every=0.05)) as endpoint:
        response = endpoint.post(CHAT, json=chat("SLOW 1000", stream=True))
        (event,) = events_of(response.text)
        assert isinstance(error := event.document["error"], dict)
        assert error["code"] == "timeout"


async def until_asked(site: faults.Server, count: int) -> None:
    with anyio.fail_after(PATIENCE):
        while site.counts[1] < count:  # noqa: ASYNC110 - a server counts
            await anyio.sleep(0.01)


@pytest.mark.anyio
async def test_a_full_queue_is_told_at_once() -> None:
    answers, statuses = anyio.Event(), []
    async with faults.serving(held(answers)) as site:
        with serving(site.url, ServeOptions(port=0, concurrency=1, queue=0)) as endpoint:
            async with same(endpoint) as client:

                async def ask() -> None:
                    statuses.append((await client.post(CHAT, json=chat())).status_code)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await until_asked(site, 1)
                    response = await client.post(CHAT, json=chat(stream=True))
                    assert error_of(response) == (429, "busy")
                    assert int(response.headers["retry-after"]) > 0
                    answers.set()
                await ask()
    assert (statuses, site.counts[1]) == ([200, 200], 2)


def test_a_question_waits_for_its_place(demo: DemoSite) -> None:
    options = ServeOptions(port=0, concurrency=1, queue=8)
    with serving(demo.page("wpaicg/"), options) as endpoint, ThreadPoolExecutor() as threads:
        asked = [threads.submit(endpoint.post, CHAT, json=chat("SLOW 0.1")) for _ in range(5)]
        assert [each.result(PATIENCE).status_code for each in asked] == [200] * 5
    times = [message.at for message in demo.messages]
    assert all(later - earlier >= 0.09 for earlier, later in pairwise(times))


@pytest.mark.anyio
async def test_a_question_waits_no_longer_than_it_may_take() -> None:
    places = Places(1, 8, patience=0.05, ending=asyncio.Event())
    async with places.take():
        with pytest.raises(RequestError, match="too many questions"):
            async with places.take():
                pass
    async with places.take():
        pass


@pytest.mark.anyio
async def test_a_question_that_waits_does_not_begin_while_the_endpoint_ends() -> None:
    ending, codes = asyncio.Event(), []
    places = Places(1, 8, patience=PATIENCE, ending=ending)

    async def ask() -> None:
        with pytest.raises(RequestError) as caught:
            async with places.take():
                pass
        codes.append(caught.value.failure.code)

    async with anyio.create_task_group() as tasks, places.take():
        for _ in range(2):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        ending.set()
    assert codes == ["ending", "ending"]


@pytest.mark.anyio
async def test_two_hundred_streams_are_open_at_once() -> None:
    answers, texts = anyio.Event(), []
    async with faults.serving(held(answers)) as site:
        with serving(site.url, ServeOptions(port=0, concurrency=200)) as endpoint:
            async with same(endpoint) as client, anyio.create_task_group() as tasks:

                async def ask() -> None:
                    texts.append(text_of(await client.post(CHAT, json=chat(stream=True))))

                for _ in range(200):
                    tasks.start_soon(ask)
                await until_asked(site, 200)
                answers.set()
    assert texts == ["Hi there"] * 200


@pytest.mark.anyio
@WAYS
@pytest.mark.parametrize("fault", [faults.silence, faults.silence_after_head, faults.silence_after_text])
async def test_a_client_that_goes_away_cancels_its_question(fault: faults.Answer, is_streamed: bool) -> None:
    async with faults.serving(faults.chat(message=fault)) as site:
        with serving(site.url, ServeOptions(port=0, concurrency=1, queue=0)) as endpoint:
            body = chat(stream=is_streamed)

            async def ask() -> None:
                async with same(endpoint) as client:
                    await client.post(CHAT, json=body)

            for asked in (1, 2):  # the second one finds the only place free
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(ask)
                    await until_asked(site, asked)
                    tasks.cancel_scope.cancel()
                await site.until_all_closed()


# Any body


@FUZZ
@given(body=bodies())
@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_any_body_gets_an_answer_or_a_4xx(
    path: str, body: bytes, running_demo: DemoSite, fuzzed: httpx.Client
) -> None:
    response = fuzzed.post(path, content=body)
    if response.status_code != 200:
        assert error_of(response)[0] in (400, 404)


@pytest.fixture
def fuzzed(running_demo: DemoSite, endpoints: Endpoints) -> httpx.Client:
    return endpoints(running_demo.page("wpaicg/"), ServeOptions(port=0))


# The log


def test_the_log_has_the_shape_of_a_request_alone(
    endpoint: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatgptt.serve")
    endpoint.post(CHAT, json=chat("A secret message"))
    endpoint.post(CHAT, json=chat("A secret message") | {"model": "secret"})
    lines = [record.getMessage() for record in caplog.records if record.name == "chatgptt.serve"]
    assert len(lines) == 1
    assert lines[0].startswith("/v1/chat/completions, whole, messages: 1; answered, pieces: ")
    assert "secret" not in "".join(lines)
