"""Acquiring tokens: what is remembered, what is asked for again, and who waits for whom."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from asking import ECHO, answer, client_of, failure
from faults import (
    AIPKIT_PAGE,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    always,
    chat,
    reply,
    reset,
    serving,
    stream_reply,
)

from chatgptt import ChatGpttError, RetryPolicy, Timeouts, TokensNotFoundError, TransportError
from chatgptt.demo import DemoSite, serve
from chatgptt.tokens.pages import past_caches, without_mark

DAY_AND_MORE = 26 * 3600.0


@pytest.fixture
def own_demo() -> Iterator[DemoSite]:
    """A demo whose clock the test may move."""
    with serve() as site:
        yield site


def requests_of(demo: DemoSite) -> list[str]:
    return [f"{seen.method} {seen.status}" for seen in demo.requests]


# The cache


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "requests"), [("wpaicg/", 1), ("wpaicg/json/", 1), ("aipkit/", 2)])
async def test_later_messages_ask_for_no_page_in_this_client_and_in_the_next(
    demo: DemoSite, tmp_path: Path, path: str, requests: int
) -> None:
    async with client_of(demo.page(path), state_dir=tmp_path) as client:
        assert (await client.ask("a")).tokens_from == "html"
        demo.clear()
        reply = await client.ask("b")
        assert (reply.tokens_from, reply.page_requests) == ("cache", 0)
        assert len(demo.requests) == requests
    demo.clear()
    reply = await answer(demo.page(path), "c", state_dir=tmp_path)
    assert (reply.tokens_from, reply.page_requests) == ("cache", 0)
    assert len(demo.requests) == requests


@pytest.mark.anyio
async def test_tokens_are_kept_for_each_page_and_bot(demo: DemoSite, tmp_path: Path) -> None:
    for path, bot, expected in (
        ("wpaicg/many/", None, "html"),
        ("wpaicg/many/", 5, "html"),
        ("wpaicg/custom/", None, "html"),
        ("wpaicg/many/", 5, "cache"),
        ("wpaicg/many/", None, "cache"),
    ):
        assert (await answer(demo.page(path), state_dir=tmp_path, bot=bot)).tokens_from == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("hours", "expected"),
    [(0.0, "cache"), (11.9, "cache"), (12.1, "html"), (-0.1, "html"), (24 * 365.0, "html")],
)
async def test_tokens_older_than_12_hours_or_from_the_future_are_not_tried(
    demo: DemoSite, tmp_path: Path, hours: float, expected: str
) -> None:
    await answer(demo.page("wpaicg/"), state_dir=tmp_path)
    (file,) = tmp_path.glob("*.json")  # noqa: ASYNC240 - a small file
    record = json.loads(file.read_text())
    for tokens in record["tokens"].values():
        tokens["acquired_at"] = time.time() - hours * 3600
    file.write_text(json.dumps(record))
    assert (await answer(demo.page("wpaicg/"), state_dir=tmp_path)).tokens_from == expected


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "wpaicg/json/", "wpaicg-1.8.90/", "aipkit/", "aipkit-2.3.20/"])
async def test_a_nonce_that_has_died_is_renewed_past_all_caches(own_demo: DemoSite, path: str) -> None:
    async with client_of(own_demo.page(path)) as client:
        await client.ask("a")
        own_demo.advance(DAY_AND_MORE)
        own_demo.clear()
        reply = await client.ask("b")
        assert (reply.text, reply.tokens_from, reply.attempts, reply.page_requests) == (
            f"{ECHO}b",
            "html",
            2,
            1,
        )
        assert reply.page == own_demo.page(path)
        page = next(seen for seen in own_demo.requests if seen.method == "GET")
        assert page.params.keys() == {"nocache"}
        assert page.headers["cache-control"] == "no-cache"
        assert [seen.message for seen in own_demo.messages] == ["b"]
        assert own_demo.messages[-1].headers["referer"] == own_demo.page(path)
        own_demo.clear()
        assert (await client.ask("c")).tokens_from == "cache"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "rung"),
    [
        ("wpaicg/cached/", "html"),
        ("wpaicg/cached-hard/", "endpoint"),
        ("aipkit/cached/", "html"),
        ("aipkit/cached-hard/", "endpoint"),
    ],
)
async def test_a_page_cache_that_went_stale_is_got_past(own_demo: DemoSite, path: str, rung: str) -> None:
    own_demo.advance(DAY_AND_MORE)
    reply = await answer(own_demo.page(path))
    assert (reply.text, reply.tokens_from, reply.attempts) == (f"{ECHO}Hello", rung, 2)
    assert [seen.message for seen in own_demo.messages] == ["Hello"]


@pytest.mark.anyio
async def test_a_stale_cache_of_a_site_without_another_way_is_reported_with_findings(
    own_demo: DemoSite,
) -> None:
    own_demo.advance(DAY_AND_MORE)
    error = await failure(own_demo.page("aipkit-2.3.20/cached-hard/"), strategy="static")
    assert error.code == "token_rejected"
    assert [finding.rung for finding in error.findings] == ["html", "script", "endpoint"]
    assert "still shows the nonce that it rejected" in error.findings[0].saw
    assert own_demo.messages == []


@pytest.mark.anyio
async def test_a_rejected_nonce_is_renewed_once_and_then_reported(demo: DemoSite) -> None:
    error = await failure(demo.page("wpaicg/"), "NONCE", strategy="static")
    assert (error.code, error.status) == ("token_rejected", 403)
    assert error.findings
    assert requests_of(demo).count("POST 403") == 2


def swapping(pages: list[str], answers: Callable[[Got], bytes]) -> Answer:
    """A site that shows these pages one after the other."""

    async def site(connection: Connection, got: Got) -> bool:
        if got.method == "GET" and "admin-ajax" not in got.path:
            await connection.send(reply(pages.pop(0) if len(pages) > 1 else pages[0]))
        else:
            await connection.send(answers(got))
        return True

    return site


UNKNOWN_ACTION = reply("0", status=400)


def speaks_2x(got: Got) -> bytes:
    if got.fields.get("action") == "aipkit_cache_sse_message":
        return reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
    if "aipkit_frontend_chat_stream" in got.target:
        return stream_reply(b'data: {"delta":"Hi"}\n\nevent: done\ndata: {}\n\n')
    return UNKNOWN_ACTION


def speaks_1x(got: Got) -> bytes:
    return stream_reply() if "wpaicg" in got.fields.get("action", "") else UNKNOWN_ACTION


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("pages", "speaks", "protocols"),
    [
        ([WPAICG_PAGE, AIPKIT_PAGE], speaks_2x, ("wpaicg", "aipkit")),
        ([AIPKIT_PAGE, WPAICG_PAGE], speaks_1x, ("aipkit", "wpaicg")),
    ],
    ids=["updated", "downgraded"],
)
async def test_a_site_that_changed_plugins_overnight_is_answered_in_its_new_protocol(
    pages: list[str], speaks: Callable[[Got], bytes], protocols: tuple[str, str], tmp_path: Path
) -> None:
    pages = [
        page.format(nonce=nonce) for page, nonce in zip(pages, ("aaaaaaaaa1", "bbbbbbbbb2"), strict=True)
    ]
    async with (
        serving(swapping(pages, speaks)) as server,
        client_of(server.url, state_dir=tmp_path) as client,
    ):
        reply = await client.ask("Hello")
        assert (reply.protocol, reply.page_requests) == (protocols[1], 2)
        assert server.got[2].target.startswith("/?nocache=")
        assert (await client.ask("Hello")).tokens_from == "cache"


@pytest.mark.anyio
async def test_a_site_whose_plugin_is_gone_says_no_chat_box() -> None:
    async with serving(
        swapping([WPAICG_PAGE.format(nonce=NONCE), "<!doctype html><p>Moved"], lambda got: UNKNOWN_ACTION)
    ) as server:
        assert (await failure(server.url)).code == "no_chat_box"
        assert server.count("POST") == 1


@pytest.mark.anyio
async def test_a_box_whose_nonce_is_gone_when_it_must_be_renewed_is_a_rejection_with_findings() -> None:
    pages = [WPAICG_PAGE.format(nonce=NONCE), WPAICG_PAGE.format(nonce="")]
    rejected = reply('{"status":"error","msg":"Nonce verification failed"}', kind="application/json")
    async with serving(swapping(pages, lambda got: rejected)) as server:
        error = await failure(server.url, strategy="static")
    assert error.code == "token_rejected"
    assert {finding.rung for finding in error.findings} == {"html", "script", "endpoint"}


# What each rung saw


@pytest.mark.anyio
async def test_each_rung_says_what_it_saw(demo: DemoSite) -> None:
    error = await failure(demo.page("never/"), strategy="static")
    assert isinstance(error, TokensNotFoundError)
    assert isinstance(error, RuntimeError)
    assert error.message.startswith("Required authentication tokens not found in page HTML")
    assert [(finding.rung, finding.saw) for finding in error.findings] == [
        ("html", "the shortcode box of bot 0 shows no usable nonce"),
        ("script", "no script of the page holds wpaicgParams with a usable nonce"),
        ("endpoint", "the page past caches: no usable nonce"),
        ("endpoint", "an unknown page of the site: no usable nonce"),
        ("endpoint", "the site's front page: no usable nonce"),
    ]
    assert error.message.endswith("shows a chat box, but no rung found its tokens")
    assert error.__notes__[0] == "  html: the shortcode box of bot 0 shows no usable nonce"
    error = await failure(demo.page("aipkit-2.3.20/empty-nonce/"), strategy="static")
    assert [(finding.rung, finding.saw) for finding in error.findings] == [
        ("html", "the inline box of bot 5 shows no usable nonce"),
        ("script", "2.x keeps no nonce in scripts"),
        ("endpoint", "the nonce action: no usable nonce"),
        ("endpoint", "the page past caches: no usable nonce"),
    ]


BARE = '<!doctype html><div class="wpaicg-chat-shortcode" data-post-id="7" data-bot-id="0" data-type="shortcode"></div>'
COMBINED = '<script src="/wp-content/cache/a.js"></script><script src="/wp-content/cache/b.js"></script>'
SCRIPT = 'var wpaicgParams = {"ajax_url":"/wp-admin/admin-ajax.php","search_nonce":"1f2e3d4c5b"};'


@pytest.mark.anyio
@pytest.mark.parametrize(
    "broken",
    [
        reply("gone", status=404),
        reply("<!doctype html>x"),
        reply("var x = 1;", kind="text/javascript"),
        reset,
    ],
    ids=["missing", "a page", "another", "broken off"],
)
async def test_a_combined_script_that_is_of_no_use_does_not_end_the_search(broken: bytes | Answer) -> None:
    async def site(connection: Connection, got: Got) -> bool | None:
        if got.path.endswith("a.js"):
            if not isinstance(broken, bytes):
                return await broken(connection, got)
            await connection.send(broken)
        elif got.path.endswith("b.js"):
            await connection.send(reply(SCRIPT, kind="text/javascript"))
        else:
            await connection.send(stream_reply() if got.is_message else reply(BARE + COMBINED))
        return True

    async with serving(site) as server:
        result = await answer(server.url)
        assert result.tokens_from == "script"
        assert server.got[-1].fields["_wpnonce"] == "1f2e3d4c5b"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (reply("0", status=400), "tokens_missing"),
        (
            reply('{"success":false,"data":{"message":"x","code":"cors_denied"}}', status=403),
            "tokens_missing",
        ),
        (reply('{"success":true,"data":{"nonce":"0000000000"}}'), "tokens_missing"),
        (reply("<title>x</title>", status=502), "http_error"),
        (reply("x", status=429, headers={"Retry-After": "3600"}), "rate_limited"),
    ],
    ids=["unknown", "denied", "placeholder", "failing", "busy"],
)
async def test_a_nonce_action_that_fails_for_a_passing_reason_proves_nothing_about_the_page(
    answers: bytes, code: str
) -> None:
    html = AIPKIT_PAGE.format(nonce="")

    async def site(connection: Connection, got: Got) -> bool:
        await connection.send(answers if got.method == "POST" else reply(html))
        return True

    async with serving(site) as server:
        assert (await failure(server.url, strategy="static")).code == code


WALL = reply("<!doctype html><title>Forbidden</title>", status=403)
CHALLENGE = reply("<!doctype html>", status=403, headers={"cf-mitigated": "challenge"})


@pytest.mark.anyio
@pytest.mark.parametrize("no", [WALL, CHALLENGE, reply("{}", status=404, kind="application/json")])
async def test_a_no_to_a_guess_is_a_finding_and_the_next_guess_is_made(no: bytes) -> None:
    async def site(connection: Connection, got: Got) -> bool:
        is_guess = re.match("/[0-9a-f]{16}/", got.path) is not None
        is_front = got.path == "/" and got.target != "/chat/"
        front = WPAICG_PAGE.format(nonce=NONCE)
        html = reply(front if is_front else BARE)
        await connection.send(stream_reply() if got.is_message else no if is_guess else html)
        return True

    async with serving(site) as server:
        result = await answer(f"{server.url.rstrip('/')}/chat/", strategy="static")
    assert result.tokens_from == "endpoint"


@pytest.mark.anyio
async def test_boxes_without_a_nonce_share_the_one_of_another_box() -> None:
    boxes = BARE + BARE.replace('data-bot-id="0"', f'data-bot-id="5" data-nonce="{NONCE}"')
    async with serving(chat(html=boxes)) as server:
        result = await answer(server.url, bot=0, strategy="static")
        assert (result.tokens_from, server.counts) == ("script", (1, 1))


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 502])
async def test_a_listing_asks_once_for_all_boxes_and_survives_a_failing_guess(status: int) -> None:
    html = "".join(AIPKIT_PAGE.format(nonce="").replace("5", str(bot)) for bot in range(11, 17))

    async def site(connection: Connection, got: Got) -> bool:
        fresh = reply(f'{{"success":true,"data":{{"nonce":"{NONCE}"}}}}', status=status)
        await connection.send(fresh if got.method == "POST" else reply(html))
        return True

    policy = RetryPolicy(attempts=1)
    async with serving(site) as server, client_of(server.url, retry=policy, strategy="static") as client:
        boxes = await client.find_boxes()
        assert server.counts == (1, 1)
    assert [box.nonce for box in boxes] == [NONCE if status == 200 else None] * 6


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["undefined", "idna", "unicode_escape", "hex", "no-such", "windows-1252"])
async def test_a_page_is_read_whatever_character_set_it_names(name: str) -> None:
    html = reply(WPAICG_PAGE.format(nonce=NONCE), kind=f"text/html; charset={name}")
    async with serving(chat(page=always(html))) as server:
        assert (await answer(server.url)).tokens_from == "html"


# Who waits for whom


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_50_messages_at_once_share_one_page_request(demo: DemoSite, path: str) -> None:
    async with client_of(demo.page(path)) as client, anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(client.ask, f"message {number}")
    assert len({seen.message for seen in demo.messages}) == len(demo.messages) == 50
    assert sum(seen.path == f"/{path}" for seen in demo.requests) == 1


@pytest.mark.anyio
async def test_50_rejected_messages_share_one_renewal(own_demo: DemoSite) -> None:
    async with client_of(own_demo.page("wpaicg/")) as client:
        await client.ask("first")
        own_demo.advance(DAY_AND_MORE)
        own_demo.clear()
        async with anyio.create_task_group() as tasks:
            for number in range(50):
                tasks.start_soon(client.ask, f"message {number}")
    assert len(own_demo.messages) == 50
    assert sum(seen.path == "/wpaicg/" for seen in own_demo.requests) == 1


def waiting_at_first(seconds: float, then: bytes, later: bytes | None = None) -> Answer:
    seen: list[Got] = []

    async def answer(connection: Connection, got: Got) -> bool:
        seen.append(got)
        is_first = len(seen) == 1
        await asyncio.sleep(seconds if is_first else 0.0)
        await connection.send(then if is_first or later is None else later)
        return True

    return answer


GOOD = reply(WPAICG_PAGE.format(nonce=NONCE))


@pytest.mark.anyio
async def test_a_cancelled_leader_takes_nobody_with_it() -> None:
    async with serving(chat(page=waiting_at_first(30.0, GOOD))) as server, client_of(server.url) as client:
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as leading:

                async def cancel() -> None:
                    await _until(lambda: bool(server.got))
                    leading.cancel()

                async def follow() -> None:
                    await _until(lambda: bool(server.got))
                    assert (await client.ask("b")).text == "Hi there"

                tasks.start_soon(follow)
                tasks.start_soon(follow)
                tasks.start_soon(cancel)
                await client.ask("a")
        assert server.counts == (2, 2)


@pytest.mark.anyio
async def test_a_leader_whose_time_runs_out_does_not_fail_those_with_more() -> None:
    async with serving(chat(page=waiting_at_first(30.0, GOOD))) as server, client_of(server.url) as client:

        async def lead() -> None:
            with pytest.raises(TransportError) as caught:
                await client.ask("a", timeout=0.3)
            assert caught.value.code == "timeout"

        async def follow() -> None:
            await _until(lambda: bool(server.got))
            assert (await client.ask("b")).text == "Hi there"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lead)
            for _ in range(5):
                tasks.start_soon(follow)
        assert server.counts == (2, 5)


@pytest.mark.anyio
async def test_a_leader_who_may_not_wait_for_a_busy_site_does_not_fail_those_who_may() -> None:
    busy = reply("later", status=503, headers={"Retry-After": "2"})
    async with (
        serving(chat(page=waiting_at_first(0.2, busy, GOOD))) as server,
        client_of(server.url) as client,
    ):

        async def lead() -> None:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("a", timeout=1.5)
            assert caught.value.code == "rate_limited"

        async def follow() -> None:
            await _until(lambda: bool(server.got))
            assert (await client.ask("b", timeout=20.0)).text == "Hi there"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lead)
            tasks.start_soon(follow)
        assert server.counts == (2, 1)


@pytest.mark.anyio
async def test_a_follower_whose_time_runs_out_first_fails_alone() -> None:
    async with serving(chat(page=waiting_at_first(0.6, GOOD))) as server, client_of(server.url) as client:

        async def follow() -> None:
            await _until(lambda: bool(server.got))
            with pytest.raises(TransportError, match="while waiting for tokens") as caught:
                await client.ask("b", timeout=0.1)
            assert caught.value.code == "timeout"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            assert (await client.ask("a")).text == "Hi there"
        assert server.counts == (1, 1)


@pytest.mark.anyio
async def test_a_failure_is_shared_and_each_caller_has_an_error_of_its_own() -> None:
    async with (
        serving(chat(page=waiting_at_first(0.2, reply("<!doctype html>no")))) as server,
        client_of(server.url) as client,
    ):
        errors: list[ChatGpttError] = []

        async def ask() -> None:
            with pytest.raises(ChatGpttError) as caught:
                await client.ask("a")
            errors.append(caught.value)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
        assert server.counts == (1, 0)
    assert {error.code for error in errors} == {"no_chat_box"}
    assert len({id(error) for error in errors}) == 20
    assert all(error.findings for error in errors)


@pytest.mark.anyio
async def test_callers_with_the_same_patience_share_a_timeout_of_the_page() -> None:
    bounds = Timeouts(total=20.0, page=0.2)
    async with serving(chat(page=waiting_at_first(30.0, GOOD))) as server:
        async with client_of(server.url, timeout=bounds, retry=RetryPolicy(attempts=1)) as client:

            async def ask() -> None:
                with pytest.raises(TransportError) as caught:
                    await client.ask("a")
                assert caught.value.code == "timeout"

            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(ask)
        assert server.counts == (1, 0)


@pytest.mark.anyio
async def test_the_visitor_s_cookie_goes_from_the_page_to_the_message_and_to_the_next_process(
    demo: DemoSite, tmp_path: Path
) -> None:
    page = demo.page("cookies/")
    await answer(page, state_dir=tmp_path)
    (message,) = demo.messages
    cookie = message.headers["cookie"]
    assert re.fullmatch("demo_visitor=[0-9a-f]{16}", cookie)
    demo.clear()
    assert (await answer(page, state_dir=tmp_path)).tokens_from == "cache"
    assert [seen.headers.get("cookie") for seen in demo.requests] == [cookie]


def test_the_mark_that_gets_past_caches_leaves_the_url_as_it_was() -> None:
    for url in (
        "http://a.test/",
        "http://a.test/?p=1",
        "http://a.test/x?p=1#top",
        "http://a.test/?nocache=1",
    ):
        marked = past_caches(url)
        assert marked != url
        assert without_mark(marked) == url
    assert without_mark("http://a.test/?nocache=0123456789ab&lang=fr") == "http://a.test/?lang=fr"


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await anyio.sleep(0.005)
