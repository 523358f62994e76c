"""A program of its own that reads the large input of each name on stdin, and says what that took.

One object of JSON a line: `size_bytes` of the input, `peak_bytes` above what the program took before with the input
in it, `seconds` of processor time, and `end`, what it came to in short. The parser's memory is its own, so what
counts is the process's.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from hostile.measured import in_child, memory
from hostile.readers import READERS, pieces_of, read_reply
from wire import PAGE, aipkit_box, head

from chatgptt._errors import ChatGpttError
from chatgptt.protocols.page import Page
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES

MB = 2**20
PAGE_BYTES = MAX_PAGE_BYTES - 500
"""Of what stands in a page together with what belongs to it."""

WIDE = "😀".encode()
"""One of these, and Python holds a text in four bytes for each character."""


def fill(unit: bytes, size: int = MAX_PAGE_BYTES) -> bytes:
    return unit * (size // len(unit))


def config(inside: bytes) -> bytes:
    return b"<div class=aipkit_chat_container data-bot-id=1 data-config='" + inside + b"'>"


def numbered(unit: str, count: int) -> bytes:
    return "".join(unit.format(number) for number in range(count)).encode()


PAGES: dict[str, Callable[[], bytes]] = {
    "30,000 nested elements": lambda: b"<div>" * 30_000,
    "elements closed far up": lambda: b"<div>" * 15_000 + b"</p>" * 15_000,
    "lists in lists below 80 kB": lambda: b"<ul><li>" * 9_900,
    "lists in lists": lambda: fill(b"<ul><li>"),
    "items in items": lambda: fill(b"<li><dd>"),
    "lists with ends of something else": lambda: b"<ul></p>" * 15_000,
    "a drawing with ends of something else": lambda: b"<svg>" + b"<input>" * 15_000 + b"</q>" * 15_000,
    "choices": lambda: b"<select>" + b"<option>" * 29_000,
    "open formatting in a small page": lambda: numbered("<b id={}>", 320) + b"<p>x" * 320,
    "open formatting": lambda: numbered("<b id={}><p>", 5000),
    "open formatting in capitals": lambda: numbered("<B ID={}><P>", 5000),
    "open formatting in items of a list": lambda: numbered("<font id={}><li>", 5000),
    "open formatting in cells": lambda: b"<table>" + numbered("<td><b id={}><p>", 5000),
    "formatting closed in a comment": lambda: numbered("<b id={}><!--</b>--><p>", 5000),
    "formatting closed in an attribute": lambda: numbered("<b id={}><i title='</b>'></i><p>", 5000),
    "formatting closed in a script": lambda: numbered("<b id={}><script></b></script><p>", 5000),
    "formatting closed in an object": lambda: numbered("<b id={}><p><object></b></object>", 5000),
    "formatting closed in a choice": lambda: numbered("<b id={}><p><select></b></select>", 5000),
    "links in links": lambda: numbered("<a id={}><div>", 12_000),
    "attributes of one element below 80 kB": lambda: b"<p " + numbered("{:x} ", 16_000) + b">",
    "attributes of one element": lambda: b"<p " + numbered("a{} ", 280_000) + b">",
    "attributes of many elements": lambda: fill(b"<p" + numbered(" a{}", 1900) + b">"),
    "bodies below 80 kB": lambda: numbered("<body a{}=1>", 5000),
    "bodies": lambda: numbered("<body a{}=1>", 100_000),
    "large bodies": lambda: (b"<body" + numbered(" a{}", 1900) + b">") * 100,
    "names that go on": lambda: fill(b"<" + b"p" * 70),
    "values that go on": lambda: (b"<p " * 900 + b'" b="' + b"y" * 20_000 + b'">') * 80,
    "spaces in tags": lambda: fill(b"<p a " + b" " * 5000),
    "an attribute of 10 MB": lambda: b"<p a='" + b"x" * 10 * MB + b"'>",
    "a configuration of 2 MB": lambda: config(WIDE + fill(b"x", PAGE_BYTES)),
    "a configuration of empty objects": lambda: config(b'{"a":[' + fill(b"{},", PAGE_BYTES) + b"1]}"),
    "a configuration of keys": lambda: config(b"{" + numbered('"{:x}":1,', 190_000) + b'"a":1}'),
    "image commands": lambda: config(b'{"imageTriggers":"' + fill(b"/a,", PAGE_BYTES) + b'"}'),
    "a question of consent": lambda: config(
        b'{"requireConsentCompliance":1,"text":{"consentMessage":"' + fill(b"ab ", PAGE_BYTES) + b'"}}'
    ),
    "classes": lambda: b"<div data-bot-id=1 class='aipkit_chat_container " + fill(b"ab ", PAGE_BYTES) + b"'>",
    "2 MB of 1.x boxes": lambda: fill(b"<div class=wpaicg-chatbox data-nonce=1></div>"),
    "2 MB of 2.x boxes": lambda: fill(aipkit_box().encode()),
    "2 MB of <": lambda: fill(b"<"),
    "2 MB of &": lambda: fill(b"&"),
    "2 MB of references": lambda: fill(b"&a;"),
    "2 MB of NUL": lambda: fill(b"\0"),
    "2 MB of no UTF-8": lambda: fill(b"\xff"),
    "quotes": lambda: fill(b'"'),
    "quotes in a tag": lambda: b"<p a=" + fill(b'"'),
    "equals signs in a tag": lambda: b"<p a=x" + fill(b"="),
    "comments without end": lambda: fill(b"<!--"),
    "short comments": lambda: fill(b"<!>"),
    "scripts without end": lambda: fill(b"<script>"),
    "one script": lambda: b"<script>" + WIDE + fill(b"x"),
    "short scripts": lambda: fill(b"<script src=//b.example/a.js></script>"),
    "scripts with assignments": lambda: fill(b"<script>" + (b"wpaicgParams={" + b"a" * 900) * 20 + b"</script>"),
    "a script in its address": lambda: b"<script src='data:text/javascript," + fill(b"%41", PAGE_BYTES) + b"'></script>",
    "paragraphs": lambda: fill(b"<p>"),
    "lines": lambda: fill(b"a<br>"),
    "attributes": lambda: fill(b"<p a b c d e f g h>"),
    "attributes of end tags": lambda: fill(b"</p a b c d e f g h>"),
    "a title": lambda: b"<title>" + fill(b"ab ", PAGE_BYTES) + b"</title>",
    "text held back for consent": lambda: fill(b"<script type=text/plain>"),
    "a page in another charset": lambda: b"<meta charset=macintosh>" + fill(b"\xa5", PAGE_BYTES),
}  # fmt: skip

REPLIES: dict[str, Callable[[], bytes]] = {
    "an event of 8 MB": lambda: b'data: {"delta":"' + WIDE + b"x" * (8 * MB - 40) + b'"}\n\n',
    "a chunk of 8 MB": lambda: b'data: {"choices":[{"delta":{"content":"' + WIDE + b"x" * (8 * MB - 80) + b'"}}]}\n\n',
    "an event of 16 MB": lambda: b'data: {"delta":"' + b"x" * 16 * MB + b'"}\n\n',
    "a million events": lambda: b'data: {"delta":"ab"}\n\n' * 1_000_000,
    "held back words": lambda: b'event: message\ndata: {"choices":[{"delta":{"content":"ab"}}]}\n\n' * 100_000,
    "words among stray output": lambda: b'junk "x"\n' * 7000 + b'data: {"choices":[{"delta":{"content":"ab"}}]}\n\n' * 50_000,
    "blank lines": lambda: fill(b"\n", 8 * MB),
    "data lines": lambda: b"data:ab\n" * 1_000_000 + b"\n",
    "data lines that look like JSON": lambda: b"data:{\n" * 500_000 + b"\n",
    "empty objects": lambda: b'data: {"a":[' + fill(b"{},", 7 * MB) + b"1]}\n\n",
    "JSON nested 100,000 deep": lambda: b"data: " + b'{"a":' * 100_000 + b"\n\n",
    "a number of a million digits": lambda: b'data: {"delta":' + b"1" * 1_000_000 + b"}\n\n",
    "an error of words": lambda: b'event: error\ndata: {"error":"' + fill(b"ab ", 7 * MB) + b'"}\n\n',
    "an answer of 7 MB": lambda: b'{"status":"success","data":"' + WIDE + fill(b"x", 7 * MB) + b'"}',
    "half characters": lambda: b'{"status":"success","data":"' + fill(rb"\ud83d", 7 * MB) + b'"}',
    "objects that are none": lambda: b'{"a":[' * 32 + fill(b"1,", 180_000) + b"x",
    "lists that are none": lambda: b'{"a":["' * 32 + fill(rb"\n", 7 * MB),
}  # fmt: skip

TOLD: dict[str, Callable[[], bytes]] = {
    "boxes in a reply": lambda: b"a=b\n\n{" + numbered('"{0}":[{{"botId":{0},"nonce":"3fa4c91b07"}}],', 20_000) + b'"a":1}',
    "addresses": lambda: b"a=b&" + fill(b"a&", MB) + b"\n\n{}",
}  # fmt: skip


def read_in_pieces(protocol: str, data: bytes) -> object:
    """As it comes from a socket: with status 200, in pieces of 64 kB."""
    return read_reply(protocol, head(), pieces_of(data, 2**16))


def read_raw(reader: str, data: bytes) -> object:
    return READERS[reader](data)


CASES: dict[str, tuple[Callable[[str, bytes], object], str, Callable[[], bytes]]] = {
    **{f"page: {name}": (read_raw, "page", make) for name, make in PAGES.items()},
    "document: text held back for consent": (
        read_raw,
        "document",
        lambda: b"text/html\n" + fill(b"<script type=text/plain>", 8 * MB),
    ),
    "document: a page in another charset": (
        read_raw,
        "document",
        lambda: b"text/html; charset=macintosh\n" + fill(b"\xa5", 7 * MB),
    ),
    **{f"wpaicg: {name}": (read_in_pieces, "wpaicg", make) for name, make in REPLIES.items()},
    **{f"aipkit: {name}": (read_in_pieces, "aipkit", make) for name, make in REPLIES.items()},
    **{f"browser: {name}": (read_raw, "observations", make) for name, make in TOLD.items()},
    "case: dotted keys": (read_raw, "case", lambda: b"a" + b".a" * 20_000 + b" = 1"),
    "case: a list": (read_raw, "case", lambda: b"a = [" + fill(b"1,", MB) + b"]"),
}


def weigh(name: str) -> None:
    read, reader, make = CASES[name]
    data = make()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = memory("VmRSS"), time.process_time()
    try:
        read(reader, data)
        end = "values"
    except ChatGpttError as error:
        end = error.code
    seconds = time.process_time() - began
    peak_bytes = memory("VmHWM") - before
    found = {"size_bytes": len(data), "peak_bytes": peak_bytes, "seconds": seconds, "end": end}
    print(json.dumps(found), flush=True)


def main() -> None:
    for reader in READERS:
        try:
            READERS[reader](b"\0\0a")  # what is imported on demand is in memory from here on
        except ChatGpttError:
            continue
    Page(b"<p>", PAGE)
    print("ready", flush=True)
    for line in sys.stdin:
        in_child(partial(weigh, line.strip()))


if __name__ == "__main__":
    main()
