"""The parts of the Containerfile, for machines that cannot build it; `nox -s container` builds and runs it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from chatgptt.state.folder import default_folder

ROOT = Path(__file__).parents[1]
INSTRUCTIONS = [
    (found[1], found[2])
    for found in re.finditer(
        r"^([A-Z]+) (.+)$", (ROOT / "Containerfile").read_text().replace("\\\n", " "), re.M
    )
]
SETTINGS = [
    dict(part.split("=", 1) for part in shlex.split(words)) for name, words in INSTRUCTIONS if name == "ENV"
]


def last(instruction: str) -> str:
    return [words for name, words in INSTRUCTIONS if name == instruction][-1]


def copied() -> list[str]:
    """What is copied from the tree."""
    copies = [words.split() for name, words in INSTRUCTIONS if name == "COPY" and "--from" not in words]
    return [source for *sources, _ in copies for source in sources]


def packages() -> list[str]:
    """Debian's packages that are installed."""
    return [
        word
        for name, words in INSTRUCTIONS
        if name == "RUN"
        for listed in re.findall(r"apt-get install ([^&]+)", words)
        for word in listed.split()
        if not word.startswith("--")
    ]


def test_what_is_copied_exists_and_is_sent_to_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    sent = [line.removeprefix("!") for line in lines if line.startswith("!")]
    assert sorted(copied()) == sorted(sent)
    assert all((ROOT / name).exists() for name in copied())


def test_what_the_build_needs_is_copied() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [project["project"]["readme"], *project["project"]["license-files"], *wheel["shared-data"]]
    assert {*needed, "pyproject.toml", "src"} == set(copied())


def test_the_extras_exist() -> None:
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', " ".join(words for _, words in INSTRUCTIONS))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(extras.split(",")) <= project["project"]["optional-dependencies"].keys()


def test_the_packages_exist() -> None:
    release = Path("/etc/os-release")
    if shutil.which("apt-cache") is None or "bookworm" not in release.read_text():
        pytest.skip("this is no Debian 12: the names of the Containerfile's packages were NOT tested")
    command = ["apt-cache", "policy", *packages()]
    policy = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    if "http" not in policy:
        pytest.skip("apt has no lists, as before its update: the names of the packages were NOT tested")
    known = re.findall(r"^(\S+):\n.*\n  Candidate: (?!\(none\))", policy, re.M)
    assert sorted(set(known)) == sorted(set(packages()))
    assert any("chromium" in name for name in known)


def test_an_ordinary_user_runs_the_command() -> None:
    assert last("USER") not in ("root", "0")
    assert f"useradd --create-home --uid 1000 {last('USER')} " in " ".join(words for _, words in INSTRUCTIONS)
    assert last("ENTRYPOINT") == '["chatgptt"]'


def test_the_volume_is_the_users_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS[-1].items():
        monkeypatch.setenv(name, value)
    assert str(default_folder()) == last("VOLUME")
    made = next(words for name, words in INSTRUCTIONS if name == "RUN" and "install --directory" in words)
    assert f"--owner {last('USER')} --mode 700 {last('VOLUME')}" in made
