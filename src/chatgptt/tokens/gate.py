"""The gate between the browser and the network: a SOCKS5 server on loopback that one page's traffic goes
through.

A page decides where its browser connects: by links, redirects, frames, scripts, and by names that resolve to
whatever its owner likes. So the rule that a page of the public net may not reach into this machine or its
network is kept where connections are made, on the addresses that they are made to.

It also hands on to a SOCKS5 proxy that wants a login, which Chromium cannot do itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from chatgptt._network import look_up
from chatgptt.protocols.addresses import Space, is_further_in, space_of

__all__ = ["Gate", "Upstream"]

_log = logging.getLogger("chatgptt.browser")

_CONNECT_TIMEOUT = 10.0
_HANDSHAKE_TIMEOUT = 10.0
_CHUNK_BYTES = 64 * 1024

# RFC 1928: what a reply says.
_GRANTED, _FAILED, _FORBIDDEN, _UNREACHABLE, _REFUSED, _UNSUPPORTED = 0, 1, 2, 4, 5, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A SOCKS5 proxy, with a login or without."""

    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> Upstream:
        """The proxy that `socks5://[user:password@]host[:port]` names."""
        parts = urlsplit(url)
        return cls(
            host=parts.hostname or "",
            port=parts.port or 1080,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )


class _Closed(Exception):
    """A connection is refused, with what to reply."""

    def __init__(self, reply: int, why: str) -> None:
        super().__init__(why)
        self.reply = reply


class Gate:
    """Lets one page's connections through, to addresses no further in than its own site's.

    Attributes:
        failures: by host, why the last connection to it failed; the browser itself tells nothing of use.
    """

    def __init__(self, upstream: Upstream | None = None) -> None:
        self.failures: dict[str, OSError | str] = {}
        self._upstream = upstream
        self._home = ""
        self._home_space: Space | None = None
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        """Begins to listen; the port."""
        # In two steps: whoever is cancelled in the second one has something to close.
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, start_serving=False)
        await self._server.start_serving()
        port = self._server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    def admit(self, host: str) -> None:
        """Names the site's own host; nothing passes before."""
        self._home, self._home_space = host.strip("[]").lower(), None

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
        onward: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
                host, port = await _read_request(reader, writer)
            try:
                onward_reader, onward = await self._connect(host, port)
            except (OSError, _Closed, TimeoutError) as error:
                self.failures[host] = error if isinstance(error, OSError) else str(error) or "no answer"
                writer.write(_reply(_code_of(error)))
                await writer.drain()
                return
            writer.write(_reply(_GRANTED))
            await asyncio.gather(_pump(reader, onward), _pump(onward_reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, _Closed) as error:
            _log.debug("a connection of the browser ended: %r", error)
        finally:
            for one in (writer, onward):
                if one is not None:
                    one.transport.abort() if one.transport.is_closing() else one.close()

    async def _connect(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            if self._upstream is not None:
                await self._check_name(host)
                return await _connect_through(self._upstream, host, port)
            addresses = await _resolve(host, port)
            allowed = await self._allowed(host, addresses)
            if not allowed:
                raise _Closed(_FORBIDDEN, "a page of the public net may not reach into this network")
            error: OSError | None = None
            for address in allowed:
                try:
                    return await asyncio.open_connection(address, port)
                except OSError as failed:
                    error = failed
            assert error is not None
            raise error

    async def _allowed(self, host: str, addresses: list[str]) -> list[str]:
        """Those that are no further in than the home was when it was first looked up.

        For the home's own name as well: it may resolve to something else the next time.
        """
        if self._home_space is None:
            is_home = host.strip("[]").lower() == self._home
            try:
                homes = addresses if is_home else await _resolve(self._home, 0) if self._home else []
            except OSError:
                homes = []
            self._home_space = max(map(space_of, homes), default=Space.PUBLIC)
        return [address for address in addresses if space_of(address) >= self._home_space]

    async def _check_name(self, host: str) -> None:
        """Behind a proxy names are resolved there; what can be told from the name alone is refused here."""
        name = host.strip("[]").lower()
        if is_further_in(name, self._home):
            raise _Closed(_FORBIDDEN, "a page of the public net may not reach into this network")


async def _resolve(host: str, port: int) -> list[str]:
    with contextlib.suppress(ValueError):
        return [str(ipaddress.ip_address(host.strip("[]")))]
    return await look_up(host, port)


def _code_of(error: Exception) -> int:
    match error:
        case _Closed(reply=reply):
            return reply
        case ConnectionRefusedError():
            return _REFUSED
        case socket.gaierror():
            return _UNREACHABLE
        case _:
            return _FAILED


def _reply(code: int) -> bytes:
    return bytes((5, code, 0, 1)) + bytes(6)


async def _read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[str, int]:
    """Where the browser wants to go (RFC 1928)."""
    version, count = await reader.readexactly(2)
    await reader.readexactly(count)
    if version != 5:
        raise _Closed(_FAILED, "no SOCKS5")
    writer.write(b"\x05\x00")
    _, command, _, kind = await reader.readexactly(4)
    match kind:
        case 1:
            host = socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
        case 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii", "replace")
        case 4:
            host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
        case _:
            raise _Closed(_UNSUPPORTED, "an unknown form of address")
    port = int.from_bytes(await reader.readexactly(2))
    if command != 1:
        writer.write(_reply(_UNSUPPORTED))
        raise _Closed(_UNSUPPORTED, "only connections are handed on")
    return host, port


async def _connect_through(
    proxy: Upstream, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection by way of a SOCKS5 proxy, with its login (RFC 1928, RFC 1929)."""
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise _Closed(_FAILED, f"the proxy cannot be reached, {why}") from error
    try:
        writer.write(b"\x05\x01\x02" if proxy.user else b"\x05\x01\x00")
        _, method = await reader.readexactly(2)
        if method == 2:
            user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
            writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
            _, status = await reader.readexactly(2)
            if status != 0:
                raise _Closed(_FORBIDDEN, "the proxy refused the login")
        elif method != 0:
            raise _Closed(_FORBIDDEN, "the proxy wants another way of logging in")
        name = host.encode("idna") if not host.isascii() else host.encode()
        writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2))
        _, code, _, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind)
        await reader.readexactly((length if length is not None else (await reader.readexactly(1))[0]) + 2)
        if code != _GRANTED:
            raise _Closed(code, f"the proxy could not connect (SOCKS reply {code})")
    except asyncio.IncompleteReadError as error:
        writer.close()
        raise _Closed(_FAILED, "the proxy hung up") from error
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Hands on what comes until it ends, then says so."""
    while data := await source.read(_CHUNK_BYTES):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        with contextlib.suppress(OSError):
            sink.write_eof()
