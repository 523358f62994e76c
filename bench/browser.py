"""The browser rung beside a plain Playwright script, in one run: `python bench/browser.py`.

The plain script is what one writes first: launch, new page, `goto` until load, read the attribute. Both run
the same browser against the same page, which a process of its own serves on loopback, with what real pages
have around a chat box: scripts, styles, pictures, fonts, and something slow that measures. Each figure is the
median of several runs, and the runs of both take turns.
"""

from __future__ import annotations

import argparse
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

from chatgptt import AsyncClient
from chatgptt.browser.installed import find_browser
from chatgptt.browser.on_demand import BrowserSetup
from chatgptt.browser.rung import BrowserRung
from chatgptt.browser.shared import MOST_TABS, BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.deadline import Deadline
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.tokens.acquisition import Acquisition, PageFacts, Wanted

NONCE = "1a2b3c4d5e"
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
from chatgptt.browser.on_demand import BrowserSetup
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


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=7, help="of each side, for the first acquisition")
    parser.add_argument("--row", type=int, default=200, help="acquisitions in a row, for memory")
    options = parser.parse_args()
    executable = find_browser().path
    with _serving() as site, tempfile.TemporaryDirectory() as cache:
        page = f"{site}/scripted/"
        plain, ours = [], []
        _run(OURS, executable, page, "0", cache)  # once, so that both find their files in the system's memory
        _run(PLAIN, executable, page, "0")
        for _ in range(options.runs):
            plain.append(_run(PLAIN, executable, page, "5"))
            ours.append(_run(OURS, executable, page, "5", cache))
        print(f"{executable}\n")
        print(f"{'median, ms':34}{'plain':>8}{'ours':>8}{'ratio':>8}{'wanted':>8}")
        _line("first acquisition, from the shell", [run[0] for run in plain], [run[0] for run in ours], 0.6)
        _line(
            "with the browser warm",
            [t for run in plain for t in run[1:]],
            [t for run in ours for t in run[1:]],
            0.25,
        )
        static = asyncio.run(_static(f"{site}/static/"))
        _line("a page that static reading solves", [run[0] for run in plain], static, 1 / 50)
        print()
        asyncio.run(_at_once(executable, site))
        if options.row:
            asyncio.run(_in_a_row(executable, page, options.row))


def _line(name: str, plain: list[float], ours: list[float], wanted: float) -> None:
    one, other = statistics.median(plain), statistics.median(ours)
    print(f"{name:34}{one * 1e3:8.1f}{other * 1e3:8.1f}{other / one:8.2f}{wanted:8.2f}")


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


async def _at_once(executable: str, site: str) -> None:
    """20 pages at once, with at most 4 open."""
    rung = _make_rung(executable)
    began = time.perf_counter()
    try:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(_acquire(rung, f"{site}/scripted/{number}/"))
        print(f"20 acquisitions at once: {time.perf_counter() - began:.2f} s, at most {MOST_TABS} pages open")
    finally:
        await rung.close()


async def _in_a_row(executable: str, page: str, count: int) -> None:
    """Memory of the caller and of all its processes, from a quarter of the row on, when it is warm."""
    rung = _make_rung(executable)
    marks: dict[int, tuple[float, float]] = {}
    try:
        for number in range(1, count + 1):
            await _acquire(rung, page)
            if number in (count // 4, count // 2, count):
                await asyncio.sleep(0.5)
                marks[number] = _memory()
    finally:
        await rung.close()
    print(f"\n{'memory, MB':34}{'caller':>8}{'browser':>8}")
    for number, (caller, children) in marks.items():
        print(f"after {number:<28}{caller:8.1f}{children:8.1f}")


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


def _memory() -> tuple[float, float]:
    """Megabytes of this process and of its descendants, shared pages counted once."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    sizes = {pid: _size(pid) for pid in ours}
    return sizes[os.getpid()], sum(sizes.values()) - sizes[os.getpid()]


def _size(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
