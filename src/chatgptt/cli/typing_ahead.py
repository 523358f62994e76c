"""Keys that are typed while nothing reads them, during an answer say.

The terminal does not show them in the middle of the answer. They become the beginning of the next message,
which is not sent before Enter is pressed once more: an Enter or Ctrl-D of impatience sends and ends nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import unicodedata
from collections.abc import Callable, Iterator

from chatgptt.cli.terminal import is_dumb


@contextlib.contextmanager
def typing_ahead() -> Iterator[Callable[[], str]]:
    """Keys are not shown as long as the block lasts. It gets what takes those that were typed since.

    Ctrl-C and Ctrl-Z act as ever. A terminal that can only print is left as it is, and so is that of Windows,
    which shows a key when it is read.
    """
    if sys.platform == "win32" or is_dumb():
        yield str
        return
    import termios

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    held = termios.tcgetattr(number)
    held[3] &= ~(termios.ECHO | termios.ICANON)  # with ICANON, Ctrl-D would be an end of input

    def hold_again(*_: object) -> None:
        with contextlib.suppress(OSError, termios.error):
            if os.tcgetpgrp(number) == os.getpgrp():  # in the background it would stop this process
                termios.tcsetattr(number, termios.TCSADRAIN, held)

    termios.tcsetattr(number, termios.TCSADRAIN, held)
    # A shell sets modes of its own after Ctrl-Z, and leaves them with fg. Another thread may get the
    # signal, and then keys are hidden again with the next piece of the answer.
    continued = signal.signal(signal.SIGCONT, hold_again)
    try:
        yield lambda: _take(number)
    finally:
        signal.signal(signal.SIGCONT, continued)
        with contextlib.suppress(termios.error):  # the terminal may be gone
            termios.tcsetattr(number, termios.TCSADRAIN, before)


def _take(number: int) -> str:
    typed = b""
    with contextlib.suppress(OSError):
        while select.select([number], [], [], 0)[0] and (data := os.read(number, 4096)):
            typed += data
    return typed.decode("utf-8", "ignore")


_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O.|.)?", re.S)
"""What a key without a character sends, an arrow say (ECMA-48, section 5.4)."""


def as_draft(typed: str) -> str:
    """The text that keys have typed, without the other keys."""
    kept: list[str] = []
    for character in _SEQUENCE.sub("", typed).replace("\r", "\n"):
        if character in "\b\x7f":
            del kept[-1:]
        elif character in "\n\t" or unicodedata.category(character) != "Cc":
            kept.append(character)
    return "".join(kept).strip("\n")
