"""Edits of a body that keep its chunks, and those by which its addresses become the ones of a replay. Pure.

An edit is a span of the old bytes, and the new bytes in its place. A chunk that ends inside the span
still ends there, or at the end of new bytes that are shorter. So a nonce that came in two chunks still does.

Text in base64 is edited too, and so is an address in every escaping: pages hold both.
"""

from __future__ import annotations

import base64
import binascii
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes, urlsplit

from chatgptt.recordings.case import Chunk


@dataclass(frozen=True, slots=True)
class Edit:
    """`old[start:end]` becomes `new`."""

    start: int
    end: int
    new: bytes


def sub(pattern: re.Pattern[bytes], make: Callable[[re.Match[bytes]], bytes], old: bytes) -> list[Edit]:
    """The edits that replace each match by the result of `make`; no edit where the result is the same."""
    edits = []
    for found in pattern.finditer(old):
        new = make(found)
        if new != found[0]:
            edits.append(Edit(found.start(), found.end(), new))
    return edits


def apply(old: bytes, edits: Iterable[Edit]) -> bytes:
    """`old` with its edits, which may not overlap."""
    pieces = []
    at = 0
    for edit in sorted(edits, key=lambda edit: edit.start):
        pieces += [old[at : edit.start], edit.new]
        at = edit.end
    return b"".join([*pieces, old[at:]])


def cut(chunks: tuple[Chunk, ...], edits: Iterable[Edit]) -> tuple[Chunk, ...]:
    """The chunks of a body after its edits, without those that became empty."""
    ordered = sorted(edits, key=lambda edit: edit.start)
    found: list[Chunk] = []
    old_at = new_at = shift = index = 0
    waited = 0.0
    for chunk in chunks:
        old_at += chunk.size_bytes
        while index < len(ordered) and ordered[index].end <= old_at:
            shift += len(ordered[index].new) - (ordered[index].end - ordered[index].start)
            index += 1
        end = old_at + shift
        if index < len(ordered) and ordered[index].start < old_at:
            end = ordered[index].start + shift + min(old_at - ordered[index].start, len(ordered[index].new))
        waited += chunk.delay
        if end > new_at:
            found.append(Chunk(size_bytes=end - new_at, delay=waited))
            new_at, waited = end, 0.0
    return tuple(found)


_DATA_URI = re.compile(
    rb"""(data:[\w/+.;=-]{0,80};base64,)((?:[A-Za-z0-9+/]|%2[BbFf]|\\/)+(?:=|%3[Dd]){0,2})"""
)
_BLOB = re.compile(rb"(?<![A-Za-z0-9+/_-])()([A-Za-z0-9+/]{12,}={0,2})(?![A-Za-z0-9+/=])")


def base64_texts(old: bytes) -> Iterator[tuple[int, int, bytes, bytes, bytes]]:
    """Each run of base64 that holds text: start, end, the head of its `data:` URI, the run, its text."""
    starts: list[int] = []  # the starts and ends of the URIs, in order
    ends: list[int] = []
    for pattern in (_DATA_URI, _BLOB):
        for found in pattern.finditer(old):
            start, end = found.span()
            place = bisect_right(ends, start)
            if pattern is _BLOB and place < len(starts) and starts[place] < end:
                continue
            text = _decoded(found[2])
            if text is not None:
                if pattern is _DATA_URI:
                    starts.append(start)
                    ends.append(end)
                yield start, end, found[1], found[2], text


def _decoded(code: bytes) -> bytes | None:
    code = unquote_to_bytes(code.replace(b"\\/", b"/")).rstrip(b"=")
    try:
        data = base64.b64decode(code + b"=" * (-len(code) % 4), validate=True)
        data.decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    return data if re.search(rb"[\x00-\x08\x0e-\x1f]", data) is None else None


# The addresses in a body, however escaped, changed into those of a replay

BETWEEN = rb"(?::|%3[Aa]|&#0?58;|\\u003[aA])(?:\\?/|(?:%5[Cc])?%2[Ff]|&#0?47;|\\u002[fF]){2}"
"""`://` in every escaping: plain, JSON, HTML, URL."""


@lru_cache(maxsize=16)
def _address_pattern(hosts: tuple[str, ...]) -> re.Pattern[bytes]:
    names = b"|".join(re.escape(host).encode() for host in hosts)
    before = rb"(?:https?(?P<between>" + BETWEEN + rb")|(?<![\w.@-]))"
    return re.compile(before + rb"(?P<host>" + names + rb")(?![\w-]|\.\w)")


def move_addresses(data: bytes, hosts: Mapping[str, str]) -> tuple[bytes, list[Edit]]:
    """The data with the URL of each host in place of its addresses, and the edits that were made."""

    def move(found: re.Match[bytes]) -> bytes:
        between, host = found["between"], urlsplit(hosts[found["host"].decode()]).netloc.encode()
        if between is None:
            return host
        return b"http" + between + (host.replace(b":", b"%3A") if between.startswith(b"%") else host)

    edits = sub(_address_pattern(tuple(hosts)), move, data)
    for start, end, head, _, text in base64_texts(data):
        moved = move_addresses(text, hosts)[0]
        if moved != text:
            edits.append(Edit(start, end, head + base64.b64encode(moved)))
    return apply(data, edits), edits
