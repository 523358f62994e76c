"""docs/sites.md shows a file that is read, and names every key. tests/pages runs its commands and programs."""

from __future__ import annotations

import re

from pages.blocks import ROOT, texts_of

from chatgptt.sites.file import parse_sites
from chatgptt.sites.named import OPTIONS

DOCS = ROOT / "docs" / "sites.md"


def test_the_file_is_one() -> None:
    (text,) = texts_of("sites.md", "toml")
    assert [site.name for site in parse_sites(text, DOCS)] == ["shop", "blog"]


def test_the_table_names_every_key() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", DOCS.read_text(), re.M)
    assert [key for row in rows for key in re.findall(r"`([\w-]+)`", row)] == list(OPTIONS)
