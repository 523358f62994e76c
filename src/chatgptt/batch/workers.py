"""What asks the rows: workers on other machines, which take them from a queue in Redis (chatgptt.celery).

A row that is under way has a task. One look at Redis shows for all of them whether a worker has begun it, and
whether it has ended. A row whose worker gives no result for longer than the call may take is ambiguous: the
worker was killed. While Redis is away nothing is lost: rows wait to be sent, and answers to be fetched.
A row that is cancelled is written down as begun, so that no worker begins it later.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import time
import uuid
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Self, TypedDict

import anyio
import anyio.to_thread
from celery.exceptions import OperationalError

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import Reply
from chatgptt.batch.documents import ErrorDocument, ReplyDocument, read_document
from chatgptt.batch.queue import ANSWERS_KEPT, TASK, begun_key, make_app
from chatgptt.batch.rows import Row
from chatgptt.batch.schedule import Ask

_log = logging.getLogger("chatgptt.batch")

_LOOK = 0.05
"""Seconds between two looks at Redis."""

_GRACE = 30.0
"""Seconds beyond the call's own limit that a worker has for its result."""

_MISSING = 150.0
"""Seconds after which a row that is neither begun nor in the queue is sent again: Redis lost its data. Celery
gives a row of a killed worker back to the queue after one minute."""

_IDLE = 30.0
"""Seconds without a row begun after which a warning says so."""

_CLEARING = 10.0
"""Seconds that the end of a batch waits for Redis."""

_DUPLICATES = 600
"""Seconds for which a row that has ended is still known as begun, should Celery run its task again."""


class Workers:
    """Asks rows by the workers of a queue, within `async with`.

    Args:
        broker: the Redis with the queue, `redis://` or `rediss://`.
        timeout: seconds for each row, from its beginning.

    Raises:
        InvalidInputError: where there is no Redis at that address.
    """

    def __init__(self, broker: str, *, timeout: float) -> None:
        self._app = make_app(broker)
        self._timeout = timeout
        self._under_way: dict[str, _Row] = {}
        self._ended: list[str] = []
        self._given_up: list[str] = []
        self._cannot: set[str] = set()
        """What Redis refuses at the moment; each is logged once."""
        self._idle = 0.0
        """Seconds for which rows have waited in the queue and no worker has begun one."""
        self._failures: tuple[type[Exception], ...] = (
            *self._app.backend.connection_errors,
            *self._app.backend.channel_errors,
            OperationalError,
            OSError,
        )
        try:
            self._app.backend.client.ping()
        except self._failures as error:
            # Without the cause: its words may hold a part of the address, and so the password.
            raise InvalidInputError(
                f"there is no Redis for the rows: {type(error).__name__}",
                hint="give --broker as redis://:password@host:6379/0, and see that it runs",
            ) from None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._watch)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):  # at Ctrl-C all else is cancelled
                await self._clear_up()

    async def _clear_up(self) -> None:
        """Keeps the rows given up from the workers, and forgets those that have ended."""
        is_done = False
        with anyio.move_on_after(_CLEARING), contextlib.suppress(*self._failures):
            await anyio.to_thread.run_sync(self._claim, self._given_up, abandon_on_cancel=True)
            is_done = True
            await anyio.to_thread.run_sync(self._look, [], self._ended, abandon_on_cancel=True)
        if self._given_up and not is_done:
            _log.warning("Redis cannot be written: workers may still ask the rows that were cancelled")

    def _claim(self, ids: list[str]) -> None:
        """Writes down that these are begun, where no worker has begun them."""
        with self._app.backend.client.pipeline(transaction=False) as pipe:
            for task_id in ids:
                pipe.set(begun_key(task_id), "its batch, which gave it up", nx=True, ex=ANSWERS_KEPT)
            pipe.execute()

    def open_origin(self, origin: str) -> AbstractAsyncContextManager[Ask]:
        """What asks the rows of an origin."""
        return contextlib.nullcontext(self._ask)

    async def _ask(self, row: Row) -> Reply | ChatGpttError:
        task_id, under_way = str(uuid.uuid4()), _Row(row)
        try:
            await self._send(task_id, row)
            self._under_way[task_id] = under_way
            await under_way.has_ended.wait()
        except BaseException:  # it may be in the queue
            self._given_up.append(task_id)
            raise
        finally:
            self._under_way.pop(task_id, None)
        self._ended.append(task_id)
        assert under_way.result is not None
        return under_way.result

    async def _send(self, task_id: str, row: Row) -> None:
        """Puts the row into the queue; twice is no harm, since its task runs once."""
        arguments = {
            "message": row.message,
            "site": row.site,
            "bot": row.bot or None,
            "system": row.system or None,
            "timeout": self._timeout,
        }
        send = functools.partial(
            self._app.send_task, TASK, kwargs=arguments, task_id=task_id, retry=False, ignore_result=False
        )
        while True:
            try:
                await anyio.to_thread.run_sync(send, abandon_on_cancel=True)
            except self._failures as error:
                self._note_failure("take rows", error)
                await anyio.sleep(1.0)
            else:
                self._cannot.discard("take rows")
                return

    async def _watch(self) -> None:
        """Looks for the ends of the rows under way until it is cancelled."""
        looked_at = time.monotonic()
        while True:
            await anyio.sleep(_LOOK)
            ids, ended = list(self._under_way), self._ended
            self._ended = []
            look = functools.partial(self._look, ids, ended)
            try:
                is_queue_empty, found = await anyio.to_thread.run_sync(look, abandon_on_cancel=True)
            except self._failures as error:
                self._note_failure("be read", error)
                self._ended += ended
                looked_at = time.monotonic()  # the time without Redis counts for no worker
                continue
            self._cannot.discard("be read")
            now = time.monotonic()
            elapsed, looked_at = now - looked_at, now
            is_idle = bool(found) and not is_queue_empty and not any(begun for begun, _ in found.values())
            self._note_idle(is_idle, elapsed)
            for task_id, (begun, end) in found.items():
                if (row := self._under_way.get(task_id)) is not None:
                    row.learn(begun, end, elapsed, self._timeout + _GRACE)
                    if row.is_missing(elapsed if is_queue_empty else 0.0):
                        _log.warning("row %s is gone from the queue, sending it again", row.row.id)
                        self._tasks.start_soon(self._send, task_id, row.row)

    def _look(
        self, ids: list[str], ended: list[str]
    ) -> tuple[bool, dict[str, tuple[str, Reply | ChatGpttError | None]]]:
        """Whether the queue is empty; the worker of each task, "" where none has begun it, and how it ended.

        Tasks that ended before are cleared up.
        """
        backend = self._app.backend
        with backend.client.pipeline(transaction=False) as pipe:
            for task_id in ended:
                pipe.delete(backend.get_key_for_task(task_id))
                pipe.expire(begun_key(task_id), _DUPLICATES)
            keys = [key for each in ids for key in (begun_key(each), backend.get_key_for_task(each))]
            pipe.llen(self._app.conf.task_default_queue)
            if keys:
                pipe.mget(keys)
            replies = pipe.execute()
        waiting, values = replies[-2:] if keys else (replies[-1], [])
        return waiting == 0, {
            task_id: (begun.decode().partition(" ")[0] if begun else "", _read_end(backend.decode(end)))
            for task_id, begun, end in zip(ids, values[::2], values[1::2], strict=True)
        }

    def _note_failure(self, what: str, error: Exception) -> None:
        if what not in self._cannot:
            self._cannot.add(what)
            why = type(error.__cause__ or error).__name__  # Celery gives the errors of Redis as causes
            _log.warning("Redis cannot %s, waiting for it: %s", what, why)

    def _note_idle(self, is_idle: bool, elapsed: float) -> None:
        before = self._idle
        self._idle = before + elapsed if is_idle else 0.0
        if before < _IDLE <= self._idle:
            _log.warning(
                "no worker has taken a row for %g s: start one with celery -A chatgptt.celery worker", _IDLE
            )


