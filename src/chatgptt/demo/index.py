"""The page at the root of the demo: what to begin with, then every page and every scripted word, folded."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from chatgptt.demo.model import WORDS
from chatgptt.demo.wordpress import Site

_FIRST = {
    "wpaicg/": "1.x, a box in the content",
    "wpaicg/widget/": "1.x, the floating widget",
    "aipkit/": "2.x, a box in the content",
    "aipkit/popup/": "2.x, a popup",
}


def index_page(sites: Sequence[Site], url: str) -> str:
    """The page for these sites. `url` is the demo's, without a slash at the end."""
    folded = "".join(
        _details(
            f"<code>/{site.prefix}/</code> {html.escape(site.about)}", len(site.pages), _pages(site.pages)
        )
        for site in sites
        if len(site.pages) > 1
    )
    single = {
        path: f"{site.about}: {about}".removeprefix(": ")
        for site in sites
        if len(site.pages) == 1
        for path, about in site.pages.items()
    }
    words = "".join(f"<li><code>{word}</code> {html.escape(about)}</li>\n" for word, about in WORDS.items())
    return _PAGE.format(
        style=_STYLE,
        first=_pages(_FIRST),
        url=html.escape(url),
        folded=folded,
        single=_details("Single pages, most of which fail", len(single), _pages(single)),
        words=_details("Messages that do something: put the word first", len(WORDS), f"<ul>\n{words}</ul>\n"),
    )


def _details(summary: str, count: int, content: str) -> str:
    return (
        f'<details><summary>{summary} <span class="faint">({count})</span></summary>\n{content}</details>\n'
    )


def _pages(pages: Mapping[str, str]) -> str:
    lines = "".join(
        f'<li><a href="/{path}">/{path}</a> {html.escape(about)}</li>\n' for path, about in pages.items()
    )
    return f"<ul>\n{lines}</ul>\n"


_STYLE = """
:root { color-scheme: light dark; --faint: #5b6470; --line: #d9dee5; --link: #1d5fae; }
@media (prefers-color-scheme: dark) { :root { --faint: #9aa4b1; --line: #343b46; --link: #7fb2ef; } }
body { max-width: 760px; margin: 0 auto; padding: 24px 16px 48px; font: 15px/1.5 system-ui, sans-serif; }
h1 { margin: 0; font-size: 24px; } h2 { margin: 24px 0 6px; font-size: 16px; }
p { margin: 6px 0; } ul { margin: 6px 0; padding-left: 18px; } li, summary { overflow-wrap: anywhere; }
a { color: var(--link); } .faint { color: var(--faint); }
details { border-top: 1px solid var(--line); padding: 5px 0; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere;
  padding: 8px 10px; border: 1px solid var(--line); border-radius: 6px; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Demo</title><style>{style}</style></head>
<body>
<h1>Chat sites to try things with</h1>
<p class="faint">All is made up, and no AI is behind it.</p>
{first}<pre>chatgptt ask --site {url}/wpaicg/ Hello</pre>
<h2>All sites and their pages</h2>
{folded}{single}<h2>What to say</h2>
{words}</body>
</html>
"""
