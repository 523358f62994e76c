"""The replies of `POST /v1/chat/completions`: a document, or chunks that share one id.

Sites tell no token counts, and none are made up: `usage` is null.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chatgptt.serve.failures import Failure
from chatgptt.serve.shapes import event

_END = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatShape:
    """The form of one chat completion; `created` in Unix seconds."""

    id: str
    model: str
    created: int
    wants_usage: bool = False

    def whole(self, text: str) -> Mapping[str, object]:
        """See Shape."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return {**self._head("chat.completion"), "choices": [choice], "usage": None}

    def opening(self) -> bytes:
        """See Shape."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str, number: int) -> bytes:
        """See Shape."""
        return self._chunk({"content": text})

    def closing(self, text: str, number: int) -> bytes:
        """See Shape."""
        end = self._chunk({}, finish_reason="stop")
        if self.wants_usage:
            end += event({**self._head("chat.completion.chunk"), "choices": [], "usage": None})
        return end + _END

    def failing(self, failure: Failure, number: int) -> bytes:
        """See Shape. Without `[DONE]`, so that no client takes the text for a whole answer."""
        return event(failure.as_dict())

    def _chunk(self, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**self._head("chat.completion.chunk"), "choices": [choice]})

    def _head(self, kind: str) -> dict[str, object]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}
