"""A man in the middle on loopback: hands each request on to a real site, and does one fault at one place.

It takes a whole request, gets the site's whole reply, and only then does to the client what its fault says. So
the bytes of a fault are always the same, and what reached the site is counted there, not here. A place is a
step of the way to an answer, told by the request's action. A fault is done a number of times, then all goes
well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal, get_args
from urllib.parse import parse_qsl, urlsplit

from faults import Connection, Got, chunk, read_request, reply

from chatgptt.demo import DemoSite
from chatgptt.net.connection_server import ConnectionServer

Place = Literal["page", "endpoint", "message", "stream"]
"""Where something can go wrong: the page, the request that gets a nonce elsewhere, the message, its answer.

The answer of a 1.x message comes in the reply to the message itself, in 2.x a request of its own gets it.
"""
PLACES: tuple[Place, ...] = get_args(Place)

_BEFORE: Mapping[Place, Place | None] = {
    "page": None,
    "endpoint": "page",
    "message": "page",
    "stream": "message",
}
"""The step after which a new connection, or a look-up of the address, belongs to a place."""

DELAY = 0.15
"""Seconds; less than any limit of the tests."""

DRIP = 0.01
"""Seconds between two bytes of what drips too slowly: the smallest reply takes more than 2 s."""


# What arrived at the site


def _place_of(method: str, action: str, *, is_past_caches: bool) -> Place:
    match method, action:
        case "GET", "":
            return "endpoint" if is_past_caches else "page"
        case "POST", "aipkit_get_frontend_chat_nonce":
            return "endpoint"
        case "GET", "aipkit_frontend_chat_stream":
            return "stream"
        case "POST", "wpaicg_chat_shortcode_message" | "aipkit_cache_sse_message":
            return "message"
        case _:
            raise AssertionError(f"the client has no business with {method} {action!r}")


def reached(site: DemoSite) -> Counter[Place]:
    """How many requests arrived at the site, by place."""
    return Counter(
        _place_of(
            seen.method,
            seen.fields.get("action") or seen.params.get("action", ""),
            is_past_caches="nocache" in seen.params,
        )
        for seen in site.requests
    )


def answered(site: DemoSite) -> int:
    """How many messages the site's AI was asked: each of them costs its owner."""
    return len(site.messages)


# The site's replies, and places in them


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteReply:
    """A reply of the site without what frames it."""

    status_line: bytes
    fields: tuple[bytes, ...]
    body: bytes

    def head(self, *framing: str) -> bytes:
        return b"\r\n".join([self.status_line, *self.fields, *(line.encode() for line in framing), b"", b""])

    @property
    def sized_head(self) -> bytes:
        return self.head(f"Content-Length: {len(self.body)}")

    @property
    def whole(self) -> bytes:
        return self.sized_head + self.body

    @property
    def middle(self) -> int:
        """Half of the body; of a stream the end of the event that brings the first text."""
        first = self.body.find(b'"This "')
        return len(self.body) // 2 if first < 0 else self.body.index(b"\n\n", first) + 2


_OFFSETS: Mapping[str, Callable[[SiteReply], int]] = {
    "before the head": lambda reply: 0,
    "after 1 byte": lambda reply: 1,
    "in the head": lambda reply: len(reply.sized_head) // 2,
    "after the head": lambda reply: len(reply.sized_head),
    "after 40 bytes of the body": lambda reply: len(reply.sized_head) + 40,
    "in the body": lambda reply: len(reply.sized_head) + reply.middle,
    "before the last byte": lambda reply: len(reply.whole) - 1,
}


# Faults of a request


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A request on its way: whom it came from, and what gets the site's reply to it."""

    connection: Connection
    forward: Callable[[], Awaitable[SiteReply]]
    dice: random.Random


RequestFault = Callable[[Crossing], Awaitable[bool | None]]
"""Does it to one request; True keeps the connection for another one."""


async def _delayed(crossing: Crossing) -> bool:
    await asyncio.sleep(DELAY)
    await crossing.connection.send((await crossing.forward()).whole)
    return True


