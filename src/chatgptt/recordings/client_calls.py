"""The calls of a case, made by the client itself, and their outcomes."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import httpx

from chatgptt._client import AsyncClient
from chatgptt._errors import BrowserError, ChatGpttError, InvalidInputError, RefusedError
from chatgptt._models import ChatBox, Reply, Strategy
from chatgptt.browser.page_loads import RecordedVisit
from chatgptt.browser.shared import BrowserOptions
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.box_choice import choose_box
from chatgptt.recordings.case import Ask, Case
from chatgptt.recordings.replay import serve_case

LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
_RETRY = RetryPolicy(first_wait=0.05)
"""The usual number of attempts, with short waits: they are no part of a case."""


async def make_calls(
    transport: httpx.AsyncBaseTransport,
    site: str,
    messages: Sequence[str],
    *,
    bot: str | int | None = None,
    strategy: Strategy = "static",
    timeout: float,
    proxy: str | None = None,
    record_visit: Callable[[RecordedVisit], None] | None = None,
) -> tuple[Ask, ...]:
    """The outcomes of the calls. `timeout` is in seconds, for each message.

    `record_visit` gets what a browser loads. The proxy is for the browser: the transport has its own.
    """
    async with (
        httpx.AsyncClient(transport=transport, trust_env=False) as http,
        AsyncClient(
            site,
            bot=bot,
            strategy=strategy,
            timeout=timeout,
            state_dir=None,
            http_client=http,
            proxy=proxy,
            retry=_RETRY,
            browser=BrowserOptions(record_visit=record_visit),
        ) as client,
    ):
        if not messages:
            return (await _outcome_of(None, _find_box(client, bot)),)
        if len(messages) == 1:
            return (await _outcome_of(messages[0], client.ask(messages[0])),)
        chat = client.conversation()
        return tuple([await _outcome_of(message, chat.ask(message)) for message in messages])


async def _find_box(client: AsyncClient, bot: str | int | None) -> ChatBox:
    return choose_box(await client.find_boxes(), None if bot is None else str(bot), client.page)


async def _outcome_of(message: str | None, call: Awaitable[Reply | ChatBox]) -> Ask:
    try:
        found = await call
    except (InvalidInputError, BrowserError):
        raise
    except ChatGpttError as error:
        reason = error.reason if isinstance(error, RefusedError) else ""
        return Ask(message=message, outcome=error.code, reason=reason, text=error.partial_text)
    if isinstance(found, ChatBox):
        return Ask(message=message, outcome="found", rung=found.found_by if found.nonce else None)
    return Ask(
        message=message,
        outcome="answered",
        rung=found.tokens_from,
        text=found.text,
        is_streamed=found.is_streamed,
        attempts=found.attempts,
    )


async def play(
    case: Case, *, is_real_time: bool = False, timeout: float = 60.0
) -> tuple[tuple[Ask, ...], tuple[str, ...]]:
    """Replays a case: the outcomes of its calls, and the requests that are not in the case.

    Args:
        case: the case.
        is_real_time: whether replies take the recorded time.
        timeout: seconds for each message.
    """
    # A replay is plain HTTP: an empty TLS context is made at once, the usual one is not.
    transport = httpx.AsyncHTTPTransport(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), limits=LIMITS)
    with serve_case(case, is_real_time=is_real_time) as site:
        asks = await make_calls(
            transport,
            site.page,
            case.messages,
            bot=case.bot or None,
            strategy=case.strategy,
            timeout=timeout,
        )
        return tuple(replace(ask, text=site.there(ask.text)) for ask in asks), tuple(site.misses)
