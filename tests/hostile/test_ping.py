"""Where a dead-man's switch may lead, and that it never changes what a check found."""

from __future__ import annotations

import logging

import pytest
from faults import Answer, Connection, Got, Server, reply, serving
from hostile.internet import Internet

from chatgptt.health.ping import ping

pytestmark = pytest.mark.anyio


async def no_wait(seconds: float) -> None:
    pass


def leading_to(location: str, *, once: bool = True) -> Answer:
    """Redirects the first request, or each one."""

    async def answer(connection: Connection, got: Got) -> bool:
        is_first = got.target.startswith("/s3cret")
        leads = is_first or not once
        head = {"Location": location} if leads else {}
        await connection.send(reply("", status=302 if leads else 200, headers=head))
        return True

    return answer


async def called(server: Server, path: str = "/s3cret") -> bool:
    return await ping(f"{server.url}{path}", is_working=True, sleep=no_wait)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "gopher://127.0.0.1:9/",
        "javascript:alert(1)",
        "http://",
        "http:///x",
        "//",
        "http://[::1/",
        "http://a b/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://\u2100.example/",
        "http://xn--a/",
        "http://" + "a" * 70 + ".example/",
        "http://ada:s3cret@[/",
    ],
)
async def test_a_switch_that_redirects_to_an_odd_address_is_a_warning(
    location: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(leading_to(location)) as server:
        assert await called(server) is False
    (record,) = [record for record in caplog.records if record.name == "chatgptt.health"]
    assert record.levelno == logging.WARNING
    assert "s3cret" not in record.getMessage()


async def test_a_redirect_within_the_rules_is_followed() -> None:
    async with serving(leading_to("/there")) as server:
        assert await called(server) is True
        assert [got.target for got in server.got] == ["/s3cret", "/there"]


async def test_a_circle_ends() -> None:
    async with serving(leading_to("/s3cret", once=False)) as server:
        assert await called(server) is False
        assert len(server.got) == 6


async def test_a_login_in_a_redirect_is_not_used() -> None:
    async with serving(leading_to("/there")) as elsewhere:
        host = elsewhere.url.removeprefix("http://")
        async with serving(leading_to(f"http://ada:pw@{host}/there")) as server:
            url = server.url.replace("//", "//eve:own@")
            assert await ping(f"{url}/s3cret", is_working=True, sleep=no_wait) is True
            assert "authorization" in server.got[0].headers
        assert "authorization" not in elsewhere.got[0].headers


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "10.0.0.7", "169.254.169.254", "192.168.1.1", "[::1]", "[::ffff:127.0.0.1]",
        "2130706433", "0x7f.1", "inside.example", "printer.local",
    ],
)  # fmt: skip
async def test_a_switch_leads_no_further_in_than_it_is(
    host: str, internet: Internet, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(leading_to(f"http://{host}/there")) as server:
        port = int(server.url.rpartition(":")[2])
        internet.names = {"switch.example": ["93.184.216.34"], "inside.example": ["10.0.0.7"]}
        internet.ports = {("93.184.216.34", 80): port, ("10.0.0.7", 80): port}
        assert await ping("http://switch.example/s3cret", is_working=True, sleep=no_wait) is False
        assert [got.target for got in server.got] == ["/s3cret"]
    assert "further into this network" in caplog.text


async def test_one_public_switch_may_lead_to_another(internet: Internet) -> None:
    async with serving(leading_to("http://other.example/there")) as server:
        port = int(server.url.rpartition(":")[2])
        internet.names = {"switch.example": ["93.184.216.34"], "other.example": ["93.184.216.35"]}
        internet.ports = {("93.184.216.34", 80): port, ("93.184.216.35", 80): port}
        assert await ping("http://switch.example/s3cret", is_working=True, sleep=no_wait) is True
