"""Wherever a call is held up, it ends at its deadline, with the error that says so.

Each row of the table holds a call up at one place for ever. Every row is tried through the three faces: the
async client, the sync one, and the provider; closing the client counts as a part of the call.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from asking import QUICK, Options, client_of
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
    always,
    chat,
    chunk,
    reply,
    serving,
    silence,
    silence_after_head,
    silence_after_text,
)

import chatgptt
from chatgptt import (
    ChatGptt,
    ChatGpttError,
    InvalidInputError,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
)
from chatgptt._errors import ClosedError
from chatgptt.health.history import FILE_NAME
from chatgptt.net.connection_server import ConnectionServer
from chatgptt.net.http import OpenReply

SLACK = 0.5
"""Seconds: a call never outlives its timeout by more."""

BUSY = 1.5
"""Seconds more for what costs processor time: other processes of a busy machine take their share."""

TIMEOUT = 0.3
"""Seconds: more than a good call takes to get to where it is held up."""

AGES = 30.0
"""Seconds: what holds a call up here has no end that a test could wait for."""

pytestmark = pytest.mark.anyio

Held = tuple[str, Options]
"""The page, and what its client is made with."""

HoldUp = Callable[[], AbstractAsyncContextManager[Held]]


async def drip(connection: Connection, piece: bytes) -> None:
    while True:
        await connection.send(piece)
        await asyncio.sleep(0.02)


def dripping(*first: bytes, piece: bytes) -> Answer:
    async def answer(connection: Connection, got: Got) -> None:
        await connection.send(b"".join(first))
        await drip(connection, piece)

    return answer


def site(answer: Answer, *, scheme: str = "http", **options: object) -> HoldUp:
    @contextlib.asynccontextmanager
    async def hold_up() -> AsyncIterator[Held]:
        async with serving(answer) as server:
            yield f"{scheme}://127.0.0.1:{server.port}/", Options(**options)  # type: ignore[typeddict-item]

    return hold_up


def proxy(scheme: str, page: str, serve: Callable[[Connection], Awaitable[None]]) -> HoldUp:
    """A page behind a proxy that does what is told, and then nothing."""

    @contextlib.asynccontextmanager
    async def hold_up() -> AsyncIterator[Held]:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = Connection(reader, writer)
            await serve(connection)
            await connection.until_closed()

        server = ConnectionServer(socket.create_server(("127.0.0.1", 0)), hold)
        try:
            yield page, Options(proxy=f"{scheme}://127.0.0.1:{server.port}")
        finally:
            await server.end()

    return hold_up


async def say_nothing(connection: Connection) -> None:
    pass


async def greet(connection: Connection) -> None:
    await connection.reader.readexactly(3)
    await connection.send(b"\x05\x00")


async def tunnel(connection: Connection) -> None:
    await connection.reader.readuntil(b"\r\n\r\n")
    await connection.send(b"HTTP/1.1 200 Go\r\n\r\n")


@contextlib.asynccontextmanager
async def a_port_that_does_not_accept() -> AsyncIterator[Held]:
    """Its queue is full, so the system leaves further attempts to connect without an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, contextlib.ExitStack() as queue:
        port = listening.getsockname()[1]
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}/", Options()


@contextlib.contextmanager
def a_resolver_that_hangs() -> Iterator[None]:
    let_go = threading.Event()
    look_up = socket.getaddrinfo

    def hang(host: str, *rest: object, **named: object) -> object:
        if not host.endswith(".test"):
            return look_up(host, *rest, **named)  # type: ignore[arg-type]
        let_go.wait(AGES)
        raise socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", hang)
        try:
            yield
        finally:
            let_go.set()


@contextlib.asynccontextmanager
async def a_silent_name_server() -> AsyncIterator[Held]:
    with a_resolver_that_hangs():
        yield "http://slow.test/", Options()


