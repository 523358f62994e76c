"""What outlives the caller by a moment: a tiny process that clears up when the caller is gone.

A browser is a tree of processes and a temporary profile. A caller that is killed outright can close neither.
So all of them live in one folder, and a process of our own holds the reading end of a pipe: it reads its end
when the caller closes it or dies in whatever way, ends what still runs out of that folder, and removes it.

Closing goes the same way: what is starting, or was stopped, hears nothing, so all of it is killed. A caller
that is gone leaves two seconds to end by itself, since its driver may be at that already.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["Lifeline"]

_log = logging.getLogger("chatgptt.browser")

PREFIX = "chatgptt-browser-"

_CODE = r"""
import os, shutil, signal, sys, time
folder, grace = sys.argv[1], 2.0
for name in ("SIGINT", "SIGHUP", "SIGTERM"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
while os.read(0, 1024):
    grace = 0.0
mark = os.fsencode(folder)
def mine():
    found = []
    if os.path.isdir("/proc/self"):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for file in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{file}", "rb") as open_file:
                        if mark in open_file.read() and int(pid) != os.getpid():
                            found.append(int(pid))
                            break
                except OSError:
                    pass
    else:
        import subprocess
        listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True).stdout
        for line in listed.splitlines():
            pid = int(line.split()[0])
            if mark in line and pid != os.getpid():
                found.append(pid)
    return found
began = time.monotonic()
while mine() and time.monotonic() - began < 8:
    if time.monotonic() - began >= grace:
        for pid in mine():
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
        self.folder = Path(tempfile.gettempdir(), f"{PREFIX}{secrets.token_hex(8)}")
        self._process: subprocess.Popen[bytes] | None = None

    def watch(self) -> None:
        """Starts the process that clears up, and then makes the folder.

        In this order, a caller that is killed between the two leaves nothing behind.
        """
        if sys.platform != "win32" and sys.executable:  # there, the driver's own end closes the browser
            try:
                self._process = subprocess.Popen(  # noqa: S603 - Python itself, and the code above
                    [sys.executable, "-I", "-S", "-c", _CODE, str(self.folder)],
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

    def cut(self) -> None:
        """Lets the other process clear up, in its own time."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def close(self) -> None:
        """Kills what runs, clears up, and waits for that; blocks for 10 s at most, mostly for a tenth."""
        if self._process is not None and self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(b"now")
        self.cut()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __del__(self) -> None:
        self.cut()
        if self._process is not None and self._process.returncode is None:
            self._process.poll()
            self._process.returncode = self._process.returncode or 0  # nobody is left to wait for it
