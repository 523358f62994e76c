"""How an answer looks on the wire in 1.x: the provider's own chunks as they are, or one JSON object.

In a stream, errors of the provider look like answers and come twice.
(docs/protocols.md W4 to W6)
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable

from chatgptt.demo.model import Fail, Note, Say, Step, after_waits
from chatgptt.demo.stream import Hangup, Pieces
from chatgptt.demo.wordpress import php_json

REFUSAL = "I would rather not answer that, said the made-up model."
CRITICAL = "<p>There has been a critical error on this website.</p>\n"


def error_text(fail: Fail) -> str:
    """A failure in the words in which the plugin reports it, HTML-escaped as WordPress escapes."""
    text = fail.message
    if fail.how in ("unreachable", "cut"):
        text = f"cURL error {7 if fail.how == 'unreachable' else 18}: {text}"
    return html.escape(text).replace("&#x27;", "&#039;")


def flag(message: str, name: str) -> bytes:
    """A refusal in a stream."""
    return f"data: {php_json({'msg': message, name: True})}\n\n".encode()


async def ordinary_stream(
    steps: Iterable[Step], *, at: float, tail: Callable[[str], str] | None, has_garbage: bool
) -> Pieces:
    """The stream of a model that is no assistant.

    Versions up to 1.8.84 append a JSON reply behind the end of the stream: `tail` makes it of the whole text.
    """
    texts: list[str] = []
    begin = _chunk({"role": "assistant", "content": ""}, at=at)
    end: list[bytes | Hangup] = [_chunk({}, at=at, finish="stop"), b"data: [DONE]\n\n"]
    async for step in after_waits(steps):
        if isinstance(step, Fail):
            begin, end = b"", _failed(step)  # no step follows it
            continue
        if begin:
            yield begin
            begin = b""
        if isinstance(step, Say):
            texts.append(step.text)
            yield _chunk({"content": step.text}, at=at)
        else:
            for frame in _noted(step, at=at):
                yield frame
    for piece in (begin, *end) if begin else end:
        yield piece
    if has_garbage:
        yield CRITICAL.encode()
    if tail is not None:
        yield tail("".join(texts)).encode()


def _failed(fail: Fail) -> list[bytes | Hangup]:
    match fail.how:
        case "close" | "reset":
            return [Hangup(fail.how)]
        case "error":
            # WordPress repeats the call that its own callback cut short.
            return [*_disguised(fail.message)] * 2
        case "page":
            return [fail.message.encode()]
        case "midway":
            error = {"error": {"message": fail.message, "type": "server_error"}}
            return [f"data: {json.dumps(error)}\n\n".encode()]
        case _:
            return []


async def assistant_stream(
    steps: Iterable[Step], *, thread: str, is_new: bool, on_finish: Callable[[str], None]
) -> Pieces:
    """The stream of an assistant: named events. A run that fails before its first text sends nothing."""
    texts: list[str] = []
    if is_new:
        yield f"event: thread_id\ndata: {thread}\n\n".encode()
    async for step in after_waits(steps):
        if isinstance(step, Say):
            texts.append(step.text)
            content = [{"index": 0, "type": "text", "text": {"value": step.text, "annotations": []}}]
            delta = {"id": "msg_demo", "object": "thread.message.delta", "delta": {"content": content}}
            yield f"event: thread.message.delta\ndata: {json.dumps(delta)}\n\n".encode()
        elif isinstance(step, Note):
            yield b'event: thread.run.step.created\ndata: {"id":"step_demo","object":"thread.run.step"}\n\n'
        else:
            if step.how in ("close", "reset"):
                yield Hangup(step.how)
            if step.how in ("error", "unreachable"):
                error = php_json({"status": "error", "msg": error_text(step)})
                yield f"event: assistant_error\ndata: {error}\n\nevent: done\ndata: \n\n".encode()
            return
    on_finish("".join(texts))
    if texts:
        yield b"event: done\ndata: [DONE]\n\n"


def _chunk(delta: dict[str, str], *, at: float, finish: str | None = None) -> bytes:
    chunk = {
        "id": "chatcmpl-demo",
        "created": int(at),
        "model": "gpt-4o-mini",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    text = json.dumps(chunk, ensure_ascii=False)
    try:
        return f"data: {text}\n\n".encode()
    except UnicodeEncodeError:  # half an emoji can only travel as an escape
        return f"data: {json.dumps(chunk)}\n\n".encode()


def _noted(note: Note, *, at: float) -> list[bytes]:
    match note.kind:
        case "unknown":
            return [
                b": a comment\n\n",
                b'event: demo.unknown\ndata: {"what":"nobody knows"}\n\n',
                b"id: 7\nretry: 5000\n\n",
            ]
        case "split":
            # A line that came in two network reads: the second half is dropped by the plugin.
            return [_chunk({"content": "lost "}, at=at)[:60] + b"\n\n"]
        case _:
            return []


def _disguised(message: str) -> list[bytes]:
    words = message.split(" ")
    spaced = [words[0], *(f" {word}" for word in words[1:])]
    frames = [
        f'event: message\ndata: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}\n\n'.encode()
        for word in spaced  # not escaped: a quotation mark makes the line unreadable
    ]
    return [*frames, b'data: {"choices":[{"finish_reason":"stop"}]}\n\n']
