"""Clients as the tests want them: nothing kept on disk, short waits, a bound that no test ever reaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict, Unpack

import httpx

from chatgptt import AsyncClient, ChatGpttError, Reply, RetryPolicy, Store, Strategy, Timeouts

QUICK = RetryPolicy(first_wait=0.01)
ECHO = "This answer is made up by the demo, no AI was asked. You wrote: "


class Options(TypedDict, total=False):
    bot: str | int | None
    ajax_url: str | None
    strategy: Strategy
    proxy: str | None
    timeout: float | Timeouts | None
    retry: RetryPolicy | None
    headers: Mapping[str, str] | None
    user_agent: str | None
    state_dir: str | Path | None
    store: Store | str | None
    http_client: httpx.AsyncClient | None


def client_of(page: str, **options: Unpack[Options]) -> AsyncClient:
    options = {"state_dir": None, "retry": QUICK, "timeout": 30.0, **options}
    return AsyncClient(page, **options)


async def outcome(page: str, message: str = "Hello", **options: Unpack[Options]) -> Reply | ChatGpttError:
    """The answer or the error of one message from a visitor whom the site has never seen."""
    async with client_of(page, **options) as client:
        try:
            return await client.ask(message)
        except ChatGpttError as error:
            return error


async def failure(page: str, message: str = "Hello", **options: Unpack[Options]) -> ChatGpttError:
    result = await outcome(page, message, **options)
    assert isinstance(result, ChatGpttError), result
    return result


async def answer(page: str, message: str = "Hello", **options: Unpack[Options]) -> Reply:
    result = await outcome(page, message, **options)
    assert isinstance(result, Reply), result
    return result
