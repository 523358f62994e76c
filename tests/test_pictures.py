"""The pictures of docs/pictures: small, whole in themselves, shown with words, and what the commands show today."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted([*FOLDER.glob("*.svg"), *FOLDER.glob("*.png")])
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
SAME_WORDS = ("ask", "phases", "ladder")
"""Pictures whose words are the same each time; a bar shows another moment."""

MOST_BYTES = 80_000


def words_of(svg: Path) -> list[str]:
    """The lines of text in a drawing. Times, ports and the room that they take differ."""
    lines = re.findall(r"<(?:text|title)\b[^>]*>(.*?)</", svg.read_text(encoding="utf-8"), re.S)
    return re.sub(r"\d+", "#", re.sub(r"(?:\s|&#160;)+", " ", "\n".join(lines))).split()


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_small_and_shown_with_words(picture: Path) -> None:
    assert picture.stat().st_size < MOST_BYTES
    shown = [
        found[1]
        for page in PAGES
        for found in re.finditer(rf"!\[([^\]]*)\]\([^)]*{re.escape(picture.name)}\)", page.read_text())
    ]
    assert shown
    assert all(len(words) > 40 for words in shown), "a text that stands for the picture"


@pytest.mark.parametrize("picture", sorted(FOLDER.glob("*.svg")), ids=lambda picture: picture.name)
def test_a_drawing_needs_nothing_else(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    tags = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(text).iter()}
    assert not tags & {"script", "image", "use", "foreignObject", "a"}
    assert not re.search(r"@import|href=|url\((?!#)", text)


def test_the_pictures_show_what_the_commands_print(tmp_path: Path) -> None:
    make = [sys.executable, str(FOLDER / "make.py"), "--into", str(tmp_path), *SAME_WORDS, "batch"]
    subprocess.run(make, check=True, timeout=300)
    for name in SAME_WORDS:
        made, committed = tmp_path / f"{name}.svg", FOLDER / f"{name}.svg"
        assert words_of(made) == words_of(committed), f"nox -s pictures -- {name}"
    assert "#/#failed:" in "".join(words_of(tmp_path / "batch.svg"))
