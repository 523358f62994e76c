"""One question on its way: tokens, the protocol's requests, and the answer as it arrives.

Opening a stream goes on until the first text has arrived, for until then everything can still be put right: a
rejected nonce, a connection that never stood, a busy site. From the first text on nothing is repeated.
"""

from __future__ import annotations

import logging
import random
import string
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, TypeVar, assert_never

import anyio
import anyio.to_thread

from chatgptt._errors import (
    BrowserError,
    ChatGpttError,
    ClosedError,
    Finding,
    InvalidInputError,
    PageError,
    RefusedError,
    StreamInterruptedError,
    TokenRejectedError,
    TokensNotFoundError,
    TransportError,
)
from chatgptt._models import Ending, Question, Reply, Timeouts, Tokens
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.net.http import OpenReply, Transport
from chatgptt.net.loops import Loop, PerLoop, is_over, running_loop
from chatgptt.net.retry import RetryPolicy, retry
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.failures import MAX_FAILURE_BYTES
from chatgptt.protocols.prompt import check_message
from chatgptt.protocols.urls import origin, site_of
from chatgptt.tokens.acquisition import Acquired, Acquisition, Wanted
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.store import TokenStore, Visitor

__all__ = ["AsyncReplyStream", "Context", "Turns"]

_log = logging.getLogger("chatgptt.client")
_Value = TypeVar("_Value")
_dice = random.SystemRandom()
_LOWER = string.ascii_lowercase + string.digits

_LARGE_BYTES = 256 * 1024
"""Answers are some kilobytes. From this size on one made to be slow takes some hundredths of a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all questions of a client share."""

    transport: Transport
    ladder: Ladder
    store: TokenStore
    policy: RetryPolicy
    timeouts: Timeouts
    sleep: Callable[[float], Awaitable[None]]


class Turns:
    """The messages of one conversation: one at a time, in the order in which they were asked."""

    def __init__(self) -> None:
        self._waiting = PerLoop(lambda: anyio.Semaphore(1))
        self._holders: dict[str, Loop] = {}

    async def take(self, here: Loop) -> None:
        """Waits for a turn.

        Raises:
            InvalidInputError: where it is that of a message in another event loop, which cannot be waited on.
        """
        waiting = self._waiting.get()
        await waiting.acquire()
        holder = self._holders.setdefault("holder", here)
        if holder != here and not is_over(holder):
            waiting.release()
            raise InvalidInputError(
                "another event loop has a message of this conversation under way",
                hint="use a conversation in one event loop at a time",
            )
        self._holders["holder"] = here

    def give_up(self) -> None:
        """Lets the next one have its turn."""
        self._holders.clear()
        self._waiting.get().release()


