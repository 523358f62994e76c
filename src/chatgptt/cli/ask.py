"""`chatgptt ask`: one question, and its answer."""

from __future__ import annotations

import click

from chatgptt.cli import options, terminal
from chatgptt.cli.progress import showing_progress
from chatgptt.cli.target import Target, open_client


@click.command("ask")
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
@options.plain
@options.reporting()
def command(
    message: str | None, target: Target, system: str, is_streamed: bool, is_plain: bool, as_json: bool
) -> None:
    """Ask a page's chat box and print the answer.

    What is piped in goes below MESSAGE, or is the message where there is no other. '-' reads stdin.
    """
    text = terminal.read_message(message)
    with open_client(target) as client:
        if as_json:
            with showing_progress(is_plain=is_plain):
                reply = client.ask(text, system=system)
            terminal.print_json(reply.as_dict())
        else:
            from chatgptt.cli.answers import print_answer

            print_answer(client.stream(text, system=system), is_streamed=is_streamed, is_plain=is_plain)
