"""One question on its way: tokens, the protocol's requests, and the answer as it arrives.

Opening a stream goes on until the first text has arrived. Until then a failure can be repaired: a rejected
nonce, a failed connection, a busy site. After the first text nothing is repeated.
"""

from __future__ import annotations

import logging
import math
import os
import random
import string
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import anyio
import anyio.to_thread

from chatgptt._errors import (
    ChatGpttError,
    ClosedError,
    InvalidInputError,
    RateLimitedError,
    TransportError,
)
from chatgptt._models import Question, Reply, ReplyEnding, Timeouts, Tokens, VisitorIds
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.net.http import OpenReply, Transport
from chatgptt.net.loops import Loop, PerLoop, is_over, running_loop
from chatgptt.net.retry import RetryPolicy, is_ambiguous, pause_after, retry
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.interface import AnswerReader, Message
from chatgptt.protocols.prompt import check_message
from chatgptt.protocols.reply_errors import MAX_FAILURE_BYTES, MAY_HAVE_ANSWERED, interrupted
from chatgptt.protocols.urls import origin, site_of
from chatgptt.tokens.acquisition import Acquired, Wanted
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.renewal import MessageTokens
from chatgptt.tokens.store import Store
from chatgptt.visits.current import CurrentVisit

_log = logging.getLogger("chatgptt.client")
_progress = logging.getLogger("chatgptt.progress")
_Value = TypeVar("_Value")
_dice = random.SystemRandom()
_LOWER = string.ascii_lowercase + string.digits

_COOLING = 2.0
"""Seconds for writing down that a site wants no message. The error of the call is not held up for longer."""

_LARGE_BYTES = 256 * 1024
"""Answers are some kilobytes. From this size on one made to be slow takes some hundredths of a second."""


class Context(NamedTuple):
    """What all questions of a client share."""

    transport: Transport
    ladder: Ladder
    store: Store
    visit: CurrentVisit
    policy: RetryPolicy
    timeouts: Timeouts
    sleep: Callable[[float], Awaitable[None]]


class Turns:
    """The messages of one conversation: one at a time, in the order in which they were asked."""

    def __init__(self) -> None:
        self._waiting = PerLoop(lambda: anyio.Semaphore(1))
        self._holders: dict[str, Loop] = {}

    async def take(self, here: Loop, deadline: Deadline, page: str) -> None:
        """Waits until the message before this one is done.

        Raises:
            InvalidInputError: where that one is in another event loop, which cannot be waited on.
            TransportError: where the deadline passes first.
        """
        waiting = self._waiting.get()
        doing = "an earlier message of the conversation was under way"
        try:
            await in_time(waiting.acquire(), deadline, doing=doing, url=page)
        except TransportError as error:
            error.hint = "take its answer to the end, or leave its block, first"
            raise
        holder = self._holders.setdefault("holder", here)  # in one step: loops run in several threads
        if holder != here and not is_over(holder):
            waiting.release()
            raise InvalidInputError(
                "another event loop has a message of this conversation under way",
                hint="use a conversation in one event loop at a time",
            )
        self._holders["holder"] = here

    def give_up(self) -> None:
        """Ends the turn."""
        self._holders.clear()
        self._waiting.get().release()