async def _in_jitter(crossing: Crossing) -> bool:
    rest = (await crossing.forward()).whole
    while rest:
        size = crossing.dice.randint(1, 600)
        await crossing.connection.send(rest[:size])
        rest = rest[size:]
        await asyncio.sleep(crossing.dice.uniform(0.0, 0.01))
    return True


def _dripping(pause: float, begin: Callable[[SiteReply], int] = lambda reply: 0) -> RequestFault:
    """One byte at a time, up to the end or as long as the client bears it."""

    async def fault(crossing: Crossing) -> bool:
        found = await crossing.forward()
        whole, start = found.whole, begin(found)
        await crossing.connection.send(whole[:start])
        for place in range(start, len(whole)):
            await crossing.connection.send(whole[place : place + 1])
            await asyncio.sleep(pause)
        return True

    return fault


async def _held_until_gone(crossing: Crossing) -> None:
    """The site gets the request when the client no longer waits for it."""
    await crossing.connection.until_closed()
    await crossing.forward()


def _cut(offset: Callable[[SiteReply], int]) -> RequestFault:
    async def fault(crossing: Crossing) -> None:
        found = await crossing.forward()
        await crossing.connection.send(found.whole[: offset(found)])

    return fault


def _reset(offset: Callable[[SiteReply], int]) -> RequestFault:
    async def fault(crossing: Crossing) -> None:
        found = await crossing.forward()
        await crossing.connection.send(found.whole[: offset(found)])
        crossing.connection.reset()

    return fault


def _silent(offset: Callable[[SiteReply], int]) -> RequestFault:
    async def fault(crossing: Crossing) -> None:
        found = await crossing.forward()
        await crossing.connection.send(found.whole[: offset(found)])
        await crossing.connection.until_closed()

    return fault


async def _half_closed(crossing: Crossing) -> None:
    """The site says no more and goes on to listen."""
    found = await crossing.forward()
    await crossing.connection.send(found.sized_head + found.body[: found.middle])
    crossing.connection.writer.write_eof()
    await crossing.connection.until_closed()


async def _cut_without_length(crossing: Crossing) -> None:
    """Nothing tells the client that there is more: the end of the connection is the end of the body."""
    found = await crossing.forward()
    await crossing.connection.send(found.head("Connection: close") + found.body[: found.middle])


def _length(of: Callable[[SiteReply], int], *, stays_open: bool) -> RequestFault:
    """The whole body, under a length that is not its own."""

    async def fault(crossing: Crossing) -> bool:
        found = await crossing.forward()
        await crossing.connection.send(found.head(f"Content-Length: {of(found)}") + found.body)
        return stays_open

    return fault


def _chunked(parts: Callable[[bytes, bytes], Iterable[bytes]]) -> RequestFault:
    """The two halves of the body as chunks that are wrong somewhere."""

    async def fault(crossing: Crossing) -> None:
        found = await crossing.forward()
        halves = found.body[: found.middle], found.body[found.middle :]
        await crossing.connection.send(found.head("Transfer-Encoding: chunked") + b"".join(parts(*halves)))

    return fault


def _garbage_record(offset: Callable[[SiteReply], int]) -> RequestFault:
    """Bytes that are no TLS, past the encryption, in the body or right behind it."""

    async def fault(crossing: Crossing) -> None:
        found = await crossing.forward()
        await crossing.connection.send(found.sized_head + found.body[: offset(found)])
        number = crossing.connection.writer.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as bare:
            bare.send(b"\x17\x03\x03\x00\x40" + crossing.dice.randbytes(64))
        await crossing.connection.until_closed()

    return fault


def _answering(status: int, retry_after: Callable[[], str] | None = None) -> RequestFault:
    """Something in front of the site answers; the site hears nothing of it."""

    async def fault(crossing: Crossing) -> bool:
        said = {"Retry-After": retry_after()} if retry_after else {}
        await crossing.connection.send(reply("<title>Sorry</title>", status=status, headers=said))
        return True

    return fault


