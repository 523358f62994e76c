"""What a command loads: the time to start is the time to import."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import get_args

import pytest
from cli.commands import PATIENCE

from chatgptt._models import Level, Strategy
from chatgptt.cli import options
from chatgptt.cli.health_check import FORMATS, LEVELS, Format
from chatgptt.demo import DemoSite

UNUSED = (
    "playwright",
    "prometheus_client",
    "sqlite3",
    "starlette",
    "tenacity",
    "tomlkit",
    "uvicorn",
    "importlib.metadata",
    "chatgptt.health",
    "chatgptt.protocols.walls",
    "chatgptt.visits.carried",
    "chatgptt.visits.visit",
    "chatgptt.recordings",
    "chatgptt.demo",
    "chatgptt.cli.chat",
    "chatgptt.cli.health_check",
)
LIBRARY = ("httpx", "anyio", "asyncio", "selectolax", "tenacity", "platformdirs", "rich")


def loaded_by(*argv: str) -> set[str]:
    """The modules of a process that ran a command."""
    script = (
        "import sys; from chatgptt.cli import main; code = main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    # Without the coverage's start, which loads modules of its own.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", script, *argv],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
        env=env,
    )
    return set(done.stderr.split())


def test_a_plain_question_loads_nothing_that_it_does_not_use(site: DemoSite) -> None:
    loaded = loaded_by("ask", "--site", site.page("wpaicg/"), "Hello")
    assert "httpx" in loaded
    assert loaded.isdisjoint(UNUSED)
    browser = {name for name in loaded if name.startswith("chatgptt.browser.")}
    assert browser <= {"chatgptt.browser.on_demand"}


@pytest.mark.parametrize("argv", [("--version",), ("--help",), ("ask", "--help"), ("health-check", "-h")])
def test_help_loads_nothing_of_the_library(argv: tuple[str, ...]) -> None:
    loaded = loaded_by(*argv)
    assert "click" in loaded
    assert loaded.isdisjoint((*UNUSED[:-2], *LIBRARY))


def test_the_version_loads_no_command() -> None:
    assert "chatgptt.cli.ask" not in loaded_by("--version")


def test_the_choices_are_those_of_the_library() -> None:
    assert get_args(Strategy) == options.STRATEGIES
    assert get_args(Level) == LEVELS
    assert get_args(Format) == FORMATS
