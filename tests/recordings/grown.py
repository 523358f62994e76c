"""A program of its own that deals with one large input, by name. It ends soon, or nothing in it is linear."""

from __future__ import annotations

import contextlib
import random
import string
import sys
from collections.abc import Callable
from functools import partial

from hostile.readers import read_reply
from wire import head

from chatgptt import ChatGpttError
from chatgptt.recordings.case import Ask, Chunk, Exchange, Recording
from chatgptt.recordings.matching import read_fields
from chatgptt.recordings.scrub import scrub

SIZE = 2**19


def recorded(body: bytes, *, is_run: bool = False) -> None:
    """Scrubs a page, and the same bytes as an answer."""
    chunks = (Chunk(size_bytes=len(body)),)
    page = Exchange(
        method="GET",
        path="/talk/",
        status=200,
        headers=(("content-type", "text/html"),),
        body=body,
        chunks=chunks,
        by="browser" if is_run else "client",
    )
    answer = Exchange(
        method="POST",
        path="/wp-admin/admin-ajax.php",
        status=200,
        headers=(("content-type", "text/event-stream"),),
        body=body,
        chunks=chunks,
    )
    scrub(
        Recording(
            page="https://chat.adas-garden-shop.net/talk/",
            asks=(Ask(message=None, outcome="no_chat_box"),),
            exchanges=(page, answer),
            recorded_at=1_764_000_000.0,
            hosts=("chat.adas-garden-shop.net",),
        )
    )


def scrub_page(make: Callable[[], bytes]) -> None:
    recorded(make())


def fill(unit: str, size: int = SIZE) -> bytes:
    return (unit * (size // len(unit))).encode()


def tokens(size: int) -> bytes:
    dice, letters = random.Random(1), string.ascii_letters + string.digits
    return " ".join(f"a1B2c3{''.join(dice.choices(letters, k=19))}" for _ in range(size // 26)).encode()


def numbered(form: str, count: int) -> bytes:
    return "".join(form.format(number) for number in range(count)).encode()


PAGES: dict[str, Callable[[], bytes]] = {
    "tokens": lambda: tokens(SIZE // 2),
    "addresses": lambda: "".join(f"8.8.{number // 250}.{number % 250} " for number in range(1000)).encode(),
    "values that few are like": lambda: numbered('password="{0}-----" ', 500),
    "hosts": lambda: numbered("http://a{0}b.com/ ", 2000),
    "prompt": lambda: b'"prompt":"' + numbered("word{0} ", 5000) + b'"',
    "beginnings of a JWT": lambda: fill("eyJ-"),
    "pieces of a JWT": lambda: fill("eyJaaaaaaaa."),
    "names of a field": lambda: b"name=" + fill("pwd"),
    "names of a cookie": lambda: fill("wordpress_sec_"),
    "names of a shop's cookie": lambda: fill("woocommerce_"),
    "a host that is a login": lambda: b"http://" + fill("aa.") + b"@",
    "a tag of nonces": lambda: fill("<a " + "nonce" * 800),
    "a prompt without end": lambda: b'"prompt":"' + fill("a b"),
    "x": lambda: b"sk-" + fill("x") + b"!",
    "one token in another": lambda: b"a1B2c3" + fill("a", SIZE // 2) + b" " + fill("a", SIZE // 2),
    "zeros of a reference": lambda: b'password="a&b&c&d&" &#' + fill("0"),
    "digits of a reference": lambda: b"&#" + fill("1") + b";",
    "base64": lambda: fill("YWJjZGVmZ2hpamts ", SIZE // 4),
    "URIs of base64": lambda: fill("data:;base64,YWJjZGVmZ2hpamts ", SIZE // 4),
    "<": lambda: fill("<"),
    "tags without end": lambda: fill("<a "),
    "tags with a quote": lambda: fill('<a ="'),
    "declarations without end": lambda: fill("<!"),
    "scripts without end": lambda: fill("<script>"),
    "texts without end": lambda: fill("<textarea>"),
    "pictures without end": lambda: fill("<svg></p>"),
    "half an end": lambda: b"<script>" + fill("</script "),
    "classes": lambda: b"<div " + fill("class=") + b">",
    "blanks in a tag": lambda: b"<p a" + fill(" ") + b">",
}

CASES: dict[str, Callable[[], object]] = {
    **{f"page: {name}": partial(scrub_page, make) for name, make in PAGES.items()},
    "run: scripts": lambda: recorded(fill("<script src='//" + "a." * 20 + "'></script>"), is_run=True),
    "form in parts": partial(read_fields, "multipart/form-data", fill('name="a"\r\n\r\n').decode()),
    "form in lines": partial(read_fields, "multipart/form-data", fill('name="a"\r\n').decode()),
    "1.x refusal": lambda: read_reply("wpaicg", head("html", 403), [fill("<")]),
}

if __name__ == "__main__":
    with contextlib.suppress(ChatGpttError):
        CASES[sys.argv[1]]()
