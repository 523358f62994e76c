"""Pools of Celery workers as processes, each as a machine of its own: with its own state folder and log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 120.0


class Pool:
    """A worker with its processes, which can be killed and started again."""

    def __init__(self, name: str, folder: Path, broker: str) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._environment = {
            **os.environ,
            "CHATGPTT_BROKER": broker,
            "CHATGPTT_STATE_DIR": str(folder / name),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it, and waits until it takes questions."""
        beginning = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "celery", "-A", "chatgptt.celery", "worker", "-n", f"{self.name}@%h"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--concurrency", "2", "--loglevel", "INFO"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE
        while b" ready." not in self.log.read_bytes()[beginning:]:
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """Kills it with all its processes, at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
            self._process = None

    def kill_children(self) -> None:
        """Kills the processes that ask, as a system does that has no memory left."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None


@contextmanager
def pool(name: str, folder: Path, broker: str) -> Iterator[Pool]:
    """A running pool."""
    running = Pool(name, folder, broker)
    try:
        running.start()
        yield running
    finally:
        running.kill()
