"""Recording: one visit by the client itself, with everything that goes over the wire noted on the way.

The client runs as it always does; only its transport is ours, and hands each request on. So what is recorded
is what the client needs, no more, and in the order in which it needs it. Everything stays in memory until it
is scrubbed, and a case is only given out after it was replayed once to the same outcome.

Replies are asked for uncompressed, since a compressed body has no chunks that mean anything. What the client
leaves unread behind the end of an answer is read for it: that there is something is what some cases are
about.

Where the page needs a browser, what it loads there is part of the visit. It is taken from the browser while
it runs, never by way of a file as Playwright's own recordings are: nothing unscrubbed may touch a disk. Which
of a page's scripts have nothing to do with the chat can only be guessed; those are left out, and put back
where the case does not replay without them.
"""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import anyio
import httpx

from chatgptt._client import AsyncClient
from chatgptt._errors import BrowserError, ChatGpttError, InvalidInputError, RefusedError
from chatgptt._models import Reply, Strategy
from chatgptt.browser.page_loads import Load, RecordedVisit
from chatgptt.browser.shared import BrowserOptions
from chatgptt.net.proxies import Proxy
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.boxes import choose_box
from chatgptt.protocols.urls import is_same_site, page_url, without_credentials
from chatgptt.recordings.case import Ask, Case, CaseError, Chunk, Ending, Exchange, Framing
from chatgptt.recordings.replay import REPLAYED, read_fields, request_key, serve_case
from chatgptt.recordings.scrub import Recording, ScrubReport, scrub

__all__ = ["Fault", "Recorded", "faults_of", "play", "read_fault", "record"]

MAX_CASE_BYTES = 2**20
"""A page that shows a chat is some 20 kB when trimmed; a case of a megabyte has recorded something else."""

_MOST_LEFTOVER_BYTES = 64 * 1024
_LEFTOVER_TIMEOUT = 5.0
"""Seconds for what a site sends behind the end: at most the answer that follows a refusal."""

_MOST_ALIKE = 5
"""Replies to the same request of a page that are kept, if they differ: some pages never stop asking."""

_GRID = 0.1
"""Seconds. Delays are kept this coarsely: a page that answers at once then gives the same case every time."""

_ACTIONS = frozenset(
    {
        "wpaicg_chat_shortcode_message",
        "wpaicg_chatbox_message",
        "aipkit_cache_sse_message",
        "aipkit_frontend_chat_stream",
    }
)
"""The requests that carry a message (docs/protocols.md W2, A3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A hand-written reply that stands in for the site's."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    chunks: tuple[Chunk, ...]
    framing: Framing
    ending: Ending


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A case, and what scrubbing did to make it."""

    case: Case
    report: ScrubReport


