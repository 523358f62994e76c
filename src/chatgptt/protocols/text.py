"""Reads text and JSON of sites into strings and values that are safe to keep.

JSON may hold half a surrogate pair, and a provider that counts in UTF-16 units cuts an emoji into two deltas.
A lone half cannot be encoded. So it is held until the other half comes, or replaced. Only the frames of a
stream keep their halves.

Three bytes of JSON can take a hundred in memory. So JSON with more values than any reply has is not read.
"""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterator

_MAX_OBJECT_STARTS = 32
"""How many `{` are tried in a body that is not clean JSON: enough for stray output, too few to be slow."""

_MAX_VALUES = 100_000
"""Values of one JSON text, by its commas and opening brackets; a reply has some dozens, and an answer of
100,000 commas is longer than any model gives. They take 25 MB at most."""

_DECODER = json.JSONDecoder()

_LONG_REFERENCE = re.compile(r"&#[0-9]{100,};?")
"""No character has such a number; Python refuses to read one of 4,300 digits."""


def is_html(body: str) -> bool:
    """Whether `body` is a whole HTML page, not a fragment of text."""
    return (
        re.match(r"[\s\ufeff]*(?:<!--.{0,500}?-->\s*)?<(?:!doctype html|html)\b", body[:2000], re.I | re.S)
        is not None
    )


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
        """U+FFFD for a half whose other half never came, else nothing."""
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
    if is_unicode(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def without_tags(markup: str) -> str:
    """The text of markup; its tags are blanks."""
    return re.sub(r"<[^<>]*>", " ", markup)


def unescape(text: str) -> str:
    """`text` with HTML's character references replaced by what they stand for."""
    return html.unescape(_LONG_REFERENCE.sub("\ufffd", text))


def lines_of(text: str) -> Iterator[str]:
    """The lines of `text`, one at a time: a list of millions takes more than the text."""
    start = 0
    while (end := text.find("\n", start)) >= 0:
        yield text[start:end]
        start = end + 1
    yield text[start:]


def loads(text: str) -> object:
    """The JSON value of `text`, or None where it is no JSON, or nested too deep."""
    return _cleaned(loads_frame(text), text)


def loads_frame(text: str) -> object:
    """The same of one frame of a stream: its texts may hold half a pair whose other half is in the next."""
    if _is_too_much(text, 0):
        return None
    try:
        value: object = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return value


def read_object(text: str) -> dict[str, object] | None:
    """The JSON object that `text` starts with, whatever follows it; None where it starts with none."""
    if _is_too_much(text, 0):
        return None
    try:
        value, _ = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    value = _cleaned(value, text)
    return value if isinstance(value, dict) else None


def find_objects(text: str) -> Iterator[dict[str, object]]:
    """The JSON objects in `text` with stray output around them, outermost first, in order.

    Other plugins print warnings before the reply and 1.x appends HTML or JSON after it
    (docs/protocols.md C1, W5).
    """
    start = text.find("{")
    for _ in range(_MAX_OBJECT_STARTS):
        if start < 0 or _is_too_much(text, start):
            return
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        value = _cleaned(value, text)
        if isinstance(value, dict):
            yield value
        start = text.find("{", end)


def _is_too_much(text: str, start: int) -> bool:
    if len(text) - start <= _MAX_VALUES:
        return False
    return sum(text.count(mark, start) for mark in ",{[") > _MAX_VALUES


def _cleaned(value: object, text: str) -> object:
    """`value`, read from `text`, with lone halves in keys and texts replaced; None where it is too deep."""
    if value is None or ("\\ud" not in text and "\\uD" not in text and is_unicode(text)):
        return value
    try:
        return _whole(value)
    except RecursionError:
        return None


def _whole(value: object) -> object:
    match value:
        case str():
            return without_surrogates(value)
        case list():
            return [_whole(member) for member in value]
        case dict():
            return {without_surrogates(key): _whole(member) for key, member in value.items()}
        case _:
            return value
