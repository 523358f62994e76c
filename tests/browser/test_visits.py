"""The browser rung runs a page as the person's visit: with its cookies, its local storage and its user agent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import wire
from browser.processes import Traces
from faults import WPAICG_PAGE, Connection, Got, Server, reply, serving, stream_reply
from visits.samples import cookie, item, login_cookie, visit

from chatgptt import AsyncClient, ChatBoxNotFoundError, RefusedError
from chatgptt._models import StoredCookie
from chatgptt.visits.kept import find_visit, keep_visit

pytestmark = pytest.mark.anyio

NONCE = "ada0000001"
OK = stream_reply(wire.chunks("Hi ", "there") + wire.FINISH + wire.DONE)
BOX = json.dumps(WPAICG_PAGE.format(nonce=NONCE).partition("<div")[2])
PAGE = f"""<!doctype html><title>A</title><body><script>
if (localStorage.getItem("agreed") === "yes" && document.cookie === "seen=1") {{
    document.cookie = "renewed=by-script; path=/";
    document.body.innerHTML = "<div" + {BOX};
}}
// wpaicg-chat-shortcode
</script>"""
"""Makes a box for a visitor who has agreed, and whose login its scripts cannot read."""


@dataclass
class Site:
    server: Server

    @property
    def message(self) -> Got:
        return next(got for got in self.server.got if got.is_message)


@pytest.fixture
async def site(traces: Traces) -> AsyncIterator[Site]:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(OK if got.is_message else reply(PAGE))
        return True

    async with serving(answer) as server:
        yield Site(server)


def check_no_value_in_records(folder: Path) -> None:
    records = [path.read_text() for path in folder.glob("*.json")]
    assert records
    assert not any(value in record for record in records for value in ("s3cret", "by-script"))


@pytest.mark.parametrize("strategy", ["auto", "browser"])
async def test_the_page_runs_as_the_visit_and_what_it_renews_is_kept(
    strategy: str, site: Site, tmp_path: Path
) -> None:
    member = cookie("member", "s3cret", "127.0.0.1", is_http_only=True)
    agreed = item("agreed", "yes", site.server.url)
    seen = cookie("seen", "1", "127.0.0.1")
    keep_visit(tmp_path, visit(member, seen, site=site.server.url, storage=(agreed,)))
    async with AsyncClient(site.server.url, state_dir=tmp_path, strategy=strategy) as client:  # type: ignore[arg-type]
        reply = await client.ask("Hello")
    assert (reply.text, reply.tokens_from) == ("Hi there", "browser")
    assert {got.headers["user-agent"] for got in site.server.got} == {"Person/1.0"}
    assert set(site.message.headers["cookie"].split("; ")) == {"member=s3cret", "seen=1", "renewed=by-script"}
    kept = find_visit(tmp_path, site.server.url)
    assert kept is not None
    assert [(one.name, one.is_http_only) for one in kept.cookies] == [
        ("member", True),
        ("seen", False),
        ("renewed", False),
    ]
    check_no_value_in_records(tmp_path)


async def test_another_client_of_the_browser_has_nothing_of_the_visit(site: Site, tmp_path: Path) -> None:
    agreed, seen = item("agreed", "yes", site.server.url), cookie("seen", "1", "127.0.0.1")
    keep_visit(tmp_path, visit(seen, site=site.server.url, storage=(agreed,)))
    async with (
        AsyncClient(site.server.url, state_dir=tmp_path, strategy="browser") as member,
        AsyncClient(site.server.url, state_dir=tmp_path, strategy="browser", visit=False) as guest,
    ):
        assert [box.nonce for box in await member.find_boxes()] == [NONCE]
        before = len(site.server.got)
        with pytest.raises(ChatBoxNotFoundError):
            await guest.ask("Hello")
    assert not any("cookie" in got.headers for got in site.server.got[before:])


async def test_a_login_that_has_ended_opens_no_page(site: Site, tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(login_cookie("127.0.0.1", ends_at=1_700_000_000), site=site.server.url))
    async with AsyncClient(site.server.url, state_dir=tmp_path, strategy="browser") as client:
        with pytest.raises(RefusedError, match="has ended"):
            await client.ask("Hello")
    assert site.server.got == []


async def test_a_page_that_asks_a_member_to_log_in_is_a_login_that_has_ended(
    traces: Traces, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        form = reply('<title>Log in</title><form id="loginform"></form>')
        moved = reply("", status=302, headers={"Location": "/wp-login.php"})
        await connection.send(moved if got.path == "/" else form)
        return True

    async with serving(answer) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="browser") as client:
            with pytest.raises(RefusedError) as caught:
                await client.ask("Hello")
    assert "log in again" in caught.value.hint


MADE_BY_SCRIPT = f"""<!doctype html><title>A</title><body class="page-id-7 logged-in"><script>
document.body.innerHTML = "<div" + {BOX};
// wpaicg-chat-shortcode
</script>"""

TOO_LONG = f"/{'x' * 1030}"
"""Chromium sets no cookie with such a path, and none that is set together with it."""


@pytest.mark.parametrize("of_visit", [(), (cookie("odd", "1", "127.0.0.1", path=TOO_LONG),)])
@pytest.mark.parametrize("set_by_site", ["", f"odd=1; Path={TOO_LONG}", "odd=1; Secure; Path=/"])
async def test_a_cookie_that_chromium_refuses_is_left_out_alone(
    of_visit: tuple[StoredCookie, ...], set_by_site: str, traces: Traces, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        headers = {"Set-Cookie": set_by_site} if set_by_site else {}
        await connection.send(OK if got.is_message else reply(MADE_BY_SCRIPT, headers=headers))
        return True

    async with serving(answer) as server:
        if of_visit:
            keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), *of_visit, site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path) as client:
            assert (await client.ask("Hello")).tokens_from == "browser"
        if of_visit:
            assert all("wordpress_logged_in" in got.headers["cookie"] for got in server.got)


async def test_a_host_that_leads_to_its_other_spelling_gets_the_visits_cookies(
    traces: Traces, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        is_named = got.target.startswith("http://www.")
        moved = reply("", status=302, headers={"Location": "http://www.site.example/"})
        await connection.send(reply(MADE_BY_SCRIPT) if is_named else moved)
        return True

    async with serving(answer) as server:  # as the proxy
        member = login_cookie("www.site.example")
        keep_visit(tmp_path, visit(member, site="http://site.example"))
        async with AsyncClient(
            "http://site.example/", state_dir=tmp_path, proxy=server.url, strategy="browser"
        ) as client:
            assert (await client.prepare()).found_by == "browser"
        pages = [got for got in server.got if got.target == "http://www.site.example/"]
        assert ["wordpress_logged_in" in got.headers.get("cookie", "") for got in pages] == [True]


@pytest.mark.parametrize(
    ("is_cached", "is_ended", "expected"),
    [(True, False, "Hi there"), (False, True, "refused"), (True, True, "refused")],
)
async def test_a_box_that_scripts_make_for_a_guest_is_not_asked_as_a_member(
    is_cached: bool, is_ended: bool, expected: str, traces: Traces, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        is_guests = is_ended or (is_cached and "nocache" not in got.target)
        page = MADE_BY_SCRIPT.replace(" logged-in", "") if is_guests else MADE_BY_SCRIPT
        await connection.send(OK if got.is_message else reply(page))
        return True

    async with serving(answer) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="browser") as client:
            try:
                answered = (await client.ask("Hello")).text
            except RefusedError as error:
                answered = error.code
        assert answered == expected
        assert any(got.is_message for got in server.got) is not is_ended
