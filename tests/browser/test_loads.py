"""What a tab loads, put together from the browser's events in whatever order these come. No browser is run."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping

import pytest

from chatgptt.browser.page_loads import Load, LoadRecorder

pytestmark = pytest.mark.anyio


def went(which: str, url: str, kind: str = "Fetch", **more: object) -> dict[str, object]:
    request = {"url": url, "method": "GET", "headers": {"Content-Type": "application/json"}, **more}
    return {"requestId": which, "type": kind, "request": request}


def held_back(which: str, status: int, *headers: tuple[str, str]) -> dict[str, object]:
    named = [{"name": name, "value": value} for name, value in headers]
    return {
        "requestId": f"held-{which}",
        "networkId": which,
        "responseStatusCode": status,
        "responseHeaders": named,
    }


async def send(command: str, arguments: dict[str, object]) -> Mapping[str, object]:
    assert command == "Fetch.getResponseBody"
    return {
        "body": base64.b64encode(f"body of {arguments['requestId']}".encode()).decode(),
        "base64Encoded": True,
    }


def recorded(recorder: LoadRecorder) -> list[tuple[str, int, bytes, bool]]:
    return [(load.url, load.status, load.body, load.is_awaited) for load in recorder.loads]


@pytest.mark.parametrize("is_reply_first", [False, True])
async def test_request_and_reply_find_each_other(is_reply_first: bool) -> None:
    recorder = LoadRecorder()
    if is_reply_first:
        await recorder.observe_reply(held_back("1", 200, ("X-A", "b")), send)
        recorder.observe_request(went("1", "https://site.example/a#top"))
    else:
        recorder.observe_request(went("1", "https://site.example/a#top"))
        assert recorded(recorder) == [("https://site.example/a", 0, b"", True)]
        await recorder.observe_reply(held_back("1", 200, ("X-A", "b")), send)
    assert recorder.loads == (
        Load(
            kind="Fetch",
            method="GET",
            url="https://site.example/a",
            content_type="application/json",
            status=200,
            headers=(("x-a", "b"),),
            body=b"body of held-1",
        ),
    )
    await asyncio.wait_for(recorder.wait_until_complete(), 5)


async def test_requests_stand_in_the_order_in_which_they_went() -> None:
    recorder = LoadRecorder()
    for which in "123":
        recorder.observe_request(went(which, f"https://site.example/{which}"))
    for which in "312":
        await recorder.observe_reply(held_back(which, 200), send)
    assert [load.url[-1] for load in recorder.loads] == ["1", "2", "3"]


@pytest.mark.parametrize("is_held_back", [False, True])
async def test_each_hop_of_a_redirect_is_a_load(is_held_back: bool) -> None:
    recorder = LoadRecorder()
    recorder.observe_request(went("1", "https://site.example/old", "Document"))
    if is_held_back:
        await recorder.observe_reply(held_back("1", 301, ("Location", "/new")), send)
    redirect = {"redirectResponse": {"status": 301, "headers": {"Location": "/new"}}}
    recorder.observe_request(went("1", "https://site.example/new", "Document") | redirect)
    await recorder.observe_reply(held_back("1", 200), send)
    assert recorded(recorder) == [
        ("https://site.example/old", 301, b"", False),
        ("https://site.example/new", 200, b"body of held-1", False),
    ]
    assert recorder.loads[0].headers == (("location", "/new"),)


async def test_what_the_page_gave_up_has_not_been_and_what_failed_has() -> None:
    recorder = LoadRecorder()
    for which in "123":
        recorder.observe_request(went(which, f"https://site.example/{which}"))
    recorder.observe_failure({"requestId": "1", "canceled": True, "errorText": "net::ERR_ABORTED"})
    recorder.observe_failure({"requestId": "2", "errorText": "net::ERR_CONNECTION_RESET"})
    assert recorded(recorder) == [
        ("https://site.example/2", 0, b"", False),
        ("https://site.example/3", 0, b"", True),
    ]


async def test_what_tokens_never_come_from_is_passed_over() -> None:
    recorder = LoadRecorder()
    recorder.observe_request(went("1", "https://site.example/a.png", "Image"))
    recorder.observe_request(went("2", "data:text/javascript,1", "Script"))
    recorder.observe_failure({"requestId": "1", "canceled": True})
    assert recorder.loads == ()


async def test_a_body_that_is_gone_is_an_empty_one() -> None:
    async def gone(command: str, arguments: dict[str, object]) -> None:
        return None

    recorder = LoadRecorder()
    recorder.observe_request(went("1", "https://site.example/", "Document"))
    await recorder.observe_reply(held_back("1", 409), gone)
    assert recorded(recorder) == [("https://site.example/", 409, b"", False)]
    await asyncio.wait_for(recorder.wait_until_complete(), 5)


async def test_a_stream_of_events_is_not_waited_for() -> None:
    recorder = LoadRecorder()
    recorder.observe_request(went("1", "https://site.example/events"))
    await recorder.observe_reply(held_back("1", 200, ("Content-Type", "text/event-stream")), send)
    assert recorded(recorder) == [("https://site.example/events", 200, b"", False)]


@pytest.mark.parametrize(
    "posted",
    [{"postDataEntries": [{"bytes": base64.b64encode(b"a=").decode()}, {"bytes": base64.b64encode(b"1").decode()}]},
     {"postData": "a=1"}],
)  # fmt: skip
async def test_the_body_of_a_request_is_noted(posted: dict[str, object]) -> None:
    recorder = LoadRecorder()
    recorder.observe_request(went("1", "https://site.example/a", "XHR", **posted))
    assert recorder.loads[0].request_body == b"a=1"
