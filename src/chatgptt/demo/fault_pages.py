"""Fault pages: pages without a chat, and chat pages that come late, never end, or come after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import RedirectResponse, Response

from chatgptt.demo.front import challenge, plain_page
from chatgptt.demo.state import DemoState
from chatgptt.demo.stream import Pieces, Stream
from chatgptt.demo.wordpress import Call, IndexLine, PrefixSite

HUGE_SIZE = 256_000_000
"""Bytes of `/huge/`: more than a client should read."""

HTML = {"content-type": "text/html; charset=UTF-8"}


@dataclass(frozen=True, slots=True)
class FunctionSite:
    """A site whose replies come from one function."""

    prefix: str
    index_lines: list[IndexLine]
    answer: Callable[[Call], Awaitable[Response]]


def fault_sites() -> list[PrefixSite]:
    """The fault pages that need no chat site."""
    return [
        _fixed("challenge/cloudflare", "a challenge, and a header says so", lambda call: challenge(403)),
        _fixed(
            "challenge/body",
            "a challenge, only its text says so",
            lambda call: challenge(503, is_marked=False),
        ),
        FunctionSite(
            "status",
            [
                IndexLine("status/404/", "status 404, and so on for every other status"),
                IndexLine("status/500/", "status 500"),
                IndexLine("status/429/", "status 429 with Retry-After: 3600"),
            ],
            _status,
        ),
        _fixed(
            "pdf",
            "a PDF",
            lambda call: Response(b"%PDF-1.4\n%%EOF\n", 200, {"content-type": "application/pdf"}),
        ),
        _fixed(
            "json-page",
            "JSON",
            lambda call: Response('{"no":"page"}', 200, {"content-type": "application/json"}),
        ),
        _fixed(
            "huge", "256 MB of HTML", lambda call: Stream(_filler("<!doctype html>\n<body>\n"), headers=HTML)
        ),
        _fixed("deep", "100,000 elements inside each other", lambda call: Response(_deep(), 200, HTML)),
        _fixed("loop", "redirects in a circle", _loop),
        _fixed(
            "moved", "moved for good to wpaicg/", lambda call: RedirectResponse(f"{call.base}/wpaicg/", 301)
        ),
    ]


def busy_at_first(inner: PrefixSite, state: DemoState) -> PrefixSite:
    """Answers the first two pages with 503 and Retry-After: 1, and then as the inner site."""

    async def answer(call: Call) -> Response:
        is_page = not call.path.startswith("wp-")
        if is_page and state.memory.is_among_first(2, inner.prefix, "503"):
            return plain_page(503, "503 Service Unavailable", "Later.", retry_after="1")
        return await inner.answer(call)

    return FunctionSite(inner.prefix, inner.index_lines, answer)


def slow(inner: PrefixSite) -> PrefixSite:
    """Sends each page of the inner site after as many seconds as its parameter `seconds` says."""

    async def answer(call: Call) -> Response:
        seconds = call.params.get("seconds", "1")
        if not call.path.startswith("wp-") and seconds.replace(".", "", 1).isdecimal():
            await asyncio.sleep(float(seconds))
        return await inner.answer(call)

    return FunctionSite(inner.prefix, inner.index_lines, answer)


def huge_with_box(inner: PrefixSite) -> PrefixSite:
    """Sends each page of the inner site with 256 MB behind it."""

    async def answer(call: Call) -> Response:
        response = await inner.answer(call)
        if call.path.startswith("wp-"):
            return response
        text = bytes(response.body).decode().removesuffix("</body>\n</html>\n")
        return Stream(_filler(text), headers=HTML)

    return FunctionSite(inner.prefix, inner.index_lines, answer)


def _fixed(prefix: str, about: str, make: Callable[[Call], Response]) -> PrefixSite:
    async def answer(call: Call) -> Response:
        return make(call)

    return FunctionSite(prefix, [IndexLine(f"{prefix}/", about)], answer)


async def _status(call: Call) -> Response:
    code = call.path.partition("/")[0]
    if not (code.isascii() and code.isdigit() and 400 <= int(code) <= 599):
        return plain_page(404, "404 Not Found", "There is no such status.")
    if code == "429":
        return plain_page(429, "429 Too Many Requests", "In an hour.", retry_after="3600")
    return plain_page(int(code), f"{code}", "That is all.")


def _loop(call: Call) -> Response:
    there = f"{call.base}/loop/"
    return RedirectResponse(there if call.path else there + "again/", 302)


def _deep() -> str:
    return "<!doctype html>\n<body>" + "<div>" * 100_000 + "deep" + "</div>" * 100_000 + "</body>\n"


async def _filler(start: str) -> Pieces:
    yield start.encode()
    piece = ("<p>" + "filler " * 9 + "</p>\n").encode() * 1000
    for _ in range(HUGE_SIZE // len(piece)):
        yield piece
    yield b"</body>\n</html>\n"
