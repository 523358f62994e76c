"""The browser rung of a client, made when it is first used.

Its modules take longer to import than those that find tokens in a page's markup, where most pages have them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from chatgptt._models import Rung, StoredCookie
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts

if TYPE_CHECKING:
    from chatgptt.browser.rung import BrowserRung
    from chatgptt.browser.shared import BrowserOptions, SharedBrowser

__all__ = ["BrowserOnDemand"]


class BrowserOnDemand:
    """Runs the page in a browser that is started when a page needs one.

    Args:
        options: how it is run; None takes the defaults.
        folder: where the client keeps its state; None for nowhere.
        user_agent: the client's; with `headers`, `auth` and `proxy` it says as whom a page is visited.
        headers: with lower-case names.
        auth: user and password for HTTP basic authentication.
        proxy: its URL; None heeds the environment.
        policy: how often and how patiently a visit that fails for a passing reason is repeated.
        cookies_for: what the visitor has of a page's site.
        reach_of: where a page's site may lead.
        clock: Unix time in seconds.
        sleep: waits that many seconds.
    """

    name: Rung = "browser"

    def __init__(
        self,
        options: BrowserOptions | None,
        *,
        folder: Path | None,
        user_agent: str,
        headers: Mapping[str, str],
        auth: tuple[str, str] | None,
        proxy: str | None,
        policy: RetryPolicy,
        cookies_for: Callable[[str], tuple[StoredCookie, ...]],
        reach_of: Callable[[str], Reach],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._options = options
        self._folder = folder
        self._user_agent = user_agent
        self._headers = headers
        self._auth = auth
        self._proxy = proxy
        self._policy = policy
        self._cookies_for = cookies_for
        self._reach_of = reach_of
        self._clock = clock
        self._sleep = sleep
        self._is_closed = False
        self._made: tuple[SharedBrowser, BrowserRung] | None = None

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        if self._made is None:
            self._made = self._make()
            if self._is_closed:
                await self.close()
        return await self._made[1].acquire(facts, acquisition)

    async def close(self) -> None:
        """Ends the browser for good, if there is one."""
        self._is_closed = True
        if self._made is not None:
            await self._made[0].close()

    def _make(self) -> tuple[SharedBrowser, BrowserRung]:
        # Here, for the reason above.
        from chatgptt.browser.rung import BrowserRung
        from chatgptt.browser.shared import BrowserOptions, SharedBrowser
        from chatgptt.browser.visitor import identity_for

        options = self._options or BrowserOptions()
        if options.cache is None and self._folder is not None:
            # A place for what the browser's driver compiles, which saves a tenth of a second a start.
            options = dataclasses.replace(options, cache=self._folder / "playwright-cache")
        identity = functools.partial(
            identity_for,
            user_agent=self._user_agent,
            headers=self._headers,
            auth=self._auth,
            proxy=self._proxy,
        )
        browser = SharedBrowser(options)
        rung = BrowserRung(
            browser,
            identity,
            self._policy,
            cookies_for=self._cookies_for,
            reach_of=self._reach_of,
            clock=self._clock,
            sleep=self._sleep,
        )
        return browser, rung
