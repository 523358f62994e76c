"""No exception of a library below comes out, and no secret is in what does."""

from __future__ import annotations

import copy
import errno
import logging
import os
import pickle
import re
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from asking import QUICK, Options, client_of, failure, outcome
from faults import NONCE, WPAICG_PAGE, always, chat, closed_port, reply, serving
from proxies import http_proxy

import chatgptt
from chatgptt import ChatGpttError, RefusedError, Timeouts, TokenRejectedError, TransportError
from chatgptt.demo import DemoSite


def classes_of(base: type[Exception]) -> Iterator[type[Exception]]:
    yield base
    for inner in base.__subclasses__():
        yield from classes_of(inner)


# httpx.HTTPStatusError is raised by nothing but a method that nobody calls here.
HTTPX = sorted(
    {
        *classes_of(httpx.HTTPError),
        *classes_of(httpx.StreamError),
        httpx.InvalidURL,
        httpx.CookieConflict,
    },
    key=lambda kind: kind.__name__,
)


def made(kind: type[Exception], request: httpx.Request) -> Exception:
    if issubclass(kind, httpx.HTTPStatusError):
        return kind("it failed", request=request, response=httpx.Response(500, request=request))
    if issubclass(kind, httpx.StreamError) and kind is not httpx.StreamError:
        return kind()  # type: ignore[call-arg]
    return kind("it failed")


class Failing(httpx.AsyncBaseTransport):
    """Fails with an error of one class: at the head, or in the body of each reply."""

    def __init__(self, kind: type[Exception], *, in_body: bool, on: str) -> None:
        self._kind = kind
        self._in_body = in_body
        self._on = on

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != self._on:
            return httpx.Response(200, html=WPAICG_PAGE.format(nonce=NONCE))
        error = made(self._kind, request)
        if self._in_body:
            return httpx.Response(200, headers={"content-type": "text/html"}, stream=FailingBody(error))
        raise error


class FailingBody(httpx.AsyncByteStream):
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield b'data: {"id":"x","choices":[{"index":0,"delta":{"content":"Hi "}}]}\n\n'
        raise self._error


@pytest.mark.anyio
@pytest.mark.parametrize("on", ["GET", "POST"])
@pytest.mark.parametrize("in_body", [False, True], ids=["head", "body"])
@pytest.mark.parametrize("kind", HTTPX, ids=lambda kind: kind.__name__)
async def test_every_exception_of_httpx_comes_out_as_one_of_ours(
    kind: type[Exception], in_body: bool, on: str
) -> None:
    async with httpx.AsyncClient(transport=Failing(kind, in_body=in_body, on=on)) as http:
        error = await failure("http://site.test/", http_client=http)
    assert error.code in ("connect_error", "timeout", "http_error", "stream_interrupted")
    assert error.hint
    if in_body and on == "POST":
        assert error.partial_text == "Hi " or error.code == "http_error"


@pytest.mark.anyio
@pytest.mark.parametrize("kind", [ssl.SSLError, ssl.SSLCertVerificationError, ssl.SSLEOFError])
async def test_tls_is_told_by_what_lies_below(kind: type[ssl.SSLError]) -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                raise kind(1, "certificate verify failed")
            except ssl.SSLError as error:
                raise httpx.ConnectError("x") from error

    async with httpx.AsyncClient(transport=Refusing()) as http:
        error = await failure("https://site.test/", http_client=http)
    assert (error.code, error.message) == (
        "tls_error",
        "no safe connection to https://site.test: certificate verify failed",
    )


# Secrets

SECRET_NONCE = "5ec2e7a0b1"
SECRETS = re.compile(r"5ec2e7a0b1|c00kie-value|pr0xy-pass|url-pass|t0ken-value")


def all_of(error: BaseException) -> str:
    """Whatever a program may print of an error."""
    assert isinstance(error, ChatGpttError)
    return f"{error} {error!r} {error.hint} {error.url} {error.findings} {error.as_dict()} {vars(error)}"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "message",
    ["Hello", "NONCE", "BUSYLONG", "QUOTA", "DROP", "DROPFIRST", "KEYLOST", "NONCESTREAM", "ERR500"],
)
@pytest.mark.parametrize(
    "path", ["wpaicg/", "aipkit/", "never/", "aipkit-2.3.20/empty-nonce/", "status/404/"]
)
async def test_no_secret_is_in_an_error_or_a_log_record(
    demo: DemoSite, path: str, message: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG, "chatgptt")
    options: Options = {
        "headers": {"Cookie": "a=c00kie-value", "X-Token": "t0ken-value"},
        "state_dir": tmp_path,
        "strategy": "static",
    }
    page = demo.page(path).replace("//", "//ada:url-pass@")
    async with http_proxy(login="ada:pr0xy-pass") as proxy:
        options["proxy"] = proxy.url
        result = await outcome(page, message, **options)
    told = [all_of(result) if isinstance(result, ChatGpttError) else repr(result)]
    told += [
        f"{record.getMessage()} {record.args}"
        for record in caplog.records
        if record.name.startswith("chatgptt")
    ]
    own = set()
    for seen in demo.requests:
        for key in ("_wpnonce", "_ajax_nonce", "wpaicg_chat_client_id", "session_id", "cache_key"):
            own |= {seen.fields.get(key, ""), seen.params.get(key, "")}
    own.discard("")
    for line in told:
        assert not SECRETS.search(line), line
        assert not any(secret in line for secret in own), line


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "words", "code"),
    [
        (httpx.LocalProtocolError, "Illegal header value b'member=s3cret\\x01'", "invalid_input"),
        (httpx.RemoteProtocolError, "illegal header line: bytearray(b's3cret')", "connect_error"),
    ],
)
@pytest.mark.parametrize("on", ["GET", "POST"])
async def test_no_error_quotes_a_header(
    kind: type[httpx.ProtocolError], words: str, code: str, on: str
) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        if request.method != on:
            return httpx.Response(200, html=WPAICG_PAGE.format(nonce=NONCE))
        raise kind(words, request=request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(fail)) as http:
        error = await failure("http://site.example/", http_client=http)
    assert error.code == code
    assert "header" in error.message
    assert "s3cret" not in "".join(traceback.format_exception(error))


