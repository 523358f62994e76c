"""A small process that outlives the caller for a moment and removes the browser.

A browser is a tree of processes and a temporary profile. A caller that is killed can close neither. So all of
them belong to one folder, and the reaper, a process of our own, reads from a pipe. The pipe ends when the
caller closes it or dies in any way. Then the reaper kills the browser's processes and removes the folder.

Only the driver is started with the folder as its `TMPDIR`. A process with this `TMPDIR`, and a descendant of
one, belongs to the browser. The reaper touches no other process, even if it uses the folder.

The reaper also does the usual close. A process that is starting, or that a signal has stopped, does not
react to a request, so all processes are killed. After the death of a caller they get two seconds first,
since the driver may end them by itself.
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
import weakref
from pathlib import Path

from chatgptt.net.loops import call_in_child

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
known = set()  # pid and time of start; a process that lost its parent is still the browser's
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


class Reaper:
    """The process, and the folder that the browser writes to."""

    def __init__(self) -> None:
        self.folder = _place() / f"{PREFIX}{secrets.token_hex(8)}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process, and then makes the folder.

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
                    start_new_session=True,  # so that neither Ctrl-C nor the end of the group reaches it
                    cwd="/",
                )
            except OSError as error:
                _log.warning("a browser whose caller is killed will be left running: %s", error)
            _running.add(self)
        self.folder.mkdir(mode=0o700)

    @property
    def is_running(self) -> bool:
        """Whether the process was started, so that `close` ends everything."""
        return self._process is not None

    async def close(self) -> None:
        """Kills the processes and removes the folder; it takes a tenth of a second, and 10 s at most."""
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
        """Lets go of the process in a forked child: it and the end of the pipe are the parent's."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.returncode = 0  # it is no child of this process, which cannot wait for it


_running: weakref.WeakSet[Reaper] = weakref.WeakSet()


def _forget_all() -> None:
    for reaper in _running:
        reaper.forget()


call_in_child(_forget_all)


def _place() -> Path:
    """The folder for temporary files, or a shorter one where Chromium's socket would not fit into it."""
    usual = Path(tempfile.gettempdir())
    if sys.platform == "win32" or _is_short(usual):
        return usual
    others = [Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp"), Path("/tmp")]  # noqa: S108 - see _is_safe
    return next((path for path in others if _is_short(path) and _is_safe(path)), usual)


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
