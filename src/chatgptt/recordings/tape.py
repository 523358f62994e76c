"""The tape: a transport that hands requests on and keeps them with their replies.

Replies are requested uncompressed, because the chunks of a compressed body mean nothing. The tape also reads
what the client leaves unread behind the end of an answer: some cases are about that.

A page's loads in the browser are kept in memory and never go through a file, as Playwright's own recordings
do: nothing may reach a disk before it is scrubbed.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import anyio
import httpx

from chatgptt.browser.page_loads import Load, RecordedVisit
from chatgptt.recordings.case import Chunk, Exchange, Framing, ReplyEnding
from chatgptt.recordings.faults import MESSAGE_ACTIONS
from chatgptt.recordings.matching import exchange_of, request_key
from chatgptt.recordings.replay import REPLAYED

_MAX_REST_BYTES = 64 * 1024
_REST_TIMEOUT = 5.0
"""Seconds for the bytes behind the end of an answer: at most the answer that follows a refusal."""

_MAX_SIMILAR = 5
"""Different replies to the same request of a page that are kept: some pages never stop repeating one."""

_DELAY_STEP = 0.1
"""Seconds. Delays are rounded down to it, so that a fast page gives the same case every time."""


class Tape(httpx.AsyncBaseTransport):
    """Hands requests on, and keeps them with their replies. Each exchange has the host of its request."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, faults: list[Exchange | None], ticks: Callable[[], float]
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.credentials: list[str] = []
        self.failure: str | None = None
        self.scheme = ""
        self.has_browser_loads = False
        self.rendered = b""
        self._inner = inner
        self._faults = faults
        self._ticks = ticks

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.AsyncBaseTransport."""
        began = self._ticks()
        request.headers["accept-encoding"] = "identity"
        self.credentials += _credentials_of(request)
        target, host = (part.decode("ascii") for part in (request.url.raw_path, request.url.netloc))
        kind = request.headers.get("content-type", "")
        exchange = exchange_of(request.method, host, target, kind, await request.aread())
        index = len(self.exchanges)
        self.exchanges.append(exchange)  # in the order of the requests, whichever reply ends first
        fault = self._faults.pop(0) if exchange.action in MESSAGE_ACTIONS and self._faults else None
        if fault is not None:
            exchange = self.exchanges[index] = replace(exchange, is_written=True)
        try:
            response = await (_fault_response(fault) if fault else self._inner.handle_async_request(request))
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            self.failure = None
            raise
        except httpx.TransportError as error:
            del self.exchanges[index]
            self.failure = str(error) or type(error).__name__
            raise
        self.failure = None
        self.scheme = response.headers.get(REPLAYED, self.scheme)
        self.credentials += _cookies_set_by(response)
        framing = _framing_of(response)
        exchange = replace(
            exchange, status=response.status_code, headers=tuple(response.headers.items()), framing=framing
        )

        def keep(body: bytes, chunks: tuple[Chunk, ...], ending: ReplyEnding) -> None:
            if framing == "length" and body:
                # The network's pieces mean nothing: the site sent the body as a whole.
                chunks = (Chunk(size_bytes=len(body), delay=round(sum(one.delay for one in chunks), 1)),)
            self.exchanges[index] = replace(exchange, body=body, chunks=chunks, ending=ending)

        copy = _CopiedBody(response, keep, lambda: self._ticks() - began)
        headers = [
            (name, value) for name, value in response.headers.multi_items() if name.lower() not in _FRAMES
        ]
        return httpx.Response(
            response.status_code, headers=headers, stream=copy, extensions=response.extensions
        )

    def add_browser_loads(self, visit: RecordedVisit) -> None:
        """Adds the loads of a page in a browser. Of a repeated request, only new answers are kept."""
        self.has_browser_loads = True
        self.rendered = visit.content.encode("utf-8", "replace")
        self.credentials += [cookie.value for cookie in visit.cookies if cookie.value]
        known: dict[object, list[Exchange]] = {}
        for exchange in self.exchanges:
            known.setdefault(request_key(exchange), []).append(exchange)
        for load in visit.loads:
            exchange = _from_load(load)
            self.scheme = exchange.header(REPLAYED) or self.scheme
            similar = known.setdefault(request_key(exchange), [])
            is_new = not similar or (
                exchange.ending != "awaited" and _reply_of(similar[-1]) != _reply_of(exchange)
            )
            if is_new and len(similar) < _MAX_SIMILAR:
                similar.append(exchange)
                self.exchanges.append(exchange)

    async def aclose(self) -> None:
        """See httpx.AsyncBaseTransport."""
        await self._inner.aclose()


_FRAMES = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


class _CopiedBody(httpx.AsyncByteStream):
    """A reply's body on its way to the client; `keep` gets it at its end. `elapsed` is in seconds."""

    def __init__(
        self,
        response: httpx.Response,
        keep: Callable[[bytes, tuple[Chunk, ...], ReplyEnding], None],
        elapsed: Callable[[], float],
    ) -> None:
        self._response = response
        self._pieces = self._copy(keep, elapsed)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def _copy(
        self, keep: Callable[[bytes, tuple[Chunk, ...], ReplyEnding], None], elapsed: Callable[[], float]
    ) -> AsyncGenerator[bytes]:
        pieces: list[bytes] = []
        chunks: list[Chunk] = []
        ending: ReplyEnding = "complete"
        last = 0
        try:
            async for piece in self._response.aiter_bytes():
                steps = int(elapsed() / _DELAY_STEP)
                pieces.append(piece)
                chunks.append(Chunk(size_bytes=len(piece), delay=round((steps - last) * _DELAY_STEP, 1)))
                last = steps
                yield piece
        except httpx.RemoteProtocolError:
            ending = "cut"
            raise
        except httpx.ReadError:
            ending = "reset"
            raise
        finally:
            keep(b"".join(pieces), tuple(chunks), ending)

    async def aclose(self) -> None:
        """Reads what the client left unread, up to a limit, and closes."""
        with anyio.move_on_after(_REST_TIMEOUT), contextlib.suppress(httpx.TransportError):
            size_bytes = 0
            async for piece in self._pieces:
                size_bytes += len(piece)
                if size_bytes >= _MAX_REST_BYTES:
                    break
        await self._pieces.aclose()
        await self._response.aclose()


