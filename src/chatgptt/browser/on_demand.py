"""The browser rung of a client, imported on first use.

This is the only place that imports it. Its modules take longer to import than all other rungs, and most pages
have their tokens in the markup.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chatgptt._models import Rung, StoredCookie
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts
from chatgptt.visits.current import CurrentVisit

if TYPE_CHECKING:
    from chatgptt.browser.rung import BrowserRung
    from chatgptt.browser.shared import BrowserOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSetup:
    """What a browser rung needs of its client.

    Attributes:
        options: how the browser is run; None takes the defaults.
        folder: where the client keeps its state; None for nowhere.
        identity_for: the visitor of a page, by the page's URL.
        policy: how often and how patiently a visit that fails for a passing reason is repeated.
        cookies_for: the visitor's cookies of a page's site.
        reach_of: where a page's site may lead.
        clock: Unix time in seconds.
        sleep: waits that many seconds.
        visit: whose cookies those that the browser gets are.
    """

    identity_for: Callable[[str], VisitorIdentity]
    policy: RetryPolicy
    cookies_for: Callable[[str], tuple[StoredCookie, ...]]
    reach_of: Callable[[str], Reach]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    options: BrowserOptions | None = None
    folder: Path | None = None
    visit: CurrentVisit = field(default_factory=CurrentVisit)


class BrowserOnDemand:
    """Runs the page in a browser that is started when a page needs one."""

    name: Rung = "browser"

    def __init__(self, setup: BrowserSetup) -> None:
        self._setup = setup
        self._is_closed = False
        self._rung: BrowserRung | None = None

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        rung = self._get_rung()
        if self._is_closed:
            await rung.close()
        return await rung.acquire(facts, acquisition)

    def prepare(self) -> None:
        """Starts the browser in the background, for a page that is likely to need it."""
        if not self._is_closed:
            self._get_rung().browser.prepare()

    def _get_rung(self) -> BrowserRung:
        if self._rung is None:
            from chatgptt.browser.rung import BrowserRung

            self._rung = BrowserRung(self._setup)
        return self._rung

    async def close(self) -> None:
        """Ends the browser for good, if there is one."""
        self._is_closed = True
        if self._rung is not None:
            await self._rung.close()
