"""What a running demo keeps: a clock, a secret and the log of requests for all sites, a memory for each."""

from __future__ import annotations

import secrets
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from chatgptt.demo.model import ParsedMessage, Turn
from chatgptt.demo.nonces import Nonces

_KEPT = 100_000
"""Requests in the log. The oldest go first, so that a demo that runs for days stays small."""


@dataclass(slots=True, kw_only=True)
class LoggedRequest:
    """One request as the demo received it, and the state of its reply.

    Attributes:
        path: decoded, without the query.
        params: the query string; of a repeated name the last value, as in PHP.
        headers: names in lower case.
        at: its arrival, in Unix seconds of the demo's clock.
        status: None until the reply begins. It stays None if the connection is dropped before.
        sent_bytes: bytes of the reply's body that the connection has taken so far.
        message: the message that the made-up AI got; None if this request has not reached it.
    """

    method: str
    path: str
    params: dict[str, str]
    fields: dict[str, str]
    headers: dict[str, str]
    at: float
    status: int | None = None
    sent_bytes: int = 0
    message: str | None = None


@dataclass(slots=True)
class VisitorMemory:
    """What a site remembers of its visitors.

    Attributes:
        counts: how often something happened: messages against a quota, events whose first times differ.
        pending: 2.x messages between their two requests, by their cache key, and when they came.
        conversations: those of 2.x by bot, conversation and session; 1.x assistants' threads by thread id.
    """

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    pending: dict[str, tuple[str, float]] = field(default_factory=dict)
    conversations: defaultdict[tuple[str, ...], list[Turn]] = field(default_factory=lambda: defaultdict(list))

    def is_among_first(self, limit: int, *key: str) -> bool:
        """Counts one more of `key`, and says whether it is one of the first `limit`."""
        self.counts[key] += 1
        return self.counts[key] <= limit

    def is_asked_for(self, word: str, message: ParsedMessage) -> bool:
        """Whether a message begins with `word`, or with `word`ONCE and comes for the first time."""
        if message.word == f"{word}ONCE":
            return self.is_among_first(1, message.word, message.text)
        return message.word == word


class DemoState:
    """The state of one running demo. Every site gets it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ahead = 0.0
        self.started_at = self.clock()
        self.log: deque[LoggedRequest] = deque(maxlen=_KEPT)
        self._memories: defaultdict[str, VisitorMemory] = defaultdict(VisitorMemory)
        self._secret = secrets.token_bytes(32)

    def clock(self) -> float:
        """Unix time in seconds: that of the given clock, and what it was moved forward by."""
        return self._clock() + self._ahead

    def advance(self, seconds: float) -> None:
        """Moves the clock forward."""
        self._ahead += seconds

    def memory(self, prefix: str) -> VisitorMemory:
        """What the site at this prefix remembers."""
        return self._memories[prefix]

    def nonces(self, prefix: str) -> Nonces:
        """The nonces of the installation at this prefix. No other installation accepts them."""
        return Nonces(self._secret + prefix.encode())

    def requests(self) -> list[LoggedRequest]:
        """The log as it is now, for every thread; later changes do not reach this list."""
        return [replace(request) for request in list(self.log)]

    def clear(self) -> None:
        """Empties the log and forgets the visitors. The clock and the page caches stay as they are."""
        self._memories.clear()
        self.log.clear()
