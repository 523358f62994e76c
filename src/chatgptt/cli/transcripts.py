"""A conversation as Markdown for people, and as JSON for programs and for going on with it."""

from __future__ import annotations

import json
from pathlib import Path

from chatgptt._errors import InvalidInputError
from chatgptt.health.report import iso
from chatgptt.state.files import read_file
from chatgptt.state.transcript import Exchange, Transcript

_MOST_BYTES = 50_000_000
"""The limit of a file that is read; no typed conversation is as large."""


def as_markdown(transcript: Transcript) -> str:
    """The conversation with a heading above each message."""
    place = transcript.page + (f", bot {transcript.bot}" if transcript.bot else "")
    lines = [f"# Conversation with {place}"]
    if transcript.system:
        lines += ["## Instructions", transcript.system]
    for said in transcript.exchanges:
        lines += [f"## Message, {iso(said.asked_at)}", said.message, "## Answer", said.answer]
    return "\n\n".join(line.strip("\n") for line in lines) + "\n"


def as_dict(transcript: Transcript) -> dict[str, object]:
    """The conversation as a document, with its messages in the usual form."""
    messages: list[dict[str, object]] = []
    for said in transcript.exchanges:
        messages.append({"role": "user", "content": said.message, "asked_at": said.asked_at})
        messages.append({"role": "assistant", "content": said.answer})
    return {
        "id": transcript.id,
        "page": transcript.page,
        "name": transcript.name or None,
        "bot": transcript.bot or None,
        "system": transcript.system or None,
        "messages": messages,
    }


def read_transcript(path: Path) -> Transcript:
    """A conversation that was saved as JSON, without the id that it had.

    Raises:
        InvalidInputError: for a file that cannot be read, and for anything else in it.
    """
    try:
        document = json.loads(read_file(path, _MOST_BYTES))
        return Transcript(
            page=_text(document["page"]),
            name=_text(document.get("name") or ""),
            bot=_text(document.get("bot") or ""),
            system=_text(document.get("system") or ""),
            exchanges=tuple(_read_exchanges(document["messages"])),
        )
    except OSError as error:
        raise InvalidInputError(f"cannot read {str(path)!r}: {error.strerror}", hint=_HINT) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(f"{str(path)!r} is no saved conversation", hint=_HINT) from error


_HINT = "name a file of /save FILE.json, or of chatgptt log export --format json"


def _read_exchanges(messages: list[dict[str, object]]) -> list[Exchange]:
    if len(messages) % 2 or any(
        message["role"] != role
        for message, role in zip(messages, ("user", "assistant") * (len(messages) // 2), strict=True)
    ):
        raise ValueError("messages and answers do not alternate")
    return [
        Exchange(
            message=_text(message["content"]),
            answer=_text(answer["content"]),
            asked_at=float(str(message.get("asked_at", 0.0))),
        )
        for message, answer in zip(messages[::2], messages[1::2], strict=True)
    ]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text was expected")
    return value
