"""Nothing that says who somebody is comes out: not in logs, errors, reports, JSON, traces or reprs.

Every value that could is planted, and everything that a program or a person gets to see is searched for all
of them, as they are and in base64.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
import stat
import traceback
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Unpack

import anyio.to_thread
import httpx
import pytest
import wire
from asking import Options, client_of
from cli.commands import Done, Run
from faults import (
    AIPKIT_PAGE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    Server,
    always,
    closed_port,
    reply,
    reset,
    reset_after_head,
    reset_after_text,
    serving,
    stream_reply,
)
from proxies import Proxy, http_proxy
from visits.samples import cookie, item, login_cookie, visit

from chatgptt import ChatGpttError, HealthReport, Reply
from chatgptt._models import (
    ChatBox,
    Question,
    ReplyEnding,
    ReplyHead,
    Request,
    StoredCookie,
    Tokens,
    VisitorIds,
)
from chatgptt.browser.upstream import UpstreamProxy
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.cli.health_check import HealthOptions
from chatgptt.demo import DemoSite
from chatgptt.net.proxies import Proxy as VisitorsProxy
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.reply_errors import said, words_of
from chatgptt.sites.named import NamedSite
from chatgptt.state.folder import default_folder
from chatgptt.tokens.acquisition import Acquired
from chatgptt.tokens.records import Change, SiteRecord
from chatgptt.visits.kept import keep_visit

NONCE = "5ec4e7ab1e"
CACHE_KEY = "aipkit_sse_s3cretkey"
SITES_COOKIE = "s3t-by-the-site"
OWN_COOKIE = "c00kie-of-ours"
BEARER = "b3arer-of-ours"
LOGIN = ("ada", "url-p4ssword")
PROXY_LOGIN = "bob:pr0xy-p4ssword"
API_KEY = "sk-proj-S3cretOfTheSitesOwner0123"
THREAD = "thread_S3cretOfOurs"

VISITS_COOKIE = "v1sit-c00kie-of-ours"
VISITS_STORAGE = "v1sit-st0rage-of-ours"

GIVEN = (NONCE, CACHE_KEY, SITES_COOKIE, OWN_COOKIE, BEARER, LOGIN[1], PROXY_LOGIN.partition(":")[2], API_KEY)
IDS = ("wpaicg_chat_client_id", "session_id", "conversation_uuid", "cache_key")
OPTIONS: Options = {"headers": {"Cookie": f"own={OWN_COOKIE}", "X-Api-Token": BEARER}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"debug": True}


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


def spelled(secrets: Iterable[str]) -> set[str]:
    """Each value as it is, and as it goes over the wire."""
    found = set(secrets)
    for login in (":".join(LOGIN), PROXY_LOGIN):
        found.add(base64.b64encode(login.encode()).decode())
    return found


@dataclass
class Searched:
    """What came out, and the values that the server got to see of us."""

    server: Server
    texts: list[str] = field(default_factory=list)
    planted: set[str] = field(default_factory=set)

    @property
    def secrets(self) -> set[str]:
        seen = set(GIVEN) | self.planted
        for got in self.server.got:
            named = {**dict(httpx.QueryParams(got.target.partition("?")[2])), **got.fields}
            seen |= {named[name] for name in IDS if named.get(name)}
        return spelled(seen)

    def plant_visit(self, folder: Path) -> None:
        """Keeps a member's visit to the site, whose values are secrets too."""
        member = login_cookie("127.0.0.1", user="eve"), cookie("member", VISITS_COOKIE, "127.0.0.1")
        entry = item("member", VISITS_STORAGE, self.server.url)
        keep_visit(folder, visit(*member, site=self.server.url, storage=(entry,)))
        self.planted = {member[0].value, VISITS_COOKIE, VISITS_STORAGE}

    def assert_clean(self) -> None:
        if self.planted and self.server.got:
            assert VISITS_COOKIE in self.server.got[-1].headers["cookie"]
        for text in self.texts:
            for secret in self.secrets:
                assert secret not in text, (secret, text)


# The site

