"""A page decides neither where its visitor connects nor what is told there about him.

`shop.example` is a site of the public net, `hidden` a server of this machine that no such site may reach.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from asking import QUICK, client_of, failure, outcome
from asking import answer as reply_of
from faults import (
    AIPKIT_PAGE,
    ANSWER,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    Server,
    always,
    reply,
    serving,
    stream_reply,
)
from hostile.internet import Internet

from chatgptt import AsyncClient, ChatGpttError, Reply
from chatgptt.protocols.address_spaces import Space, space_of, space_of_name

pytestmark = pytest.mark.anyio

SHOP = "93.184.216.34"
OTHER = "93.184.216.99"
PAGE = WPAICG_PAGE.format(nonce=NONCE)


@asynccontextmanager
async def shop(net: Internet, answer: Answer, *, address: str = SHOP) -> AsyncIterator[Server]:
    """`http://shop.example/`, and all of its names."""
    async with serving(answer) as server:
        net.names["shop.example"] = [address]
        net.ports[address, 80] = server.port
        yield server


def leads(target: str, *, status: int = 302) -> Answer:
    """A page that redirects, and a message that is answered."""

    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(
            stream_reply() if got.is_message else reply("", status=status, headers={"Location": target})
        )
        return True

    return answer


HIDDEN_PAGE = reply(PAGE)

SPELLINGS = (
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0.0.0.0",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "localhost",
    "LOCALHOST.",
    "hidden.example",
    "mixed.example",
)
NO_ADDRESSES = ("0177.0.0.1", "LOCALHOST.")
"""What httpx takes for no address at all, and what some resolvers do not know."""

PRIVATE = (
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "100.64.0.1",
    "224.0.0.1",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[::ffff:10.0.0.1]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a00:1::]",
    "metadata.example",
)


def hide(net: Internet) -> None:
    net.names["hidden.example"] = ["127.0.0.1"]
    net.names["mixed.example"] = [OTHER, "127.0.0.1"]
    net.names["metadata.example"] = ["169.254.169.254"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("host", [*SPELLINGS, *PRIVATE])
async def test_a_public_site_redirects_nobody_inward(internet: Internet, host: str, status: int) -> None:
    hide(internet)
    async with serving(always(HIDDEN_PAGE)) as hidden:
        port = hidden.port if host in SPELLINGS else 80
        target = f"http://{host}:{port}/latest/meta-data/"
        async with shop(internet, leads(target, status=status)) as site:
            error = await failure("http://shop.example/", strategy="static")
        if host in NO_ADDRESSES:
            assert error.code in ("connect_error", "dns_error", "http_error")
        else:
            assert (error.code, site.counts) == ("http_error", (1, 0))
            assert "further inside this network" in error.message
        assert set(internet.dialled) == {SHOP}
        assert hidden.connections == 0


async def test_a_second_hop_is_judged_like_the_first(internet: Internet) -> None:
    internet.names["www.shop.example"] = [OTHER]
    async with serving(always(HIDDEN_PAGE)) as hidden, serving(leads(hidden.url)) as further:
        internet.ports[OTHER, 80] = further.port
        async with shop(internet, leads("http://www.shop.example/")):
            assert (await failure("http://shop.example/", strategy="static")).code == "http_error"
        assert (further.counts, hidden.connections) == ((1, 0), 0)


@pytest.mark.parametrize(
    "place", ["moved script", "unknown page", "nonce action", "message of 1.x", "message of 2.x"]
)
async def test_nothing_else_of_a_public_site_leads_inward(internet: Internet, place: str) -> None:
    internet.names["in.shop.example"] = ["127.0.0.1"]  # of the same site, by its name
    inward = "http://in.shop.example"
    html = {
        "moved script": WPAICG_PAGE.format(nonce="") + f'<script src="{inward}/all.js"></script>',
        "unknown page": WPAICG_PAGE.format(nonce=""),
        "nonce action": aipkit_page(f"{inward}/wp-admin/admin-ajax.php", nonce=""),
        "message of 1.x": PAGE
        + f'<script>var wpaicgParams = {{"ajax_url":"{inward}/wp-admin/admin-ajax.php"}};</script>',
        "message of 2.x": aipkit_page(f"{inward}/wp-admin/admin-ajax.php"),
    }[place]

    async def answer(connection: Connection, got: Got) -> bool:
        is_probe = got.path not in ("/", "/wp-admin/admin-ajax.php")
        await connection.send(reply(html, status=302 if is_probe else 200, headers={"Location": inward}))
        return True

    async with serving(always(HIDDEN_PAGE)) as hidden, shop(internet, answer):
        internet.ports["127.0.0.1", 80] = hidden.port
        error = await failure("http://shop.example/", strategy="static")
        assert hidden.connections == 0
    assert set(internet.dialled) == {SHOP}
    assert error.code == ("http_error" if place.startswith("message") else "tokens_missing")
    told = [error.message, *(finding.saw for finding in error.findings)]
    assert any("further inside this network" in words for words in told)


def aipkit_page(ajax_url: str, *, nonce: str = NONCE) -> str:
    return AIPKIT_PAGE.format(nonce=nonce).replace(
        "{&quot;", f"{{&quot;ajaxUrl&quot;:&quot;{ajax_url}&quot;,&quot;", 1
    )


async def test_a_name_that_changes_its_address_leads_nobody_inward(internet: Internet) -> None:
    async def answer(connection: Connection, got: Got) -> None:
        await connection.send(reply(PAGE))  # and closes, so that the message needs a connection of its own

    async with serving(always(HIDDEN_PAGE)) as hidden, shop(internet, answer) as site:
        async with client_of("http://shop.example/", strategy="static") as client:
            await client.find_boxes()
            internet.names["shop.example"] = ["127.0.0.1"]
            internet.ports["127.0.0.1", 80] = hidden.port
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("Hello")
        assert (caught.value.code, site.counts, hidden.got) == ("http_error", (1, 0), [])


@pytest.mark.parametrize(
    "target",
    [
        "file:///etc/passwd",
        "ftp://shop.example/",
        "javascript:alert(1)",
        "data:text/html,<p>a</p>",
        "gopher://shop.example/",
        "ws://shop.example/",
        "mailto:a@shop.example",
        "http://",
        "http:///path",
        "http://[",
        "http://a b/",
        "http://shop.example:99999/",
        "\x01",
        "//",
    ],
)
async def test_a_redirect_that_leads_to_no_page_is_named(internet: Internet, target: str) -> None:
    async with shop(internet, leads(target)) as site:
        error = await failure("http://shop.example/", strategy="static")
    assert error.code in ("http_error", "connect_error", "dns_error")
    assert set(internet.dialled) == {SHOP}
    assert site.counts[1] == 0


# What works


@pytest.mark.parametrize(
    ("home", "home_address", "target", "target_address"),
    [
        ("localhost", "127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "localhost", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("wiki.example", "10.0.0.1", "10.0.0.2", "10.0.0.2"),
        ("wiki.example", "10.0.0.1", "shop.example", SHOP),
        ("shop.example", SHOP, "www.shop.example", OTHER),
        ("shop.example", SHOP, "elsewhere.example", OTHER),
        ("shop.example", SHOP, OTHER, OTHER),
    ],
)
async def test_a_page_leads_outward_and_sideways(
    internet: Internet, home: str, home_address: str, target: str, target_address: str
) -> None:
    internet.names = {"localhost": ["127.0.0.1"], home: [home_address], target: [target_address]}
    async with serving(always(stream_reply(ANSWER))) as there, serving(leads(f"http://{target}:81/")) as here:
        internet.ports[home_address, 80], internet.ports[target_address, 81] = here.port, there.port
        error = await failure(f"http://{home}/", strategy="static")
        assert (error.code, here.counts, there.counts) == ("http_error", (1, 0), (1, 0))
        assert "text/event-stream" in error.message  # it is what was there, and no refusal


async def test_what_the_caller_named_may_be_anywhere(internet: Internet) -> None:
    async with serving(always(stream_reply())) as inside, shop(internet, always(reply(PAGE))):
        async with AsyncClient(
            "http://shop.example/",
            ajax_url=f"{inside.url}/wp-admin/admin-ajax.php",
            strategy="static",
            state_dir=None,
        ) as client:
            assert (await client.ask("Hello")).text == "Hi there"
        assert inside.counts == (0, 1)


# Behind a proxy


@pytest.mark.parametrize("host", [host for host in (*SPELLINGS, *PRIVATE) if not host.endswith(".example")])
async def test_behind_a_proxy_an_address_is_refused_by_itself(host: str) -> None:
    async with serving(leads(f"http://{host}/")) as proxy:
        error = await failure("http://shop.example/", strategy="static", proxy=proxy.url)
        assert error.code == ("connect_error" if host == "0177.0.0.1" else "http_error")
        assert {got.target for got in proxy.got} == {"http://shop.example/"}


@pytest.mark.parametrize("host", ["printer.local", "metadata.google.internal", "nas.lan", "app.localhost"])
async def test_behind_a_proxy_names_that_say_it_are_refused(host: str) -> None:
    async with serving(leads(f"http://{host}/")) as proxy:
        assert (
            await failure("http://shop.example/", strategy="static", proxy=proxy.url)
        ).code == "http_error"
        assert len(proxy.got) == 1


async def test_behind_a_proxy_other_names_are_the_proxys_to_judge() -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        is_home = got.target == "http://shop.example/"
        await connection.send(
            reply("", status=302, headers={"Location": "http://hidden.example/"}) if is_home else reply("No.")
        )
        return True

    async with serving(answer) as proxy:
        assert (
            await failure("http://shop.example/", strategy="static", proxy=proxy.url)
        ).code == "no_chat_box"
        assert [got.target for got in proxy.got] == ["http://shop.example/", "http://hidden.example/"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "10.0.0.1"])
async def test_a_client_that_was_handed_in_is_held_to_it_too(internet: Internet, host: str) -> None:
    async with serving(always(HIDDEN_PAGE)) as hidden, shop(internet, leads(f"http://{host}:{hidden.port}/")):
        async with httpx.AsyncClient() as http:
            error = await failure("http://shop.example/", strategy="static", http_client=http)
        assert (error.code, hidden.connections) == ("http_error", 0)


@pytest.mark.parametrize(
    ("address", "space"),
    [
        ("::127.0.0.1", Space.LOOPBACK),
        ("2002:7f00:1::", Space.LOOPBACK),
        ("::ffff:169.254.169.254", Space.PRIVATE),
        ("255.255.255.255", Space.PRIVATE),
        ("192.0.2.1", Space.PRIVATE),
        ("8.8.8.8", Space.PUBLIC),
    ],
)
def test_how_far_out_an_address_lies(address: str, space: Space) -> None:
    assert space_of(address) is space


@pytest.mark.parametrize(
    ("host", "space"),
    [
        ("256.1.1.1", Space.LOOPBACK),
        ("1.2.3.4.5", Space.PUBLIC),
        ("09.1.1.1", Space.LOOPBACK),
        ("134744072", Space.PUBLIC),
        ("8.8.2056", Space.PUBLIC),
        ("9" * 5000, Space.LOOPBACK),
        ("shop.example", Space.PUBLIC),
        ("127.0.0.1.example", Space.PUBLIC),
        ("", Space.LOOPBACK),
    ],
)
def test_what_a_host_says_by_itself(host: str, space: Space) -> None:
    assert space_of_name(host) is space


# An endpoint elsewhere

ELSEWHERE = (
    "http://evil.example/wp-admin/admin-ajax.php",
    "https://shop.example.evil.example/wp-admin/admin-ajax.php",
    "http://shop.example:8080/wp-admin/admin-ajax.php",
    "//evil.example/wp-admin/admin-ajax.php",
    "http://shop.example@evil.example/wp-admin/admin-ajax.php",
    "http://evilshop.example/wp-admin/admin-ajax.php",
    "http://example/wp-admin/admin-ajax.php",
    "file:///wp-admin/admin-ajax.php",
    "ftp://shop.example/wp-admin/admin-ajax.php",
    "javascript:/wp-admin/admin-ajax.php",
    "data:,/wp-admin/admin-ajax.php",
    "http://127.0.0.1/wp-admin/admin-ajax.php",
    "http://[::1]/wp-admin/admin-ajax.php",
    "http://[",
)


@pytest.mark.parametrize("generation", ["1.x", "2.x"])
@pytest.mark.parametrize("url", ELSEWHERE)
async def test_a_message_goes_to_no_endpoint_elsewhere(internet: Internet, url: str, generation: str) -> None:
    named = json.dumps(url)
    if generation == "1.x":
        html = f'{PAGE}<script>var wpaicgParams = {{"ajax_url":{named}}};</script>'
    else:
        html = aipkit_page(url)

    async def answer(connection: Connection, got: Got) -> bool:
        body = got.body.decode()
        if "aipkit_cache" in body:
            await connection.send(
                reply('{"success":true,"data":{"cache_key":"aipkit_sse_1"}}', kind="application/json")
            )
        elif "aipkit_frontend" in got.target:
            await connection.send(
                stream_reply(b'data: {"delta":"Hi there"}\n\nevent: done\ndata: {"finished":true}\n\n')
            )
        else:
            await connection.send(stream_reply() if got.is_message else reply(html))
        return True

    for name in ("evil.example", "shop.example.evil.example", "evilshop.example", "example"):
        internet.names[name] = [OTHER]
    async with shop(internet, answer) as site:
        result = await outcome("http://shop.example/", strategy="static")
        assert set(internet.dialled) == {SHOP}
        is_address = url.startswith(("http", "//")) and url != "http://["
        assert sum(got.is_message for got in site.got) == (0 if is_address else 1)
    if is_address:
        assert isinstance(result, ChatGpttError)
        assert (result.code, "another site" in result.message) == ("no_chat_box", True)
    else:
        assert isinstance(result, Reply)


# Who somebody is

SECRET_HEADERS = {"Authorization": "Bearer secret-1", "Cookie": "login=secret-2", "X-Api-Key": "secret-3"}


def told(got: Got) -> str:
    return f"{got.target} {dict(got.headers)} {got.body!r}"


@pytest.mark.parametrize("status", [302, 307])
async def test_what_says_who_somebody_is_stays_at_home(internet: Internet, status: int) -> None:
    internet.names["elsewhere.example"] = [OTHER]
    async with (
        serving(always(reply("No."))) as there,
        shop(internet, leads("http://elsewhere.example/", status=status)) as here,
    ):
        internet.ports[OTHER, 80] = there.port
        await failure("http://shop.example/", strategy="static", headers=SECRET_HEADERS)
        await failure("http://ada:secret-4@shop.example/", strategy="static")
    assert all(f"secret-{number}" in told(here.got[0]) for number in (1, 2, 3))
    assert "authorization" in here.got[1].headers
    assert there.counts == (2, 0)
    for got in there.got:
        assert "secret" not in told(got)
        assert not got.headers.keys() & {"authorization", "cookie", "x-api-key", "referer"}


async def test_what_says_who_somebody_is_stays_at_its_port() -> None:
    async with serving(always(reply("No."))) as there, serving(leads(f"{there.url}/")) as here:
        await failure(here.url, strategy="static", headers=SECRET_HEADERS)
        await failure(here.url.replace("//", "//ada:secret-4@"), strategy="static")
    assert all(f"secret-{number}" in told(here.got[0]) for number in (1, 2, 3))
    assert there.counts == (2, 0)
    for got in there.got:
        assert "secret" not in told(got)
        assert not got.headers.keys() & {"authorization", "cookie", "x-api-key", "referer"}


async def test_what_a_client_that_was_handed_in_knows_stays_at_home(internet: Internet) -> None:
    internet.names["elsewhere.example"] = [OTHER]
    async with (
        serving(always(reply("No."))) as there,
        shop(internet, leads("http://elsewhere.example/")) as here,
    ):
        internet.ports[OTHER, 80] = there.port
        for options in (
            httpx.AsyncClient(auth=("ada", "secret-1"), headers={"X-Api-Key": "secret-2"}),
            httpx.AsyncClient(cookies={"login": "secret-3"}, headers={"Authorization": "Bearer secret-4"}),
        ):
            async with options as http:
                await failure("http://shop.example/", strategy="static", http_client=http)
    assert "authorization" in here.got[0].headers
    assert "secret-2" in told(here.got[0])
    assert "secret-3" in told(here.got[1])
    assert there.counts == (2, 0)
    for got in there.got:
        assert "secret" not in told(got)
        assert not got.headers.keys() & {"authorization", "cookie", "x-api-key"}


async def test_what_was_given_for_https_is_not_sent_in_the_clear(
    internet: Internet, authority: trustme.CA
) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("shop.example").configure_cert(tls)
    async with (
        serving(leads("http://shop.example/"), tls=tls) as safe,
        shop(internet, always(reply("No."))) as clear,
    ):
        internet.ports[SHOP, 443] = safe.port
        error = await failure("https://shop.example/", strategy="static", headers=SECRET_HEADERS)
        await failure("https://ada:secret-4@shop.example/", strategy="static")
        assert error.code == "no_chat_box"
    assert all(f"secret-{number}" in told(safe.got[0]) for number in (1, 2, 3))
    assert clear.counts == (2, 0)
    assert not any("secret" in told(got) or "authorization" in got.headers for got in clear.got)


async def test_a_proxys_login_is_for_the_proxy_alone() -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(stream_reply() if got.is_message else reply(PAGE))
        return True

    async with serving(answer) as proxy:
        url = proxy.url.replace("//", "//ada:secret@")
        assert (await answer_of_with_proxy("http://shop.example/", url)) == "Hi there"
        assert all("proxy-authorization" in got.headers for got in proxy.got)
        assert not any("secret" in told(got) for got in proxy.got)
        error = await failure(
            "http://shop.example:1/", strategy="static", proxy="http://ada:secret@127.0.0.1:1"
        )
        assert "secret" not in repr(error.as_dict())


async def answer_of_with_proxy(page: str, proxy: str) -> str:
    return (await reply_of(page, strategy="static", proxy=proxy)).text


# Cookies

COOKIES = {
    "good=1": True,
    "path=1; Path=/": True,
    "own=1; Domain=shop.example": True,
    "dotted=1; Domain=.shop.example": True,
    "top=1; Domain=example": False,
    "top=1; Domain=.example": False,
    "com=1; Domain=com": False,
    "foreign=1; Domain=elsewhere.example": False,
    "foreign=1; Domain=.elsewhere.example": False,
    "below=1; Domain=www.shop.example": False,
    "local=1; Domain=localhost": False,
    "address=1; Domain=93.184.216.34": False,
    "folder=1; Path=/elsewhere": False,
    "secure=1; Secure": False,
    "control=a\x01b": False,
    "escape=\x1b[2Jb": False,
    "na\x7fme=1": False,
}


@pytest.mark.parametrize("cookie", COOKIES)
async def test_which_cookies_of_a_page_come_back(internet: Internet, tmp_path: Path, cookie: str) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(
            stream_reply() if got.is_message else reply(PAGE, headers={"Set-Cookie": cookie})
        )
        return True

    name = cookie.partition("=")[0]
    async with shop(internet, answer) as site:
        for _ in range(2):  # in this process, and in one that reads what it left on disk
            async with AsyncClient(
                "http://shop.example/", state_dir=tmp_path, strategy="static", retry=QUICK
            ) as client:
                assert (await client.ask("Hello")).text == "Hi there"
        sent = [got.headers.get("cookie", "") for got in site.got if got.is_message]
    assert [f"{name}=" in pairs for pairs in sent] == [COOKIES[cookie]] * 2, sent


@pytest.mark.parametrize("domain", ["", "; Domain=shop.example", "; Domain=example"])
async def test_a_hop_elsewhere_sets_no_cookie_for_home(internet: Internet, domain: str) -> None:
    internet.names["elsewhere.example"] = [OTHER]
    back = reply(
        "", status=302, headers={"Location": "http://shop.example/chat/", "Set-Cookie": f"planted=1{domain}"}
    )

    async def answer(connection: Connection, got: Got) -> bool:
        there = reply("", status=302, headers={"Location": "http://elsewhere.example/"})
        await connection.send(stream_reply() if got.is_message else there if got.path == "/" else reply(PAGE))
        return True

    async with serving(always(back)) as elsewhere, shop(internet, answer) as site:
        internet.ports[OTHER, 80] = elsewhere.port
        assert (await reply_of("http://shop.example/", strategy="static")).text == "Hi there"
        assert elsewhere.counts == (1, 0)
        assert not any("planted" in got.headers.get("cookie", "") for got in site.got)