class _End(TypedDict):
    """How a task ended, as Celery writes it down; the result is one of ours where the status is SUCCESS."""

    status: str
    result: ReplyDocument | ErrorDocument


def _read_end(document: _End | None) -> Reply | ChatGpttError | None:
    """What a task ended with, None for one that has not."""
    match document and document["status"]:
        case "SUCCESS" if document is not None:
            return read_document(document["result"])
        case "FAILURE":
            return _lost("its worker ended")
        case _:
            return None


@dataclass(slots=True)
class _Row:
    """A row that is under way."""

    row: Row
    result: Reply | ChatGpttError | None = None
    has_ended: anyio.Event = field(default_factory=anyio.Event)
    running: float = 0.0
    """Seconds since a worker was seen to have begun it."""
    missing: float = 0.0
    """Seconds for which it was neither begun nor in the queue."""

    def learn(self, worker: str, end: Reply | ChatGpttError | None, elapsed: float, patience: float) -> None:
        """Takes in what a look showed of it."""
        self.running += elapsed if worker or self.running else 0.0
        self.result = end
        if end is None and self.running > patience:
            self.result = _lost(f"its worker {worker} gave no result in {patience:g} s")
        if self.result is not None:
            self.has_ended.set()

    def is_missing(self, elapsed: float) -> bool:
        """Whether it has to be sent again, after so many seconds more with an empty queue."""
        self.missing = 0.0 if self.running or self.result is not None else self.missing + elapsed
        if self.missing < _MISSING:
            return False
        self.missing = 0.0
        return True


def _lost(why: str) -> ChatGpttError:
    words = f"the message may have reached the site; {why}"
    error = ChatGpttError(words, code="timeout", hint="--retry-ambiguous asks it again")
    error.is_ambiguous = True
    return error
