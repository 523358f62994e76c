"""The commands that set the project up, for root and for an ordinary user."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOBODY = 65534

_AS_ORDINARY_USER = f"""
import __future__, contextlib, os, pathlib, subprocess, sys
source = pathlib.Path(sys.argv.pop(1)).read_text()
if os.geteuid() == 0:
    os.setuid({NOBODY})
exec(compile(source, "debian.py", "exec"))
"""
"""The ordinary user may not be able to read the tree, so what is run is read before. It writes no coverage."""


def install_as_ordinary_user(*packages: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", _AS_ORDINARY_USER, str(ROOT / "tests/wordpress/debian.py"), *packages],
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_packages_that_only_root_could_install_are_named() -> None:
    code, said = install_as_ordinary_user("no-such-package")
    assert code == 77
    assert "root: apt-get install no-such-package" in said or "dpkg" in said


def test_ci_runs_the_test_command_of_the_readme() -> None:
    commands = re.findall(r"^\.venv/bin/nox.*$", (ROOT / "README.md").read_text(), re.M)
    last = (ROOT / ".ci/run").read_text().splitlines()[-1]
    assert commands[0].partition("#")[0].strip() == last.removeprefix("exec ")


def test_every_link_of_the_readme_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text())
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []
