"""`chatgptt ask`: one question, and its answer."""

from __future__ import annotations

import sys

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.progress import showing_progress
from chatgptt.cli.talk import open_talk
from chatgptt.cli.target import Target


@click.command(
    "ask",
    epilog=options.examples(
        'chatgptt ask --site https://site.example/chat "Why is the sky blue?"',
        'cat notes.txt | chatgptt ask "Shorten this:"',
        'chatgptt ask -c "And in French?"',
    ),
)
@click.argument("message", required=False)
@options.target(240.0, options.demo, options.replay, options.headed, options.trace, options.screenshot)
@options.system
@click.option(
    "--stream/--no-stream",
    "is_streamed",
    default=True,
    show_default=True,
    help="Show the answer as it arrives.",
)
@options.continues
@options.plain
@options.reporting()
def command(
    message: str | None,
    target: Target,
    system: str,
    is_streamed: bool,
    is_continued: bool,
    is_plain: bool,
    as_json: bool,
) -> None:
    """Ask a page's chat box and print the answer.

    What is piped in goes below MESSAGE, or is the message where there is no other. '-' reads stdin.
    """
    text = terminal.read_message(message)
    is_kept = is_continued or sys.stdout.isatty()
    with open_talk(target, system=system, is_continued=is_continued, is_kept=is_kept) as talk:
        if as_json:
            with showing_progress(is_plain=is_plain):
                reply = talk.ask(text)
            terminal.print_json(reply.as_dict())
        else:
            from chatgptt.cli.answers import print_answer

            reply = print_answer(talk.stream(text), is_streamed=is_streamed, is_plain=is_plain)
            talk.keep(text, reply.text)