@pytest.mark.anyio
async def test_no_error_quotes_a_cookie_that_a_site_sets_wrongly() -> None:
    answer = reply("Hi", headers={"Set-Cookie": "member=s3cret\x00; Path=/"})
    async with serving(always(answer)) as server:
        error = await failure(server.url)
    assert error.message.endswith("illegal header line")
    assert "s3cret" not in "".join(traceback.format_exception(error))


@pytest.mark.anyio
async def test_no_secret_is_in_the_failure_of_a_connection() -> None:
    port = closed_port()
    error = await failure(
        f"http://ada:url-pass@127.0.0.1:{port}/", proxy=f"http://ada:pr0xy-pass@127.0.0.1:{port}"
    )
    assert not SECRETS.search(all_of(error))
    error = await failure(
        f"http://ada:url-pass@127.0.0.1:{port}/", timeout=Timeouts(connect=0.5), retry=QUICK
    )
    assert not SECRETS.search(all_of(error))


@pytest.mark.anyio
@pytest.mark.parametrize("proxied", [False, True])
async def test_a_refused_connection_is_told_in_the_systems_words(proxied: bool) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    error = await failure(f"{url}/", proxy=url if proxied else None, retry=QUICK)
    assert (error.code, str(error).rpartition(": ")[2]) == ("connect_error", os.strerror(errno.ECONNREFUSED))


def test_no_secret_is_in_a_complaint_about_the_input() -> None:
    for url, headers, proxy in (
        ("ftp://ada:url-pass@site.test/", {}, None),
        ("http://ada:url-pass@site.test:port/", {}, None),
        ("http://ada:url-pass@site.test/a b", {}, None),
        ("http://site.test", {"Authorization": "Bearer t0ken-value\n"}, None),
        ("http://site.test", {"Cookie": "c00kie-value\u20ac"}, None),
        ("http://site.test", {}, "gopher://ada:pr0xy-pass@127.0.0.1:1"),
    ):
        with pytest.raises(chatgptt.InvalidInputError) as caught:
            client_of(url, headers=headers, proxy=proxy)
        assert not SECRETS.search(all_of(caught.value))


@pytest.mark.anyio
async def test_a_planted_nonce_stays_out_of_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chatgptt")
    html = WPAICG_PAGE.format(nonce=SECRET_NONCE)
    for message in (
        reply("-1", status=403),
        reply("0", status=400),
        reply("x", status=500),
        reply("", status=302),
    ):
        async with serving(chat(html=html, message=always(message))) as server:
            assert not SECRETS.search(all_of(await failure(server.url, strategy="static")))
    assert not SECRETS.search(caplog.text)


# Errors as values


def every_error() -> list[ChatGpttError]:
    found = []
    for name in chatgptt.__all__:
        kind = getattr(chatgptt, name)
        if isinstance(kind, type) and issubclass(kind, ChatGpttError):
            found.append(kind("it failed", hint="do this", url="http://site.test/"))
    found += [
        RefusedError("no", reason="quota", status=200, partial_text="x"),
        TransportError("x", code="timeout", is_sent=True),
        TokenRejectedError("x", is_key_lost=True),
        ChatGpttError(
            "x",
            code="challenge",
            retry_after=3.0,
            findings=(chatgptt.Finding(rung="html", saw="y"),),
            is_stale=True,
        ),
    ]
    return found


@pytest.mark.parametrize(
    "error", every_error(), ids=lambda error: f"{type(error).__name__}-{error}-{error.code}"
)
def test_an_error_survives_pickling_and_copying(error: ChatGpttError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is type(error)
        assert vars(other) == vars(error)
        assert str(other) == str(error) == error.message
        assert other.as_dict() == error.as_dict()


def test_the_json_form_of_an_error_always_has_all_its_keys() -> None:
    keys = {"code", "message", "hint", "url", "status", "reason", "retry_after_s", "partial_text", "findings"}
    assert {frozenset(error.as_dict()) for error in every_error()} == {frozenset(keys)}
    assert RefusedError("x", reason="quota").as_dict()["reason"] == "quota"
