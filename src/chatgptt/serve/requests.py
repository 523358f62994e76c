"""Reads the bodies of the two calls that ask something: chat completions and responses.

What a chat box cannot do is ignored where the answer is still one to the question (`temperature`). It is an
error where the answer would be to another question: an earlier response that was not kept, an image.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatgptt.serve.failures import invalid

_MAX_STOPS, _MAX_STOP_CHARACTERS = 4, 1000
"""As many as OpenAI takes. Looking for the beginning of a stop string takes the square of its length."""
_CHAT_FIELDS = frozenset({"model", "messages", "stream", "stream_options", "stop", "n"})
_RESPONSE_FIELDS = frozenset({"model", "input", "instructions", "stream"})
_NOT_KEPT = ("previous_response_id", "conversation", "prompt", "background")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """What a client asks for.

    Attributes:
        messages: in the usual form; the client of the page reads and checks each.
        ignored: the names of fields that have no effect.
    """

    model: str
    messages: Sequence[Mapping[str, object]] = field(repr=False)
    is_streamed: bool = False
    wants_usage: bool = False
    stops: tuple[str, ...] = field(default=(), repr=False)
    ignored: tuple[str, ...] = ()


def read_chat(body: bytes) -> ApiRequest:
    """The body of `POST /v1/chat/completions`.

    Raises:
        RequestError: 400, with the field that is at fault.
    """
    document = _read_document(body)
    if document.get("n") not in (None, 1):
        raise invalid("a chat box gives one answer: leave n out, or set it to 1", "n")
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise invalid("stream_options is no object", "stream_options")
    return ApiRequest(
        model=_read_model(document),
        messages=_read_messages(document.get("messages"), "messages"),
        is_streamed=_read_flag(document, "stream"),
        wants_usage=_read_flag(options or {}, "include_usage"),
        stops=_read_stops(document.get("stop")),
        ignored=_ignored(document, _CHAT_FIELDS),
    )


def read_response(body: bytes) -> ApiRequest:
    """The body of `POST /v1/responses`.

    Raises:
        RequestError: 400, with the field that is at fault.
    """
    document = _read_document(body)
    for name in _NOT_KEPT:
        if document.get(name):
            raise invalid(f"{name} is not possible: nothing is kept here; send the whole input", name)
    given = document.get("input")
    messages = (
        [{"role": "user", "content": given}]
        if isinstance(given, str)
        else [_read_item(item, place) for place, item in enumerate(_read_messages(given, "input"))]
    )
    instructions = document.get("instructions")
    if instructions is not None and not isinstance(instructions, str):
        raise invalid("instructions are no text", "instructions")
    return ApiRequest(
        model=_read_model(document),
        messages=[{"role": "system", "content": instructions}, *messages] if instructions else messages,
        is_streamed=_read_flag(document, "stream"),
        ignored=_ignored(document, _RESPONSE_FIELDS),
    )


def _read_item(item: Mapping[str, object], place: int) -> Mapping[str, object]:
    """A message of what a response's input holds. One that only calls a tool has no content."""
    match item.get("type") or "message":
        case "message":
            return item
        case "function_call" | "reasoning":
            return {"role": "assistant", "content": None}
        case "function_call_output":
            return {"role": "tool", "content": item.get("output")}
        case other:
            raise invalid(
                f"input[{place}] is of the type {str(other)[:40]!r}: only text can be sent", "input"
            )


def _read_document(body: bytes) -> dict[str, object]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise invalid("the body is no JSON object")
    return document


def _read_model(document: Mapping[str, object]) -> str:
    model = document.get("model")
    if not isinstance(model, str) or not model:
        raise invalid("model is missing or no text; GET /v1/models lists the models", "model")
    return model


def _read_messages(given: object, name: str) -> list[Mapping[str, object]]:
    if not isinstance(given, list) or not given:
        raise invalid(f"{name} is missing or no list of messages", name)
    for place, item in enumerate(given):
        if not isinstance(item, dict):
            raise invalid(f"{name}[{place}] is no object", name)
    return given


def _read_flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"{name} is neither true nor false", name)
    return bool(value)


def _read_stops(given: object) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(stops, list) or len(stops) > _MAX_STOPS:
        raise invalid(f"stop is no text and no list of up to {_MAX_STOPS}", "stop")
    for stop in stops:
        if not isinstance(stop, str) or not 0 < len(stop) <= _MAX_STOP_CHARACTERS:
            raise invalid(f"a stop string has 1 to {_MAX_STOP_CHARACTERS} characters", "stop")
    return tuple(stops)


def _ignored(document: Mapping[str, object], known: frozenset[str]) -> tuple[str, ...]:
    """The names of other fields that have a value; only plain ones, since a header and the log show them."""
    names = [name for name, value in document.items() if name not in known and value is not None]
    return tuple(sorted(name for name in names if re.fullmatch(r"[a-z0-9_]{1,40}", name)))[:50]
