"""From what a caller hands in to what a site can carry: one message, and perhaps earlier turns.

Neither protocol has a place for a system prompt, and 2.x none for a history from outside, so these are
folded into the message in the form that gpt4free-style clients use: `Role: text` lines and a last
`Assistant:`. A single message passes verbatim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput, Turn
from chatgptt.protocols.text import without_surrogates

__all__ = ["MAX_MESSAGE_BYTES", "check_message", "fold", "read_turns"]

MAX_MESSAGE_BYTES = 200_000
"""Far above what a model reads; sites' servers refuse larger bodies in ways that tell nothing."""


def read_turns(message: MessageInput | object) -> tuple[Turn, ...]:
    """The turns of a message or a list of messages; a message's content may be a list of text parts.

    Raises:
        InvalidInputError: for a list without a user turn, or items that are no messages.
    """
    if isinstance(message, str):
        return (Turn(role="user", content=without_surrogates(message)),)
    if not isinstance(message, Sequence) or isinstance(message, bytes | bytearray):
        raise _no_messages(f"a {type(message).__name__}")
    turns = tuple(_read_turn(item) for item in message)
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise InvalidInputError(
            "the messages hold no user turn",
            hint='add {"role": "user", "content": "..."} as the last message',
        )
    return turns


def _read_turn(item: object) -> Turn:
    if not isinstance(item, Mapping):
        raise _no_messages(f"a list with a {type(item).__name__} in it")
    role, content = item.get("role"), item.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [
            part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"
        ]
        if len(parts) != len(content):
            raise InvalidInputError("a message holds something other than text", hint="only text can be sent")
        content = "\n".join(part for part in parts if isinstance(part, str))
    if not isinstance(role, str) or not isinstance(content, str):
        raise _no_messages("a message without role or content")
    match role.lower():
        case "system" | "developer":
            return Turn(role="system", content=without_surrogates(content))
        case "user":
            return Turn(role="user", content=without_surrogates(content))
        case "assistant" | "model":
            return Turn(role="assistant", content=without_surrogates(content))
        case _:
            raise InvalidInputError(f"unknown role {role[:40]!r}", hint="use system, user or assistant")


def _no_messages(what: str) -> InvalidInputError:
    return InvalidInputError(
        f"expected a message or a list of messages, got {what}",
        hint='give a string, or [{"role": "user", "content": "..."}]',
    )


def fold(turns: Iterable[Turn]) -> str:
    """One prompt made of all turns; a single one verbatim."""
    turns = tuple(turns)
    if len(turns) == 1:
        return turns[0].content
    lines = [f"{turn.role.capitalize()}: {turn.content}" for turn in turns if turn.content.strip()]
    return "\n".join([*lines, "Assistant:"])


def check_message(text: str) -> None:
    """Refuses what a site would: nothing, `0`, or too much.

    Both generations of the plugin take the message `0` for an empty one (docs/protocols.md W2, A3).

    Raises:
        InvalidInputError: before anything is sent.
    """
    stripped = text.strip()
    if not stripped:
        raise InvalidInputError("the message is empty", hint="give a text to ask")
    if stripped == "0":
        raise InvalidInputError(
            'the message "0" counts as empty on these sites',
            hint='put it in words, as in "zero" or "the number 0"',
        )
    size_bytes = len(text.encode("utf-8", "replace"))
    if size_bytes > MAX_MESSAGE_BYTES:
        raise InvalidInputError(
            f"the message is {size_bytes} bytes long, over the limit of {MAX_MESSAGE_BYTES}",
            hint="shorten or split it",
        )
