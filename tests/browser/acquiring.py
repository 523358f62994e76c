"""The ladder with the browser at its top, put together as the client does."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import anyio

from chatgptt._models import Strategy, Timeouts
from chatgptt.browser.rung import BrowserRung
from chatgptt.browser.setup import BrowserSetup
from chatgptt.browser.shared import BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.clients import OwnClients
from chatgptt.net.deadline import Deadline
from chatgptt.net.http import DEFAULT_USER_AGENT, Transport
from chatgptt.net.proxies import Proxies
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquired, Wanted
from chatgptt.tokens.endpoint import EndpointRung
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.pages import PageReader
from chatgptt.tokens.static import HtmlRung, ScriptRung
from chatgptt.tokens.store import MemoryStore


class Acquiring:
    def __init__(
        self,
        options: BrowserOptions | None = None,
        *,
        identity: VisitorIdentity | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        home = "http://127.0.0.1/"
        self._clients = OwnClients(Proxies(None), home=home)
        self.transport = Transport(
            self._clients,
            home=home,
            headers=headers or {},
            user_agent=lambda: DEFAULT_USER_AGENT,
            auth=None,
            timeouts=Timeouts(),
            clock=time.time,
        )
        visitor = identity or VisitorIdentity(user_agent=DEFAULT_USER_AGENT)
        self._policy = RetryPolicy(attempts=1)
        self._rung = BrowserRung(
            BrowserSetup(
                options=options,
                identity_for=lambda page: visitor,
                policy=self._policy,
                cookies_for=self.transport.cookies_for,
                reach_of=lambda page: Reach(urlsplit(page).hostname or ""),
                clock=time.time,
                sleep=anyio.sleep,
            )
        )
        self.browser = self._rung.browser

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.browser.close()
        await self._clients.close()

    async def acquire(
        self,
        page: str,
        *,
        strategy: Strategy = "auto",
        rejected: frozenset[str] = frozenset(),
        is_last_resort: bool = False,
        bot: str | None = None,
        timeout: float = 60.0,
    ) -> Acquired:
        reader = PageReader(self.transport, self._policy, clock=time.time, sleep=anyio.sleep)
        rungs = (HtmlRung(reader), ScriptRung(reader), EndpointRung(reader), self._rung)
        ladder = Ladder(rungs, MemoryStore(), strategy)
        return await ladder.acquire(
            Wanted(page=page, bot=bot), Deadline(timeout), rejected, is_last_resort=is_last_resort
        )
