"""A body may inflate to gigabytes, never end, or be broken: it costs a bounded amount of memory, and is named."""

from __future__ import annotations

import asyncio
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio.to_thread
import pytest
from asking import client_of, failure, outcome
from faults import (
    AIPKIT_PAGE,
    ANSWER,
    BEGINNING,
    CHUNKED,
    CHUNKED_PAGE,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    Server,
    always,
    chat,
    chunk,
    reply,
    serving,
)
from hostile.bombs import SIZE_BYTES, bomb
from hypothesis import given
from hypothesis import strategies as st

from chatgptt import ChatGpttError, Reply
from chatgptt.net.bodies import (
    MAX_BODY_BYTES,
    PIECE_BYTES,
    BodyDecoder,
    UndecodableBodyError,
)
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES
from chatgptt.protocols.sse import MAX_EVENT_BYTES

pytestmark = pytest.mark.anyio

MOST = 5
"""Times the limit that a reader may take in memory."""

AROUND_BYTES = 48 * 2**20
"""What a client takes beside the body: modules that are loaded late, sockets, what the allocator keeps."""


# What bombs come to, and what they cost

NO_NONCE = WPAICG_PAGE.format(nonce="")
MOVED = NO_NONCE.replace("</div>", '</div><script src="/cache/all.js"></script>')
OLD_AIPKIT = AIPKIT_PAGE.format(nonce="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a site puts a bomb, and what comes of it."""

    page: str = WPAICG_PAGE.format(nonce=NONCE)
    hit: Callable[[Got], bool]
    beginning: bytes = b""
    filler: bytes = b"a"
    kind: str = "text/html"
    status: int = 200
    limit_bytes: int
    code: str
    text: str = ""


def _is_stream_of_aipkit(got: Got) -> bool:
    return "aipkit_frontend_chat_stream" in got.target


PLACES = {
    "page with its box": Place(
        hit=lambda got: got.path == "/",
        beginning=WPAICG_PAGE.format(nonce=NONCE).encode(),
        limit_bytes=MAX_PAGE_BYTES,
        code="",
        text="Hi there",
    ),
    "page of text": Place(hit=lambda got: got.path == "/", limit_bytes=MAX_PAGE_BYTES, code="no_chat_box"),
    "error page": Place(hit=lambda got: got.path == "/", status=500, limit_bytes=2**20, code="http_error"),
    "moved script": Place(
        page=MOVED,
        hit=lambda got: got.path.endswith(".js"),
        kind="text/javascript",
        limit_bytes=2 * 2**20,
        code="tokens_missing",
    ),
    "unknown page of the site": Place(
        page=NO_NONCE,
        hit=lambda got: len(got.path) > len("/x/"),
        limit_bytes=MAX_PAGE_BYTES,
        code="tokens_missing",
    ),
    "nonce action": Place(
        page=OLD_AIPKIT,
        hit=lambda got: got.is_message,
        beginning=b'{"success":true,"data":{"nonce":"',
        kind="application/json",
        limit_bytes=2**20,
        code="tokens_missing",
    ),
    "1.x answer": Place(
        hit=lambda got: got.is_message,
        beginning=b'{"status":"success","data":"',
        kind="application/json",
        limit_bytes=8 * 2**20,
        code="unreadable_answer",
    ),
    "1.x stream, one event": Place(
        hit=lambda got: got.is_message,
        beginning=BEGINNING + b'data: {"choices":[{"delta":{"content":"',
        kind="text/event-stream",
        limit_bytes=MAX_EVENT_BYTES,
        code="unreadable_answer",
        text="Hi ",
    ),
    "1.x stream, a comment in front": Place(
        hit=lambda got: got.is_message,
        beginning=b":",
        kind="text/event-stream",
        limit_bytes=MAX_EVENT_BYTES,
        code="unreadable_answer",
    ),
    "1.x stream, comments without end": Place(
        hit=lambda got: got.is_message,
        beginning=BEGINNING,
        filler=b": " + b"a" * 8189 + b"\n",
        kind="text/event-stream",
        limit_bytes=MAX_BODY_BYTES,
        code="stream_interrupted",
        text="Hi ",
    ),
    "2.x parking place": Place(
        page=AIPKIT_PAGE.format(nonce=NONCE),
        hit=lambda got: got.is_message,
        beginning=b'{"success":true,"data":{"cache_key":"',
        kind="application/json",
        limit_bytes=2**20,
        code="unreadable_answer",
    ),
    "2.x stream, one event": Place(
        page=AIPKIT_PAGE.format(nonce=NONCE),
        hit=_is_stream_of_aipkit,
        beginning=b'data: {"delta":"Hi "}\n\ndata: {"delta":"',
        kind="text/event-stream",
        limit_bytes=MAX_EVENT_BYTES,
        code="unreadable_answer",
        text="Hi ",
    ),
    "2.x stream, a piece for each MB": Place(
        page=AIPKIT_PAGE.format(nonce=NONCE),
        hit=_is_stream_of_aipkit,
        beginning=b"",
        filler=b":" + b" " * (2**20 - 25) + b'\ndata: {"delta":"Hi "}\n\n',
        kind="text/event-stream",
        limit_bytes=MAX_BODY_BYTES,
        code="stream_interrupted",
        text="Hi " * 34,
    ),
    "2.x stream, large pieces": Place(
        page=AIPKIT_PAGE.format(nonce=NONCE),
        hit=_is_stream_of_aipkit,
        filler=b'data: {"delta":"' + b"a" * 2000 + b'"}\n\n',
        kind="text/event-stream",
        limit_bytes=MAX_BODY_BYTES,
        code="stream_interrupted",
        text="a" * 100,
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """See measured.py."""

    code: str
    text: str
    peak_bytes: int


class Measured:
    """A client in a process of its own, whose memory is looked at."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    async def ask(self, page: str) -> Found:
        def talk() -> str:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(f"{page}\n")
            self._process.stdin.flush()
            return self._process.stdout.readline()

        return Found(**json.loads(await anyio.to_thread.run_sync(talk)))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Measured]:
    """Started with one question that is answered, so that what is loaded late is there."""

    async def start() -> subprocess.Popen[str]:
        async with serving(chat()) as server:
            process = subprocess.Popen(  # noqa: ASYNC220 - it is read in threads
                [sys.executable, str(Path(__file__).with_name("measured.py")), server.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert process.stdout is not None
            assert await anyio.to_thread.run_sync(process.stdout.readline) == "ready\n"
            return process

    process = asyncio.run(start())
    with process:
        yield Measured(process)
        process.kill()


def site_with(place: Place, body: bytes, encoding: str) -> Answer:
    """A site whose `place` answers with a body; all else goes well."""

    async def answer(connection: Connection, got: Got) -> bool | None:
        if place.hit(got):
            head = {"Content-Encoding": encoding} if encoding else {}
            await connection.send(reply(body, kind=place.kind, status=place.status, headers=head))
        elif "aipkit_cache_sse_message" in got.body.decode():
            key = {"success": True, "data": {"cache_key": "aipkit_sse_1"}}
            await connection.send(reply(json.dumps(key), kind="application/json"))
        elif got.is_message:
            known = "aipkit" not in got.body.decode()
            await connection.send(
                reply(ANSWER if known else "0", kind="text/event-stream", status=200 if known else 400)
            )
        else:
            await connection.send(reply(place.page))
        return True

    return answer


@pytest.mark.parametrize("name", PLACES)
async def test_a_bomb_costs_no_more_than_its_limit(measured: Measured, name: str) -> None:
    place = PLACES[name]
    body = bomb("gzip", place.beginning, place.filler)
    assert len(body) < SIZE_BYTES // 400
    async with serving(site_with(place, body, "gzip")) as server:
        found = await measured.ask(server.url)
        assert any(map(place.hit, server.got))
    assert (found.code, found.text) == (place.code, place.text[:100])
    assert found.peak_bytes < place.limit_bytes * MOST + AROUND_BYTES


@pytest.mark.parametrize("name", PLACES)
async def test_a_bomb_inside_of_another_is_not_opened(measured: Measured, name: str) -> None:
    place = PLACES[name]
    body = bomb("gzip, gzip", place.beginning, place.filler)
    async with serving(site_with(place, body, "gzip, gzip")) as server:
        found = await measured.ask(server.url)
    assert found.text == ""
    assert found.peak_bytes < AROUND_BYTES


ENDLESS = {
    "page": (b"<p>" + b"a" * 60_000, "no_chat_box"),
    "1.x stream of comments": ((b":" + b"a" * 2000 + b"\n") * 30, "connect_error"),
    "1.x stream of one line": (b"data: " + b"a" * 60_000, "unreadable_answer"),
    "1.x stream of blanks": (b"\n" * 60_000, "empty_answer"),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_a_body_without_end_is_left(measured: Measured, name: str) -> None:
    data, code = ENDLESS[name]

    async def never_end(connection: Connection, got: Got) -> None:
        await connection.send(CHUNKED if got.is_message else CHUNKED_PAGE)
        while True:
            await connection.send(chunk(data))

    answer = chat(page=never_end) if name == "page" else chat(message=never_end)
    async with serving(answer) as server:
        found = await measured.ask(server.url)
        await server.until_all_closed()
    assert found.code == code
    assert found.peak_bytes < (MAX_PAGE_BYTES if name == "page" else MAX_EVENT_BYTES) * MOST + AROUND_BYTES


@pytest.mark.parametrize("ending", ["done", "left"])
async def test_an_event_just_below_the_limit_passes(measured: Measured, ending: str) -> None:
    text = "a" * (MAX_EVENT_BYTES - 1000)
    body = f'data: {{"choices":[{{"delta":{{"content":"{text}"}},"finish_reason":"stop"}}]}}\n\n'.encode()
    body += b"data: [DONE]\n\n" if ending == "done" else b""
    body = gzip.compress(body, 1)
    message = always(reply(body, kind="text/event-stream", headers={"Content-Encoding": "gzip"}))
    async with serving(chat(message=message)) as server:
        found = await measured.ask(server.url)
    assert (found.code, found.text) == ("", text[:100])
    assert found.peak_bytes < len(text) * MOST + AROUND_BYTES


# What is decoded

HTML = WPAICG_PAGE.format(nonce=NONCE).encode()


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "", "identity", "utf-8", "none", "gzip, identity"])
async def test_what_servers_write_as_their_encoding_is_read(encoding: str) -> None:
    body, packed = (gzip.compress(data) if "gzip" in encoding else data for data in (HTML, ANSWER))
    head = {"Content-Encoding": encoding}
    message = always(reply(packed, kind="text/event-stream", headers=head))
    async with serving(chat(page=always(reply(body, headers=head)), message=message)) as server:
        result = await outcome(server.url, strategy="static")
        assert isinstance(result, Reply)
        assert result.text == "Hi there"
        assert {got.headers["accept-encoding"] for got in server.got} == {"gzip"}
        assert server.counts == (1, 1)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "compress", "dcb", "gzip, zstd", "gzip, gzip"])
async def test_an_encoding_that_was_not_asked_for_is_named(encoding: str) -> None:
    head = {"Content-Encoding": encoding}
    async with serving(chat(message=always(reply(b"abc", headers=head)))) as server:
        error = await failure(server.url, strategy="static")
        assert error.code == "connect_error"
        assert f"encoded as {encoding!r}" in error.message
        assert server.counts == (1, 1)


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda body: body[: len(body) // 2],
    "without its last byte": lambda body: body[:-1],
    "changed": lambda body: body[: len(body) // 2] + b"\xff\xff\xff\xff" + body[len(body) // 2 + 4 :],
    "no such coding": lambda body: b"<p>not compressed</p>" * 9,
}


@pytest.mark.parametrize("how", BROKEN)
async def test_a_body_that_is_broken_is_a_failed_connection(how: str) -> None:
    head = {"Content-Encoding": "gzip"}
    page = reply(BROKEN[how](gzip.compress(HTML + b"<!-- more -->")), headers=head)
    answered = b'{"status":"success","data":"Hi there, and a word more"}'
    message = reply(BROKEN[how](gzip.compress(answered)), kind="application/json", headers=head)
    async with serving(chat(page=always(page))) as server:
        assert (await failure(server.url, strategy="static")).code == "connect_error"
        assert server.counts == (3, 0)
    async with serving(chat(message=always(message))) as server:
        result = await outcome(server.url, strategy="static")
        if how == "without its last byte" and isinstance(result, Reply):
            assert result.text == "Hi there, and a word more"  # which was all there
        else:
            assert isinstance(result, ChatGpttError)
            assert result.code == "connect_error"
        assert server.counts == (1, 1)


# As it arrives


def _flushing() -> Callable[[bytes], bytes]:
    """What packs a piece so that all of it can be read at once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return lambda data: packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)


ENCODED_HEAD = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")


@asynccontextmanager
async def step_by_step(taken: asyncio.Semaphore) -> AsyncIterator[Server]:
    """A site that sends the next piece of its answer only when the one before it was taken."""

    async def answer(connection: Connection, got: Got) -> None:
        pack = _flushing()
        await connection.send(ENCODED_HEAD)
        for frame in ANSWER.split(b"\n\n")[:-1]:
            await connection.send(chunk(pack(frame + b"\n\n")))
            if b'"content"' in frame:
                await taken.acquire()
        await connection.until_closed()

    async with serving(chat(message=answer)) as server:
        yield server


async def test_an_answer_whose_compression_breaks_keeps_what_had_come() -> None:
    taken = asyncio.Semaphore(0)

    async def breaks(connection: Connection, got: Got) -> None:
        await connection.send(ENCODED_HEAD + chunk(_flushing()(BEGINNING)))
        await taken.acquire()
        await connection.send(chunk(b"\xff" * 40))
        await connection.until_closed()

    async with serving(chat(message=breaks)) as server, client_of(server.url) as client:
        async with client.stream("Hello") as stream:
            assert await anext(stream) == "Hi "
            taken.release()
            with pytest.raises(ChatGpttError) as caught:
                await anext(stream)
        assert (caught.value.code, caught.value.partial_text) == ("stream_interrupted", "Hi ")
        assert server.counts == (1, 1)


async def test_a_compressed_stream_is_given_out_as_it_arrives() -> None:
    taken = asyncio.Semaphore(0)
    pieces = []
    async with (
        step_by_step(taken) as server,
        client_of(server.url) as client,
        client.stream("Hello") as stream,
    ):
        async for piece in stream:
            pieces.append(piece)
            taken.release()
    assert pieces == ["Hi ", "there"]


# Heads


def _many_headers() -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(100_000)) + b"\r\n"


HEADS: dict[str, Callable[[], bytes]] = {
    "one header of 10 MB": lambda: b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10 * 2**20 + b"\r\n\r\n",
    "100,000 headers": _many_headers,
    "a status line of 10 MB": lambda: b"HTTP/1.1 200 " + b"a" * 10 * 2**20 + b"\r\n\r\n",
}


@pytest.mark.parametrize("at", ["page", "message"])
@pytest.mark.parametrize("name", HEADS)
async def test_a_head_too_large_is_a_failed_connection(name: str, at: Literal["page", "message"]) -> None:
    fault = always(HEADS[name]())
    async with serving(chat(page=fault) if at == "page" else chat(message=fault)) as server:
        assert (await failure(server.url, strategy="static")).code == "connect_error"
        assert server.counts == ((3, 0) if at == "page" else (1, 1))


@pytest.mark.parametrize(
    ("beginning", "more", "code"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", "timeout"),
        (b"HTTP/1.1 200 OK\r\n", b"X: a\r\n" * 100, "connect_error"),
        (CHUNKED_PAGE, b"1;" + b"a" * 1000, "connect_error"),
        (CHUNKED_PAGE + b"0\r\n", b"X: a\r\n" * 100, "connect_error"),
    ],
    ids=["early hints", "headers", "a chunk's extension", "trailers"],
)
async def test_a_head_without_end_is_left(beginning: bytes, more: bytes, code: str) -> None:
    async def never_end(connection: Connection, got: Got) -> None:
        await connection.send(beginning)
        while True:
            await connection.send(more)
            await asyncio.sleep(0)

    async with serving(chat(page=never_end)) as server:
        async with client_of(server.url, strategy="static", timeout=1.0) as client:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("Hello")
        await server.until_all_closed()
    assert caught.value.code == code


@pytest.mark.parametrize("where", ["in a circle", "ever on"])
async def test_redirects_without_end_are_left(where: str) -> None:
    async def lead_on(connection: Connection, got: Got) -> bool:
        target = "/" if where == "in a circle" else f"{got.path}a"
        await connection.send(reply(b"a" * 100_000, status=302, headers={"Location": target}))
        return True

    async with serving(chat(page=lead_on)) as server:
        error = await failure(server.url, strategy="static")
        assert (error.code, error.message) == ("http_error", "the page redirects in a circle")
        assert server.counts == (21, 0)


# The decoder by itself


def decode(encoding: str, pieces: list[bytes]) -> tuple[bytes, str]:
    """What comes out, and how it ended."""
    found: list[bytes] = []
    try:
        decoder = BodyDecoder(encoding)
        assert decoder.is_encoded or not pieces
        for piece in pieces:
            while (data := decoder.take()) is not None:
                assert len(data) <= PIECE_BYTES
                found.append(data)
            decoder.feed(piece)
        while (data := decoder.take()) is not None:
            found.append(data)
        decoder.end()
    except UndecodableBodyError as error:
        return b"".join(found), str(error)
    return b"".join(found), ""


@given(st.binary(max_size=400), st.data())
def test_the_cuts_between_reads_change_nothing(text: bytes, data: st.DataObject) -> None:
    body = gzip.compress(text * 300)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=5)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True) if a != b]
    assert decode("gzip", pieces) == (text * 300, "")
    assert decode("gzip", [bytes([byte]) for byte in body[:2000]])[0] == decode("gzip", [body[:2000]])[0]


@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes_give_bytes_or_an_error_of_ours(noise: bytes, kept: int) -> None:
    body = gzip.compress(HTML)[:kept] + noise
    text, error = decode("gzip", [body])
    pieces, same_error = decode("gzip", [bytes([byte]) for byte in body])
    assert error == same_error
    # What had been decoded of the read in which it breaks is lost with it.
    assert pieces.startswith(text)
    assert error or pieces == text


@given(st.text(max_size=60))
def test_any_header_is_an_encoding_or_none(header: str) -> None:
    assert decode(header, [])[1] == ""


def test_what_follows_the_end_is_ignored_as_browsers_do() -> None:
    assert decode("gzip", [gzip.compress(HTML) + b"trailing", b"bytes"]) == (HTML, "")
