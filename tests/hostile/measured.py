"""A program of its own that asks the page of each line of stdin, and says how much memory that took at most.

One object of JSON a line: `code` ("" for an answer), `text` (the answer or what came of it), and `peak_bytes`
above what the program took before. Each page is asked by a child of its own, forked from the same state. Otherwise
memory that an earlier question left behind would count, and some Pythons leave more of it than others.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from chatgptt import AsyncClient, ChatGpttError, RetryPolicy


def memory(name: str) -> int:
    """`VmHWM` or `VmRSS` of this process, in bytes."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def ask(page: str) -> tuple[str, str]:
    async with AsyncClient(
        page, strategy="static", state_dir=None, timeout=60.0, retry=RetryPolicy(attempts=1)
    ) as client:
        try:
            return "", (await client.ask("Hello")).text
        except ChatGpttError as error:
            return error.code, error.partial_text or ""


def main() -> None:
    warm, *_ = sys.argv[1:]
    assert asyncio.run(ask(warm)) == ("", "Hi there")
    print("ready", flush=True)
    for line in sys.stdin:
        in_child(partial(measure, line.strip()))


def measure(page: str) -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmRSS")
    code, text = asyncio.run(ask(page))
    found = {"code": code, "text": text[:100], "peak_bytes": memory("VmHWM") - before}
    print(json.dumps(found), flush=True)


def in_child(call: Callable[[], None]) -> None:
    """Runs `call` in a forked child; ends this program where that fails."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        except BaseException:  # noqa: BLE001 - a child that went on would read the parent's input
            traceback.print_exc()
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)


if __name__ == "__main__":
    main()