def _losing(status: int) -> RequestFault:
    """The site answers, and a gateway in front of it loses that and gives an error instead."""

    async def fault(crossing: Crossing) -> bool:
        await crossing.forward()
        await crossing.connection.send(reply("<title>Bad gateway</title>", status=status))
        return True

    return fault


def _date(seconds: float) -> Callable[[], str]:
    return lambda: formatdate(time.time() + seconds, usegmt=True)


RETRY_AFTER: Mapping[str, Callable[[], str]] = {
    "0 s": lambda: "0",
    "0.3 s": lambda: "0.3",
    "1 s": lambda: "1",
    "4 s": lambda: "4",
    "8 s": lambda: "8",
    "an hour": lambda: "3600",
    "an age": lambda: "9" * 30,
    "-5 s": lambda: "-5",
    "a date to come": _date(2.0),
    "a date in a year": _date(365 * 86400.0),
    "a date gone by": _date(-86400.0),
    "nonsense": lambda: "soon; or later",
    "nothing": lambda: "",
}
"""What the header says when it is sent; without any, a fault is just its status."""

REQUEST_FAULTS: Mapping[str, RequestFault] = {
    "delay": _delayed,
    "jitter": _in_jitter,
    "drip": _dripping(0.0),
    "slow drip": _dripping(DRIP),
    "slow drip in the body": _dripping(DRIP, _OFFSETS["in the body"]),
    "held until the client has gone": _held_until_gone,
    **{f"cut {name}": _cut(offset) for name, offset in _OFFSETS.items()},
    **{f"reset {name}": _reset(offset) for name, offset in _OFFSETS.items()},
    **{f"silent {name}": _silent(offset) for name, offset in _OFFSETS.items()},
    "half-closed in the body": _half_closed,
    "cut without a length": _cut_without_length,
    "length too long": _length(lambda reply: len(reply.body) + 64, stays_open=False),
    "length too long, silent": _length(lambda reply: len(reply.body) + 64, stays_open=True),
    "length too short": _length(lambda reply: reply.middle, stays_open=True),
    "length 5 too short": _length(lambda reply: len(reply.body) - 5, stays_open=True),
    "length of nonsense": _length(lambda reply: -1, stays_open=True),
    "chunk of no size": _chunked(lambda one, two: (chunk(one), b"zz\r\n", two, b"\r\n0\r\n\r\n")),
    "chunk without its line end": _chunked(lambda one, two: (chunk(one)[:-2], chunk(two), b"0\r\n\r\n")),
    "chunks without an end": _chunked(lambda one, two: (chunk(one), chunk(two))),
    "chunk cut": _chunked(lambda one, two: (chunk(one), chunk(two)[:20])),
    **{f"{status}": _answering(status) for status in (408, 429, 500, 502, 503, 504, *range(520, 525))},
    **{f"429 after {name}": _answering(429, said) for name, said in RETRY_AFTER.items()},
    **{f"503 after {name}": _answering(503, said) for name, said in RETRY_AFTER.items()},
    "answer lost to 502": _losing(502),
    "answer lost to 504": _losing(504),
    "TLS record of garbage": _garbage_record(lambda reply: reply.middle),
    "TLS record of garbage behind the body": _garbage_record(lambda reply: len(reply.body)),
    "TLS cut in the body": _cut(_OFFSETS["in the body"]),
    "TLS cut without a length": _cut_without_length,
}


# Faults of a connection: before a request is read from it


ConnectionFault = Callable[[Connection], Awaitable[None]]


async def _close(connection: Connection) -> None:
    pass


async def _reset_connection(connection: Connection) -> None:
    connection.reset()


async def _vanish(connection: Connection) -> None:
    """Nobody reads any more, and nobody hangs up; it lasts as long as the proxy."""
    connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.Event().wait()


CONNECTION_FAULTS: Mapping[str, ConnectionFault] = {
    "connection closed": _close,
    "connection reset": _reset_connection,
    "peer vanished": _vanish,
}

HandshakeFault = Callable[[Connection, bytes], Awaitable[None]]
"""Does something else than to send the bytes that would be the right answer to the client's first words."""


async def _cut_handshake(connection: Connection, answer: bytes) -> None:
    pass


