"""Replies and errors as JSON and back, for answers that come from another process of this project."""

from __future__ import annotations

from typing import TypedDict, final

from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    ErrorCode,
    Finding,
    PageError,
    RateLimitedError,
    RefusalReason,
    RefusedError,
)
from chatgptt._models import PluginGeneration, Reply, Rung
from chatgptt.batch import output


@final
class ReplyDocument(TypedDict):
    """`Reply.as_dict()`."""

    text: str
    site: str
    page: str
    protocol: PluginGeneration
    bot_id: int
    tokens_from: Rung
    streamed: bool
    attempts: int
    page_requests: int
    elapsed_s: float
    first_text_s: float


@final
class ErrorDocument(TypedDict):
    """What `as_document` makes of an error, which alone has a `code`."""

    code: ErrorCode
    message: str
    hint: str
    url: str | None
    status: int | None
    reason: RefusalReason | None
    retry_after_s: float | None
    partial_text: str
    findings: list[dict[str, str]]
    ambiguous: bool
    blocked: bool


def as_document(error: ChatGpttError) -> dict[str, object]:
    """An error as JSON, with everything that a batch needs to decide how to go on."""
    is_block = isinstance(error, PageError) and error.is_block
    return {**output.as_document(error), "blocked": is_block}


def read_document(document: ReplyDocument | ErrorDocument) -> Reply | ChatGpttError:
    """The reply or the error of a document."""
    return _read_error(document) if "code" in document else _read_reply(document)


def _read_reply(document: ReplyDocument) -> Reply:
    return Reply(
        text=document["text"],
        site=document["site"],
        page=document["page"],
        protocol=document["protocol"],
        bot_id=document["bot_id"],
        tokens_from=document["tokens_from"],
        is_streamed=document["streamed"],
        attempts=document["attempts"],
        page_requests=document["page_requests"],
        elapsed=document["elapsed_s"],
        first_text=document["first_text_s"],
    )


def _read_error(document: ErrorDocument) -> ChatGpttError:
    """The error, of the class by which a batch decides how to go on, else of the tree's root."""
    error = _make_error(document)
    error.code = document["code"]
    error.hint = document["hint"]
    error.url = document["url"]
    error.status = document["status"]
    error.retry_after = document["retry_after_s"]
    error.partial_text = document["partial_text"]
    error.findings = tuple(Finding(rung=each["rung"], saw=each["saw"]) for each in document["findings"])
    error.is_ambiguous = document["ambiguous"]
    return error


def _make_error(document: ErrorDocument) -> ChatGpttError:
    message = document["message"]
    match document["code"]:
        case "rate_limited":
            return RateLimitedError(message)
        case "challenge":
            return ChallengeError(message)
        case "http_error":
            return PageError(message, is_block=document["blocked"])
        case "refused":
            return RefusedError(message, reason=document["reason"] or "other")
        case _:
            return ChatGpttError(message)
