"""The fenced blocks of README and docs/, and the comments above them that say how each is run.

`sh`, `console` and `python` run as they are (see `session`), `text` is not run. A block in any other language needs a
comment. A comment stands on a line of its own right above the fence, and no reader sees it:

    <!-- file: NAME -->        the block is written to this file
    <!-- before: COMMAND -->   this command runs first
    <!-- output -->            a `text` block: what the block above it prints
    <!-- run by: PATH -->      this test runs the block
    <!-- not run: REASON -->   no test runs the block; the test run lists it
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted(ROOT.glob("docs/**/*.md")),
]

_BLOCK = re.compile(
    r"(?P<comments>(?:^ *<!-- [^\n]* -->\n)*)"
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.M | re.S,
)
_COMMENT = re.compile(r"<!-- (file|before|output|run by|not run)(?:: (.+?))? -->")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block; `place` is its page and line."""

    place: str
    language: str
    text: str
    comments: tuple[tuple[str, str], ...]

    def find(self, comment: str) -> str | None:
        """The words of a comment above it; None without such a comment."""
        return next((words for kind, words in self.comments if kind == comment), None)

    @property
    def is_run_elsewhere(self) -> bool:
        """Whether another test runs it, or none."""
        return self.find("run by") is not None or self.find("not run") is not None


def blocks_of(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in their order; all, or those in some languages."""
    return [block for block in _read(page) if not languages or block.language in languages]


def _read(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        if found["language"].startswith("{"):  # a directive of the site's
            continue
        line = text.count("\n", 0, found.start("indent")) + 1
        yield Block(
            place=f"{page.relative_to(ROOT)}:{line}",
            language=found["language"].strip(),
            text=dedent(found["text"]),
            comments=tuple(_COMMENT.findall(found["comments"])),
        )


def texts_of(page: str, language: str) -> list[str]:
    """The texts of the blocks of docs/PAGE in a language."""
    return [block.text for block in blocks_of(ROOT / "docs" / page, language)]


def commands_of(block: Block) -> list[str]:
    """The shell commands of a block; a line that ends with a backslash goes on in the next one."""
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console":
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [line for line in lines if line.strip() and not line.startswith("#")]


def outputs_of(block: Block) -> list[str]:
    """What a console block shows below each of its commands."""
    return [
        part.partition("\n")[2] for part in re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.M)[1:]
    ]
