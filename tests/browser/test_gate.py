"""A page of the public net may not reach into this machine or its network, and nobody else uses its gate."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from faults import Answer, Connection, Got, always, reply, serving

from chatgptt.browser.proxy_gate import ProxyGate
from chatgptt.net.proxies import Proxy
from chatgptt.net.reach import REPLAY_PORTS, Reach
from chatgptt.protocols.address_spaces import Space, space_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("address", "space"),
    [
        ("127.0.0.1", Space.LOOPBACK),
        ("127.9.9.9", Space.LOOPBACK),
        ("0.0.0.0", Space.LOOPBACK),
        ("::1", Space.LOOPBACK),
        ("::ffff:127.0.0.1", Space.LOOPBACK),
        ("64:ff9b::7f00:1", Space.LOOPBACK),
        ("10.1.2.3", Space.PRIVATE),
        ("192.168.0.1", Space.PRIVATE),
        ("172.16.0.1", Space.PRIVATE),
        ("169.254.169.254", Space.PRIVATE),
        ("100.64.0.1", Space.PRIVATE),
        ("fd00::1", Space.PRIVATE),
        ("fe80::1%eth0", Space.PRIVATE),
        ("224.0.0.1", Space.PRIVATE),
        ("93.184.216.34", Space.PUBLIC),
        ("2606:2800:220:1::1", Space.PUBLIC),
        ("nonsense", Space.LOOPBACK),
    ],
)
def test_how_far_out_an_address_lies(address: str, space: Space) -> None:
    assert space_of(address) is space


@asynccontextmanager
async def opened(reach: Reach, upstream: str = "") -> AsyncIterator[tuple[ProxyGate, int]]:
    """A gate, and its port."""
    gate = ProxyGate(Proxy(url=upstream) if upstream else None)
    gate.admit(reach)
    try:
        yield gate, gate.open()
    finally:
        await gate.close()


async def say(port: int, *lines: str, login: tuple[str, str] | None) -> bytes:
    """What a gate answers to one request, or to anything else that is said to it: of a tunnel the head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        own = [f"Proxy-Authorization: Basic {b64encode(':'.join(login).encode()).decode()}"] if login else []
        writer.write("\r\n".join([*lines, *own, "", ""]).encode())
        return await (reader.readuntil(b"\r\n\r\n") if "CONNECT" in lines[0] else reader.read())
    finally:
        writer.close()


def once(data: bytes) -> Answer:
    """Answers, and closes the connection."""

    async def answer(connection: Connection, got: Got) -> None:
        await connection.send(data)

    return answer


@pytest.mark.parametrize(
    ("home", "host", "is_granted"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("localhost", "127.0.0.1", True),
        ("10.0.0.1", "localhost", False),
        ("93.184.216.34", "127.0.0.1", False),
        ("93.184.216.34", "localhost", False),
        ("93.184.216.34", "10.0.0.1", False),
        ("93.184.216.34", "[::1]", False),
        ("93.184.216.34", "2130706433", False),
        ("no-such-host.invalid", "127.0.0.1", False),
    ],
)
async def test_what_a_site_may_connect_to(home: str, host: str, is_granted: bool) -> None:
    async with serving(once(reply("Hello"))) as server, opened(Reach(home)) as (gate, port):
        tunnel = await say(port, f"CONNECT {host}:{server.port} HTTP/1.1", login=gate.login)
        assert tunnel.startswith(b"HTTP/1.1 200" if is_granted else b"HTTP/1.1 502")
        plain = await say(port, f"GET http://{host}:{server.port}/ HTTP/1.1", login=gate.login)
        assert plain.endswith(b"Hello") if is_granted else plain == b""
        assert bool(server.got) == is_granted


@pytest.mark.parametrize("login", [None, ("chatgptt", ""), ("", ""), ("chatgptt", "x" * 32)])
async def test_a_stranger_who_finds_the_gate_gets_nothing_through(login: tuple[str, str] | None) -> None:
    async with serving(once(reply("Hello"))) as server, opened(Reach("127.0.0.1")) as (_, port):
        for line in (
            f"CONNECT 127.0.0.1:{server.port} HTTP/1.1",
            f"GET http://127.0.0.1:{server.port}/ HTTP/1.1",
            f"POST http://127.0.0.1:{server.port}/ HTTP/1.1",
        ):
            assert (await say(port, line, login=login)).startswith(b"HTTP/1.1 407 ")
        assert await say(port, "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", login=login) == b""
        assert server.connections == 0


async def test_the_login_of_one_gate_is_of_no_use_at_another() -> None:
    async with opened(Reach("127.0.0.1")) as (one, _), opened(Reach("127.0.0.1")) as (_, port):
        answer = await say(port, "CONNECT 127.0.0.1:1 HTTP/1.1", login=one.login)
        assert answer.startswith(b"HTTP/1.1 407 ")


