"""Cuts an answer at the first of some strings, wherever its pieces were cut."""

from __future__ import annotations


class TextUntilStop:
    """The text before the stop string that is complete first. The beginning of one is held back."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self.is_stopped = False
        self._stops = stops
        self._held = ""

    def receive(self, piece: str) -> str:
        """What can be passed on of the text so far."""
        text = self._held + piece
        found = [(start + len(stop), start) for stop in self._stops if (start := text.find(stop)) >= 0]
        if found:
            self.is_stopped, self._held = True, ""
            return text[: min(found)[1]]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def end(self) -> str:
        """What was held back, at the text's end."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the text's end are the beginning of `stop`."""
    sizes = range(min(len(text), len(stop) - 1), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)
