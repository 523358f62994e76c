"""Many streams at once in one process: `crowd.py NAME PAGE COUNT` prints what they took as JSON.

A process of its own for each figure, so that the peak of its memory is of these streams and of nothing else.
The site answers when the last of them is there, so that all are open together.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from pathlib import Path
from time import perf_counter, process_time

from peers import ASKING
from servers import LAST


async def main(name: str, page: str, count: int) -> dict[str, float]:
    """How many were answered; wall and processor seconds; bytes a stream at the peak."""
    async with ASKING[name](page) as ask:
        gc.collect()
        before = _peak_bytes()
        start, spent = perf_counter(), process_time()
        answers = await asyncio.gather(*(ask() for _ in range(count)))
        seconds, processor = perf_counter() - start, process_time() - spent
        return {
            "answered": sum(LAST in answer for answer in answers),
            "seconds": seconds,
            "processor": processor,
            "bytes": (_peak_bytes() - before) / count,
        }


def _peak_bytes() -> int:
    # Not getrusage: its peak is that of the parent as well, where this process was forked from a larger one.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
