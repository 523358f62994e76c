"""One run of `chatgptt batch`: its input and clients, Ctrl-C, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import BinaryIO

import anyio

from chatgptt._client import AsyncClient, ClientOptions, StateDir
from chatgptt._errors import InvalidInputError
from chatgptt.batch.batch import open_batch
from chatgptt.batch.rows import MAX_LINE_BYTES, Mistake, Reading, Row, guess_form, read_rows, take_beginning
from chatgptt.batch.schedule import Manners, Schedule, Sender
from chatgptt.batch.sender import asking_clients
from chatgptt.cli import terminal
from chatgptt.cli.batch import BatchOptions
from chatgptt.cli.batch_progress import showing_progress, summarise
from chatgptt.cli.target import Target, client_options, with_named_site
from chatgptt.net.retry import RetryPolicy
from chatgptt.protocols.urls import origin, page_url

_MOST_FILES = 65_536
"""Some 30,000 sites, two connections each."""


def run_batch(options: BatchOptions, target: Target, *, system: str, as_json: bool) -> int:
    """Asks the new rows, prints the summary, and gives the exit code.

    Raises:
        InvalidInputError: for an input or an output that cannot be used; nothing was sent.
        OSError: where the output cannot be written any more.
    """
    started = time.monotonic()
    _make_client(target, target.site)  # for the errors of its options
    sender, opened = _make_sender(options, target)
    _allow_many_files()
    try:
        with (
            _open_input(options.source) as file,
            open_batch(
                options.output,
                _read(file, options, target, system),
                options.format,
                retries=options.retries,
                clock=time.time,
            ) as batch,
        ):
            schedule = Schedule(batch, sender, Manners(concurrency=options.concurrency, rate=options.rate))
            with showing_progress(batch):
                is_interrupted = anyio.run(_run, schedule, opened)
            if options.is_ordered:
                batch.sort()
            summary = summarise(batch, schedule.left, options.output, time.monotonic() - started)
    except sqlite3.Error as error:
        raise OSError(f"the journal of the output cannot be written: {error}") from error
    summary.show(schedule.passed_over, as_json=as_json)
    return 130 if is_interrupted else summary.exit_code


def _make_sender(
    options: BatchOptions, target: Target
) -> tuple[Sender, contextlib.AbstractAsyncContextManager[object]]:
    """What asks the rows, and what has to be open meanwhile."""
    if not options.broker:
        return asking_clients(functools.partial(_make_client, target)), contextlib.nullcontext()
    if target.proxy or target.strategy:
        raise InvalidInputError(
            "workers choose proxy and strategy by themselves", hint="give both to a site in the workers' file"
        )
    try:
        from chatgptt.batch.workers import Workers  # here: it loads Celery
    except ImportError as error:
        raise InvalidInputError("--broker needs Celery", hint="pip install 'chatgptt[celery]'") from error
    workers = Workers(options.broker, timeout=target.seconds)
    return workers.open_origin, workers


async def _run(schedule: Schedule, opened: contextlib.AbstractAsyncContextManager[object]) -> bool:
    """Runs it; whether Ctrl-C ended it. The first takes no more rows, the second cancels."""
    loop = asyncio.get_running_loop()
    presses = 0
    with anyio.CancelScope() as scope:

        def press() -> None:
            nonlocal presses
            presses += 1
            if presses == 1:
                schedule.stop()
                terminal.say("finishing the messages under way; Ctrl-C again cancels them")
            else:
                scope.cancel()

        def on_signal(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(press)

        before = signal.signal(signal.SIGINT, on_signal)
        try:
            async with opened:
                await schedule.run()
        finally:
            signal.signal(signal.SIGINT, before)
    return presses > 0


def _allow_many_files() -> None:
    """Raises the number of files that may be open: each site has connections of its own."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, _MOST_FILES), most))


def _make_client(target: Target, site: str) -> AsyncClient:
    page = with_named_site(replace(target, site=site, bot=""))
    # The schedule waits for a busy site, and for longer than a client would.
    retry = RetryPolicy(repeats_busy=False)
    client: ClientOptions = {**client_options(page, StateDir.DEFAULT), "retry": retry}
    return AsyncClient(page.site, **client)


# The input


@contextlib.contextmanager
def _open_input(source: str) -> Iterator[BinaryIO]:
    if source == "-":
        if sys.stdin is None:
            raise InvalidInputError("stdin is closed", hint="name the file of the messages")
        yield sys.stdin.buffer
        return
    try:
        file = open(source, "rb")  # noqa: SIM115 - an error in the block is no error of the input
    except OSError as error:
        raise InvalidInputError(
            f"cannot read {source!r}: {error.strerror}", hint="name the file of the messages, or - for stdin"
        ) from error
    with file:
        yield file


def _read(file: BinaryIO, options: BatchOptions, target: Target, system: str) -> Iterator[Row | Mistake]:
    lines = iter(lambda: file.readline(MAX_LINE_BYTES + 1), b"")
    beginning = take_beginning(lines)
    reading = Reading(
        form=options.input_format or guess_form(beginning, options.column),
        column=options.column or "message",
        site=target.site,
        bot=target.bot,
        system=system,
        origin_of=_origins(target),
    )
    return read_rows(itertools.chain(beginning, lines), reading)


def _origins(target: Target) -> Callable[[str], str]:
    """The origin of a site's page; each site is looked up once."""

    @functools.cache
    def look_up(site: str) -> str | InvalidInputError:
        try:
            return origin(page_url(with_named_site(replace(target, site=site)).site))
        except InvalidInputError as error:
            return error

    def find(site: str) -> str:
        found = look_up(site)
        if isinstance(found, InvalidInputError):
            raise found
        return found

    return find
