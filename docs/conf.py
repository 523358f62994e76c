"""The documentation site: the pages of this folder, the library's docstrings and the commands' help.

The pages are read on a code host too, so their links are those between the files of the repository.
"""

from __future__ import annotations

import re

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

import chatgptt

project = "chatgptt"
author = "The chatgptt developers"
project_copyright = author
release = version = chatgptt.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_site"]
nitpicky = True

myst_heading_anchors = 4
myst_enable_extensions = ["attrs_block"]

html_theme = "furo"
html_title = f"chatgptt {release}"
html_show_sourcelink = False
html_copy_source = False

FORMS_WITHOUT_COLOURS = ("cron", "nagios")

OUTSIDE = re.compile(r"\]\((?:\.\./)+(SECURITY|CHANGELOG|CONTRIBUTING)\.md")
"""A link to a file above this folder, which the site has a page for."""


def _link_to_own_page(_app: Sphinx, docname: str, source: list[str]) -> None:
    up = "../" * docname.count("/")
    source[0] = OUTSIDE.sub(lambda found: f"]({up}{found[1].lower()}.md", source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for form in FORMS_WITHOUT_COLOURS:
        app.add_lexer(form, TextLexer)
    app.connect("source-read", _link_to_own_page)
