"""How much of a page the parser gets, so that no page costs it more than some 30 s and 100 MB.

The parser cannot be stopped. Its time grows with the square of the depth and of the attributes of one
element. Its memory grows with the square of the formatting elements that are left open, since a browser opens
those again in every block. So the page ends before the tag, or the attribute, that is too many, and it cannot
nest deeper than it has tags. In a page with many tags, formatting elements become `<wbr>`, which is empty. No
chat box is one of them.

The counts take in comments and scripts. A count without them needs a tokenizer that agrees with the parser
about every byte; where the two disagree, a page can hide from the count. Each count is one linear pass.
"""

from __future__ import annotations

import re
from itertools import islice

MAX_PAGE_BYTES = 2 * 2**20
"""A page that shows a chat box is some 20 kB to 500 kB; reading stops here."""

_SMALL_BYTES = 80_000
"""Up to this size a page has 26,000 tags and 20,000 different attributes at most: 1 s for the parser."""

_MAX_TAGS = 30_000
"""The largest pages have some 10,000. If all elements nest, the parser takes 2 s; for twice as many, 8 s."""

_MAX_ATTRIBUTES = 250_000
"""Of all elements. Each takes the parser 210 bytes, and all together 30 s if no two have the same name."""

_MAX_ATTRIBUTES_OF_ONE = 2_000
"""A chat box has about 70 (docs/protocols.md W1). The parser compares each with all others of its element."""

_MAX_TAGS_WITH_FORMATTING = 650
"""Half of them left open, the other half blocks: 106,000 elements of 450 bytes are opened again."""

_TAG = re.compile(rb"<")
_BEFORE_ATTRIBUTE = re.compile(rb"[/\"' \t\n\r\f]++")
_FORMATTING = re.compile(
    rb"<(?=[abcefinstu])(?:[abisu]|big|code|em|font|nobr|small|strike|strong|tt)(?=[/> \t\n\r\f])", re.I
)
_UNCLEAR_TAG = re.compile(
    rb"""
    <[a-zA-Z](?! [a-zA-Z0-9-]*+ (?=[/>\s])
    (?: [^<>"'=]{1,80}+ (?<=[^/\s]) = (?: "[^<>"]*+" | '[^<>']*+' | [^<>"'=\s]++ (?=[>\s]) ) ){0,25}+
    [^<>"'=]{0,800}+ > )
    """.replace(rb"\s", rb"\x20\t\n\r\f"),
    re.X,
)
"""What may be a tag, unless it plainly is one of few attributes whose values hold no `<` and no `>`."""

_MARK = re.compile(rb"<[a-zA-Z]|=[ \t\n\r\f]*+[\"']|[\"'>]|[/ \t\n\r\f]++")
"""What begins a tag, ends it, opens or closes a value, or stands between attributes."""


def bounded_bytes(html: bytes) -> int:
    """How much of `html` the parser gets: all of an ordinary page, the beginning of a costly one."""
    end = min(len(html), MAX_PAGE_BYTES)
    if end <= _SMALL_BYTES:
        return end
    for pattern, limit in ((_TAG, _MAX_TAGS), (_BEFORE_ATTRIBUTE, _MAX_ATTRIBUTES)):
        excess = next(islice(pattern.finditer(html, 0, end), limit, None), None)
        end = end if excess is None else excess.start()
    position = 0
    while found := _UNCLEAR_TAG.search(html, position, end):
        position, is_crowded = _read_unclear_tag(html, found.start(), end)
        if is_crowded:
            return found.start()
    return end


def _read_unclear_tag(html: bytes, start: int, end: int) -> tuple[int, bool]:
    """Where a tag has ended in any case, and whether it may have more attributes than it should.

    Whether a quote opens a value, closes one or is part of a name depends on what came before, and a tag may
    begin within the value of another. So the attributes are counted for each place where the parser may be:
    outside of values, in a value in double quotes, and in one in single quotes.
    """
    nowhere = -MAX_PAGE_BYTES
    outside, in_double, in_single = 0, nowhere, nowhere
    for found in _MARK.finditer(html, start + 1, end):
        mark = found[0]
        opened = outside if len(mark) > 1 else nowhere
        if mark == b">":
            outside = nowhere
            if in_double < 0 and in_single < 0:
                return found.end(), False
        elif mark.endswith(b'"'):
            outside, in_double = max(outside, in_double + 1), opened
        elif mark.endswith(b"'"):
            outside, in_single = max(outside, in_single + 1), opened
        elif mark.startswith(b"<"):
            outside = max(outside, 0)
        else:
            outside += 1
        if outside > _MAX_ATTRIBUTES_OF_ONE:
            return found.end(), True
    return end, False


def without_formatting(html: bytes) -> bytes:
    """`html` with formatting elements made empty where it has many tags."""
    return html if html.count(b"<") <= _MAX_TAGS_WITH_FORMATTING else _FORMATTING.sub(b"<wbr", html)
