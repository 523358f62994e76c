"""The table in docs/errors.md, "What is repeated", cell by cell, counted at the server."""

from __future__ import annotations

import errno
import socket
import ssl
import time
from email.utils import formatdate

import anyio
import httpx
import pytest
import trustme
from asking import QUICK, answer, client_of, failure, outcome
from faults import (
    AIPKIT_PAGE,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    always,
    chat,
    close,
    closed_port,
    first,
    reply,
    reset,
    reset_after_head,
    reset_after_text,
    serving,
    silence,
    silence_after_head,
    silence_after_text,
    stream_reply,
)

from chatgptt import (
    ChatGpttError,
    InvalidInputError,
    PageError,
    RateLimitedError,
    Reply,
    RetryPolicy,
    StreamInterruptedError,
    Timeouts,
    TransportError,
)
from chatgptt.demo import DemoSite
from chatgptt.net.retry import is_repeatable, retry
from chatgptt.protocols.reply_errors import MAY_HAVE_ANSWERED

HASTY = Timeouts(total=30.0, silence=0.15)
PAGE = WPAICG_PAGE.format(nonce=NONCE)
AMBIGUOUS = RetryPolicy(first_wait=0.01, retry_ambiguous=True)


def status(code: int, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return always(reply("<title>Sorry</title>", status=code, headers=named))


async def busy_for_a_day(connection: Connection, got: Got) -> bool | None:
    return await status(503, retry_after=formatdate(time.time() + 86400, usegmt=True))(connection, got)


# Of each fault: the code (of a page and of a message, where they differ), whether a message is repeated by itself, and whether retry_ambiguous repeats it.
FAULTS: dict[str, tuple[Answer, str, bool, bool]] = {
    "reset before any byte": (reset, "connect_error", False, True),
    "closed before any byte": (close, "connect_error", False, True),
    "reset after the head": (reset_after_head, "connect_error", False, True),
    "no byte in time": (silence, "timeout", False, True),
    "no byte of the body in time": (silence_after_head, "timeout", False, True),
    "no HTTP": (always(b"HELLO\r\n\r\n"), "connect_error", False, True),
    "429": (status(429), "rate_limited", True, True),
    "429 after 0 s": (status(429, retry_after="0"), "rate_limited", True, True),
    **{
        name: (busy, "rate_limited http_error", False, True)
        for name, busy in {
            "503": status(503),
            "503 after 0 s": status(503, retry_after="0"),
            "503 after a date gone by": status(503, retry_after=formatdate(1e9, usegmt=True)),
            "503 with a Retry-After of nonsense": status(503, retry_after="soon"),
        }.items()
    },
    **{
        str(code): (status(code), "http_error", False, True)
        for code in (408, 500, 502, 504, 520, 521, 522, 523, 524)
    },
}
FINAL: dict[str, tuple[Answer, str]] = {
    "429 after an hour": (status(429, retry_after="3600"), "rate_limited"),
    "503 after a day": (busy_for_a_day, "rate_limited http_error"),
    "502 after an hour": (status(502, retry_after="3600"), "http_error"),
    **{str(code): (status(code), "http_error") for code in (400, 401, 403, 405, 410, 413, 501, 505, 525)},
    "404": (status(404), "http_error"),
    "a challenge": (status(503, cf_mitigated="challenge"), "challenge"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_page_is_asked_for_again(fault: str) -> None:
    break_it, code, _, _ = FAULTS[fault]
    async with serving(chat(page=first(break_it, then=reply(PAGE)))) as server:
        result = await answer(server.url, timeout=HASTY)
        assert (result.text, result.page_requests, result.attempts) == ("Hi there", 2, 1)
        assert server.counts == (2, 1)
    async with serving(chat(page=break_it)) as server:
        error = await failure(server.url, timeout=HASTY)
        assert error.code == code.split()[0]
        assert error.hint
        assert not error.is_ambiguous
        assert server.counts == (3, 0)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_message_is_sent_again_only_where_that_is_safe(fault: str) -> None:
    break_it, code, is_safe, is_ambiguous = FAULTS[fault]
    async with serving(chat(message=first(break_it, then=stream_reply()))) as server:
        result = await outcome(server.url, timeout=HASTY)
        assert server.counts == (1, 2 if is_safe else 1)
    if is_safe:
        assert isinstance(result, Reply)
        assert (result.text, result.attempts) == ("Hi there", 2)
    else:
        assert isinstance(result, ChatGpttError)
        assert (result.code, result.is_ambiguous) == (code.split()[-1], is_ambiguous)
        assert "try again" not in result.hint
        assert result.hint.count(MAY_HAVE_ANSWERED) == is_ambiguous


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_message_is_sent_again_in_doubt_by_one_who_asks_for_it(fault: str) -> None:
    break_it, code, _, is_repeated = FAULTS[fault]
    async with serving(chat(message=first(break_it, then=stream_reply()))) as server:
        result = await outcome(server.url, timeout=HASTY, retry=AMBIGUOUS)
        assert isinstance(result, Reply) == is_repeated
        assert server.counts == (1, 2 if is_repeated else 1)
    async with serving(chat(message=break_it)) as server:
        assert (await failure(server.url, timeout=HASTY, retry=AMBIGUOUS)).code == code.split()[-1]
        assert server.counts == (1, 3 if is_repeated else 1)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", FINAL)
async def test_what_would_be_the_same_again_is_reported_at_once(fault: str) -> None:
    break_it, code = FINAL[fault]
    async with serving(chat(page=break_it)) as server:
        assert (await failure(server.url, retry=AMBIGUOUS)).code == code.split()[0]
        assert server.counts == (1, 0)
    async with serving(chat(message=break_it)) as server:
        error = await failure(server.url, retry=AMBIGUOUS)
        assert error.code == code.split()[-1]
        assert server.counts == (1, 1)
    if "hour" in fault:
        assert error.retry_after == 3600.0
    if "day" in fault:
        assert error.retry_after is not None
        assert 86000 < error.retry_after <= 86400


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [reset_after_text, silence_after_text])
async def test_nothing_is_repeated_after_the_first_text(fault: Answer) -> None:
    async with serving(chat(message=fault)) as server:
        error = await failure(server.url, timeout=HASTY, retry=AMBIGUOUS)
        assert isinstance(error, StreamInterruptedError)
        assert (error.partial_text, error.status, error.is_ambiguous) == ("Hi ", 200, True)
        assert error.hint == MAY_HAVE_ANSWERED
        assert server.counts == (1, 1)


@pytest.mark.anyio
async def test_the_number_of_attempts_is_the_policy_s() -> None:
    async with serving(chat(page=status(503))) as server:
        await failure(server.url, retry=RetryPolicy(attempts=1))
        assert server.counts == (1, 0)
        await failure(server.url, retry=RetryPolicy(attempts=5, first_wait=0.001))
        assert server.counts == (6, 0)


# Connections that never stand


class Routes(httpx.AsyncBaseTransport):
    """Takes each request for site.test to a port of this machine, or to a name that nobody has; the last one stays."""

    def __init__(self, trusting: ssl.SSLContext | None = None) -> None:
        self.ports: list[int | None] = []
        self.asked = 0
        self._inner = httpx.AsyncHTTPTransport(verify=trusting or False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        port = self.ports.pop(0) if len(self.ports) > 1 else self.ports[0]
        there = {"host": "nowhere.test"} if port is None else {"host": "127.0.0.1", "port": port}
        extensions = {**request.extensions, "sni_hostname": "site.test"}
        rerouted = httpx.Request(
            request.method,
            request.url.copy_with(**there),
            headers=request.headers,
            stream=request.stream,
            extensions=extensions,
        )
        return await self._inner.handle_async_request(rerouted)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is asked who nowhere.test is: nothing leaves this machine."""
    really = socket.getaddrinfo

    def resolve(host: str | bytes | None, *args: int, **named: int) -> object:
        if host in ("nowhere.test", b"nowhere.test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return really(host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["dns_error", "connect_error"])
async def test_what_was_never_sent_is_sent_again(nowhere: None, fault: str) -> None:
    broken = None if fault == "dns_error" else closed_port()
    routes = Routes()
    async with serving(chat()) as server, httpx.AsyncClient(transport=routes) as http:
        routes.ports = [broken, server.port]
        assert (await answer("http://site.test", http_client=http)).page_requests == 2
        assert server.counts == (1, 1)
        routes.ports = [server.port, broken, server.port]
        assert (await answer("http://site.test", http_client=http)).attempts == 2
        assert server.counts == (2, 2)
        routes.ports = [server.port, broken]
        error = await failure("http://site.test", http_client=http)
        assert isinstance(error, TransportError)
        assert (error.code, error.is_sent, error.status) == (fault, False, None)
        assert error.url == "http://site.test/wp-admin/admin-ajax.php"
        routes.asked, routes.ports = 0, [broken]
        assert (await failure("http://site.test", http_client=http)).code == fault
        assert routes.asked == 3


@pytest.mark.anyio
async def test_a_tls_failure_is_told_and_repeated(demo: DemoSite, authority: trustme.CA) -> None:
    other = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    routes = Routes(trusting)
    async with (
        serving(chat(), tls=_server_side(authority, "site.test")) as server,
        serving(chat(), tls=_server_side(other, "site.test")) as impostor,
        serving(chat(), tls=_server_side(authority, "other.test")) as misnamed,
        serving(silence) as mute,
        httpx.AsyncClient(transport=routes) as http,
    ):
        without_tls = int(demo.url.rpartition(":")[2])
        for broken in (impostor.port, misnamed.port, without_tls, mute.port):
            code = "timeout" if broken == mute.port else "tls_error"
            bounds = Timeouts(total=30.0, connect=0.2 if broken == mute.port else 10.0)
            routes.ports = [broken, server.port]
            assert (await answer("https://site.test", http_client=http, timeout=bounds)).page_requests == 2
            routes.ports = [server.port, broken, server.port]
            assert (await answer("https://site.test", http_client=http, timeout=bounds)).attempts == 2
            routes.ports = [broken]
            error = await failure("https://site.test", http_client=http, timeout=bounds)
            assert isinstance(error, TransportError)
            assert (error.code, error.is_sent) == (code, False)
        assert impostor.got == misnamed.got == []
        assert server.counts == (8, 8)


def _server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "code"), [(reset, "connect_error"), (silence, "timeout")])
async def test_a_connection_that_breaks_is_no_tls_failure(
    authority: trustme.CA, fault: Answer, code: str
) -> None:
    async with serving(chat(message=fault), tls=_server_side(authority, "127.0.0.1")) as server:
        error = await failure(server.url, timeout=HASTY)
        assert isinstance(error, TransportError)
        assert (error.code, error.is_sent) == (code, True)
        assert server.counts == (1, 1)


# 2.x: a message takes two requests


def two_steps(*, upload: Answer | None = None, stream: Answer | None = None) -> Answer:
    key = reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
    text = b'event: message_start\ndata: {"message_id":"m"}\n\ndata: {"delta":"Hi"}\n\nevent: done\ndata: {"finished":true}\n\n'

    async def answer(connection: Connection, got: Got) -> bool | None:
        if got.is_message:
            return await (upload or always(key))(connection, got)
        if "frontend_chat_stream" in got.target:
            return await (stream or always(stream_reply(text)))(connection, got)
        await connection.send(reply(AIPKIT_PAGE.format(nonce=NONCE)))
        return True

    return answer


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("fault", "is_safe"), [("reset before any byte", False), ("429", True), ("503", False), ("502", False)]
)
@pytest.mark.parametrize("step", ["upload", "stream"])
async def test_both_requests_of_a_2x_message_follow_the_table(step: str, fault: str, is_safe: bool) -> None:
    break_it, _, _, _ = FAULTS[fault]
    key = reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
    good = stream_reply(b'data: {"delta":"Hi"}\n\nevent: done\ndata: {}\n\n')
    once = first(break_it, then=key if step == "upload" else good)
    async with serving(two_steps(upload=once) if step == "upload" else two_steps(stream=once)) as server:
        result = await outcome(server.url)
        assert isinstance(result, Reply) == is_safe
        assert server.counts[1] == (2 if is_safe else 1)


@pytest.mark.anyio
async def test_a_2x_message_whose_second_request_never_left_is_handed_in_again(nowhere: None) -> None:
    routes = Routes()
    async with serving(two_steps()) as server, httpx.AsyncClient(transport=routes) as http:
        routes.ports = [server.port, server.port, None, server.port]
        result = await answer("http://site.test", http_client=http)
        assert (result.text, result.attempts) == ("Hi", 2)
        assert [got.method for got in server.got] == ["GET", "POST", "POST", "GET"]


# The waits


class Waits:
    """A sleep that only notes, and the time that would be left."""

    def __init__(self, seconds: float = 1000.0) -> None:
        self.waits: list[float] = []
        self._seconds = seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def remaining(self) -> float:
        return self._seconds - sum(self.waits)

    async def run(self, error: ChatGpttError, policy: RetryPolicy, *, is_message: bool = False) -> int:
        """How often it was sent."""
        sent = 0

        async def send() -> None:
            nonlocal sent
            sent += 1
            raise error

        with pytest.raises(type(error)) as caught:
            await retry(
                send, is_message=is_message, policy=policy, remaining=self.remaining, sleep=self.sleep
            )
        assert caught.value is error
        return sent


@pytest.mark.anyio
async def test_waits_are_random_below_a_bound_that_doubles_up_to_the_largest() -> None:
    policy = RetryPolicy(attempts=8, first_wait=1.0, max_wait=10.0)
    bounds = [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    runs = []
    for _ in range(50):
        waits = Waits()
        assert await waits.run(TransportError("x"), policy) == 8
        assert all(0 <= wait <= bound for wait, bound in zip(waits.waits, bounds, strict=True))
        runs.append(waits.waits)
    assert all(len({run[place] for run in runs}) > 40 for place in range(7))
    assert max(run[4] for run in runs) > 5.0


@pytest.mark.anyio
async def test_a_retry_after_is_kept_to_and_never_cut_short() -> None:
    waits = Waits()
    assert await waits.run(RateLimitedError("x", status=429, retry_after=7.0), RetryPolicy(attempts=4)) == 4
    assert all(7.0 <= wait <= 7.25 for wait in waits.waits)


@pytest.mark.anyio
async def test_a_retry_after_at_the_cap_is_waited_for_and_one_above_is_not() -> None:
    assert await Waits().run(RateLimitedError("x", retry_after=60.0), RetryPolicy()) == 3
    assert await Waits().run(RateLimitedError("x", retry_after=60.1), RetryPolicy()) == 1
    assert await Waits().run(PageError("x", status=502, retry_after=60.1), RetryPolicy()) == 1


@pytest.mark.anyio
@pytest.mark.parametrize("is_message", [False, True])
async def test_a_429_that_names_no_time_is_not_repeated_where_that_is_not_wanted(is_message: bool) -> None:
    policy = RetryPolicy(repeats_busy=False)
    for error, sent in (
        (RateLimitedError("x"), 1),
        (RateLimitedError("x", retry_after=0.0), 3),
        (RateLimitedError("x", retry_after=7.0), 3),
        (TransportError("x"), 3),
    ):
        assert await Waits().run(error, policy, is_message=is_message) == sent


@pytest.mark.anyio
async def test_no_wait_reaches_beyond_the_deadline() -> None:
    waits = Waits(20.0)
    assert (
        await waits.run(RateLimitedError("x", retry_after=15.0), RetryPolicy(attempts=9), is_message=True)
        == 2
    )
    assert waits.remaining() > 0


@pytest.mark.anyio
async def test_a_retry_after_beyond_the_deadline_is_reported_at_once() -> None:
    async with serving(chat(message=status(429, retry_after="50"))) as server:
        async with client_of(server.url, retry=RetryPolicy()) as client:
            with anyio.fail_after(10), pytest.raises(RateLimitedError) as caught:
                await client.ask("Hello", timeout=20.0)
        assert caught.value.retry_after == 50.0
        assert server.counts == (1, 1)


@pytest.mark.anyio
async def test_each_wait_and_its_reason_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "chatgptt")
    async with serving(chat(page=first(status(503), then=reply(PAGE)))) as server:
        await answer(server.url)
    (line,) = [record.getMessage() for record in caplog.records if record.name == "chatgptt.retry"]
    assert line.startswith("waiting 0.0")
    assert "before attempt 2 of 3: the site is busy or limits requests: HTTP 503" in line


def test_a_policy_that_cannot_work_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="at least 1 attempt"):
        RetryPolicy(attempts=0)
    for bounds in ((-0.1, 1.0, 1.0), (0.1, -0.1, 1.0), (0.1, 1.0, -0.1)):
        with pytest.raises(InvalidInputError, match="not negative"):
            RetryPolicy(first_wait=bounds[0], max_wait=bounds[1], max_retry_after=bounds[2])


def test_what_is_no_error_of_ours_is_never_repeated() -> None:
    for error in (OSError(errno.ECONNRESET, "x"), KeyboardInterrupt(), ValueError("x")):
        assert not is_repeatable(error, is_message=False, policy=QUICK)
