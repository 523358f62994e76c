"""The phase of a check that an error belongs to, and whether the site or this machine is at fault.

Both are judged by the error, and by what was known until then of the page and the connection.
"""

from __future__ import annotations

import errno
import socket

from chatgptt._errors import (
    AnswerError,
    BrowserError,
    ChallengeError,
    ChatBoxNotFoundError,
    ChatGpttError,
    PageError,
    RateLimitedError,
    RefusedError,
    StreamInterruptedError,
    TokenRejectedError,
    TokensNotFoundError,
    TransportError,
)
from chatgptt.health.connection_times import Connection
from chatgptt.health.report import PhaseName
from chatgptt.net.httpx_errors import causes
from chatgptt.tokens.acquisition import PageFacts

_OWN_ERRNOS = frozenset(
    {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENFILE, errno.EPERM}
)
"""Failures to connect that never left this machine: no route, no address, no descriptor, its own firewall."""


def phase_before_tokens(error: ChatGpttError, facts: PageFacts, connection: Connection | None) -> PhaseName:
    """The phase, up to the tokens, that an error belongs to, with what was known of the page by then."""
    match error:
        case ChatBoxNotFoundError():
            return "box"
        case TokensNotFoundError():
            return "tokens"
        case BrowserError():
            return "box" if facts.head is not None and facts.box is None else "tokens"
        case ChallengeError() if facts.box is None:
            return "page"
        case _ if facts.head is not None:
            return "box" if facts.box is None else "tokens"
        case TransportError(code="dns_error"):
            return "dns"
        case TransportError(code="tls_error"):
            return "tls"
        case TransportError() if connection is not None:
            return _unfinished(connection)
        case TransportError(code="connect_error"):
            return "tcp"
        case _:
            return "page"


def _unfinished(connection: Connection) -> PhaseName:
    """The phase of a connection when it failed or the time was over."""
    if connection.is_looking_up:
        return "dns"
    if connection.tcp is None:
        return "tcp"
    return "tls" if connection.has_tls_begun and connection.tls is None else "page"


def phase_of_message(error: ChatGpttError, accepted: float | None, first: float | None) -> PhaseName:
    """The phase that an error after the tokens belongs to."""
    match error:
        case _ if accepted is None:
            return "message"
        case AnswerError(is_stale=True):
            return "message"
        case RefusedError() | TokenRejectedError() | ChallengeError() | RateLimitedError() | PageError() if (
            first is None
        ):
            return "message"
        case StreamInterruptedError():
            return "answer"
        case _:
            return "first_text" if first is None else "answer"


def own_fault(error: ChatGpttError, connection: Connection | None) -> str:
    """What is wrong on this machine, "" where the site is at fault."""
    if isinstance(error, BrowserError):
        return "this machine's browser"
    if error.code == "invalid_input":
        return "the call"
    if isinstance(error, RateLimitedError) and error.status is None:  # no reply said so
        return "a pause that this machine keeps, not the site's answer"
    if not isinstance(error, TransportError):
        return ""
    if connection is not None and connection.is_proxy and connection.tcp is None:
        return "the proxy, not the site"
    roots = [cause for cause in causes(error) if isinstance(cause, OSError) and cause.errno is not None]
    lookups = [root for root in roots if isinstance(root, socket.gaierror)]
    if lookups:
        return "no name server answers this machine" if lookups[0].errno == socket.EAI_AGAIN else ""
    if error.code == "connect_error" and roots and all(root.errno in _OWN_ERRNOS for root in roots):
        return "this machine's network"
    return ""
