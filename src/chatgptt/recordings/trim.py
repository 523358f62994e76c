"""Trimming: leaves styles, pictures, scripts without a link to the chat, and long texts out of a page. Pure.

A pattern cuts the page up, and no parser prints it again: the markup itself is what a case is for, with its
missing quotes, unclosed elements and commented boxes. The pattern may misread a very bad page, so `scrub`
checks that the page still shows the same boxes.

A page that a browser has to run keeps its scripts: only running them shows which are needed.

Trimming a trimmed page changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from chatgptt.browser.blocked_requests import TRACKERS
from chatgptt.recordings.body_edits import Edit, base64_texts

_TEXT_MOST = 48
"""Characters of a text outside of the boxes. A longer text is cut to fewer."""

_SCRIPT_MOST_BYTES = 32 * 1024
"""A script longer than this is a bundle. Only the code around the chat's names is kept of it."""

_AROUND_BYTES = 2048

_TOKEN = re.compile(
    rb"<!--.*?(?:-->|\Z)"
    rb"|<(?P<close>/?)(?P<name>[a-zA-Z][a-zA-Z0-9-]*)"
    rb"""(?P<attributes>(?:[^'">=]++|=\s*+(?:"[^"]*+"|'[^']*+')?|['"])*+>)"""
    rb"|<[!?/][^>]*>"
    rb"|<[a-zA-Z!?/].*"
    rb"|(?P<text>[^<]+)"
    rb"|<",
    re.S,
)
"""The next part of a page. A tag that has no end is the last part."""

_RAW = frozenset(b"script style svg picture video audio canvas".split())
_KEPT = frozenset(b"textarea xmp".split())
_ENDS = {name: re.compile(rb"</" + name + rb"\s*+>", re.I) for name in _RAW | _KEPT}
"""The end tags of elements that are handled as a whole."""

_RELATED = re.compile(
    rb"wpaicg|aipkit|gpt3-ai-content-generator|admin-ajax|nonce"
    rb"|rocket|litespeed|pmdelayed|perfmatters"  # whose loaders run the chat's scripts (docs/protocols.md C3)
    rb"|_cf_chl|cdn-cgi|sucuri|ddos-guard|incapsula|captcha|awswaf|gokuprops|anubis|_pxappid",  # C4
    re.I,
)
_OWN_FILE = re.compile(rb"/wp-includes/|/cache/|/uploads/|/min/|autoptimize|combined", re.I)
"""In the address of a script that shows where the site is, or may hold the chat's scripts (C3)."""

_ROOT_MARKS = re.compile(rb"/wp-includes/|gpt3-ai-content-generator|xmlrpc\.php|/wp-json/|canonical", re.I)
_CLASS = re.compile(rb"""\bclass\s*+=\s*+(?:"[^"]*+|'[^']*+|[^\s"'>]*+)""", re.I)
_BOX = re.compile(
    rb"(?:wpaicg-chat-shortcode|wpaicg-chatbox|wpaicg_chat_widget|aipkit_chat_container|aipkit_popup_wrapper)"
    rb"(?![\w-])",
    re.I,
)
_PICTURES = frozenset({b"img", b"source", b"track", b"image", b"embed", b"object"})
_KEPT_META = re.compile(rb"charset|generator|http-equiv|viewport", re.I)
_STYLE = re.compile(rb"""(?<!\s)\s++style\s*+=\s*+(?:"[^"]*+"|'[^']*+')""", re.I)
_PICTURE_URI = re.compile(rb"""data:(?:image|font|video|audio)/[^"'\s)>]{20,}""", re.I)


_NOT_RUN = re.compile(
    rb"""\btype\s*=\s*["']?(?!(?:text|application)/(?:x-)?(?:java|ecma)script|module|["'\s>])""", re.I
)
_TRACKER = re.compile(
    rb"//(?:[\w-]+\.)*(?:" + b"|".join(re.escape(one.encode()) for one in TRACKERS) + rb")/", re.I
)


def trim_page(html: bytes, removed: Counter[str], *, is_run: bool = False) -> list[Edit]:
    """The edits that make a fixture of a page.

    Args:
        html: the page.
        removed: counts what is taken out, by kind.
        is_run: whether a browser has to run the page.
    """
    edits = []
    depth = 0  # how many `div` are open, from the box on; 0 outside of boxes
    for found, end in _tokens(html):
        if found["name"] is not None and end is None:
            depth = _depth(depth, found)
        for edit, what in _trim(found, end, is_in_box=depth > 0, is_run=is_run):
            if html[edit.start : edit.end] != edit.new:
                edits.append(edit)
                removed[what] += 1
    return edits