async def record(
    site: str,
    messages: Sequence[str] = (),
    *,
    bot: str | int | None = None,
    strategy: Strategy = "static",
    proxy: str | None = None,
    timeout: float = 240.0,
    faults: Sequence[Fault | None] = (),
    note: str = "",
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Callable[[], float] = time.time,
    ticks: Callable[[], float] = time.monotonic,
) -> Recorded:
    """A case of a visit to a page, scrubbed and proven to replay.

    Args:
        site: the page.
        messages: what to ask; none looks for the boxes only, more than one is a conversation.
        bot: the wanted bot, as for `AsyncClient`.
        strategy: as for `AsyncClient`.
        proxy: as for `AsyncClient`.
        timeout: seconds for each message.
        faults: hand-written replies in place of the site's, for its message requests in order; None asks the
            site.
        note: a sentence on what the case is about.
        transport: what requests are sent by; None makes one. It is closed at the end.
        clock: Unix time in seconds.
        ticks: seconds that only go forward; delays are measured by it.

    Raises:
        CaseError: where there is nothing to replay, a secret would be left, or the case replays to another
            outcome.
        BrowserError: where the page needs a browser and there is none, or it fails.
        InvalidInputError: for a page, a message or options that cannot work.
    """
    if proxy is not None:
        Proxy(url=proxy).check()
    inner = transport or httpx.AsyncHTTPTransport(proxy=proxy, limits=_LIMITS)
    tape = _Tape(inner, list(faults), ticks)
    asks = await _visit(site, messages, tape, bot=bot, strategy=strategy, timeout=timeout, proxy=proxy)
    page = without_credentials(page_url(site))
    if tape.failure is not None or not any(one.status or one.by == "client" for one in tape.exchanges):
        outcome = asks[-1].outcome
        raise CaseError(
            f"{page} could not be recorded: {tape.failure or 'nothing came back'}",
            code=None if outcome == "answered" or outcome == "found" else outcome,
            hint="a case is made of replies; look with `chatgptt health-check` why there are none",
        )
    own, elsewhere = _hosts_of(tape.exchanges, page)
    recording = Recording(
        page=_as_recorded(page, tape.scheme),
        asks=asks,
        exchanges=tuple(
            replace(exchange, host=exchange.host if exchange.host in elsewhere else "")
            for exchange in tape.exchanges
        ),
        recorded_at=clock(),
        hosts=own,
        elsewhere=elsewhere,
        credentials=tuple(dict.fromkeys((*_credentials_in(site), *tape.credentials))),
        bot="" if bot is None else str(bot),
        # Where no browser was needed, none shall be needed to replay it.
        strategy="static" if strategy == "auto" and not tape.has_visit else strategy,
        note=note,
        rendered=tape.rendered,
    )
    return await _make_case(recording)


async def _make_case(recording: Recording) -> Recorded:
    """The smallest case of a recording that replays."""
    case, report = scrub(recording)
    try:
        await _prove(case)
    except CaseError:
        if not recording.is_run:
            raise
        whole, report = scrub(replace(recording, keeps_scripts=True))
        if whole == case:
            raise
        case = whole
        await _prove(case)
    return Recorded(case=case, report=report)


async def play(
    case: Case, *, is_real_time: bool = False, timeout: float = 60.0
) -> tuple[tuple[Ask, ...], tuple[str, ...]]:
    """What the calls of a case come to when it is replayed, and what they asked for that is not in it."""
    with serve_case(case, is_real_time=is_real_time) as site:
        asks = await _visit(
            site.page, case.messages, None, bot=case.bot or None, strategy=case.strategy, timeout=timeout
        )
        return tuple(replace(ask, text=site.there(ask.text)) for ask in asks), tuple(site.misses)


async def _prove(case: Case) -> None:
    """Replays a case once.

    Raises:
        CaseError: where it is huge, or comes to something else than when it was recorded.
    """
    size_bytes = sum(len(exchange.body) for exchange in case.exchanges)
    if size_bytes > MAX_CASE_BYTES:
        raise CaseError(
            f"the case would have {size_bytes} bytes; nothing was written",
            hint="record a page that shows little but the chat",
        )
    asks, misses = await play(case)
    if asks != case.asks or misses:
        was, now = (", ".join(map(_in_words, some)) for some in (case.asks, asks))
        raise CaseError(
            f"the case would not replay: it was recorded as {was} and replays as {now}"
            + (f"; not in it: {', '.join(misses)}" if misses else ""),
            hint="record again; if it stays so, tell the project",
        )


def _in_words(ask: Ask) -> str:
    return " ".join(filter(None, (ask.outcome, ask.reason, f"({len(ask.text)} characters)", ask.rung or "")))


# Visiting


async def _visit(
    site: str,
    messages: Sequence[str],
    tape: _Tape | None,
    *,
    bot: str | int | None,
    strategy: Strategy,
    timeout: float,
    proxy: str | None = None,
) -> tuple[Ask, ...]:
    # A replayed case is plain HTTP: a context that trusts nobody is made at once, the usual one is not.
    transport = tape or httpx.AsyncHTTPTransport(
        verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), limits=_LIMITS
    )
    async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
        client = AsyncClient(
            site,
            bot=bot,
            strategy=strategy,
            timeout=timeout,
            state_dir=None,
            http_client=http,
            proxy=proxy,  # the browser's; the client that is handed in has its own
            retry=_PATIENCE,
            browser=BrowserOptions(record_visit=None if tape is None else tape.add_visit),
        )
        async with client:
            if not messages:
                return (await _look(client, bot),)
            if len(messages) == 1:
                return (await _ask(client.ask, messages[0]),)
            chat = client.conversation()
            return tuple([await _ask(chat.ask, message) for message in messages])


