"""A client's requests belong to the kept visit: its cookies, its user agent, its tokens, until it ends."""

from __future__ import annotations

import contextlib
import logging
import shlex
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
import wire
from asking import client_of
from faults import WPAICG_PAGE, Connection, Got, Server, reply, serving, stream_reply
from visits.samples import SITE, cookie, cookies_txt, item, login_cookie, login_value, visit

from chatgptt import (
    AsyncClient,
    ChatGpttError,
    InvalidInputError,
    MemoryStore,
    RefusedError,
    TransportError,
)
from chatgptt._models import StoredCookie, Strategy
from chatgptt.state.folder import locked
from chatgptt.visits import current, kept, path_of_visit
from chatgptt.visits.formats import encode
from chatgptt.visits.kept import find_visit, forget_visit, keep_visit
from chatgptt.visits.shared import SharedVisits

pytestmark = pytest.mark.anyio

OK = stream_reply(wire.chunks("Hi ", "there") + wire.FINISH + wire.DONE)
NONCES = {"guest": "9ce5100001", "ada": "ada0000001", "bob": "b0b0000001"}
LOGIN = "wordpress_logged_in_1f2e"
FORM = reply('<title>Log in</title><form id="loginform" action="/wp-login.php"></form>')


@dataclass
class Site:
    """A site whose members have nonces of their own. `open_to` may see its page; others are sent to log in."""

    open_to: set[str] = field(default_factory=lambda: {"ada", "bob", "guest"})
    ended: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    server: Server | None = None

    async def answer(self, connection: Connection, got: Got) -> bool:
        user = self.user_of(got)
        if got.path == "/wp-login.php":
            await connection.send(FORM)
        elif got.is_message:
            good = got.fields.get("_wpnonce") == NONCES[user]
            await connection.send(OK if good else reply("-1", status=403))
        elif user in self.open_to:
            await connection.send(reply(WPAICG_PAGE.format(nonce=NONCES[user]), headers=self.headers))
        else:
            await connection.send(reply("", status=302, headers={"Location": "/wp-login.php?redirect_to=x"}))
        return True

    def user_of(self, got: Got) -> str:
        cookies = got.headers.get("cookie", "").split("; ")
        user = next(
            (pair.partition("=")[2].partition("%7C")[0] for pair in cookies if pair.startswith(LOGIN)),
            "guest",
        )
        return "guest" if user in self.ended else user

    @property
    def messages(self) -> list[str]:
        """Whose messages the site got."""
        assert self.server is not None
        return [self.user_of(got) for got in self.server.got if got.is_message]

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    running = Site()
    async with serving(running.answer) as server:
        running.server = server
        yield running


def keep(site: Site, folder: Path, user: str = "ada", **more: object) -> None:
    member = login_cookie("127.0.0.1", user=user)
    keep_visit(folder, visit(member, site=site.url, name=user, **more))


async def ask(client: AsyncClient) -> str:
    """The answer, or the code of the error."""
    try:
        return (await client.ask("Hello")).text
    except ChatGpttError as error:
        return error.code


async def refusal(client: AsyncClient) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        await client.ask("Hello")
    return caught.value


