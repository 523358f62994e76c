"""What all the demo's sites share: a clock, a secret, and what they remember of their visitors."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from chatgptt.demo.model import Turn
from chatgptt.demo.nonces import Nonces
from chatgptt.demo.seen import RequestLog

__all__ = ["Clock", "Held", "Memory", "World"]


class Clock:
    """The time of the demo: that of another clock, plus what was advanced."""

    def __init__(self, base: Callable[[], float]) -> None:
        self._base = base
        self._ahead = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since the epoch."""
        with self._lock:
            ahead = self._ahead
        return self._base() + ahead

    def advance(self, seconds: float) -> None:
        """Move on by so many seconds."""
        with self._lock:
            self._ahead += seconds


@dataclass(frozen=True, slots=True)
class Held:
    """A 2.x message between its two requests."""

    message: str
    at: float


@dataclass(slots=True)
class Memory:
    """What the sites know of their visitors. Keys begin with the site's prefix."""

    used: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """Messages of a visitor to a bot that has a quota."""
    times: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """How often something happened whose first times differ from the later ones."""
    held: dict[tuple[str, str], Held] = field(default_factory=dict)
    """2.x messages by their cache key."""
    talks: defaultdict[tuple[str, ...], list[Turn]] = field(default_factory=lambda: defaultdict(list))
    """2.x conversations by bot, conversation and session; 1.x assistants' threads by thread id."""

    def is_among_first(self, times: int, *key: str) -> bool:
        """Count one more of `key`; whether it was one of the first so many."""
        self.times[key] += 1
        return self.times[key] <= times


class World:
    """Passed to every site of one running demo."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = Clock(clock)
        self.born = self.clock()
        self.log = RequestLog()
        self.memory = Memory()
        self._secret = secrets.token_bytes(32)

    def nonces(self, prefix: str) -> Nonces:
        """The nonces of the installation at this prefix; those of another one are worth nothing there."""
        return Nonces(self._secret + prefix.encode())

    def clear(self) -> None:
        """Forget the log and the visitors; the clock and the page caches stay as they are."""
        self.memory = Memory()
        self.log.clear()
