"""A small process that outlives the caller for a moment and clears up after it.

A browser is a tree of processes and a temporary profile. A caller that is killed outright can close neither.
So all of them live in one folder, and a process of our own reads from a pipe. The pipe ends when the caller
closes it or dies in any way. Then the process ends the browser's processes and removes the folder.

The driver alone is started with the folder as its `TMPDIR`. A process with this `TMPDIR`, or a descendant of
one, belongs to the browser. No other process is touched, whatever it does with the folder.

Closing goes the same way. A process that is starting, or was stopped by a signal, does not react, so all of
them are killed. After the death of a caller they get two seconds, since the driver may end them by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["Lifeline"]

_log = logging.getLogger("chatgptt.browser")

PREFIX = "chatgptt-browser-"

_CLOSE_TIMEOUT = 10.0

_LONGEST = 23
"""Bytes of the path in which a browser's folder is made. Chromium makes a socket below it, as
`PREFIX<16 digits>/.org.chromium.Chromium.<6 letters>/SingletonSocket` (80 bytes), and aborts where the whole
is longer than the system takes: 107 bytes on Linux (unix(7)), 103 on macOS (unix(4))."""

_CODE = r"""
import os, shutil, signal, sys, time
folder, grace = sys.argv[1], 2.0
for name in ("SIGINT", "SIGHUP", "SIGTERM"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
while os.read(0, 1024):
    grace = 0.0
mark = b"TMPDIR=" + os.fsencode(folder)
known = set()  # pid and time of start: what is orphaned meanwhile is still the browser's
def listed():
    if not os.path.isdir("/proc/self"):
        import subprocess
        sought = b"=" + os.fsencode(folder) + b"/"  # the option that names the profile
        shown = subprocess.run(["ps", "-axo", "pid=,ppid=,command="], capture_output=True).stdout
        for line in shown.splitlines():
            pid, parent, command = line.split(None, 2)
            yield int(pid), int(parent), b"", sought in command
        return
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if fields[0] in b"ZX":
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                is_marked = mark in file.read().split(b"\0")
        except OSError:
            is_marked = False
        yield int(pid), int(fields[1]), fields[19], is_marked
def mine():
    table = {pid: (parent, began, is_marked) for pid, parent, began, is_marked in listed()}
    found = {pid for pid, (_, began, is_marked) in table.items() if is_marked or (pid, began) in known}
    while True:
        more = {pid for pid, (parent, _, _) in table.items() if parent in found} - found
        if not more:
            break
        found |= more
    found.discard(os.getpid())
    known.update((pid, table[pid][1]) for pid in found)
    return found
began = time.monotonic()
while True:
    found = mine()
    if not found or time.monotonic() - began > 8:
        break
    if time.monotonic() - began >= grace:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
    time.sleep(0.1 if grace else 0.01)
for _ in range(20):
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.exists(folder):
        break
    time.sleep(0.1)
"""


class Lifeline:
    """The folder that a browser lives in, and the process that clears it up whatever happens."""

    def __init__(self) -> None:
        self.folder = _place() / f"{PREFIX}{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """Starts the process that clears up, and then makes the folder.

        In this order, a caller that is killed between the two leaves nothing behind.
        """
        if sys.platform != "win32" and sys.executable:  # there, the driver's own end closes the browser
            try:
                self._process = subprocess.Popen(  # noqa: S603 - Python itself, and the code above
                    [sys.executable, "-I", "-S", "-c", _CODE, str(self.folder)],
                    bufsize=0,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # neither Ctrl-C nor the end of the caller's group reaches it
                    cwd="/",
                )
            except OSError as error:
                _log.warning("nothing will clear up after a killed browser: %s", error)
        self.folder.mkdir(mode=0o700)

    @property
    def is_watching(self) -> bool:
        """Whether the process is there, so that `close` ends everything."""
        return self._process is not None

    async def close(self) -> None:
        """Kills what runs, clears up, and waits for that; for 10 s at most, mostly for a tenth."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):  # it may have been killed
                process.stdin.write(b"now")
            process.stdin.close()
            # Without a thread: at the end of a program no new thread can start.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_TIMEOUT):
                    while process.poll() is None:  # noqa: ASYNC110 - a process sets no event
                        await asyncio.sleep(0.01)
        shutil.rmtree(self.folder, ignore_errors=True)

    def forget(self) -> None:
        """For a process that was forked: the browser is its parent's, and so is the end of the pipe."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.returncode = 0  # it is no child of this process, which therefore waits for nothing


def _place() -> Path:
    """The folder for temporary files, or a shorter one where Chromium's socket would not fit into it."""
    usual = Path(tempfile.gettempdir())
    if sys.platform == "win32" or _is_short(usual):
        return usual
    others = ("/tmp", os.environ.get("XDG_RUNTIME_DIR") or "/tmp")  # noqa: S108 - see _is_safe
    return next((Path(path) for path in others if _is_short(Path(path)) and _is_safe(Path(path))), usual)


def _is_short(path: Path) -> bool:
    return len(os.fsencode(path)) <= _LONGEST


def _is_safe(path: Path) -> bool:
    """Whether no other user can replace a folder that is made there."""
    try:
        found = path.stat()
    except OSError:
        return False
    is_kept = bool(found.st_mode & stat.S_ISVTX) or not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return is_kept and found.st_uid in (0, os.geteuid()) and os.access(path, os.W_OK | os.X_OK)
