"""State folders and files in every trouble, and commands that meet them with the rights of an ordinary user."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from cli.commands import PATIENCE, Done

IS_ROOT = os.geteuid() == 0
NOBODY = 65534
"""An ordinary user's id, where the tests run as root, whom no permission holds up."""

_LIMITED = """
import contextlib, io, os, resource, sys

limit, uid, *argv = sys.argv[1:]
from chatgptt.cli import main

if uid:  # the ordinary user may not be able to read the modules: all that are needed are loaded before
    state, os.environ["CHATGPTT_STATE_DIR"] = os.environ.pop("CHATGPTT_STATE_DIR", None), "/dev/null"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(argv)
    os.environ.pop("CHATGPTT_STATE_DIR")
    if state is not None:
        os.environ["CHATGPTT_STATE_DIR"] = state
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
if limit:  # what is written beyond it fails, as on a disk that is full
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
sys.exit(main(argv))
"""


def run_limited(
    *argv: str,
    file_bytes: int | None = None,
    is_ordinary: bool = False,
    env: Mapping[str, str | None] | None = None,
) -> Done:
    """Runs the command where no file can get longer than `file_bytes`, or as an ordinary user."""
    environment = {**os.environ, **(env or {})}
    limit = "" if file_bytes is None else str(file_bytes)
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, limit, str(NOBODY) if is_ordinary and IS_ROOT else "", *argv],
        capture_output=True,
        env={name: value for name, value in environment.items() if value is not None},
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def give_away(path: Path) -> None:
    """Makes it somebody else's; who is not root has nothing to give away, and loses all rights instead."""
    if IS_ROOT:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    else:
        path.chmod(0)


def take_back(path: Path) -> None:
    """So that the test's folder can be cleared."""
    if not IS_ROOT and path.exists() and not path.is_symlink():
        path.chmod(0o700)


Spoil = Callable[[Path], None]


def in_place_of(what: str) -> Spoil:
    """Puts something else where a file is, or is to be."""

    def spoil(path: Path) -> None:
        if what == "somebody else's file":
            path.touch()
            give_away(path)
            return
        path.unlink(missing_ok=True)
        match what:
            case "a folder":
                path.mkdir()
            case "a pipe":
                os.mkfifo(path)
            case "a link elsewhere":
                target = path.with_name("target")
                target.write_text("mine")
                path.symlink_to(target)
            case "a link to nowhere":
                path.symlink_to(path.with_name("nowhere"))
            case "a link to itself":
                path.symlink_to(path)
            case _:
                raise AssertionError(what)

    return spoil


NO_FILES = (
    "a folder",
    "a pipe",
    "a link elsewhere",
    "a link to nowhere",
    "a link to itself",
    "somebody else's file",
)
"""What may stand in a file's place and is neither read, written nor waited for."""

DAMAGE = {
    "empty": b"",
    "a byte": b"\x00",
    "cut off": None,
    "no text": bytes(range(256)) * 40,
    "zeros, as after a power cut": bytes(4096),
    "huge": b"[" * 3_000_000,
}
"""What a file may hold instead; None cuts the file that was there in half."""


def damage(path: Path, data: bytes | None) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] if data is None else data)


def prints_of(folder: Path) -> list[tuple[str, int, bytes]]:
    """Everything below a folder, to see whether it was touched."""
    return sorted(
        (str(path.relative_to(folder)), path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    )
