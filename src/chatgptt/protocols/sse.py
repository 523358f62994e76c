"""An incremental, bounded decoder of event streams: bytes in, events out.

It follows the standard's line and field rules with two exceptions. An event counts without its blank line at
the end of the stream, since 1.x closes right after `[DONE]`. Lines that are no field are kept in `stray`,
since a 1.x site prints raw JSON and HTML of a failed provider into the stream (docs/protocols.md W5).

Events are decoded when the reader asks for them. It stops asking at the end mark, so the bytes behind it have
no effect, however the stream is cut. A chunk that is one whole event, or a part of one line, has no bytes
behind an event. It is taken in at once.

The time is linear: an unfinished line grows in a bytearray, and only new bytes are searched for its end. No
event grows past `MAX_EVENT_BYTES`. A large chunk is split into lines in parts: a list of millions of lines
takes many times their size.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from chatgptt._errors import AnswerError

MAX_EVENT_BYTES = 16 * 2**20
"""Far above any answer (a model's longest is some 100 kB), low enough to hold in memory. Twice a page's
bound, so that a delta of 10 MB passes."""

_MAX_STRAY_BYTES = 64 * 2**10
_PART_BYTES = 64 * 2**10

END = b"\n\n"
"""Ends an unfinished line and its event."""

BEGINNING = b"\xef\xbb\xbf \t\r\n"
"""What may precede a stream or JSON: blanks and byte order marks, one for each PHP file that has one (C1)."""


class Event(NamedTuple):
    """One event: its name ("" where the stream names none) and its data lines joined by newlines."""

    name: str
    data: str


class EventDecoder:
    """Feeds on chunks cut anywhere; `receive` yields the events that each one completes."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data = bytearray()
        self._name = b""
        self._stray = bytearray()
        self._is_beginning = True
        self._may_skip_newline = False

    @property
    def stray(self) -> str:
        """The lines so far that were no field of an event, up to 64 kB."""
        return self._stray.decode("utf-8", "replace").removesuffix("\n")

    def has_stray(self, mark: bytes) -> bool:
        """Whether they hold `mark`."""
        return mark in self._stray

    def receive(self, data: bytes) -> Iterator[Event]:
        """The events completed by `data`, in order, each as it is asked for.

        Raises:
            AnswerError: `unreadable_answer`, where one event is larger than `MAX_EVENT_BYTES`.
        """
        if len(data) > _PART_BYTES:
            parts = (data[start : start + _PART_BYTES] for start in range(0, len(data), _PART_BYTES))
            return chain.from_iterable(map(self.receive, parts))
        if b"\n" not in data and b"\r" not in data:
            self._may_skip_newline &= not data
            self._line += data
            self._check_size()
            return iter(())
        if self._is_one_event(data):
            self._is_beginning = self._may_skip_newline = False
            return iter((Event("", data[6:-2].decode("utf-8", "replace")),))
        return self._receive_lines(data)

    def _is_one_event(self, data: bytes) -> bool:
        """Whether it is a whole event of one line and without a name, as most pieces of an answer are."""
        is_line = data.startswith(b"data: ") and data.endswith(b"\n\n") and b"\r" not in data
        return is_line and data.find(b"\n") == len(data) - 2 and not (self._line or self._data or self._name)

    def _receive_lines(self, data: bytes) -> Iterator[Event]:
        if self._may_skip_newline:
            data = data.removeprefix(b"\n")
        lines = data.splitlines()
        self._may_skip_newline = data.endswith(b"\r")
        rest = lines.pop() if lines and not data.endswith((b"\n", b"\r")) else b""
        for line in lines:
            if self._line:
                self._line += line
                self._check_size()
                line = bytes(self._line)
                self._line.clear()
            event = self._receive_line(line)
            if event is not None:
                yield event
        self._line += rest
        self._check_size()

    def end(self) -> Iterator[Event]:
        """The event that the end of the stream completes, if it left one unfinished."""
        return self.receive(END)

    def _check_size(self) -> None:
        if len(self._line) + len(self._data) > MAX_EVENT_BYTES:
            raise AnswerError(
                f"one event of the stream is larger than {MAX_EVENT_BYTES // 2**20} MB",
                hint="no chat answer is that large; the site is broken or hostile",
            )

    def _receive_line(self, line: bytes) -> Event | None:
        if self._is_beginning:
            line = line.lstrip(BEGINNING)
            self._is_beginning = not line
        if not line:
            return self._complete()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data += value + b"\n"
                self._check_size()
            case b"event":
                self._name = value
            case b"" | b"id" | b"retry":
                pass
            case _:
                if len(self._stray) + len(line) <= _MAX_STRAY_BYTES:
                    self._stray += line + b"\n"
        return None

    def _complete(self) -> Event | None:
        event = None
        if self._data:
            del self._data[-1:]  # the last line's end
            event = Event(self._name.decode("utf-8", "replace"), self._data.decode("utf-8", "replace"))
        self._data.clear()
        self._name = b""
        return event
