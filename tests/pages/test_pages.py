"""Every fenced block of README and docs/ is run, or says in a comment why not. See `pages.blocks`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from pages.blocks import PAGES, ROOT, Block, blocks_of, commands_of
from pages.session import Session, is_like, why_not

from chatgptt.demo import DemoSite

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
WITH_BLOCKS = [page for page in PAGES if any(not block.is_run_elsewhere for block in blocks_of(page))]
RUN_HERE = ("sh", "console", "python")


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_shows_works(page: Path, demo: DemoSite, tmp_path: Path) -> None:
    with Session(tmp_path / "reader", demo) as session:
        for block in blocks_of(page):
            session.run(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    assert block.comments or block.language in (*RUN_HERE, "text"), "name its language, or how it is run"
    tested_by = block.find("run by")
    assert tested_by is None or (ROOT / tested_by).is_file()


def not_run(block: Block) -> list[tuple[str, str]]:
    """What of a block no test runs, and why."""
    reason = block.find("not run")
    if reason is not None:
        return [(block.text.partition("\n")[0], reason)]
    if block.is_run_elsewhere or block.find("file") is not None or block.language not in ("sh", "console"):
        return []
    commands = [(command, why_not(command)) for command in commands_of(block)]
    return [(command, why) for command, why in commands if why is not None]


NOT_RUN = [
    pytest.param(f"{block.place}: {command}: {why}", id=f"{block.place}-{number}")
    for block in BLOCKS
    for number, (command, why) in enumerate(not_run(block))
]


@pytest.mark.parametrize("what", NOT_RUN)
def test_what_is_not_run_is_listed(what: str) -> None:
    pytest.skip(f"NOT RUN: {what}")


def test_every_extra_that_a_page_installs_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra
        for page in PAGES
        for names in re.findall(r"(?:chatgptt|\.|/src)\[([\w,]+)\]", page.read_text())
        for extra in names.split(",")
    }
    assert named <= extras.keys()


@pytest.mark.parametrize(
    ("printed", "shown", "is_same"),
    [
        ("answered, in 0.31 s\n", "answered, in 1.37 s", True),
        ("answered, in 0.31 s", "failed, in 1.37 s", False),
        ("a   b\n", "a b", True),
        ("one\ntwo\nthree", "one\n...\nthree", True),
        ("one\ntwo", "one", False),
        ("HTTP 404", "HTTP 200", False),
        ("http://127.0.0.1:40123/v1", "http://127.0.0.1:8765/v1", True),
    ],
)
def test_output_is_compared_as_far_as_it_is_stable(printed: str, shown: str, is_same: bool) -> None:
    assert is_like(printed, shown) is is_same
