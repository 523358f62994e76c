"""docs/man/chatgptt.1 says what the commands say, and is a man page for programs that read some."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import click
import pytest

from chatgptt.cli.app import command

FOLDER = Path(__file__).parents[1] / "docs" / "man"
PAGE = FOLDER / "chatgptt.1"
CHECKS = {
    "groff": ("groff", "-man", "-ww", "-z", str(PAGE)),
    "mandoc": ("mandoc", "-T", "lint", "-W", "error", str(PAGE)),
}


def test_the_page_is_that_of_the_commands(tmp_path: Path) -> None:
    copy = shutil.copy(FOLDER / "make.py", tmp_path)
    subprocess.run([sys.executable, copy], check=True, timeout=60)
    assert PAGE.read_text() == (tmp_path / PAGE.name).read_text(), "run: python docs/man/make.py"


def test_it_has_a_section_for_each_command() -> None:
    text = PAGE.read_text().replace(r"\-", "-")
    for name in command.list_commands(click.Context(command)):
        assert f"\n.SS chatgptt {name} " in text


@pytest.mark.parametrize("program", [name for name in CHECKS if shutil.which(name)] or ["groff"])
def test_readers_of_man_pages_find_no_fault(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip("neither groff nor mandoc is on this machine: the man page's markup was NOT tested")
    done = subprocess.run(CHECKS[program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_is_part_of_the_wheel() -> None:
    assert any(str(file).endswith("share/man/man1/chatgptt.1") for file in files("chatgptt") or ())
