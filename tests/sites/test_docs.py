"""docs/sites.md shows a file that is read, names every key, and its programs work."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from chatgptt.demo import DemoSite
from chatgptt.sites.file import parse_sites
from chatgptt.sites.named import OPTIONS

DOCS = Path(__file__).parents[2] / "docs" / "sites.md"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.M | re.S)


def test_the_file_is_one() -> None:
    (text,) = snippets("toml")
    assert [site.name for site in parse_sites(text, DOCS)] == ["shop", "blog"]


def test_the_table_names_every_key() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", DOCS.read_text(), re.M)
    assert [key for row in rows for key in re.findall(r"`([\w-]+)`", row)] == list(OPTIONS)


def test_the_commands_work(demo: DemoSite, tmp_path: Path) -> None:
    wrapper = tmp_path / "bin" / "chatgptt"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chatgptt "$@"\n')
    wrapper.chmod(0o755)
    commands = [line for snippet in snippets("sh") for line in snippet.splitlines()]
    assert len(commands) == 8
    for command in commands:
        done = subprocess.run(
            command.replace("https://site.example/chat", demo.page("wpaicg/")),
            shell=True,
            env={
                **os.environ,
                "PATH": f"{wrapper.parent}{os.pathsep}{os.environ['PATH']}",
                "CHATGPTT_SITES": str(tmp_path / "settings" / "sites.toml"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, bool(done.stdout)) == (0, True), (command, done)


def test_the_programs_work(demo: DemoSite, tmp_path: Path) -> None:
    (text,) = snippets("toml")
    page = demo.page("wpaicg/many/")
    (tmp_path / "sites.toml").write_text(
        text.replace("https://site.example/chat", page).replace('"3"', '"0"')
    )
    (program,) = snippets("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CHATGPTT_SITES": str(tmp_path / "sites.toml")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("made up by the demo") == 2
