"""How long the network is waited for: a call says it, what reads and writes heeds it, httpx is in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

__all__ = ["bounded", "until"]

_left: ContextVar[Callable[[], float] | None] = ContextVar("left", default=None)


@contextlib.contextmanager
def until(remaining: Callable[[], float]) -> Iterator[None]:
    """Within the block no read or write of a `Network` waits longer than what `remaining` says then."""
    token = _left.set(remaining)
    try:
        yield
    finally:
        _left.reset(token)


def bounded(timeout: float | None) -> float | None:
    """Seconds that a read or write may take; None for any."""
    left = _left.get()
    if left is None:
        return timeout
    return left() if timeout is None else min(timeout, left())
