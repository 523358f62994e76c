"""The standard streams of the process: they wait on a non-blocking file, and closed ones are replaced."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer


class _Waiting(io.FileIO):
    """A standard stream that waits also where its file is non-blocking, and writes all or fails.

    Python would lose what a full pipe does not take. Any program that shares the pipe may make it
    non-blocking, at any time.
    """

    def write(self, data: ReadableBuffer) -> int:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self.fileno(), rest) :]
            except BlockingIOError:
                select.select((), (self,), ())
        return len(memoryview(data))

    def readinto(self, buffer: WriteableBuffer) -> int:
        while True:
            try:
                return os.readv(self.fileno(), (buffer,))
            except BlockingIOError:
                select.select((self,), (), ())


def let_streams_wait() -> None:
    """Lets the standard streams of this process wait; see _Waiting."""
    if sys.platform == "win32":  # a console is no file there
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        reader = io.BufferedReader(_Waiting(sys.stdin.fileno(), "rb", closefd=False))
        sys.stdin = io.TextIOWrapper(reader, sys.stdin.encoding, sys.stdin.errors)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _waiting_writer(sys.stdout)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _waiting_writer(sys.stderr)


def _waiting_writer(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    # Without a buffer below it, as with Python's -u: what was not taken would be tried once more at exit.
    raw = _Waiting(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(raw, stream.encoding, stream.errors, write_through=True)


def fill_closed_streams() -> None:
    """Puts the null device in place of each standard stream that is closed, or open the wrong way round.

    Without it the next file or connection would get the stream's number, and would receive what others write
    there. stdin and stdout become None, so that a command which needs them can say so; diagnoses get lost.
    """
    if not _is_open(sys.stdin, lambda number: os.read(number, 0)):
        sys.stdin = None  # as Python has it for a closed one
    if not _is_open(sys.stdout, lambda number: os.write(number, b"")):
        sys.stdout = None
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
    if not _is_open(sys.stderr, lambda number: os.write(number, b"")):
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - to the end of the process


def _is_open(stream: TextIO | None, attempt: Callable[[int], object]) -> bool:
    """Whether a stream is open in its direction; moves no byte."""
    if stream is None:
        return False
    try:
        attempt(stream.fileno())
    except io.UnsupportedOperation:  # no file is behind it: a test's or a notebook's
        return True
    except ValueError:  # Python's own file is closed
        return False
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def abandon_stdout() -> None:
    """Writes nothing more to stdout, not even at exit: its reader is gone."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: a stdout without a file behind it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