def _tokens(html: bytes) -> Iterator[tuple[re.Match[bytes], re.Match[bytes] | None]]:
    """The page in pieces. An element that is handled as a whole comes with its end tag."""
    without_end: set[bytes] = set()  # the names whose end tag does not follow any more
    at = 0
    while found := _TOKEN.match(html, at):
        name = b"" if found["close"] else (found["name"] or b"").lower()
        end = _ENDS[name].search(html, found.end()) if name in _ENDS and name not in without_end else None
        if name in _ENDS and end is None:
            without_end.add(name)
        yield found, end
        at = (end or found).end()


def _depth(depth: int, found: re.Match[bytes]) -> int:
    if found["name"].lower() != b"div":
        return depth
    if found["close"]:
        return max(0, depth - 1)
    if depth:
        return depth + 1
    return int(any(_BOX.search(classes[0]) for classes in _CLASS.finditer(found["attributes"])))


def _trim(
    found: re.Match[bytes], end: re.Match[bytes] | None, *, is_in_box: bool, is_run: bool
) -> Iterator[tuple[Edit, str]]:
    if end is not None:
        is_raw = found["name"].lower() in _RAW
        if is_raw and not (is_run and _may_run(found)):
            yield from _trim_raw(found, end)
    elif found["name"] is not None and not found["close"]:
        name, attributes = found["name"].lower(), found["attributes"]
        if name in _PICTURES:
            yield Edit(found.start(), found.end(), b""), "pictures"
        elif name == b"link" and not _ROOT_MARKS.search(attributes):
            yield Edit(found.start(), found.end(), b""), "links to styles and pictures"
        elif name == b"meta" and not _KEPT_META.search(attributes):
            yield Edit(found.start(), found.end(), b""), "descriptions"
        else:
            # Scripts read the layout, and its styles are short.
            yield from _trim_attributes(found, keeps_styles=is_in_box or is_run)
    elif found["text"] is not None and not is_in_box:
        short = _shortened(found["text"])
        yield Edit(found.start(), found.end(), short), "texts shortened"


def _may_run(found: re.Match[bytes]) -> bool:
    """Whether it is a script that a browser runs."""
    attributes = found["attributes"]
    return found["name"].lower() == b"script" and not (
        _NOT_RUN.search(attributes) or _TRACKER.search(attributes)
    )


def _trim_raw(found: re.Match[bytes], end: re.Match[bytes]) -> Iterator[tuple[Edit, str]]:
    attributes, start = found["attributes"], found.end()
    body = found.string[start : end.start()]
    what = {b"script": "scripts", b"style": "styles"}.get(found["name"].lower(), "pictures")
    if what == "scripts" and (_is_related(attributes) or _is_related(body) or _OWN_FILE.search(attributes)):
        for edit in trim_script(body):
            yield Edit(start + edit.start, start + edit.end, edit.new), "parts of scripts"
    else:
        yield Edit(found.start(), end.end(), b""), what


def _trim_attributes(found: re.Match[bytes], *, keeps_styles: bool) -> Iterator[tuple[Edit, str]]:
    start = found.start("attributes")
    if not keeps_styles:
        for style in _STYLE.finditer(found["attributes"]):
            yield Edit(start + style.start(), start + style.end(), b""), "styles"
    for picture in _PICTURE_URI.finditer(found["attributes"]):
        yield Edit(start + picture.start(), start + picture.end(), b"data:,"), "pictures"


def _is_related(code: bytes) -> bool:
    """Whether a script names the chat, also where an optimiser wrapped it into a `data:` URI."""
    if _RELATED.search(code) or (b"%" in code and _RELATED.search(unquote_to_bytes(code))):
        return True
    return any(_RELATED.search(text) for *_, text in base64_texts(code))


def is_needed_script(path: str, code: bytes) -> bool:
    """Whether a script that a page loads names the chat, or is one of WordPress that others need."""
    return _is_related(path.encode() + b"\n" + code) or "/wp-includes/" in path


def trim_script(code: bytes) -> list[Edit]:
    """The edits that keep of a bundle only the code around the chat's names."""
    if len(code) <= _SCRIPT_MOST_BYTES:
        return []
    edits = []
    at = 0
    for found in _RELATED.finditer(code):
        start = max(at, found.start() - _AROUND_BYTES)
        if start > at:
            edits.append(Edit(at, start, b"\n"))
        at = max(at, found.end() + _AROUND_BYTES)
    if at < len(code):
        edits.append(Edit(at, len(code), b"\n"))
    return edits


def _shortened(text: bytes) -> bytes:
    """A text's beginning, cut between words, with its white space around it."""
    inner = text.strip()
    if len(inner) <= _TEXT_MOST:
        return text
    start = text.index(inner[:1])
    kept = inner[: _TEXT_MOST - len(b"&hellip;")]
    head, blank, _ = kept.rpartition(b" ")
    if not blank:
        head = re.sub(rb"&[^;]*\Z|[\x80-\xff]+\Z", b"", kept)
    return text[:start] + head + b"&hellip;" + text[start + len(inner) :]
