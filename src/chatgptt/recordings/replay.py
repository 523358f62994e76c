"""A case on loopback: a server that gives the recorded replies to the recorded requests, and to no other.

It is written on asyncio's streams alone. What matters here, chunks that go out one by one, a body that is
cut off, a connection that is reset, is what web frameworks hide; and a user's test suite shall not need one.

Requests are told apart by method, path, query and fields, less what a client makes up anew each time.
Replies to the same request come in the recorded order, and the last one for ever after. Anything else is a
miss: it is answered with 501 and words that say what is there, and noted, so that a test can fail for it.

A page that runs in a browser may load from other hosts too. Each of those is a port of its own under the name
`localhost`, while the page's own site is `127.0.0.1`: they are as foreign to each other as they were.

A case may come from somebody else, and its scripts run in a browser. Each reply names the ports of the case,
and a client of this package connects to no others.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import re
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from http import HTTPStatus
from typing import assert_never
from urllib.parse import parse_qsl, urlsplit

from chatgptt.net.reach import REPLAY_PORTS
from chatgptt.protocols.failures import REPLAY_MISS
from chatgptt.recordings.case import Case, Exchange
from chatgptt.recordings.edits import Edit, apply, base64_texts, cut, sub
from chatgptt.recordings.standins import SITE

__all__ = ["REPLAYED", "ReplayedSite", "read_fields", "request_key", "serve_case"]

REPLAYED = "x-chatgptt-replay"
"""The header that every replayed reply has; its value is the scheme of the recorded site."""

_log = logging.getLogger("chatgptt.replay")

_BORN_ANEW = frozenset(
    {
        "chat_id",
        "_ts",
        "user_client_message_id",
        "nocache",
        "wpaicg_chat_client_id",
        "session_id",
        "conversation_uuid",
    }
)
"""What a request carries that differs with every client; that it is there counts, its value does not."""

_MOST_HEAD_BYTES = 64 * 1024
_MOST_BODY_BYTES = 4 * 2**20

_Pairs = tuple[tuple[str, str], ...]
_Key = tuple[str, str, str, frozenset[tuple[str, str]], frozenset[tuple[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    method: str
    host: str
    target: str
    fields: _Pairs
    headers: Mapping[str, str]

    @property
    def is_by_page(self) -> bool:
        """Whether a browser sent it, on behalf of a page that it runs."""
        return "sec-fetch-mode" in self.headers

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> _Pairs:
        return tuple(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def __str__(self) -> str:
        action = dict((*self.query, *self.fields)).get("action")
        message = dict(self.fields).get("message")
        return _described(self.method, self.host, self.path, action, message)


@dataclass(slots=True)
class ReplayedSite:
    """A case that is being served.

    Attributes:
        case: the case.
        url: scheme, host and port, without a slash at the end.
        page: the address of the recorded page here.
        requests: what was asked for, in words, in order.
        misses: what was asked for and is not in the case.
        page_misses: the same, asked for by the page in a browser: what its tokens don't need is not recorded.
    """

    case: Case
    url: str
    requests: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    page_misses: list[str] = field(default_factory=list)
    _hosts: Mapping[str, str] = field(default_factory=dict)
    _is_real_time: bool = False
    _replies: dict[_Key, list[Exchange]] = field(default_factory=dict)
    _served: dict[_Key, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for exchange in self.case.exchanges:
            query, fields = (
                tuple((name, self.here(value)) for name, value in pairs)
                for pairs in (exchange.query, exchange.fields)
            )
            key = _key(exchange.method, exchange.host, exchange.path, query, fields)
            self._replies.setdefault(key, []).append(exchange)

    @property
    def page(self) -> str:
        """The address of the recorded page here."""
        return self.here(self.case.page)

    @property
    def messages(self) -> tuple[str, ...]:
        """The recorded messages: those that will be answered, in order."""
        return self.case.messages

    def here(self, text: str) -> str:
        """A text of the case with the site's stand-in addresses as they are here."""
        return _moved(text.encode(), self._hosts)[0].decode()

    def there(self, text: str) -> str:
        """The other way round: a text with addresses of this server, as the case has it."""
        for host, url in self._hosts.items():
            text = text.replace(urlsplit(url).netloc, host)
        return text

    def rewind(self) -> None:
        """Begins the case anew: replies come in their recorded order again."""
        self._served.clear()

    def _reply_to(self, request: _Request) -> Exchange | None:
        key = _key(request.method, request.host, request.path, request.query, request.fields)
        self.requests.append(str(request))
        if request.is_by_page and key not in self._replies:
            key = self._find_alike(request, key)
        replies = self._replies.get(key)
        if replies is None:
            is_by_page = request.is_by_page
            (self.page_misses if is_by_page else self.misses).append(str(request))
            _log.log(
                logging.INFO if is_by_page else logging.WARNING,
                "the recorded case has no reply to %s%s",
                request,
                _other_messages(request, self.case),
            )
            return None
        turn = self._served.get(key, 0)
        self._served[key] = turn + 1
        return replies[min(turn, len(replies) - 1)]

    def _find_alike(self, request: _Request, wanted: _Key) -> _Key:
        """A page's scripts put times and chance into their requests: the same names and action will do."""
        form = _form(request.query, request.fields)
        for key, exchanges in self._replies.items():
            one = exchanges[0]
            if one.by == "browser" and key[:3] == wanted[:3] and _form(one.query, one.fields) == form:
                return key
        return wanted

    def _explain(self, request: _Request) -> str:
        there = dict.fromkeys(
            _described(
                one.method,
                one.host,
                one.path,
                *(dict((*one.query, *one.fields)).get(n) for n in ("action", "message")),
            )
            for one in self.case.exchanges
        )
        return (
            f"the recorded case has no reply to {request}. It answers only what was recorded:\n"
            + "".join(f"  {line}\n" for line in there)
            + _nearest(request, self.case)
        )


