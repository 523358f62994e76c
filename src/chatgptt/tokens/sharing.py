"""One browser for all acquisitions: started on first need, ended when idle, started anew when it died.

The slow parts are kept out of the way: a used tab is closed in the background, and an empty one made ready
for the next visit. It lives in the event loop that first needed it; in another one a new browser is started.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt._files import check_file
from chatgptt.tokens.browser import Chromium, Crashed, Disguise, Tab
from chatgptt.tokens.installed import find_browser
from chatgptt.tokens.witness import Witness

__all__ = ["BrowserOptions", "SharedBrowser"]

_log = logging.getLogger("chatgptt.browser")

_AnyTask = asyncio.Task[None] | asyncio.Task[Tab] | asyncio.Task[Chromium]

MOST_TABS = 4
"""Open at once, the one that is kept ready included. More of them on an ordinary machine only slow each other
down."""

IDLE = 30.0
"""Seconds without a visit after which the browser is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserOptions:
    """How the browser is run.

    Attributes:
        executable: the browser; None heeds `CHATGPTT_BROWSER`, then takes the first one found.
        is_headed: whether it shows its window, to watch it.
        trace: where Playwright's trace of a failed visit is written; None keeps none.
        idle: seconds without a visit after which it is ended.
        cache: a folder from which Playwright's driver starts faster the next time; None keeps nothing.
        witness: is told what each visit loaded and what its page became, to record it; None costs nothing.

    Raises:
        InvalidInputError: for a trace that cannot be written there.
    """

    executable: str | None = None
    is_headed: bool = False
    trace: Path | None = None
    idle: float = IDLE
    cache: Path | None = None
    witness: Witness | None = None

    def __post_init__(self) -> None:
        if self.trace is not None:
            check_file(self.trace, makes_folder=True)


