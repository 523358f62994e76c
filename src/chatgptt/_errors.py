"""The error tree: what can go wrong, told apart by what a caller would do about it.

    ChatGpttError
    ├── InvalidInputError (also ValueError)      invalid_input
    │   └── ClosedError                          invalid_input
    ├── TransportError                           dns_error connect_error tls_error timeout
    ├── PageError                                http_error
    ├── ChallengeError                           challenge
    ├── RateLimitedError                         rate_limited
    ├── ChatBoxNotFoundError                     no_chat_box
    ├── TokensNotFoundError (also RuntimeError)  tokens_missing
    ├── TokenRejectedError                       token_rejected
    ├── RefusedError                             refused
    ├── ProviderError                            provider_error
    ├── AnswerError                              empty_answer unreadable_answer
    ├── StreamInterruptedError                   stream_interrupted
    └── BrowserError (also RuntimeError)         browser_missing browser_failed

A message says what was attempted and what was seen; the hint says what to do next. Neither ever
holds a nonce, a cookie, a client id or a proxy's password. Programs read the fields, never the text.

This module imports nothing of the project, so every other one may raise these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypedDict, Unpack

ErrorCode = Literal[
    "invalid_input",
    "dns_error",
    "connect_error",
    "tls_error",
    "timeout",
    "http_error",
    "challenge",
    "rate_limited",
    "no_chat_box",
    "tokens_missing",
    "token_rejected",
    "refused",
    "provider_error",
    "empty_answer",
    "unreadable_answer",
    "stream_interrupted",
    "browser_missing",
    "browser_failed",
]

RefusalReason = Literal[
    "quota",
    "banned_ip",
    "banned_words",
    "moderation",
    "guests_disabled",
    "consent_required",
    "other",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one rung of the ladder saw instead of tokens.

    Attributes:
        rung: its name, such as `html`.
        saw: a phrase for people.
    """

    rung: str
    saw: str


class _Common(TypedDict, total=False):
    """What every error takes beside its message."""

    code: ErrorCode | None
    hint: str
    url: str | None
    status: int | None
    retry_after: float | None
    partial_text: str
    findings: tuple[Finding, ...]
    is_stale: bool


class ChatGpttError(Exception):
    """Anything that kept an answer from coming; the base of the tree.

    Attributes:
        code: one of `ErrorCode`, stable across releases.
        message: what was attempted and what was seen; also `str(error)`.
        hint: what to do next, possibly empty.
        url: where the failing request went, without credentials; None where no request was involved.
        status: its HTTP status, None where no reply came.
        retry_after: seconds that the site asked to wait, None where it named none.
        partial_text: the text of the answer that had arrived before the failure.
        findings: what each rung of the token ladder saw, in the order they were tried.
        is_stale: True where newer tokens may cure it (a nonce the site no longer knows, a plugin
            that was updated since); the client then acquires once more and repeats once.
        is_ambiguous: True where the site may have got the message and answered it, so that asking again may
            ask it twice.
    """

    default_code: ClassVar[ErrorCode] = "http_error"

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode | None = None,
        hint: str = "",
        url: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
        partial_text: str = "",
        findings: tuple[Finding, ...] = (),
        is_stale: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: ErrorCode = code or self.default_code
        self.hint = hint
        self.url = url
        self.status = status
        self.retry_after = retry_after
        self.partial_text = partial_text
        self.findings = findings
        self.is_stale = is_stale
        self.is_ambiguous = False

    def as_dict(self) -> dict[str, object]:
        """The error as the command line's `--json` prints it; every key is always there."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "url": self.url,
            "status": self.status,
            "reason": self.reason if isinstance(self, RefusedError) else None,
            "retry_after_s": self.retry_after,
            "partial_text": self.partial_text,
            "findings": [{"rung": finding.rung, "saw": finding.saw} for finding in self.findings],
        }


class InvalidInputError(ChatGpttError, ValueError):
    """The call itself cannot work: no message, an unusable URL, an unknown model. Nothing was sent."""

    default_code = "invalid_input"


class ClosedError(InvalidInputError):
    """The client is closed, or a stream is used a second time or outside its block. Make another one."""


class TransportError(ChatGpttError):
    """Could not talk to the site: `dns_error`, `connect_error`, `tls_error` or `timeout`.

    `is_sent` is False where no byte of the request can have reached the site, so that repeating it is safe.
    """

    default_code = "connect_error"

    def __init__(self, message: str, *, is_sent: bool = False, **common: Unpack[_Common]) -> None:
        super().__init__(message, **common)
        self.is_sent = is_sent


class PageError(ChatGpttError):
    """The page, or the site's message endpoint, answered with an error status or is no HTML.

    `is_block` marks the block of a firewall or security plugin: asking again changes nothing.
    """

    default_code = "http_error"

    def __init__(self, message: str, *, is_block: bool = False, **common: Unpack[_Common]) -> None:
        super().__init__(message, **common)
        self.is_block = is_block


class ChallengeError(ChatGpttError):
    """A bot protection answered instead of the site. It is reported, never worked around."""

    default_code = "challenge"


class RateLimitedError(ChatGpttError):
    """The site limits requests, is in maintenance, or its page is busy, beyond what the policy waits for.

    See `retry_after`.
    """

    default_code = "rate_limited"


class ChatBoxNotFoundError(ChatGpttError):
    """The page has no chat box, or not the wanted bot."""

    default_code = "no_chat_box"


class TokensNotFoundError(ChatGpttError, RuntimeError):
    """There is a chat box, but no rung of the ladder found its tokens; `findings` says what each saw."""

    default_code = "tokens_missing"


class TokenRejectedError(ChatGpttError):
    """The site rejected the tokens, and fresh ones too.

    `is_key_lost` marks the 2.x case in which the site no longer had the message that it had just
    been given (docs/protocols.md A5): the tokens are good, the message must be handed in again.
    `otherwise` is the error for the same reply if the nonce turns out not to be the cause. It is None where
    a code, and not words alone, names the nonce as the cause.
    """

    default_code = "token_rejected"

    def __init__(
        self,
        message: str,
        *,
        is_key_lost: bool = False,
        otherwise: ChatGpttError | None = None,
        **common: Unpack[_Common],
    ) -> None:
        super().__init__(message, **common)
        self.is_stale = not is_key_lost
        self.is_key_lost = is_key_lost
        self.otherwise = otherwise


class RefusedError(ChatGpttError):
    """The site understood and said no; `reason` says why, the message holds the site's words.

    `is_certain` is True where a mark says that it is a refusal, False where its words alone do.
    """

    default_code = "refused"

    def __init__(
        self,
        message: str,
        *,
        reason: RefusalReason = "other",
        is_certain: bool = False,
        **common: Unpack[_Common],
    ) -> None:
        super().__init__(message, **common)
        self.reason: RefusalReason = reason
        self.is_certain = is_certain


class ProviderError(ChatGpttError):
    """The AI service behind the site failed; the message holds its words."""

    default_code = "provider_error"


class AnswerError(ChatGpttError):
    """A reply without text (`empty_answer`), or in no form that a protocol knows (`unreadable_answer`)."""

    default_code = "unreadable_answer"


class StreamInterruptedError(ChatGpttError):
    """The answer broke off after it had begun; `partial_text` holds what came."""

    default_code = "stream_interrupted"


class BrowserError(ChatGpttError, RuntimeError):
    """No browser to run (`browser_missing`), or it failed (`browser_failed`).

    It stands in for the tokens that only a browser could have found, hence a RuntimeError like their error.
    """

    default_code = "browser_failed"