class AsyncReplyStream:
    """An answer as it arrives: `async with` opens it, `async for` gives its pieces of text.

    The pieces joined are the answer. Leaving the block early closes the connection.

    Attributes:
        reply: the finished answer, None until the last piece was taken.
        accepted_at: seconds from the beginning of the call to the site's taking the message, None before.
        first_text_at: seconds to the first text, None before.

    Raises:
        ChatGpttError: where no text comes, as the block is entered; where the answer fails later, as the next
            piece is taken. See docs/errors.md.
        ClosedError: for a stream that is opened twice or read outside its block, or whose client is closed.
    """

    def __init__(
        self,
        context: Context,
        *,
        wanted: Wanted,
        question: Callable[[Tokens], Question],
        timeout: float | None = None,
        first: Acquired | None = None,
        turns: Turns | None = None,
        on_reply: Callable[[Reply], None] | None = None,
    ) -> None:
        self.reply: Reply | None = None
        self.accepted_at: float | None = None
        self.first_text_at: float | None = None
        self._context = context
        self._wanted = wanted
        self._question = question
        self._first = first
        self._turns = turns
        self._on_reply = on_reply
        self._deadline = Deadline(context.timeouts.total if timeout is None else timeout)
        self._attempts = 0
        self._is_handed_in = False
        self._has_turn = False
        self._loop: Loop | None = None
        self._is_busy = False
        self._is_left = False
        self._message_tokens: MessageTokens | None = None
        self._tokens: Tokens | None = None
        self._conversation_id = ""
        self._open: OpenReply | None = None
        self._reader: AnswerReader | None = None
        self._unread_bytes = 0
        self._ready: list[str] = []
        self._pieces: list[str] = []
        self._failure: ChatGpttError | None = None

    @property
    def has_renewed(self) -> bool:
        """Whether the site rejected the first tokens."""
        return self._message_tokens is not None and self._message_tokens.renewals > 0

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ClosedError("a stream is opened once", hint="ask again with another client.stream(...)")
        self._loop = running_loop()
        if self._loop is None:
            raise InvalidInputError(
                "no event loop is running here",
                hint="where a process was forked inside a coroutine, begin with asyncio.run in the child",
            )
        self._deadline = Deadline(self._deadline.seconds)
        self._is_busy = True
        try:
            await self._start()
        except BaseException:
            await self._leave()
            raise
        finally:
            self._is_busy = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        self._begin_reading()
        try:
            return await self._take_next()
        except ChatGpttError as error:
            raise self._explain(error) from error.__cause__
        finally:
            self._is_busy = False

    def _begin_reading(self) -> None:
        if self._loop is None:
            raise _out_of_its_block()
        if self._is_busy:
            raise InvalidInputError(
                "another task is reading this stream", hint="read a stream in one task, and ask in each"
            )
        if self._loop != running_loop():
            raise InvalidInputError(
                "the stream was opened in another event loop or process", hint="read it where it was opened"
            )
        self._is_busy = True

    async def _take_next(self) -> str:
        while not self._ready:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._open is None:
                if self._is_left and self.reply is None:
                    raise _out_of_its_block()
                raise StopAsyncIteration
            await self._receive()
        piece = "".join(self._ready)  # pieces that arrived together
        self._ready.clear()
        self._pieces.append(piece)
        return piece

    async def drain(self) -> Reply:
        """Takes all pieces and gives the finished answer.

        Raises:
            ChatGpttError: where the answer fails, or has failed before.
        """
        self._begin_reading()
        try:
            while self._open is not None:
                await self._receive()
            while True:
                await self._take_next()
        except StopAsyncIteration:
            pass
        except ChatGpttError as error:
            raise self._explain(error) from error.__cause__
        finally:
            self._is_busy = False
        if self.reply is None:
            raise InvalidInputError("the answer has failed before", hint="ask again")
        return self.reply

    # Opening

    async def _start(self) -> None:
        """Opens the answer, with other tokens where the site does not accept the first ones."""
        context, page = self._context, self._wanted.page
        if self._turns is not None and self._loop is not None:
            await self._turns.take(self._loop, self._deadline, page)
            self._has_turn = True
        visitor, cool_until = await self._in_store(self._recall())
        while (seconds := cool_until - time.time()) > 0:
            await self._wait(seconds)
            cool_until = await self._in_store(context.store.cool_until(origin(page)))
        self._wanted = self._wanted._replace(identity=context.visit.name)
        self._message_tokens = tokens = MessageTokens(
            context.ladder, context.store, context.transport, self._wanted, self._deadline
        )
        try:
            acquired = await tokens.acquire(self._first)
            while True:
                try:
                    await self._send(acquired.tokens, visitor)
                    break
                except ChatGpttError as error:
                    acquired = await tokens.acquire_other(acquired, error, is_handed_in=self._is_handed_in)
        except ChatGpttError as error:
            await self._cool(error)
            raise
        await tokens.keep(acquired.tokens)

    async def _recall(self) -> tuple[VisitorIds, float]:
        """Who we are to the site by now, and the Unix time from which it wants a message."""
        context, site = self._context, origin(self._wanted.page)
        await context.visit.look()
        return await context.store.visitor(site), await context.store.cool_until(site)

    async def _in_store(self, work: Awaitable[_Value]) -> _Value:
        return await in_time(
            work, self._deadline, doing="what is kept of the site was read", url=self._wanted.page
        )

    async def _wait(self, seconds: float) -> None:
        """Waits as long as the site asked anyone who shares the store to wait.

        Raises:
            RateLimitedError: where that takes longer than the call, or the policy, allows.
        """
        page, longest = self._wanted.page, self._context.policy.max_retry_after
        if seconds >= min(self._deadline.remaining(), longest):
            more = ", or allow more time with timeout=" if seconds < longest else ""
            raise RateLimitedError(
                f"nothing was sent: {origin(page)} wants no message for another {math.ceil(seconds)} s",
                hint=f"ask again after that{more}",
                url=page,
                retry_after=seconds,
            )
        _log.info("waiting %.2f s before the message: the site asked for it", seconds)
        await self._context.sleep(seconds + _dice.uniform(0.0, min(0.25, seconds)))

    async def _cool(self, error: ChatGpttError) -> None:
        """Holds back the next message of all who share the store, where the error asks for that."""
        seconds = pause_after(error, self._attempts, self._context.policy)
        if seconds > 0:
            cooling = self._context.store.cool(origin(self._wanted.page), seconds)
            with anyio.move_on_after(_COOLING):
                await cooling

    async def _send(self, tokens: Tokens, visitor: VisitorIds) -> None:
        """Sends the question, and waits for the first text."""
        self._tokens = tokens
        question = self._question(tokens)
        check_message(question.text)
        self._conversation_id = question.conversation_id
        await retry(
            lambda: self._attempt(tokens, question, visitor),
            is_message=True,
            policy=self._context.policy,
            remaining=self._deadline.remaining,
            sleep=self._context.sleep,
        )

    async def _attempt(self, tokens: Tokens, question: Question, visitor: VisitorIds) -> None:
        try:
            await self._try_once(tokens, question, visitor)
        except ChatGpttError as error:
            await self._cool(error)  # at once, since this call may wait for long before its next attempt
            raise self._explain(error) from error.__cause__

    def _explain(self, error: ChatGpttError) -> ChatGpttError:
        error.is_ambiguous = is_ambiguous(error)
        if error.is_ambiguous and MAY_HAVE_ANSWERED not in error.hint:
            error.hint = f"{error.hint}; {MAY_HAVE_ANSWERED}"
        return self._context.visit.explain(error, is_page=False)

    async def _try_once(self, tokens: Tokens, question: Question, visitor: VisitorIds) -> None:
        await self._close()
        self._unread_bytes = 0
        self._is_handed_in = False
        box = tokens.box
        if box.consent and self._context.visit.has_agreed(box):
            box = replace(box, consent="")
        protocol = PROTOCOLS[box.protocol]
        step = protocol.first_step(
            Message(
                box=box,
                nonce=tokens.nonce,
                question=question,
                visitor=visitor,
                now_ms=int(time.time() * 1000),
                chat_id=_dice.randint(1, 100_000),
                random_word="".join(_LOWER[byte % len(_LOWER)] for byte in os.urandom(5)),
            )
        )
        self._attempts += 1
        _progress.debug("waiting for the answer")
        while True:
            opened = await self._context.transport.send(
                step.request, page=tokens.page, deadline=self._deadline, user_agent=tokens.user_agent
            )
            if step.then is None:
                break
            async with opened:
                body = (await opened.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace")
            step = step.then(opened.head, body)
            self._is_handed_in = True
        self._open = opened
        self._reader = protocol.ReplyReader(opened.head)
        if opened.head.status == 200:
            self.accepted_at = self._deadline.elapsed()
        while not self._ready and self._open is not None:
            await self._receive()

    # Receiving

    async def _receive(self) -> None:
        """Reads what arrives next. At the answer's end it closes the connection and makes the reply."""
        assert self._open is not None
        assert self._reader is not None
        reader = self._reader
        try:
            data = await self._open.receive()
        except (TransportError, InvalidInputError) as error:
            await self._close()
            await self._end_broken(reader, error)
            return
        self._unread_bytes += len(data)
        if self._unread_bytes < _LARGE_BYTES:
            self._add(reader.receive(data) if data else [])
        else:
            self._add(await self._aside(lambda: reader.receive(data)))
        if reader.is_finished or not data:
            try:
                pieces, ending = await self._aside(reader.end)
                await self._open.finish()
            except ChatGpttError as error:
                if not self._ready:
                    raise
                self._failure = error  # the text before it comes first
                return
            finally:
                await self._close()
            self._add(pieces)
            self._finish(reader, ending)

    async def _end_broken(self, reader: AnswerReader, error: TransportError | InvalidInputError) -> None:
        """Makes the reply of an answer that was complete before its connection broke."""
        try:
            pieces, ending = await self._aside(reader.end)
        except ChatGpttError:
            raise self._broken(error) from error
        self._add(pieces)
        self._finish(reader, ending)

    async def _aside(self, work: Callable[[], _Value]) -> _Value:
        """The result of the reader's work, on a large answer in a thread: the call can end before it."""
        if self._unread_bytes < _LARGE_BYTES:
            return work()
        reading = anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        try:
            return await in_time(
                reading, self._deadline, doing="a large answer was read", url=self._wanted.page
            )
        except TransportError as error:
            await self._close()
            raise self._broken(error) from error

    def _add(self, pieces: list[str]) -> None:
        if not pieces:
            return
        if self.first_text_at is None:
            self.first_text_at = self._deadline.elapsed()
        self._ready += pieces
        self._unread_bytes = 0

    def _broken(self, error: TransportError | InvalidInputError) -> ChatGpttError:
        """The error of a broken connection. Only before the first text the message may be sent again."""
        assert self._reader is not None
        text = self._reader.text
        if not text:
            return error
        broken = interrupted(self._reader.head, error.message)
        broken.partial_text = text
        return broken

    def _finish(self, reader: AnswerReader, ending: ReplyEnding) -> None:
        assert self._tokens is not None
        assert self._message_tokens is not None
        box = self._tokens.box
        if ending.unreadable_frames:
            _log.warning("%d frames of the answer could not be read", ending.unreadable_frames)
        self.reply = Reply(
            text="".join((*self._pieces, *self._ready)),
            site=site_of(box.ajax_url),
            page=self._tokens.page,
            protocol=box.protocol,
            bot_id=box.bot_id,
            tokens_from=self._tokens.rung,
            is_streamed=reader.is_stream,
            attempts=self._attempts,
            page_requests=self._message_tokens.requests,
            elapsed=self._deadline.elapsed(),
            first_text=self.first_text_at or self._deadline.elapsed(),
            conversation_id=self._conversation_id,
            thread_id=ending.thread_id,
        )
        if self._on_reply is not None:
            self._on_reply(self.reply)

    async def _leave(self) -> None:
        self._is_left = True
        if self._loop != running_loop():  # the connection is that loop's, or the parent process's
            self._open = None
            return
        try:
            await self._close()
        finally:
            if self._has_turn and self._turns is not None:
                self._has_turn = False
                self._turns.give_up()

    async def _close(self) -> None:
        if self._open is not None:
            opened, self._open = self._open, None
            await opened.close()


def _out_of_its_block() -> ClosedError:
    return ClosedError("a stream is read in its block", hint="async with client.stream(...) as stream: ...")