async def redirect_slowly(connection: Connection, got: Got) -> bool:
    await asyncio.sleep(0.08)
    number = int(got.path.strip("/") or "0") + 1
    await connection.send(reply("", status=302, headers={"Location": f"/{number}"}))
    return True


def scripts_of(answer: Answer) -> Answer:
    """A page whose nonce can only be in scripts that were moved out of it."""
    scripts = "".join(f'<script src="/wp-content/cache/{number}.js"></script>' for number in range(3))
    html = WPAICG_PAGE.format(nonce="") + scripts

    async def serve(connection: Connection, got: Got) -> bool | None:
        if got.path.endswith(".js"):
            return await answer(connection, got)
        await connection.send(reply(html))
        return True

    return serve


def second(answer: Answer, html: str) -> Answer:
    """The page the first time, then this."""

    async def serve(connection: Connection, got: Got) -> bool | None:
        if got.target == "/":
            await connection.send(reply(html))
            return True
        return await answer(connection, got)

    return serve


UPLOADED = reply('{"success":true,"data":{"cache_key":"sse_1"}}', kind="application/json")
NO_2X_NONCE = AIPKIT_PAGE.format(nonce="")


def aipkit(upload: Answer | None = None, stream: Answer | None = None) -> Answer:
    async def serve(connection: Connection, got: Got) -> bool | None:
        if got.is_message:
            return await (upload or always(UPLOADED))(connection, got)
        if "admin-ajax" in got.path and stream is not None:
            return await stream(connection, got)
        await connection.send(reply(AIPKIT_PAGE.format(nonce=NONCE)))
        return True

    return serve


busy = always(reply("<title>Busy</title>", status=503))
limited = always(reply("<title>Busy</title>", status=429))
busy_for_a_second = always(reply("<title>Busy</title>", status=503, headers={"Retry-After": "1"}))
rejected = always(reply("-1", status=403))
MANY = RetryPolicy(attempts=1000, first_wait=0.1)
TEXT_2X = b'data: {"delta":"Hi "}\n\n'

