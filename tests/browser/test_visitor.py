"""The browser is the same visitor as the rest of the client, goes where it may, and says what failed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import stat
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces
from faults import closed_port
from proxies import _join, _listening

from chatgptt import AsyncClient, BrowserError, ChatGpttError, PageError, RetryPolicy, TransportError
from chatgptt._models import StoredCookie
from chatgptt.browser.shared import BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.demo import DemoSite
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.proxies import Proxy
from chatgptt.visits.visit import StorageItem

pytestmark = pytest.mark.anyio


async def test_user_agent_headers_and_cookies_are_the_clients(traces: Traces, demo: DemoSite) -> None:
    demo.clear()
    identity = VisitorIdentity(
        user_agent="Mozilla/5.0 (test) Chrome/156.0.0.0",
        headers=(("authorization", "Basic Zm9vOmJhcg=="), ("x-own", "1"), ("cookie", "named=2")),
    )
    async with Acquiring(identity=identity) as acquiring:
        acquiring.transport.add_cookies(
            [StoredCookie(name="kept", value="3", domain="127.0.0.1", path="/", is_secure=False)]
        )
        acquired = await acquiring.acquire(demo.page("browser/heavy/"), strategy="browser")
    assert acquired.tokens.user_agent == identity.user_agent
    assert [(cookie.name, cookie.value) for cookie in acquired.tokens.cookies] == [("kept", "3")]
    page = next(seen for seen in demo.requests if seen.path == "/browser/heavy/")
    ajax = next(seen for seen in demo.requests if "admin-ajax" in seen.path)
    for seen in (page, ajax):
        assert seen.headers["user-agent"] == identity.user_agent
        assert seen.headers["authorization"] == "Basic Zm9vOmJhcg=="
        assert seen.headers["x-own"] == "1"
        assert set(seen.headers["cookie"].split("; ")) == {"named=2", "kept=3"}
    elsewhere = next(seen for seen in demo.requests if seen.path.endswith("elsewhere.js"))
    assert not {"authorization", "x-own", "cookie"} & elsewhere.headers.keys()


async def test_a_cookie_that_the_page_set_is_handed_on(acquiring: Acquiring, demo: DemoSite) -> None:
    acquired = await acquiring.acquire(demo.page("cookies/"), strategy="browser")
    assert [cookie.name for cookie in acquired.tokens.cookies] == ["demo_visitor"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:{closed}/", "connect_error"),
        ("http://no-such-host.invalid/", "dns_error"),
        ("{demo}/status/404/", "http_error"),
        ("{demo}/status/500/", "http_error"),
        ("{demo}/status/429/", "rate_limited"),
        ("{demo}/pdf/", "http_error"),
        ("{demo}/json-page/", "http_error"),
        ("{demo}/loop/", "http_error"),
    ],
)
async def test_failures_have_the_codes_of_the_static_rungs(
    acquiring: Acquiring, demo: DemoSite, url: str, code: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = server.getsockname()[1]
    with pytest.raises(ChatGpttError) as caught:
        await acquiring.acquire(url.format(demo=demo.url, closed=closed), strategy="browser")
    assert caught.value.code == code


async def test_the_deadline_holds(acquiring: Acquiring, demo: DemoSite) -> None:
    for seconds in (0.05, 0.5, 2.0):
        with pytest.raises(TransportError) as caught:
            await acquiring.acquire(demo.page("browser/never/"), strategy="browser", timeout=seconds)
        assert caught.value.code == "timeout"


async def test_a_browser_that_is_none(traces: Traces, demo: DemoSite) -> None:
    async with Acquiring(BrowserOptions(executable="/bin/false")) as acquiring:
        with pytest.raises(BrowserError) as caught:
            await acquiring.acquire(demo.page("browser/fetched/"))
    assert caught.value.code == "browser_failed"
    async with Acquiring(BrowserOptions(executable="/nowhere/chromium")) as acquiring:
        with pytest.raises(BrowserError) as caught:
            await acquiring.acquire(demo.page("browser/fetched/"))
        assert caught.value.code == "browser_missing"
        assert "named in executable," in caught.value.message
        assert "CHATGPTT_BROWSER" not in caught.value.hint
        assert "chatgptt install-browser" in caught.value.hint
        with pytest.raises(ChatGpttError) as other:
            await acquiring.acquire(demo.page("browser/nochat/"))
        assert other.value.code == "no_chat_box"


@pytest.mark.parametrize("display", [None, ":987"])
async def test_a_window_without_a_display(
    traces: Traces, demo: DemoSite, monkeypatch: pytest.MonkeyPatch, display: str | None
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    if display is not None:
        monkeypatch.setenv("DISPLAY", display)
    async with Acquiring(BrowserOptions(is_headed=True)) as acquiring:
        with pytest.raises(BrowserError, match="no display") as caught:
            await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
    assert caught.value.hint.startswith("leave out is_headed,")


@contextlib.asynccontextmanager
async def socks_proxy(user: bytes, password: bytes, seen: list[bytes]) -> AsyncIterator[int]:
    """A SOCKS5 proxy with a login, which leads to this machine whatever it is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        given = await reader.readexactly(length)
        secret = await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(b"\x01\x00" if (given, secret) == (user, password) else b"\x01\x01")
        await reader.readexactly(4)
        seen.append(await reader.readexactly((await reader.readexactly(1))[0]))
        there = await asyncio.open_connection("127.0.0.1", int.from_bytes(await reader.readexactly(2)))
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await _join((reader, writer), there)

    async with _listening(serve) as port:
        yield port