class SharedBrowser:
    """Hands out tabs of one browser."""

    def __init__(self, options: BrowserOptions) -> None:
        self._options = options
        self._is_closed = False
        self._here: _Here | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a browser at this moment."""
        return self._here is not None and self._here.is_running

    @contextlib.asynccontextmanager
    async def tab(self, disguise: Disguise) -> AsyncIterator[Tab]:
        """An empty tab; waits while too many are open.

        Raises:
            BrowserError: where no browser can be run.
        """
        if self._is_closed:
            raise BrowserError("the browser is closed", hint="make a new client")
        here = self._get_here()
        async with here.visit():
            try:
                tab = await here.take(disguise)
            except Crashed:
                await here.end_if_dead()
                raise
            is_failed = False
            try:
                yield tab
            except Crashed:
                await here.end_if_dead()
                raise
            except BaseException as error:
                is_failed = True
                if isinstance(error, ChatGpttError):
                    with anyio.CancelScope(shield=True):
                        await self._tell_of(tab)
                raise
            else:
                await self._tell_of(tab)
            finally:
                here.put_away(tab, is_failed=is_failed)

    async def _tell_of(self, tab: Tab) -> None:
        if self._options.witness is not None:
            self._options.witness(await tab.witnessed())

    async def close(self) -> None:
        """Ends the browser for good."""
        self._is_closed = True
        if self._here is not None:
            await self._here.end()

    def _get_here(self) -> _Here:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            raise BrowserError(
                "Playwright, which runs the browser, works under asyncio only",
                hint="use asyncio, or the strategy static",
            ) from error
        if self._here is None or self._here.loop is not loop:
            if self._here is not None:
                self._here.abandon()
            self._here = _Here(self._options, loop)
        return self._here

    def __del__(self) -> None:
        if self._here is not None:
            self._here.abandon()


class _Here:
    """The browser of one event loop."""

    def __init__(self, options: BrowserOptions, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._options = options
        self._chromium: Chromium | None = None
        self._starting: asyncio.Task[Chromium] | None = None
        self._slots = asyncio.Semaphore(MOST_TABS)
        self._visits = 0
        self._spare: asyncio.Task[Tab] | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._traces: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a browser at this moment."""
        return self._chromium is not None and self._chromium.is_alive

    @contextlib.asynccontextmanager
    async def visit(self) -> AsyncIterator[None]:
        """One visit: the browser is not idle meanwhile."""
        self._visits += 1
        if self._timer is not None:
            self._timer.cancel()
        try:
            yield
        finally:
            self._visits -= 1
            if self._visits == 0:
                self._timer = self.loop.call_later(
                    self._options.idle, lambda: self._spawn(self._end_if_idle())
                )

    async def take(self, disguise: Disguise) -> Tab:
        """A slot, and an empty tab in it."""
        spare, self._spare = self._spare, None  # its slot is taken over with it
        if spare is None:
            await self._slots.acquire()
        try:
            if spare is not None:
                tab = await self._finish(spare, disguise)
                if tab is not None:
                    return tab
            chromium = await self._get_chromium()
            return await chromium.open_tab(disguise)
        except BaseException:
            self._slots.release()
            raise

    def put_away(self, tab: Tab, *, is_failed: bool) -> None:
        """Closes a used tab in the background, and makes another one ready."""
        if is_failed and self._options.trace is not None:
            task = self._spawn(_trace_and_close(tab), self._traces)
        else:
            task = self._spawn(tab.close())
        task.add_done_callback(lambda _: self._replace(tab))

    async def end(self) -> None:
        """Ends the browser, whatever it is doing; nothing of it goes on afterwards."""
        if self._timer is not None:
            self._timer.cancel()
        with anyio.CancelScope(shield=True):
            if self._traces:
                await asyncio.wait(self._traces)
            begun: set[_AnyTask] = {task for task in self._work if task is not asyncio.current_task()}
            begun |= {task for task in (self._spare, self._starting) if task is not None}
            for task in begun:
                task.cancel()
            self._discard()
            begun |= self._closing
            if begun:
                await asyncio.wait(begun)

    def abandon(self) -> None:
        """Leaves the end to the lifeline."""
        if self._chromium is not None:
            self._chromium.abandon()

    async def _get_chromium(self) -> Chromium:
        if self._chromium is not None and not self._chromium.is_alive:
            self._discard()
        if self._chromium is not None:
            return self._chromium
        if self._starting is None:
            # In a task of its own: whoever wants it first may leave, and is not held up by what that takes.
            self._starting = self.loop.create_task(self._start())
            self._starting.add_done_callback(self._started)
        starting = self._starting
        try:
            await asyncio.wait((starting,))
            return starting.result()
        except asyncio.CancelledError:
            if starting.cancelled():
                raise BrowserError(
                    "the browser was closed while it started", hint="close the client after the last call"
                ) from None
            raise

    def _started(self, starting: asyncio.Task[Chromium]) -> None:
        self._starting = None
        if not starting.cancelled() and starting.exception() is None:
            self._chromium = starting.result()

    def _discard(self) -> None:
        """Lets the browser end by itself: nobody has to wait for that."""
        chromium, self._chromium = self._chromium, None
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            self._slots.release()
        if chromium is not None:
            self._spawn(chromium.close(), self._closing)

    async def _start(self) -> Chromium:
        options = self._options
        found = await anyio.to_thread.run_sync(
            lambda: find_browser(options.executable, needs_window=options.is_headed), abandon_on_cancel=True
        )
        _log.info("starting %s", found.path)
        chromium = Chromium(
            found,
            is_headed=options.is_headed,
            trace=options.trace,
            cache=options.cache,
            is_witnessed=options.witness is not None,
        )
        try:
            await chromium.start()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await chromium.close()
            raise
        return chromium

    async def _finish(self, spare: asyncio.Task[Tab], disguise: Disguise) -> Tab | None:
        """The tab that was made ready, if it will do."""
        try:
            await asyncio.wait((spare,))
            tab = spare.result()
        except Crashed:
            return None
        except asyncio.CancelledError:
            if spare.cancelled():  # the browser was ended meanwhile
                return None
            spare.add_done_callback(self._drop)
            raise
        if tab.disguise == disguise and self._chromium is not None and self._chromium.is_alive:
            return tab
        self._spawn(tab.close())
        return None

    def _drop(self, spare: asyncio.Task[Tab]) -> None:
        if not spare.cancelled() and spare.exception() is None:
            self._spawn(spare.result().close())

    def _replace(self, tab: Tab) -> None:
        """Hands a closed tab's slot on: to the tab that is made ready, else to whoever waits."""
        chromium = self._chromium
        if chromium is None or not chromium.is_alive or self._spare is not None or self._visits >= MOST_TABS:
            self._slots.release()
            return
        self._spare = asyncio.ensure_future(chromium.open_tab(tab.disguise))
        self._spare.add_done_callback(_take_note)

    async def end_if_dead(self) -> None:
        """Makes way for a new browser, where this one does not answer any more."""
        chromium = self._chromium
        if chromium is not None and not await chromium.is_responding() and chromium is self._chromium:
            self._discard()

    async def _end_if_idle(self) -> None:
        if self._visits == 0:
            _log.info("ending the browser, which was idle for %g s", self._options.idle)
            await self.end()

    def _spawn(
        self, work: Coroutine[object, object, None], among: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        tasks = self._work if among is None else among
        task = self.loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task


async def _trace_and_close(tab: Tab) -> None:
    await tab.keep_trace()
    await tab.close()


def _take_note(task: asyncio.Task[Tab]) -> None:
    """A tab that could not be made ready is missed only by the visit that wants it."""
    if not task.cancelled() and task.exception() is not None:
        _log.debug("no tab could be made ready: %s", task.exception())
