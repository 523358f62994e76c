"""The replies of `POST /v1/responses` for text: a document, or the events that build it step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chatgptt.serve.failures import Failure
from chatgptt.serve.shapes import event

_OPENING_EVENTS = 4
"""How many events come before the first piece, as each has its number."""
_EMPTY = (
    "error", "incomplete_details", "instructions", "previous_response_id", "temperature", "top_p", "usage"
)  # fmt: skip
"""Fields that a response always has, null here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseShape:
    """The form of one response; `created` in Unix seconds."""

    id: str
    model: str
    created: int

    def whole(self, text: str) -> Mapping[str, object]:
        """See Shape."""
        return self._response("completed", [self._message("completed", [_part(text)])])

    def opening(self) -> bytes:
        """See Shape."""
        response = self._response("in_progress", [])
        return (
            _event("response.created", 0, {"response": response})
            + _event("response.in_progress", 1, {"response": response})
            + _event(
                "response.output_item.added", 2, {"output_index": 0, "item": self._message("in_progress", [])}
            )
            + _event("response.content_part.added", 3, {**self._place(), "part": _part("")})
        )

    def piece(self, text: str, number: int) -> bytes:
        """See Shape."""
        delta = {**self._place(), "delta": text, "logprobs": []}
        return _event("response.output_text.delta", _OPENING_EVENTS + number, delta)

    def closing(self, text: str, number: int) -> bytes:
        """See Shape."""
        first, part = _OPENING_EVENTS + number, _part(text)
        message = self._message("completed", [part])
        return (
            _event("response.output_text.done", first, {**self._place(), "text": text, "logprobs": []})
            + _event("response.content_part.done", first + 1, {**self._place(), "part": part})
            + _event("response.output_item.done", first + 2, {"output_index": 0, "item": message})
            + _event("response.completed", first + 3, {"response": self._response("completed", [message])})
        )

    def failing(self, failure: Failure, number: int) -> bytes:
        """See Shape. The fields beside `error` are those of the API's own event."""
        first = _OPENING_EVENTS + number if number else 0
        words = {"message": failure.message, "code": failure.code, "param": failure.param}
        return _event("error", first, {**words, **failure.as_dict()})

    def _place(self) -> dict[str, object]:
        return {"item_id": f"msg_{self.id}", "output_index": 0, "content_index": 0}

    def _message(self, status: str, content: Sequence[object]) -> dict[str, object]:
        head = {"id": f"msg_{self.id}", "type": "message", "role": "assistant"}
        return {**head, "status": status, "content": content}

    def _response(self, status: str, output: Sequence[object]) -> dict[str, object]:
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "model": self.model,
            "output": output,
            "parallel_tool_calls": False,
            "store": False,
            "tool_choice": "none",
            "tools": [],
            "metadata": {},
            **dict.fromkeys(_EMPTY),
        }


def _part(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _event(kind: str, number: int, fields: Mapping[str, object]) -> bytes:
    return event({"type": kind, "sequence_number": number, **fields}, kind)
