"""Faults: replies written by hand, which a recording gets in place of the site's."""

from __future__ import annotations

import re
from pathlib import Path

from chatgptt.recordings.case import Case, CaseError, Chunk, Exchange, ReplyEnding

MESSAGE_ACTIONS = frozenset(
    {
        "wpaicg_chat_shortcode_message",
        "wpaicg_chatbox_message",
        "aipkit_cache_sse_message",
        "aipkit_frontend_chat_stream",
    }
)
"""The requests that carry a message (docs/protocols.md W2, A3)."""

_ENDINGS: tuple[ReplyEnding, ...] = ("complete", "cut", "reset", "nothing")


def faults_of(case: Case) -> list[Exchange | None]:
    """The hand-written replies of a case, for its message requests in order; None where the site answered."""
    asked = [one for one in case.exchanges if one.action in MESSAGE_ACTIONS and one.by == "client"]
    return [one if one.is_written else None for one in asked]


def read_fault(file: Path) -> Exchange:
    """The reply in a file: a status line, headers, an empty line and the body. It has no request yet.

    An event stream is sent event by event. A header `X-Ending: cut`, `reset` or `nothing` breaks the reply
    off.

    Raises:
        CaseError: where it cannot be read.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CaseError(
            f"{file} cannot be read: {error.strerror}", hint="name a file with a reply"
        ) from error
    found = re.match(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r?\n((?:[\w-]+:[^\r\n]*\r?\n)*)\r?\n", data)
    if found is None:
        raise CaseError(
            f"{file} is no reply: it has to begin with a status line, headers and an empty line",
            hint="HTTP/1.1 200 OK, Content-Type: text/event-stream, an empty line, the body",
        )
    lines = (line.partition(":") for line in found[2].decode("latin-1").splitlines())
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    wanted = headers.pop("x-ending", "complete")
    ending = next((one for one in _ENDINGS if one == wanted), None)
    if ending is None:
        raise CaseError(f"{file}: no reply ends in {wanted!r}", hint=f"one of {', '.join(_ENDINGS)}")
    body = data[found.end() :]
    is_stream = headers.get("content-type", "").startswith("text/event-stream")
    pieces = re.findall(rb".+?(?:\n\n|\r\n\r\n|\Z)", body, re.S) if is_stream else [body]
    return Exchange(
        method="",
        path="",
        status=int(found[1]),
        headers=tuple(headers.items()),
        body=body,
        chunks=tuple(Chunk(size_bytes=len(piece)) for piece in pieces if piece),
        framing="chunked" if is_stream else "length",
        ending=ending,
    )
