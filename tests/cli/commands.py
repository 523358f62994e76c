"""Ways to run the command: as a function, as a process, and on a terminal of its own."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import pyte
import pytest

from chatgptt.cli import main

COMMAND = (sys.executable, "-m", "chatgptt")
PATIENCE = 60.0
"""Seconds after which something that should have happened is a failure."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """Stdout, which is one JSON object."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document

    @property
    def error(self) -> dict[str, object]:
        """Stdout, which is the document of an error."""
        assert self.document.keys() == {"error"}
        error = self.document["error"]
        assert isinstance(error, dict)
        return error


class Run:
    """Calls `main` with what would be the arguments, stdin being a pipe."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self._capfd = capfd
        self._monkeypatch = monkeypatch

    def __call__(self, *argv: str, stdin: bytes = b"") -> Done:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        self._capfd.readouterr()
        code = main(list(argv))
        out, err = self._capfd.readouterr()
        return Done(code, out, err)


def run_process(*argv: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Done:
    """Runs the command in a process of its own, all its streams being pipes."""
    done = subprocess.run(
        [*COMMAND, *argv],
        input=stdin,
        capture_output=True,
        env={**os.environ, **(env or {})},
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def started(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command under way, its output on pipes; killed if the block leaves it running."""
    with subprocess.Popen([*COMMAND, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[bytes], mark: bytes, stream: IO[bytes] | None = None) -> bytes:
    """What a process prints up to and with `mark`; to stdout, where no other stream is named."""
    stream = stream or process.stdout
    assert stream is not None
    seen = b""
    while mark not in seen:
        ready, _, _ = select.select([stream], [], [], PATIENCE)
        data = os.read(stream.fileno(), 4096) if ready else b""
        assert data, f"{mark!r} never came after {seen!r}"
        seen += data
    return seen


def interrupt(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Sends what Ctrl-C sends; exit code and the rest of its output."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


class Terminal:
    """A command on a pseudo-terminal, and what its screen has shown so far."""

    def __init__(self, process: subprocess.Popen[bytes], controller: int, name: str) -> None:
        self.process = process
        self._controller = controller
        self._name = name
        self.seen = ""
        self._read_up_to = 0

    def type(self, keys: str) -> None:
        os.write(self._controller, keys.encode())

    def wait_for_unread_keys(self, count: int) -> None:
        """Waits until so many bytes are there that the command has not read. For one that reads no lines."""
        end = time.monotonic() + PATIENCE
        with open(self._name, "rb") as side:
            while (unread := _unread(side)) < count:
                assert time.monotonic() < end, f"{unread} of {count} bytes are there"
                self._read(0.05)

    @property
    def modes(self) -> tuple[bool, bool]:
        """Whether the terminal shows what is typed, and whether it gives whole lines."""
        with open(self._name, "rb") as side:
            flags = termios.tcgetattr(side)[3]
        return bool(flags & termios.ECHO), bool(flags & termios.ICANON)

    def set_modes_of_a_shell(self) -> None:
        """What a shell does when its job stops."""
        with open(self._name, "rb") as side:
            modes = termios.tcgetattr(side)
            modes[3] |= termios.ECHO | termios.ICANON
            termios.tcsetattr(side, termios.TCSANOW, modes)

    def wait_for_modes(self, wanted: tuple[bool, bool]) -> None:
        """Waits until the terminal is in these `modes`."""
        end = time.monotonic() + PATIENCE
        while self.modes != wanted:
            assert time.monotonic() < end, self.modes
            self._read(0.05)

    def wait_for(self, pattern: str) -> str:
        """What was shown since the last wait, up to and with `pattern`."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern, self.seen[self._read_up_to :], re.S)
            if found:
                start, self._read_up_to = self._read_up_to, self._read_up_to + found.end()
                return self.seen[start : self._read_up_to]
            assert self._read(end - time.monotonic()), f"{pattern!r} never came after {self.seen!r}"

    def screen(self) -> str:
        """What a person has seen in the end: all lines that were not erased again."""
        screen = pyte.HistoryScreen(100, 40, history=10_000)
        pyte.Stream(screen).feed(self.seen)
        above = ("".join(row[x].data for x in range(100)) for row in screen.history.top)
        return "\n".join(line.rstrip() for line in (*above, *screen.display))

    def wait_for_end(self) -> int:
        """The exit code; `seen` then has all of its output."""
        while self._read(PATIENCE):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, timeout: float) -> bool:
        ready, _, _ = select.select([self._controller], [], [], max(0.0, timeout))
        try:
            data = os.read(self._controller, 4096) if ready else b""
        except OSError:  # Linux says so when the other end is closed
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


def _unread(side: IO[bytes]) -> int:
    (count,) = struct.unpack("i", fcntl.ioctl(side, termios.FIONREAD, b"\0" * 4))
    return int(count)


_WITH_CTRL_C = (
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])",
)
"""Makes stdin the terminal of the session, whose Ctrl-C is a signal to its processes."""


@contextmanager
def on_terminal(
    *argv: str, command: tuple[str, ...] = COMMAND, term: str = "xterm", columns: int = 100
) -> Iterator[Terminal]:
    """The command on a terminal of its own; killed if the block leaves it running."""
    controller, side = pty.openpty()
    name = os.ttyname(side)
    env = {**os.environ, "TERM": term, "COLUMNS": str(columns), "LINES": "40"}
    try:
        process = subprocess.Popen(
            [*_WITH_CTRL_C, *command, *argv],
            stdin=side,
            stdout=side,
            stderr=side,
            env=env,
            start_new_session=True,
        )
    finally:
        os.close(side)
    with process:
        try:
            yield Terminal(process, controller, name)
        finally:
            process.kill()
            os.close(controller)
