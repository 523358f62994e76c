"""Completion in the user's shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import PATIENCE, Done

from chatgptt.cli.completion import install_script


def run_in(shell: str, command: str, home: Path) -> Done:
    """What a shell of a user without settings does with a command line."""
    executable = shutil.which(shell)
    assert executable is not None
    folder = Path(sys.executable).parent
    env = {**os.environ, "HOME": str(home), "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [executable, "-c", command], env=env, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


COMPLETE = 'eval "$(chatgptt --show-completion)"; COMP_WORDS=({words}); COMP_CWORD={place}; _chatgptt_completion chatgptt; printf "%s\\n" "${{COMPREPLY[@]}}"'


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("chatgptt in", ["inspect", "install-browser"]),
        ("chatgptt ask --st", ["--stream", "--strategy"]),
        ("chatgptt ask --strategy ''", ["auto", "static", "browser"]),
        ("chatgptt health-check --format j", ["json", "junit"]),
    ],
)
def test_bash_completes_commands_options_and_values(words: str, expected: list[str], tmp_path: Path) -> None:
    place = len(words.split()) - 1
    done = run_in("bash", COMPLETE.format(words=words, place=place) + "; true", tmp_path)
    assert (done.code, done.err) == (0, "")
    assert sorted(done.out.split()) == sorted(expected)


def test_installing_it_adds_one_line_to_the_settings_once(tmp_path: Path) -> None:
    settings = tmp_path / ".bashrc"
    settings.write_text("alias ll='ls -l'")
    script = tmp_path / ".bash_completions" / "chatgptt.sh"
    for _ in range(2):
        done = run_in("bash", "chatgptt --install-completion; true", tmp_path)
        assert (done.code, done.err) == (0, "")
        assert done.out.splitlines()[0] == f"bash completion installed in {script}"
    assert settings.read_text() == f"alias ll='ls -l'\nsource '{script}'\n"
    assert "_chatgptt_completion" in script.read_text()


@pytest.mark.parametrize(
    ("shell", "file"), [("zsh", ".zfunc/_chatgptt"), ("fish", ".config/fish/completions/chatgptt.fish")]
)
def test_each_shell_has_its_place(
    shell: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert install_script(shell, "the script") == tmp_path / file
    assert (tmp_path / file).read_text() == "the script"
    assert (tmp_path / ".zshrc").exists() == (shell == "zsh")
