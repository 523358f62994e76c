"""A page of the public net may not reach into this machine or its network."""

from __future__ import annotations

import asyncio
import os

import pytest

from chatgptt.protocols.addresses import Space, space_of
from chatgptt.tokens.gate import Gate

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


async def ask(gate: Gate, host: str, port: int) -> int:
    """The gate's reply to a request for a connection: 0 is granted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", await gate.open())
    try:
        writer.write(b"\x05\x01\x00\x05\x01\x00\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2))
        assert await reader.readexactly(2) == b"\x05\x00"
        return (await reader.readexactly(10))[1]
    finally:
        writer.close()
        await gate.close()


@pytest.mark.parametrize(
    ("home", "host", "reply"),
    [
        ("127.0.0.1", "127.0.0.1", 0),
        ("127.0.0.1", "localhost", 0),
        ("localhost", "127.0.0.1", 0),
        ("10.0.0.1", "localhost", 2),
        ("93.184.216.34", "127.0.0.1", 2),
        ("93.184.216.34", "localhost", 2),
        ("93.184.216.34", "10.0.0.1", 2),
        ("no-such-host.invalid", "127.0.0.1", 2),
    ],
)
async def test_what_a_site_may_connect_to(home: str, host: str, reply: int) -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    gate = Gate()
    gate.admit(home)
    assert await ask(gate, host, server.sockets[0].getsockname()[1]) == reply
    server.close()


async def test_a_gate_that_is_left_while_it_opens_leaves_no_socket() -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    turn, is_open = 0, False
    while not is_open:  # until it opens within so many turns of the event loop
        gate = Gate()
        opening = asyncio.ensure_future(gate.open())
        for _ in range(turn):
            await asyncio.sleep(0)
        is_open = opening.done()
        opening.cancel()
        await asyncio.wait((opening,))
        await gate.close()
        turn += 1
    assert turn > 1
    assert len(os.listdir("/proc/self/fd")) == open_before
