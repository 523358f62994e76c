"""Whatever a page's scripts try, they connect to nothing that their site may not lead to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from asking import client_of, failure
from browser.processes import Traces
from faults import NONCE, WPAICG_PAGE, Answer, Connection, Got, Server, reply, serving, stream_reply
from hostile.internet import Internet
from proxies import Proxy, http_proxy, socks5_proxy

from chatgptt.net.reach import REPLAY_PORTS

pytestmark = pytest.mark.anyio

SHOP = "93.184.216.34"

PAGE = """<!doctype html><title>A</title>
<link rel="preconnect" href="HIDDEN"><link rel="dns-prefetch" href="HIDDEN">
<link rel="prefetch" href="HIDDEN/prefetch"><link rel="modulepreload" href="HIDDEN/modulepreload">
<script>
const hidden = "HIDDEN", quietly = {mode: "no-cors"};
const tries = {
    fetch: () => fetch(hidden + "/fetch", quietly).catch(() => 0),
    script: () => { document.head.append(Object.assign(document.createElement("script"), {src: hidden + "/script"})); },
    module: () => import(hidden + "/module").catch(() => 0),
    frame: () => { document.body.append(Object.assign(document.createElement("iframe"), {src: hidden + "/frame"})); },
    redirected: () => fetch("/hop", quietly).catch(() => 0),
    events: () => new EventSource(hidden + "/events"),
    beacon: () => navigator.sendBeacon(hidden + "/beacon", "a"),
    socket: () => new WebSocket(hidden.replace("http", "ws") + "/socket"),
    worker: () => new Worker("/worker.js?worker"),
    shared: () => new SharedWorker("/worker.js?shared"),
    sharedframe: () => {
        const frame = document.createElement("iframe");
        frame.src = "/framed";
        document.body.append(frame);
    },
    popup: () => window.open(hidden + "/popup"),
    blank: () => {
        const other = window.open("about:blank");
        other.fetch(hidden + "/blank", quietly).catch(() => 0);
    },
    form: () => {
        const form = document.createElement("form");
        form.action = hidden + "/form";
        form.target = "_blank";
        document.body.append(form);
        form.submit();
    },
    turn: async () => {
        const at = hidden.split("//")[1];
        const servers = [
            {urls: "stun:" + at},
            {urls: "turn:" + at, username: "a", credential: "b"},
            {urls: "turn:" + at + "?transport=tcp", username: "a", credential: "b"},
        ];
        const peer = new RTCPeerConnection({iceServers: servers});
        peer.createDataChannel("a");
        await peer.setLocalDescription(await peer.createOffer());
    },
    service: () => navigator.serviceWorker && navigator.serviceWorker.register("/worker.js?service").catch(() => 0),
};
addEventListener("load", () => {
    for (const one of Object.values(tries)) { try { one(); } catch (error) { console.log(error); } }
    setTimeout(() => {
        const box = document.createElement("div");
        box.className = "wpaicg-chat-shortcode";
        for (const [name, value] of Object.entries({nonce: "THENONCE", "post-id": "7", "bot-id": "0", type: "shortcode"}))
            box.setAttribute("data-" + name, value);
        document.body.append(box);
    }, 1500);
});
</script><link href="/wp-content/a.css"><body>"""
WORKER = """
const name = location.search.slice(1);
fetch("HIDDEN/fetch-by-" + name, {mode: "no-cors"}).catch(() => 0);
new WebSocket("HIDDEN".replace("http", "ws") + "/socket-by-" + name);
"""
FRAMED = """<script>new SharedWorker("/worker.js?sharedframe");</script>"""

EVERY_WAY = {
    "/fetch",
    "/script",
    "/module",
    "/modulepreload",
    "/prefetch",
    "/frame",
    "/redirected",
    "/events",
    "/socket",
    *(f"/{what}-by-{who}" for what in ("fetch", "socket") for who in ("worker", "shared", "sharedframe")),
}
"""What arrives from a page that may reach the other server: so these tries are real ones."""

POPUPS = {"/popup", "/blank", "/form"}
"""Popups are closed at once, and some come to nothing before."""


def trying(hidden: str, headers: dict[str, str] | None = None) -> Answer:
    """A site whose page tries to reach the server `hidden` in every way."""

    async def answer(connection: Connection, got: Got) -> bool:
        target = got.target.partition("?")[0]
        path = "/" + target.partition("://")[2].partition("/")[2] if "://" in target else target
        if got.is_message:
            await connection.send(stream_reply())
        elif path == "/hop":
            await connection.send(reply("", status=302, headers={"Location": f"{hidden}/redirected"}))
        elif path == "/worker.js":
            await connection.send(reply(WORKER.replace("HIDDEN", hidden), kind="text/javascript"))
        elif path == "/framed":
            await connection.send(reply(FRAMED))
        else:
            html = PAGE.replace("HIDDEN", hidden).replace("THENONCE", NONCE)
            await connection.send(reply(html, headers=headers))
        return True

    return answer


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Server, socket.socket]]:
    """A server that answers everything, and a socket for datagrams at the same port."""

    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(reply("", headers={"Access-Control-Allow-Origin": "*"}))
        return True

    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        async with serving(answer) as server:
            datagrams.bind(("127.0.0.1", server.port))
            datagrams.setblocking(False)
            yield server, datagrams


async def visit(page: str, proxy: str | None = None) -> None:
    async with client_of(page, strategy="browser", proxy=proxy) as client:
        reply_ = await client.ask("Hello")
    assert (reply_.text, reply_.tokens_from) == ("Hi there", "browser")


def written_to(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*.json"))


def assert_tried(other: Server) -> None:
    paths = {got.path for got in other.got}
    assert paths >= EVERY_WAY
    assert paths & POPUPS


def assert_unreached(hidden: Server, datagrams: socket.socket) -> None:
    assert ([got.path for got in hidden.got], hidden.connections) == ([], 0)
    with pytest.raises(BlockingIOError):
        datagrams.recv(1)


async def test_a_page_of_this_machine_reaches_other_servers_of_it(traces: Traces) -> None:
    async with listening() as (other, _), serving(trying(other.url)) as site:
        await visit(site.url)
        assert_tried(other)


async def test_a_name_that_changes_its_address_before_the_browser_starts_leads_nobody_inward(
    traces: Traces, internet: Internet
) -> None:
    async def answer(connection: Connection, got: Got) -> None:
        internet.names["shop.example"] = ["127.0.0.1"]
        await connection.send(reply(WPAICG_PAGE.format(nonce="")))  # its scripts might make a nonce

    async with listening() as (hidden, _), serving(answer) as site:
        internet.names["shop.example"] = [SHOP]
        internet.ports |= {(SHOP, 80): site.port, ("127.0.0.1", 80): hidden.port}
        error = await failure("http://shop.example/")
        assert hidden.connections == 0
    assert error.code == "http_error"
    assert "further inside this network" in error.message


async def test_what_the_caller_gave_stays_at_its_port(traces: Traces, tmp_path: Path) -> None:
    secrets = {
        "Authorization": "Bearer secret-1",
        "Cookie": "login=secret-2; a=secret-3",
        "X-Key": "secret-4",
    }
    async with listening() as (other, _), serving(trying(other.url, {"Set-Cookie": "own=1"})) as site:
        async with client_of(site.url, strategy="browser", headers=secrets, state_dir=tmp_path) as client:
            await client.ask("Hello")
        assert_tried(other)
        assert not any("secret" in repr(got) for got in other.got)
        page = next(got for got in site.got if got.path == "/")
        message = next(got for got in site.got if got.is_message)
        assert all(f"secret-{number}" in repr(page) for number in (1, 2, 3, 4))
        assert set(message.headers["cookie"].split("; ")) == {"login=secret-2", "a=secret-3", "own=1"}
    kept = written_to(tmp_path)
    assert b"own" in kept
    assert b"secret" not in kept


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "inner.example"])
async def test_a_public_page_reaches_nothing_of_this_machine(
    traces: Traces, internet: Internet, host: str
) -> None:
    async with listening() as (hidden, datagrams):
        async with serving(trying(f"http://{host}:{hidden.port}")) as site:
            internet.names |= {"shop.example": [SHOP], "inner.example": ["127.0.0.1"]}
            internet.ports[SHOP, 80] = site.port
            await visit("http://shop.example/")
        assert set(internet.dialled) == {SHOP}
        assert_unreached(hidden, datagrams)


@pytest.mark.parametrize("through", [http_proxy, socks5_proxy])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nor_does_one_behind_a_proxy(
    traces: Traces, internet: Internet, host: str, through: Callable[[], AbstractAsyncContextManager[Proxy]]
) -> None:
    async with listening() as (hidden, datagrams), through() as proxy:
        async with serving(trying(f"http://{host}:{hidden.port}")) as site:
            internet.names["shop.example"] = [SHOP]
            internet.ports[SHOP, 80] = site.port
            await visit("http://shop.example/", proxy.url)
        assert proxy.targets
        assert all("shop.example" in target for target in proxy.targets)
        assert_unreached(hidden, datagrams)


async def test_a_replayed_page_reaches_nothing_but_the_replay(traces: Traces, internet: Internet) -> None:
    async with listening() as (hidden, datagrams):
        ports: dict[str, str] = {}
        async with serving(trying(hidden.url, ports)) as site:
            ports[REPLAY_PORTS] = str(site.port)
            await visit(site.url)
        assert_unreached(hidden, datagrams)


@pytest.mark.parametrize("place", ["http://93.184.216.34", "http://evil.example", "http://[::1]:80"])
async def test_a_replayed_page_reaches_nothing_of_the_net(
    traces: Traces, internet: Internet, place: str
) -> None:
    internet.names["evil.example"] = [SHOP]
    ports: dict[str, str] = {}
    async with serving(trying(place, ports)) as site:
        ports[REPLAY_PORTS] = str(site.port)
        await visit(site.url)
    assert set(internet.dialled) == {"127.0.0.1"}
