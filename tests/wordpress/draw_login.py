"""Makes docs/pictures/login.png: `chatgptt login` in a terminal, and beside it the window that it opened.

    python tests/wordpress/draw_login.py

It needs what `nox -s wordpress` installs, and Debian's imagemagick and xterm. That session's Python has the rest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

from wordpress.installation import WordPress, installed
from wordpress.processes import start
from wordpress.screen import Screen, shown

PICTURE = Path(__file__).parents[2] / "docs/pictures/login.png"
WIDTH, HEIGHT, TERMINAL = 1280, 480, 660
"""In pixels: the screen, and the part of its width that the terminal has."""

SANDBOX = "chatgptt.browser: the browser runs without its sandbox"
"""How a line begins that only root gets."""

LOOK = ("-fa", "DejaVu Sans Mono", "-fs", "10", "-bg", "white", "-fg", "black", "-b", "8")


def show_login(screen: Screen, wordpress: WordPress, folder: Path, stack: ExitStack) -> None:
    """Starts the command in a terminal, and puts its window beside it."""
    words = f"chatgptt login --site {wordpress.page('members')}"
    command = f"echo '$ {words}'; {sys.executable} -m {words} 2>&1 | grep --line-buffered -v '^{SANDBOX}'"
    variables = {"DISPLAY": screen.display, "CHATGPTT_STATE_DIR": str(folder / "state")}
    terminal = ("xterm", *LOOK, "-geometry", "80x40+0+0", "-e", "sh", "-c", command)
    start(stack, folder, *terminal, env={**os.environ, **variables})
    screen.place(screen.wait_for("Log In"), TERMINAL, 0, WIDTH - TERMINAL, HEIGHT)


def main() -> None:
    """Takes the picture, in few colours."""
    with installed() as wordpress, shown(f"{WIDTH}x{HEIGHT}x24") as screen, ExitStack() as stack:
        wordpress.set(replace(wordpress.conditions, focus_in_title=False))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        show_login(screen, wordpress, folder, stack)
        time.sleep(5)  # until all is drawn; somebody will look at the picture
        PICTURE.parent.mkdir(exist_ok=True)
        colours = ("+dither", "-colors", "64", "-strip")
        subprocess.run(
            ["import", "-display", screen.display, "-window", "root", *colours, f"PNG8:{PICTURE}"], check=True
        )


if __name__ == "__main__":
    main()
