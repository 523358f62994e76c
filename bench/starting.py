"""How long programs take to start: whole processes, the interpreter's own start included on both sides."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from table import Row, compared, timed

__all__ = ["rows_of_starts"]

ROUNDS = 15


def _start(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def rows_of_starts() -> list[Row]:
    """Imports and help, each beside what it is measured against."""
    commands = (
        ("-c", "pass"),
        ("-c", "import httpx"),
        ("-c", "import chatgptt"),
        ("-c", "from chatgptt import Client"),
        ("-c", "import typer, rich"),
        ("-m", "chatgptt", "--help"),
    )
    calls = [partial(_start, *command) for command in commands]
    nothing, httpx_, package, client, typer_rich, help_ = timed(calls, rounds=ROUNDS)
    than = "import httpx"
    return [
        compared("import chatgptt (loads its parts when used)", package, httpx_, than=than, at_most=1.3),
        compared(
            "from chatgptt import Client (all that asking needs)", client, httpx_, than=than, at_most=1.3
        ),
        compared("the same without the interpreter's start", client - nothing, httpx_ - nothing, than=than),
        compared("chatgptt --help", help_, typer_rich, than="import typer, rich", at_most=2),
    ]
