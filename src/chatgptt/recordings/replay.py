"""Replay: a case on loopback, which gives the recorded replies to the recorded requests.

Any other request is a miss. Its reply has status 501 and names the recorded requests, and the site notes it,
so that a test can fail for it. Only `/` leads to the recorded page, for a person with a browser.

A page in a browser may load from other hosts too. Each of those is a port under the name `localhost`, while
the page's own site is `127.0.0.1`: so a browser takes them for different sites, as they were.

A case may come from another person, and its scripts run in a browser. Each reply names the ports of the case,
and a client of this package connects to no others.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never
from urllib.parse import urlsplit

from chatgptt.net.reach import REPLAY_PORTS
from chatgptt.protocols.reply_errors import REPLAY_MISS
from chatgptt.recordings.body_edits import cut, move_addresses
from chatgptt.recordings.case import Case, Chunk, Exchange
from chatgptt.recordings.matching import Pairs, RecordedReplies, describe, explain_miss, recorded_messages
from chatgptt.recordings.replay_server import serve_replies
from chatgptt.recordings.standins import SITE

REPLAYED = "x-chatgptt-replay"
"""The header of every replayed reply; its value is the scheme of the recorded site."""

_ROOT = ("GET", "", "/", ())
_log = logging.getLogger("chatgptt.replay")


@dataclass(slots=True)
class ReplayedSite:
    """A case that is being served.

    Attributes:
        case: the case.
        url: scheme, host and port, without a slash at the end.
        requests: the requests in words, in order.
        misses: the requests that are not in the case.
        page_misses: those that the page sent from a browser: what its tokens do not need is not recorded.
    """

    case: Case
    url: str
    requests: list[str] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)
    page_misses: list[str] = field(default_factory=list)
    _hosts: Mapping[str, str] = field(default_factory=dict)
    _is_real_time: bool = False
    _replies: RecordedReplies = field(init=False)

    def __post_init__(self) -> None:
        self._replies = RecordedReplies(self.case, self.here)

    @property
    def page(self) -> str:
        """The address of the recorded page in this replay."""
        return self.here(self.case.page)

    @property
    def messages(self) -> tuple[str, ...]:
        """The recorded messages, which this site answers, in order."""
        return self.case.messages

    def here(self, text: str) -> str:
        """A text of the case with the addresses of this replay."""
        return move_addresses(text.encode(), self._hosts)[0].decode()

    def there(self, text: str) -> str:
        """A text of this replay with the addresses of the case."""
        for host, url in self._hosts.items():
            text = text.replace(urlsplit(url).netloc, host)
        return text

    def rewind(self) -> None:
        """Begins the case again: replies come in their recorded order from the first on."""
        self._replies.rewind()

    def answer(self, request: Exchange, headers: Mapping[str, str]) -> Exchange:
        """The reply to a request; a miss is noted."""
        if request.method == "OPTIONS" and "access-control-request-method" in headers:
            return self._reply(204, _permission(headers))  # the recorded request was permitted
        self.requests.append(describe(request))
        exchange = self._replies.find(request)
        if exchange is None and (request.method, request.host, request.path, request.query) == _ROOT:
            return self._reply(302, (("location", self.page), ("content-length", "0")))
        return self._miss(request) if exchange is None else self._localised(exchange)

    def _miss(self, request: Exchange) -> Exchange:
        is_by_page = request.by == "browser"
        (self.page_misses if is_by_page else self.misses).append(describe(request))
        _log.log(
            logging.INFO if is_by_page else logging.WARNING,
            "the recorded case has no reply to %s%s",
            describe(request),
            recorded_messages(request, self.case),
        )
        text = explain_miss(request, self.case).encode()
        kind = ("content-type", "text/plain; charset=utf-8")
        return self._reply(501, (kind, ("content-length", str(len(text))), (REPLAY_MISS, "yes")), text)

    def _localised(self, exchange: Exchange) -> Exchange:
        """A recorded reply with the addresses of this replay."""
        body, edits = move_addresses(exchange.body, self._hosts)
        headers = tuple((name, self.here(value)) for name, value in exchange.headers)
        match exchange.framing:
            case "length":
                missing = 0 if exchange.ending == "complete" else 1024  # a cut body was announced as longer
                headers = (*headers, ("content-length", str(len(body) + missing)))
            case "chunked":
                headers = (*headers, ("transfer-encoding", "chunked"))
            case "close":
                pass
            case _:
                assert_never(exchange.framing)
        chunks = cut(exchange.chunks, edits)
        if not self._is_real_time:
            chunks = tuple(replace(chunk, delay=0.0) for chunk in chunks)
        return replace(exchange, headers=(*self._own_headers(), *headers), body=body, chunks=chunks)

    def _reply(self, status: int, headers: Pairs, body: bytes = b"") -> Exchange:
        return Exchange(
            method="",
            path="",
            status=status,
            headers=(*self._own_headers(), *headers),
            body=body,
            chunks=(Chunk(size_bytes=len(body)),),
        )

    def _own_headers(self) -> Pairs:
        """The replay's headers. They come first, because the author of the case chose those that follow."""
        ports = " ".join(str(urlsplit(url).port) for url in self._hosts.values())
        scheme = urlsplit(self.case.page).scheme
        return ((REPLAY_PORTS, ports), (REPLAYED, scheme), ("connection", "close"))


def _permission(asked: Mapping[str, str]) -> Pairs:
    """The headers that permit a page on another host to send its request."""
    return (
        ("access-control-allow-origin", asked.get("origin", "*")),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", asked["access-control-request-method"]),
        ("access-control-allow-headers", asked.get("access-control-request-headers", "")),
    )


@contextlib.contextmanager
def serve_case(case: Case, *, port: int = 0, is_real_time: bool = False) -> Iterator[ReplayedSite]:
    """Serves a case on loopback, in a thread of its own, until the block ends.

    Args:
        case: the case.
        port: 0 takes a free one.
        is_real_time: whether replies take the recorded time.

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
        stack.enter_context(serve_replies(sockets, site.answer))
        yield site


def _port(listening: socket.socket) -> int:
    port = listening.getsockname()[1]
    assert isinstance(port, int)
    return port
