"""Writes docs/man/chatgptt.1 from the commands: `python docs/man/make.py`.

One page for all commands, since people look for `man chatgptt`. Words, options and defaults are those of
`--help`. The page has no version and no date, so that it changes only when a command changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from chatgptt.cli.app import command as chatgptt

PAGE = Path(__file__).with_name("chatgptt.1")

FILES = {
    "~/.config/chatgptt/sites.toml": "The named sites.",
    "~/.local/state/chatgptt/": "Tokens, ids, visits, conversations and the history of health checks.",
}
"""Where Linux keeps them; `XDG_CONFIG_HOME` and `XDG_STATE_HOME` move them."""


def man_page() -> str:
    """The page, as man(7) markup."""
    context = click.Context(chatgptt, info_name="chatgptt", **chatgptt.context_settings)
    codes, environment = _epilog(chatgptt.epilog or "")
    parts = [
        '.TH CHATGPTT 1 "" chatgptt "User Commands"',
        ".SH NAME",
        f"chatgptt \\- {_first_line(chatgptt.help)}",
        ".SH SYNOPSIS",
        ".B chatgptt",
        ".I COMMAND",
        r"[\fIOPTIONS\fR] [\fIARGUMENTS\fR]",
        ".SH DESCRIPTION",
        *_description(chatgptt),
        "The sections below say what each command does.",
        ".SH OPTIONS",
        *_options(chatgptt, context),
        ".SH COMMANDS",
        *_commands(context),
        ".SH EXIT STATUS",
        _text(codes),
        ".SH ENVIRONMENT",
        *_list(environment),
        ".SH FILES",
        *_list(FILES),
    ]
    return "\n".join(parts) + "\n"


def _commands(context: click.Context) -> Iterator[str]:
    for name in chatgptt.list_commands(context):
        command = chatgptt.get_command(context, name)
        assert command is not None
        yield from _command(command, click.Context(command, info_name=name, parent=context))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section for the command, and one for each command below it."""
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {_text(f'{context.command_path} {usage}')}"
    yield from _description(command)
    yield from _options(command, context)
    yield from _epilog_lines(command.epilog or "")
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _command(below, click.Context(below, info_name=name, parent=context))


def _description(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate((command.help or "").split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Its options. `--help`, which each command has, is in the first list alone."""
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None and ("--help" not in parameter.opts or context.parent is None):
            yield from _item(*record)


def _epilog(epilog: str) -> tuple[str, dict[str, str]]:
    """The sentence about exit codes, and the variables of the environment, each with its meaning."""
    codes, _, environment = epilog.replace("\b\n", "").partition("Environment:\n")
    variables = dict(re.findall(r"^ +(\S.*?)  +(.*)$", environment, re.M))
    return " ".join(codes.split()).removeprefix("Exit codes: "), variables


def _epilog_lines(epilog: str) -> Iterator[str]:
    """What stands below a command's options, its lines as they are."""
    title, *lines = epilog.replace("\b\n", "").splitlines() or [""]
    if title:
        yield from (".PP", _text(title), ".RS", ".nf", *(_text(line.strip()) for line in lines), ".fi", ".RE")


def _list(items: dict[str, str]) -> Iterator[str]:
    for name, words in items.items():
        yield from _item(name, words)


def _item(name: str, words: str) -> Iterator[str]:
    yield from (".TP", f".B {_text(name)}", _text(" ".join(words.split())))


def _first_line(words: str | None) -> str:
    return _text((words or "").strip().splitlines()[0].rstrip("."))


def _text(words: str) -> str:
    """Words as roff reads them: no escape, no request, and hyphens that can be copied into a shell."""
    escaped = words.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace('"', r"\(dq")
    return re.sub(r"^(?=\.)", r"\\&", escaped, flags=re.M)


if __name__ == "__main__":
    PAGE.write_text(man_page(), encoding="utf-8")
