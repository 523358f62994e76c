"""A screen that no monitor shows, and the hands of a person in front of it: real events of a keyboard, by X itself.

Nobody here looks into a browser. What a window shows is known by its title, so the pages of the tests write into
their titles which field has the focus and how much is in it. There is no window manager: what is opened has the
whole screen, and `focus` does what a click on a window would.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from wordpress.processes import PATIENCE, start, wait_until


class Screen:
    """A display of X, with nothing on it at first.

    Attributes:
        display: its name, as the variable DISPLAY has it.
    """

    def __init__(self, display: str) -> None:
        self.display = display

    def wait_for(self, title: str) -> int:
        """The visible window whose title begins so, once there is one."""
        wait_until(lambda: self._windows(title) != [], lambda: f"{self.titles()}, and not {title!r}")
        return self._windows(title)[0]

    def wait_until_closed(self) -> None:
        """Waits until nothing has a title any more."""
        wait_until(lambda: self._windows("") == [], "a window is still open")

    def titles(self) -> list[str]:
        """What the windows say that they are."""
        return [self._run("getwindowname", str(window)).strip() for window in self._windows("")]

    def focus(self, window: int) -> None:
        """Gives a window the keyboard."""

        def has_it() -> bool:
            self._run("windowfocus", str(window))
            return self._run("getwindowfocus", "-f").strip() == str(window)

        wait_until(has_it, "the window does not take the keyboard")

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self._run("type", text)

    def place(self, window: int, x: int, y: int, width: int, height: int) -> None:
        """Moves a window, and gives it a size, in pixels."""
        self._run(
            "windowmove", str(window), str(x), str(y), "windowsize", str(window), str(width), str(height)
        )

    def press(self, *keys: str) -> None:
        """Presses keys, or chords such as `ctrl+w`, by the names that X has for them."""
        self._run("key", *keys)

    def press_until(self, title: str, key: str) -> None:
        """Presses a key until a window has this title: for a dialog, which has no title and takes a moment to come."""

        def is_done() -> bool:
            self.press(key)
            return self._windows(title) != []

        wait_until(is_done, lambda: f"{self.titles()}, and not {title!r}")

    def _windows(self, title: str) -> list[int]:
        found = self._run("search", "--onlyvisible", "--name", f"^{re.escape(title)}" if title else ".")
        return [int(line) for line in found.split()]

    def _run(self, *command: str) -> str:
        """What xdotool prints; a search without a result and a window that is just gone are no failure."""
        return subprocess.run(
            ["xdotool", *command],
            env={"DISPLAY": self.display, "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=PATIENCE,
            check=False,
        ).stdout


@contextlib.contextmanager
def shown(size: str = "1280x800x24") -> Iterator[Screen]:
    """A screen on a free display; its server ends with the block.

    A key does not repeat while it is held (`-r`): on a busy machine a short press can take long.
    """
    with tempfile.TemporaryDirectory(prefix="screen-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = ("Xvfb", "-displayfd", "1", "-screen", "0", size, "-nolisten", "tcp", "-noreset", "-r")
        process = start(stack, folder, *server)
        output = folder / "Xvfb-output"

        def number() -> list[str]:
            return re.findall(r"^(\d+)\n", output.read_text(), re.M)

        wait_until(lambda: number() != [], "Xvfb did not start", output, process)
        yield Screen(f":{number()[0]}")
