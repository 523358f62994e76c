"""Many messages to one site: their pace, the answers as they come, and when a site is left.

A site that is left gets no more messages, nor does a box that is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import TypeVar

from chatgptt._arguments import check_kind
from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    InvalidInputError,
    PageError,
    RateLimitedError,
    RefusedError,
)
from chatgptt._models import Reply

_Row = TypeVar("_Row")

_FIRST_PAUSE = 30.0
"""Seconds after a 429 without Retry-After; each next one doubles it."""

_LONGEST_PAUSE = 600.0
"""Seconds that a site is waited for; one that wants a longer pause is left."""

_MOST_PAUSES = 3
"""Pauses in a row, no answer between them, after which a site is left."""


class Pace:
    """When the next message to a site may be sent, and whether one may at all.

    Args:
        rate: messages a minute, None for no limit.
        clock: seconds that only grow.
        sleep: waits so many seconds, or until something has changed.
    """

    def __init__(
        self, rate: float | None, *, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.left: ChatGpttError | None = None
        """Why no more messages go to the site; None while they do."""
        self._interval = 60.0 / rate if rate else 0.0
        self._clock = clock
        self._sleep = sleep
        self._next = self._pause_ends = clock()
        self._pauses = 0

    async def take_turn(self, is_stopped: Callable[[], bool] = lambda: False) -> bool:
        """Waits until one more message may be sent.

        False where the site is left, and where `is_stopped` says so before or after the wait: no turn is
        taken then.
        """
        while self.left is None and not is_stopped():
            now = self._clock()
            wait = max(self._next, self._pause_ends) - now
            if wait <= 0:
                self._next = now + self._interval
                return True
            await self._sleep(wait)
        return False

    def judge(self, result: Reply | ChatGpttError) -> bool:
        """Learns from how a message ended; True where the site did not take it, and it has to wait."""
        match result:
            case Reply():
                self._pauses = 0
            case RateLimitedError():
                self._pause(result)
                return True
            case _ if _is_of_all(result):
                self.left = result
        return False

    def _pause(self, error: RateLimitedError) -> None:
        now = self._clock()
        if now >= self._pause_ends:  # else it is an answer to a message sent before the pause
            self._pauses += 1
        wait = _FIRST_PAUSE * 2 ** (self._pauses - 1) if error.retry_after is None else error.retry_after
        self._pause_ends = max(self._pause_ends, now + wait)
        if self._pauses > _MOST_PAUSES or wait > _LONGEST_PAUSE:
            self.left = self.left or error


def _is_of_all(error: ChatGpttError) -> bool:
    """Whether the site would say the same to every other message of this visitor."""
    match error:
        case ChallengeError() | PageError(is_block=True):
            return True
        case RefusedError(reason="quota" | "banned_ip" | "guests_disabled" | "consent_required"):
            return True
        case _:
            return False


def is_of_box(error: ChatGpttError) -> bool:
    """Whether every other message for the same box of the page would end the same way."""
    is_page_away = isinstance(error, PageError) and error.status in (401, 404)
    return is_page_away or error.code == "no_chat_box"


def check_manners(concurrency: int, rate: float | None) -> None:
    """Refuses numbers with which no message can be sent.

    Raises:
        InvalidInputError: for a concurrency below 1, and for a rate that is not above 0.
    """
    check_kind("concurrency", concurrency, int, wanted="a whole number")
    check_kind("rate", rate, int, float, None, wanted="messages a minute")
    if concurrency < 1 or not (rate is None or rate > 0):
        raise InvalidInputError(
            "no message can be sent with this concurrency and rate",
            hint="give a concurrency of 1 or more, and a rate above 0 or None",
        )


async def ask_many(
    rows: Iterable[_Row],
    ask: Callable[[_Row], Awaitable[Reply]],
    pace: Pace,
    *,
    bot_of: Callable[[_Row], str],
    concurrency: int,
) -> AsyncGenerator[tuple[_Row, Reply | ChatGpttError]]:
    """Each row with its answer or error, in the order in which they come; see AsyncClient.ask_many.

    The messages under way are plain tasks: a task group must not span a `yield`.
    """
    missing: dict[str, ChatGpttError] = {}  # by bot: why its box cannot be asked

    async def end(row: _Row) -> tuple[_Row, Reply | ChatGpttError]:
        bot = bot_of(row)
        while await pace.take_turn(lambda: bot in missing):
            result: Reply | ChatGpttError
            try:
                result = await ask(row)
            except ChatGpttError as error:
                result = error
                if is_of_box(error):
                    missing[bot] = error
            if not pace.judge(result):
                return row, result
        if bot in missing:
            return row, missing[bot]
        assert pace.left is not None
        return row, pace.left

    waiting = iter(rows)
    tasks: set[asyncio.Task[tuple[_Row, Reply | ChatGpttError]]] = set()
    is_over = False
    try:
        while True:
            while not is_over and len(tasks) < concurrency:
                try:
                    tasks.add(asyncio.create_task(end(next(waiting))))
                except StopIteration:
                    is_over = True
            if not tasks:
                return
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
