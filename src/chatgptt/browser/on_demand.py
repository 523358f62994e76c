"""The browser rung of a client, imported on first use.

Its modules take longer to import than all other rungs, and most pages have their tokens in the markup. So
they are imported in functions alone: here, and in the function of `_client` that makes the rung's setup.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chatgptt._models import Rung
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts

if TYPE_CHECKING:
    from chatgptt.browser.rung import BrowserRung
    from chatgptt.browser.setup import BrowserSetup


class BrowserOnDemand:
    """Runs the page in a browser that is started when a page needs one; `make_setup` is called then."""

    name: Rung = "browser"

    def __init__(self, make_setup: Callable[[], BrowserSetup]) -> None:
        self._make_setup = make_setup
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

            self._rung = BrowserRung(self._make_setup())
        return self._rung

    async def close(self) -> None:
        """Ends the browser for good, if there is one."""
        self._is_closed = True
        if self._rung is not None:
            await self._rung.close()
