"""An argument that cannot work is an error of ours, with a hint, before anything is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal, cast

import httpx
import pytest

import chatgptt
from chatgptt import (
    AsyncClient,
    ChatGptt,
    Client,
    InvalidInputError,
    RetryPolicy,
    Timeouts,
)
from chatgptt._client import ClientOptions
from chatgptt.demo import DemoSite


class Secret:
    def __repr__(self) -> str:
        return "hunter2"


class OddPath:
    def __fspath__(self) -> bytes:
        return b"folder"


OPTIONS: dict[str, tuple[object, ...]] = {
    "bot": (object(), [], True, 1.5, b"7"),
    "ajax_url": (5, b"https://a.test/", [], ["https://a.test/"]),
    "strategy": ([], 5, "", "quick", Secret),
    "proxy": (5, [], False, {"http": "http://a.test"}, httpx.Proxy("http://a.test")),
    "timeout": ("x", "5", True, float("nan"), 0, -1, [], 10**400, (1, 2), httpx.Timeout(5)),
    "retry": (3, True, "often", {"attempts": 3}, RetryPolicy),
    "headers": (
        ["a"],
        [],
        "a: b",
        5,
        {"a": 5},
        {"a": None},
        {5: "a"},
        {"a": b"b"},
        {b"a": "b"},
        [("a", "b")],
    ),
    "user_agent": (5, [], b"curl", True),
    "state_dir": (5, [], True, b"folder", OddPath(), "fol\0der", Path("\0"), "fol\ud800der", 300 * "a"),
    "http_client": (httpx.Client(), httpx, 5, "httpx", httpx.AsyncClient),
    "browser": (5, True, {"executable": "chromium"}, "chromium", []),
}
CASES = [
    pytest.param(name, value, id=f"{name}-{index}")
    for name, values in OPTIONS.items()
    for index, value in enumerate(values)
]


def options(name: str, value: object) -> ClientOptions:
    given: dict[str, object] = {"state_dir": None, name: value}
    return cast("ClientOptions", given)


async def drain(page: str, name: str, value: object) -> None:
    create = cast("Callable[..., object]", ChatGptt.create_async_generator)
    async for _ in create("", "Hello", site=page, **{"state_dir": None, name: value}):  # type: ignore[attr-defined]
        pass


@pytest.mark.parametrize(("name", "value"), CASES)
def test_an_option_that_cannot_work_is_an_error_before_anything_is_sent(
    demo: DemoSite, name: str, value: object
) -> None:
    page = demo.page("wpaicg/")
    calls: list[Callable[[], object]] = [
        lambda: AsyncClient(page, **options(name, value)),
        lambda: Client(page, **options(name, value)),
        lambda: chatgptt.ask("Hello", page, **options(name, value)),
    ]
    if name not in ("ajax_url", "browser"):  # a provider has none of them
        calls.append(lambda: asyncio.run(drain(page, name, value)))
    for call in calls:
        with pytest.raises(InvalidInputError) as caught:
            call()
        assert caught.value.hint
        assert "hunter2" not in str(caught.value)
    assert demo.requests == []


@pytest.mark.parametrize(
    "site", [None, 5, [], b"https://a.test/", Path("a.test"), httpx.URL("https://a.test/")]
)
def test_a_site_that_is_no_text_is_an_error(site: str) -> None:
    for call in (AsyncClient, Client, lambda site: chatgptt.ask("Hello", site)):
        with pytest.raises(InvalidInputError, match="site is of the type") as caught:
            call(site)
        assert caught.value.hint


@pytest.mark.parametrize(
    "message",
    [5, None, b"Hello", object(), {"role": "user", "content": "Hello"}, [5], [None], [[]], {"Hello"}],
)
def test_a_message_that_is_none_is_an_error_before_anything_is_sent(demo: DemoSite, message: str) -> None:
    page = demo.page("aipkit/")
    with Client(page, state_dir=None) as client:
        talk = client.conversation()
        calls: tuple[Callable[[], object], ...] = (
            lambda: client.ask(message),
            lambda: client.stream(message),
            lambda: talk.ask(message),
            lambda: talk.stream(message),
            lambda: chatgptt.ask(message, page, state_dir=None),
            lambda: asyncio.run(anext(ChatGptt.create_async_generator("", message, site=page))),
        )
        for call in calls:
            with pytest.raises(InvalidInputError) as caught:
                call()
            assert caught.value.hint
    assert demo.requests == []


@pytest.mark.anyio
async def test_other_arguments_of_a_call_that_cannot_work_are_errors_before_anything_is_sent(
    demo: DemoSite,
) -> None:
    wrong = cast("str", 5)
    async with AsyncClient(demo.page("wpaicg/"), state_dir=None) as client:
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: client.ask("Hello", system=wrong),
            lambda: client.ask("Hello", bot=cast("str", [])),
            lambda: client.ask("Hello", timeout=cast("float", "x")),
            lambda: client.ask("Hello", timeout=True),
            lambda: client.stream("Hello", bot=True).__aenter__(),
            lambda: client.conversation(system=wrong).ask("Hello"),
            lambda: client.conversation(bot=cast("str", object())).ask("Hello"),
            lambda: client.conversation().ask("Hello", timeout=cast("float", [])),
            lambda: client.find_boxes(timeout=cast("float", "x")),
            lambda: client.health_check(message=cast("str", 5)),
            lambda: client.health_check(expect=cast("str", 5)),
            lambda: client.health_check(warn=cast("float", "1")),
            lambda: client.health_check(cert_days=cast("float", "14")),
            lambda: client.health_check(timeout=cast("float", "x")),
            lambda: client.health_check(cast("Literal['full']", [])),
        )
        for call in calls:
            with pytest.raises(InvalidInputError) as caught:
                await call()
            assert caught.value.hint
    assert demo.requests == []


@pytest.mark.parametrize("name", ["total", "connect", "page", "silence"])
@pytest.mark.parametrize("value", ["x", None, True, float("nan"), 0])
def test_each_bound_of_the_timeouts_is_seconds(name: str, value: float) -> None:
    with pytest.raises(InvalidInputError):
        AsyncClient("https://a.test/", timeout=Timeouts(**{name: value}))


@pytest.mark.parametrize("name", ["attempts", "first_wait", "max_wait", "max_retry_after"])
@pytest.mark.parametrize("value", ["3", None, True, [], float("nan"), -1])
def test_a_retry_policy_of_no_numbers_is_an_error(name: str, value: int) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RetryPolicy(**{name: value})  # type: ignore[arg-type]
    assert caught.value.hint


@pytest.mark.anyio
async def test_half_a_character_in_the_system_prompt_is_replaced(demo: DemoSite) -> None:
    async with AsyncClient(demo.page("wpaicg/"), state_dir=None) as client:
        await client.ask("Hello", system="Be brief \ud83d")
    assert "Be brief \ufffd" in (demo.messages[-1].message or "")
