"""Moves one answer from a site to a client: as a document at its end, or as a stream.

A client that goes away cancels the question at the site. Until the first text a failure is a status and a
document, unless a comment has begun the stream before.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from chatgptt._client import AsyncClient
from chatgptt._errors import ChatGpttError
from chatgptt.serve.access import failure_response
from chatgptt.serve.failures import Failure, RequestError, failure_of
from chatgptt.serve.requests import ApiRequest
from chatgptt.serve.shapes import Shape
from chatgptt.serve.stops import TextUntilStop

_log = logging.getLogger("chatgptt.serve")

_BUSY_WAIT = 10.0
"""Seconds for `retry-after` where the queue is full: about what an answer takes."""
_ENDING = Failure(
    status=503, code="ending", message="the endpoint ends; the site may have got the message all the same"
)
_STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Places:
    """How many questions of one site are under way, and how many wait.

    Args:
        concurrency: questions at once.
        queue: questions that may wait.
        patience: seconds that each may wait.
        ending: set once no question may begin any more.
    """

    def __init__(self, concurrency: int, queue: int, patience: float, ending: asyncio.Event) -> None:
        self._free = anyio.Semaphore(concurrency, fast_acquire=True)
        self._queue = queue
        self._patience = patience
        self._ending = ending

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """A place for the block.

        Raises:
            RequestError: 429, where the queue is full or the wait too long; 503, where the endpoint ends.
        """
        if not self._free.value and self._free.statistics().tasks_waiting >= self._queue:
            raise _busy()
        with anyio.move_on_after(self._patience) as waiting:
            await self._free.acquire()
        if waiting.cancelled_caught:
            raise _busy()
        try:
            if self._ending.is_set():
                raise RequestError(_ENDING)
            yield
        finally:
            self._free.release()


def _busy() -> RequestError:
    message = "too many questions wait for this site: ask again later, or see --concurrency and --queue"
    return RequestError(Failure(status=429, code="busy", message=message, retry_after=_BUSY_WAIT))


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A page that is asked, and its places."""

    client: AsyncClient
    places: Places


class Answer:
    """The answer to one request, as an ASGI application that is called once.

    Args:
        request: what was asked.
        site: which is asked.
        bot: of the page, None for the site's usual one.
        shape: the form of the reply.
        headers: of the reply.
        comment_every: seconds between comments in a stream without text.
    """

    def __init__(
        self,
        request: ApiRequest,
        site: Site,
        *,
        bot: str | None,
        shape: Shape,
        headers: Mapping[str, str],
        comment_every: float,
    ) -> None:
        self._request = request
        self._site = site
        self._bot = bot
        self._shape = shape
        self._headers = headers
        self._comment_every = comment_every
        self._pieces: list[str] = []
        self._has_begun = self._is_over = False
        self._writing = anyio.Lock(fast_acquire=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Asks, and sends the answer as it comes. When the endpoint ends, it is cancelled and says so."""
        try:
            await self._answer(scope, receive, send)
        except asyncio.CancelledError:  # a client that is gone does not come here
            if not self._is_over:
                await self._end(_ENDING, scope, receive, send)
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, outcome = time.monotonic(), "client gone"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_when_gone, receive, tasks.cancel_scope)
            if self._request.is_streamed:
                tasks.start_soon(self._comment, send)
            failure = await self._ask(send)
            self._is_over = True
            await self._end(failure, scope, receive, send)
            outcome = "answered" if failure is None else failure.code
            tasks.cancel_scope.cancel()
        seconds, asked = time.monotonic() - started, self._request
        kind = "streamed" if asked.is_streamed else "whole"
        about = f"{scope['path']}, {kind}, messages: {len(asked.messages)}"
        _log.info("%s; %s, pieces: %d, %.3f s", about, outcome, len(self._pieces), seconds)

    async def _ask(self, send: Send) -> Failure | None:
        """Takes the whole answer; gives what it failed with."""
        text = TextUntilStop(self._request.stops)
        try:
            stream = self._site.client.stream(self._request.messages, bot=self._bot)
            async with self._site.places.take(), stream:
                async for piece in stream:
                    await self._add(text.receive(piece), send)
                    if text.is_stopped:
                        break
            await self._add(text.end(), send)
        except RequestError as error:
            return error.failure
        except ChatGpttError as error:
            await self._add(text.end(), send)
            return failure_of(error, names_bot=self._bot is not None)
        return None

    async def _add(self, text: str, send: Send) -> None:
        if not text:
            return
        number = len(self._pieces)
        self._pieces.append(text)
        if self._request.is_streamed:
            opening = b"" if number else self._shape.opening()
            await self._write(opening + self._shape.piece(text, number), send)

    async def _end(self, failure: Failure | None, scope: Scope, receive: Receive, send: Send) -> None:
        if (whole := self._whole(failure)) is not None:
            await whole(scope, receive, send)
        else:
            await self._write(self._last_part(failure), send, is_last=True)

    def _whole(self, failure: Failure | None) -> Response | None:
        """The response that is sent at once; None where a stream goes on."""
        if failure is not None and not self._has_begun:
            return failure_response(failure)
        if self._request.is_streamed:
            return None
        body = json.dumps(self._shape.whole("".join(self._pieces)))
        return Response(body, headers=self._headers, media_type="application/json")

    def _last_part(self, failure: Failure | None) -> bytes:
        """The end of the stream."""
        number = len(self._pieces)
        if failure is not None:
            return self._shape.failing(failure, number)
        opening = b"" if number else self._shape.opening()
        return opening + self._shape.closing("".join(self._pieces), number)

    async def _comment(self, send: Send) -> None:
        """Writes comments until there is text or a failure."""
        while True:
            await anyio.sleep(self._comment_every)
            if self._pieces or self._is_over:
                return
            await self._write(b": no text yet\n\n", send)

    async def _write(self, data: bytes, send: Send, *, is_last: bool = False) -> None:
        """Writes a part of the stream, the first one behind its head."""
        begins, self._has_begun = not self._has_begun, True
        async with self._writing:  # two tasks write: the one that begins comes first
            if begins:
                headers = Headers({**_STREAM_HEADERS, **self._headers}).raw
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": data, "more_body": not is_last})


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
