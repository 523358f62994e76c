"""The gate between the browser and the network: an HTTP proxy on loopback for all traffic of one tab.

A page's frames, popups, workers and WebSockets all connect through the proxy of their context. The gate makes
these connections, directly or through a proxy that the caller named. It refuses each connection that leads
further inside this network than the page may lead (`net.reach`).

The gate asks for a login that only the tab knows, so no other program of this machine can use it. Chromium
logs in to HTTP proxies only, so it is no SOCKS proxy. For TLS and WebSocket, Chromium asks for a tunnel. It
sends other requests whole, one after the other. The gate reads the heads of these, which say where they go,
and passes the replies on as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import secrets
import socket
from collections.abc import Coroutine

from chatgptt._errors import ChatGpttError
from chatgptt.browser.http_heads import (
    MOST_HEAD_BYTES,
    RequestHead,
    basic_credentials,
    parse_reply_head,
    read_reply_head,
    read_request_head,
)
from chatgptt.browser.upstream import (
    Link,
    RefusedByProxy,
    UpstreamProxy,
    close_writer,
    connect,
    connect_through,
)
from chatgptt.net.connection_server import ConnectionServer
from chatgptt.net.httpx_errors import map_connect_error
from chatgptt.net.lookup import look_up
from chatgptt.net.proxies import Proxy
from chatgptt.net.reach import OutOfReachError, Reach
from chatgptt.net.tls import tls_context

_log = logging.getLogger("chatgptt.browser")

_CONNECT_TIMEOUT = 10.0
_LOGIN_TIMEOUT = 10.0
_CHUNK_BYTES = 64 * 1024
_ASK_FOR_LOGIN = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="%b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)
_NO_TUNNEL = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_ConnectionEnds = (OSError, EOFError, ValueError, asyncio.LimitOverrunError, RefusedByProxy, OutOfReachError)
"""Why a connection ends or is not made."""


class ProxyGate:
    """Makes one tab's connections, where its site may lead, through a proxy or directly.

    Attributes:
        realm: the gate's name where it asks for its login.
        login: user and password.
        failures: by host, why a connection to it failed, the last one at the end. The browser does not know.
    """

    def __init__(self, proxy: Proxy | None = None) -> None:
        self.realm = secrets.token_hex(8)
        self.login = ("chatgptt", secrets.token_urlsafe(24))
        self.failures: dict[str, ChatGpttError] = {}
        self._proxy = proxy
        self._upstream = None if proxy is None else UpstreamProxy.of(proxy.url)
        is_tls = self._upstream is not None and self._upstream.scheme == "https"
        self._tls = tls_context() if is_tls else None
        self._reach: Reach | None = None
        self._server: ConnectionServer | None = None

    def open(self) -> int:
        """Begins to listen; the port."""
        listening = socket.create_server(("127.0.0.1", 0))
        self._server = ConnectionServer(listening, self._serve, limit=MOST_HEAD_BYTES)
        return self._server.port

    def admit(self, reach: Reach) -> None:
        """Sets where the tab's site may lead; before, the gate refuses everything."""
        self._reach = reach

    async def close(self) -> None:
        """Ends every connection."""
        if self._server is not None:
            await self._server.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LOGIN_TIMEOUT):
                head: RequestHead | None = await read_request_head(reader)
            while head is not None:
                if not self._has_login(head):
                    writer.write(_ASK_FOR_LOGIN % self.realm.encode())
                    await writer.drain()
                    return
                if head.method == "CONNECT":
                    await self._serve_tunnel(head, reader, writer)
                    return
                head = await self._serve_requests(head, reader, writer)
        except _ConnectionEnds as error:
            _log.debug("a connection of the browser ended: %r", error)

    def _has_login(self, head: RequestHead) -> bool:
        given = head.header("proxy-authorization")
        return hmac.compare_digest(given.encode(), basic_credentials(*self.login).encode())

    async def _serve_tunnel(
        self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Connects the browser with the other side, and copies the bytes of both."""
        try:
            link = await self._connect(head)
        except _ConnectionEnds:
            writer.write(_NO_TUNNEL)
            await writer.drain()
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await asyncio.gather(_copy(reader, link.writer), _copy(link.reader, writer))
        finally:
            close_writer(link.writer)

    async def _serve_requests(
        self, head: RequestHead, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> RequestHead | None:
        """Passes on the requests of a connection that go to one host and port.

        Returns:
            The head of the first request that goes elsewhere; None where the other side has closed.
        """
        link, place = await self._connect(head), head.place
        upstream = self._upstream if self._upstream is not None and self._upstream.is_http else None
        try:
            while head.place == place and self._has_login(head):
                onward = upstream and head.for_proxy(upstream.user, upstream.password)
                link.writer.write(onward or head.for_site())
                await _copy_body(head, reader, link.writer)
                following = await _before(read_request_head(reader), self._return_replies(head, link, writer))
                if following is None:
                    return None
                head = following
            return head
        finally:
            close_writer(link.writer)

    async def _return_replies(self, head: RequestHead, link: Link, writer: asyncio.StreamWriter) -> None:
        """Passes on what comes back for a request until the connection ends, after a look at its head."""
        assert self._reach is not None
        if self._upstream is not None or self._reach.may_be_replay:
            reply = await read_reply_head(link.reader)
            status, headers = parse_reply_head(reply)
            if status == 407 and self._upstream is not None:
                self._note_failure(head, RefusedByProxy("the proxy refused the login"))
                return  # without an answer, since the browser would take it for the gate's
            self._reach.note_reply(head.place[0], headers)
            writer.write(reply)
        await _copy(link.reader, writer)

    async def _connect(self, head: RequestHead) -> Link:
        """A connection onward for a request; where there is none, `failures` has the reason.

        Raises:
            Exception: one of `_ConnectionEnds`.
        """
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                link = await self._connect_within_reach(head)
        except _ConnectionEnds as error:
            self._note_failure(head, error)
            raise
        self.failures.pop(head.place[0], None)
        return link

    async def _connect_within_reach(self, head: RequestHead) -> Link:
        host, port = head.place
        reach = self._reach
        if reach is None:
            raise OutOfReachError
        if self._upstream is not None:
            reach.check_name(host, port)
            return await connect_through(self._upstream, self._tls, head)
        link = await connect(await reach.find_addresses(host, port, look_up), port)
        try:
            reach.check_connection(host, link.address)
        except OutOfReachError:
            close_writer(link.writer)
            raise
        return link

    def _note_failure(self, head: RequestHead, error: Exception) -> None:
        url, host = head.url, head.place[0]
        self.failures.pop(host, None)
        if isinstance(error, OutOfReachError):
            self.failures[host] = error.error(url)
        else:
            self.failures[host] = map_connect_error(error, url, self._proxy)


async def _copy_body(head: RequestHead, reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Passes on the body of a request; Chromium gives the length of each in HTTP/1.1."""
    missing = int(head.header("content-length") or 0)
    while missing > 0:
        data = await reader.read(min(missing, _CHUNK_BYTES))
        if not data:
            raise EOFError("the browser closed the connection")
        sink.write(data)
        await sink.drain()
        missing -= len(data)
    await sink.drain()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Passes on all bytes, and then their end."""
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        with contextlib.suppress(OSError):
            sink.write_eof()


async def _before(
    wanted: Coroutine[object, object, RequestHead], other: Coroutine[object, object, None]
) -> RequestHead | None:
    """The result of the first, or None where the other one ends first."""
    tasks = asyncio.ensure_future(wanted), asyncio.ensure_future(other)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[1].done():
            tasks[1].result()
            return None
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
