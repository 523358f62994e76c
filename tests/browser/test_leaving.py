"""A program that never closes its client ends without a word, and leaves nothing of the browser."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from browser.processes import Traces, without_notice

from chatgptt.demo import DemoSite

BEGINNING = """
import asyncio, sys
from chatgptt import AsyncClient, ChatGptt, Client

def options():
    return {"site": sys.argv[1], "strategy": "browser", "state_dir": None}

async def ask():
    client = AsyncClient(**options())
    assert (await client.ask("Hello")).text.endswith("You wrote: Hello")
    return client
"""

PROGRAMS = {
    "an async client, collected with its loop": "asyncio.run(ask())",
    "an async client that outlives its loop": "client = asyncio.run(ask())",
    "an async client in a loop that nobody closes": "loop = asyncio.new_event_loop(); client = loop.run_until_complete(ask())",
    "a sync client": "client = Client(**options()); client.ask('Hello')",
    "a sync client whose stream is left": """
client = Client(**options())
for piece in client.stream("LONG 500").__enter__():
    break
""",
    "a provider's generator that is left": """
async def leave():
    async for piece in ChatGptt.create_async_generator("", "LONG 500", **options()):
        break
asyncio.run(leave())
""",
    "an exit from within": "client = asyncio.run(ask()); sys.exit(0)",
    "a visit under way in a thread": """
import threading, time
page = sys.argv[1].replace("fetched", "never")
client = Client(page, strategy="browser", state_dir=None)
threading.Thread(target=client.find_boxes, daemon=True).start()
time.sleep(2)
""",
    "a visit under way in a loop that stopped": """
async def begin():
    client = AsyncClient(sys.argv[1].replace("fetched", "never"), strategy="browser", state_dir=None)
    visit = asyncio.ensure_future(client.find_boxes())
    await asyncio.sleep(2)
    return client
client = asyncio.run(begin())
""",
}


@pytest.mark.parametrize("what", PROGRAMS)
def test_a_client_that_is_never_closed(traces: Traces, demo: DemoSite, what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING + PROGRAMS[what], demo.page("browser/fetched/")],
        capture_output=True,
        env={**os.environ, "TMPDIR": str(traces.folder)},
        timeout=60,
        check=False,
    )
    assert without_notice(done.stderr) == b""
    assert done.returncode == 0
    assert traces.processes() == []
    assert traces.files() == []
