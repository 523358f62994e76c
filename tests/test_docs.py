from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    *sorted(ROOT.glob("docs/**/*.md")),
    *(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING")),
]
MOST_CHARACTERS = 120


def prose(page: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a page that are neither a row of a table nor code."""
    is_code = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.startswith("```"):
            is_code = not is_code
        elif not is_code and not line.startswith(("|", "    ")):
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lines_of_prose_end_by_120_characters(page: Path) -> None:
    lines = list(prose(page))
    assert lines
    assert [f"{number}: {line}" for number, line in lines if len(line) > MOST_CHARACTERS] == []
