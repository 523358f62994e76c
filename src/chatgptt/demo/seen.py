"""The log of what arrived: written by the server's thread, read by anybody's."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace

__all__ = ["Entry", "RequestLog", "Seen"]

KEPT = 100_000
"""Requests remembered; the oldest go first, so that a demo left running stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as the demo got it, and how far the reply has come."""

    method: str
    path: str
    """Decoded, without the query."""
    params: dict[str, str]
    """The query string; of a repeated name the last value, as in PHP."""
    fields: dict[str, str]
    """The fields of a urlencoded or multipart body."""
    headers: dict[str, str]
    """Names in lower case."""
    at: float
    """When it arrived, by the demo's clock."""
    status: int | None = None
    """None until the reply began, and for ever if the connection was dropped before."""
    sent_bytes: int = 0
    """Bytes of the reply's body that were handed to the connection so far."""
    message: str | None = None
    """What the made-up AI was asked; None if this request never came so far."""


class Entry:
    """A line of the log that is still being written."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._sent_bytes = 0  # apart, because a stream changes it with each of its many pieces
        self._lock = threading.Lock()

    @property
    def seen(self) -> Seen:
        """The line as it is now."""
        with self._lock:
            return replace(self._seen, sent_bytes=self._sent_bytes)

    def answered(self, status: int) -> None:
        """The reply begins."""
        with self._lock:
            self._seen = replace(self._seen, status=status)

    def sent(self, size_bytes: int) -> None:
        """So much more of the body is on its way."""
        with self._lock:
            self._sent_bytes += size_bytes

    def asked(self, message: str) -> None:
        """The AI gets this message."""
        with self._lock:
            self._seen = replace(self._seen, message=message)


@dataclass(slots=True)
class RequestLog:
    """All requests in the order in which they arrived."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _entries: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, seen: Seen) -> Entry:
        """A new last line."""
        entry = Entry(seen)
        with self._lock:
            self._entries.append(entry)
        return entry

    def snapshot(self) -> list[Seen]:
        """The lines as they are now; later changes don't reach it."""
        with self._lock:
            entries = list(self._entries)
        return [entry.seen for entry in entries]

    def clear(self) -> None:
        """Forget everything; replies still under way are written to nowhere."""
        with self._lock:
            self._entries.clear()
