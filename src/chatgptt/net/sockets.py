"""The sockets below httpcore, which opens its connections by the network backend that it is given.

This backend

- connects only where the request's `Destination` allows it, and looks each name up once;
- remembers each socket until it is closed. httpcore loses a socket when a TLS or proxy handshake fails or is
  cancelled;
- notices bytes behind an answer. httpcore would read them as the next answer.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio
import httpcore

from chatgptt.net.lookup import Lookups
from chatgptt.net.reach import Destination

_Value = TypeVar("_Value")

_HEAD_START = 0.25
"""Seconds that one address has before the next one is tried beside it (RFC 8305, section 5)."""

_LAST_CHUNK = re.compile(rb"\n0+[ \t]*(?:[;\r]|$)")
"""Where the last chunk of a body begins, or may begin if the line goes on in the next arrival. An arrival is
searched with a line's end before it: a pattern that may match at its beginning too takes 10 times as long."""

_backend = httpcore.AnyIOBackend()


class ConnectionSockets(httpcore.AsyncNetworkBackend):
    """The sockets that are opened for one connection.

    Attributes:
        destination: where the request that is being sent goes.
    """

    def __init__(self, lookups: Lookups) -> None:
        self.destination: Destination | None = None
        self._lookups = lookups
        self._streams: list[_Stream] = []
        self._outermost: _Stream | None = None

    @property
    def holds_more(self) -> bool:
        """Whether bytes arrived that nothing has asked for."""
        return self._outermost is not None and self._outermost.holds_more

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore.AsyncNetworkBackend."""
        assert self.destination is not None

        async def connect(address: str) -> httpcore.AsyncNetworkStream:
            return await _backend.connect_tcp(address, port, None, local_address, socket_options)

        try:
            with anyio.fail_after(timeout):
                addresses = await self.destination.find_addresses(host, port, self._lookups.look_up)
                stream = _Stream(self, await connect_first(connect, addresses, close=_close))
                self._streams.append(stream)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        peer = find_peer(stream)
        if peer:  # else it has been reset already
            self.destination.check_connection(host, peer)
        return stream

    async def sleep(self, seconds: float) -> None:
        """See httpcore.AsyncNetworkBackend."""
        await anyio.sleep(seconds)

    def seconds_left(self, timeout: float | None) -> float | None:
        """A timeout of httpcore, cut to the seconds that the call has left."""
        assert self.destination is not None
        left = self.destination.deadline.remaining()
        return left if timeout is None else min(timeout, left)

    async def close(self) -> None:
        """Closes all of them."""
        while self._streams:
            await self._streams.pop().aclose()


class _Stream(httpcore.AsyncNetworkStream):
    """One socket, or the TLS on top of the socket `below`.

    An answer's last bytes and what the server sent behind them may arrive together. So the last byte of each
    arrival is given out by itself. If httpcore does not ask for it, the answer was complete before it.
    Two reads for an arrival take half as long again as one. So it is given out whole where the connection
    ends with the answer, and where the answer is chunked and its last chunk has not begun.

    httpcore writes the head of a request, its body, and an empty end. They are sent together.
    """

    def __init__(
        self, sockets: ConnectionSockets, inner: httpcore.AsyncNetworkStream, below: _Stream | None = None
    ) -> None:
        self._sockets = sockets
        self._inner = inner
        self._below = below
        self._tls = inner.get_extra_info("ssl_object")
        self._unsent = bytearray()
        self._is_http = False
        self._is_head_due = False
        self._is_last_answer = False
        self._is_amid_chunks = False
        self._last_byte = b""
        self._may_hold_more = False
        sockets._outermost = self

    @property
    def holds_more(self) -> bool:
        return bool(self._last_byte) or self._may_hold_more

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._last_byte:
            data, self._last_byte = self._last_byte, b""
            return data
        await self._send(timeout)
        data = await self._inner.read(max_bytes, self._sockets.seconds_left(timeout))
        self._may_hold_more = len(data) == max_bytes
        # The answers of a SOCKS proxy are read whole.
        self._is_http = self._is_http or data.startswith(b"HTTP/")
        self._note_framing(data)
        if self._is_http and len(data) > 1 and not (self._is_last_answer or self._is_amid_chunks):
            data, self._last_byte = data[:-1], data[-1:]
        return data

    def _note_framing(self, data: bytes) -> None:
        """Notes what the head of an answer says of its end, and where a chunked one may come to it.

        A head in several arrivals, or in another spelling than that of nearly all servers, says nothing here.
        """
        if self._is_head_due:
            self._is_head_due = False
            head, end, _ = data.partition(b"\r\n\r\n")
            headers = head.lower() + b"\r\n"
            is_whole = bool(end) and head.startswith(b"HTTP/1.1 200 ")
            self._is_last_answer = is_whole and b"\r\nconnection: close\r\n" in headers
            self._is_amid_chunks = is_whole and b"\r\ntransfer-encoding: chunked\r\n" in headers
        if self._is_amid_chunks and _LAST_CHUNK.search(b"\n" + data):
            self._is_amid_chunks = False

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent += buffer
        if not buffer:
            await self._send(timeout)

    async def _send(self, timeout: float | None) -> None:
        if self._unsent:
            data = bytes(self._unsent)
            self._unsent.clear()
            self._is_head_due = True
            await self._inner.write(data, timeout)

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            if self._below is not None:
                await self._below.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        inner = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(self._sockets, inner, below=self)

    def get_extra_info(self, info: str) -> object:
        # httpcore closes an idle connection that is readable, but knows only what the system has for it.
        if info == "is_readable" and (self.holds_more or self._holds_decrypted()):
            return True
        return self._inner.get_extra_info(info)

    def _holds_decrypted(self) -> bool:
        if not isinstance(self._tls, ssl.SSLObject):
            return False
        try:
            self._tls.read(1)  # an idle connection with anything to read is not used again
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:  # the other side ended it
            pass
        return True


async def connect_first(
    connect: Callable[[str], Awaitable[_Value]],
    addresses: list[str],
    *,
    close: Callable[[_Value], Awaitable[None]],
) -> _Value:
    """A connection to the address that answers first, each tried a moment after the one before it.

    Raises:
        OSError: where none answers.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    found: list[_Value] = []
    errors: list[Exception] = []

    async def attempt(address: str, ended: anyio.Event) -> None:
        try:
            found.append(await connect(address))
            tasks.cancel_scope.cancel()
        except (httpcore.ConnectError, httpcore.ConnectTimeout, OSError) as error:
            errors.append(error)
        finally:
            ended.set()

    async def close_all(some: list[_Value]) -> None:
        with anyio.CancelScope(shield=True):
            for one in some:
                await close(one)

    try:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(attempt, address, ended)
                with anyio.move_on_after(_HEAD_START):
                    await ended.wait()
    except BaseException:
        await close_all(found)
        raise
    await close_all(found[1:])
    if not found:
        raise ConnectionError("no address answers") from ExceptionGroup("each address", errors)
    return found[0]


def find_peer(stream: object) -> str:
    """The address at the other end of a connection, from a trace event; "" where it is not known."""
    peer = stream.get_extra_info("server_addr") if isinstance(stream, httpcore.AsyncNetworkStream) else None
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


def find_tls(stream: object) -> ssl.SSLObject | ssl.SSLSocket | None:
    """The TLS of a connection, from a trace event; None where it has none."""
    tls = stream.get_extra_info("ssl_object") if isinstance(stream, httpcore.AsyncNetworkStream) else None
    return tls if isinstance(tls, ssl.SSLObject | ssl.SSLSocket) else None


async def _close(stream: httpcore.AsyncNetworkStream) -> None:
    await stream.aclose()
