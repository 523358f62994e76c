"""What an error is to a client of the OpenAI API: a status and a document with our code and hint.

Each failure carries `x-should-retry: false`. Without it, OpenAI's clients send a failed POST twice more, and
the site would get the message three times.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Literal, assert_never

from chatgptt._errors import ChatGpttError, ErrorCode, RefusedError

ServeCode = (
    ErrorCode
    | Literal["invalid_api_key", "forbidden", "model_not_found", "not_found", "method_not_allowed"]
    | Literal["too_large", "busy", "ending", "internal"]
)
"""A code of the client, or one of the endpoint's own."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    504: "timeout_error",
}
_RATE_WAIT, _QUOTA_WAIT = 60.0, 3600.0
"""Seconds for `retry-after` where the site names none. Quotas are renewed by the hour, day or month."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure as a client sees it. `param` names the field of the request that is at fault."""

    status: int
    code: ServeCode
    message: str
    param: str | None = None
    retry_after: float | None = None

    def as_dict(self) -> dict[str, object]:
        """The document."""
        other = "invalid_request_error" if self.status < 500 else "api_error"
        kind = _TYPES.get(self.status, other)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    @property
    def body(self) -> bytes:
        """The document as JSON. ASCII, since a message may quote a lone surrogate."""
        return json.dumps(self.as_dict()).encode()

    @property
    def headers(self) -> dict[str, str]:
        """The headers beside it. The connection ends where the request did not."""
        headers = {"content-type": "application/json", "x-should-retry": "false"}
        if self.retry_after is not None:
            headers["retry-after"] = str(math.ceil(self.retry_after))
        if self.status == 408:
            headers["connection"] = "close"
        return headers


class RequestError(Exception):
    """A request that gets a failure in place of an answer, without a message to the site."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid(message: str, param: str | None = None) -> RequestError:
    """The error of a request that cannot be read."""
    return RequestError(Failure(status=400, code="invalid_input", message=message, param=param))


def failure_of(error: ChatGpttError, *, names_bot: bool = False) -> Failure:
    """The failure for an error of the client.

    Args:
        error: what kept the answer from coming.
        names_bot: whether the request's model names a bot, which the page may not have.
    """
    status, retry_after = _status_of(error), error.retry_after
    code: ServeCode = error.code
    if code == "no_chat_box" and names_bot:
        status, code = 404, "model_not_found"
    if status == 429 and retry_after is None:
        retry_after = _QUOTA_WAIT if code == "refused" else _RATE_WAIT
    message = f"{error.message} (hint: {error.hint})" if error.hint else error.message
    return Failure(
        status=status,
        code=code,
        message=message,
        param="messages" if code == "invalid_input" else None,
        retry_after=retry_after,
    )


def _status_of(error: ChatGpttError) -> int:
    match error.code:
        case "invalid_input":
            return 400
        case "refused":
            return 429 if isinstance(error, RefusedError) and error.reason == "quota" else 403
        case "rate_limited":
            return 429
        case "timeout":
            return 504
        case (
            "dns_error" | "connect_error" | "tls_error" | "http_error" | "challenge" | "no_chat_box"
            | "tokens_missing" | "token_rejected" | "provider_error" | "empty_answer" | "unreadable_answer"
            | "stream_interrupted" | "browser_missing" | "browser_failed"
        ):  # fmt: skip
            return 502
        case _:
            assert_never(error.code)