def _described(method: str, host: str, path: str, action: str | None, message: str | None) -> str:
    words = f"{method} //{host}{path}" if host else f"{method} {path}"
    if action:
        words += f" action={action}"
    return words if message is None else f"{words} message={message!r:.80}"


def _other_messages(request: _Request, case: Case) -> str:
    """What is answered instead of a message that was not recorded."""
    message = dict(request.fields).get("message")
    if message is None or message in case.messages:
        return ""
    return f"; recorded: {', '.join(f'{one!r:.80}' for one in case.messages) or 'no message'}"


def _nearest(request: _Request, case: Case) -> str:
    """What differs from a recorded request with the same path and action."""
    asked = dict((*request.query, *request.fields))
    for one in case.exchanges:
        told = dict((*one.query, *one.fields))
        is_alike = (one.method, one.host, one.path) == (request.method, request.host, request.path)
        if is_alike and told.get("action") == asked.get("action"):
            names = sorted(name for name in told.keys() | asked.keys() if told.get(name) != asked.get(name))
            differing = [
                name for name in names if name not in _BORN_ANEW or (name in told) != (name in asked)
            ]
            return f"What differs from a recorded request: {', '.join(differing)}\n"
    return ""


def request_key(exchange: Exchange) -> _Key:
    """What two exchanges have in common that answer the same request."""
    return _key(exchange.method, exchange.host, exchange.path, exchange.query, exchange.fields)


def _key(method: str, host: str, path: str, query: _Pairs, fields: _Pairs) -> _Key:
    path = re.sub(r"/[0-9a-f]{16}(?=/)", "/*", path)
    return method, host, path, _told_apart_by(query), _told_apart_by(fields)


def _told_apart_by(pairs: _Pairs) -> frozenset[tuple[str, str]]:
    # Of several values by one name a case keeps the last.
    return frozenset((name, "*" if name in _BORN_ANEW else value) for name, value in dict(pairs).items())


def _form(query: _Pairs, fields: _Pairs) -> tuple[set[str], set[str], str | None]:
    return set(dict(query)), set(dict(fields)), dict((*query, *fields)).get("action")