WPAICG_OK = stream_reply(wire.chunks("Hi ", "there") + wire.FINISH + wire.DONE)
AIPKIT_OK = stream_reply(wire.START + wire.deltas("Hi ", "there") + wire.FINISHED)
KEY = reply(wire.dump({"success": True, "data": {"cache_key": CACHE_KEY}}), kind="application/json")
COMPLAINT = (
    f"Incorrect API key provided: {API_KEY}. You can find your key at https://ai.example/?key={API_KEY}"
)
CHALLENGE = reply("<title>Just a moment...</title>", status=403, headers={"cf-mitigated": "challenge"})

FAULTS: dict[str, Answer] = {
    "no nonce": always(reply("-1", status=403)),
    "no action": always(reply("0", status=400)),
    "an error page": always(reply(f"<title>Error</title> {COMPLAINT}", status=500)),
    "words": always(reply(COMPLAINT)),
    "a challenge": always(CHALLENGE),
    "busy": always(reply("", status=429, headers={"Retry-After": "86400"})),
    "a redirect": always(reply("", status=302, headers={"Location": f"/?_wpnonce={NONCE}"})),
    "a reset": reset,
    "a reset after the head": reset_after_head,
    "a reset after text": reset_after_text,
    "nothing": always(stream_reply(b"")),
    "no protocol": always(stream_reply(b"data: {]\n\n")),
    "the AI service": always(stream_reply(wire.event({"error": {"message": COMPLAINT}}, "error"))),
    "JSON of the AI service": always(
        reply(
            wire.dump({"status": "error", "msg": COMPLAINT, "error": {"message": COMPLAINT}}),
            kind="application/json",
        )
    ),
    "a quota": always(
        reply(
            wire.dump({"status": "error", "msg": "No more.", "tokenLimitReached": True}),
            kind="application/json",
        )
    ),
    "2.x refusal": always(
        reply(
            wire.dump({"success": False, "data": {"message": COMPLAINT, "code": "x"}}),
            kind="application/json",
            status=400,
        )
    ),
}
ANSWERING = {"wpaicg": "message", "aipkit": "stream"}
"""The request that is answered with the answer."""


def site_of(protocol: str, faulty: str = "", fault: Answer | None = None) -> Answer:
    """A site that sets a cookie, and whose one step goes wrong."""
    pages = {"wpaicg": WPAICG_PAGE, "aipkit": AIPKIT_PAGE}
    good = {
        "page": reply(pages[protocol].format(nonce=NONCE), headers={"Set-Cookie": f"visitor={SITES_COOKIE}"}),
        "message": WPAICG_OK,
        "upload": KEY,
        "stream": AIPKIT_OK,
    }

    async def answer(connection: Connection, got: Got) -> bool | None:
        if got.is_message:
            step = "message" if protocol == "wpaicg" else "upload"
        else:
            step = "stream" if "frontend_chat_stream" in got.target else "page"
        if step == faulty and fault is not None:
            return await fault(connection, got)
        await connection.send(good[step])
        return True

    return answer


@asynccontextmanager
async def searching(answer: Answer) -> AsyncIterator[tuple[Searched, Proxy, str]]:
    """The site behind a proxy, and its address with a login."""
    async with serving(answer) as server, http_proxy(login=PROXY_LOGIN) as proxy:
        yield Searched(server), proxy, server.url.replace("//", f"//{':'.join(LOGIN)}@")


def all_of(value: object) -> list[str]:
    """Whatever a program may print, log or hand on of a value."""
    texts = [str(value), repr(value), repr([value]), f"{value!r:>5}"]
    if isinstance(value, ChatGpttError):
        texts += [repr(vars(value)), json.dumps(value.as_dict()), pickle.dumps(value).decode("latin-1")]
        texts += ["".join(traceback.format_exception(value)), value.hint, repr(value.findings)]
    if isinstance(value, Reply | HealthReport):
        texts.append(json.dumps(value.as_dict()))
    if isinstance(value, HealthReport):
        texts.append(pickle.dumps(value).decode("latin-1"))
    return texts


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Of all loggers; httpcore tells of every byte at debug level, and is httpx's to silence."""
    return [
        f"{record.getMessage()} {record.args} {record.exc_text}"
        for record in caplog.records
        if not record.name.startswith("httpcore") or record.levelno > logging.DEBUG
    ]


