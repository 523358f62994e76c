"""Follow every link that stays in the built site, to its page and anchor: `check_links.py FOLDER`.

Sphinx warns of links that it resolves. This reads what a browser gets, whatever made it.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The anchors of a page, and where its links and pictures lead."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors = {"", "top"}
        self.links: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif value and (name == "href" or (name == "src" and tag != "iframe")):
                self.links.add(value)


def find_dead_links(folder: Path) -> list[str]:
    """A line for each link that leads nowhere."""
    pages = {file.resolve(): Page(file) for file in folder.rglob("*.html")}
    dead = []
    for file, page in sorted(pages.items()):
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            there = pages.get(target)
            if not target.is_file() or (there and unquote(parts.fragment) not in there.anchors):
                dead.append(f"{file.relative_to(folder.resolve())}: {link}")
    return dead


if __name__ == "__main__":
    sys.exit("\n".join(find_dead_links(Path(sys.argv[1]))) or 0)
