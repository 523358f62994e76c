"""Processes of the tests that end with the test, and with the process of the tests, however that ends.

The kernel ends them in the latter case: `setpriv --pdeathsig`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0
"""Seconds within which each server has to be up; they take one or two."""

ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")


def start(
    stack: contextlib.ExitStack, folder: Path, *command: str, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Starts a server that ends with the stack, and with this process."""
    with (folder / f"{command[0]}-output").open("wb") as output:
        process = subprocess.Popen(
            [*ENDS_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_with_servers(env),
        )
    stack.callback(stop, process)
    return process


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks it to end, and waits for that; one that does not is killed."""
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def run(*command: str, folder: Path, env: dict[str, str] | None = None) -> str:
    """What a command prints that has to succeed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env=_with_servers(env)
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _with_servers(env: dict[str, str] | None) -> dict[str, str]:
    """An environment whose PATH leads to servers: an ordinary user's on Debian does not."""
    env = {**(os.environ if env is None else env)}
    return env | {"PATH": os.pathsep.join((env.get("PATH", os.defpath), "/usr/sbin"))}


def wait_until(
    is_done: Callable[[], bool],
    complaint: str | Callable[[], str],
    log: Path | None = None,
    process: subprocess.Popen[bytes] | None = None,
) -> None:
    """Waits for a state; fails with the log if it never comes, or if the process ends first."""
    give_up = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > give_up or (process is not None and process.poll() is not None):
            said = complaint if isinstance(complaint, str) else complaint()
            raise RuntimeError(f"{said}\n{log.read_text() if log and log.exists() else ''}")
        time.sleep(0.02)
