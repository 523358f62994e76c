"""`chatgptt chat`: a conversation, typed at a terminal, or piped in with a message a line."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt.cli import options, terminal
from chatgptt.cli.talk import Talk, open_talk
from chatgptt.cli.target import Target


@click.command(
    "chat",
    short_help="Talk with a page's chat box.",
    epilog=options.examples("chatgptt chat --site https://site.example/chat", "chatgptt chat -c"),
)
@options.target(240.0, options.demo, options.headed, options.trace, options.screenshot)
@options.system
@options.continues
@click.option("--no-history", "has_no_history", is_flag=True, help="Keep nothing of what is typed.")
@options.plain
@options.reporting()
def command(
    target: Target, system: str, is_continued: bool, has_no_history: bool, is_plain: bool, as_json: bool
) -> int:
    """Talk with a page's chat box; /help lists what else can be typed."""
    if sys.stdin is None:
        raise InvalidInputError(
            "stdin is closed, so there is no message to read", hint="type the messages, or pipe them in"
        )
    if sys.stdin.isatty() and sys.stdout.isatty() and not as_json:
        from chatgptt.cli.chat_terminal import TerminalChat

        chat = TerminalChat(target, has_history=not has_no_history, is_plain=is_plain)
        chat.run(system=system, is_continued=is_continued)
        return 0
    with open_talk(target, system=system, is_continued=is_continued, is_kept=is_continued) as talk:
        return 0 if _converse(talk, as_json=as_json) else 1


def _converse(talk: Talk, *, as_json: bool) -> bool:
    """Asks each line of stdin. False if a message failed."""
    from chatgptt.cli.answers import print_answer

    answers: list[object] = []
    has_failed = False
    for message in _messages(talk):
        try:
            if as_json:
                answers.append(talk.ask(message).as_dict())
            else:
                talk.keep(message, print_answer(talk.stream(message)).text)
        except ChatGpttError as error:
            has_failed = True
            if as_json:
                answers.append(terminal.error_document(error))
            else:
                terminal.print_error(error)
    if as_json:
        terminal.print_json(answers)
    return not has_failed


def _messages(talk: Talk) -> Iterator[str]:
    """The lines to ask, up to /quit. Those that begin with another slash may be data, and are asked."""
    for data in sys.stdin.buffer:
        line = data.decode("utf-8-sig", "replace").strip()
        match line:
            case "/quit" | "/exit":
                return
            case "/reset":
                talk.reset()
            case "" | "/help":
                pass
            case _:
                yield line