class AsyncReplyStream:
    """An answer as it arrives: `async with` opens it, `async for` gives its pieces of text.

    The pieces joined are the answer. Leaving the block early closes the connection.

    Attributes:
        reply: the finished answer, None until the last piece was taken.
        accepted_at: seconds from the beginning of the call to the site's taking the message, None before.
        first_text_at: seconds to the first text, None before.
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
        self._context = context
        self._wanted = wanted
        self._question = question
        self._deadline = Deadline(context.timeouts.total if timeout is None else timeout)
        self._timeout = self._deadline.seconds
        self.accepted_at: float | None = None
        self.first_text_at: float | None = None
        self._renewals = 0
        self._has_old_nonce = False
        self._is_handed_in = False
        self._missed: set[str] = set()
        self._first = first
        self._turns = turns
        self._has_turn = False
        self._loop: Loop | None = None
        self._is_busy = False
        self._is_left = False
        self._on_reply = on_reply
        self._visitor = Visitor(client_id="", session_id="")
        self._tokens: Tokens | None = None
        self._open: OpenReply | None = None
        self._reader: wpaicg.ReplyReader | aipkit.ReplyReader | None = None
        self._conversation_id = ""
        self._ready: list[str] = []
        self._failure: ChatGpttError | None = None
        self._unread_bytes = 0
        self._pieces: list[str] = []
        self._attempts = 0
        self._page_requests = 0

    @property
    def has_renewed(self) -> bool:
        """Whether the site rejected the first tokens."""
        return self._renewals > 0

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise ClosedError("a stream is opened once", hint="ask again with another client.stream(...)")
        self._loop = running_loop()
        if self._loop is None:
            raise InvalidInputError(
                "no event loop is running here",
                hint="where a process was forked inside a coroutine, begin with asyncio.run in the child",
            )
        self._deadline = Deadline(self._timeout)
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
        try:
            return await self._take_next()
        finally:
            self._is_busy = False

    async def _take_next(self) -> str:
        while not self._ready:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._open is None:
                if self._is_left and self.reply is None:
                    raise _out_of_its_block()
                raise StopAsyncIteration
            try:
                await self._receive()
            except ChatGpttError:
                await self._close()
                raise
        piece = self._ready.pop(0) if len(self._ready) == 1 else self._take_all()
        self._pieces.append(piece)
        return piece

    def _take_all(self) -> str:
        """Pieces that arrived together are given together: the caller is not made to wait for each."""
        piece = "".join(self._ready)
        self._ready.clear()
        return piece

    async def drain(self) -> Reply:
        """Takes all pieces and gives the finished answer."""
        async for _ in self:
            pass
        if self.reply is None:
            raise InvalidInputError("the answer has failed before", hint="ask again")
        return self.reply

    # Opening

    async def _start(self) -> None:
        """Opens the answer; newer tokens, and a message that the site lost, each get one more try."""
        await self._take_turn()
        self._visitor = await in_time(
            self._context.store.visitor(origin(self._wanted.page)),
            self._deadline,
            doing="the state folder was read",
            url=self._wanted.page,
        )
        acquired = self._first or await self._acquire(frozenset())
        self._page_requests = acquired.requests
        rejected: frozenset[str] = frozenset()
        may_hand_in_again = True
        while True:
            try:
                await self._send(acquired.tokens)
                if self._missed:
                    await self._keep(acquired.tokens)
                return
            except ChatGpttError as error:
                error.findings = error.findings or acquired.findings
                if isinstance(error, TokenRejectedError) and error.is_key_lost and may_hand_in_again:
                    may_hand_in_again = False
                    _log.info("%s; handing the message in again", error)
                elif self._is_not_there(error, acquired.tokens):
                    acquired = await self._look_elsewhere(acquired, error)
                elif self._may_renew(error, acquired.tokens):
                    self._renewals += 1
                    _log.info("%s; acquiring tokens past all caches", error)
                    rejected |= {acquired.tokens.nonce}
                    acquired = await self._renew(rejected, error)
                    acquired = self._relocated(acquired) or acquired
                    self._page_requests += acquired.requests
                    self._has_old_nonce = acquired.tokens.nonce in rejected
                    if self._may_be_placeholder(error, acquired):
                        acquired = await self._ask_browser(rejected, acquired)
                    elif self._has_old_nonce and (not error.is_stale or self._renewals > 1):
                        raise _as_no_rejection(error) from error.__cause__
                elif self._has_old_nonce:
                    raise _as_no_rejection(error) from error.__cause__
                else:
                    raise

    async def _take_turn(self) -> None:
        """Waits until the conversation's message before this one is done."""
        if self._turns is None or self._loop is None:
            return
        with anyio.move_on_after(self._deadline.remaining()):
            await self._turns.take(self._loop)
            self._has_turn = True
        if not self._has_turn:
            raise TransportError(
                f"the time limit of {self._deadline.seconds:g} s passed while an earlier message of the "
                "conversation was under way",
                code="timeout",
                hint="take its answer to the end, or leave its block, first",
                url=self._wanted.page,
            )

    def _may_renew(self, error: ChatGpttError, tokens: Tokens) -> bool:
        """Once past all caches. Other tokens that are rejected too may only look real, so then once in a
        browser; the same ones, past all caches, are what the site wants.
        """
        match self._renewals:
            case 0:
                return error.is_stale or _may_be_rejection(error, tokens)
            case 1:
                may_help = error.is_stale and not self._has_old_nonce
                return may_help and tokens.rung != "browser" and self._context.ladder.has_browser
            case _:
                return False

    def _is_not_there(self, error: ChatGpttError, tokens: Tokens) -> bool:
        """Whether the endpoint's address was guessed and is wrong: nothing took the message."""
        is_missing = isinstance(error, PageError) and error.status == 404
        return is_missing and bool(tokens.box.ajax_guesses) and not self._is_handed_in

    async def _look_elsewhere(self, acquired: Acquired, error: ChatGpttError) -> Acquired:
        """The tokens with the next guess at the endpoint, at last with what a browser finds on the page.

        Raises:
            ChatGpttError: the given one, where no other place is known.
        """
        self._missed.add(acquired.tokens.box.ajax_url)
        _log.info("%s; its address was guessed", error)
        other = self._relocated(acquired)
        if other is not None:
            return other
        error.hint += "; the page does not name its endpoint: its address was guessed"
        if acquired.tokens.rung == "browser" or not self._context.ladder.has_browser:
            raise error
        last_resort = Acquisition(wanted=self._wanted, deadline=self._deadline, is_last_resort=True)
        try:
            found = await self._context.ladder.acquire_anew(last_resort)
        except ChatGpttError as failure:
            error.findings = (
                *error.findings,
                *failure.findings,
                Finding(rung="browser", saw=failure.message),
            )
            raise error from failure
        self._page_requests += found.requests
        if found.tokens.box.ajax_url in self._missed:
            raise error
        return found

    def _relocated(self, acquired: Acquired) -> Acquired | None:
        """The tokens with the next guess at the endpoint that was not tried; None where all were."""
        box = acquired.tokens.box
        url = next((url for url in box.ajax_guesses if url not in self._missed), None)
        if url is None:
            return None
        return replace(acquired, tokens=replace(acquired.tokens, box=replace(box, ajax_url=url)))

    async def _keep(self, tokens: Tokens) -> None:
        """Remembers where the endpoint is, after it was not where it was guessed at first."""
        tokens = replace(tokens, box=replace(tokens.box, ajax_guesses=()))
        keeping = self._context.store.put(
            origin(self._wanted.page), self._wanted.key, tokens, is_lesson=False
        )
        await in_time(keeping, self._deadline, doing="the state folder was used", url=self._wanted.page)

    def _may_be_placeholder(self, error: ChatGpttError, acquired: Acquired) -> bool:
        """Whether scripts may replace the nonce that the site plainly rejects, since its box alone shows it.

        Then a browser is asked instead of the site once more.
        """
        is_plain = isinstance(error, TokenRejectedError) and error.otherwise is None
        is_doubtful = not acquired.is_confirmed and acquired.tokens.rung != "browser"
        return is_plain and self._has_old_nonce and is_doubtful and self._context.ladder.has_browser

    async def _ask_browser(self, rejected: frozenset[str], acquired: Acquired) -> Acquired:
        """Tokens from the browser, or the same ones without a browser. No others are tried after them."""
        self._renewals += 1
        try:
            found = await self._acquire(rejected)
        except ChatGpttError as failure:
            finding = Finding(rung="browser", saw=failure.message)
            return replace(acquired, findings=(*acquired.findings, *failure.findings, finding))
        self._page_requests += found.requests
        self._has_old_nonce = found.tokens.nonce in rejected
        return found

    async def _acquire(self, rejected: frozenset[str]) -> Acquired:
        acquired = await self._context.ladder.acquire(
            self._wanted, self._deadline, rejected, is_last_resort=self._renewals > 1
        )
        self._context.transport.add_cookies(acquired.tokens.cookies)
        return acquired

    async def _renew(self, rejected: frozenset[str], error: ChatGpttError) -> Acquired:
        try:
            return await self._acquire(rejected)
        except TokensNotFoundError as missing:
            error.findings = (*error.findings, *missing.findings)
            raise error from missing
        except BrowserError as missing:
            finding = Finding(rung="browser", saw=f"{missing.message}; {missing.hint}")
            error.findings = (*error.findings, *missing.findings, finding)
            raise error from missing
        except ChatGpttError as failure:
            if error.is_stale and self._renewals == 1:
                raise
            raise error from failure  # a refusal that was doubted stands, and so does a second rejection

    async def _send(self, tokens: Tokens) -> None:
        self._tokens = tokens
        question = self._question(tokens)
        check_message(question.text)
        self._conversation_id = question.conversation_id
        await retry(
            lambda: self._send_once(tokens, question),
            is_message=True,
            policy=self._context.policy,
            remaining=self._deadline.remaining,
            sleep=self._context.sleep,
        )

    async def _send_once(self, tokens: Tokens, question: Question) -> None:
        await self._close()
        self._unread_bytes = 0
        self._is_handed_in = False
        match tokens.box.protocol:
            case "wpaicg":
                await self._send_wpaicg(tokens, question)
            case "aipkit":
                await self._send_aipkit(tokens, question)
            case _:
                assert_never(tokens.box.protocol)
        if self._open is not None and self._open.head.status == 200:
            self.accepted_at = self._deadline.elapsed()
        while not self._ready and self._open is not None:
            await self._receive()

    async def _send_wpaicg(self, tokens: Tokens, question: Question) -> None:
        request = wpaicg.build_message(
            tokens.box,
            tokens.nonce,
            question,
            client_id=self._visitor.client_id,
            chat_id=_dice.randint(1, 100_000),
        )
        self._attempts += 1
        self._open = await self._context.transport.send(
            request, page=tokens.page, deadline=self._deadline, user_agent=tokens.user_agent
        )
        self._reader = wpaicg.ReplyReader(self._open.head)

    async def _send_aipkit(self, tokens: Tokens, question: Question) -> None:
        transport, box = self._context.transport, tokens.box
        aipkit.check_text(box, question.text)
        now_ms = int(time.time() * 1000)
        message_id = f"aipkit-client-msg-{box.bot_id}-{now_ms}-{''.join(_dice.choices(_LOWER, k=5))}"
        upload = aipkit.build_upload(box, tokens.nonce, question.text, message_id=message_id)
        self._attempts += 1
        async with await transport.send(
            upload, page=tokens.page, deadline=self._deadline, user_agent=tokens.user_agent
        ) as reply:
            body = (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace")
        cache_key = aipkit.read_cache_key(reply.head, body)
        self._is_handed_in = True
        request = aipkit.build_stream_request(
            box,
            tokens.nonce,
            cache_key=cache_key,
            session_id=self._visitor.session_id,
            conversation_id=question.conversation_id,
            now_ms=now_ms,
        )
        self._open = await transport.send(
            request, page=tokens.page, deadline=self._deadline, user_agent=tokens.user_agent
        )
        self._reader = aipkit.ReplyReader(self._open.head)

    # Receiving

    async def _receive(self) -> None:
        """Takes in what arrives next; at the answer's end closes and makes the reply."""
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
                self._failure = error  # what came before it is given out first
                return
            finally:
                await self._close()
            self._add(pieces)
            self._finish(reader, ending)

    async def _end_broken(
        self, reader: wpaicg.ReplyReader | aipkit.ReplyReader, error: TransportError | InvalidInputError
    ) -> None:
        """Makes the reply of an answer that was whole before its connection broke: a wrong length, say."""
        try:
            pieces, ending = await self._aside(reader.end)
        except ChatGpttError:
            raise self._broken(error) from error
        self._add(pieces)
        self._finish(reader, ending)

    async def _aside(self, work: Callable[[], _Value]) -> _Value:
        """What the reader makes of what came; that of a large answer comes from a thread: it may take longer
        than the call has, and cannot be stopped, only left.
        """
        if self._unread_bytes < _LARGE_BYTES:
            return work()
        reading = anyio.to_thread.run_sync(work, abandon_on_cancel=True)
        try:
            return await in_time(
                reading, self._deadline, doing="a large answer was read", url=self._wanted.page
            )
        except TransportError as error:
            raise self._broken(error) from error

    def _add(self, pieces: list[str]) -> None:
        if not pieces:
            return
        if self.first_text_at is None:
            self.first_text_at = self._deadline.elapsed()
        self._ready += pieces
        self._unread_bytes = 0

    def _broken(self, error: TransportError | InvalidInputError) -> ChatGpttError:
        """A connection that broke: before the first text it may be tried again, after it not."""
        assert self._reader is not None
        text = self._reader.text
        if not text:
            return error
        return StreamInterruptedError(
            f"the answer broke off: {error.message}",
            hint="ask again; what had arrived is kept as the error's partial_text",
            url=error.url,
            status=self._reader.head.status,
            partial_text=text,
        )

    def _finish(self, reader: wpaicg.ReplyReader | aipkit.ReplyReader, ending: Ending) -> None:
        assert self._tokens is not None
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
            page_requests=self._page_requests,
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


def _as_no_rejection(error: ChatGpttError) -> ChatGpttError:
    """The error for a rejected nonce that the site shows past all caches too: the nonce is not the cause."""
    if not isinstance(error, TokenRejectedError) or error.otherwise is None:
        return error
    error.otherwise.findings = error.findings
    return error.otherwise


def _may_be_rejection(error: ChatGpttError, tokens: Tokens) -> bool:
    """Whether a refusal in unknown words may be a nonce's rejection; fresh tokens that differ prove it."""
    return (
        isinstance(error, RefusedError)
        and not error.is_certain
        and tokens.box.protocol == "wpaicg"
        and wpaicg.may_be_rejection(error.reason, tokens.box.plugin_version)
    )


def _out_of_its_block() -> ClosedError:
    return ClosedError("a stream is read in its block", hint="async with client.stream(...) as stream: ...")
