"""What a page's scripts get to do: make the chat box, and leave nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from asking import failure
from browser.acquiring import Acquiring
from faults import NONCE, Connection, Got, always, reply, serving

pytestmark = pytest.mark.anyio

_BOX = """
    const box = document.createElement("div");
    box.className = "wpaicg-chat-shortcode";
    for (const [name, value] of Object.entries({nonce: "%s", "post-id": "7", "bot-id": "0", type: "shortcode"}))
        box.setAttribute("data-" + name, value);
    document.body.append(box);
"""
BOX = _BOX.replace("%s", NONCE)
HINT = '<link href="/wp-content/plugins/gpt3-ai-content-generator/public/a.css">'


def page(script: str) -> bytes:
    return reply(f"<!doctype html><title>A</title>{HINT}<body><script>{script}</script>")


async def test_strategy_static_starts_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, mark = tmp_path / "browser", tmp_path / "started"
    browser.write_text(f"#!/bin/sh\ntouch {mark}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(browser))
    async with serving(always(page(BOX))) as server:
        assert (await failure(server.url, strategy="static")).code == "no_chat_box"
        assert not mark.exists()
        await failure(server.url)
        assert mark.exists()  # so that the test can fail


async def test_a_visit_knows_nothing_of_the_one_before(acquiring: Acquiring) -> None:
    script = (
        "fetch(`/seen?${document.cookie}&${localStorage.length}`);"
        "document.cookie = 'mark=1'; localStorage.setItem('mark', '1');"
    )
    async with serving(always(page(script + BOX))) as server:
        for _ in range(2):
            await acquiring.acquire(f"{server.url}/", strategy="browser")
        assert {got.target for got in server.got if got.path == "/seen"} == {"/seen?&0"}


async def test_nothing_is_downloaded_and_no_service_worker_stays(acquiring: Acquiring) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        if got.path == "/file":
            head = {"Content-Disposition": "attachment; filename=planted.sh"}
            await connection.send(reply("#!/bin/sh", kind="application/octet-stream", headers=head))
        elif got.path == "/worker.js":
            await connection.send(reply("", kind="text/javascript"))
        else:
            script = (
                "navigator.serviceWorker.register('/worker.js').catch(() => 0);"
                "const link = document.createElement('a'); link.href = '/file'; link.download = 'planted.sh';"
                "document.body.append(link); link.click();"
            )
            await connection.send(page(f"{script} setTimeout(() => {{ {BOX} }}, 300);"))
        return True

    async with serving(answer) as server:
        acquired = await acquiring.acquire(f"{server.url}/", strategy="browser")
        assert acquired.tokens.nonce == NONCE
        assert not any(got.path == "/worker.js" for got in server.got)
    # The fixture's end asserts that no file is left in the browser's folders.