# Where it is held up, and what it ends in; what a repeated request ends in depends on when time runs out.
TABLE: dict[str, tuple[HoldUp, str]] = {
    "the name server is silent": (a_silent_name_server, "timeout"),
    "the connection is not accepted": (a_port_that_does_not_accept, "timeout"),
    "TLS: no greeting": (site(silence, scheme="https"), "timeout"),
    "TLS through a proxy: no greeting": (proxy("http", "https://site.test/", tunnel), "timeout"),
    "an HTTP proxy is silent": (proxy("http", "http://site.test/", say_nothing), "timeout"),
    "a tunnel's proxy is silent": (proxy("http", "https://site.test/", say_nothing), "timeout"),
    "a SOCKS proxy is silent": (proxy("socks5", "http://site.test/", say_nothing), "timeout"),
    "a SOCKS proxy is silent after its greeting": (proxy("socks5", "http://site.test/", greet), "timeout"),
    "page: no head": (site(chat(page=silence)), "timeout"),
    "page: a head without end": (
        site(chat(page=dripping(b"HTTP/1.1 200 OK\r\nX-A: ", piece=b"a"))),
        "timeout",
    ),
    "page: interim replies without end": (
        site(chat(page=dripping(piece=b"HTTP/1.1 103 Early\r\n\r\n"))),
        "timeout",
    ),
    "page: no body": (site(chat(page=silence_after_head)), "timeout"),
    "page: a body without end": (
        site(chat(page=dripping(CHUNKED_PAGE, piece=chunk(b"<p>some text</p>")))),
        "timeout",
    ),
    "page: one busy reply after another": (site(chat(page=busy), retry=MANY), "rate_limited timeout"),
    "page: a Retry-After beyond the deadline": (site(chat(page=busy_for_a_second)), "rate_limited"),
    "redirects, each slow": (site(redirect_slowly), "timeout"),
    "moved scripts are silent": (site(scripts_of(silence)), "timeout"),
    "moved scripts drip": (site(scripts_of(dripping(CHUNKED, piece=chunk(b"var a;")))), "timeout"),
    "endpoint: the nonce action is silent": (site(second(silence, NO_2X_NONCE)), "timeout"),
    "endpoint: another page is silent": (site(second(silence, WPAICG_PAGE.format(nonce=""))), "timeout"),
    "message: no head": (site(chat(message=silence)), "timeout"),
    "message: a head without end": (
        site(chat(message=dripping(b"HTTP/1.1 200 OK\r\nX-A: ", piece=b"a"))),
        "timeout",
    ),
    "message: one busy reply after another": (
        site(chat(message=limited), retry=MANY),
        "rate_limited timeout",
    ),
    "message: rejected, and then the page is silent": (
        site(chat(page=second(silence, WPAICG_PAGE.format(nonce=NONCE)), message=rejected)),
        "timeout",
    ),
    "stream: nothing": (site(chat(message=silence_after_head)), "timeout"),
    "stream: comments without end": (
        site(chat(message=dripping(CHUNKED, piece=chunk(b": alive\n\n")))),
        "timeout",
    ),
    "stream: a chunk whose head has no end": (
        site(chat(message=dripping(CHUNKED, b"5;", piece=b"a"))),
        "timeout",
    ),
    "stream: text, then nothing": (site(chat(message=silence_after_text)), "stream_interrupted"),
    "stream: text, then comments without end": (
        site(chat(message=dripping(CHUNKED, chunk(BEGINNING), piece=chunk(b": alive\n\n")))),
        "stream_interrupted",
    ),
    "2.x: the upload is silent": (site(aipkit(upload=silence)), "timeout"),
    "2.x: the upload's reply drips": (
        site(aipkit(upload=dripping(CHUNKED, piece=chunk(b" ")))),
        "timeout",
    ),
    "2.x: the stream is silent": (site(aipkit(stream=silence)), "timeout"),
    "2.x: comments without end": (
        site(aipkit(stream=dripping(CHUNKED, piece=chunk(b": alive\n\n")))),
        "timeout",
    ),
    "2.x: text, then nothing": (
        site(aipkit(stream=dripping(CHUNKED, chunk(TEXT_2X), piece=b""))),
        "stream_interrupted",
    ),
}


def quick(options: Options) -> Options:
    return {"state_dir": None, "retry": QUICK, **options}


async def ask(page: str, options: Options) -> None:
    async with client_of(page, **options) as client:
        await client.ask("Hello")


async def ask_sync(page: str, options: Options) -> None:
    def call() -> None:
        chatgptt.ask("Hello", page, **quick(options))

    await anyio.to_thread.run_sync(call)


async def ask_provider(page: str, options: Options) -> None:
    async for _ in ChatGptt.create_async_generator("", "Hello", site=page, **quick(options)):
        pass


FACES = {"async": ask, "sync": ask_sync, "provider": ask_provider}


@contextlib.contextmanager
def in_time(timeout: float = TIMEOUT) -> Iterator[None]:
    began = time.monotonic()
    yield
    elapsed = time.monotonic() - began
    assert elapsed <= timeout + SLACK, f"{elapsed:.3f} s, with a timeout of {timeout:g} s"


async def failure_of(call: Awaitable[object]) -> ChatGpttError:
    try:
        result = await call
    except ChatGpttError as error:
        return error
    raise AssertionError(result)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("where", TABLE)
async def test_a_call_ends_at_its_deadline(where: str, face: str) -> None:
    hold_up, code = TABLE[where]
    async with hold_up() as (page, options):
        with in_time():
            error = await failure_of(FACES[face](page, {**options, "timeout": TIMEOUT}))
    assert error.code in code.split()
    assert error.hint
    if isinstance(error, StreamInterruptedError):
        assert error.partial_text == "Hi "