@contextlib.contextmanager
def serve_case(case: Case, *, port: int = 0, is_real_time: bool = False) -> Iterator[ReplayedSite]:
    """Serves a case on loopback, in a thread of its own, until the block ends.

    Args:
        case: what to serve.
        port: 0 takes a free one.
        is_real_time: whether replies take the time that they took when they were recorded.

    Raises:
        OSError: the port is taken.
    """
    others = dict.fromkeys(exchange.host for exchange in case.exchanges if exchange.host)
    with contextlib.ExitStack() as stack:
        sockets = {"": stack.enter_context(socket.create_server(("127.0.0.1", port)))}
        for host in others:
            sockets[host] = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        url = f"http://127.0.0.1:{_port(sockets[''])}"
        hosts = {SITE: url, **{host: f"http://localhost:{_port(sockets[host])}" for host in others}}
        site = ReplayedSite(case, url, _hosts=hosts, _is_real_time=is_real_time)
        server = _Server(site, sockets)
        thread = threading.Thread(target=server.run, name="chatgptt-replay", daemon=True)
        thread.start()
        try:
            yield site
        finally:
            server.stop()
            thread.join()


def _port(listening: socket.socket) -> int:
    port = listening.getsockname()[1]
    assert isinstance(port, int)
    return port


class _Server:
    """Serves one site in an event loop of its own, each of its hosts on a socket."""

    def __init__(self, site: ReplayedSite, sockets: Mapping[str, socket.socket]) -> None:
        self._site = site
        self._sockets = sockets
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    def stop(self) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def _serve(self) -> None:
        tasks: set[asyncio.Task[None]] = set()

        def accept(host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(_converse(self._site, host, reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        # Sockets of their own, since a server closes the one that it is given.
        servers = [
            await asyncio.start_server(partial(accept, host), sock=listening.dup(), limit=_MOST_HEAD_BYTES)
            for host, listening in self._sockets.items()
        ]
        await self._stopping.wait()
        for server in servers:
            server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _converse(
    site: ReplayedSite, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One connection, which takes one request: how it ends belongs to the reply."""
    try:
        request = await _read_request(host, reader)
        if request is not None:
            await _answer(site, request, writer, reader)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
        pass  # a client that hangs up, or speaks no HTTP, gets no more
    finally:
        if not writer.transport.is_closing():
            writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _read_request(host: str, reader: asyncio.StreamReader) -> _Request | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = line.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in lines)
    }
    size = int(headers.get("content-length", "0"))
    if size > _MOST_BODY_BYTES:
        return None
    body = (await reader.readexactly(size)).decode("utf-8", "replace")
    fields = read_fields(headers.get("content-type", ""), body)
    return _Request(method=method, host=host, target=target, fields=fields, headers=headers)


def read_fields(content_type: str, body: str) -> _Pairs:
    """The fields of a form's body, url-encoded as the client sends it, or in parts or JSON as scripts do; a
    text that is none of these is a field without a name.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json") or kind == "text/plain":
        try:
            told = json.loads(body)
        except ValueError:
            told = None
        if isinstance(told, dict):
            return tuple((_as_text(name), _as_text(value)) for name, value in told.items())
        return (("", body),) if body else ()
    if "multipart/form-data" in content_type:
        return tuple(_parts_of(body))
    return tuple(parse_qsl(body, keep_blank_values=True))


def _parts_of(body: str) -> Iterator[tuple[str, str]]:
    *parts, _ = body.split("\r\n--")
    for part in parts:
        head, blank, value = part.partition("\r\n\r\n")
        name = re.search(r'[; ]name="([^"]*)"', head)
        if blank and name is not None:
            yield name[1], value


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # JSON may name halves of characters


async def _answer(
    site: ReplayedSite, request: _Request, writer: asyncio.StreamWriter, reader: asyncio.StreamReader
) -> None:
    if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
        writer.write(_head(204, _permission(request), site))  # what was recorded was permitted
        await writer.drain()
        return
    exchange = site._reply_to(request)
    if exchange is None:
        text = site._explain(request).encode()
        kind = ("content-type", "text/plain; charset=utf-8")
        length = ("content-length", str(len(text)))
        writer.write(_head(501, (kind, length, (REPLAY_MISS, "yes")), site) + text)
        await writer.drain()
        return
    if exchange.ending == "awaited":
        await reader.read()  # until the other side has had enough
    if exchange.ending in ("nothing", "awaited"):
        return
    body, edits = _moved(exchange.body, site._hosts)
    chunks = cut(exchange.chunks, edits)
    headers = tuple((name, site.here(value)) for name, value in exchange.headers)
    match exchange.framing:
        case "length":
            missing = 0 if exchange.ending == "complete" else 1024  # what was cut promised more than it kept
            headers = (*headers, ("content-length", str(len(body) + missing)))
        case "chunked":
            headers = (*headers, ("transfer-encoding", "chunked"))
        case "close":
            pass
        case _:
            assert_never(exchange.framing)
    writer.write(_head(exchange.status, headers, site))
    at = 0
    for chunk in chunks:
        if site._is_real_time and chunk.delay:
            await writer.drain()
            await asyncio.sleep(chunk.delay)
        piece = body[at : at + chunk.size_bytes]
        at += chunk.size_bytes
        writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if exchange.framing == "chunked" else piece)
        await writer.drain()
        await asyncio.sleep(0)
    await _end(exchange, writer)


async def _end(exchange: Exchange, writer: asyncio.StreamWriter) -> None:
    match exchange.ending:
        case "complete" if exchange.framing == "chunked":
            writer.write(b"0\r\n\r\n")
        case "cut" if exchange.framing == "chunked":
            writer.write(b"400\r\n")  # a chunk of 1024 bytes that never come
        case "reset":
            await writer.drain()
            await asyncio.sleep(0.05)  # a reset overtakes what the other side has not read yet
            linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        case _:
            pass
    await writer.drain()


def _permission(request: _Request) -> _Pairs:
    """What lets a page on another host send the request that it asks leave for."""
    asked = request.headers
    return (
        ("access-control-allow-origin", asked.get("origin", "*")),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", asked["access-control-request-method"]),
        ("access-control-allow-headers", asked.get("access-control-request-headers", "")),
    )


def _head(status: int, headers: tuple[tuple[str, str], ...], site: ReplayedSite) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    scheme = urlsplit(site.case.page).scheme
    ports = " ".join(str(urlsplit(url).port) for url in site._hosts.values())
    # First, since the case's author chose the headers that follow.
    own = [f"{REPLAY_PORTS}: {ports}", f"{REPLAYED}: {scheme}", "connection: close"]
    told = [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([f"HTTP/1.1 {status} {phrase}", *own, *told, "", ""]).encode("utf-8")


_BETWEEN = rb"(?::|%3[Aa]|&#0?58;|\\u003[aA])(?:\\?/|(?:%5[Cc])?%2[Ff]|&#0?47;|\\u002[fF]){2}"


@lru_cache(maxsize=16)
def _addresses_of(hosts: Sequence[str]) -> re.Pattern[bytes]:
    names = b"|".join(re.escape(host).encode() for host in hosts)
    before = rb"(?:https?(?P<between>" + _BETWEEN + rb")|(?<![\w.@-]))"
    return re.compile(before + rb"(?P<host>" + names + rb")(?![\w-]|\.\w)")


def _moved(data: bytes, hosts: Mapping[str, str]) -> tuple[bytes, list[Edit]]:
    """The data with the case's addresses as they are here, however escaped, and the edits that did it."""

    def move(found: re.Match[bytes]) -> bytes:
        between, host = found["between"], urlsplit(hosts[found["host"].decode()]).netloc.encode()
        if between is None:
            return host
        return b"http" + between + (host.replace(b":", b"%3A") if between.startswith(b"%") else host)

    edits = sub(_addresses_of(tuple(hosts)), move, data)
    for start, end, head, _, text in base64_texts(data):
        moved = _moved(text, hosts)[0]
        if moved != text:
            edits.append(Edit(start, end, head + base64.b64encode(moved)))
    return apply(data, edits), edits
