"""The log of requests: the server's thread writes it, every thread may read it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace

KEPT = 100_000
"""Requests in the log. The oldest go first, so that a demo that runs for days stays small."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request as the demo received it, and the state of its reply."""

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
    """Its arrival, in Unix seconds of the demo's clock."""
    status: int | None = None
    """None until the reply begins. It stays None if the connection is dropped before."""
    sent_bytes: int = 0
    """Bytes of the reply's body that the connection has taken so far."""
    message: str | None = None
    """The message that the made-up AI got; None if this request has not reached it."""


class LogEntry:
    """One entry of the log, updated while its reply is sent."""

    def __init__(self, request: LoggedRequest) -> None:
        self._request = request
        self._sent_bytes = 0  # a field of its own: a stream changes it with each of its many pieces
        self._lock = threading.Lock()

    @property
    def request(self) -> LoggedRequest:
        """The request and the state of its reply now."""
        with self._lock:
            return replace(self._request, sent_bytes=self._sent_bytes)

    def set_status(self, status: int) -> None:
        """The reply begins with this status."""
        with self._lock:
            self._request = replace(self._request, status=status)

    def add_sent(self, size_bytes: int) -> None:
        """The connection took so many more bytes of the body."""
        with self._lock:
            self._sent_bytes += size_bytes

    def set_message(self, message: str) -> None:
        """The AI gets this message."""
        with self._lock:
            self._request = replace(self._request, message=message)


@dataclass(slots=True)
class RequestLog:
    """All requests in the order of their arrival."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _entries: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, request: LoggedRequest) -> LogEntry:
        """Adds an entry at the end."""
        entry = LogEntry(request)
        with self._lock:
            self._entries.append(entry)
        return entry

    def snapshot(self) -> list[LoggedRequest]:
        """The entries as they are now; later changes do not reach this list."""
        with self._lock:
            entries = list(self._entries)
        return [entry.request for entry in entries]

    def clear(self) -> None:
        """Empties the log. Replies under way change nothing in it any more."""
        with self._lock:
            self._entries.clear()
