"""The parts of an answer, whose form each of the two calls has for itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Protocol

from chatgptt.serve.failures import Failure


class Shape(Protocol):
    """The form of one answer. `number` counts the pieces of text before this part."""

    def whole(self, text: str) -> Mapping[str, object]:
        """The document of an answer that is not streamed."""

    def opening(self) -> bytes:
        """What comes before the first text."""

    def piece(self, text: str, number: int) -> bytes:
        """A piece of the text."""

    def closing(self, text: str, number: int) -> bytes:
        """The end of an answer that is complete; `text` is all of it."""

    def failing(self, failure: Failure, number: int) -> bytes:
        """The end of an answer that failed."""


def event(document: Mapping[str, object], name: str = "") -> bytes:
    """One event of a stream."""
    data = f"data: {json.dumps(document, separators=(',', ':'))}\n\n"
    return (f"event: {name}\n{data}" if name else data).encode()
