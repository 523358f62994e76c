"""What of docs/howto takes more than to run one block after another."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import anyio.to_thread
import pytest
from pages.blocks import texts_of
from pages.session import PATIENCE, Session
from proxies import http_proxy

from chatgptt.demo import DemoSite

PAGE = "https://site.example/chat"


def test_cron_asks_and_prints_nothing(demo: DemoSite, tmp_path: Path) -> None:
    (line,) = texts_of("howto/scripts.md", "cron")
    *times, command = line.strip().split(" ", 5)
    assert len(times) == 5
    assert "%" not in command  # cron would take it for a line end
    with Session(tmp_path / "home", demo) as session:
        done = session.run_command(command)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
        assert "made up by the demo" in (session.folder / "chat-answers.txt").read_text()


@pytest.mark.anyio
async def test_everything_goes_through_the_proxy(demo: DemoSite, tmp_path: Path) -> None:
    async with http_proxy() as proxy:
        await anyio.to_thread.run_sync(_ask_through, proxy.url, demo, tmp_path / "home")
    messages = [target for target in proxy.targets if target.endswith("admin-ajax.php")]
    assert Counter(message.message for message in demo.messages) == {"Hello": 4}
    assert len(messages) == 4


def _ask_through(proxy: str, demo: DemoSite, home: Path) -> None:
    def here(text: str) -> str:
        return text.replace("http://proxy.example:3128", proxy).replace("HTTPS_PROXY", "HTTP_PROXY")

    with Session(home, demo) as session:
        (table,) = texts_of("howto/proxy.md", "toml")
        (session.folder / "sites.toml").write_text(session.here(here(table)))
        (program,) = texts_of("howto/proxy.md", "python")
        (session.folder / "program.py").write_text(session.here(here(program)))
        commands = "".join(texts_of("howto/proxy.md", "sh")).splitlines()
        for command in [*commands, "python program.py"]:
            if not command.startswith("pip "):
                assert session.run_command(here(command)).returncode == 0, command


def test_the_cells_of_a_notebook_run_in_an_event_loop(demo: DemoSite, tmp_path: Path) -> None:
    cells = [text.replace(PAGE, demo.page("wpaicg/")) for text in texts_of("howto/notebooks.md", "python")]
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, *cells],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall("made up by the demo", done.stdout)) == 8


NOTEBOOK = f"""
import asyncio, sys

async def run(cells):
    names = {{}}
    for cell in cells:
        waiting = eval(compile(cell, "cell", "exec", {ast.PyCF_ALLOW_TOP_LEVEL_AWAIT}), names)
        if waiting is not None:
            await waiting

asyncio.run(run(sys.argv[1:]))
"""
"""Runs cells one after another in a running event loop, as a notebook's kernel does."""