_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20)
_PATIENCE = RetryPolicy(first_wait=0.05)
"""A recorded site is asked as often as by anybody; the waits in between are no part of the case."""


async def _look(client: AsyncClient, bot: str | int | None) -> Ask:
    try:
        boxes = await client.find_boxes()
        box = choose_box(boxes, None if bot is None else str(bot), client.page)
    except (InvalidInputError, BrowserError):
        raise
    except ChatGpttError as error:
        return _failed(None, error)
    return Ask(message=None, outcome="found", rung=box.found_by if box.nonce else None)


async def _ask(ask: Callable[[str], Awaitable[Reply]], message: str) -> Ask:
    try:
        reply = await ask(message)
    except (InvalidInputError, BrowserError):
        raise
    except ChatGpttError as error:
        return _failed(message, error)
    return Ask(
        message=message,
        outcome="answered",
        rung=reply.tokens_from,
        text=reply.text,
        is_streamed=reply.is_streamed,
        attempts=reply.attempts,
    )


def _failed(message: str | None, error: ChatGpttError) -> Ask:
    reason = error.reason if isinstance(error, RefusedError) else ""
    return Ask(message=message, outcome=error.code, reason=reason, text=error.partial_text)


def _as_recorded(page: str, scheme: str) -> str:
    return urlunsplit(urlsplit(page)._replace(scheme=scheme)) if scheme else page


