"""What the process of the client holds while nothing is under way: memory, descriptors, tasks, threads.

Memory is measured twice:

- As the system counts it. That includes gaps: buffers of all sizes come and go between blocks that live
longer, and the C library's heap finds its size only after some 20,000 questions. So the first 4,000 questions
warm up, and freed memory goes back to the system before each measurement. - In blocks of Python's objects.
Gaps do not count there, so a leak of a few bytes a question shows after thousands of questions instead of
millions.

It reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from soak.questions import PART

PATIENCE = 15.0
"""Seconds within which sockets and threads have to end. The client keeps idle connections for three seconds."""

_WARM_UP = 4_000
"""Questions before memory has to be flat."""

_MAX_GROWTH = 0.05
"""The share by which memory may grow after the warm-up: the promise of docs/reliability.md."""

_MAX_BLOCKS_A_QUESTION = 0.1
"""If a client kept anything for each question, that would take a block at least."""

_LIBC = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The resources of the process after so many questions."""

    questions: int
    rss_bytes: int
    blocks: int
    descriptors: int
    seconds: float
    cpu_seconds: float


async def measure(questions: int, started: float, problems: list[str]) -> Usage:
    """The usage while nothing is under way. Any task that is left is a problem."""
    await _fill_threads()
    await asyncio.sleep(0)  # tasks that have just ended go
    gc.collect()
    _LIBC.malloc_trim(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        problems.append(f"{len(tasks)} tasks are left: {tasks}"[:500])
    return Usage(
        questions=questions,
        rss_bytes=_rss_bytes(),
        blocks=sys.getallocatedblocks(),
        descriptors=count_descriptors(),
        seconds=time.monotonic() - started,
        cpu_seconds=time.process_time(),
    )


async def _fill_threads() -> None:
    """Starts as many worker threads as there ever are at once, so that each measurement counts the same number."""
    most = int(to_thread.current_default_thread_limiter().total_tokens)
    meeting = threading.Barrier(most, timeout=PATIENCE)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(most):
            tasks.create_task(to_thread.run_sync(meeting.wait))


def _rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int:
    """The open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def compare(before: Usage, rests: list[Usage], after: Usage, *, clients: int) -> Iterator[str]:
    """The problems: memory that grew, and descriptors beyond one for each open client."""
    if growth(rests) > _MAX_GROWTH:
        yield f"memory grew by {growth(rests):.1%}, more than {_MAX_GROWTH:.0%}"
    warm, last = warm_and_last(rests)
    blocks, questions = last.blocks - warm.blocks, last.questions - warm.questions
    if blocks > _MAX_BLOCKS_A_QUESTION * max(questions, PART):
        yield f"{blocks:,} more blocks of memory after {questions:,} more questions"
    for rest in rests:
        if rest.descriptors > before.descriptors + clients:
            yield f"{rest.descriptors} descriptors after {rest.questions:,}, {before.descriptors} before"
    if after.descriptors != before.descriptors:
        yield f"{after.descriptors} descriptors at the end, {before.descriptors} before"


def warm_and_last(rests: list[Usage]) -> tuple[Usage, Usage]:
    """The first rest after the warm-up, and the last one; of a short run the last one twice."""
    last = rests[-1]
    return next((rest for rest in rests if rest.questions >= _WARM_UP), last), last


def growth(rests: list[Usage]) -> float:
    """The share by which memory grew from the end of the warm-up to the end of the run."""
    warm, last = warm_and_last(rests)
    return last.rss_bytes / warm.rss_bytes - 1


def happens_in_time(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within `PATIENCE`."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
