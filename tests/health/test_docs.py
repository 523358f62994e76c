"""What docs/health-check.md shows for other programs works. tests/pages runs its commands and its program."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from junitparser import JUnitXml
from pages.blocks import ROOT, texts_of
from pages.session import Session
from prometheus_client.parser import text_string_to_metric_families

from chatgptt.demo import DemoSite

PAGE = "https://site.example/chat"


def texts(language: str) -> list[str]:
    return texts_of("health-check.md", language)


@pytest.fixture
def session(tmp_path: Path, demo: DemoSite) -> Iterator[Session]:
    with Session(tmp_path / "reader", demo) as running:
        yield running


def test_the_list_of_sites_names_every_option() -> None:
    from chatgptt.sites.named import OPTIONS

    listed = re.search(
        r"The options of a table are (.*?)\.", (ROOT / "docs" / "health-check.md").read_text(), re.S
    )
    assert listed
    assert re.findall(r"`([\w-]+)`", listed[1]) == list(OPTIONS)
    for table in tomllib.loads(texts("toml")[0]).values():
        assert table.keys() <= OPTIONS.keys()


def test_cron_calls_the_switch_and_stays_silent_until_the_second_failure(
    session: Session, demo: DemoSite
) -> None:
    command = cron(texts("cron")[0])
    done = session.run_command(command)
    assert (done.returncode, done.stdout) == (0, "")
    assert demo.requests[-1].path == "/f00"
    failing = command.replace(PAGE, demo.page("status/404/"))
    done = session.run_command(failing)
    assert (done.returncode, done.stdout) == (0, "")
    assert demo.requests[-1].path == "/f00"
    done = session.run_command(failing)
    assert done.stdout.startswith("CRITICAL")
    assert demo.requests[-1].path == "/f00/fail"


def cron(line: str) -> str:
    *times, command = line.strip().split(" ", 5)
    assert len(times) == 5
    assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times)
    assert "%" not in command  # cron would take it for a line end
    return command


def test_the_units_are_units_and_their_command_works(session: Session) -> None:
    service, timer = (unit(text) for text in texts("ini"))
    assert session.run_command(service["Service"]["ExecStart"]).returncode == 0
    assert timer["Timer"]["OnCalendar"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def test_the_nagios_command_prints_a_status_line(session: Session) -> None:
    (text,) = texts("nagios")
    found = re.fullmatch(r"define command \{\n\s+command_name\s+(\w+)\n\s+command_line\s+(.+)\n\}\n", text)
    assert found
    done = session.run_command(found[2].replace("$ARG1$", "30").replace("$ARG2$", PAGE))
    assert done.returncode == 0
    assert done.stdout.startswith("CHATGPTT OK: answered")


def test_the_textfile_is_read_by_prometheus(session: Session) -> None:
    assert session.run_command(cron(texts("cron")[1])).returncode == 0
    families = {
        family.name: family
        for family in text_string_to_metric_families((session.folder / "chat.prom").read_text())
    }
    assert families["chatgptt_up"].samples[0].value == 1
    for metric in re.findall(r"chatgptt_\w+", texts("promql")[0]):
        assert metric in families


def test_the_ci_job_writes_a_report(session: Session) -> None:
    (text,) = texts("yaml")
    (command,) = re.findall(r"^ +- (chatgptt .+)$", text, re.M)
    assert session.run_command(command).returncode == 0
    assert JUnitXml.fromfile(str(session.folder / "report.xml")).tests == 9
