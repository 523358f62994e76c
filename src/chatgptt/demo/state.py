"""The state that all the demo's sites share: a clock, a secret, the request log, and data of visitors."""

from __future__ import annotations

import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from chatgptt.demo.model import Turn
from chatgptt.demo.nonces import Nonces
from chatgptt.demo.request_log import RequestLog


class Clock:
    """The demo's time: the time of another clock plus the advance."""

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
        """Moves the clock forward."""
        with self._lock:
            self._ahead += seconds


@dataclass(frozen=True, slots=True)
class PendingMessage:
    """A 2.x message between its two requests."""

    text: str
    at: float


@dataclass(slots=True)
class VisitorMemory:
    """What the sites remember of their visitors. Each key begins with the site's prefix."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    """How often something happened: messages against a quota, events whose first times differ."""
    pending: dict[tuple[str, str], PendingMessage] = field(default_factory=dict)
    """2.x messages by their cache key."""
    conversations: defaultdict[tuple[str, ...], list[Turn]] = field(default_factory=lambda: defaultdict(list))
    """2.x conversations by bot, conversation and session; 1.x assistants' threads by thread id."""

    def is_among_first(self, limit: int, *key: str) -> bool:
        """Counts one more of `key`, and says whether it is one of the first `limit`."""
        self.counts[key] += 1
        return self.counts[key] <= limit


class DemoState:
    """The state of one running demo. Every site gets it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = Clock(clock)
        self.started_at = self.clock()
        self.log = RequestLog()
        self.memory = VisitorMemory()
        self._secret = secrets.token_bytes(32)

    def nonces(self, prefix: str) -> Nonces:
        """The nonces of the installation at this prefix. No other installation accepts them."""
        return Nonces(self._secret + prefix.encode())

    def clear(self) -> None:
        """Empties the log and forgets the visitors. The clock and the page caches stay as they are."""
        self.memory = VisitorMemory()
        self.log.clear()
