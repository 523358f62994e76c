"""The gate between the browser and the network: an HTTP proxy on loopback that all traffic of a tab takes.

A page's frames, popups, workers and WebSockets all connect through their context's proxy. The gate makes
these connections, directly or through a proxy that the caller named. So it can refuse each one that leads
further in than the page may go.

The gate asks for a login that only the tab knows, so no other program of this machine can use it. For TLS and
WebSocket, Chromium asks for a tunnel. It sends other requests whole, one after the other. The gate reads the
heads of these, which say where they go. It hands on the replies as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import re
import secrets
import socket
import ssl
from base64 import b64encode
from collections.abc import Coroutine
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import httpx

from chatgptt._errors import ChatGpttError, ErrorCode, TransportError
from chatgptt.net.failures import causes
from chatgptt.net.proxies import Proxy
from chatgptt.net.reach import Inward, Reach
from chatgptt.net.sockets import first_that_connects, look_up
from chatgptt.protocols.urls import origin

__all__ = ["Gate", "Upstream"]

_log = logging.getLogger("chatgptt.browser")

_CONNECT_TIMEOUT = 10.0
_LOGIN_TIMEOUT = 10.0
_CHUNK_BYTES = 64 * 1024
_MOST_HEAD_BYTES = 2**20
"""Chromium's own bound for an address is 2 MB; servers' bounds for a whole head are far below this one."""

_USER = "chatgptt"
_HINTS: dict[ErrorCode, str] = {
    "connect_error": "check the address, and that the site is up",
    "dns_error": "check the host name and this machine's network",
    "timeout": "the site's server does not answer; try again later",
}
_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """An HTTP, HTTPS or SOCKS5 proxy, with a login or without."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Upstream:
        """The proxy that `scheme://[user:password@]host[:port]` names."""
        parts = urlsplit(url)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or _DEFAULT_PORTS.get(parts.scheme, 80),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )

    @property
    def is_http(self) -> bool:
        """Whether it takes HTTP requests; the others are SOCKS5."""
        return self.scheme in ("http", "https")


