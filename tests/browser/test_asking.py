"""A whole call where scripts make the tokens: acquired in the browser, answered over httpx."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from asking import client_of
from browser.processes import Traces
from faults import WPAICG_PAGE, Connection, Got, reply, serving, stream_reply

from chatgptt import ChatGpttError, RefusedError, Reply
from chatgptt.demo import DemoSite
from chatgptt.tokens.store import MEMORY

pytestmark = pytest.mark.anyio

SCRIPTED = WPAICG_PAGE.format(nonce="") + (
    "<script>setTimeout(() => { document.querySelector('div').dataset.nonce = atob('MWYyZTNkNGM1Yg=='); }, 50);"
    "</script>"
)


@pytest.mark.parametrize(
    ("path", "rung"),
    [
        ("browser/fetched/", "browser"),
        ("browser/delayed/", "browser"),
        ("browser/placeholder/", "browser"),
        ("browser/frame/", "browser"),
        ("browser/shadow-closed/", "browser"),
        ("browser/injected/", "browser"),
        ("browser-2x/embed/", "browser"),
        ("wpaicg/", "html"),
        ("wpaicg/wrapped-type/", "script"),
        ("aipkit/empty-nonce/", "endpoint"),
    ],
)
async def test_the_answer_comes_over_httpx_with_tokens_of_the_cheapest_rung(
    demo: DemoSite, traces: Traces, path: str, rung: str
) -> None:
    demo.clear()
    async with client_of(demo.page(path)) as client:
        reply = await client.ask("Hello")
        again = await client.ask("Hello again")
    assert (reply.tokens_from, again.tokens_from) == (rung, "cache")
    assert "made up" in reply.text
    assert [seen.message for seen in demo.messages] == ["Hello", "Hello again"]
    assert all("chrome" in seen.headers["user-agent"].lower() for seen in demo.messages)


async def test_what_a_site_needs_is_remembered_for_a_day(
    demo: DemoSite, traces: Traces, tmp_path: Path
) -> None:
    page = demo.page("browser/fetched/")

    async def ask(message: str) -> tuple[Reply, int]:
        demo.clear()
        async with client_of(page, state_dir=tmp_path / "state") as client:
            reply = await client.ask(message)
        return reply, sum(seen.path == "/browser/fetched/" for seen in demo.requests)

    first, visits = await ask("one")
    assert (first.tokens_from, visits) == ("browser", 3)  # as served, past caches, then as run
    file = next((tmp_path / "state").glob("*.json"))
    forgotten = file.read_text().replace(f'"nonce": "{_nonce(file)}"', '"nonce": ""')
    file.write_text(forgotten)
    second, visits = await ask("two")
    assert (second.tokens_from, visits) == ("browser", 1)  # straight to the browser


async def test_a_browser_that_was_needed_before_starts_while_the_page_is_read(
    traces: Traces, tmp_path: Path
) -> None:
    waits = False

    async def site(connection: Connection, got: Got) -> bool:
        nonlocal waits
        if waits and not got.is_message:
            waits = False
            with anyio.fail_after(30):
                while not traces.browsers():  # noqa: ASYNC110 - processes set no event
                    await anyio.sleep(0.02)
        await connection.send(stream_reply() if got.is_message else reply(SCRIPTED))
        return True

    async with serving(site) as server:
        async with client_of(server.url, state_dir=tmp_path) as client:
            assert (await client.ask("Hello")).tokens_from == "browser"
        age_memory(tmp_path)
        waits = True
        async with client_of(server.url, state_dir=tmp_path) as client:
            assert (await client.ask("Hello")).tokens_from == "browser"
        assert not waits


def age_memory(folder: Path) -> None:
    """Forgets the tokens, and makes what a site needs so old that all rungs are tried again."""
    (file,) = folder.glob("*.json")
    record = json.loads(file.read_text())
    long_ago = {key: since - 2 * MEMORY for key, since in record["needs_browser"].items()}
    file.write_text(json.dumps(record | {"needs_browser": long_ago, "tokens": {}}))


def _nonce(file: Path) -> str:
    return file.read_text().split('"nonce": "')[1].split('"')[0]


async def test_a_page_that_scripts_block_behind_consent_is_refused(demo: DemoSite, traces: Traces) -> None:
    async with client_of(demo.page("browser/consent/")) as client:
        with pytest.raises(RefusedError) as caught:
            await client.ask("Hello")
    assert caught.value.reason == "consent_required"


async def test_a_page_that_never_gets_a_token_says_what_every_rung_saw(
    demo: DemoSite, traces: Traces
) -> None:
    async with client_of(demo.page("browser/never/")) as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    assert caught.value.code == "tokens_missing"
    assert {finding.rung for finding in caught.value.findings} >= {"html", "script", "browser"}