OF_A_PAGE = ("an error page", "a challenge", "busy", "a reset", "no nonce")
OF_AN_UPLOAD = ("no nonce", "no action", "an error page", "a challenge", "busy", "a reset", "2.x refusal")
CELLS = [
    ("wpaicg", "page", ""),
    ("aipkit", "page", ""),
    *((protocol, "page", fault) for protocol in ("wpaicg", "aipkit") for fault in OF_A_PAGE),
    *(("aipkit", "upload", fault) for fault in OF_AN_UPLOAD),
    *(("wpaicg", "message", fault) for fault in FAULTS),
    *(("aipkit", "stream", fault) for fault in FAULTS),
]


@pytest.mark.anyio
@pytest.mark.parametrize("is_member", [False, True], ids=["guest", "member"])
@pytest.mark.parametrize(("protocol", "step", "fault"), CELLS, ids=lambda value: value or "well")
async def test_no_secret_is_in_what_the_library_logs_raises_and_returns(
    protocol: str, step: str, fault: str, is_member: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.get_running_loop().slow_callback_duration = 0.0  # every step is worth a line
    caplog.set_level(logging.DEBUG)
    options: Options = {**OPTIONS, "state_dir": tmp_path, "strategy": "static", "timeout": 20.0}
    outcomes: list[object] = []
    async with searching(site_of(protocol, step, FAULTS.get(fault))) as (searched, proxy, url):
        options["proxy"] = proxy.url
        if is_member:
            searched.plant_visit(tmp_path)
            options["headers"] = {"X-Api-Token": BEARER}  # own cookies would come in place of the visit's
        async with client_of(url, **options) as client:
            searched.texts += all_of(client._visit)
            chat = client.conversation()
            for ask in (client.ask, chat.ask):
                try:
                    outcomes.append(await ask("Hello"))
                except ChatGpttError as error:
                    outcomes.append(error)
            searched.texts += [repr(client), repr(chat)]
    searched.texts += [text for result in outcomes for text in all_of(result)]
    assert all(isinstance(result, Reply) == (fault == "") for result in outcomes), outcomes
    searched.texts += logged(caplog)
    assert any(record.name == "asyncio" for record in caplog.records)
    assert any(record.name == "httpx" for record in caplog.records) or fault == "a reset"
    searched.assert_clean()


@pytest.mark.anyio
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "JSON"])
@pytest.mark.parametrize(
    ("protocol", "step", "fault"),
    [
        ("wpaicg", "", ""),
        ("aipkit", "", ""),
        *(
            (protocol, ANSWERING[protocol], fault)
            for protocol in ANSWERING
            for fault in ("no nonce", "an error page", "the AI service")
        ),
    ],
)
async def test_no_secret_is_in_what_the_commands_print_however_much_they_tell(
    protocol: str, step: str, fault: str, as_json: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_LOG", "debug")
    more = ("--json",) if as_json else ()
    async with searching(site_of(protocol, step, FAULTS.get(fault))) as (searched, proxy, url):
        searched.plant_visit(default_folder())
        for command in (("ask", "Hello"), ("chat",)):
            words = (*command, "-vv", "--strategy", "static", "--site", url, "--proxy", proxy.url, *more)
            done = await run_beside(run, *words, stdin=b"Hello\nAgain\n")
            assert (done.code != 0) == bool(fault)
            assert "chatgptt.transport: POST" in done.err
            searched.texts += [done.out, done.err]
    searched.assert_clean()


async def run_beside(run: Run, *argv: str, stdin: bytes = b"") -> Done:
    """The command in a thread, since its site is served by this one."""
    return await anyio.to_thread.run_sync(partial(run, *argv, stdin=stdin))


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["", "no nonce", "an error page", "the AI service", "a reset"])
@pytest.mark.parametrize("protocol", ["wpaicg", "aipkit"])
async def test_no_secret_is_in_any_report_of_a_check(
    protocol: str, fault: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(state))
    page = tmp_path / "report.html"
    async with searching(site_of(protocol, ANSWERING[protocol], FAULTS.get(fault))) as (searched, proxy, url):
        words = ("health-check", "-vv", "--strategy", "static", "--proxy", proxy.url, url)
        searched.plant_visit(state)
        ping = f"{searched.server.url}/{API_KEY}"
        for form in ("text", "json", "nagios", "prometheus", "junit"):
            more = ("--report", str(page), "--ping-url", ping) if form == "text" else ("--expect", "there")
            done = await run_beside(run, *words, "--format", form, *more)
            assert done.code == (2 if fault else 0), done
            searched.texts += [done.out, done.err]
        for shape in ("text", "json"):
            done = await run_beside(run, "health-check", "--history", "--format", shape)
            searched.texts += [done.out, done.err]
    searched.texts += [page.read_text(), (state / "health.sqlite3").read_bytes().decode("latin-1")]
    assert searched.server.url in searched.texts[-1]
    searched.assert_clean()


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", ["a wrong login", "nobody there", "no such proxy"])
async def test_no_secret_is_in_the_failure_of_a_proxy(trouble: str, run: Run) -> None:
    async with searching(site_of("wpaicg")) as (searched, proxy, url):
        address = {
            "a wrong login": proxy.url.replace("bob", "eve"),
            "nobody there": f"http://{PROXY_LOGIN}@127.0.0.1:{closed_port()}",
            "no such proxy": f"gopher://{PROXY_LOGIN}@127.0.0.1:1",
        }[trouble]
        for command in ("ask", "inspect", "health-check") if trouble == "a wrong login" else ("ask",):
            message = ("Hello",) if command == "ask" else ()
            words = ("-vv", "--strategy", "static", "--proxy", address, "--site", url)
            done = await run_beside(run, command, *message, *words)
            assert done.code
            searched.texts += [done.out, done.err]
    searched.assert_clean()


