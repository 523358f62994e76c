"""What belongs to one event loop: connections, locks, and everything else that waits.

A client outlives its loop. It is used in one `asyncio.run` after another, in threads with a loop each, and in
a forked child. Each loop gets connections and locks of its own: a task cannot wait for those of another loop,
and a child must not write to its parent's sockets.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

Loop = tuple[int, asyncio.AbstractEventLoop]
"""A process, and a loop in it: a child may go on with the loop object of its parent."""


def running_loop() -> Loop | None:
    """The loop that is running here, None where none is."""
    try:
        return _process, asyncio.get_running_loop()
    except RuntimeError:
        return None


def is_over(loop: Loop) -> bool:
    """Whether nothing can run in a loop any more, as far as this process is concerned."""
    process, here = loop
    return process != _process or here.is_closed()


class PerLoop(Generic[_Value]):
    """A value for each event loop, made when the loop first asks for it."""

    def __init__(self, make: Callable[[], _Value]) -> None:
        self._make = make
        self._values: dict[Loop | None, _Value] = {}

    def get(self) -> _Value:
        """The value of the loop that is running."""
        here = running_loop()
        try:
            return self._values[here]
        except KeyError:
            return self.renew()

    def maybe_get(self) -> _Value | None:
        """The value of the loop that is running, None where it has none."""
        return self._values.get(running_loop())

    def renew(self) -> _Value:
        """Another value for the loop that is running."""
        for loop in list(self._values):
            # Those of the parent are kept, untouched: to end them in the child would disturb the parent.
            if loop is not None and loop[0] == _process and is_over(loop):
                self._values.pop(loop, None)
        value = self._values[running_loop()] = self._make()
        return value


def call_in_child(renew: Callable[[], None]) -> None:
    """Has `renew` called in each forked child, before anything else runs in it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=renew)


_process = os.getpid()
"""Kept: each piece of an answer asks for the running loop, and a system call takes longer than the rest."""


def _note_process() -> None:
    global _process
    _process = os.getpid()


call_in_child(_note_process)


class ThreadLock:
    """A lock of a module, between threads. In a forked child it is open, whichever thread held it before."""

    def __init__(self) -> None:
        self._renew()
        call_in_child(self._renew)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _renew(self) -> None:
        self._lock = threading.Lock()