def _hosts_of(exchanges: Sequence[Exchange], page: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The hosts of the page's own site, its own first, and the others that the page loaded something from.

    Where the client itself got a page, wherever that was, is the site: a redirect had led there.
    """
    home = urlsplit(page)
    own = [home.netloc]
    own += [one.host for one in exchanges if one.by == "client" and one.method == "GET" and not one.action]
    loaded = dict.fromkeys(one.host for one in exchanges if one.by == "browser")
    elsewhere = tuple(
        host for host in loaded if host not in own and not is_same_site(f"{home.scheme}://{host}/", page)
    )
    own += [one.host for one in exchanges if one.host not in elsewhere]
    return tuple(dict.fromkeys(own)), elsewhere


def _credentials_in(site: str) -> list[str]:
    parts = urlsplit(page_url(site))
    return [unquote(value) for value in (parts.username, parts.password) if value]


# The tape


class _Tape(httpx.AsyncBaseTransport):
    """Hands requests on and notes them with their replies, each with the host that it went to."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, faults: list[Fault | None], ticks: Callable[[], float]
    ) -> None:
        self.exchanges: list[Exchange] = []
        self.credentials: list[str] = []
        self.failure: str | None = None
        self.scheme = ""
        self.has_visit = False
        self.rendered = b""
        self._inner = inner
        self._faults = faults
        self._ticks = ticks

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx.AsyncBaseTransport."""
        began = self._ticks()
        request.headers["accept-encoding"] = "identity"
        self.credentials += _credentials_of(request)
        asked = _asked(request, await request.aread())
        index = len(self.exchanges)
        self.exchanges.append(asked)  # in the order of the requests, whichever reply ends first
        fault = self._faults.pop(0) if asked.action in _ACTIONS and self._faults else None
        if fault is not None:
            asked = self.exchanges[index] = replace(asked, is_written=True)
        try:
            response = await self._reply_to(request, fault)
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
        asked = replace(
            asked, status=response.status_code, headers=_headers_of(response), framing=_framing_of(response)
        )
        is_message = asked.action in _ACTIONS

        def keep(body: bytes, chunks: tuple[Chunk, ...], ending: Ending) -> None:
            self.exchanges[index] = replace(asked, body=body, chunks=chunks, ending=ending)

        tee = _Tee(response, keep, is_message=is_message, began=began, ticks=self._ticks)
        headers = [
            (name, value) for name, value in response.headers.multi_items() if name.lower() not in _FRAMES
        ]
        return httpx.Response(
            response.status_code, headers=headers, stream=tee, extensions=response.extensions
        )

    async def _reply_to(self, request: httpx.Request, fault: Fault | None) -> httpx.Response:
        if fault is None:
            return await self._inner.handle_async_request(request)
        if fault.ending == "nothing":
            raise httpx.RemoteProtocolError("the hand-written reply is none")
        frame = ("transfer-encoding", "chunked") if fault.framing == "chunked" else ("content-length", "0")
        return httpx.Response(fault.status, headers=[*fault.headers, frame], stream=_Written(fault))

    def add_visit(self, visit: RecordedVisit) -> None:
        """Adds what the page loaded in a browser; of a repeated request, only a new answer."""
        self.has_visit = True
        self.rendered = visit.content.encode("utf-8", "replace")
        self.credentials += [cookie.value for cookie in visit.cookies if cookie.value]
        known: dict[object, list[Exchange]] = {}
        for exchange in self.exchanges:
            known.setdefault(request_key(exchange), []).append(exchange)
        for load in visit.loads:
            exchange = _loaded(load)
            self.scheme = exchange.header(REPLAYED) or self.scheme
            alike = known.setdefault(request_key(exchange), [])
            is_new = not alike or (exchange.ending != "awaited" and not _is_same_reply(alike[-1], exchange))
            if is_new and len(alike) < _MOST_ALIKE:
                alike.append(exchange)
                self.exchanges.append(exchange)

    async def aclose(self) -> None:
        """See httpx.AsyncBaseTransport."""
        await self._inner.aclose()


_FRAMES = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


class _Tee(httpx.AsyncByteStream):
    """A reply's body on its way to the client, noted at its end."""

    def __init__(
        self,
        response: httpx.Response,
        keep: Callable[[bytes, tuple[Chunk, ...], Ending], None],
        *,
        is_message: bool,
        began: float,
        ticks: Callable[[], float],
    ) -> None:
        self._response = response
        self._keep = keep
        self._is_message = is_message
        self._began = began
        self._ticks = ticks
        self._bytes: AsyncIterator[bytes] = response.aiter_bytes()
        self._pieces: list[bytes] = []
        self._chunks: list[Chunk] = []
        self._waited = 0
        self._is_kept = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._bytes)
        except StopAsyncIteration:
            self._end("complete")
            raise
        except httpx.RemoteProtocolError:
            self._end("cut")
            raise
        except httpx.ReadError:
            self._end("reset")
            raise
        self._pieces.append(piece)
        turns = int((self._ticks() - self._began) / _GRID)
        self._chunks.append(Chunk(size_bytes=len(piece), delay=round((turns - self._waited) * _GRID, 1)))
        self._waited = turns
        return piece

    async def aclose(self) -> None:
        """Takes what the client left unread, as far as it is worth it, and closes."""
        with (
            anyio.move_on_after(_LEFTOVER_TIMEOUT),
            contextlib.suppress(httpx.TransportError, StopAsyncIteration),
        ):
            taken = 0
            while not self._is_kept and taken < _MOST_LEFTOVER_BYTES:
                taken += len(await anext(self))
        self._end("complete")
        await self._response.aclose()

    def _end(self, ending: Ending) -> None:
        if self._is_kept:
            return
        self._is_kept = True
        body = b"".join(self._pieces)
        chunks = tuple(self._chunks)
        if _framing_of(self._response) == "length" and body:
            # Where the network cut it means nothing; the site sent it as a whole.
            chunks = (Chunk(size_bytes=len(body), delay=round(sum(chunk.delay for chunk in chunks), 1)),)
        self._keep(body, chunks, ending)


