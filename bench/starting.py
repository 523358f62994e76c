"""How long programs take to start: whole processes, the interpreter's own start included on both sides."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

from servers import quick_site
from table import Row, compared

import chatgptt

__all__ = ["compile_packages", "rows_of_starts"]

ROUNDS = 15

NAIVE = """
import json, re, sys
import httpx

page = sys.argv[1]
with httpx.Client() as client:
    html = client.get(page).text
    nonce = re.search(r'data-nonce="([0-9a-f]{10})"', html)[1]
    post_id = re.search(r'data-post-id="(\\d+)"', html)[1]
    fields = {"action": "wpaicg_chat_shortcode_message", "_wpnonce": nonce, "post_id": post_id}
    fields |= {"message": "Hello", "url": page, "bot_id": "0"}
    reply = client.post(page + "wp-admin/admin-ajax.php", data=fields)
print(reply.raise_for_status().text)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spent:
    """Median seconds of a process: by the clock, and of the processor."""

    wall: float
    processor: float


def rows_of_starts() -> list[Row]:
    """Imports, help and a question, each beside what it is measured against."""
    compile_packages()
    return [*_rows_of_imports(), *_rows_of_a_question()]


def compile_packages() -> None:
    """Compiles what is imported, as pip does when it installs a package."""
    for folder in (sysconfig.get_path("purelib"), str(Path(chatgptt.__file__).parent)):
        compileall.compile_dir(folder, quiet=2)


def _rows_of_imports() -> list[Row]:
    click, httpx, version, help_, package, client = _spent(
        ("-c", "import click"),
        ("-c", "import httpx"),
        ("-m", "chatgptt", "--version"),
        ("-m", "chatgptt", "--help"),
        ("-c", "import chatgptt"),
        ("-c", "from chatgptt import Client"),
    )
    return [
        compared("chatgptt --version", version.wall, click.wall, than="import click", at_most=1.5),
        compared("chatgptt --help", help_.wall, click.wall, than="import click", at_most=2),
        compared("import chatgptt", package.wall, httpx.wall, than="import httpx"),
        compared("from chatgptt import Client", client.wall, httpx.wall, than="import httpx", at_most=0.8),
    ]


def _rows_of_a_question() -> list[Row]:
    with quick_site() as page, tempfile.TemporaryDirectory() as state:
        ask = ("-m", "chatgptt", "ask", "--site", page, "Hello")
        _run(ask, state)  # which keeps the tokens
        ours, naive = _spent(ask, ("-c", NAIVE, page), state=state)
    what, than = "chatgptt ask, tokens known", "script of httpx and two regexes"
    return [
        compared(f"{what}: time", ours.wall, naive.wall, than=than, at_most=1.0),
        compared(f"{what}: processor time", ours.processor, naive.processor, than=than, at_most=1.1),
    ]


def _spent(*commands: Sequence[str], state: str = "") -> list[_Spent]:
    """What each command takes; in every round each has its turn, so that all see the same machine."""
    rounds = [[_run(command, state) for command in commands] for _ in range(ROUNDS)]
    return [
        _Spent(wall=median(one.wall for one in runs), processor=median(one.processor for one in runs))
        for runs in zip(*rounds, strict=True)
    ]


def _run(command: Sequence[str], state: str) -> _Spent:
    env = {**os.environ, "CHATGPTT_STATE_DIR": state}
    started = perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    wall = perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} failed with {process.returncode}")
    return _Spent(wall=wall, processor=usage.ru_utime + usage.ru_stime)
