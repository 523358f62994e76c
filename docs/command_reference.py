"""The directive `command-reference`: a section for each command, from the same words as its `--help`."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from chatgptt.cli.app import command as command_line

EXAMPLES = "Examples:"
VERBATIM = "\b"
"""click's mark of a paragraph whose lines stay as they are."""


CODE = re.compile(r"(`[^`]+`|(?<!\w)--?[a-z][\w-]*|CHATGPTT_\w+)")


class CommandReference(SphinxDirective):
    """Lists the program's commands, and the commands of each."""

    def run(self) -> list[nodes.Node]:
        """Called by Sphinx."""
        context = click.Context(command_line, info_name="chatgptt", **command_line.context_settings)
        return [*_described(context), *(_section(one) for one in _subcommands(context))]


def _subcommands(context: click.Context) -> Iterator[click.Context]:
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield click.Context(command, info_name=name, parent=context)


def _section(context: click.Context) -> nodes.section:
    name = context.command_path
    section = nodes.section(ids=[nodes.make_id(name)], names=[name])
    section += nodes.title(name, name)
    section += _described(context)
    section += [_section(one) for one in _subcommands(context)]
    return section


def _described(context: click.Context) -> list[nodes.Node]:
    command = context.command
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    options = nodes.definition_list()
    for option in command.get_params(context):
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            options += _option(f"{context.command_path} {option.opts[-1]}", *record)
    return [
        *_paragraphs(command.help or ""),
        nodes.literal_block(usage, usage, language="text"),
        *([options] if options.children else []),
        *_paragraphs(command.epilog or ""),
    ]


def _option(name: str, spelling: str, help_text: str) -> nodes.definition_list_item:
    term = nodes.term("", "", nodes.literal(spelling, spelling), ids=[nodes.make_id(name)])
    return nodes.definition_list_item("", term, nodes.definition("", _words(help_text)))


def _paragraphs(text: str) -> Iterator[nodes.Node]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if not paragraph.startswith(VERBATIM):
            yield _words(paragraph)
            continue
        first, _, rest = paragraph.removeprefix(VERBATIM).strip("\n").partition("\n")
        yield _words(first)
        if rest:
            block = "\n".join(line.removeprefix("  ") for line in rest.splitlines())
            yield nodes.literal_block(block, block, language="sh" if first == EXAMPLES else "text")


def _words(text: str) -> nodes.paragraph:
    """A paragraph in which options, variables and what is between backticks are code."""
    paragraph = nodes.paragraph()
    for index, part in enumerate(CODE.split(" ".join(text.split()))):
        paragraph += nodes.literal(part, part.strip("`")) if index % 2 else nodes.Text(part)
    return paragraph


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("command-reference", CommandReference)
    return {"parallel_read_safe": True}
