"""Fault pages: pages without a chat, and chat pages that come late, never end, or come after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from starlette.responses import RedirectResponse, Response

from chatgptt.demo.bodies import read_number
from chatgptt.demo.front import challenge, plain_page
from chatgptt.demo.state import DemoState
from chatgptt.demo.stream import Pieces, Stream
from chatgptt.demo.wordpress import HTML, Call, Site

HUGE_SIZE = 256_000_000
"""Bytes of `/huge/`: more than a client should read."""

_JSON = {"content-type": "application/json"}
_PDF = {"content-type": "application/pdf"}


def _status(call: Call) -> Response:
    code = read_number(call.path.partition("/")[0])
    if not 400 <= code <= 599:
        return plain_page(404, "404 Not Found", "There is no such status.")
    if code == 429:
        return plain_page(429, "429 Too Many Requests", "In an hour.", retry_after="3600")
    return plain_page(code, f"{code}", "That is all.")


def _loop(call: Call) -> Response:
    return RedirectResponse(f"{call.home}/" if call.path else f"{call.home}/again/", 302)


def _deep(call: Call) -> Response:
    body = "<!doctype html>\n<body>" + "<div>" * 100_000 + "deep" + "</div>" * 100_000 + "</body>\n"
    return Response(body, 200, HTML)


async def _filler(start: str) -> Pieces:
    yield start.encode()
    piece = ("<p>" + "filler " * 9 + "</p>\n").encode() * 1000
    for _ in range(HUGE_SIZE // len(piece)):
        yield piece
    yield b"</body>\n</html>\n"


_STATUSES = {
    "status/404/": "status 404, and so on for every other status",
    "status/500/": "status 500",
    "status/429/": "status 429 with Retry-After: 3600",
}


def fault_sites() -> list[Site]:
    """The fault pages that need no chat site."""
    return [
        _site("challenge/cloudflare", "a challenge, and a header says so", lambda _: challenge(403)),
        _site(
            "challenge/body", "a challenge, only its text says so", lambda _: challenge(503, is_marked=False)
        ),
        replace(_site("status", "", _status), pages=_STATUSES, about="nothing but a status"),
        _site("pdf", "a PDF", lambda _: Response(b"%PDF-1.4\n%%EOF\n", 200, _PDF)),
        _site("json-page", "JSON", lambda _: Response('{"no":"page"}', 200, _JSON)),
        _site("huge", "256 MB of HTML", lambda _: Stream(_filler("<!doctype html>\n<body>\n"), headers=HTML)),
        _site("deep", "100,000 elements inside each other", _deep),
        _site("loop", "redirects in a circle", _loop),
        _site(
            "moved", "moved for good to wpaicg/", lambda call: RedirectResponse(f"{call.base}/wpaicg/", 301)
        ),
    ]


def _site(prefix: str, about: str, make: Callable[[Call], Response]) -> Site:
    async def answer(call: Call) -> Response:
        return make(call)

    return Site(prefix, {f"{prefix}/": about}, answer)


def busy_at_first(inner: Site, state: DemoState) -> Site:
    """Answers the first two pages with 503 and Retry-After: 1, and then as the inner site."""

    async def answer(call: Call) -> Response:
        if _is_page(call) and state.memory(inner.prefix).is_among_first(2, "503"):
            return plain_page(503, "503 Service Unavailable", "Later.", retry_after="1")
        return await inner.answer(call)

    return replace(inner, answer=answer)


def slow(inner: Site) -> Site:
    """Sends each page of the inner site after as many seconds as its parameter `seconds` says."""

    async def answer(call: Call) -> Response:
        seconds = call.logged.params.get("seconds", "1")
        if _is_page(call) and seconds.replace(".", "", 1).isdecimal():
            await asyncio.sleep(float(seconds))
        return await inner.answer(call)

    return replace(inner, answer=answer)


def huge_with_box(inner: Site) -> Site:
    """Sends each page of the inner site with 256 MB behind it."""

    async def answer(call: Call) -> Response:
        response = await inner.answer(call)
        if not _is_page(call):
            return response
        text = bytes(response.body).decode().removesuffix("</body>\n</html>\n")
        return Stream(_filler(text), headers=HTML)

    return replace(inner, answer=answer)


def _is_page(call: Call) -> bool:
    return not call.path.startswith("wp-")
