"""The end of a call: how much time is left, and what a wait beyond it raises.

A read or write of the network lies below httpx, which knows nothing of the call. `until` says there when
the call ends.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

import anyio
import anyio.lowlevel

from chatgptt._errors import TransportError

__all__ = ["Deadline", "bounded", "in_time", "until"]

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


async def in_time(work: Awaitable[_Value], deadline: Deadline, *, doing: str, url: str) -> _Value:
    """The result of work within this machine, which may take longer than the call has.

    Raises:
        TransportError: where the deadline passes while `doing` it.
    """
    try:
        with anyio.fail_after(deadline.remaining()):
            return await work
    except TimeoutError as error:
        raise TransportError(
            f"the {deadline.name} passed while {doing}", code="timeout", hint=deadline.hint, url=url
        ) from error


_left: ContextVar[Callable[[], float] | None] = ContextVar("left", default=None)


class until:
    """Within the block no read or write of a `Network` waits longer than what `remaining` says then.

    A class, since a generator would take twice its time, which is spent for each piece of an answer.
    """

    __slots__ = ("_remaining", "_token")

    def __init__(self, remaining: Callable[[], float]) -> None:
        self._remaining = remaining

    def __enter__(self) -> None:
        self._token = _left.set(self._remaining)

    def __exit__(self, *error: object) -> None:
        _left.reset(self._token)


def bounded(timeout: float | None) -> float | None:
    """Seconds that a read or write may take; None for any."""
    left = _left.get()
    if left is None:
        return timeout
    return left() if timeout is None else min(timeout, left())
