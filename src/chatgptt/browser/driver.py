"""The thread that drives the browsers: one for the process, with an event loop of its own.

Playwright's objects belong to one event loop. A process may have many loops, and each may end at any time.
This loop ends with the process only.

Playwright starts its driver, a Node program, with the environment and the stderr of the process. Node makes
its stderr non-blocking. The caller's stderr is the same pipe, so output of the caller could be lost. This
loop gives the programs that it starts a stderr of their own, whose lines are logged, and additional
variables. The environment of this process never changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import IO, TypeVar

import anyio

from chatgptt._errors import BrowserError

if sys.platform == "win32":
    from asyncio import ProactorEventLoop as _SystemLoop
else:
    from asyncio import SelectorEventLoop as _SystemLoop

_log = logging.getLogger("chatgptt.browser")
_Value = TypeVar("_Value")
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)

_EXIT_TIMEOUT = 10.0
"""Seconds that the end of a program waits for the end of its browsers; mostly they need a tenth."""

environment_of_driver: ContextVar[Mapping[str, str]] = ContextVar("chatgptt_environment_of_driver")
"""Variables for each program that a task starts, and the tasks that it makes."""


def browser_is_closed() -> BrowserError:
    """The error of a visit after its client was closed."""
    return BrowserError("the browser is closed", hint="close the client after the last call")


class DriverThread:
    """A thread with an event loop. It ends when `stop` is called, or with the process."""

    def __init__(self) -> None:
        self._loop = _DriverLoop()
        self._loop.set_exception_handler(_log_failure)
        self._thread = threading.Thread(target=self._run, name="chatgptt-browser", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], Coroutine[object, object, _Value]]) -> _Value:
        """The result of `call`, which runs in the thread's loop.

        A cancelled caller cancels the call, and waits until it has ended.

        Raises:
            BrowserError: where the end of the browser cancelled the call.
        """
        here = asyncio.get_running_loop()
        ended = asyncio.Event()
        tasks: list[asyncio.Task[_Value]] = []

        def report(_: asyncio.Task[_Value]) -> None:
            with contextlib.suppress(RuntimeError):  # the caller's loop is closed
                here.call_soon_threadsafe(ended.set)

        def begin() -> None:
            tasks.append(self._loop.create_task(call()))
            tasks[0].add_done_callback(report)

        self._call(begin)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            # After the task's first step, which may begin work that other calls wait for.
            self.call_soon(lambda: self._loop.call_soon(tasks[0].cancel))
            with anyio.CancelScope(shield=True):
                while not ended.is_set():  # asyncio's own cancellation ignores anyio's shields
                    with contextlib.suppress(asyncio.CancelledError):
                        await ended.wait()
            raise
        if tasks[0].cancelled():
            raise browser_is_closed()
        return tasks[0].result()

    def call_soon(self, call: Callable[[], object]) -> None:
        """Runs `call` in the thread, unless the thread has ended; for any thread."""
        with contextlib.suppress(BrowserError):
            self._call(call)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError as error:
            raise browser_is_closed() from error

    def stop(self, last: Callable[[], Coroutine[object, object, None]]) -> None:
        """Runs `last` in the loop, cancels every other task, and ends the thread."""

        async def end() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_TIMEOUT):
                    await last()
            self._loop.stop()

        self.call_soon(lambda: self._loop.create_task(end()))
        self._thread.join(2 * _EXIT_TIMEOUT)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=_EXIT_TIMEOUT))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        finally:
            self._loop.close()


class _DriverLoop(_SystemLoop):
    async def subprocess_exec(
        self,
        protocol_factory: Callable[[], _Protocol],
        *command: str,
        env: Mapping[str, str] | None = None,
        **options: object,
    ) -> tuple[asyncio.SubprocessTransport, _Protocol]:
        """Starts a program as asyncio does, but with a stderr of its own and additional variables."""
        readable, writable = os.pipe()
        lines = open(readable, encoding="utf-8", errors="replace")  # noqa: ASYNC230, SIM115 - closed by its reader
        options["stderr"] = writable
        options["env"] = {**(os.environ if env is None else env), **environment_of_driver.get({})}
        try:
            started = await super().subprocess_exec(protocol_factory, *command, **options)  # type: ignore[arg-type]
        except BaseException:
            lines.close()
            raise
        finally:
            os.close(writable)
        threading.Thread(target=_log_lines, args=(lines,), name="chatgptt-driver-log", daemon=True).start()
        return started


def _log_lines(lines: IO[str]) -> None:
    with lines:
        for line in lines:
            _log.debug("the driver: %s", line.rstrip())


def _log_failure(_: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
    """Logs failures of background tasks at debug level: they only help to find a defect."""
    _log.debug("the browser's thread: %s", context.get("exception") or context.get("message"))