FINER: dict[str, HoldUp] = {
    "page": site(chat(page=dripping(CHUNKED_PAGE, b"5;", piece=b"a"))),
    "message": site(chat(message=dripping(CHUNKED, b"5;", piece=b"a"))),
}


@pytest.mark.parametrize("where", FINER)
async def test_bytes_that_say_nothing_do_not_put_off_a_deadline_beyond_the_silence(where: str) -> None:
    async with FINER[where]() as (page, options):
        with in_time():
            timeouts = Timeouts(total=TIMEOUT, silence=TIMEOUT / 2)
            assert (await failure_of(ask(page, {**options, "timeout": timeouts}))).code == "timeout"


SEARCHED = (
    "the name server is silent",
    "TLS: no greeting",
    "page: no head",
    "page: a body without end",
    "redirects, each slow",
)


@pytest.mark.parametrize("where", SEARCHED)
async def test_a_search_and_a_check_end_at_their_deadline(where: str) -> None:
    async with TABLE[where][0]() as (page, options):
        with in_time():
            async with client_of(page, **options) as client:
                error = await failure_of(client.find_boxes(timeout=TIMEOUT))
        assert error.code == "timeout"
        with in_time():
            async with client_of(page, **options) as client:
                report = await client.health_check(timeout=TIMEOUT)
        assert (report.verdict, report.code) == ("critical", "timeout")


@pytest.mark.parametrize("where", ["message: no head", "stream: comments without end"])
async def test_a_check_ends_at_its_deadline_where_the_answer_does_not_come(where: str) -> None:
    async with TABLE[where][0]() as (page, options), client_of(page, **options) as client:
        with in_time():
            report = await client.health_check(timeout=TIMEOUT)
        assert (report.verdict, report.code) == ("critical", "timeout")


async def test_boxes_are_listed_without_a_nonce_whose_source_is_silent() -> None:
    async with TABLE["moved scripts are silent"][0]() as (page, _), client_of(page) as client:
        with in_time():
            (box,) = await client.find_boxes(timeout=TIMEOUT)
        assert box.nonce is None


# Names


@pytest.mark.parametrize("face", ["async", "sync"])
def test_a_lookup_that_hangs_does_not_hold_up_the_end_of_the_program(face: str) -> None:
    kind, call = {
        "async": ("AsyncClient", "asyncio.run(client.ask('Hello'))"),
        "sync": ("Client", "with client: client.ask('Hello')"),
    }[face]
    script = (
        "import asyncio, atexit, socket, tenacity, time, chatgptt\n"
        f"socket.getaddrinfo = lambda *_, **__: time.sleep({AGES})\n"
        f"client = chatgptt.{kind}('http://slow.test/', timeout={TIMEOUT}, state_dir=None)\n"
        "began = time.monotonic()\n"
        "atexit.register(lambda: print(time.monotonic() - began))\n"  # it is called when no thread is waited for
        f"try:\n    {call}\nexcept chatgptt.TransportError as error:\n    print(error.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=AGES, check=True
    )
    code, elapsed = done.stdout.split()
    assert code == "timeout"
    assert float(elapsed) < AGES / 2


async def test_calls_that_wait_for_one_name_wait_for_one_lookup() -> None:
    async with a_silent_name_server() as (page, options), client_of(page, **options) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(failure_of, client.ask("Hello", timeout=TIMEOUT))
        await failure_of(client.ask("Hello", timeout=0.05))
        looking = [thread for thread in threading.enumerate() if thread.name == "chatgptt-lookup"]
        assert len(looking) == 1


async def test_a_name_is_connected_to_by_whichever_of_its_addresses_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with a_port_that_does_not_accept() as (page, _), serving(chat()) as server:
        deaf = int(page.split(":")[2].strip("/"))
        for first in (("127.0.0.1", deaf), ("127.0.0.2", server.port)):  # silent, and refusing
            # The port of an address is the server's: only its host is taken from a lookup.
            addresses = [first[0], "127.0.0.1"]
            monkeypatch.setattr(
                socket,
                "getaddrinfo",
                lambda *_, **__: [
                    (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))
                    for address in addresses  # noqa: B023 - used before the next round
                ],
            )
            async with client_of(f"http://site.test:{server.port}/") as client:
                assert (await client.ask("Hello")).text == "Hi there"


