"""Asks thousands of questions through one client, a part of them with faults, and accounts for every one.

    python -m soak [--questions N | --minutes N | --hour] [--seed N]       (with tests/ on the path)

The site is another process (`soak.chat_site`), which counts each question by its number. The run goes in
parts; after each nothing is under way, all connections but one are let go of, as many threads wait for work
as there can be, and what the client holds is measured:

- memory as the system sees it. It holds gaps beside what is in use: buffers of all sizes come and go between
  blocks that live longer, and the C library's heap finds its size only after some 20,000 questions, while
  what is in use does not change. So the first 4,000 questions warm up (the last code is loaded, and the
  allocators have met the most questions at once), and what was freed goes back to the system first.
- how many blocks of memory Python's objects take. Gaps do not count there, so this tells a leak of a few
  bytes a question from the allocator's noise, and in thousands of questions instead of millions.

Exit code 1, and what was wrong, where a question is lost, doubled, mixed up with another or ends in anything
but its answer or the error that its fault calls for; where memory grows by more than 5 %, or by a block for
each ten questions; and where a descriptor, a task or a thread is left. It reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from anyio import to_thread
from soak.questions import FINE, PART, Question, draw_questions
from soak.tally import Counts, Tally, read_tally

from chatgptt import AsyncClient, ChatGpttError, Reply, RetryPolicy, Timeouts

QUESTIONS = 10_000
CONCURRENCY = 200
SEED = 20_260_401

WARM_UP = 4_000
"""Questions before memory has to be flat."""

GROWTH = 0.05
"""How much more memory than after the warm-up may be in use at the end. It is a promise."""

BLOCKS_A_QUESTION = 0.1
"""How many more of Python's blocks: whatever a client kept for each question would take one at least."""

_LIBC = ctypes.CDLL(None)

PATIENCE = 15.0
"""Seconds within which sockets and threads have to be gone; idle connections are kept for three of them."""

TIMEOUTS = Timeouts(total=120.0, connect=60.0, silence=10.0)
"""Silence is one of the faults. Nothing else takes long, but the machine may be busy with other things."""

QUICK = RetryPolicy(first_wait=0.05)
_SHOWN = 10

Outcome = Reply | Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a question ended; not the error itself, which would keep its whole call in memory."""

    question: Question
    code: str
    attempts: int | None
    wrong: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What the process held when nothing was under way."""

    questions: int
    rss_bytes: int
    blocks: int
    descriptors: int
    seconds: float
    cpu_seconds: float


@dataclass(slots=True)
class Findings:
    """What the run came to so far; `wrong` says in words what was not as it has to be."""

    questions: int = 0
    faults: int = 0
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    tries: int = 0
    put_off: int = 0
    rejected: int = 0
    handed_in_again: int = 0
    unsent: int = 0
    doubles: int = 0
    lost: int = 0
    mixed_up: int = 0
    unmapped: int = 0
    most: int = 0
    rests: list[Rest] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


# Asking


async def ask(client: AsyncClient, question: Question) -> Outcome:
    """The answer, or whatever came instead."""
    bot = "inline" if question.is_new else "shortcode"
    try:
        if not question.is_streamed:
            return await client.ask(question.text, bot=bot)
        async with client.stream(question.text, bot=bot) as stream:
            pieces = [piece async for piece in stream]
        assert stream.reply is not None
        assert "".join(pieces) == stream.reply.text
        return stream.reply
    except Exception as error:  # noqa: BLE001 - whatever it is: that is the question
        return error


async def ask_all(client: AsyncClient, questions: list[Question]) -> list[Ended]:
    """How each question ended. `CONCURRENCY` of them are under way at any time, until they run out."""
    all_ended: list[Ended] = []
    waiting = iter(questions)

    async def work() -> None:
        for question in waiting:
            all_ended.append(judge(question, await ask(client, question)))

    async with asyncio.TaskGroup() as workers:
        for _ in range(CONCURRENCY):
            workers.create_task(work())
    return all_ended


# Judging


def judge(question: Question, outcome: Outcome) -> Ended:
    """How a question ended, beside how it had to."""
    return Ended(
        question=question,
        code=outcome.code if isinstance(outcome, ChatGpttError) else "",
        attempts=outcome.attempts if isinstance(outcome, Reply) else None,
        wrong=find_fault(question, outcome),
    )


def find_fault(question: Question, outcome: Outcome) -> str:
    """What is wrong with an outcome; "" for nothing."""
    fault = question.fault
    match outcome:
        case Reply(text=text) if text != question.answer:
            return f"{MIXED_UP} {text[:100]!r}"
        case Reply():
            return f"an answer instead of {fault.code}" if fault.code else ""
        case ChatGpttError(code=code) if code != fault.code:
            return f"{code} instead of {fault.code or 'an answer'}: {outcome}"
        case ChatGpttError(message=message) if fault.words == "own" and question.mark not in message:
            return f"{MIXED_UP} {message}"
        case ChatGpttError(partial_text=part) if fault.words == "part":
            return "" if part and question.answer.startswith(part) else f"{MIXED_UP} {part[:100]!r}"
        case ChatGpttError():
            return ""
        case _:
            return f"{UNMAPPED} {outcome!r}"