class _Written(httpx.AsyncByteStream):
    """The body of a hand-written reply."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    async def __aiter__(self) -> AsyncIterator[bytes]:
        at = 0
        for chunk in self._fault.chunks:
            yield self._fault.body[at : at + chunk.size_bytes]
            at += chunk.size_bytes
        if self._fault.ending == "cut":
            raise httpx.RemoteProtocolError("the hand-written reply is cut off")
        if self._fault.ending == "reset":
            raise httpx.ReadError("the hand-written reply is reset")


def _asked(request: httpx.Request, body: bytes) -> Exchange:
    """The request as a case keeps it, its reply still to come."""
    target = urlsplit(request.url.raw_path.decode("ascii"))
    return Exchange(
        method=request.method,
        host=request.url.netloc.decode("ascii"),
        path=target.path,
        query=tuple(parse_qsl(target.query, keep_blank_values=True)),
        fields=read_fields(request.headers.get("content-type", ""), body.decode("utf-8", "replace")),
        status=0,
        ending="nothing",
    )


def _loaded(load: Load) -> Exchange:
    """What a page loaded, as a case keeps it."""
    target = urlsplit(load.url)
    text = load.request_body.decode("utf-8", "replace")
    return Exchange(
        method=load.method,
        host=target.netloc,
        path=target.path or "/",
        query=tuple(dict(parse_qsl(target.query, keep_blank_values=True)).items()),
        fields=tuple(dict(read_fields(load.content_type, text)).items()),
        status=load.status,
        headers=load.headers,
        body=load.body,
        chunks=(Chunk(size_bytes=len(load.body)),) if load.body else (),
        ending="awaited" if load.is_awaited else "complete" if load.status else "nothing",
        by="browser",
    )


def _is_same_reply(one: Exchange, other: Exchange) -> bool:
    return (one.status, one.media_type, one.body, one.ending, one.header("location")) == (
        other.status,
        other.media_type,
        other.body,
        other.ending,
        other.header("location"),
    )


def _headers_of(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in response.headers.items())


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


# Hand-written replies


_WRITTEN_ENDINGS: tuple[Ending, ...] = ("complete", "cut", "reset", "nothing")


def faults_of(case: Case) -> list[Fault | None]:
    """The hand-written replies of a case, for its message requests in order; None where the site answered."""
    return [
        Fault(
            status=one.status,
            headers=one.headers,
            body=one.body,
            chunks=one.chunks,
            framing=one.framing,
            ending=one.ending,
        )
        if one.is_written
        else None
        for one in case.exchanges
        if one.action in _ACTIONS and one.by == "client"
    ]


def read_fault(file: Path) -> Fault:
    """A reply written by hand: a status line, headers, an empty line and the body.

    Event streams go out event by event. A header `X-Ending: cut`, `reset` or `nothing` breaks the reply off.

    Raises:
        CaseError: where it cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CaseError(
            f"{file} cannot be read: {error.strerror}", hint="name a file with a reply"
        ) from error
    found = re.match(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r?\n((?:[\w-]+:[^\r\n]*\r?\n)*)\r?\n", data)
    if found is None:
        raise CaseError(
            f"{file} is no reply: it has to begin with a status line, headers and an empty line",
            hint="HTTP/1.1 200 OK, Content-Type: text/event-stream, an empty line, the body",
        )
    lines = (line.partition(":") for line in found[2].decode("latin-1").splitlines())
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    ending = headers.pop("x-ending", "complete")
    for known in _WRITTEN_ENDINGS:
        if known == ending:
            break
    else:
        raise CaseError(f"{file}: no reply ends in {ending!r}", hint=f"one of {', '.join(_WRITTEN_ENDINGS)}")
    body = data[found.end() :]
    is_stream = headers.get("content-type", "").startswith("text/event-stream")
    pieces = re.findall(rb".+?(?:\n\n|\r\n\r\n|\Z)", body, re.S) if is_stream else [body]
    return Fault(
        status=int(found[1]),
        headers=tuple(headers.items()),
        body=body,
        chunks=tuple(Chunk(size_bytes=len(piece)) for piece in pieces if piece),
        framing="chunked" if is_stream else "length",
        ending=known,
    )