# Within this machine


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("face", FACES)
async def test_a_locked_state_folder_holds_no_call_up(face: str, tmp_path: Path) -> None:
    async with serving(chat()) as server:
        with locked(tmp_path), in_time(), contextlib.suppress(ChatGpttError):
            await FACES[face](server.url, {"state_dir": tmp_path, "timeout": TIMEOUT})


async def test_a_locked_history_holds_no_check_up(tmp_path: Path) -> None:
    async with serving(chat()) as server, client_of(server.url, state_dir=tmp_path) as client:
        await client.health_check("page")
        with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with in_time():
                report = await client.health_check("page", timeout=TIMEOUT)
    assert report.verdict == "ok"


async def test_who_waits_for_another_s_tokens_waits_no_longer_than_its_own_deadline() -> None:
    async with serving(chat(page=silence)) as server, client_of(server.url) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(failure_of, client.ask("Hello", timeout=AGES))
            await anyio.wait_all_tasks_blocked()
            with in_time():
                error = await failure_of(client.ask("Hello", timeout=TIMEOUT))
            tasks.cancel_scope.cancel()
        assert error.code == "timeout"
        assert server.counts == (1, 0)


async def test_who_waits_for_its_turn_waits_no_longer_than_its_own_deadline() -> None:
    async with serving(chat(message=silence_after_text)) as server, client_of(server.url) as client:
        talk = client.conversation()
        async with talk.stream("one") as stream:
            await anext(stream)
            with in_time():
                error = await failure_of(talk.ask("two", timeout=TIMEOUT))
        assert error.code == "timeout"


