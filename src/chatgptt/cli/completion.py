"""Completion in the user's shell: click's script for it, shown or put where the shell reads it.

A shell gets a file of its own. bash and zsh need a line in their start-up file too, which is added once.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
import shellingham
from click.shell_completion import get_completion_class

_PROGRAM = "chatgptt"


def current_shell() -> str:
    """The shell that runs this command, else the user's login shell; "" where neither is known."""
    try:
        name: str = shellingham.detect_shell()[0]
    except shellingham.ShellDetectionFailure:
        name = Path(os.environ.get("SHELL", "")).name
    return name


def script_for(shell: str, command: click.Command) -> str:
    """The script that completes `command` in a shell.

    Raises:
        ClickException: for a shell that click has no completion for.
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"no completion for the shell {shell!r}; run this in bash, zsh or fish")
    return kind(command, {}, _PROGRAM, f"_{_PROGRAM.upper()}_COMPLETE").source()


def install_script(shell: str, script: str) -> Path:
    """Writes the script to the place that the shell reads; the path of its file."""
    home = Path.home()
    match shell:
        case "zsh":
            file = home / ".zfunc" / f"_{_PROGRAM}"
            _add_line(home / ".zshrc", "fpath+=~/.zfunc; autoload -Uz compinit; compinit")
        case "fish":
            file = home / ".config" / "fish" / "completions" / f"{_PROGRAM}.fish"
        case _:
            file = home / ".bash_completions" / f"{_PROGRAM}.sh"
            _add_line(home / ".bashrc", f"source '{file}'")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(script, encoding="utf-8")
    return file


def _add_line(file: Path, line: str) -> None:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if line not in text.splitlines():
        with file.open("a", encoding="utf-8") as opened:
            opened.write(f"\n{line}\n")