# Addresses with a login in them, as people type them


MALFORMED = (
    "{login}@{host}",
    "https:/{login}@{host}",
    "{scheme}:{login}@{host}",
    "{scheme}://{login}/@{host}",
)


def misspelled(url: str, login: str) -> list[str]:
    """Ways to get an address with a login wrong."""
    scheme, host = url.split("://")
    return [form.format(scheme=scheme, login=login, host=host.rpartition("@")[2]) for form in MALFORMED]


def kept_in(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.iterdir() if path.is_file()]


@pytest.mark.anyio
async def test_a_login_of_the_endpoint_goes_there_and_comes_out_nowhere(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    login = "eve:3ndp0int-p4ss"
    basic = base64.b64encode(login.encode()).decode()
    for protocol in ANSWERING:
        for fault in ("", "a challenge", "no nonce"):
            answer = site_of(protocol, ANSWERING[protocol], FAULTS.get(fault))
            async with searching(answer) as (searched, _, url):
                host = searched.server.url.removeprefix("http://")
                endpoint = f"http://{login}@{host}/wp-admin/admin-ajax.php"
                options: Options = {"state_dir": tmp_path, "strategy": "static", "ajax_url": endpoint}
                async with client_of(url, **options) as client:
                    outcomes: list[object] = [client, client._wanted(None).key]
                    outcomes += [await client.health_check()]
                    try:
                        outcomes += [await client.ask("Hello"), await client.find_boxes()]
                    except ChatGpttError as error:
                        outcomes += [error]
                searched.texts += [text for result in outcomes for text in all_of(result)]
                for got in searched.server.got:
                    is_endpoint = got.target.startswith("/wp-admin/admin-ajax.php")
                    given = f"Basic {basic if is_endpoint else base64.b64encode(':'.join(LOGIN).encode()).decode()}"
                    assert got.headers["authorization"] == given
            searched.texts += logged(caplog)
            searched.texts += kept_in(tmp_path)
            for text in searched.texts:
                assert login.partition(":")[2] not in text
                assert basic not in text


@pytest.mark.anyio
async def test_a_password_in_a_misspelled_address_is_in_no_report_of_a_check(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(state))
    login = ":".join(LOGIN)
    pages = [f"http://{login}@127.0.0.1:9/x", *misspelled("http://127.0.0.1:9/x", login)]
    sites, page = tmp_path / "sites.toml", tmp_path / "report.html"
    sites.write_text("".join(f"[site-{place}]\nurl = {json.dumps(url)}\n" for place, url in enumerate(pages)))
    texts = []
    for form in ("text", "json", "nagios", "prometheus", "junit"):
        for words in (pages, ("--sites", str(sites)), pages[:1]):
            done = await run_beside(
                run, "health-check", "-vv", "--format", form, "--report", str(page), "--timeout", "5", *words
            )
            assert done.code in (2, 3), done
            texts += [done.out, done.err]
    for shape in ("text", "json"):
        done = await run_beside(run, "health-check", "--history", "--format", shape, *pages)
        texts += [done.out, done.err]
    texts += [*kept_in(state), page.read_text()]
    assert "127.0.0.1" in texts[0]
    for text in texts:
        assert LOGIN[1] not in text


async def outcome_of(page: str, **options: Unpack[Options]) -> object:
    """The error of a client, be it of its making."""
    try:
        async with client_of(page, **options) as client:
            return await client.ask("Hello")
    except ChatGpttError as error:
        return error


@pytest.mark.anyio
@pytest.mark.parametrize(
    "form", [*MALFORMED, "{host}:{login}", "gopher://{login}@{host}", "http://{host}:{login}"]
)
@pytest.mark.parametrize("option", ["--site", "--proxy", "ajax_url"])
async def test_a_password_in_a_misspelled_address_is_in_no_error(option: str, form: str, run: Run) -> None:
    address = form.format(scheme="http", login=PROXY_LOGIN, host="127.0.0.1:9")
    texts = []
    if option == "ajax_url":
        texts += all_of(await outcome_of("http://127.0.0.1:9", ajax_url=address))
    else:
        for command in (("ask", "Hello"), ("inspect",), ("health-check",), ("record", "-o", "/never/there")):
            for more in ((), ("--json",)):
                words = ("--site", "http://127.0.0.1:9", option, address, "--timeout", "5")
                done = await run_beside(run, *command, "-vv", *words, *more)
                assert done.code, done
                texts += [done.out, done.err]
    for text in texts:
        assert PROXY_LOGIN.partition(":")[2] not in text


# Values


def test_no_secret_is_in_the_repr_of_what_holds_an_address() -> None:
    url = f"https://{':'.join(LOGIN)}@site.example/"
    proxy = VisitorsProxy(url=f"http://{PROXY_LOGIN}@x:1")
    visitor = VisitorIdentity(user_agent="x", headers=(("authorization", BEARER),), proxy=proxy)
    site = NamedSite(url=url, proxy=proxy.url)
    command = HealthOptions(urls=(url,), site=url, given=site, ping_url=f"https://x/{API_KEY}")
    upstream = UpstreamProxy.of(f"socks5://{PROXY_LOGIN}@x:1")
    for shown in map(repr, (visitor, site, command, upstream)):
        for secret in GIVEN:
            assert secret not in shown


def test_no_secret_is_in_the_repr_of_a_value() -> None:
    box = ChatBox(
        protocol="aipkit",
        kind="inline",
        bot_id=5,
        post_id=9,
        ajax_url="https://site.example/wp-admin/admin-ajax.php",
        nonce=NONCE,
        found_by="html",
    )
    cookie = StoredCookie(name="visitor", value=SITES_COOKIE, domain="x", path="/", is_secure=True)
    tokens = Tokens(
        box=box, nonce=NONCE, page="https://site.example/", rung="html", acquired_at=0.0, cookies=(cookie,)
    )
    visitor = VisitorIds(client_id="CL13NTid00", session_id="s3ssion-id")
    question = Question(text="Hello", conversation_id="c0nversation", thread_id=THREAD)
    request: list[Request] = [
        aipkit.build_upload(box, NONCE, "Hello", message_id="x"),
        aipkit.build_stream_request(
            box,
            NONCE,
            cache_key=CACHE_KEY,
            session_id=visitor.session_id,
            conversation_id="c0nversation",
            now_ms=0,
        ),
        wpaicg.build_message(box, NONCE, question, client_id=visitor.client_id, chat_id=1),
    ]
    head = ReplyHead(status=200, headers={"set-cookie": SITES_COOKIE}, url="https://site.example/")
    shown = repr(
        [
            box,
            cookie,
            tokens,
            visitor,
            question,
            request,
            head,
            ReplyEnding(thread_id=THREAD),
            Acquired(tokens=tokens, requests=1, findings=()),
            SiteRecord(visitor=visitor, tokens={"key": tokens}),
            Change(added={"key": tokens}, dropped=("key", NONCE)),
        ]
    )
    for secret in (*GIVEN, THREAD, "CL13NTid00", "s3ssion-id", "c0nversation"):
        assert secret not in shown
    assert "bot_id=5" in shown


@pytest.mark.parametrize(
    "key",
    [
        API_KEY,
        "sk-S3cretS3cretS3cret",
        "sk-ant-api03-S3cretS3cret_S3cret",
        "AIzaS3cretS3cretS3cretS3cretS3cret",
        "gsk_S3cretS3cretS3cret",
        "xai-S3cretS3cretS3cret",
        "hf_S3cretS3cretS3cret",
    ],
)
def test_a_sites_words_are_passed_on_without_its_key(key: str) -> None:
    for words in (
        f"Incorrect API key provided: {key}.",
        f"Bearer {key}",
        f"cURL error 28: https://ai.example/v1?key={key}&x=1",
    ):
        for shown in (words_of(words), said(f"<title>{words}</title>"), words_of("x" * 985 + f" {key}")):
            assert "S3cret" not in shown
            assert shown
    assert words_of("The risk-free answer is sk-demo, sk-proj-****1234, key=none") == (
        "The risk-free answer is sk-demo, sk-proj-****1234, key=none"
    )


# The browser


@pytest.mark.anyio
async def test_no_secret_is_in_the_failure_of_a_browser_that_tells_all_it_was_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$0 $*" >&2\nenv >&2\nexit 1\n')
    browser.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(browser))
    async with searching(site_of("wpaicg")) as (searched, proxy, url):
        monkeypatch.setenv("CHATGPTT_SITE", url)
        for more in ((), ("--json",)):
            done = await run_beside(
                run, "ask", "-vv", "--strategy", "browser", "--proxy", proxy.url, "Hello", *more
            )
            assert done.code == 1
            assert "browser_failed" in done.out if more else "browser" in done.err
            searched.texts += [done.out, done.err]
        done = await run_beside(
            run, "health-check", "-vv", "--strategy", "browser", "--proxy", proxy.url, url
        )
        searched.texts += [done.out, done.err]
    searched.assert_clean()


