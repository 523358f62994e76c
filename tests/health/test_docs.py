"""The snippets of docs/health-check.md do what they are there for."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from junitparser import JUnitXml
from prometheus_client.parser import text_string_to_metric_families

from chatgptt.demo import DemoSite

DOCS = Path(__file__).parents[2] / "docs" / "health-check.md"
PAGE = "https://site.example/chat"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.M | re.S)


class Shell:
    """Runs commands as the snippets write them, against the demo and in a folder of their own."""

    def __init__(self, folder: Path, demo: DemoSite) -> None:
        self.folder = folder
        self._demo = demo
        wrapper = folder / "bin" / "chatgptt"
        wrapper.parent.mkdir()
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chatgptt "$@"\n')
        wrapper.chmod(0o755)

    def here(self, text: str) -> str:
        """A snippet with the addresses of this test."""
        places = {
            PAGE: self._demo.page("wpaicg/"),
            "https://ping.example": self._demo.url,
            "/var/lib/node_exporter": str(self.folder),
        }
        return re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            self.here(command),
            shell=True,
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def shell(tmp_path: Path, demo: DemoSite) -> Shell:
    (tmp_path / "shell").mkdir()
    return Shell(tmp_path / "shell", demo)


def test_the_commands_work(shell: Shell) -> None:
    (shell.folder / "sites.toml").write_text(
        shell.here(snippets("toml")[0]).replace('"3"', '"0"').replace('"OK"', '"."')
    )
    commands = [line for snippet in snippets("sh") for line in snippet.splitlines()]
    assert len(commands) == 4
    for command in commands:
        done = shell.run(command)
        assert done.returncode == 0, (command, done)
    assert "available" in (shell.folder / "report.html").read_text()


def test_the_list_of_sites_names_every_option() -> None:
    from chatgptt.sites.named import OPTIONS

    listed = re.search(r"The options of a table are (.*?)\.", DOCS.read_text(), re.S)
    assert listed
    assert re.findall(r"`([\w-]+)`", listed[1]) == list(OPTIONS)
    for table in tomllib.loads(snippets("toml")[0]).values():
        assert table.keys() <= OPTIONS.keys()


def test_cron_calls_the_switch_and_stays_silent_if_all_is_well(shell: Shell, demo: DemoSite) -> None:
    command = cron(snippets("cron")[0])
    done = shell.run(command)
    assert (done.returncode, done.stdout) == (0, "")
    assert demo.requests[-1].path == "/f00"
    done = shell.run(command.replace(PAGE, demo.page("status/404/")))
    assert done.stdout.startswith("CRITICAL")
    assert demo.requests[-1].path == "/f00/fail"


def cron(line: str) -> str:
    *times, command = line.strip().split(" ", 5)
    assert len(times) == 5
    assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times)
    assert "%" not in command  # cron would take it for a line end
    return command


def test_the_units_are_units_and_their_command_works(shell: Shell) -> None:
    service, timer = (unit(text) for text in snippets("ini"))
    assert shell.run(service["Service"]["ExecStart"]).returncode == 0
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def test_the_nagios_command_prints_a_status_line(shell: Shell) -> None:
    (text,) = snippets("nagios")
    found = re.fullmatch(r"define command \{\n\s+command_name\s+(\w+)\n\s+command_line\s+(.+)\n\}\n", text)
    assert found
    done = shell.run(found[2].replace("$ARG1$", "30").replace("$ARG2$", PAGE))
    assert done.returncode == 0
    assert done.stdout.startswith("CHATGPTT OK: answered")


def test_the_textfile_is_read_by_prometheus(shell: Shell) -> None:
    assert shell.run(cron(snippets("cron")[1])).returncode == 0
    families = {
        family.name: family
        for family in text_string_to_metric_families((shell.folder / "chat.prom").read_text())
    }
    assert families["chatgptt_up"].samples[0].value == 1
    for metric in re.findall(r"chatgptt_\w+", snippets("promql")[0]):
        assert metric in families


def test_the_ci_job_writes_a_report(shell: Shell) -> None:
    (text,) = snippets("yaml")
    (command,) = re.findall(r"^ +- (chatgptt .+)$", text, re.M)
    assert shell.run(command).returncode == 0
    assert JUnitXml.fromfile(str(shell.folder / "report.xml")).tests == 9


def test_the_python_works(shell: Shell) -> None:
    (shell.folder / "snippet.py").write_text(shell.here(snippets("python")[0]).replace('"OK"', '"made up"'))
    done = shell.run(f"{shlex.quote(sys.executable)} snippet.py")
    assert done.returncode == 0, done
    assert done.stdout.startswith("ok answered")
    assert "answer pass" in done.stdout
