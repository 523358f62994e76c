"""The order in which rows are asked: all sites beside each other, each at its own pace.

A site that is left gets no more messages in this run. Its rows stay new, and a later run asks them. So do the
rows for a box that is missing, while the other boxes of the site are asked.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio

from chatgptt._errors import ChatGpttError
from chatgptt._many import Pace, is_of_box
from chatgptt._models import Reply
from chatgptt.batch.batch import Batch
from chatgptt.batch.rows import Row

Ask = Callable[[Row], Awaitable[Reply | ChatGpttError]]
Sender = Callable[[str], AbstractAsyncContextManager[Ask]]
"""Opens what asks the rows of one origin."""
Box = tuple[str, str]
"""The site and the bot of a row, as the row names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """What a site is asked to bear: messages at once, and messages a minute, None for no limit."""

    concurrency: int = 2
    rate: float | None = 10.0


class Schedule:
    """One run over the new rows of a batch.

    Args:
        batch: the rows.
        sender: asks them.
        manners: hold for each site.
    """

    def __init__(self, batch: Batch, sender: Sender, manners: Manners) -> None:
        self._batch = batch
        self._sender = sender
        self._manners = manners
        self._stopping = anyio.Event()
        self.left: dict[str, ChatGpttError] = {}
        """The sites that were left, by origin, and why."""
        self.passed_over: dict[Box, ChatGpttError] = {}
        """The missing boxes with rows that were therefore not asked, and why they are missing."""

    def stop(self) -> None:
        """Takes no further row; those under way are finished, and may still wait for their site."""
        self._stopping.set()

    async def run(self) -> None:
        """Asks the rows until all have ended, or the rest cannot be asked now."""
        try:
            async with anyio.create_task_group() as tasks:
                for origin in self._batch.journal.origins():
                    tasks.start_soon(self._ask_site, origin)
        except anyio.get_cancelled_exc_class():
            self._batch.settle()
            raise
        except BaseExceptionGroup as group:  # of a full disk, say
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            raise error from group

    async def _ask_site(self, origin: str) -> None:
        pace = Pace(self._manners.rate, clock=time.monotonic, sleep=self._sleep)
        site = _Site(self._batch, origin)
        async with self._sender(origin) as ask, anyio.create_task_group() as tasks:
            for _ in range(self._manners.concurrency):
                tasks.start_soon(self._work, site, ask, pace)
        if pace.left is not None:
            self.left[origin] = pace.left
        self.passed_over |= site.passed_over

    async def _work(self, site: _Site, ask: Ask, pace: Pace) -> None:
        while (row := site.next()) is not None:
            if await pace.take_turn(functools.partial(self._is_over, site, row)):
                self._batch.begin(row)
                self._end(site, pace, row, await ask(row))
            elif not site.passes_over(row):
                return

    def _is_over(self, site: _Site, row: Row) -> bool:
        """Whether the row is not to be asked any more."""
        return self._stopping.is_set() or site.passes_over(row)

    def _end(self, site: _Site, pace: Pace, row: Row, result: Reply | ChatGpttError) -> None:
        if pace.judge(result):
            self._batch.put_back(row)
            site.again.append(row)
        else:
            self._batch.end(row, result)
            if not isinstance(result, Reply) and is_of_box(result):
                site.missing[row.site, row.bot] = result

    async def _sleep(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._stopping.wait()


class _Site:
    """The rows of an origin to ask, one after the other, without those for a box that is `missing`."""

    def __init__(self, batch: Batch, origin: str) -> None:
        self.again: list[Row] = []
        """Rows that the site did not take."""
        self.missing: dict[Box, ChatGpttError] = {}
        """Why a box cannot be asked."""
        self.passed_over: dict[Box, ChatGpttError] = {}
        """Those of the missing boxes with rows that were not asked."""
        self._batch = batch
        self._origin = origin
        self._reached = -1

    def next(self) -> Row | None:
        while (row := self._take()) is not None and self.passes_over(row):
            pass
        return row

    def passes_over(self, row: Row) -> bool:
        """Whether the row's box is missing, so that the row stays new."""
        box = row.site, row.bot
        if box in self.missing:
            self.passed_over[box] = self.missing[box]
        return box in self.missing

    def _take(self) -> Row | None:
        if self.again:
            return self.again.pop()
        row = self._batch.journal.next_new(self._origin, self._reached)
        if row is not None:
            self._reached = row.number
        return row
