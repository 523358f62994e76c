"""What a browser leaves behind: its processes, and its files."""

from __future__ import annotations

import time
from pathlib import Path


class Traces:
    """Everything that was started with this folder as the one for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def processes(self) -> list[str]:
        """The command lines of running processes that know the folder; dead ones don't run."""
        mark = str(self.folder).encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                command = (entry / "cmdline").read_bytes()
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            is_of_browser = b"chatgptt-browser-" in command + environment
            if state not in "ZX" and is_of_browser and mark in command + environment:
                found.append(command.replace(b"\0", b" ").decode("utf-8", "replace"))
        return found

    def browsers(self) -> list[str]:
        """Those of them that are the main process of a browser."""
        return [line for line in self.processes() if "--user-data-dir=" in line and "--type=" not in line]

    def drivers(self) -> list[str]:
        """Those that are Playwright's driver."""
        return [line for line in self.processes() if "run-driver" in line]

    def files(self) -> list[str]:
        """Everything in the folder."""
        return [path.name for path in self.folder.iterdir()]

    def assert_none_within(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (self.processes() or self.files()) and time.monotonic() < end:
            time.sleep(0.05)
        assert self.processes() == []
        assert self.files() == []


def without_notice(error: bytes) -> bytes:
    """What a process said on stderr, but for the notice that root's browser has no sandbox."""
    return error.replace(b"the browser runs without its sandbox: the user is root\n", b"")
