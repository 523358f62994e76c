"""Many streams at once in one process: `crowd.py PAGE COUNT rss|traced` prints what they took as JSON.

A process of its own, so that the peaks are of these streams and of nothing else.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from pathlib import Path
from time import perf_counter

import anyio

import chatgptt

MESSAGE = "SLOWWORDS 0.6 and some more words, so that all streams are open together"


async def main(page: str, count: int, how: str) -> dict[str, float]:
    """How many were answered, how many were open at once, the seconds, and bytes a stream at the peak."""
    under_way = most = answered = 0
    async with chatgptt.AsyncClient(page, state_dir=None, timeout=120.0) as client:
        await client.ask("Hello")

        async def one() -> None:
            nonlocal under_way, most, answered
            async with client.stream(MESSAGE) as stream:
                under_way += 1
                most = max(most, under_way)
                async for _ in stream:
                    pass
                under_way -= 1
            assert stream.reply is not None
            answered += stream.reply.text.endswith(MESSAGE)

        if how == "traced":
            tracemalloc.start()
        before = _peak_bytes(how)
        start = perf_counter()
        async with anyio.create_task_group() as tasks:
            for _ in range(count):
                tasks.start_soon(one)
        seconds = perf_counter() - start
    return {
        "answered": answered,
        "most": most,
        "seconds": seconds,
        "bytes": (_peak_bytes(how) - before) / count,
    }


def _peak_bytes(how: str) -> int:
    if how == "traced":
        return tracemalloc.get_traced_memory()[1]
    # Not getrusage: its peak is that of the parent as well, where this process was forked from a larger one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3])))
