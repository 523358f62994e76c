"""Text as it comes off the wire, made safe to hold as a Python string.

JSON may carry half a surrogate pair, and a provider that counts in UTF-16 units does cut an emoji
into two deltas. A lone half cannot be encoded, so it is held until its partner comes, or replaced.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

__all__ = ["SurrogateJoiner", "find_objects", "is_unicode", "loads", "read_object", "without_surrogates"]

_MAX_OBJECT_STARTS = 32
"""How many `{` are tried in a body that is not clean JSON: enough for stray output, too few to be slow."""


class SurrogateJoiner:
    """Joins surrogate pairs that were cut across pieces; pieces without surrogates pass unchanged."""

    def __init__(self) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None

    def receive(self, piece: str) -> str:
        """The piece, completed by a half that was held back, less a half that is still incomplete."""
        if self._decoder is None:
            if is_unicode(piece):
                return piece
            self._decoder = codecs.getincrementaldecoder("utf-16-le")("replace")
        return self._decoder.decode(piece.encode("utf-16-le", "surrogatepass"))

    def end(self) -> str:
        """What stands for a half that never got its partner: U+FFFD, or nothing."""
        return "" if self._decoder is None else self._decoder.decode(b"", True)


def is_unicode(text: str) -> bool:
    """Whether `text` can be encoded: no lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def without_surrogates(text: str) -> str:
    """`text` with pairs joined and lone halves replaced by U+FFFD."""
    joiner = SurrogateJoiner()
    return joiner.receive(text) + joiner.end()


def loads(text: str) -> object:
    """The JSON value of `text`, or None where it is none (nested too deep included)."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def read_object(text: str) -> dict[str, object] | None:
    """The JSON object that `text` starts with, whatever follows it; None where it starts with none."""
    try:
        value, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def find_objects(text: str) -> Iterator[dict[str, object]]:
    """The JSON objects in `text` with stray output around them, outermost first, in order.

    Other plugins print warnings before the reply and 1.x appends HTML or JSON after it
    (docs/protocols.md C1, W5).
    """
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MAX_OBJECT_STARTS):
        if start < 0:
            return
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        yield value
        start = text.find("{", end)
