"""Asks thousands of questions, a part of them with faults, and accounts for every one.

    python -m soak [--questions N | --minutes N | --hour] [--seed N]       (with tests/ on the path)

The site is the demo, in another process. One client asks its page of 1.x, another one its page of 2.x. The
run goes in parts. After each, nothing is under way, each client closes all connections but one, and the
process is measured.

Exit code 1, and a line for each problem, where a question is lost, doubled, mixed up with another or ends in
anything but its answer or the error of its fault; where memory grows by more than 5 %, or by a block for each
ten questions; and where a descriptor, a task or a thread is left.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import islice

from soak.chat_site import SiteProcess, site_process
from soak.judging import Outcome, Result, Totals, judge
from soak.questions import FAULTS, PART, Question, draw_questions
from soak.resources import (
    PATIENCE,
    Usage,
    compare,
    count_descriptors,
    growth,
    happens_in_time,
    measure,
    warm_and_last,
)

from chatgptt import AsyncClient, RetryPolicy, Timeouts

QUESTIONS = 10_000
CONCURRENCY = 200
SEED = 20_260_401

TIMEOUTS = Timeouts(total=120.0, connect=60.0, silence=10.0)
"""Silence is one of the faults. Nothing else takes long, but other programs may use the machine."""

QUICK = RetryPolicy(first_wait=0.05)
_SHOWN = 10

Clients = dict[str, AsyncClient]
"""A client for each page of the site."""


async def ask(client: AsyncClient, question: Question) -> Outcome:
    """The answer to a question, or the exception in its place."""
    try:
        if not question.is_streamed:
            return await client.ask(question.text)
        async with client.stream(question.text) as stream:
            pieces = [piece async for piece in stream]
        assert stream.reply is not None
        assert "".join(pieces) == stream.reply.text
        return stream.reply
    except Exception as error:  # noqa: BLE001 - any exception is an outcome
        return error


async def ask_all(clients: Clients, questions: list[Question]) -> list[Result]:
    """The result of each question. `CONCURRENCY` of them are under way at any time, until they run out."""
    results: list[Result] = []
    waiting = iter(questions)

    async def work() -> None:
        for question in waiting:
            results.append(judge(question, await ask(clients[question.page], question)))

    async with asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(work())
    return results


async def close_idle(clients: Clients, descriptors: int) -> None:
    """Uses one connection of each client until the idle ones are closed and so many descriptors are left."""
    end = time.monotonic() + PATIENCE
    while True:
        for client in clients.values():
            await client.find_boxes()
        if count_descriptors() <= descriptors or time.monotonic() > end:
            return
        await asyncio.sleep(0.05)


def draw_parts(seed: int, size: int | None, minutes: float) -> Iterator[list[Question]]:
    """The questions in parts: `size` in all, or for so many minutes."""
    questions = draw_questions(seed)
    end = time.monotonic() + minutes * 60
    left = size
    while time.monotonic() < end if left is None else left > 0:
        part = list(islice(questions, PART if left is None else min(PART, left)))
        left = None if left is None else left - len(part)
        yield part


async def run(site: SiteProcess, state: str, parts: Iterator[list[Question]]) -> tuple[Totals, list[Usage]]:
    """Asks part after part: the totals, and the usage after each part."""
    totals, rests = Totals(), list[Usage]()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: totals.problems.append(f"in the event loop: {context}")
    )
    started = shown = time.monotonic()
    before = await measure(0, started, totals.problems)
    async with AsyncExitStack() as stack:
        clients: Clients = {}
        for page in FAULTS:
            client = AsyncClient(
                f"{site.url}/{page}/", strategy="static", state_dir=state, retry=QUICK, timeout=TIMEOUTS
            )
            clients[page] = await stack.enter_async_context(client)
        for part in parts:
            totals.add(part, await ask_all(clients, part), site.take_counts())
            part.clear()  # else the length of its questions counts in the measurement
            await close_idle(clients, before.descriptors + len(clients))
            rests.append(await measure(totals.questions, started, totals.problems))
            if time.monotonic() - shown >= 60:
                shown = time.monotonic()
                print(progress(totals, rests[-1]), file=sys.stderr, flush=True)
    after = await measure(totals.questions, started, totals.problems)
    totals.problems += compare(before, rests, after, clients=len(FAULTS))
    return totals, rests


def progress(totals: Totals, rest: Usage) -> str:
    """One line."""
    return (
        f"{rest.seconds / 60:5.0f} min  {rest.questions:9,} questions  {len(totals.problems)} problems  "
        f"{rest.rss_bytes / 1e6:.1f} MB  {rest.blocks:,} blocks  {rest.descriptors} descriptors"
    )


def print_table(totals: Totals, rests: list[Usage], seed: int) -> None:
    """The whole run; of a long one the rests at its beginning, its quarters and its end."""
    print(f"{'seed':28}{seed:>10}")
    for name, figure in (
        ("questions", totals.questions),
        ("  with a fault", totals.faults),
        ("  at once", CONCURRENCY),
        ("answers", totals.answers),
        ("errors as expected", totals.errors.total()),
        *((f"  {code}", number) for code, number in sorted(totals.errors.items())),
        ("sent", totals.sent),
        ("  nonce rejected", totals.rejected),
        ("never got to the site", totals.unsent),
        ("doubles", totals.doubles),
        ("lost", totals.lost),
        ("mixed up", totals.mixed_up),
        ("unmapped exceptions", totals.unmapped),
    ):
        print(f"{name:28}{figure:>10,}")
    for place in sorted({round(quarter * (len(rests) - 1) / 4) for quarter in range(5)}):
        rest = rests[place]
        print(
            f"{f'after {rest.questions:,}':28}{rest.rss_bytes / 1e6:>7.1f} MB{rest.blocks:>10,} blocks"
            f"{rest.descriptors:>5} descriptors{rest.seconds:>8.1f} s{rest.cpu_seconds:>8.1f} s of a processor"
        )
    warm, last = warm_and_last(rests)
    print(f"{f'memory since {warm.questions:,}':28}{growth(rests):>+10.1%}")
    print(f"{'  blocks':28}{last.blocks - warm.blocks:>+10,}")
    times = os.times()  # the site, which has ended, is a child
    print(f"{'seconds of a processor':28}{times.user + times.system:>10.1f} here")
    print(f"{'':28}{times.children_user + times.children_system:>10.1f} at the site")


def main(arguments: list[str]) -> int:
    """0 without problems."""
    parser = argparse.ArgumentParser(prog="soak")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--questions", type=int, default=QUESTIONS)
    length.add_argument("--minutes", type=float)
    length.add_argument("--hour", action="store_const", const=60.0, dest="minutes")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    size = options.questions if options.minutes is None else None
    parts = draw_parts(options.seed, size, options.minutes or 0.0)
    with site_process() as site, tempfile.TemporaryDirectory() as state:
        totals, rests = asyncio.run(run(site, state, parts))
    problems = totals.problems
    if not happens_in_time(lambda: threading.active_count() == 1):
        problems.append(f"threads are left: {threading.enumerate()}")
    print_table(totals, rests, options.seed)
    shown = problems
    if len(shown) > 2 * _SHOWN:  # the problems of the whole run come last
        shown = [*shown[:_SHOWN], "...", *shown[-_SHOWN:]]
    for problem in shown:
        print(f"WRONG: {problem}")
    print(f"{len(problems)} wrong")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
