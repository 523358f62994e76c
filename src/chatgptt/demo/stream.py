"""Replies that come in pieces, with pauses, and may break off in ways that no framework offers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from enum import Enum

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatgptt.demo.wordpress import JSON_HEADERS, php_json

HANG_UP = "chatgptt.demo.hang_up"
"""The key of the function that breaks the connection off, in the request's state (see server.py)."""


class Hangup(Enum):
    """How a connection is broken off."""

    CLOSE = "close"
    """In the middle of a chunk, if a reply has begun."""
    RESET = "reset"


Pieces = AsyncGenerator[bytes | Hangup]


class Stream(Response):
    """A reply made of pieces.

    Its head goes out with the first piece, as PHP sends it: the status comes no earlier than the first text.
    A `Hangup` breaks the reply off.
    """

    def __init__(self, pieces: Pieces, *, headers: Mapping[str, str], status_code: int = 200) -> None:
        self.status_code = status_code
        self.background = None
        self.init_headers(headers)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the reply. The caller cancels this when the client hangs up."""
        head = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        started = False
        async with contextlib.aclosing(self._pieces) as pieces:
            async for piece in pieces:
                if isinstance(piece, Hangup):
                    scope["state"][HANG_UP](piece)
                    await asyncio.Event().wait()  # until the loss of the connection cancels this
                if not started:
                    await send(head)
                    started = True
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                # Yield: a send that needs no waiting does not, and a long stream would block all others.
                await asyncio.sleep(0)
        if not started:
            await send(head)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _with_line_ends(pieces: Pieces, word: str) -> Pieces:
    """The pieces with the line ends of the scripted words CRLF, CR and NOCRLF."""
    end = {"CRLF": b"\r\n", "CR": b"\r"}.get(word, b"\n")
    held = b""
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            assert isinstance(piece, bytes)  # a message has one scripted word, and this one never hangs up
            text = held + piece.replace(b"\n", end)
            bare = text.rstrip(b"\n") if word == "NOCRLF" else text
            held = text[len(bare) :]
            yield bare


async def _in_chunks(pieces: Pieces, size_bytes: int) -> Pieces:
    """The same bytes in pieces of this size."""
    pending = b""
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            assert isinstance(piece, bytes)  # as above
            pending += piece
            whole = len(pending) - len(pending) % size_bytes
            for start in range(0, whole, size_bytes):
                yield pending[start : start + size_bytes]
            pending = pending[whole:]
    if pending:
        yield pending


def broken_json(value: object, how: Hangup) -> Stream:
    """A reply of admin-ajax.php in JSON whose connection ends before its body does."""

    async def pieces() -> Pieces:
        yield php_json(value).encode()[:-8]
        yield how

    return Stream(pieces(), headers=JSON_HEADERS)


async def after(first: bytes, pieces: Pieces) -> Pieces:
    """The pieces behind a first one."""
    async with contextlib.aclosing(pieces):
        yield first
        async for piece in pieces:
            yield piece


def shaped(pieces: Pieces, word: str, number: float | None) -> Pieces:
    """The pieces in the form of the scripted words about line ends and chunks; else unchanged."""
    match word:
        case "CRLF" | "CR" | "NOCRLF":
            return _with_line_ends(pieces, word)
        case "CHUNKS":
            return _in_chunks(pieces, max(1, int(number or 1)))
        case _:
            return pieces