async def _fault_response(fault: Exchange) -> httpx.Response:
    if fault.ending == "nothing":
        raise httpx.RemoteProtocolError("the hand-written reply is a closed connection")
    frame = ("transfer-encoding", "chunked") if fault.framing == "chunked" else ("content-length", "0")
    return httpx.Response(fault.status, headers=[*fault.headers, frame], content=_pieces_of(fault))


async def _pieces_of(fault: Exchange) -> AsyncIterator[bytes]:
    at = 0
    for chunk in fault.chunks:
        yield fault.body[at : at + chunk.size_bytes]
        at += chunk.size_bytes
    if fault.ending == "cut":
        raise httpx.RemoteProtocolError("the hand-written reply is cut off")
    if fault.ending == "reset":
        raise httpx.ReadError("the hand-written reply is reset")


def _from_load(load: Load) -> Exchange:
    """The exchange of a page's load in a browser."""
    url = urlsplit(load.url)
    target = f"{url.path}?{url.query}"
    asked = exchange_of(load.method, url.netloc, target, load.content_type, load.request_body, by="browser")
    return replace(
        asked,
        status=load.status,
        headers=load.headers,
        body=load.body,
        chunks=(Chunk(size_bytes=len(load.body)),) if load.body else (),
        ending="awaited" if load.is_awaited else "complete" if load.status else "nothing",
    )


def _reply_of(exchange: Exchange) -> tuple[object, ...]:
    """The parts of a reply that make it differ from another reply to the same request."""
    location = exchange.header("location")
    return exchange.status, exchange.media_type, exchange.body, exchange.ending, location


def _framing_of(response: httpx.Response) -> Framing:
    if "chunked" in response.headers.get("transfer-encoding", "").lower():
        return "chunked"
    return "length" if "content-length" in response.headers else "close"


def _credentials_of(request: httpx.Request) -> list[str]:
    found = [part.partition("=")[2].strip() for part in request.headers.get("cookie", "").split(";")]
    authorization = request.headers.get("authorization", "").partition(" ")[2]
    with contextlib.suppress(ValueError):
        found += base64.b64decode(authorization, validate=True).decode("utf-8", "replace").split(":", 1)
    return [value for value in (*found, authorization) if value]


def _cookies_set_by(response: httpx.Response) -> list[str]:
    pairs = (cookie.partition(";")[0] for cookie in response.headers.get_list("set-cookie"))
    return [value for _, _, value in (pair.partition("=") for pair in pairs) if value]