async def test_the_kept_visit_is_used_by_default_and_can_be_left_out(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    for options, user, agent in (({}, "ada", "Person/1.0"), ({"visit": False}, "guest", "Mozilla")):
        async with AsyncClient(site.url, state_dir=tmp_path, **options) as client:  # type: ignore[arg-type]
            assert await ask(client) == "Hi there"
        assert site.server is not None
        assert site.messages[-1] == user
        assert site.server.got[-1].headers["user-agent"].startswith(agent)


async def test_a_path_is_a_visit_that_is_only_read(site: Site, tmp_path: Path) -> None:
    site.headers = {"Set-Cookie": f"{LOGIN}={login_value('ada')}x; Path=/"}
    file = tmp_path / "cookies.txt"
    file.write_bytes(cookies_txt(("127.0.0.1", "FALSE", "/", "FALSE", "0", LOGIN, login_value("ada"))))
    before = file.read_bytes()
    async with AsyncClient(site.url, state_dir=tmp_path / "state", visit=file) as client:
        assert await ask(client) == "Hi there"
    assert site.messages == ["ada"]
    assert file.read_bytes() == before
    assert find_visit(tmp_path / "state", site.url) is None


async def test_a_callers_own_user_agent_stays(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    async with AsyncClient(site.url, state_dir=tmp_path, user_agent="Mine/1") as client:
        await ask(client)
    assert site.server is not None
    assert {got.headers["user-agent"] for got in site.server.got} == {"Mine/1"}


async def test_an_http_client_has_cookies_of_its_own(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    async with (
        httpx.AsyncClient() as http,
        client_of(site.url, state_dir=tmp_path, http_client=http) as client,
    ):
        assert await ask(client) == "Hi there"
    assert site.messages == ["guest"]


@pytest.mark.parametrize("strategy", ["static", "auto"])
async def test_a_callers_own_cookies_come_in_place_of_the_kept_visit(
    strategy: Strategy, site: Site, tmp_path: Path
) -> None:
    keep(site, tmp_path)
    own = {"Cookie": f"{LOGIN}={login_value('bob')}"}
    async with AsyncClient(site.url, state_dir=tmp_path, headers=own, strategy=strategy) as client:
        assert await ask(client) == "Hi there"
    assert site.server is not None
    assert {site.user_of(got) for got in site.server.got} == {"bob"}
    assert not any("Person" in got.headers["user-agent"] for got in site.server.got)


def test_a_callers_own_cookies_and_a_named_visit_are_too_much(tmp_path: Path) -> None:
    for named in (True, tmp_path / "cookies.txt"):
        with pytest.raises(InvalidInputError, match="a Cookie header"):
            AsyncClient(SITE, state_dir=tmp_path, headers={"cookie": "a=b"}, visit=named)


async def test_the_tokens_of_members_and_guests_are_kept_apart(site: Site, tmp_path: Path) -> None:
    async with AsyncClient(site.url, state_dir=tmp_path) as guest:
        assert await ask(guest) == "Hi there"
        for user in ("ada", "bob", "ada"):
            keep(site, tmp_path, user)
            async with AsyncClient(site.url, state_dir=tmp_path) as member:
                assert await ask(member) == "Hi there"
            assert site.messages[-1] == user
        forget_visit(tmp_path, site.url)
        assert await ask(guest) == "Hi there"
    assert site.messages == ["guest", "ada", "bob", "ada", "guest"]
    assert site.server is not None
    assert site.server.counts == (3, 5)  # no nonce was rejected, and none was acquired twice


async def test_an_open_client_takes_a_login_and_a_logout(site: Site, tmp_path: Path) -> None:
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        chat = client.conversation()
        for change, user in (
            (lambda: None, "guest"),
            (lambda: keep(site, tmp_path), "ada"),
            (lambda: forget_visit(tmp_path, site.url), "guest"),
        ):
            change()
            assert await ask(client) == "Hi there"
            assert (await chat.ask("Hello")).text == "Hi there"
            assert site.messages[-2:] == [user, user]


async def test_cookies_that_the_site_renews_are_kept(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    renewed = login_value("ada", 2_000_000_000)
    site.headers = {"Set-Cookie": f"{LOGIN}={renewed}; Path=/; Max-Age=9000; HttpOnly"}
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        assert await ask(client) == "Hi there"
        kept = find_visit(tmp_path, site.url)
        assert kept is not None
        assert [(one.value, one.is_http_only) for one in kept.cookies] == [(renewed, True)]
        assert await ask(client) == "Hi there"
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        assert await ask(client) == "Hi there"
    assert site.server is not None
    assert [renewed in got.headers["cookie"] for got in site.server.got] == [False, True, True, True]


async def test_the_same_cookies_again_are_not_written_again(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    site.headers = {"Set-Cookie": "seen=1; Path=/; Max-Age=600"}
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        await client.find_boxes()
        before = (
            path_of_visit(tmp_path, site.url).stat().st_ino,
            path_of_visit(tmp_path, site.url).stat().st_mtime_ns,
        )
        await client.find_boxes()
        after = (
            path_of_visit(tmp_path, site.url).stat().st_ino,
            path_of_visit(tmp_path, site.url).stat().st_mtime_ns,
        )
    assert before == after
    kept = find_visit(tmp_path, site.url)
    assert kept is not None
    assert {one.name for one in kept.cookies} == {LOGIN, "seen"}


async def test_a_cookie_that_another_process_was_given_is_sent(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    async with (
        AsyncClient(site.url, state_dir=tmp_path) as first,
        AsyncClient(site.url, state_dir=tmp_path) as second,
    ):
        assert await ask(first) == "Hi there"
        site.headers = {"Set-Cookie": "shared=1; Path=/"}
        await second.find_boxes()
        assert await ask(first) == "Hi there"
    assert site.server is not None
    assert "shared=1" in site.server.got[-1].headers["cookie"]


async def test_a_flood_of_cookies_takes_no_place_of_the_login(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        for page in range(5):
            more = "".join(f"\r\nSet-Cookie: c{page}-{number}=1; Path=/" for number in range(80))
            site.headers = {"Set-Cookie": f"{LOGIN}={login_value('ada')}; Path=/{more}"}
            await client.find_boxes()
        assert await ask(client) == "Hi there"
    assert site.messages == ["ada"]
    assert site.server is not None
    assert len(site.server.got[-1].headers["cookie"].split("; ")) == 300
    assert LOGIN in {one.name for one in kept_cookies(site, tmp_path)}


async def test_cookies_that_a_busy_lock_kept_out_are_kept_with_the_next_change(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept, "_PATIENCE", 0.01)
    keep(site, tmp_path)
    async with AsyncClient(site.url, state_dir=tmp_path, store=MemoryStore()) as client:
        with locked(tmp_path, 1.0):
            for number in (1, 2):
                site.headers = {"Set-Cookie": f"n{number}=1; Path=/"}
                await client.find_boxes()
        assert {one.name for one in kept_cookies(site, tmp_path)} == {LOGIN}
        site.headers = {"Set-Cookie": "n3=1; Path=/"}
        await client.find_boxes()
    assert {one.name for one in kept_cookies(site, tmp_path)} == {LOGIN, "n1", "n2", "n3"}
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1


def kept_cookies(site: Site, folder: Path) -> tuple[StoredCookie, ...]:
    found = find_visit(folder, site.url)
    assert found is not None
    return found.cookies


async def test_a_visits_cookies_are_in_no_other_file(site: Site, tmp_path: Path) -> None:
    keep(site, tmp_path)
    site.headers = {"Set-Cookie": "fresh=s3t-by-the-site; Path=/"}
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        assert await ask(client) == "Hi there"
    texts = texts_in(tmp_path)
    assert "s3t-by-the-site" in texts[".visit"]
    assert NONCES["ada"] in texts[".json"]
    assert "s3t-by-the-site" not in texts[".json"]
    assert LOGIN not in texts[".json"]


def texts_in(folder: Path) -> dict[str, str]:
    return {path.suffix: path.read_text() for path in folder.iterdir()}


async def test_two_sites_in_one_folder_never_see_each_others_cookies(site: Site, tmp_path: Path) -> None:
    other = Site()
    async with serving(other.answer) as server:
        other.server = server
        keep(site, tmp_path, "ada")
        keep(other, tmp_path, "bob")
        for one, user in ((site, "ada"), (other, "bob")):
            async with AsyncClient(one.url, state_dir=tmp_path) as client:
                assert await ask(client) == "Hi there"
            assert one.messages == [user]


@pytest.mark.parametrize("place", ["http://127.0.0.1:{port}/", "http://localhost:{port}/"])
async def test_a_page_that_leads_to_another_site_gives_it_no_cookie(
    place: str, site: Site, tmp_path: Path
) -> None:
    async def lead(connection: Connection, got: Got) -> bool:
        assert "ada" in got.headers["cookie"]
        assert site.server is not None
        await connection.send(
            reply("", status=302, headers={"Location": place.format(port=site.server.port)})
        )
        return True

    async with serving(lead) as leading:
        member = login_cookie("127.0.0.1"), cookie("wide", "1", "localhost.local")
        keep_visit(tmp_path, visit(*member, site=leading.url))
        async with AsyncClient(leading.url, state_dir=tmp_path) as client:
            await ask(client)
    assert site.server is not None
    assert site.server.got
    assert not any("cookie" in got.headers for got in site.server.got)


async def test_an_expired_cookie_is_not_sent(site: Site, tmp_path: Path) -> None:
    old, new = cookie("old", "1", "127.0.0.1", expires=1_000.0), cookie("new", "1", "127.0.0.1")
    keep_visit(tmp_path, visit(old, new, site=site.url))
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        assert await ask(client) == "Hi there"
    assert site.server is not None
    assert {got.headers["cookie"] for got in site.server.got} == {"new=1"}


# The end of a login


def login_in(folder: Path) -> str:
    """The command that keeps a visit in another folder than the default one."""
    return f"CHATGPTT_STATE_DIR={shlex.quote(str(folder))} chatgptt login"


async def test_a_hint_names_the_command_for_the_folder_in_use(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path))
    keep(site, tmp_path)
    site.open_to = set()
    async with AsyncClient(site.url) as client:
        hint = (await refusal(client)).hint
    assert hint == f"log in again in a browser window: chatgptt login --site {site.url}/"


async def test_a_visit_in_a_file_is_exported_again(site: Site, tmp_path: Path) -> None:
    file = tmp_path / "cookies.txt"
    file.write_bytes(cookies_txt(("127.0.0.1", "FALSE", "/", "FALSE", "0", LOGIN, login_value("ada"))))
    site.open_to = set()
    async with AsyncClient(site.url, state_dir=tmp_path, visit=file) as client:
        hint = (await refusal(client)).hint
    assert hint == "log in again in a browser window, and export its cookies to the file of the visit"


@pytest.mark.parametrize("has_tokens", [False, True], ids=["at first", "with tokens"])
async def test_a_login_that_the_site_ended_is_told_once(has_tokens: bool, site: Site, tmp_path: Path) -> None:
    site.open_to = {"ada"}
    keep(site, tmp_path)
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        if has_tokens:
            assert await ask(client) == "Hi there"
        site.ended = {"ada"}
        assert site.server is not None
        before = len(site.server.got)
        error = await refusal(client)
    assert error.reason == "guests_disabled"
    assert error.hint == f"log in again in a browser window: {login_in(tmp_path)} --site {site.url}/"
    requests = [got.path for got in site.server.got[before:]]
    ajax = "/wp-admin/admin-ajax.php"
    assert requests == ([ajax, "/", "/wp-login.php"] if has_tokens else ["/", "/wp-login.php"])


async def test_a_login_whose_time_is_over_is_told_and_nothing_is_sent(site: Site, tmp_path: Path) -> None:
    keep_visit(tmp_path, visit(login_cookie("127.0.0.1", ends_at=1_700_000_000), site=site.url))
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        error = await refusal(client)
        report = await client.health_check()
    assert "has ended" in error.message
    assert "chatgptt login" in error.hint
    assert report.code == "refused"
    assert site.server is not None
    assert site.server.got == []


async def test_a_login_that_the_site_takes_back_is_over_in_the_next_process_too(
    site: Site, tmp_path: Path
) -> None:
    keep(site, tmp_path)
    site.headers = {"Set-Cookie": f"{LOGIN}=; Path=/; Max-Age=0"}
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        await refusal(client)
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        await refusal(client)
    assert site.server is not None
    assert site.server.counts == (1, 0)


async def test_a_login_is_over_with_its_time_though_wordpress_takes_it_for_an_hour(
    site: Site, tmp_path: Path
) -> None:
    ended = login_cookie("127.0.0.1", ends_at=time.time() - 60)
    keep_visit(tmp_path, visit(ended, site=site.url))
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        assert "has ended" in (await refusal(client)).message
    assert site.messages == []


@pytest.mark.parametrize("status", [401, 403])
async def test_a_page_that_refuses_a_member_is_a_login_that_has_ended(status: int, tmp_path: Path) -> None:
    async def refuse(connection: Connection, got: Got) -> bool:
        await connection.send(reply("<p>Members only", status=status))
        return True

    async with serving(refuse) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path) as client:
            error = await refusal(client)
        assert (error.status, server.counts) == (status, (1, 0))
        assert "log in again" in error.hint


@pytest.mark.parametrize("classes", ["page-id-7 logged-in", "page-id-7", ""])
async def test_a_page_without_a_box_tells_by_its_classes_whether_it_is_a_guests(
    classes: str, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(reply(f'<title>A</title><body class="{classes}">No chat for you'))
        return True

    async with serving(answer) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="static") as client:
            assert await ask(client) == ("refused" if classes == "page-id-7" else "no_chat_box")


@pytest.mark.parametrize(
    ("is_cached", "is_ended", "expected"),
    [(True, False, "Hi there"), (False, True, "refused"), (True, True, "refused")],
)
async def test_a_guests_page_is_read_once_more_past_caches_before_a_member_is_told(
    is_cached: bool, is_ended: bool, expected: str, tmp_path: Path
) -> None:
    def page(user: str) -> bytes:
        classes = "page-id-7" if user == "guest" else "page-id-7 logged-in"
        return reply(f'<body class="{classes}">{WPAICG_PAGE.format(nonce=NONCES[user])}</body>')

    async def answer(connection: Connection, got: Got) -> bool:
        is_from_cache = is_cached and "nocache" not in got.target
        await connection.send(OK if got.is_message else page("guest" if is_ended or is_from_cache else "ada"))
        return True

    async with serving(answer) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path) as client:
            assert await ask(client) == expected
        assert server.counts == (2, expected == "Hi there")
        assert {got.fields["_wpnonce"] for got in server.got if got.is_message} <= {NONCES["ada"]}


@pytest.mark.parametrize("protocol", ["wpaicg", "aipkit"])
@pytest.mark.parametrize("has_tokens", [False, True], ids=["at first", "with tokens"])
async def test_an_ended_login_is_told_where_guests_may_ask_too(
    protocol: str, has_tokens: bool, tmp_path: Path
) -> None:
    box = WPAICG_PAGE if protocol == "wpaicg" else AIPKIT_PAGE
    is_ended = not has_tokens

    def page(user: str) -> bytes:
        classes = "page-id-7" if user == "guest" else "page-id-7 logged-in"
        return reply(f'<body class="{classes}">{box.replace("{nonce}", NONCES[user])}</body>')

    async def answer(connection: Connection, got: Got) -> bool:
        user = "guest" if is_ended else "ada"
        if got.path != "/wp-admin/admin-ajax.php":
            await connection.send(page(user))
        elif "frontend_chat_stream" in got.target:
            await connection.send(AIPKIT_STREAM)
        elif got.fields.get("_wpnonce", got.fields.get("_ajax_nonce")) != NONCES[user]:
            await connection.send(reply("-1", status=403))
        else:
            await connection.send(OK if protocol == "wpaicg" else AIPKIT_KEY)
        return True

    async with serving(answer) as server:
        keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="static") as client:
            if has_tokens:
                assert await ask(client) == "Hi there"
                is_ended = True
            before = len(server.got)
            assert "log in again" in (await refusal(client)).hint
            assert await ask(client) == "refused"
        messages = [got for got in server.got[before:] if got.is_message]
        assert len(messages) == has_tokens
        assert not any(NONCES["guest"] in text for text in texts_in(tmp_path).values())


# What the person agreed to


AIPKIT_PAGE = (
    '<div class="aipkit_chat_container" data-bot-id="5" '
    "data-config='{&quot;botId&quot;:5,&quot;nonce&quot;:&quot;{nonce}&quot;,&quot;postId&quot;:9}'></div>"
)
AIPKIT_KEY = reply(
    wire.dump({"success": True, "data": {"cache_key": "aipkit_sse_key"}}), kind="application/json"
)
AIPKIT_STREAM = stream_reply(wire.START + wire.deltas("Hi ", "there") + wire.FINISHED)
AIPKIT = (
    '<!doctype html><title>A</title><div class="aipkit_chat_container" data-bot-id="5" '
    "data-config='{&quot;botId&quot;:5,&quot;nonce&quot;:&quot;1f2e3d4c5b&quot;,&quot;postId&quot;:9,"
    "&quot;requireConsentCompliance&quot;:true}'></div>"
)


@pytest.mark.parametrize(("entry", "expected"), [("5", "Hi there"), ("6", "refused")])
async def test_a_boxs_question_for_consent_is_answered_by_the_visits_storage(
    entry: str, expected: str, tmp_path: Path
) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        stream = AIPKIT_STREAM if "frontend_chat_stream" in got.target else reply(AIPKIT)
        await connection.send(AIPKIT_KEY if got.is_message else stream)
        return True

    async with serving(answer) as server:
        agreed = item(f"aipkit_chatbot_consent_given_{entry}", "true", server.url)
        keep_visit(tmp_path, visit(site=server.url, storage=(agreed,)))
        async with AsyncClient(server.url, state_dir=tmp_path) as client:
            assert await ask(client) == expected


# Hints

CHALLENGE = reply("<title>Just a moment...</title>", status=403, headers={"cf-mitigated": "challenge"})
CHECK = reply(wire.dump({"success": False, "data": {"ts_required": True}}), kind="application/json")
GUESTS = reply(
    wire.dump({"success": False, "data": {"message": "Access disabled for guests."}}),
    status=403,
    kind="application/json",
)


@dataclass
class Fault:
    page: bytes
    message: bytes = b""


HINTS = {
    "challenge": (Fault(CHALLENGE), "challenge", "pass it {}"),
    "ts_required": (
        Fault(reply(WPAICG_PAGE.format(nonce=NONCES["guest"])), CHECK),
        "challenge",
        "pass it {}",
    ),
    "guests_disabled": (
        Fault(reply(AIPKIT.replace("requireConsent", "x")), GUESTS),
        "refused",
        "log in {}",
    ),
    "consent_required": (Fault(reply(AIPKIT)), "refused", "agree {}"),
    "401": (Fault(reply("No", status=401)), "http_error", "log in {}"),
    "403": (Fault(reply("No", status=403)), "http_error", "log in {}"),
    "403 of the endpoint": (
        Fault(reply(WPAICG_PAGE.format(nonce=NONCES["guest"])), reply("No", status=403)),
        "http_error",
        "log in {}",
    ),
}


@contextlib.asynccontextmanager
async def faulty(fault: Fault) -> AsyncIterator[Server]:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(fault.message if got.is_message else fault.page)
        return True

    async with serving(answer) as server:
        yield server


@pytest.mark.parametrize("times", ["once", "again"])
@pytest.mark.parametrize("name", HINTS)
async def test_hints_name_login_where_it_can_help(name: str, times: str, tmp_path: Path) -> None:
    fault, code, way = HINTS[name]
    async with faulty(fault) as server:
        if times == "again":
            keep_visit(tmp_path, visit(cookie("a", "b", "127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="static") as client:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("Hello")
    assert caught.value.code == code
    words = f"{way.format(times)} in a browser window: {login_in(tmp_path)} --site {server.url}/"
    assert caught.value.hint.count(words) == 1
    assert (f"; or {words}" in caught.value.hint) == (not way.startswith("log in"))


@pytest.mark.parametrize(
    ("content", "is_member", "code", "times"),
    [
        ('<form><input type="PASSWORD"></form>', False, "no_chat_box", "once"),
        ('<form><input type="PASSWORD"></form>', True, "refused", "again"),
        ('<body class="logged-in"><input type="password">', True, "no_chat_box", "again"),  # of a locked page
        ("<p>Nothing", True, "no_chat_box", "again"),
        ("<p>Nothing", False, "no_chat_box", ""),
    ],
)
async def test_a_page_with_a_form_in_place_of_a_box_is_one_to_log_in_at(
    content: str, is_member: bool, code: str, times: str, tmp_path: Path
) -> None:
    async with faulty(Fault(reply(f"<title>A</title>{content}"))) as server:
        if is_member:
            keep_visit(tmp_path, visit(login_cookie("127.0.0.1"), site=server.url))
        async with AsyncClient(server.url, state_dir=tmp_path, strategy="static") as client:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("Hello")
    assert caught.value.code == code
    assert (f"log in {times} in a browser window: {login_in(tmp_path)}" in caught.value.hint) == bool(times)


async def test_a_client_that_keeps_nothing_does_not_advise_to_log_in() -> None:
    async with faulty(Fault(CHALLENGE)) as server, client_of(server.url, strategy="static") as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    assert "chatgptt login" not in caught.value.hint


# A file that cannot be used


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_text("{"), lambda path: path.chmod(0o666)],
    ids=["broken", "written by others"],
)
async def test_a_visit_that_cannot_be_used_is_told_and_nothing_is_sent(
    spoil: Callable[[Path], object], site: Site, tmp_path: Path
) -> None:
    async with AsyncClient(site.url, state_dir=tmp_path) as client:
        keep(site, tmp_path)
        spoil(path_of_visit(tmp_path, site.url))
        for _ in range(2):
            with pytest.raises(InvalidInputError, match="cannot be used"):
                await client.ask("Hello")
        assert site.messages == []
        with pytest.raises(InvalidInputError, match="cannot be used"):
            AsyncClient(site.url, state_dir=tmp_path)
        forget_visit(tmp_path, site.url)
        assert await ask(client) == "Hi there"
    assert site.messages == ["guest"]


# A visit that is shared


class SharedStore(MemoryStore):
    """A store with a visit that is read when `gate` is open, or an error."""

    def __init__(self, data: bytes | Exception | None) -> None:
        super().__init__()
        self.data = data
        self.looks = 0
        self.gate = anyio.Event()

    @property
    def visits(self) -> SharedVisits:
        async def read(site: str) -> bytes | None:
            self.looks += 1
            await self.gate.wait()
            if isinstance(self.data, Exception):
                raise self.data
            return self.data

        async def change(site: str, edit: Callable[[bytes | None], bytes | None]) -> None:
            assert not isinstance(self.data, Exception)
            self.data = edit(self.data)

        return SharedVisits(read, change)


@pytest.fixture
def member_of(site: Site) -> bytes:
    return encode(visit(login_cookie("127.0.0.1"), site=site.url))


async def test_first_messages_that_leave_at_once_wait_for_the_shared_visit(
    site: Site, member_of: bytes
) -> None:
    store = SharedStore(member_of)
    async with (
        AsyncClient(site.url, state_dir=None, store=store) as client,
        anyio.create_task_group() as tasks,
    ):
        for _ in range(4):
            tasks.start_soon(ask, client)
        await anyio.wait_all_tasks_blocked()
        store.gate.set()
    assert site.messages == ["ada"] * 4
    assert store.looks == 1


async def test_a_store_that_is_away_makes_a_message_no_guests_where_a_visit_is_wanted(
    site: Site, member_of: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "_LOOK", 0.0)
    store = SharedStore(ConnectionError("it is away"))
    store.gate.set()
    async with AsyncClient(site.url, state_dir=None, store=store, visit=True) as client:
        assert await ask(client) == "connect_error"
        report = await client.health_check()
        assert (report.verdict, report.code) == ("unknown", "connect_error")
        assert report.summary.startswith("not checked: it is away")
        assert report.hint
        assert {phase.status for phase in report.phases} == {"skip"}
        assert site.server is not None
        assert site.server.got == []
        store.data = member_of
        assert await ask(client) == "Hi there"
        store.data = ConnectionError("it is away")
        assert await ask(client) == "Hi there"
    assert site.messages == ["ada", "ada"]


async def test_a_look_is_part_of_a_calls_time(site: Site, member_of: bytes) -> None:
    async with AsyncClient(site.url, state_dir=None, store=SharedStore(member_of), timeout=0.1) as client:
        for call in (client.ask("Hello"), client.prepare(), client.find_boxes()):
            with pytest.raises(TransportError) as caught:
                await call
            assert caught.value.code == "timeout"
        assert (await client.health_check()).code == "timeout"
    assert site.server is not None
    assert site.server.got == []


async def test_a_members_visit_that_the_store_lost_has_ended_and_one_that_was_removed_is_a_guests(
    site: Site, member_of: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current, "_LOOK", 0.0)
    store = SharedStore(member_of)
    store.gate.set()
    async with AsyncClient(site.url, state_dir=None, store=store) as client:
        assert await ask(client) == "Hi there"
        store.data = None
        assert [await ask(client), await ask(client)] == ["refused", "refused"]
        store.data = member_of
        assert await ask(client) == "Hi there"
        await store.visits.forget(site.url)
        assert await ask(client) == "Hi there"
    assert site.messages == ["ada", "ada", "guest"]
