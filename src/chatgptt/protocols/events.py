"""Reads the events of an answer to text: the part of an answer's reader that the generations share."""

from __future__ import annotations

from collections.abc import Callable

from chatgptt._errors import AnswerError, ChatGpttError
from chatgptt._models import ReplyHead
from chatgptt.protocols.reply_errors import of_reply
from chatgptt.protocols.sse import END, Event, EventDecoder
from chatgptt.protocols.text import SurrogateJoiner


class EventReader:
    """Decodes events and collects the text that their reader finds in them.

    `read_event` calls `add` for an event's text and `fail` for an error, and sets `is_finished` where the
    answer is complete.
    """

    def __init__(self, head: ReplyHead, read_event: Callable[[Event], None]) -> None:
        self.is_finished = False
        self.unreadable_frames = 0
        self.decoder = EventDecoder()
        self._head = head
        self._read_event = read_event
        self._joiner = SurrogateJoiner()
        self._pieces: list[str] = []
        self._error: ChatGpttError | None = None

    @property
    def text(self) -> str:
        """All text so far."""
        return "".join(self._pieces)

    @property
    def has_text(self) -> bool:
        """Whether there is any."""
        return bool(self._pieces)

    def receive(self, data: bytes) -> list[str]:
        """The pieces of text that `data` completes."""
        count = len(self._pieces)
        try:
            for event in self.decoder.receive(data):
                self._read_event(event)
                if self.is_finished:
                    break
        except AnswerError as error:
            self.fail(error)
        return self._pieces[count:]

    def flush(self) -> list[str]:
        """The pieces of the event that the end of the stream completes."""
        return [] if self.is_finished else self.receive(END)

    def add(self, text: str) -> bool:
        """Adds text. False while there is none, as for the first half of a character."""
        text = self._joiner.receive(text)
        if text:
            self._pieces.append(text)
        return bool(text)

    def fail(self, error: ChatGpttError) -> None:
        """Ends the answer by an error."""
        self._error, self.is_finished = of_reply(self._head, error), True

    def end(self, maybe_broken: Callable[[], ChatGpttError | None]) -> list[str]:
        """The last piece of text; `maybe_broken` gives the error that the end of the stream amounts to.

        Raises:
            ChatGpttError: the error of the answer.
        """
        self.is_finished = True
        rest = self._joiner.end()
        if rest:
            self._pieces.append(rest)
        error = self._error or maybe_broken()
        if error is not None:
            error.partial_text = self.text
            raise error
        return [rest] if rest else []
