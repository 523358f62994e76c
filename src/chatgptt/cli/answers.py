"""An answer on stdout, as it arrives, and a line in the log on how it came about."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from chatgptt.cli import terminal

if TYPE_CHECKING:
    from chatgptt._models import Reply
    from chatgptt._sync import ReplyStream

_log = logging.getLogger("chatgptt.cli")


def print_answer(answer: ReplyStream, *, is_streamed: bool = True) -> None:
    """Prints an answer to stdout as it arrives, or at its end; what came before a failure is printed too."""
    pieces: list[str] = []
    try:
        with answer:
            for piece in answer:
                pieces.append(piece)
                if is_streamed:
                    terminal.write_text(piece, sys.stdout)
    finally:
        _end_answer("".join(pieces), is_written=is_streamed)
    if answer.reply is not None:
        _log.info("%s", _describe(answer.reply))


def _end_answer(text: str, *, is_written: bool) -> None:
    rest = "" if is_written else text
    if text and not text.endswith("\n"):
        rest += "\n"
    if rest:
        terminal.write_text(rest, sys.stdout)


def _describe(reply: Reply) -> str:
    """How an answer came about, on one line."""
    return (
        f"answered by bot {reply.bot_id} ({reply.protocol}) of {reply.site}; "
        f"tokens from {reply.tokens_from}, requests for them: {reply.page_requests}; "
        f"message sent: {reply.attempts} x; "
        f"first text after {reply.first_text:.2f} s, all after {reply.elapsed:.2f} s"
    )
