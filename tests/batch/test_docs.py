"""Every command and program of docs/batch.md works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

from batch.batches import ids

from chatgptt.demo import DemoSite

DOCS = Path(__file__).parents[2] / "docs" / "batch.md"
PAGE = "https://site.example/chat"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.M | re.S)


def test_the_commands_work(demo: DemoSite, tmp_path: Path) -> None:
    wrapper = tmp_path / "bin" / "chatgptt"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chatgptt "$@"\n')
    wrapper.chmod(0o755)
    commands = [line for snippet in snippets("sh") for line in snippet.splitlines()]
    assert len(commands) == 10
    for command in commands:
        done = subprocess.run(
            command.replace(PAGE, demo.page("wpaicg/")),
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode, "chatgptt batch" in command) == (0, bool(done.stdout)), (command, done)
    assert ids(tmp_path / "answers.jsonl") == ["1", "2"]
    assert [ids(tmp_path / f"{name}.jsonl") for name in ("simple", "table", "piped")] == [
        ["sky"],
        ["sky"],
        ["1"],
    ]
    asked = Counter(message.message for message in demo.messages)
    assert (asked["Why is grass green?"], asked["Why is the sky blue?"]) == (1, 3)


def test_the_program_works(demo: DemoSite) -> None:
    (program,) = snippets("python")
    done = subprocess.run(
        [sys.executable, "-c", program.replace(PAGE, demo.page("aipkit/"))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(line.partition(" ")[0] for line in done.stdout.splitlines()) == list("01234")
