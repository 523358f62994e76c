"""The calls of a case, made by the client itself, and their outcomes."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCalls:
    """The page, the messages and the client's options. `timeout` is in seconds, for each message."""

    site: str
    messages: Sequence[str]
    bot: str | int | None = None
    strategy: Strategy = "static"
    timeout: float
    proxy: str | None = None

    async def make(
        self, transport: httpx.AsyncBaseTransport, record_visit: Callable[[RecordedVisit], None] | None = None
    ) -> tuple[Ask, ...]:
        """Makes the calls through `transport`; `record_visit` gets what a browser loads."""
        async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
            client = AsyncClient(
                self.site,
                bot=self.bot,
                strategy=self.strategy,
                timeout=self.timeout,
                state_dir=None,
                http_client=http,
                proxy=self.proxy,  # for the browser; the transport has its own
                retry=_RETRY,
                browser=BrowserOptions(record_visit=record_visit),
            )
            async with client:
                if not self.messages:
                    return (await _outcome_of(None, self._find_box(client)),)
                if len(self.messages) == 1:
                    return (await _outcome_of(self.messages[0], client.ask(self.messages[0])),)
                chat = client.conversation()
                return tuple([await _outcome_of(message, chat.ask(message)) for message in self.messages])

    async def _find_box(self, client: AsyncClient) -> ChatBox:
        boxes = await client.find_boxes()
        return choose_box(boxes, None if self.bot is None else str(self.bot), client.page)


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
        calls = ClientCalls(
            site=site.page,
            messages=case.messages,
            bot=case.bot or None,
            strategy=case.strategy,
            timeout=timeout,
        )
        asks = await calls.make(transport)
        return tuple(replace(ask, text=site.there(ask.text)) for ask in asks), tuple(site.misses)