@pytest.mark.anyio
async def test_no_secret_is_in_what_is_logged_of_a_browser_that_works(
    demo: DemoSite, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATGPTT_BROWSER")
    state = tmp_path / "state"
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(state))
    page = demo.page("scripted-aipkit/").replace("//", f"//{':'.join(LOGIN)}@")
    async with http_proxy(login=PROXY_LOGIN) as proxy:
        found = await run_beside(run, "inspect", "-vv", "--site", page, "--proxy", proxy.url)
        assert found.code == 0, found
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        done = await run_beside(run, "ask", "-vv", "--site", page, "--proxy", proxy.url, "Hello")
        assert done.code == 0, done
    secrets = spelled((LOGIN[1], PROXY_LOGIN.partition(":")[2]))
    for seen in demo.requests:
        named = {**seen.params, **seen.fields}
        secrets |= {named[name] for name in (*IDS, "_ajax_nonce", "_wpnonce") if named.get(name)}
    assert len(secrets) > 6
    for text in (found.err, done.out, done.err):
        for secret in secrets:
            assert secret not in text
    # What the driver compiled holds nothing of ours; all else is its owner's alone.
    for path in state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 or path.name == "playwright-cache"


# The disk


@pytest.mark.anyio
@pytest.mark.parametrize("protocol", ["wpaicg", "aipkit"])
async def test_what_is_on_disk_is_its_owners_alone_and_holds_no_login(protocol: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with searching(site_of(protocol)) as (_, proxy, url):
        options: Options = {**OPTIONS, "state_dir": state, "proxy": proxy.url}
        async with client_of(url, **options) as client:
            assert (await client.ask("Hello")).text == "Hi there"
            assert (await client.health_check()).verdict == "ok"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
    kept = b"".join(path.read_bytes() for path in state.iterdir()).decode("latin-1")
    assert NONCE in kept
    for secret in spelled((LOGIN[0], LOGIN[1], OWN_COOKIE, BEARER, PROXY_LOGIN, "bob", "Hi there")):
        assert secret not in kept
