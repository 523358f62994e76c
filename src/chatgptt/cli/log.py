"""`chatgptt log`: the conversations that are kept, to list, show, search, export and remove."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chatgptt._errors import InvalidInputError
from chatgptt.cli import options, terminal

if TYPE_CHECKING:
    from chatgptt.state.conversations import Conversations
    from chatgptt.state.transcript import Transcript

_limit = click.option(
    "-n",
    "most",
    type=options.whole(least=1),
    default=20,
    show_default=True,
    metavar="COUNT",
    help="How many at most.",
)
_numbers = click.argument("numbers", nargs=-1, type=options.whole(), metavar="[ID]...")


@click.group(
    "log",
    short_help="List, show, search and remove conversations.",
    epilog=options.examples(
        'chatgptt log search "invoice"', "chatgptt log export 12 --format json -o talk.json"
    ),
    invoke_without_command=True,
)
@_limit
@options.reporting()
def command(most: int, as_json: bool) -> None:
    """List the conversations that were held at a terminal, the newest first.

    CHATGPTT_LOG_CONVERSATIONS=0 keeps none. `ask -c` and `chat -c` go on with the last one.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is None:
        _print_list(_conversations().recent(most), as_json=as_json)
    else:
        given = {name: value for name, value in context.params.items() if value}
        context.default_map = {context.invoked_subcommand: given}


@command.command("list")
@_limit
@options.reporting()
def _list(most: int, as_json: bool) -> None:
    """List the conversations, the newest first; the same as `chatgptt log`."""
    _print_list(_conversations().recent(most), as_json=as_json)


@command.command("search")
@click.argument("words")
@_limit
@options.reporting()
def _search(words: str, most: int, as_json: bool) -> None:
    """List the conversations that hold WORDS, in upper or lower case."""
    _print_list(
        _conversations().recent(most, containing=words),
        as_json=as_json,
        none="no conversation holds these words",
    )


@command.command("show")
@click.argument("number", type=options.whole(), required=False, metavar="[ID]")
@options.plain
@options.reporting()
def _show(number: int | None, is_plain: bool, as_json: bool) -> None:
    """Show a conversation, without ID the last one."""
    from chatgptt.cli.answers import writing
    from chatgptt.cli.transcripts import as_dict, as_markdown

    (transcript,) = read_kept([] if number is None else [number])
    if as_json:
        terminal.print_json(as_dict(transcript))
    else:
        with writing(is_plain=is_plain) as write:
            write(as_markdown(transcript))


@command.command("export")
@_numbers
@click.option(
    "--format",
    "form",
    type=click.Choice(["markdown", "json"]),
    default="markdown",
    show_default=True,
    help="For people, or for programs and /load.",
)
@options.path("-o", "--output", metavar="FILE", help="Write a file instead, for you alone.")
@options.reporting()
def _export(numbers: Sequence[int], form: str, output: Path | None, as_json: bool) -> None:
    """Print conversations as Markdown or JSON, without ID the last one."""
    import json

    from chatgptt.cli.transcripts import as_dict, as_markdown
    from chatgptt.state.files import replace_file

    transcripts = read_kept(numbers)
    documents = [as_dict(transcript) for transcript in transcripts]
    if as_json or form == "json":
        text = json.dumps(documents if len(documents) > 1 else documents[0], indent=2) + "\n"
    else:
        text = "\n".join(map(as_markdown, transcripts))
    if output is None:
        terminal.write_text(text, sys.stdout)
    else:
        replace_file(output, text, mode=0o600)


@command.command("remove")
@_numbers
@click.option("--all", "is_all", is_flag=True, help="Remove all of them, and what was typed in chat.")
@options.reporting()
def _remove(numbers: Sequence[int], is_all: bool, as_json: bool) -> None:
    """Remove conversations from the log."""
    if bool(numbers) == is_all:
        raise InvalidInputError(
            "either the ids or --all say what is removed", hint="chatgptt log lists the ids"
        )
    if numbers:
        read_kept(numbers)
    count = _conversations().remove(None if is_all else numbers)
    if is_all:
        from chatgptt.state.folder import default_folder
        from chatgptt.state.typed import remove_typed

        remove_typed(default_folder())
    terminal.print_result({"removed": count}, f"removed {count}\n", as_json=as_json)


def _conversations() -> Conversations:
    from chatgptt.state.conversations import Conversations
    from chatgptt.state.folder import default_folder

    return Conversations(default_folder(), is_needed=True)


def read_kept(numbers: Sequence[int]) -> list[Transcript]:
    """The conversations of these ids, without any the last one.

    Raises:
        InvalidInputError: for an id that is not there, and for a log that cannot be read.
    """
    kept = _conversations()
    found = [kept.read(number) for number in numbers] if numbers else [kept.latest()]
    transcripts = [transcript for transcript in found if transcript is not None]
    if len(transcripts) < len(found):
        which = " ".join(str(number) for number, one in zip(numbers, found, strict=False) if one is None)
        if kept.latest() is None:
            raise InvalidInputError(_NONE, hint="what is asked at a terminal is kept from then on")
        raise InvalidInputError(f"there is no conversation {which}", hint="chatgptt log lists what is kept")
    return transcripts


_NONE = "no conversation is kept"


def _print_list(transcripts: Sequence[Transcript], *, as_json: bool, none: str = _NONE) -> None:
    if as_json:
        from chatgptt.cli.transcripts import as_dict

        terminal.print_json([as_dict(transcript) for transcript in transcripts])
    elif transcripts:
        terminal.write_text(_table(transcripts), sys.stdout)
    else:
        terminal.say(none)


def _table(transcripts: Sequence[Transcript]) -> str:
    """A line for each; at a terminal no longer than its width."""
    rows = [_cells(transcript) for transcript in transcripts]
    if not sys.stdout.isatty():
        return terminal.table(rows)
    width = shutil.get_terminal_size().columns
    rows = [
        (*row[:2], terminal.cropped(row[2].partition("://")[2] or row[2], width // 4), *row[3:])
        for row in rows
    ]
    return "".join(f"{terminal.cropped(line, width)}\n" for line in terminal.table(rows).splitlines())


def _cells(transcript: Transcript) -> tuple[str, ...]:
    from chatgptt.health.report import iso

    count = len(transcript.exchanges)
    return (
        f"{transcript.id:>4}",
        iso(transcript.exchanges[-1].asked_at),
        terminal.on_one_line(transcript.name or transcript.page),
        f"{count} message{'s' if count > 1 else ''}",
        terminal.on_one_line(" ".join(transcript.exchanges[0].message[:60].split())),
    )
