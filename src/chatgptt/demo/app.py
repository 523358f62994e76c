"""The demo as an ASGI application: it logs each request and finds its site."""

from __future__ import annotations

import asyncio
import html
from email.utils import formatdate

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from chatgptt.demo.bodies import read_fields, read_query
from chatgptt.demo.front import plain_page
from chatgptt.demo.model import WORDS
from chatgptt.demo.request_log import LogEntry, LoggedRequest
from chatgptt.demo.sites import build_sites
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, PrefixSite

MOST_BODY = 64_000_000
"""Bytes of a request's body. A longer one gets status 413, as from every web server."""


class Demo:
    """All sites behind one port."""

    def __init__(self, state: DemoState, pace: float = 0.0) -> None:
        self._state = state
        self._pace = pace
        self._sites = build_sites(state)
        self._by_prefix = sorted(self._sites, key=lambda site: -len(site.prefix))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request. A client that hangs up ends its answer."""
        request = Request(scope, receive)
        body = await _read_body(receive)
        if body is None:
            return
        entry = self._state.log.add(self._logged(request, body))

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._state.clock(), usegmt=True)
                message = {**message, "headers": [*message["headers"], (b"date", date.encode())]}
                entry.set_status(message["status"])
            else:
                entry.add_sent(len(message["body"]))
            await send(message)
            if self._pace and message.get("more_body"):
                await asyncio.sleep(self._pace)

        async def answer() -> None:
            if len(body) > MOST_BODY:
                response = plain_page(413, "413 Content Too Large", "That is too much.")
            else:
                response = await self._answer(request, entry)
            await response(scope, receive, send_and_log)

        # An answer may wait for an hour; it has to end when its client hangs up.
        answering = asyncio.create_task(answer())
        leaving = asyncio.create_task(_wait_for_disconnect(receive))
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        is_done = answering.done()
        answering.cancel()
        leaving.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)
        if is_done:
            answering.result()

    def _logged(self, request: Request, body: bytes) -> LoggedRequest:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return LoggedRequest(
            method=request.method,
            path=request.scope["path"],
            params=read_query(request.scope["query_string"]),
            fields=read_fields(headers.get("content-type", ""), body[:MOST_BODY]),
            headers=headers,
            at=self._state.clock(),
        )

    async def _answer(self, request: Request, entry: LogEntry) -> Response:
        logged = entry.request
        base = f"http://{logged.headers.get('host', 'localhost')}"
        if logged.path == "/":
            return Response(self._index(), 200, {"content-type": "text/html; charset=UTF-8"})
        for site in self._by_prefix:
            if logged.path == f"/{site.prefix}":
                return RedirectResponse(f"{base}/{site.prefix}/", 301)
            if logged.path.startswith(f"/{site.prefix}/"):
                return await site.answer(_call(request, entry, base, site))
        return plain_page(404, "404 Not Found", "The demo has no such page.")

    def _index(self) -> str:
        pages = "".join(
            f'<li><a href="/{page.path}">/{page.path}</a> {html.escape(page.about)}</li>\n'
            for site in self._sites
            for page in site.index_lines
        )
        words = "".join(
            f"<li><code>{word}</code> {html.escape(about)}</li>\n" for word, about in WORDS.items()
        )
        return (
            '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>Demo</title></head>\n'
            "<body>\n<h1>Chat sites to try things with</h1>\n<p>All is made up, and no AI is behind it.</p>\n"
            f"<ul>\n{pages}</ul>\n<h2>Messages that do something</h2>\n"
            f"<p>Put one of these words first.</p>\n<ul>\n{words}</ul>\n</body>\n</html>\n"
        )


def _call(request: Request, entry: LogEntry, base: str, site: PrefixSite) -> Call:
    logged = entry.request
    return Call(
        method=logged.method,
        base=base,
        path=logged.path.removeprefix(f"/{site.prefix}/"),
        params=logged.params,
        fields=logged.fields,
        headers=logged.headers,
        cookies=request.cookies,
        now=logged.at,
        entry=entry,
    )


async def _read_body(receive: Receive) -> bytes | None:
    """The body, cut a little beyond the limit; None if the client hangs up before its end."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if not message.get("more_body", False) or size > MOST_BODY:
            return b"".join(pieces)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