async def test_a_socks_proxy_with_a_login(traces: Traces, demo: DemoSite) -> None:
    seen: list[bytes] = []
    page = demo.page("browser/fetched/").replace("127.0.0.1", "site.example")
    async with socks_proxy(b"ada", b"p@ss", seen) as port:
        identity = VisitorIdentity(
            user_agent=DEFAULT_USER_AGENT, proxy=Proxy(url=f"socks5://ada:p%40ss@127.0.0.1:{port}")
        )
        async with Acquiring(identity=identity) as acquiring:
            acquired = await acquiring.acquire(page, strategy="browser")
        wrong = VisitorIdentity(
            user_agent=DEFAULT_USER_AGENT, proxy=Proxy(url=f"socks5://ada:no@127.0.0.1:{port}")
        )
        async with Acquiring(identity=wrong) as acquiring:
            with pytest.raises(TransportError) as caught:
                await acquiring.acquire(page, strategy="browser")
    assert acquired.tokens.rung == "browser"
    assert set(seen) == {b"site.example"}
    assert "login" in caught.value.message
    assert "p@ss" not in str(caught.value.as_dict())


@contextlib.asynccontextmanager
async def http_proxy(login: str, seen: list[str]) -> AsyncIterator[int]:
    """An HTTP proxy that asks for a login, and leads to this machine whatever it is asked for."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if f"proxy-authorization: basic {login}".lower() not in head.lower():
            challenge = (
                "HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm=x\r\nConnection: close\r\n"
            )
            writer.write(f"{challenge}Content-Length: 0\r\n\r\n".encode())
            return
        method, url, _ = head.split(" ", 2)
        seen.append(url)
        host, _, path = url.removeprefix("http://").partition("/")
        there = await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2]))
        there[1].write(f"{method} /{path} HTTP/1.0\r\n{head.partition(chr(10))[2]}".encode())
        await _join((reader, writer), there)

    async with _listening(serve) as port:
        yield port


async def test_an_http_proxy_with_a_login(traces: Traces, demo: DemoSite) -> None:
    seen: list[str] = []
    page = demo.page("browser/fetched/").replace("127.0.0.1", "site.example")
    async with http_proxy("YWRhOnBAc3M=", seen) as port:
        identity = VisitorIdentity(
            user_agent=DEFAULT_USER_AGENT, proxy=Proxy(url=f"http://ada:p%40ss@127.0.0.1:{port}")
        )
        async with Acquiring(identity=identity) as acquiring:
            acquired = await acquiring.acquire(page, strategy="browser")
        wrong = VisitorIdentity(
            user_agent=DEFAULT_USER_AGENT, proxy=Proxy(url=f"http://ada:no@127.0.0.1:{port}")
        )
        async with Acquiring(identity=wrong) as acquiring:
            with pytest.raises(TransportError) as caught:
                await acquiring.acquire(page, strategy="browser")
    assert acquired.tokens.page == page
    assert page in seen
    assert "login" in caught.value.message
    assert "p@ss" not in str(caught.value.as_dict())


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_an_environments_proxy_out_of_reach_is_named_by_its_variable(
    traces: Traces, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://ada:geheim@127.0.0.1:{port}")
    async with AsyncClient(
        "http://site.example/", strategy="browser", state_dir=None, retry=RetryPolicy(attempts=1)
    ) as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    error = caught.value
    assert error.code == "connect_error"
    assert (
        f"through the proxy {scheme}://127.0.0.1:{port} of the environment variable ALL_PROXY"
        in error.message
    )
    assert error.hint.endswith("or give another proxy with proxy=")


async def test_a_redirect_in_a_circle_is_no_page(acquiring: Acquiring, demo: DemoSite) -> None:
    with pytest.raises(PageError):
        await acquiring.acquire(demo.page("loop/"), strategy="browser")


async def test_only_a_failed_visit_leaves_a_trace(traces: Traces, demo: DemoSite, tmp_path: Path) -> None:
    trace = tmp_path / "trace.zip"
    async with Acquiring(BrowserOptions(trace=trace)) as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert not trace.exists()
        with pytest.raises(ChatGpttError):
            await acquiring.acquire(demo.page("browser/nochat/"), strategy="browser")
        assert zipfile.is_zipfile(trace)


async def test_only_a_failed_visit_leaves_a_picture_for_its_owner(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    picture = tmp_path / "new" / "seen.png"
    async with Acquiring(BrowserOptions(screenshot=picture)) as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert not picture.exists()
        with pytest.raises(ChatGpttError):
            await acquiring.acquire(demo.page("browser/nochat/"), strategy="browser")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    assert stat.S_IMODE(picture.stat().st_mode) == 0o600


async def test_a_visit_that_an_error_ends_leaves_a_picture(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    picture = tmp_path / "seen.png"
    async with Acquiring(BrowserOptions(screenshot=picture)) as acquiring:
        with pytest.raises(ChatGpttError):
            await acquiring.acquire(demo.page("challenge/body/"), strategy="browser")
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


async def test_a_trace_is_its_owners_alone_and_has_nothing_in_it_that_says_who_somebody_is(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    demo.clear()
    trace = tmp_path / "new" / "trace.zip"
    login, to_proxy = (base64.b64encode(text).decode() for text in (b"ada:s3cret-login", b"bob:pr0x"))
    short = ("zq9x", "q7z", "z8k", "pr0x", "w6j")
    secrets = (
        "s3cret-login",
        "c00kie-kept",
        "c00kie-named",
        "t0ken-own",
        "3fa4c91b07",
        "st0rage-kept",
        login,
        to_proxy,
        *short,
    )
    headers = (
        ("authorization", f"Basic {login}"),
        ("x-own", "t0ken-own"),
        ("x-pin", "zq9x"),
        ("cookie", "named=c00kie-named; small=q7z"),
    )
    seen: list[str] = []
    async with http_proxy(to_proxy, seen) as port:
        proxy = f"http://bob:pr0x@127.0.0.1:{port}"
        storage = tuple(
            StorageItem(origin=demo.url, name=name, value=value)
            for name, value in (("kept", "st0rage-kept"), ("tiny", "w6j"))
        )
        identity = VisitorIdentity(
            user_agent=DEFAULT_USER_AGENT, headers=headers, proxy=Proxy(url=proxy), storage=storage
        )
        async with Acquiring(BrowserOptions(trace=trace), identity=identity) as acquiring:
            acquiring.transport.add_cookies(
                [
                    StoredCookie(name=name, value=value, domain="127.0.0.1", path="/", is_secure=False)
                    for name, value in (("kept", "c00kie-kept"), ("little", "z8k"))
                ]
            )
            with pytest.raises(ChatGpttError):
                await acquiring.acquire(demo.page("browser/nochat/?_wpnonce=3fa4c91b07"), strategy="browser")
    assert any("/browser/nochat/" in target for target in seen)
    cookies = [request.headers.get("cookie", "") for request in demo.requests]
    assert any("c00kie-kept" in given and "little=z8k" in given for given in cookies)
    assert stat.S_IMODE(trace.stat().st_mode) == 0o600
    with zipfile.ZipFile(trace) as kept:
        written = b"".join(kept.read(name) for name in kept.namelist()).decode("latin-1")
        for name in ("trace.trace", "trace.network"):
            assert all(json.loads(line) for line in kept.read(name).splitlines())
    assert "browser/nochat/" in written
    assert "Proxy-Authorization" in written
    for secret in secrets:
        assert secret not in written, secret
