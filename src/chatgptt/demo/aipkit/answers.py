"""How an answer looks on the wire in 2.x: named events, always with status 200.

A refusal is an `error` and then `done`; a failure of the provider is an `error` and then nothing.
(docs/protocols.md A4)
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from chatgptt.demo.installation import Version
from chatgptt.demo.model import Fail, Note, Step, after_waits
from chatgptt.demo.stream import Hangup, Pieces
from chatgptt.demo.wordpress import php_json

CITATION = {
    "type": "url_citation",
    "url": "https://example.org/made-up",
    "title": "A made-up source",
    "start_char_index": 0,
    "end_char_index": 7,
}

WARNINGS = {"warning": " (Warning: Content Filtered) ", "refusal": " (Refusal: I'd rather not.)"}
"""Notes of the model that are part of its answer."""


def stream_headers(version: Version) -> dict[str, str]:
    """The head of every stream."""
    cache = "no-cache, no-store, must-revalidate, max-age=0"
    return {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": f"{cache}, no-transform" if version >= (2, 3, 93) else cache,
        "pragma": "no-cache",
        "x-accel-buffering": "no",
        "x-robots-tag": "noindex",
        "expires": "Wed, 11 Jan 1984 05:00:00 GMT",
    }


def new_message_id() -> str:
    """As PHP's uniqid with more entropy makes them."""
    return f"aipkit-msg-{secrets.token_hex(7)[:14]}.{secrets.randbelow(10**8):08d}"


def event(data: object, *, kind: str = "", at: float | None = None) -> bytes:
    """One event; those with `at` have an id made of it."""
    lines = [f"event: {kind}"] if kind else []
    if at is not None:
        lines.append(f"id: err-{int(at)}")
    lines.append(f"data: {php_json(data, unescaped_unicode=True)}")
    return "\n".join([*lines, "", ""]).encode()


def error_text(fail: Fail) -> str:
    """A failure of the provider in the plugin's words."""
    match fail.how:
        case "error":
            return f"API Error: {fail.message}" + (f" (Code: {fail.code})" if fail.code else "")
        case "page":
            return "API Error: the provider answered with HTTP 502"
        case "midway":
            return f" (Error: {fail.message})"
        case _:
            return f"Connection Error: {fail.message}"


async def refusal_stream(error: dict[str, object], *, version: Version, at: float) -> Pieces:
    """The stream of a refusal: the site does not ask the AI."""
    yield _preamble(version)
    yield event(error, kind="error", at=at)
    yield event({"finished": True}, kind="done")


async def answer_stream(
    steps: Iterable[Step],
    *,
    version: Version,
    at: float,
    word: str,
    on_finish: Callable[[str], None],
) -> Pieces:
    """The answer. `on_finish` gets its text, unless the visitor hangs up or the provider fails."""
    response_id = f"resp_{secrets.token_hex(8)}"
    created = {"type": "response.created", "status": "in_progress", "response_id": response_id}
    status = event(created, kind="status") if version >= (2, 3, 69) else b""
    texts: list[str] = []
    ending: dict[str, object] = {"finished": True}
    yield _preamble(version)
    if word == "TRIGGER":
        yield event({"message_id": f"trigger-{secrets.token_hex(6)}"}, kind="message_start")
        yield event({"delta": "A trigger of the demo says hello. "})
    yield event({"message_id": new_message_id()}, kind="message_start")
    async for step in after_waits(steps):
        if isinstance(step, Fail):
            if step.how in ("close", "reset"):
                yield Hangup(step.how)
            yield event({"error": error_text(step)}, kind="error", at=at)
            return
        if not isinstance(step, Note):
            texts.append(step.text)
            yield status + event({"delta": step.text})
        elif step.kind == "citations":
            if version >= (2, 3, 93):
                ending["citations"] = [CITATION]
                yield status + event([CITATION], kind="citations")
        else:
            texts.append(WARNINGS.get(step.kind, ""))
            yield status + _noted(step, at)
        status = b""
    yield status + event({"id": response_id}, kind="openai_response_id")
    on_finish("".join(texts))
    yield event(ending, kind="done")
    if word == "GARBAGE":
        yield b"<p>There has been a critical error on this website.</p>\n"


def _preamble(version: Version) -> bytes:
    return b":" + b" " * 4096 + b"\n\n" if version >= (2, 3, 93) else b""


def _noted(note: Note, at: float) -> bytes:
    match note.kind:
        case "warning" | "refusal":
            return event({"error": WARNINGS[note.kind]}, kind="warning", at=at)
        case "split":
            return b'data: {"delta":"los\n\n'
        case _:
            return (
                b": a comment\n\n"
                + event({"what": "nobody knows"}, kind="demo_unknown")
                + b"id: 7\nretry: 5000\n\n"
                + event({"type": "response.unheard_of"}, kind="status")
            )
