"""The browser rung beside a plain Playwright script.

The plain script is what one writes first: launch, new page, `goto` until load, read the attribute. Both run
the same browser against the same page, which a process of its own serves on loopback, with what real pages
have around a chat box: scripts, styles, pictures, fonts, and something slow that measures. Each figure is the
median of several runs, and the runs of both take turns.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from starting import compile_packages
from table import Row, compared

from chatgptt import AsyncClient
from chatgptt.browser.installed import find_browser
from chatgptt.browser.rung import BrowserRung
from chatgptt.browser.setup import BrowserSetup
from chatgptt.browser.shared import MOST_TABS, BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.deadline import Deadline
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquisition, PageFacts, Wanted

NONCE = "1a2b3c4d5e"
RUNS = 15
PAGES = 20
IN_A_ROW = 200
SERVER = r"""
import asyncio, sys
BOX = '<div class="wpaicg-chat-shortcode" data-type="shortcode" data-bot-id="0" data-post-id="9"'
PAGE = (
    '<!doctype html><html><head><title>Bench</title>'
    + ''.join(f'<link rel="stylesheet" href="/wp-content/{n}.css">' for n in range(4))
    + ''.join(f'<script src="/wp-includes/{n}.js"></script>' for n in range(8))
    + '</head><body>' + '<p>' + 'Some text of the page. ' * 400 + '</p>'
    + ''.join(f'<img src="/wp-content/{n}.png" alt="">' for n in range(20))
    + '%s'
    + '<script>document.querySelector(".wpaicg-chat-shortcode")'
    + '.setAttribute("data-nonce", "1a2b3c4d" + "5e");</script>'
    + '<script async src="/slow.gif.js"></script><img src="/slow.gif" alt=""></body></html>'
)
CSS = b'p { color: #222; font-family: x }\n@font-face { font-family: x; src: url(/x.woff2) }\n'
KINDS = {'css': ('text/css', CSS * 300),
         'js': ('text/javascript', b'(function () { for (var i = 0; i < 10; i++); })();\n' * 200),
         'png': ('image/png', b'no picture' + bytes(50000)),
         'gif': ('image/gif', b'GIF89a' + bytes(20)), 'woff2': ('font/woff2', bytes(30000))}
async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b'\r\n\r\n'):
            path = head.split(b' ', 2)[1].decode()
            ending = path.partition('?')[0].rpartition('.')[2]
            if 'slow' in path:
                await asyncio.sleep(0.15)
            kind, body = KINDS.get(ending, ('text/html; charset=UTF-8', b''))
            if not body:
                static = ' data-nonce="1a2b3c4d5e"' if path.startswith('/static') else ''
                body = (PAGE % (BOX + static + '></div>')).encode()
            head = f'HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n'
            writer.write(head.encode() + body)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()
async def main():
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

PLAIN = r"""
import asyncio, sys, time
from playwright.async_api import async_playwright
async def main(executable, page, more):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable)
        for turn in range(1 + more):
            opened = time.perf_counter()
            tab = await browser.new_page()
            await tab.goto(page)
            nonce = await tab.locator(".wpaicg-chat-shortcode").get_attribute("data-nonce")
            assert nonce == "1a2b3c4d5e", nonce
            print(time.perf_counter() - opened, flush=True)
            await tab.close()
        await browser.close()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""

OURS = r"""
import asyncio, sys, time
from pathlib import Path
from urllib.parse import urlsplit
from chatgptt.browser.setup import BrowserSetup
from chatgptt.browser.rung import BrowserRung
from chatgptt.browser.shared import BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.deadline import Deadline
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquisition, PageFacts, Wanted
async def main(executable, page, more, cache):
    rung = BrowserRung(
        BrowserSetup(
            options=BrowserOptions(executable=executable, cache=Path(cache)),
            identity_for=lambda page: VisitorIdentity(user_agent=DEFAULT_USER_AGENT),
            policy=RetryPolicy(),
            cookies_for=lambda page: (),
            reach_of=lambda page: Reach(urlsplit(page).hostname or ""),
            clock=time.time,
            sleep=asyncio.sleep,
        )
    )
    for turn in range(1 + more):
        opened = time.perf_counter()
        acquisition = Acquisition(wanted=Wanted(page=page), deadline=Deadline(60))
        tokens = (await rung.acquire(PageFacts(), acquisition)).tokens
        assert tokens is not None and tokens.nonce == "1a2b3c4d5e"
        print(time.perf_counter() - opened, flush=True)
        await asyncio.sleep(0.15)  # as between two calls; the plain script closes outside of the time
    await rung.close()
asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
"""


def rows_of_browser() -> list[Row]:
    """The first tokens and later ones, many pages at once, and memory in a row of pages."""
    compile_packages()
    executable = find_browser().path
    with _serving() as site, tempfile.TemporaryDirectory() as cache:
        page = f"{site}/scripted/"
        plain, ours = [], []
        _run(OURS, executable, page, "0", cache)  # once, so that both find their files in the system's memory
        _run(PLAIN, executable, page, "0")
        for _ in range(RUNS):
            plain.append(_run(PLAIN, executable, page, "5"))
            ours.append(_run(OURS, executable, page, "5", cache))
        static = asyncio.run(_static(f"{site}/static/"))
        at_once = asyncio.run(_at_once(executable, site))
        first, later = asyncio.run(_in_a_row(executable, page))
    cold, warm = [run[0] for run in plain], [seconds for run in plain for seconds in run[1:]]
    than = "plain Playwright script"
    return [
        _row("the first, from the shell", [run[0] for run in ours], cold, 0.6),
        _row("with the browser warm", [seconds for run in ours for seconds in run[1:]], warm, 0.25),
        _row("from the markup, without a browser", static, cold, 1 / 50),
        compared(
            f"tokens of {PAGES} scripted pages at once, {MOST_TABS} open at most",
            at_once,
            PAGES * statistics.median(warm),
            than=f"{than}, {PAGES} warm ones in a row",
        ),
        Row(
            what=f"a browser's memory after {IN_A_ROW} scripted pages",
            figure=f"{later:.0f} MB",
            reference=f"{first:.0f} MB after {IN_A_ROW // 4}",
            ratio=later / first,
        ),
    ]


def _row(what: str, ours: list[float], plain: list[float], wanted: float) -> Row:
    return compared(
        f"tokens of a scripted page: {what}",
        statistics.median(ours),
        statistics.median(plain),
        than="plain Playwright script",
        at_most=wanted,
    )


@contextlib.contextmanager
def _serving() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def _run(script: str, *arguments: str) -> list[float]:
    """Seconds of each acquisition; of the first one, since the program was started."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()
        first = time.perf_counter() - began
        more = [float(line) for line in program.stdout]
    assert program.returncode == 0
    return [first, *more]


async def _static(page: str) -> list[float]:
    times = []
    async with AsyncClient(page, state_dir=None, strategy="static") as client:
        for _ in range(20):
            began = time.perf_counter()
            (box,) = await client.find_boxes()
            times.append(time.perf_counter() - began)
            assert box.nonce == NONCE
    return times


async def _at_once(executable: str, site: str) -> float:
    """The seconds of many pages at once."""
    rung = _make_rung(executable)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(PAGES):
                group.create_task(_acquire(rung, f"{site}/scripted/{number}/"))
        return time.perf_counter() - began
    finally:
        await rung.close()


async def _in_a_row(executable: str, page: str) -> tuple[float, float]:
    """Megabytes of the caller and its processes after a quarter of the row, and at its end."""
    rung = _make_rung(executable)
    marks = []
    try:
        for number in range(1, IN_A_ROW + 1):
            await _acquire(rung, page)
            if number in (IN_A_ROW // 4, IN_A_ROW):
                await asyncio.sleep(0.5)
                marks.append(_memory())
    finally:
        await rung.close()
    return marks[0], marks[1]


def _make_rung(executable: str) -> BrowserRung:
    return BrowserRung(
        BrowserSetup(
            options=BrowserOptions(executable=executable),
            identity_for=lambda page: VisitorIdentity(user_agent=DEFAULT_USER_AGENT),
            policy=RetryPolicy(),
            cookies_for=lambda page: (),
            reach_of=lambda page: Reach(urlsplit(page).hostname or ""),
            clock=time.time,
            sleep=asyncio.sleep,
        )
    )


async def _acquire(rung: BrowserRung, page: str) -> None:
    acquisition = Acquisition(wanted=Wanted(page=page), deadline=Deadline(60))
    tokens = (await rung.acquire(PageFacts(), acquisition)).tokens
    assert tokens is not None
    assert tokens.nonce == NONCE


def _memory() -> float:
    """Megabytes of this process and of its descendants, shared pages counted once."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(map(_size, ours))


def _size(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
