"""The window for a person's visit: what it keeps, when, and that nothing of it stays behind.

The browser is a real one that is told to draw its window nowhere, so these tests need no screen.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio.to_thread
import pytest
from browser.processes import Traces
from cli.commands import COMMAND, Terminal, on_terminal, run_process
from faults import Answer, Connection, Got, Server, closed_port, reply, serving
from proxies import http_proxy

from chatgptt.browser.installed import find_browser
from chatgptt.visits import path_of_visit
from chatgptt.visits.kept import find_visit

pytestmark = pytest.mark.anyio

READY = "Ctrl-C keeps nothing"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(autouse=True)
def windowed(traces: Traces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser with windows, as far as the command can tell. A page may close its own."""
    browser = tmp_path / "browser"
    closing = "--blink-settings=allowScriptsToCloseWindows=true"
    browser.write_text(f'#!/bin/sh\nexec "{find_browser().path}" --headless "$@" {closing}\n')
    browser.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(browser))
    monkeypatch.setenv("DISPLAY", ":0")


def page(script: str = "") -> Answer:
    """A page that leaves a cookie and an entry of local storage."""
    body = f"<title>A</title><script>localStorage.setItem('k', 'v'); {script}</script>"

    async def answer(connection: Connection, got: Got) -> bool:
        headers = {"Set-Cookie": "member=1; Path=/wp-admin; HttpOnly; Max-Age=9000"}
        await connection.send(reply(body, headers=headers) if got.path == "/" else reply("", status=404))
        return True

    return answer


@pytest.fixture
async def site() -> AsyncIterator[Server]:
    async with serving(page()) as server:
        yield server


async def in_terminal(server: Server, act: Callable[[Terminal], None], *more: str) -> tuple[int, str]:
    """Runs `login` on a terminal where somebody acts once the window is there; exit code and output."""

    def run() -> tuple[int, str]:
        with on_terminal("login", "--site", server.url, *more) as terminal:
            terminal.wait_for(READY)
            act(terminal)
            return terminal.wait_for_end(), terminal.seen

    return await anyio.to_thread.run_sync(run)


def check_kept(state: Path, server: Server) -> None:
    kept = find_visit(state, server.url)
    assert kept is not None
    assert [(one.name, one.value, one.path, one.is_http_only) for one in kept.cookies] == [
        ("member", "1", "/wp-admin", True)
    ]
    assert kept.cookies[0].expires is not None
    assert [(one.origin, one.name, one.value) for one in kept.storage] == [(server.url, "k", "v")]
    assert kept.source == "browser"
    assert kept.user_agent == server.got[0].headers["user-agent"]


def check_nothing_kept(state: Path) -> None:
    assert not state.exists() or list(state.glob("*.visit")) == []


async def test_enter_keeps_the_visit(site: Server, state: Path) -> None:
    code, shown = await in_terminal(site, lambda terminal: terminal.type("\r"))
    assert code == 0, shown
    assert f"kept for {site.url}" in shown
    check_kept(state, site)


async def test_closing_the_window_keeps_the_visit(state: Path) -> None:
    async with serving(page("setTimeout(() => window.close(), 1000)")) as server:
        code, shown = await in_terminal(server, lambda terminal: None)
        assert code == 0, shown
        check_kept(state, server)


async def test_ctrl_c_keeps_nothing(site: Server, state: Path) -> None:
    code, shown = await in_terminal(site, lambda terminal: terminal.type("\x03"))
    assert code == 130
    assert "Traceback" not in shown
    check_nothing_kept(state)


async def test_a_window_without_a_stdin_waits_until_it_is_closed(state: Path) -> None:
    async with serving(page("setTimeout(() => window.close(), 1000)")) as server:
        done = await anyio.to_thread.run_sync(lambda: run_process("login", "--site", server.url))
        assert done.code == 0, done
        check_kept(state, server)


async def test_a_line_in_a_pipe_ends_no_visit_and_is_left_to_the_next_command(state: Path) -> None:
    async with serving(page("setTimeout(() => window.close(), 1000)")) as server:

        def run() -> tuple[int, bytes]:
            reader, writer = os.pipe()
            with open(reader, "rb") as unread, open(writer, "wb") as file:
                file.write(b"the next site\n")
                file.close()
                done = subprocess.run([*COMMAND, "login", "--site", server.url], stdin=unread, check=False)
                return done.returncode, unread.read()

        assert await anyio.to_thread.run_sync(run) == (0, b"the next site\n")
        check_kept(state, server)


async def test_a_page_that_leads_to_another_host_is_told(site: Server, state: Path) -> None:
    async def lead_away(connection: Connection, got: Got) -> bool:
        place = site.url.replace("127.0.0.1", "localhost")
        await connection.send(reply("", status=302, headers={"Location": place}))
        return True

    async with serving(lead_away) as server:
        code, shown = await in_terminal(server, lambda terminal: terminal.type("\r"))
    assert code == 2
    assert "the page led to http://localhost:" in shown
    check_nothing_kept(state)


async def test_a_page_that_leaves_nothing_is_an_error_that_says_when_to_press_enter(state: Path) -> None:
    async def answer(connection: Connection, got: Got) -> bool:
        await connection.send(reply("<title>A</title>"))
        return True

    async with serving(answer) as server:
        code, shown = await in_terminal(server, lambda terminal: terminal.type("\r"))
    assert code == 2
    assert "before you press Enter" in shown
    check_nothing_kept(state)


async def test_a_page_that_does_not_come_is_told() -> None:
    port = closed_port()
    done = await anyio.to_thread.run_sync(lambda: run_process("login", "--site", f"http://127.0.0.1:{port}"))
    assert done.code == 1
    assert "ERR_CONNECTION_REFUSED" in done.err


async def test_the_window_uses_the_proxy_with_its_login(site: Server, state: Path) -> None:
    async with http_proxy(login="bob:pr0xy") as proxy:
        code, shown = await in_terminal(site, lambda terminal: terminal.type("\r"), "--proxy", proxy.url)
        assert code == 0, shown
        assert proxy.targets
    check_kept(state, site)
    assert "pr0xy" not in shown + path_of_visit(state, site.url).read_text()
