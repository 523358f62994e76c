"""Connections from the gate onward: to the site's server, or through the proxy that the caller named."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from chatgptt.browser.http_heads import RequestHead, parse_reply_head
from chatgptt.net.lookup import look_up
from chatgptt.net.sockets import connect_first

_DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}


class RefusedByProxy(Exception):
    """A proxy does not make a connection; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamProxy:
    """An HTTP, HTTPS or SOCKS5 proxy, with a login or without."""

    scheme: str
    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @classmethod
    def of(cls, url: str) -> UpstreamProxy:
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


@dataclass(frozen=True, slots=True)
class Link:
    """A connection from the gate onward, to an address."""

    address: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def close(self) -> None:
        """Closes it, without a wait."""
        close_writer(self.writer)


def close_writer(writer: asyncio.StreamWriter) -> None:
    """Closes a connection; the second call drops what could not be sent."""
    writer.transport.abort() if writer.transport.is_closing() else writer.close()


async def connect(
    addresses: list[str], port: int, tls: ssl.SSLContext | None = None, name: str | None = None
) -> Link:
    """A connection to one of the addresses, with TLS to the server of that name.

    Raises:
        OSError: where no address answers.
    """

    async def connect_to(address: str) -> Link:
        streams = await asyncio.open_connection(address, port, ssl=tls, server_hostname=tls and name)
        return Link(address, *streams)

    return await connect_first(connect_to, addresses, close=Link.close)


async def connect_through(proxy: UpstreamProxy, tls: ssl.SSLContext | None, head: RequestHead) -> Link:
    """A connection to a proxy that takes the request, or a tunnel through it to the request's host.

    Raises:
        OSError: where the proxy does not answer.
        EOFError: where it closes the connection.
        RefusedByProxy: where it refuses the login or the connection.
    """
    link = await connect(await look_up(proxy.host, proxy.port), proxy.port, tls, proxy.host)
    try:
        if not proxy.is_http:
            await _ask_socks(link, proxy, *head.place)
        elif head.method == "CONNECT":
            await _ask_for_tunnel(link, proxy, head)
    except BaseException:
        await link.close()
        raise
    return link


async def _ask_for_tunnel(link: Link, proxy: UpstreamProxy, head: RequestHead) -> None:
    """Asks an HTTP proxy for the tunnel that the browser asked the gate for."""
    link.writer.write(head.for_proxy(proxy.user, proxy.password))
    status, _ = parse_reply_head(await link.reader.readuntil(b"\r\n\r\n"))
    if status == 407:
        raise RefusedByProxy("the proxy refused the login")
    if status // 100 != 2:
        raise RefusedByProxy(f"the proxy could not connect (HTTP {status})")


async def _ask_socks(link: Link, proxy: UpstreamProxy, host: str, port: int) -> None:
    """Asks a SOCKS5 proxy for a connection, with its login (RFC 1928, RFC 1929)."""
    reader, writer = link.reader, link.writer
    writer.write(b"\x05\x01\x02" if proxy.user else b"\x05\x01\x00")
    _, method = await reader.readexactly(2)
    if method == 2:
        user, password = proxy.user.encode()[:255], proxy.password.encode()[:255]
        writer.write(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        _, status = await reader.readexactly(2)
        if status != 0:
            raise RefusedByProxy("the proxy refused the login")
    elif method != 0:
        raise RefusedByProxy("the proxy wants another way of logging in")
    name = host.encode("idna") if not host.isascii() else host.encode()
    writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2))
    _, code, _, kind = await reader.readexactly(4)
    length = {1: 4, 4: 16}.get(kind)
    await reader.readexactly((length if length is not None else (await reader.readexactly(1))[0]) + 2)
    if code != 0:
        raise RefusedByProxy(f"the proxy could not connect (SOCKS reply {code})")