class _Refused(Exception):
    """A connection does not come about, and why."""


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a request; `lines` are its headers."""

    method: str
    target: str
    lines: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where it goes."""
        return f"https://{self.target}/" if self.method == "CONNECT" else self.target

    @property
    def place(self) -> tuple[str, int]:
        """The host and port that it goes to."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def header(self, name: str) -> str:
        """The value of the header with this lower-case name; "" where there is none."""
        start = f"{name}:"
        return next((line[len(start) :].strip() for line in self.lines if line.lower().startswith(start)), "")

    def for_site(self) -> bytes:
        """The head as a browser without a proxy sends it."""
        target = f"/{self.target.partition('://')[2].partition('/')[2]}"
        lines = [re.sub(r"(?i)^proxy-(?=connection:)", "", line) for line in self._others()]
        return self._written(target, lines)

    def for_proxy(self, upstream: Upstream) -> bytes:
        """The head with the login of an HTTP proxy instead of the gate's."""
        login = [f"Proxy-Authorization: {_basic(upstream.user, upstream.password)}"] if upstream.user else []
        return self._written(self.target, [*self._others(), *login])

    def _others(self) -> list[str]:
        """Its headers without the gate's own login."""
        return [line for line in self.lines if not line.lower().startswith("proxy-authorization:")]

    def _written(self, target: str, lines: list[str]) -> bytes:
        return "\r\n".join([f"{self.method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True)
class _Link:
    """A connection from the gate onward, to an address."""

    address: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def close(self) -> None:
        """Closes it, without a wait."""
        _end(self.writer)


class Gate:
    """Lets one tab's connections through, where its site may lead.

    Attributes:
        realm: what the gate calls itself where it asks for its login.
        login: user and password.
        failures: by host, why a connection to it did not come about; the browser itself knows nothing of use.
    """

    def __init__(self, proxy: Proxy | None = None) -> None:
        self.realm = secrets.token_hex(8)
        self.login = ("chatgptt", secrets.token_urlsafe(24))
        self.failures: dict[str, ChatGpttError] = {}
        self._proxy = proxy
        self._upstream = None if proxy is None else Upstream.of(proxy.url)
        self._tls: ssl.SSLContext | None = None  # what the proxy's certificate is checked with
        self._reach: Reach | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Begins to listen; the port."""
        # In two steps: a caller that is cancelled in the second one has a server to close.
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", 0, limit=_MOST_HEAD_BYTES, start_serving=False
        )
        await self._server.start_serving()
        port = self._server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    def admit(self, reach: Reach) -> None:
        """Says where the tab's site may lead; nothing passes before."""
        self._reach = reach

    async def close(self) -> None:
        """Ends every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_LOGIN_TIMEOUT):
                head: _Head | None = await _read_head(reader)
            while head is not None:
                if not self._is_ours(head):
                    writer.write(_ASK_FOR_LOGIN % self.realm.encode())
                    await writer.drain()
                    return
                if head.method == "CONNECT":
                    await self._tunnel(head, reader, writer)
                    return
                head = await self._hand_on(head, reader, writer)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, _Refused) as error:
            _log.debug("a connection of the browser ended: %r", error)
        finally:
            _end(writer)

    def _is_ours(self, head: _Head) -> bool:
        given = head.header("proxy-authorization")
        return hmac.compare_digest(given.encode(), _basic(*self.login).encode())

    async def _tunnel(self, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connects the browser with the other side, whatever the two tell each other."""
        try:
            link = await self._open(head)
        except _Refused:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await asyncio.gather(_pump(reader, link.writer), _pump(link.reader, writer))
        finally:
            _end(link.writer)

    async def _hand_on(
        self, head: _Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> _Head | None:
        """Hands on the requests of a connection that go to one place.

        Returns:
            The head of the first one that goes elsewhere; None where the other side has hung up.
        """
        link, place = await self._open(head), head.place
        try:
            while head.place == place and self._is_ours(head):
                through = self._upstream if self._upstream is not None and self._upstream.is_http else None
                link.writer.write(head.for_site() if through is None else head.for_proxy(through))
                await _copy_body(head, reader, link.writer)
                following = await _before(_read_head(reader), self._hand_back(head, link, writer))
                if following is None:
                    return None
                head = following
            return head
        finally:
            _end(link.writer)

    async def _hand_back(self, head: _Head, link: _Link, writer: asyncio.StreamWriter) -> None:
        """Hands on what comes back for a request until the connection ends, its head looked at before."""
        assert self._reach is not None
        if self._upstream is not None or self._reach.may_be_replay:
            reply = await _read_reply_head(link.reader)
            status, headers = _parsed(reply)
            if status == 407 and self._upstream is not None:
                self._note(head, _Refused("the proxy refused the login"))
                return  # without an answer, since the browser would take it for the gate's
            self._reach.heed(head.place[0], headers)
            writer.write(reply)
        await _pump(link.reader, writer)

    async def _open(self, head: _Head) -> _Link:
        """A connection onward for a request.

        Raises:
            _Refused: where there is none; `failures` has the reason.
        """
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                link = await self._connect(head)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError, _Refused, Inward) as error:
            self._note(head, error)
            raise _Refused(str(error)) from error
        self.failures.pop(head.place[0], None)
        return link

    def _note(self, head: _Head, error: Exception) -> None:
        """Keeps why a connection did not come about, the last one at the end."""
        url, host = head.url, head.place[0]
        self.failures.pop(host, None)
        if isinstance(error, Inward):
            self.failures[host] = error.error(url)
            return
        cause = next((one for one in causes(error) if isinstance(one, OSError)), error)
        code: ErrorCode = "timeout" if isinstance(cause, TimeoutError) else "connect_error"
        if self._proxy is not None:
            what, hint = f"reach {origin(url)} through {self._proxy}", self._proxy.hint
        else:
            code = "dns_error" if isinstance(cause, socket.gaierror) else code
            what, hint = f"talk to {origin(url)}", _HINTS[code]
        self.failures[host] = TransportError(
            f"the browser cannot {what}: {_words_of(cause)}", code=code, hint=hint, url=url
        )

    async def _connect(self, head: _Head) -> _Link:
        host, port = head.place
        upstream, reach = self._upstream, self._reach
        if reach is None:
            raise Inward
        if upstream is None:
            link = await _dial(await reach.find(host, port, look_up), port)
            try:
                reach.judge_connection(host, link.address)
            except Inward:
                _end(link.writer)
                raise
            return link
        reach.judge_name(host, port)
        if upstream.scheme == "https" and self._tls is None:
            self._tls = httpx.create_ssl_context()
        addresses = await look_up(upstream.host, upstream.port)
        link = await _dial(addresses, upstream.port, self._tls, upstream.host)
        try:
            if not upstream.is_http:
                await _ask_socks(link, upstream, host, port)
            elif head.method == "CONNECT":
                await _ask_for_tunnel(link, upstream, head)
        except BaseException:
            _end(link.writer)
            raise
        return link


_ASK_FOR_LOGIN = (
    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
    b'Proxy-Authenticate: Basic realm="%b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
)


def _words_of(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.strerror:
        is_ours = isinstance(error, ssl.SSLError | socket.gaierror) or not error.errno
        return error.strerror if is_ours else os.strerror(error.errno or 0)  # asyncio has words of its own
    return str(error) or "the proxy hung up"


def _basic(user: str, password: str) -> str:
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


# What comes from the browser, and what comes back


async def _read_head(reader: asyncio.StreamReader) -> _Head:
    """The head of the browser's next request.

    Raises:
        EOFError: where none comes.
        ValueError: where it is none.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    return _Head(method, target, tuple(lines))


async def _copy_body(head: _Head, reader: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hands on the body of a request; Chromium says of each how long it is, in HTTP/1.1."""
    left = int(head.header("content-length") or 0)
    while left > 0:
        data = await reader.read(min(left, _CHUNK_BYTES))
        if not data:
            raise EOFError("the browser hung up")
        sink.write(data)
        await sink.drain()
        left -= len(data)
    await sink.drain()


async def _before(
    wanted: Coroutine[object, object, _Head], other: Coroutine[object, object, None]
) -> _Head | None:
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


async def _read_reply_head(reader: asyncio.StreamReader) -> bytes:
    """The beginning of a reply, with its whole head; the whole reply where it has no head."""
    data = b""
    while not re.search(rb"\r?\n\r?\n", data) and len(data) < _MOST_HEAD_BYTES:
        more = await reader.read(_CHUNK_BYTES)
        if not more:
            break
        data += more
    return data


def _parsed(reply: bytes) -> tuple[int, dict[str, str]]:
    """The status of a reply, 0 where it has none, and its headers; of several by one name the first."""
    first, *lines = re.split(rb"\r?\n\r?\n", reply, maxsplit=1)[0].decode("latin-1").splitlines() or [""]
    pairs = [line.partition(":")[::2] for line in reversed(lines)]
    status = re.match(r"HTTP/\d\.\d (\d{3})", first)
    return int(status[1]) if status else 0, {name.strip().lower(): value.strip() for name, value in pairs}


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hands on what comes until it ends, then says so."""
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        with contextlib.suppress(OSError):
            sink.write_eof()


def _end(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort() if writer.transport.is_closing() else writer.close()


# Connections onward


async def _dial(
    addresses: list[str], port: int, tls: ssl.SSLContext | None = None, name: str | None = None
) -> _Link:
    """A connection to one of the addresses, with TLS to the server of that name."""

    async def connect(address: str) -> _Link:
        served = None if tls is None else name
        return _Link(address, *await asyncio.open_connection(address, port, ssl=tls, server_hostname=served))

    return await first_that_connects(connect, addresses, close=_Link.close)


async def _ask_for_tunnel(link: _Link, upstream: Upstream, head: _Head) -> None:
    """Asks an HTTP proxy for what the browser has asked of the gate."""
    link.writer.write(head.for_proxy(upstream))
    status, _ = _parsed(await link.reader.readuntil(b"\r\n\r\n"))
    if status == 407:
        raise _Refused("the proxy refused the login")
    if status // 100 != 2:
        raise _Refused(f"the proxy could not connect (HTTP {status})")


async def _ask_socks(link: _Link, proxy: Upstream, host: str, port: int) -> None:
    """Asks a SOCKS5 proxy for a connection, with its login (RFC 1928, RFC 1929)."""
    reader, writer = link.reader, link.writer
    writer.write(b"\x05\x01\x02" if proxy.user else b"\x05\x01\x00")
    _, method = await reader.readexactly(2)
    if method == 2:
        user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
        writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        _, status = await reader.readexactly(2)
        if status != 0:
            raise _Refused("the proxy refused the login")
    elif method != 0:
        raise _Refused("the proxy wants another way of logging in")
    name = host.encode("idna") if not host.isascii() else host.encode()
    writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2))
    _, code, _, kind = await reader.readexactly(4)
    length = {1: 4, 4: 16}.get(kind)
    await reader.readexactly((length if length is not None else (await reader.readexactly(1))[0]) + 2)
    if code != 0:
        raise _Refused(f"the proxy could not connect (SOCKS reply {code})")
