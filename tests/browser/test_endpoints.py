"""What a browser is asked after a message that was refused, and what it is not asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from asking import client_of, failure
from faults import NONCE, WPAICG_PAGE, Connection, Got, reply, serving, stream_reply

from chatgptt.demo import DemoSite

pytestmark = pytest.mark.anyio

NO_CACHE = {"Expires": "Wed, 11 Jan 1984 05:00:00 GMT", "X-Robots-Tag": "noindex"}
LOCKED = reply("Sorry, visitors may not do this here.", status=403, headers=NO_CACHE)
MERGED = 'var wpaicgParams = {"ajax_url":"/hidden/ajax.php","search_nonce":"1f2e3d4c5b"};'
SCRIPTED = WPAICG_PAGE.format(nonce="") + (
    "<script>setTimeout(function () { document.querySelector('div').dataset.nonce = atob('MWYyZTNkNGM1Yg=='); }, 50);"
    "</script>"
)


@pytest.mark.parametrize("seconds", [0, 1.5])
async def test_a_browser_finds_an_endpoint_that_only_a_merged_script_names(seconds: float) -> None:
    async def site(connection: Connection, got: Got) -> bool:
        if got.path == "/cache/merged.js":
            await asyncio.sleep(seconds)
            await connection.send(reply(MERGED, kind="text/javascript"))
        elif got.method == "POST":
            missing = reply("<title>Not found</title>", status=404)
            await connection.send(stream_reply() if got.path == "/hidden/ajax.php" else missing)
        else:
            script = "<script src=/cache/merged.js></script>"
            await connection.send(reply(WPAICG_PAGE.format(nonce=NONCE) + script))
        return True

    async with serving(site) as server, client_of(server.url) as client:
        first = await client.ask("Hello")
        again = await client.ask("Hello")
    assert (first.text, first.attempts, first.tokens_from) == ("Hi there", 2, "browser")
    assert (again.attempts, again.tokens_from) == (1, "cache")


async def test_a_refusal_in_the_browser_strategy_is_told_after_two_messages() -> None:
    async def site(connection: Connection, got: Got) -> bool:
        await connection.send(LOCKED if got.method == "POST" else reply(SCRIPTED))
        return True

    async with serving(site) as server:
        error = await failure(server.url, strategy="browser")
        assert server.count("POST") == 2
    assert (error.code, error.status) == ("http_error", 403)
    assert "may not do this" in error.message


async def test_a_refusal_of_a_page_known_to_need_the_browser_is_told_after_two_messages(
    tmp_path: Path,
) -> None:
    answers = [stream_reply()]
    shows = [SCRIPTED]

    async def site(connection: Connection, got: Got) -> bool:
        if got.method == "POST":
            await connection.send(answers.pop() if answers else LOCKED)
        else:
            missing = reply("<!doctype html>Not found", status=404)
            await connection.send(reply(shows[0]) if got.path == "/chat/" else missing)
        return True

    async with serving(site) as server:
        async with client_of(f"{server.url}/chat/", state_dir=tmp_path) as client:
            assert (await client.ask("Hello")).tokens_from == "browser"
        shows[0] = SCRIPTED.replace('data-nonce=""', 'data-nonce="5ca1ab1e00"')  # a placeholder from now on
        error = await failure(f"{server.url}/chat/", state_dir=tmp_path)
        assert server.count("POST") == 3
    assert (error.code, error.status) == ("http_error", 403)
    assert {got.fields["_wpnonce"] for got in server.got if got.method == "POST"} == {NONCE}


async def test_a_nonce_that_scripts_may_replace_is_not_sent_again_before_a_browser_looked(
    demo: DemoSite,
) -> None:
    demo.clear()
    async with client_of(demo.page("browser/placeholder/")) as client:
        reply = await client.ask("Hello")
    assert (reply.attempts, reply.tokens_from) == (2, "browser")