def large(piece: bytes, *, before: bytes = b"") -> bytes:
    return before + piece * (8 * 2**20 // len(piece))


BOX = WPAICG_PAGE.format(nonce="").encode()
SLOW_PAGES: dict[str, bytes] = {
    "scripts of the site": large(b'<script src="/wp-content/cache/a.js"></script>', before=BOX),
    "scripts in addresses": large(
        b'<script src="data:text/javascript;base64,dmFyIHdwYWljZ1BhcmFtcz17fQ=="></script>', before=BOX
    ),
    "an object without end": large(b"{", before=BOX + b"<script>var wpaicgParams="),
    "names in a script": large(b"wpaicgParams={", before=BOX + b"<script>"),
    "a comment without end": large(b"<!--"),
    "a tag without end": large(b"x/", before=b"<p "),
    "boxes": large(BOX),
    "markup": large(b"<a href=x><b>text</b></a>"),
    "signs": large(b"<"),
}


@pytest.mark.parametrize("what", SLOW_PAGES)
async def test_a_page_that_is_slow_to_read_does_not_put_off_the_deadline(what: str) -> None:
    async with serving(chat(page=always(reply(SLOW_PAGES[what])))) as server, client_of(server.url) as client:
        with in_time(TIMEOUT + BUSY), contextlib.suppress(ChatGpttError):
            await client.ask("Hello", timeout=TIMEOUT)


SLOW_ANSWERS: dict[str, bytes] = {
    "an event of many lines": reply(large(b"data: a\n"), kind="text/event-stream"),
    "objects in objects": reply(large(b'{"a":'), kind="application/json"),
    "escapes": reply(b'{"data":"' + large(b"\\u00e9") + b'"}', kind="application/json"),
    "half characters": reply(b'{"data":"' + large(rb"\ud83d") + b'"}', kind="application/json"),
    "empty lines": reply(large(b"\r"), kind="text/event-stream"),
    "lines that look like objects": reply(large(b"data:{\n") + b"\n", kind="text/event-stream"),
}


@pytest.mark.parametrize("what", SLOW_ANSWERS)
async def test_an_answer_that_is_slow_to_read_does_not_put_off_the_deadline(what: str) -> None:
    async with serving(chat(message=always(SLOW_ANSWERS[what]))) as server, client_of(server.url) as client:
        with in_time(TIMEOUT + BUSY), contextlib.suppress(ChatGpttError):
            await client.ask("Hello", timeout=TIMEOUT)


# Closing


CLOSED_AT: dict[str, tuple[HoldUp, type[ChatGpttError]]] = {
    "the name server is silent": (a_silent_name_server, InvalidInputError),
    "the connection is not accepted": (a_port_that_does_not_accept, InvalidInputError),
    "TLS: no greeting": (site(silence, scheme="https"), InvalidInputError),
    "a SOCKS proxy is silent": (proxy("socks5", "http://site.test/", say_nothing), InvalidInputError),
    "page: no head": (site(chat(page=silence)), InvalidInputError),
    "page: no body": (site(chat(page=silence_after_head)), InvalidInputError),
    "message: no head": (site(chat(message=silence)), InvalidInputError),
    "stream: text, then nothing": (site(chat(message=silence_after_text)), StreamInterruptedError),
}


@pytest.mark.parametrize("where", CLOSED_AT)
async def test_closing_the_client_ends_a_call_at_once_and_says_so(where: str) -> None:
    hold_up, kind = CLOSED_AT[where]
    async with hold_up() as (page, options):
        client = client_of(page, **options)
        call = asyncio.ensure_future(failure_of(client.ask("Hello")))
        await asyncio.sleep(0.1)  # it may be anywhere on its way
        with in_time(0.0):
            await client.close()
            error = await call
    assert isinstance(error, kind | ClosedError)  # on a busy machine it may not be as far as that
    assert "the client was closed" in error.message
    assert "close it after the last call" in error.hint or error.partial_text == "Hi "


async def test_closing_the_sync_client_ends_a_call_of_another_thread_and_says_so() -> None:
    async with serving(chat(message=silence_after_text)) as server:
        client = chatgptt.Client(server.url, state_dir=None, retry=QUICK)
        started = anyio.Event()
        errors: list[ChatGpttError] = []

        def read() -> None:
            try:
                with client.stream("Hello") as stream:
                    for _ in stream:
                        anyio.from_thread.run_sync(started.set)
            except ChatGpttError as error:
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, read)
            await started.wait()
            with in_time(0.0):
                await anyio.to_thread.run_sync(client.close)
        (error,) = errors
        # The thread waits for the next piece already, or asks for it after the end.
        assert isinstance(error, StreamInterruptedError | ClosedError)
        assert re.search("the client (?:was|is) closed", error.message)
        await server.until_all_closed()


async def test_an_answer_that_was_whole_when_the_client_was_closed_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def say_all_and_wait(connection: Connection, got: Got) -> None:
        await connection.send(CHUNKED + chunk(ANSWER))
        await connection.until_closed()

    async with serving(chat(message=say_all_and_wait)) as server:
        client = client_of(server.url)
        take_the_end = OpenReply.finish

        async def close_and_take_the_end(reply: OpenReply) -> None:
            await client.close()
            await take_the_end(reply)

        monkeypatch.setattr(OpenReply, "finish", close_and_take_the_end)
        assert (await client.ask("Hello")).text == "Hi there"


@pytest.mark.parametrize("where", ["stream: text, then nothing", "2.x: text, then nothing"])
async def test_leaving_a_silent_stream_takes_no_time(where: str) -> None:
    async with TABLE[where][0]() as (page, options), client_of(page, **options) as client:
        stream = client.stream("Hello")
        await stream.__aenter__()
        assert await anext(stream) == "Hi "
        with in_time(0.0):
            await stream.__aexit__(None, None, None)
            await client.close()
