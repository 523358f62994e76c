"""The reference names everything that it is the reference of."""

from __future__ import annotations

import re
from types import ModuleType

import pytest
from pages.blocks import ROOT

import chatgptt
import chatgptt.recordings

DOCS = ROOT / "docs"
LIBRARY = (DOCS / "reference/library.md").read_text(encoding="utf-8")
SOURCES = [file.read_text(encoding="utf-8") for file in (ROOT / "src").rglob("*.py")]


@pytest.mark.parametrize("room", [chatgptt, chatgptt.recordings], ids=lambda room: room.__name__)
def test_the_library_has_every_public_name_once(room: ModuleType) -> None:
    name = room.__name__
    listed = re.findall(rf"^\.\. (?:auto\w+|py:data):: {re.escape(name)}\.(\w+)$", LIBRARY, re.M)
    assert sorted(listed) == sorted(room.__all__)


def test_the_configuration_has_every_variable_once() -> None:
    text = (DOCS / "reference/configuration.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(CHATGPTT_\w+)` \|", text, re.M)
    used = {name for source in SOURCES for name in re.findall(r"[\"`](CHATGPTT_[A-Z_]+)[\"`]", source)}
    assert sorted(listed) == sorted(used)


def test_the_files_have_every_file_of_the_state_folder() -> None:
    text = (DOCS / "reference/files.md").read_text(encoding="utf-8")
    names = [name for source in SOURCES for name in re.findall(r'^FILE_NAME = "(.+)"$', source, re.M)]
    endings = [name for source in SOURCES for name in re.findall(r'file_name\(\w+, "(\.\w+)"\)', source)]
    listed = re.findall(r"^\| `(\S+)`", text, re.M)
    assert names
    assert endings
    assert {*names, *(f"HOST-DIGEST{ending}" for ending in endings)} <= set(listed)
