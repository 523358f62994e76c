"""How long the network is waited for: a call says it, what reads and writes heeds it, httpx is in between."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

__all__ = ["bounded", "until"]

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
