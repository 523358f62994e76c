"""The documentation site: the pages of this folder, the library's docstrings and the commands' help.

The pages are read on a code host too, so their links are those between the files of the repository.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import chatgptt
import chatgptt.recordings

sys.path.append(str(Path(__file__).parent))  # for command_reference

project = "chatgptt"
author = "The chatgptt developers"
project_copyright = author
release = version = chatgptt.__version__

extensions = ["command_reference", "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_site"]

smartquotes_action = "D"  # dashes; quotation marks stay as they were typed

myst_heading_anchors = 4

default_role = "py:obj"  # a docstring's `Client` leads to it; what is no name of ours is shown as code
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_use_ivar = True
python_display_short_literal_types = True
python_maximum_signature_line_length = 80

html_theme = "furo"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_title = f"chatgptt {release}"
html_show_sourcelink = False
html_copy_source = False

FORMS_WITHOUT_COLOURS = ("cron", "nagios")

OUTSIDE = re.compile(r"\]\((?:\.\./)+(SECURITY|CHANGELOG|CONTRIBUTING)\.md")
"""A link to a file above this folder, which the site has a page for."""

LONGEST_TYPE = 150
"""Characters; a longer one is a union of all codes, which the attribute's words name."""

HOMES = {name: room.__name__ for room in (chatgptt.recordings, chatgptt) for name in room.__all__}
"""Where users find a public name; the module that it is written in is private."""

MADE_BY_A_CALLER = (
    "Client",
    "Timeouts",
    "RetryPolicy",
    "BrowserOptions",
    "FileStore",
    "MemoryStore",
    "RedisStore",
)
"""The classes whose arguments are of interest."""


def _link_to_own_page(_app: Sphinx, docname: str, source: list[str]) -> None:
    up = "../" * docname.count("/")
    source[0] = OUTSIDE.sub(lambda found: f"]({up}{found[1].lower()}.md", source[0])


def _link_from_docstring(
    _app: Sphinx, _what: str, _name: str, _item: object, _options: object, lines: list[str]
) -> None:
    text = re.sub(r"\b([Ss]ee) (Async\w+(?:\.\w+)?)", r"\1 `\2`", "\n".join(lines))
    text = re.sub(rf"^:vartype \w+: .{{{LONGEST_TYPE},}}\n?", "", text, flags=re.M)
    lines[:] = re.sub(r"\bdocs/(\w+)\.md", r":doc:`docs/\1.md </\1>`", text).splitlines()


def _without_arguments(
    _app: Sphinx, what: str, name: str, _item: object, _options: object, _arguments: str, _result: str
) -> tuple[str, str] | None:
    is_of_interest = what not in ("class", "exception") or name.rpartition(".")[2].endswith(MADE_BY_A_CALLER)
    return None if is_of_interest else ("", "")


def _find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    name = node["reftarget"].rpartition(".")[2]
    if name not in HOMES:
        return None
    target = f"{HOMES[name]}.{name}"
    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, shown
    )


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for form in FORMS_WITHOUT_COLOURS:
        app.add_lexer(form, TextLexer)
    app.connect("source-read", _link_to_own_page)
    app.connect("missing-reference", _find_public_name)
    app.connect("autodoc-process-docstring", _link_from_docstring)
    app.connect("autodoc-process-signature", _without_arguments)