async def _reset_handshake(connection: Connection, answer: bytes) -> None:
    connection.reset()


async def _cut_certificate(connection: Connection, answer: bytes) -> None:
    await connection.send(answer[: len(answer) // 2])


async def _garble_handshake(connection: Connection, answer: bytes) -> None:
    await connection.send(b"\x16\x03\x03\x00\x40" + bytes(64))


async def _answer_without_tls(connection: Connection, answer: bytes) -> None:
    await connection.send(reply("This is no place for TLS.", status=400))


async def _mute_handshake(connection: Connection, answer: bytes) -> None:
    await connection.until_closed()


HANDSHAKE_FAULTS: Mapping[str, HandshakeFault] = {
    "handshake cut": _cut_handshake,
    "handshake reset": _reset_handshake,
    "handshake cut in the certificate": _cut_certificate,
    "handshake of garbage": _garble_handshake,
    "handshake answered without TLS": _answer_without_tls,
    "handshake without an answer": _mute_handshake,
}


def _first_answer(context: ssl.SSLContext, hello: bytes) -> bytes:
    """What a server of this context says to a client's first words."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    return outgoing.read()


# Faults of a name


_HERE = "127.0.0.1"
_NOBODY = "127.0.0.2"
"""Loopback too, where nobody listens."""

NAME_FAULTS: Mapping[str, tuple[str, ...] | socket.gaierror] = {
    "name unknown": socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    "resolver down": socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
    "address refuses": (_NOBODY,),
    "first of two addresses refuses": (_NOBODY, _HERE),
}

FAULTS = (*REQUEST_FAULTS, *CONNECTION_FAULTS, *HANDSHAKE_FAULTS, *NAME_FAULTS)


# The proxy


class FaultProxy:
    """Stands before a site and does `fault` at `place` as many `times`.

    Attributes:
        url: what a client is to take for the site's own address.
        struck: how often the fault was done.
        broken: what went wrong in the proxy itself.
    """

    def __init__(
        self,
        site: DemoSite,
        *,
        fault: str,
        place: Place,
        carrier: Place,
        times: int,
        seed: int,
        name: str,
        tls: ssl.SSLContext,
    ) -> None:
        assert fault in FAULTS, fault
        self.url = ""
        self.struck = 0
        self.broken: list[BaseException] = []
        self._site_port = urlsplit(site.url).port
        self._fault = fault
        self._before = _BEFORE[place]
        self._carrier = carrier
        self._left = times
        self._dice = random.Random(seed)
        self._host = name if fault in NAME_FAULTS else _HERE
        self._tls = tls if fault in HANDSHAKE_FAULTS or fault.startswith("TLS") else None
        self._last: Place | None = None  # the last step that went well
        self._crossing = 0
        self._authority = b""

    def listens_at(self, port: int) -> None:
        self._authority = f"{self._host}:{port}".encode()
        self.url = f"{'https' if self._tls else 'http'}://{self._host}:{port}"

    def resolve(self) -> tuple[str, ...]:
        """The addresses of its name now.

        Raises:
            socket.gaierror: where the fault is that there are none.
        """
        found = NAME_FAULTS.get(self._fault)
        if found is None or not self._strikes_before_request():
            return (_HERE,)
        if isinstance(found, socket.gaierror):
            raise found
        return found

    async def until_idle(self) -> None:
        """Waits until no request is under way: none can reach the site after that."""
        async with asyncio.timeout(10):
            while self._crossing:  # noqa: ASYNC110 - a test may look at any moment
                await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        if self._fault in HANDSHAKE_FAULTS and self._strikes_before_request():
            assert self._tls is not None
            answer = _first_answer(self._tls, await reader.read(65536))
            await HANDSHAKE_FAULTS[self._fault](connection, answer)
            return
        if self._tls is not None:
            await writer.start_tls(self._tls)
        while True:
            if self._fault in CONNECTION_FAULTS and self._strikes_before_request():
                await CONNECTION_FAULTS[self._fault](connection)
                return
            got = await read_request(reader)
            if got is None:
                return
            self._crossing += 1
            try:
                stays_open = await self._cross(connection, got)
            finally:
                self._crossing -= 1
            if not stays_open:
                return

    async def _cross(self, connection: Connection, got: Got) -> bool | None:
        place = _place_of(
            got.method,
            got.fields.get("action") or dict(parse_qsl(urlsplit(got.target).query)).get("action", ""),
            is_past_caches="nocache=" in got.target,
        )
        if self._fault in REQUEST_FAULTS and place == self._carrier and self._strikes():
            fault = REQUEST_FAULTS[self._fault]
            return await fault(
                Crossing(connection=connection, forward=lambda: self._forward(got), dice=self._dice)
            )
        found = await self._forward(got)
        # A fault of the next handshake or look-up needs a new connection to show.
        is_last = self._fault in HANDSHAKE_FAULTS or self._fault in NAME_FAULTS
        framing = (f"Content-Length: {len(found.body)}", *(["Connection: close"] if is_last else []))
        self._last = place
        await connection.send(found.head(*framing) + found.body)
        return not is_last

    def _strikes(self) -> bool:
        if not self._left:
            return False
        self._left -= 1
        self.struck += 1
        return True

    def _strikes_before_request(self) -> bool:
        if self._last != self._before or not self._strikes():
            return False
        if self._before == "message":
            self._last = "page"  # what was not fetched is handed in again first
        return True

    async def _forward(self, got: Got) -> SiteReply:
        """The site's reply to a request, by a connection that it ends."""
        reader, writer = await asyncio.open_connection(_HERE, self._site_port)
        try:
            fields = [
                f"{name}: {value}".encode("latin-1")
                for name, value in got.headers.items()
                if name not in ("connection", "accept-encoding")
            ]
            # As HTTP/1.0, so that the body comes unframed.
            head = b"\r\n".join([f"{got.method} {got.target} HTTP/1.0".encode(), *fields, b"", b""])
            writer.write(self._translated(head, to_site=True) + got.body)
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        status_line, *lines = self._translated(head, to_site=False).split(b"\r\n")
        return SiteReply(
            status_line=status_line,
            fields=tuple(
                line for line in lines if not line.lower().startswith((b"content-length:", b"connection:"))
            ),
            body=self._translated(body, to_site=False),
        )

    def _translated(self, data: bytes, *, to_site: bool) -> bytes:
        """The site speaks of itself as http, and the client of the same place as https, where there is TLS."""
        if self._tls is None:
            return data
        pairs = [(b"https://", b"http://"), (b"https:\\/\\/", b"http:\\/\\/")]
        for safe, plain in pairs:
            ours, theirs = safe + self._authority, plain + self._authority
            data = data.replace(ours, theirs) if to_site else data.replace(theirs, ours)
        return data


@contextlib.asynccontextmanager
async def standing_before(
    site: DemoSite,
    *,
    fault: str,
    place: Place,
    carrier: Place,
    times: int,
    seed: int,
    name: str,
    tls: ssl.SSLContext,
) -> AsyncIterator[FaultProxy]:
    """A proxy for the length of a block.

    Args:
        site: where requests go on to.
        fault: one of `FAULTS`.
        place: where the fault is done.
        carrier: the request whose reply it is done to; not the place itself where one reply carries two.
        times: how often, then all goes well.
        seed: of what is random in a fault.
        name: what the proxy is called, where its name is at fault; else it goes by its address.
        tls: what the proxy shows as a server, where its fault is one of TLS.
    """
    proxy = FaultProxy(
        site, fault=fault, place=place, carrier=carrier, times=times, seed=seed, name=name, tls=tls
    )

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await proxy.serve(reader, writer)
        except (OSError, EOFError):
            raise  # the client has gone
        except Exception as error:  # noqa: BLE001 - raised below, in the test's own task
            proxy.broken.append(error)

    server = ConnectionServer(socket.create_server((_HERE, 0)), serve)
    proxy.listens_at(server.port)
    try:
        yield proxy
    finally:
        await server.end()
    if proxy.broken:
        raise proxy.broken[0]
