"""One browser for all clients of a process: it starts on first need, ends when idle, and restarts if it died.

Clients share nothing but the browser. Each visit has a tab in a context of its own, with the cookies, headers
and proxy of its client. The browser ends with the last client that used it. It is driven in a thread of its
own (see `driver`), so that clients of all event loops and threads can share it.

No visit waits for the slow parts: a used tab is closed in the background, and an empty one is prepared for
the next visit.

A forked process does not use its parent's browser: it starts one of its own.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt.browser.calls import Crashed
from chatgptt.browser.chromium import Chromium
from chatgptt.browser.driver import DriverThread, browser_is_closed
from chatgptt.browser.installed import find_browser
from chatgptt.browser.visitor import TabOptions, VisitorIdentity
from chatgptt.net.loops import call_in_child
from chatgptt.state.files import check_file

if TYPE_CHECKING:
    from chatgptt.browser.page_loads import RecordedVisit
    from chatgptt.browser.tab import Tab

    _AnyTask = asyncio.Task[None] | asyncio.Task[Tab] | asyncio.Task[Chromium]

_log = logging.getLogger("chatgptt.browser")
_Value = TypeVar("_Value")

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
        trace: where Playwright's trace of a failed visit is written, for `playwright show-trace FILE`; None
            keeps none.
        screenshot: where a picture of the page is written when a visit fails, as PNG; None keeps none.
        idle: seconds without a visit after which it is ended.
        cache: a folder from which Playwright's driver starts faster the next time; None keeps nothing.
        record_visit: is called with what each visit loaded and its final document; None records nothing.

    Raises:
        InvalidInputError: for a trace or a picture that cannot be written there.
    """

    executable: str | None = None
    is_headed: bool = False
    trace: Path | None = None
    screenshot: Path | None = None
    idle: float = IDLE
    cache: Path | None = None
    record_visit: Callable[[RecordedVisit], None] | None = None

    def __post_init__(self) -> None:
        for file in (self.trace, self.screenshot):
            if file is not None:
                check_file(file, makes_folder=True)


class SharedBrowser:
    """A client's way to the browser of the process."""

    def __init__(self, options: BrowserOptions) -> None:
        self._options = options
        self._is_closed = False
        self._process: _Process | None = None
        self._visits: set[asyncio.Task[object]] = set()
        self._writing: set[asyncio.Task[None]] = set()

    @property
    def is_running(self) -> bool:
        """Whether there is a browser for it at this moment."""
        return self._process is not None and self._process.browser_for(self._options).is_running

    async def visit(self, identity: VisitorIdentity, work: Callable[[Tab], Awaitable[_Value]]) -> _Value:
        """The result of `work` with an empty tab; waits while too many tabs are open.

        It is done in the browser's event loop. Where the caller is cancelled, so is `work`.

        Raises:
            BrowserError: where no browser can be run.
        """
        process = self._attach()
        return await process.thread.run(lambda: self._visit(process, identity, work))

    def prepare(self) -> None:
        """Starts the browser in the background, for a visit that is likely to follow."""
        process = self._attach()
        process.thread.call_soon(lambda: self._prepare(process))

    def _prepare(self, process: _Process) -> None:
        if not self._is_closed:
            browser = process.browser_for(self._options)
            browser.users.add(self)
            browser.spawn(browser.prepare(self._options))

    def _attach(self) -> _Process:
        process = _get_process()
        if process is not self._process:  # the first visit, or the first one after a fork
            self._process, self._visits, self._writing = process, set(), set()
        return process

    async def close(self) -> None:
        """Ends the client's visits for good, and the browser where no other client has used it."""
        process = self._process
        self._is_closed = True
        if process is not None and process is _here:
            await process.thread.run(lambda: self._leave(process))

    async def _visit(
        self, process: _Process, identity: VisitorIdentity, work: Callable[[Tab], Awaitable[_Value]]
    ) -> _Value:
        if self._is_closed:
            raise browser_is_closed()
        visit: asyncio.Task[object] | None = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        browser = process.browser_for(self._options)
        browser.users.add(self)
        try:
            with browser.visit(self._options.idle):
                try:
                    return await self._work_in_tab(browser, identity, work)
                except Crashed:
                    await browser.end_if_dead()
                    raise
        finally:
            self._visits.discard(visit)

    async def _work_in_tab(
        self, browser: _Browser, identity: VisitorIdentity, work: Callable[[Tab], Awaitable[_Value]]
    ) -> _Value:
        writes = self._options.trace is not None or self._options.screenshot is not None
        tab = await browser.take_tab(self._options, identity)
        is_failed = True
        try:
            result = await work(tab)
            await self._record(tab)
            is_failed = False
            return result
        except Crashed:
            is_failed = False  # nothing can be recorded
            raise
        except ChatGpttError:
            with anyio.CancelScope(shield=True):
                await self._record(tab)
            raise
        finally:
            closing = browser.put_away(tab, is_failed=is_failed)
            if is_failed and writes:
                self._writing.add(closing)
                closing.add_done_callback(self._writing.discard)

    async def _record(self, tab: Tab) -> None:
        if self._options.record_visit is not None:
            self._options.record_visit(await tab.recorded_visit())

    async def _leave(self, process: _Process) -> None:
        await self.end_visits()
        await process.leave(self)

    async def end_visits(self) -> None:
        """Cancels the visits under way; for the browser's event loop."""
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        if self._writing:
            await asyncio.wait(self._writing)


