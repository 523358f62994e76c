"""Processes of other people's programs: their environment, and how long they may take."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 60.0
"""Seconds after which something that should have happened is a failure."""


def environment(**own: str) -> dict[str, str]:
    """This process's environment, without the start of coverage and the paths of the tests' own Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "PYTHON"))}
    return {**kept, "PYTHONUNBUFFERED": "1", **own}


def read_until(process: subprocess.Popen[bytes], mark: bytes) -> bytes:
    """What a process prints up to and with `mark`."""
    assert process.stdout is not None
    printed, end = b"", time.monotonic() + PATIENCE
    while mark not in printed:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))
        data = os.read(process.stdout.fileno(), 4096) if ready else b""
        assert data, f"{mark!r} never came after {printed!r}"
        printed += data
    return printed


@contextmanager
def endpoint(page: str, state: Path, *options: str) -> Iterator[str]:
    """The base URL of `chatgptt serve` for a page."""
    command = [sys.executable, "-m", "chatgptt", "serve", "--port", "0", "--json", "--site", page, *options]
    env = {**os.environ, "CHATGPTT_STATE_DIR": str(state)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as process:
        try:
            url: str = json.loads(read_until(process, b"}\n"))["url"]
            yield url
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
