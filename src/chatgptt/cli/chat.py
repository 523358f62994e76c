"""`chatgptt chat`: a conversation, a message a line, typed at a terminal or piped in."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import options, terminal
from chatgptt.cli.target import Target, open_client

if TYPE_CHECKING:
    from chatgptt._sync import Conversation

_COMMANDS = "/reset begins anew, /quit or Ctrl-D ends"


@click.command("chat")
@options.target(240.0, options.demo, options.headed, options.trace, options.screenshot)
@options.system
@options.reporting()
def command(target: Target, system: str, as_json: bool) -> int:
    """Talk with a page's chat box; /reset begins anew, /quit ends."""
    with open_client(target) as client:
        is_done = _converse(client.conversation(system=system), as_json=as_json)
    return 0 if is_done else 1


def _converse(conversation: Conversation, *, as_json: bool) -> bool:
    """Asks each line. False if a message from a pipe failed.

    Raises:
        InvalidInputError: where stdin is closed.
    """
    if sys.stdin is None:
        raise InvalidInputError(
            "stdin is closed, so there is no message to read", hint="type the messages, or pipe them in"
        )
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty() and not as_json
    if is_terminal:
        sys.stderr.write(f"{_COMMANDS}\n")
    answers: list[object] = []
    has_failed = False
    for message in _messages(conversation, is_terminal=is_terminal):
        try:
            answers += _answer(conversation, message, as_json=as_json)
        except ChatGpttError as error:
            has_failed = True
            if as_json:
                answers.append(terminal.error_document(error))
            else:
                terminal.print_error(error)
    if as_json:
        terminal.print_json(answers)
    return is_terminal or not has_failed


def _answer(conversation: Conversation, message: str, *, as_json: bool) -> list[object]:
    """Prints the answer; with `as_json` it gives the answer's document instead."""
    if as_json:
        return [conversation.ask(message).as_dict()]
    from chatgptt.cli.answers import print_answer

    print_answer(conversation.stream(message))
    return []


def _messages(conversation: Conversation, *, is_terminal: bool) -> Iterator[str]:
    """The lines to ask, up to /quit; the commands among them are done."""
    for line in _typed_lines() if is_terminal else _piped_lines():
        match line:
            case "/quit" | "/exit":
                return
            case "/reset":
                conversation.reset()
                words = "a new conversation"
            case "/help":
                words = _COMMANDS
            case _:
                yield line
                continue
        if is_terminal:
            sys.stderr.write(f"{words}\n")


def _typed_lines() -> Iterator[str]:
    with contextlib.suppress(ImportError):  # no line editing where Python has none
        import readline  # noqa: F401 - importing it is what gives input() its arrow keys
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    while True:
        try:
            line = terminal.as_utf8(input("> ")).strip()
        except EOFError:
            terminal.end_interrupted_line()
            return
        if line:
            yield line


def _piped_lines() -> Iterator[str]:
    for data in sys.stdin.buffer:
        line = data.decode("utf-8-sig", "replace").strip()
        if line:
            yield line
