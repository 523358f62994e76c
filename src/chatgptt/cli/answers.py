"""An answer on stdout, as it arrives, and a line in the log on how it came about."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from chatgptt.cli import terminal
from chatgptt.cli.progress import showing_progress

if TYPE_CHECKING:
    from chatgptt._models import Reply
    from chatgptt._sync import ReplyStream

_log = logging.getLogger("chatgptt.cli")


def print_answer(
    answer: ReplyStream,
    *,
    is_streamed: bool = True,
    is_plain: bool = False,
    pieces: list[str] | None = None,
) -> Reply:
    """Prints an answer to stdout and gives it; the part that came before a failure is printed too.

    Args:
        answer: the answer, which is not open yet.
        is_streamed: whether it is printed as it arrives, and not at its end.
        is_plain: whether a terminal gets the text as it came, too.
        pieces: gets the pieces, for a caller who wants the part before an interrupt.
    """
    pieces = [] if pieces is None else pieces
    with writing(is_plain=is_plain) as write:
        try:
            with contextlib.ExitStack() as opened:
                with showing_progress(is_plain=is_plain):
                    opened.enter_context(answer)
                    if not is_streamed:
                        _take(answer, pieces)
                for piece in answer:
                    pieces.append(piece)
                    write(piece)
        finally:
            if not is_streamed and pieces:
                write("".join(pieces))
    assert answer.reply is not None  # else it had raised
    _log.info("%s", _describe(answer.reply))
    return answer.reply


def _take(answer: ReplyStream, pieces: list[str]) -> None:
    for piece in answer:
        pieces.append(piece)  # one by one: what came before a failure counts


@contextlib.contextmanager
def writing(*, is_plain: bool) -> Iterator[Callable[[str], None]]:
    """What prints the pieces of an answer, and ends its last line."""
    if not is_plain and terminal.is_utf8_terminal() and not terminal.is_dumb():
        from rich.console import Console

        from chatgptt.cli.markdown import MarkdownWriter

        with MarkdownWriter(Console(highlight=False)) as writer:
            yield writer.write
        return
    last = ""

    def write(piece: str) -> None:
        nonlocal last
        last = piece or last
        terminal.write_text(piece, sys.stdout)

    try:
        yield write
    finally:
        if last and not last.endswith("\n"):
            terminal.write_text("\n", sys.stdout)


def _describe(reply: Reply) -> str:
    """How an answer came about, on one line."""
    return (
        f"answered by bot {reply.bot_id} ({reply.protocol}) of {reply.site}; "
        f"tokens from {reply.tokens_from}, requests for them: {reply.page_requests}; "
        f"message sent: {reply.attempts} x; "
        f"first text after {reply.first_text:.2f} s, all after {reply.elapsed:.2f} s"
    )
