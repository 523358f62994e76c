"""The demo as an ASGI application: it logs each request and finds its site.

Python's log gets the method, the path and the status of each request, and nothing that could be a secret.
"""

from __future__ import annotations

import asyncio
import logging
from email.utils import formatdate

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from chatgptt.demo.bodies import read_fields, read_query
from chatgptt.demo.front import plain_page
from chatgptt.demo.index import index_page
from chatgptt.demo.site_list import build_sites
from chatgptt.demo.state import DemoState, LoggedRequest
from chatgptt.demo.wordpress import HTML, Call

_log = logging.getLogger("chatgptt.demo")

_MOST_BODY = 64_000_000
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
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        logged = self._logged(request, body)
        self._state.log.append(logged)

        async def send_and_log(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = formatdate(self._state.clock(), usegmt=True)
                message = {**message, "headers": [*message["headers"], (b"date", date.encode())]}
                logged.status = message["status"]
            else:
                logged.sent_bytes += len(message["body"])
            await send(message)
            if self._pace and message.get("more_body"):
                await asyncio.sleep(self._pace)

        async def answer() -> None:
            if len(body) > _MOST_BODY:
                response = plain_page(413, "413 Content Too Large", "That is too much.")
            else:
                response = await self._answer(request, logged)
            await response(scope, receive, send_and_log)
            tasks.cancel_scope.cancel()

        # An answer may wait for an hour; it has to end when its client hangs up.
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            await receive()  # behind the body comes the disconnect alone
            tasks.cancel_scope.cancel()
        _log.debug("%s %s: %s", logged.method, logged.path, logged.status or "no reply")

    def _logged(self, request: Request, body: bytes) -> LoggedRequest:
        headers = {name: ", ".join(request.headers.getlist(name)) for name in request.headers}
        return LoggedRequest(
            method=request.method,
            path=request.scope["path"],
            params=read_query(request.scope["query_string"]),
            fields=read_fields(headers.get("content-type", ""), body[:_MOST_BODY]),
            headers=headers,
            at=self._state.clock(),
        )

    async def _answer(self, request: Request, logged: LoggedRequest) -> Response:
        base = f"http://{logged.headers.get('host', 'localhost')}"
        if logged.path == "/":
            return Response(index_page(self._sites, base), 200, HTML)
        for site in self._by_prefix:
            home = f"{base}/{site.prefix}"
            if logged.path == f"/{site.prefix}":
                return RedirectResponse(f"{home}/", 301)
            if logged.path.startswith(f"/{site.prefix}/"):
                path = logged.path.removeprefix(f"/{site.prefix}/")
                call = Call(logged=logged, base=base, home=home, path=path, cookies=request.cookies)
                return await site.answer(call)
        return plain_page(404, "404 Not Found", "The demo has no such page.")