# The process


_lock = threading.Lock()
_here: _Process | None = None
_inherited: list[_Process] = []
"""Those of the parent processes. They are kept, since Python closes what it collects."""


def _get_process() -> _Process:
    """The browsers of this process; made on first need."""
    global _here
    with _lock:
        if _here is None:
            _here = _Process()
            atexit.register(_here.stop)
        return _here


def _forget_parents() -> None:
    global _here, _lock
    _lock = threading.Lock()  # another thread may have had it
    if _here is not None:
        atexit.unregister(_here.stop)
        _inherited.append(_here)
        _here = None


call_in_child(_forget_parents)


class _Process:
    """The browsers of a process, and the thread that they are driven in.

    There is one browser for all clients, unless they ask for another executable, or for a window.
    """

    def __init__(self) -> None:
        self.thread = DriverThread()
        self._browsers: dict[tuple[str | None, bool], _Browser] = {}

    def browser_for(self, options: BrowserOptions) -> _Browser:
        """The one that these options ask for."""
        kind = options.executable or os.environ.get("CHATGPTT_BROWSER") or None, options.is_headed
        if kind not in self._browsers:
            self._browsers[kind] = _Browser()
        return self._browsers[kind]

    async def leave(self, user: SharedBrowser) -> None:
        """Ends each browser that only this client has used."""
        for browser in list(self._browsers.values()):
            browser.users.discard(user)
            await browser.end_if_unused()

    def stop(self) -> None:
        """Ends everything."""
        self.thread.stop(self._end)

    async def _end(self) -> None:
        for browser in list(self._browsers.values()):
            for user in list(browser.users):
                await user.end_visits()
            await browser.end()


