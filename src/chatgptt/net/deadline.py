"""The end of a call: how much time is left, and the error for a wait beyond it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chatgptt._errors import TransportError

_Value = TypeVar("_Value")


class Deadline:
    """The end of a call, by a clock that only goes forward. Seconds.

    `name` and `hint` say in an error which limit it was, and how there may be more time.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        name: str = "",
        hint: str = "allow more time with timeout=",
    ) -> None:
        self.seconds = seconds
        self.name = name or f"time limit of {seconds:g} s"
        self.hint = hint
        self._clock = clock
        self.started = clock()

    def within(self, seconds: float, *, name: str, hint: str) -> Deadline:
        """A deadline for a part of the call, no later than the call's own."""
        remaining = self.remaining()
        if remaining <= seconds:
            return Deadline(remaining, self._clock, name=self.name, hint=self.hint)
        return Deadline(seconds, self._clock, name=name, hint=hint)

    def elapsed(self) -> float:
        """Seconds since the call began."""
        return self._clock() - self.started

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.seconds - self.elapsed())

    def error(self, doing: str, *, url: str, is_sent: bool = False) -> TransportError:
        """The error for a deadline that passed while `doing` something."""
        return TransportError(
            f"the {self.name} passed while {doing}",
            code="timeout",
            hint=self.hint,
            url=url,
            is_sent=is_sent,
        )


async def in_time(work: Awaitable[_Value], deadline: Deadline, *, doing: str, url: str) -> _Value:
    """The result of work within this machine, which may take longer than the call has.

    Raises:
        TransportError: where the deadline passes while `doing` it.
    """
    try:
        async with asyncio.timeout(deadline.remaining()):
            return await work
    except TimeoutError as error:
        raise deadline.error(doing, url=url) from error
