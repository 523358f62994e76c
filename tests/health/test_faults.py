"""Every fault that the demo site can play, and those that take a server of their own: which step fails, with which
code, what that makes of the site, and with which exit code the command ends."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

import httpx
import pytest
import trustme
from asking import client_of
from faults import (
    ANSWER,
    NONCE,
    WPAICG_PAGE,
    always,
    chat,
    closed_port,
    reply,
    serving,
    silence,
    stream_reply,
)
from proxies import http_proxy

from chatgptt import InvalidInputError, RetryPolicy, Strategy
from chatgptt._models import Level
from chatgptt.demo import DemoSite, serve
from chatgptt.health.history import History
from chatgptt.health.report import EXIT_CODES, PHASES, HealthReport
from chatgptt.health.trends import read_trend

pytestmark = pytest.mark.anyio

ONCE = RetryPolicy(attempts=1)
PATIENT = RetryPolicy(first_wait=0.01)


class Checked(TypedDict, total=False):
    message: str
    expect: str
    warn: float
    timeout: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """A page of the demo, and what comes of checking it."""

    page: str
    phase: str
    code: str
    verdict: str = "critical"
    exit_code: int = 2
    words: str = ""
    """What the failing phase says, as a pattern."""
    bot: str = ""
    level: Level = "full"
    strategy: Strategy = "static"
    options: Checked = field(default_factory=Checked)


def said(message: str) -> Checked:
    return {"message": message}


TABLE: dict[str, Row] = {
    "page not found": Row(page="status/404/", phase="page", code="http_error", words="HTTP 404"),
    "page fails": Row(page="status/500/", phase="page", code="http_error", words="HTTP 500"),
    "page is a PDF": Row(page="pdf/", phase="page", code="http_error", words="application/pdf"),
    "page redirects in a circle": Row(page="loop/", phase="page", code="http_error", words="circle"),
    "challenge instead of the page": Row(page="challenge/cloudflare/", phase="page", code="challenge"),
    "challenge without a header": Row(page="challenge/body/", phase="page", code="challenge"),
    "rate limit on the page": Row(page="status/429/", phase="page", code="rate_limited", words="3600 s"),
    "no box": Row(page="wpaicg/nochat/", phase="box", code="no_chat_box"),
    "not the wanted bot": Row(page="wpaicg/", phase="box", code="no_chat_box", bot="77", words="77"),
    "two boxes and no bot named": Row(
        page="wpaicg/unclosed/",
        phase="box",
        code="several_bots",
        verdict="warning",
        exit_code=1,
        words="4 .*5 ",
    ),
    "tokens missing": Row(page="never/", phase="tokens", code="tokens_missing", words="script: "),
    "tokens missing, nothing sent": Row(page="never/", phase="tokens", code="tokens_missing", level="tokens"),
    "browser needed but missing": Row(
        page="scripted/",
        phase="tokens",
        code="browser_missing",
        verdict="unknown",
        exit_code=3,
        strategy="browser",
    ),
    "nonce rejected": Row(page="wpaicg/", phase="message", code="token_rejected", options=said("NONCE")),
    "nonce rejected, 2.x": Row(page="aipkit/", phase="message", code="token_rejected", options=said("NONCE")),
    "challenge on the message": Row(page="challenge/message/", phase="message", code="challenge"),
    "challenge on the message with 429": Row(
        page="challenge/message-429/", phase="message", code="challenge"
    ),
    "rate limit on the message": Row(
        page="wpaicg/", phase="message", code="rate_limited", words="7200 s", options=said("BUSYLONG")
    ),
    "quota": Row(
        page="wpaicg/", phase="message", code="refused", words=r"refused \(quota\)", options=said("QUOTA")
    ),
    "quota, 2.x": Row(
        page="aipkit/", phase="message", code="refused", words=r"refused \(quota\)", options=said("QUOTA")
    ),
    "ban": Row(
        page="wpaicg/json/",
        phase="message",
        code="refused",
        words=r"refused \(banned_ip\)",
        options=said("BANIP"),
    ),
    "moderation": Row(
        page="wpaicg/",
        phase="message",
        code="refused",
        words=r"refused \(moderation\)",
        options=said("MODERATION"),
    ),
    "no guests": Row(
        page="aipkit/guests-disabled/", phase="message", code="refused", words=r"refused \(guests_disabled\)"
    ),
    "the site breaks on the message": Row(
        page="wpaicg/", phase="message", code="http_error", words="HTTP 500", options=said("ERR500")
    ),
    "provider fails": Row(
        page="wpaicg/", phase="first_text", code="provider_error", options=said("PROVIDER500")
    ),
    "provider fails, 2.x": Row(
        page="aipkit/", phase="first_text", code="provider_error", options=said("PROVIDER429")
    ),
    "empty answer": Row(page="wpaicg/", phase="first_text", code="empty_answer", options=said("EMPTY")),
    "empty answer, 2.x": Row(page="aipkit/", phase="first_text", code="empty_answer", options=said("EMPTY")),
    "no answer in time, 1.x": Row(  # whose first byte comes with the first text
        page="wpaicg/", phase="message", code="timeout", options={"message": "SLOW 30", "timeout": 1.0}
    ),
    "no answer in time, 2.x": Row(
        page="aipkit/", phase="first_text", code="timeout", options={"message": "SLOW 30", "timeout": 1.0}
    ),
    "stream cut": Row(page="wpaicg/", phase="answer", code="stream_interrupted", options=said("DROP")),
    "stream cut, 2.x": Row(page="aipkit/", phase="answer", code="stream_interrupted", options=said("CUT")),
    "first text after 5 s": Row(
        page="wpaicg/",
        phase="first_text",
        code="slow",
        verdict="warning",
        exit_code=1,
        words="more than 4 s",
        options={"message": "SLOW 5", "warn": 4.0},
    ),
    "another answer than expected": Row(
        page="wpaicg/", phase="answer", code="unexpected_answer", options={"expect": "^OK$"}
    ),
}


@pytest.mark.parametrize("name", TABLE)
async def test_a_fault_shows_in_its_phase(name: str, demo: DemoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGPTT_BROWSER", "/nowhere/chromium")
    row = TABLE[name]
    async with client_of(demo.page(row.page), bot=row.bot, strategy=row.strategy, retry=PATIENT) as client:
        report = await client.health_check(row.level, **row.options)
    check(report, row)


def check(report: HealthReport, row: Row) -> None:
    seen = report.failing
    assert seen is not None, report
    assert (seen.name, seen.code, report.verdict, report.exit_code) == (
        row.phase,
        row.code,
        row.verdict,
        row.exit_code,
    )
    assert report.code == row.code
    assert re.search(row.words, seen.detail), seen.detail
    assert report.hint
    assert EXIT_CODES[report.verdict] == row.exit_code
    is_consistent(report)


def is_consistent(report: HealthReport) -> None:
    """All nine phases, nothing after a failure, and times that add up to no more than the whole."""
    assert tuple(phase.name for phase in report.phases) == PHASES
    statuses = [phase.status for phase in report.phases]
    if "fail" in statuses:
        assert set(statuses[statuses.index("fail") + 1 :]) <= {"skip"}
    for phase in report.phases:
        assert phase.elapsed is None or phase.elapsed >= 0.0, phase
        assert (phase.code is not None) == (phase.status in ("warn", "fail")), phase
        assert phase.detail
    in_a_row = sum(
        phase.elapsed or 0.0
        for phase in report.phases
        if phase.name != "message" or not report.phase("first_text").elapsed
    )
    assert in_a_row <= report.elapsed + 0.001


# What the demo cannot play: names, connections, TLS, proxies


Certificate = Literal["good", "expired", "self-signed", "ending", "other name"]


def tls_context(kind: Certificate, authority: trustme.CA) -> ssl.SSLContext:
    now = datetime.datetime.now(datetime.UTC)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    match kind:
        case "good":
            authority.issue_cert("127.0.0.1").configure_cert(context)
        case "expired":
            authority.issue_cert(
                "127.0.0.1", not_before=now - datetime.timedelta(90), not_after=now - datetime.timedelta(1)
            ).configure_cert(context)
        case "ending":
            authority.issue_cert("127.0.0.1", not_after=now + datetime.timedelta(5)).configure_cert(context)
        case "other name":
            authority.issue_cert("other.example").configure_cert(context)
        case "self-signed":
            own = trustme.CA()
            with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
                context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def chat_over_tls(kind: Certificate, authority: trustme.CA) -> AsyncIterator[str]:
    async with serving(chat(), tls=tls_context(kind, authority)) as server:
        yield server.url


@pytest.mark.parametrize(
    ("kind", "words"),
    [("expired", "expired"), ("self-signed", "self.signed"), ("other name", "not valid for|match")],
)
async def test_a_bad_certificate_fails_tls(kind: Certificate, words: str, authority: trustme.CA) -> None:
    async with chat_over_tls(kind, authority) as page, client_of(page, retry=ONCE) as client:
        report = await client.health_check()
    check(report, Row(page="", phase="tls", code="tls_error", words=words))
    assert report.phase("tcp").status == "pass"


async def test_a_certificate_that_ends_soon_is_a_warning(authority: trustme.CA) -> None:
    async with chat_over_tls("ending", authority) as page, client_of(page) as client:
        report = await client.health_check()
        lenient = await client.health_check(cert_days=3)
    check(
        report,
        Row(
            page="",
            phase="tls",
            code="certificate_expiring",
            verdict="warning",
            exit_code=1,
            words=r"TLSv1\.3, certificate ends in [45]\.\d days",
        ),
    )
    assert report.certificate_expires_at is not None
    assert report.phase("answer").status == "pass"
    assert lenient.verdict == "ok"


async def test_a_good_certificate_passes(authority: trustme.CA) -> None:
    async with chat_over_tls("good", authority) as page, client_of(page) as client:
        report = await client.health_check()
    assert report.verdict == "ok", report
    assert report.phase("tls").elapsed


async def test_plans_that_cannot_work_are_told_at_once(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        with pytest.raises(InvalidInputError, match="unknown level 'deep'"):
            await client.health_check("deep")  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match="no regular expression"):
            await client.health_check(expect="(")
    with pytest.raises(InvalidInputError, match="closed"):
        await client.health_check()
    assert demo.requests == []


async def test_a_closed_port_fails_tcp() -> None:
    async with client_of(f"http://127.0.0.1:{closed_port()}/", retry=ONCE) as client:
        report = await client.health_check()
    check(report, Row(page="", phase="tcp", code="connect_error", words="(?i)refused|failed"))


async def test_a_name_that_does_not_resolve_fails_dns() -> None:
    # No name server is asked: a label this long is no name at all.
    async with client_of(f"http://{'x' * 70}.invalid/", retry=ONCE) as client:
        report = await client.health_check()
    check(report, Row(page="", phase="dns", code="dns_error", words="cannot find"))


async def test_a_name_that_resolves_passes_dns() -> None:
    async with serving(chat()) as server, client_of(f"http://localhost:{server.port}/") as client:
        report = await client.health_check()
    assert report.verdict == "ok", report
    assert report.phase("dns").status == "pass"
    assert "127.0.0.1" in report.phase("dns").detail


@pytest.mark.parametrize(
    ("number", "words"), [(-3, "no name server answers this machine"), (101, "this machine's network")]
)
async def test_a_machine_without_a_network_says_nothing_about_the_site(number: int, words: str) -> None:
    async with (
        httpx.AsyncClient(transport=NoNetwork(number)) as http,
        client_of("https://site.example/", http_client=http, retry=ONCE) as client,
    ):
        report = await client.health_check()
    assert (report.verdict, report.exit_code) == ("unknown", 3)
    assert words in report.summary


class NoNetwork(httpx.AsyncBaseTransport):
    """Fails as a connection fails on a machine that has none."""

    def __init__(self, number: int) -> None:
        self._number = number

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reason = (
            socket.gaierror(self._number, "Temporary failure in name resolution")
            if self._number < 0
            else OSError(self._number, "Network is unreachable")
        )
        raise httpx.ConnectError("All connection attempts failed") from reason


@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_a_pause_that_this_machine_keeps_says_nothing_about_the_site(
    path: str, demo: DemoSite, tmp_path: Path
) -> None:
    async with client_of(demo.page(path), state_dir=tmp_path) as client:
        report = await client.health_check(message="BUSYLONG")
        assert (report.verdict, report.code) == ("critical", "rate_limited")  # the site said so
    demo.clear()
    async with client_of(demo.page(path), state_dir=tmp_path) as another:
        report = await another.health_check()
    assert (report.verdict, report.code, report.exit_code) == ("unknown", "rate_limited", 3)
    assert "nothing was sent" in report.summary
    assert "a pause that this machine keeps" in report.summary
    assert all(request.method == "GET" for request in demo.requests)
    History(tmp_path / "kept").add([report])
    trend = read_trend(History(tmp_path / "kept").read(report.site, since=0.0))
    assert (trend.availability, trend.incidents) == (None, ())


async def test_a_dead_proxy_is_not_the_sites_fault() -> None:
    proxy = f"http://127.0.0.1:{closed_port()}"
    async with client_of("http://site.example/", proxy=proxy, retry=ONCE) as client:
        report = await client.health_check()
    assert (report.verdict, report.code, report.failing and report.failing.name) == (
        "unknown",
        "connect_error",
        "tcp",
    )
    assert "the proxy, not the site" in report.summary


async def test_a_proxy_looks_the_name_up(demo: DemoSite) -> None:
    async with http_proxy() as proxy, client_of(demo.page("wpaicg/"), proxy=proxy.url) as client:
        report = await client.health_check()
    assert report.verdict == "ok", report
    assert report.phase("dns").status == "skip"
    assert "the proxy" in report.phase("tcp").detail


async def test_a_server_that_says_nothing_fails_the_page() -> None:
    async with serving(silence) as server, client_of(server.url, retry=ONCE) as client:
        report = await client.health_check(timeout=0.5)
    check(report, Row(page="", phase="page", code="timeout"))


# What only a check notices


async def test_a_stale_page_cache_is_a_warning_though_an_answer_comes() -> None:
    with serve() as site:
        async with client_of(site.page("wpaicg/cached/")) as client:
            assert (await client.health_check()).verdict == "ok"
            site.advance(30 * 3600.0)
            report = await client.health_check()
    check(
        report,
        Row(page="", phase="page", code="stale_cache", verdict="warning", exit_code=1, words="age: 108"),
    )
    assert report.phase("tokens").code == "stale_cache"
    assert "rejected" in report.phase("tokens").detail
    assert report.phase("answer").status == "pass"


async def test_a_page_that_sat_in_a_cache_for_too_long_is_a_warning() -> None:
    old = always(reply(WPAICG_PAGE.format(nonce=NONCE), headers={"Age": "50000", "X-Cache": "HIT"}))
    async with serving(chat(page=old)) as server, client_of(server.url) as client:
        report = await client.health_check("tokens")
    check(
        report,
        Row(page="", phase="page", code="stale_cache", verdict="warning", exit_code=1, words="age: 50000"),
    )


async def test_a_naming_of_the_bot_ends_the_doubt(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/unclosed/"), bot=5) as client:
        report = await client.health_check()
    assert report.verdict == "ok", report
    assert "bot 5" in report.phase("box").detail


async def test_the_expected_answer_passes(demo: DemoSite) -> None:
    async with client_of(demo.page("aipkit/")) as client:
        report = await client.health_check(expect="made up by the demo")
    assert report.verdict == "ok", report
    assert "matches" in report.phase("answer").detail


async def test_redirects_and_sizes_are_seen(demo: DemoSite) -> None:
    async with client_of(demo.page("moved/")) as client:
        report = await client.health_check("page")
    assert report.verdict == "ok"
    assert re.match(r"HTTP 200, \d+ kB, 1 redirect to http://", report.phase("page").detail)


# What a check costs


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/", "wpaicg/placeholder/", "wpaicg/no-nonce/"])
async def test_a_check_makes_the_requests_of_one_ask(page: str, demo: DemoSite) -> None:
    async with client_of(demo.page(page), strategy="static") as client:
        await client.ask("Hello")
    asked = [(seen.method, seen.path) for seen in demo.requests]
    demo.clear()
    async with client_of(demo.page(page), strategy="static") as client:
        report = await client.health_check()
    assert report.is_working
    checked = [(seen.method, seen.path) for seen in demo.requests]
    assert [method for method, _ in checked] == [method for method, _ in asked]
    assert len(demo.messages) == 1


@pytest.mark.parametrize("level", ["page", "tokens"])
async def test_only_a_full_check_sends_a_message(level: Level, demo: DemoSite) -> None:
    async with client_of(demo.page("aipkit/")) as client:
        report = await client.health_check(level)
    assert report.verdict == "ok"
    assert [seen.method for seen in demo.requests] == ["GET"]
    assert all(phase.status == "skip" for phase in report.phases[6:])


async def test_a_message_is_sent_once_even_where_the_client_would_repeat_it() -> None:
    failing = always(reply("gone", status=504))
    async with (
        serving(chat(message=failing)) as server,
        client_of(server.url, retry=RetryPolicy(first_wait=0.01, retry_ambiguous=True)) as client,
    ):
        report = await client.health_check()
        assert server.counts == (1, 1)
    assert report.code == "http_error"


async def test_what_is_remembered_of_tokens_does_not_hide_a_broken_page() -> None:
    pages = iter([reply(WPAICG_PAGE.format(nonce=NONCE)), reply("gone", status=404)])

    async def page(connection: object, got: object) -> bool:
        await connection.send(next(pages))  # type: ignore[attr-defined]
        return True

    async with (
        serving(chat(page=page, message=always(stream_reply(ANSWER)))) as server,
        client_of(server.url) as client,
    ):
        await client.ask("Hello")
        report = await client.health_check()
    assert (report.verdict, report.code) == ("critical", "http_error")