MIXED_UP = "not what belongs to this question:"
UNMAPPED = "no error of the project:"


def count(findings: Findings, questions: list[Question], all_ended: list[Ended], tally: Tally) -> None:
    """Adds a part of the run, as it looked from here and from the site."""
    ends = {end.question.number: end for end in all_ended}
    if len(ends) != len(all_ended):
        findings.wrong.append("a question ended twice")
    if tally.unfetched:
        findings.wrong.append(f"{tally.unfetched} messages were handed in, their answers never fetched")
    findings.questions += len(questions)
    findings.faults += sum(question.fault is not FINE for question in questions)
    findings.most = tally.most
    for question in questions:
        end, counts = ends.get(question.number), tally.questions.get(question.number, Counts())
        findings.wrong += [f"{question.text[:70]}: {what}" for what in add(findings, question, end, counts)]


def add(findings: Findings, question: Question, end: Ended | None, counts: Counts) -> Iterator[str]:
    """Adds one question, and says what is wrong with it."""
    findings.tries += counts.tries
    findings.put_off += counts.put_off
    findings.rejected += counts.rejected
    findings.handed_in_again += counts.lost
    findings.doubles += max(0, counts.taken - 1)
    if end is None or counts.taken < question.fault.taken:
        findings.lost += 1
        yield "it was lost"
    if counts.taken > question.fault.taken:
        yield f"the site took it on {counts.taken} times, not {question.fault.taken}"
    if counts.tries != counts.taken + counts.put_off + counts.rejected + counts.lost:
        yield f"it was tried more often than there was a reason to: {counts}"
    if end is None:
        return
    if end.attempts is not None and end.attempts < counts.tries:
        yield f"its reply says {end.attempts} attempts, the site counted {counts.tries}"
    findings.unsent += 0 if end.attempts is None else max(0, end.attempts - counts.tries)
    if end.wrong:
        findings.mixed_up += end.wrong.startswith(MIXED_UP)
        findings.unmapped += end.wrong.startswith(UNMAPPED)
        yield end.wrong
    elif end.code:
        findings.errors[end.code] += 1
    else:
        findings.answers += 1


# What is held


async def rest(findings: Findings, started: float) -> Rest:
    """What is held now that nothing is under way; tasks must be none."""
    await fill_threads()
    await asyncio.sleep(0)  # who has just ended goes
    gc.collect()
    _LIBC.malloc_trim(0)
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        findings.wrong.append(f"{len(tasks)} tasks are left: {tasks}"[:500])
    return Rest(
        questions=findings.questions,
        rss_bytes=rss_bytes(),
        blocks=sys.getallocatedblocks(),
        descriptors=count_descriptors(),
        seconds=time.monotonic() - started,
        cpu_seconds=time.process_time(),
    )


async def fill_threads() -> None:
    """Has as many threads wait for work as there ever are at once: else some had ended for want of it."""
    most = int(to_thread.current_default_thread_limiter().total_tokens)
    meeting = threading.Barrier(most, timeout=PATIENCE)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(most):
            tasks.create_task(to_thread.run_sync(meeting.wait))


def rss_bytes() -> int:
    """The memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def count_descriptors() -> int:
    """What this process has open."""
    return len(os.listdir("/proc/self/fd"))


async def let_go(client: AsyncClient, descriptors: int) -> None:
    """Uses one connection until the others, which nobody needs, are closed and so many descriptors left."""
    end = time.monotonic() + PATIENCE
    await client.find_boxes()
    while count_descriptors() > descriptors and time.monotonic() < end:
        await asyncio.sleep(0.05)
        await client.find_boxes()


def compare(findings: Findings, before: Rest, after: Rest) -> None:
    """Memory is flat; one connection is open while the client is, and none when it is closed."""
    if growth(findings) > GROWTH:
        findings.wrong.append(f"memory grew by {growth(findings):.1%}, more than {GROWTH:.0%}")
    warm, last = warm_and_last(findings)
    kept, asked = last.blocks - warm.blocks, last.questions - warm.questions
    if kept > BLOCKS_A_QUESTION * max(asked, PART):
        findings.wrong.append(f"{kept:,} more blocks of memory after {asked:,} more questions")
    for held in findings.rests:
        if held.descriptors > before.descriptors + 1:
            findings.wrong.append(
                f"{held.descriptors} descriptors after {held.questions:,}, {before.descriptors} before"
            )
    if after.descriptors != before.descriptors:
        findings.wrong.append(f"{after.descriptors} descriptors at the end, {before.descriptors} before")


def warm_and_last(findings: Findings) -> tuple[Rest, Rest]:
    """The first rest after the warm-up, and the last one; of a short run the last one twice."""
    last = findings.rests[-1]
    return next((held for held in findings.rests if held.questions >= WARM_UP), last), last


def growth(findings: Findings) -> float:
    """Of the memory in use, from the end of the warm-up to that of the run."""
    warm, last = warm_and_last(findings)
    return last.rss_bytes / warm.rss_bytes - 1


def is_so_in_time(condition: Callable[[], bool]) -> bool:
    """Whether it comes about before our patience is over."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