async def test_a_second_request_on_a_connection_is_judged_like_the_first() -> None:
    async with serving(always(reply("Hello"))) as server, opened(Reach("127.0.0.1")) as (gate, port):
        login = b64encode(":".join(gate.login).encode()).decode()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(
                f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: a\r\n"
                f"Proxy-Authorization: Basic {login}\r\n\r\n".encode()
            )
            assert (await reader.readuntil(b"Hello")).startswith(b"HTTP/1.1 200 ")
        assert (len(server.got), server.connections) == (2, 1)
        writer.write(f"GET http://127.0.0.1:{server.port}/ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 407 ")
        writer.close()
        assert len(server.got) == 2


async def test_the_sites_server_is_told_nothing_of_the_gate() -> None:
    async with serving(once(reply("Hello"))) as server, opened(Reach("127.0.0.1")) as (gate, port):
        lines = (f"GET http://127.0.0.1:{server.port}/a?b=/c HTTP/1.1", "Host: a", "Proxy-Connection: close")
        await say(port, *lines, login=gate.login)
    assert server.got[0].target == "/a?b=/c"
    assert dict(server.got[0].headers) == {"host": "a", "connection": "close"}


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "printer.local", "10.0.0.1"]
)
async def test_in_front_of_a_proxy_an_address_is_refused_by_itself(host: str) -> None:
    async with serving(once(reply("Hello"))) as proxy:
        async with opened(Reach("shop.example"), proxy.url) as (gate, port):
            tunnel = await say(port, f"CONNECT {host}:443 HTTP/1.1", login=gate.login)
            assert tunnel.startswith(b"HTTP/1.1 502 ")
            assert await say(port, f"GET http://{host}/ HTTP/1.1", login=gate.login) == b""
        assert proxy.connections == 0


async def test_a_proxy_gets_its_own_login_and_not_the_gates() -> None:
    async with serving(once(reply("Hello"))) as proxy:
        url = proxy.url.replace("//", "//ada:p%40ss@")
        async with opened(Reach("shop.example"), url) as (gate, port):
            answer = await say(port, "GET http://shop.example/a HTTP/1.1", login=gate.login)
    assert answer.endswith(b"Hello")
    assert proxy.got[0].target == "http://shop.example/a"
    assert proxy.got[0].headers["proxy-authorization"] == f"Basic {b64encode(b'ada:p@ss').decode()}"


async def test_a_proxy_is_spoken_to_in_tls_where_it_wants_that(authority: trustme.CA) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with (
        serving(once(reply("Hello")), tls=tls) as proxy,
        opened(Reach("shop.example"), proxy.url) as (gate, port),
    ):
        answer = await say(port, "GET http://shop.example/ HTTP/1.1", login=gate.login)
    assert answer.endswith(b"Hello")


async def test_a_proxy_that_refuses_the_login_is_named() -> None:
    asking = reply("", status=407, headers={"Proxy-Authenticate": "Basic realm=x"})
    async with serving(once(asking)) as proxy, opened(Reach("shop.example"), proxy.url) as (gate, port):
        for line in ("CONNECT shop.example:443 HTTP/1.1", "GET http://shop.example/ HTTP/1.1"):
            answer = await say(port, line, login=gate.login)
            assert not answer.startswith(b"HTTP/1.1 407")
            error = gate.failures.pop("shop.example")
            assert error.code == "connect_error"
            assert "the proxy refused the login" in error.message


async def test_a_replay_leads_to_its_own_ports_alone() -> None:
    async with serving(once(reply("Hidden"))) as hidden, serving(once(reply("Own"))) as own:

        async def page(connection: Connection, got: Got) -> None:
            await connection.send(reply("Page", headers={REPLAY_PORTS: f"{own.port} {home.port}"}))

        async with serving(page) as home, opened(Reach("127.0.0.1")) as (gate, port):

            async def get(host: str, to: int) -> bytes:
                return await say(port, f"GET http://{host}:{to}/ HTTP/1.1", login=gate.login)

            assert (await get("127.0.0.1", home.port)).endswith(b"Page")
            assert (await get("127.0.0.1", own.port)).endswith(b"Own")
            assert (await get("localhost", own.port)).endswith(b"Own")
            for host, to in (
                ("127.0.0.1", hidden.port),
                ("localhost", hidden.port),
                ("127.0.0.2", own.port),
                ("[::1]", own.port),
                ("93.184.216.34", own.port),
                ("no-such-host.invalid", own.port),
            ):
                assert await get(host, to) == b""
            assert (
                "no part of the replayed case" in gate.failures["no-such-host.invalid"].message
            )  # it was not looked up
            assert (len(own.got), hidden.connections) == (2, 0)


async def test_a_public_site_gains_nothing_by_calling_itself_a_replay() -> None:
    reach = Reach("shop.example")
    reach.note_reply("shop.example", {REPLAY_PORTS: "80"})
    async with serving(once(reply("Hidden"))) as hidden, opened(reach) as (gate, port):
        assert await say(port, f"GET http://127.0.0.1:{hidden.port}/ HTTP/1.1", login=gate.login) == b""
        assert hidden.connections == 0