class _Browser:
    """One browser; lives in the thread's event loop."""

    def __init__(self) -> None:
        self.users: weakref.WeakSet[SharedBrowser] = weakref.WeakSet()
        self._chromium: Chromium | None = None
        self._starting: asyncio.Task[Chromium] | None = None
        self._slots = asyncio.Semaphore(MOST_TABS)
        self._visits = 0
        self._spare: asyncio.Task[Tab] | None = None
        self._work: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is there at this moment."""
        return self._chromium is not None and self._chromium.is_alive

    @contextlib.contextmanager
    def visit(self, idle: float) -> Iterator[None]:
        """One visit: the browser is not idle meanwhile, nor before `idle` seconds have passed."""
        self._visits += 1
        self._start_timer(idle)
        try:
            yield
        finally:
            self._visits -= 1
            self._start_timer(idle)

    async def prepare(self, options: BrowserOptions) -> None:
        """Starts the browser for a visit that is likely to follow, which also reports failures."""
        try:
            with contextlib.suppress(BrowserError):
                await self._get_chromium(options)
        finally:
            self._start_timer(options.idle)

    def _start_timer(self, idle: float) -> None:
        """Ends the browser after `idle` seconds, if no visit is under way."""
        if self._timer is not None:
            self._timer.cancel()
        if self._visits == 0:
            self._timer = asyncio.get_running_loop().call_later(idle, lambda: self.spawn(self._end_if_idle()))

    async def take_tab(self, options: BrowserOptions, identity: VisitorIdentity) -> Tab:
        """A slot, and an empty tab in it."""
        wanted = TabOptions(
            identity=identity,
            trace=options.trace,
            screenshot=options.screenshot,
            is_recorded=options.record_visit is not None,
        )
        spare, self._spare = self._spare, None  # the spare tab's slot goes to this visit
        if spare is None:
            await self._slots.acquire()
        try:
            tab = None if spare is None else await self._maybe_use(spare, wanted)
            if tab is None:
                tab = await (await self._get_chromium(options)).open_tab(wanted)
            return tab
        except BaseException:
            self._slots.release()
            raise

    def put_away(self, tab: Tab, *, is_failed: bool) -> asyncio.Task[None]:
        """Closes a used tab in the background, and prepares another one."""
        task = self.spawn(tab.close(writes_evidence=is_failed))
        task.add_done_callback(lambda _: self._pass_slot_on(tab))
        return task

    async def end_if_unused(self) -> None:
        """Ends it where no client is left that has used it."""
        if not self.users and not self._visits:
            await self.end()

    async def end(self) -> None:
        """Ends the browser and all its processes, at whatever step it is."""
        if self._timer is not None:
            self._timer.cancel()
        with anyio.CancelScope(shield=True):
            begun: set[_AnyTask] = {task for task in self._work if task is not asyncio.current_task()}
            begun |= {task for task in (self._spare, self._starting) if task is not None}
            for task in begun:
                task.cancel()
            self._discard()
            begun |= self._closing
            if begun:
                await asyncio.wait(begun)

    async def _get_chromium(self, options: BrowserOptions) -> Chromium:
        if self._chromium is not None and not self._chromium.is_alive:
            self._discard()
        if self._chromium is not None:
            return self._chromium
        if self._starting is None or self._starting.done():
            # In a task of its own, so that the start goes on when the first caller is cancelled.
            self._starting = asyncio.create_task(self._start(options), name="the start of the browser")
            self._starting.add_done_callback(_log_failure)
        starting = self._starting
        try:
            await asyncio.wait((starting,))
            return starting.result()
        except asyncio.CancelledError:
            if starting.cancelled():
                raise browser_is_closed() from None
            raise

    def _discard(self) -> None:
        """Ends the browser in the background."""
        chromium, self._chromium = self._chromium, None
        spare, self._spare = self._spare, None
        if spare is not None:
            spare.cancel()
            self._slots.release()
        if chromium is not None:
            self.spawn(chromium.close(), self._closing)

    async def _start(self, options: BrowserOptions) -> Chromium:
        if self._closing:  # one at a time
            await asyncio.wait(self._closing)
        found = find_browser(options.executable, needs_window=options.is_headed)
        _log.info("starting %s", found.path)
        chromium = Chromium(found, is_headed=options.is_headed, cache=options.cache)
        try:
            await chromium.start()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await chromium.close()
            raise
        self._chromium, self._starting = chromium, None
        return chromium

    async def _maybe_use(self, spare: asyncio.Task[Tab], options: TabOptions) -> Tab | None:
        """The tab that was prepared, if it has the same options."""
        try:
            await asyncio.wait((spare,))
            tab = spare.result()
        except Crashed:
            return None
        except asyncio.CancelledError:
            if spare.cancelled():  # the browser was ended meanwhile
                return None
            spare.add_done_callback(self._close_unused)
            raise
        if tab.options == options and self._chromium is not None and self._chromium.is_alive:
            return tab
        self.spawn(tab.close())
        return None

    def _close_unused(self, spare: asyncio.Task[Tab]) -> None:
        if not spare.cancelled() and spare.exception() is None:
            self.spawn(spare.result().close())

    def _pass_slot_on(self, tab: Tab) -> None:
        """Gives a closed tab's slot to a new spare tab, else to the next visit that waits."""
        chromium = self._chromium
        if chromium is None or not chromium.is_alive or self._spare is not None or self._visits >= MOST_TABS:
            self._slots.release()
            return
        self._spare = asyncio.create_task(chromium.open_tab(tab.options), name="a tab for the next visit")
        self._spare.add_done_callback(_log_failure)

    async def end_if_dead(self) -> None:
        """Drops the browser where it does not answer any more, so that a new one starts."""
        chromium = self._chromium
        if chromium is not None and not await chromium.is_responding() and chromium is self._chromium:
            self._discard()

    async def _end_if_idle(self) -> None:
        if self._visits == 0:
            _log.info("ending the browser, which is idle")
            await self.end()

    def spawn(
        self, work: Coroutine[object, object, None], among: set[asyncio.Task[None]] | None = None
    ) -> asyncio.Task[None]:
        """Does something in the background; `end` ends it, unless it is `among` others."""
        tasks = self._work if among is None else among
        task = asyncio.ensure_future(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task


def _log_failure(task: asyncio.Task[Chromium] | asyncio.Task[Tab]) -> None:
    """Logs at once why a task failed: those that waited for it may have given up."""
    if not task.cancelled() and task.exception() is not None:
        _log.debug("%s failed: %s", task.get_name(), task.exception())