# The run


@contextmanager
def site_process() -> Iterator[str]:
    """The URL of the site, which ends with its input."""
    command = [sys.executable, "-m", "soak.chat_site"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()


def draw_parts(seed: int, size: int | None, minutes: float) -> Iterator[list[Question]]:
    """The questions in parts: so many in all, or for so long."""
    questions = draw_questions(seed)
    end = time.monotonic() + minutes * 60
    left = size
    while time.monotonic() < end if left is None else left > 0:
        part = list(islice(questions, PART if left is None else min(PART, left)))
        left = None if left is None else left - len(part)
        yield part


async def run(url: str, state: str, parts: Iterator[list[Question]]) -> Findings:
    """Asks part after part until there is none."""
    findings = Findings()
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: findings.wrong.append(f"in the event loop: {context}")
    )
    started = shown = time.monotonic()
    before = await rest(findings, started)
    async with AsyncClient(url, strategy="static", state_dir=state, retry=QUICK, timeout=TIMEOUTS) as client:
        for part in parts:
            count(findings, part, await ask_all(client, part), read_tally(url))
            part.clear()  # else what is measured hangs on how long its questions are
            await let_go(client, before.descriptors + 1)
            findings.rests.append(await rest(findings, started))
            if time.monotonic() - shown >= 60:
                shown = time.monotonic()
                print(progress(findings), file=sys.stderr, flush=True)
    compare(findings, before, await rest(findings, started))
    if not is_so_in_time(lambda: read_tally(url).connections == 0):
        findings.wrong.append("connections are left at the site")
    return findings


def progress(findings: Findings) -> str:
    """One line."""
    held = findings.rests[-1]
    return (
        f"{held.seconds / 60:5.0f} min  {held.questions:9,} questions  {len(findings.wrong)} wrong  "
        f"{held.rss_bytes / 1e6:.1f} MB  {held.blocks:,} blocks  {held.descriptors} descriptors"
    )


def print_table(findings: Findings, seed: int) -> None:
    """The whole run; of a long one the rests at its beginning, its quarters and its end."""
    print(f"{'seed':28}{seed:>10}")
    for name, figure in (
        ("questions", findings.questions),
        ("  with a fault", findings.faults),
        ("  at once, at the site", findings.most),
        ("answers", findings.answers),
        ("errors as expected", findings.errors.total()),
        *((f"  {code}", number) for code, number in sorted(findings.errors.items())),
        ("handed in", findings.tries),
        ("  put off", findings.put_off),
        ("  nonce rejected", findings.rejected),
        ("  lost by the site", findings.handed_in_again),
        ("never got to the site", findings.unsent),
        ("doubles", findings.doubles),
        ("lost", findings.lost),
        ("mixed up", findings.mixed_up),
        ("unmapped exceptions", findings.unmapped),
    ):
        print(f"{name:28}{figure:>10,}")
    count = len(findings.rests)
    for place in sorted({round(quarter * (count - 1) / 4) for quarter in range(5)}):
        held = findings.rests[place]
        print(
            f"{f'after {held.questions:,}':28}{held.rss_bytes / 1e6:>7.1f} MB{held.blocks:>10,} blocks"
            f"{held.descriptors:>5} descriptors{held.seconds:>8.1f} s{held.cpu_seconds:>8.1f} s of a processor"
        )
    warm, last = warm_and_last(findings)
    print(f"{f'memory since {warm.questions:,}':28}{growth(findings):>+10.1%}")
    print(f"{'  blocks':28}{last.blocks - warm.blocks:>+10,}")
    times = os.times()  # the site, which has ended, is a child
    print(f"{'seconds of a processor':28}{times.user + times.system:>10.1f} here")
    print(f"{'':28}{times.children_user + times.children_system:>10.1f} at the site")


def main(arguments: list[str]) -> int:
    """0 where all is as it has to be."""
    parser = argparse.ArgumentParser(prog="soak")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--questions", type=int, default=QUESTIONS)
    length.add_argument("--minutes", type=float)
    length.add_argument("--hour", action="store_const", const=60.0, dest="minutes")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args(arguments)
    size = options.questions if options.minutes is None else None
    with site_process() as url, tempfile.TemporaryDirectory() as state:
        findings = asyncio.run(run(url, state, draw_parts(options.seed, size, options.minutes or 0.0)))
    if not is_so_in_time(lambda: threading.active_count() == 1):
        findings.wrong.append(f"threads are left: {threading.enumerate()}")
    print_table(findings, options.seed)
    shown = findings.wrong
    if len(shown) > 2 * _SHOWN:  # what is wrong with the whole run comes last
        shown = [*shown[:_SHOWN], "...", *shown[-_SHOWN:]]
    for what in shown:
        print(f"WRONG: {what}")
    print(f"{len(findings.wrong)} wrong")
    return int(bool(findings.wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
