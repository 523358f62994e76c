"""An event loop in a daemon thread, and calls into it from other threads.

The waiting thread waits with a plain lock, not with a `concurrent.futures.Future` as anyio's blocking portal
does. The condition of a Future is written in Python: Ctrl-C in the middle of its code comes out as a
RuntimeError, or leaves the condition locked, and the loop then waits for it without end.

A process that forked has the loop objects of its parent and not their threads: its first call starts a loop
and a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from chatgptt._errors import ClosedError
from chatgptt.net.loops import call_in_child

_Value = TypeVar("_Value")

_LOOKS_FOR_SIGNALS = 0.2
"""Seconds between two looks of a waiting thread for Ctrl-C."""


class LoopThread:
    """A loop in a thread of its own, started on first use."""

    def __init__(self) -> None:
        self._is_stopped = False
        self.begin_anew()
        _threads.add(self)

    def begin_anew(self) -> None:
        """Forgets the thread without stopping it: a forked child does not have it."""
        self._running: _Running | None = None
        self._changing = threading.Lock()

    def run(self, call: Callable[[], Awaitable[_Value]]) -> _Value:
        """The result of `call` in the loop. An interrupt of the waiting thread cancels it there.

        Raises:
            ClosedError: where the loop was stopped, before or while it ran.
        """
        waiting = _Call(call)
        try:
            with self._changing:
                self._started().call_soon(waiting.start)
            return waiting.result()
        except asyncio.CancelledError:
            if self._is_stopped:  # by another thread, which closed the client
                raise _client_is_closed() from None
            raise
        except BaseException:
            self._cancel(waiting)
            raise
        finally:
            del waiting  # the error's traceback holds this frame, and the call holds the error

    @property
    def is_running(self) -> bool:
        """Whether it was started in this process."""
        return self._running is not None

    @property
    def is_stopped(self) -> bool:
        """Whether it was ended."""
        return self._is_stopped

    def stop(self) -> None:
        """Ends the thread; what still runs in it is cancelled."""
        with self._changing:
            running, self._running, self._is_stopped = self._running, None, True
            if running is not None:
                running.call_soon(running.end)
        if running is not None and running.thread is not threading.current_thread():
            running.thread.join()

    def _started(self) -> _Running:
        if self._is_stopped:
            raise _client_is_closed()
        if self._running is None:
            self._running = _Running()
        return self._running

    def _cancel(self, call: _Call[_Value]) -> None:
        running = self._running
        if running is not None and not call.is_done:
            with contextlib.suppress(RuntimeError):  # the loop was closed, and has cancelled it
                running.call_soon(call.cancel)


class _Running:
    """A thread with a loop that runs until `end`."""

    def __init__(self) -> None:
        self._begun = _locked()
        self._failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="chatgptt", daemon=True)
        self.thread.start()
        self._begun.acquire()
        if self._failure is not None:
            raise self._failure

    def call_soon(self, function: Callable[[], None]) -> None:
        """Lets the loop call a function, in the context of the caller."""
        self._loop.call_soon_threadsafe(function)

    def end(self) -> None:
        """Lets the thread end; called in the loop."""
        self._ending.set()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # no selector could be had, where too many files are open
            if not self._begun.locked():
                raise
            self._failure = error
            self._begun.release()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._begun.release()
        await self._ending.wait()


class _Call(Generic[_Value]):
    """One call in the loop, and the lock that its caller waits with.

    The loop's thread drops the task. In the waiting thread an interrupt could be lost in the callbacks of
    asyncio's weak references to it.
    """

    _value: _Value

    def __init__(self, call: Callable[[], Awaitable[_Value]]) -> None:
        self._call = call
        self._task: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._done = _locked()

    @property
    def is_done(self) -> bool:
        return not self._done.locked()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def result(self) -> _Value:
        # A signal that comes just before the wait does not end it, and Windows ends none by a signal.
        while not self._done.acquire(timeout=_LOOKS_FOR_SIGNALS):
            pass
        self._done.release()
        if self._error is not None:
            raise self._error
        return self._value

    async def _run(self) -> None:
        self._value = await self._call()

    def _end(self, task: asyncio.Task[None]) -> None:
        self._error = asyncio.CancelledError() if task.cancelled() else task.exception()
        self._task = None
        self._done.release()


def _locked() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


def _client_is_closed() -> ClosedError:
    from chatgptt.net.clients import client_is_closed  # imports httpx, which the first question needs

    return client_is_closed()


_threads: weakref.WeakSet[LoopThread] = weakref.WeakSet()
_inherited: list[object] = []
"""What a forked child has of its parent's: kept, since what is collected would be closed."""


def _begin_anew() -> None:
    for thread in _threads:
        _inherited.append(thread._running)
        thread.begin_anew()


call_in_child(_begin_anew)
