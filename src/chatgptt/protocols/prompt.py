"""From what a caller hands in to what a site can carry: one message, and perhaps earlier turns.

Neither protocol has a place for a system prompt, and 2.x none for a history from outside, so these are
folded into the message in the form that gpt4free-style clients use: `Role: text` lines and a last
`Assistant:`. A single message passes verbatim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput, Role, Turn
from chatgptt.protocols.text import without_surrogates

MAX_MESSAGE_BYTES = 200_000
"""Far above what a model reads; sites' servers refuse larger bodies in ways that tell nothing."""


def read_turns(message: MessageInput | object) -> tuple[Turn, ...]:
    """The turns of a message or a list of messages, without those that hold nothing (`content: null`).

    A content may be a list of parts; those of text are joined. Roles are those of the usual programs.

    Raises:
        InvalidInputError: for a list without a user turn, and for what cannot be sent, named by its index.
    """
    if isinstance(message, str):
        return (Turn(role="user", content=without_surrogates(message)),)
    if not isinstance(message, Sequence) or isinstance(message, bytes | bytearray):
        raise InvalidInputError(
            f"expected a message or a list of messages, got a {type(message).__name__}", hint=_HINT
        )
    called = _called_tools(message)
    read = (_read_turn(item, f"messages[{index}]", called) for index, item in enumerate(message))
    turns = tuple(turn for turn in read if turn is not None)
    if not any(turn.role == "user" and turn.content.strip() for turn in turns):
        raise InvalidInputError(
            "the messages hold no user turn",
            hint='add {"role": "user", "content": "..."} as the last message',
        )
    return turns


_HINT = 'give a string, or [{"role": "user", "content": "..."}]'
_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "function",
}
_NAMED_ROLES = ("developer", "tool", "function")
_TEXT_PARTS = ("text", "input_text", "output_text")


def _called_tools(messages: Iterable[object]) -> Mapping[str, str]:
    """The names of the tools that the messages call, by the call's id: a result may name its call alone."""
    names: dict[str, str] = {}
    for item in messages:
        calls = item.get("tool_calls") if isinstance(item, Mapping) else None
        for call in calls if isinstance(calls, Sequence) else ():
            match call:
                case {"id": str(call_id), "function": {"name": str(name)}}:
                    names[call_id] = name
    return names


def _read_turn(item: object, place: str, called: Mapping[str, str]) -> Turn | None:
    """One message; None where it holds nothing, as an assistant's does that only calls tools.

    Args:
        item: the message.
        place: where it stands, for errors.
        called: the names of tools by the ids of their calls.
    """
    if not isinstance(item, Mapping):
        raise InvalidInputError(f"{place} is of the type {type(item).__name__}, not a message", hint=_HINT)
    named = item.get("role")
    role = _ROLES.get(named.lower()) if isinstance(named, str) else None
    if role is None:
        raise InvalidInputError(
            f"{place} has an unknown role, {named[:40]!r}"
            if isinstance(named, str)
            else f"{place} has no role",
            hint=f"use one of {', '.join(_ROLES)}",
        )
    calls_tools = bool(item.get("tool_calls") or item.get("function_call"))
    if "content" not in item and not calls_tools:
        raise InvalidInputError(f"{place} has no content", hint=_HINT)
    content = item.get("content")
    if content is None:
        return None
    text = without_surrogates(_read_content(content, place))
    name = _read_name(item, called)
    return Turn(role=role, content=f"{without_surrogates(name)}: {text}" if name else text)


def _read_name(message: Mapping[object, object], called: Mapping[str, str]) -> str:
    """The name of the tool or developer that speaks; "" for none, and for all other roles."""
    if str(message["role"]).lower() not in _NAMED_ROLES:
        return ""
    name, call_id = message.get("name"), message.get("tool_call_id")
    if isinstance(name, str) and name:
        return name
    return called.get(call_id, "") if isinstance(call_id, str) else ""


def _read_content(content: object, place: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        raise InvalidInputError(f"the content of {place} is a {type(content).__name__}", hint=_ONLY_TEXT)
    return "\n".join(_read_part(part, f"{place}.content[{index}]") for index, part in enumerate(content))


def _read_part(part: object, place: str) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise InvalidInputError(f"{place} is of the type {type(part).__name__}, not text", hint=_ONLY_TEXT)
    kind, text = part.get("type", "text"), part.get("text")
    if kind not in _TEXT_PARTS:
        raise InvalidInputError(f"{place} is of the type {str(kind)[:40]!r}, not text", hint=_ONLY_TEXT)
    if not isinstance(text, str):
        raise InvalidInputError(f"{place} is a text part without a text", hint=_ONLY_TEXT)
    return text


_ONLY_TEXT = "only text can be sent: leave images, sound and files out"


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
