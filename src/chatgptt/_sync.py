"""The sync face: `Client` runs an `AsyncClient` in a thread of its own, through anyio's blocking portal.

There is one implementation, the async one. This works in scripts, in threads, in notebooks and under a
running event loop alike, since the client's loop is never the caller's.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from chatgptt._client import (
    DEFAULT_SITE,
    AsyncClient,
    AsyncConversation,
    ClientOptions,
    client_is_closed,
)
from chatgptt._errors import InvalidInputError
from chatgptt._exchange import AsyncReplyStream
from chatgptt._models import ChatBox, MessageInput, Reply

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

    from chatgptt.health.report import HealthReport, Level

__all__ = ["Client", "Conversation", "ReplyStream", "ask"]

_Value = TypeVar("_Value")


class Client:
    """Asks the chat box of a page. Arguments and methods are those of `AsyncClient`, without the await.

    Use it in a `with` block, or call `close` at the end.
    """

    def __init__(self, site: str = DEFAULT_SITE, **options: Unpack[ClientOptions]) -> None:
        self._client = AsyncClient(site, **options)
        self._loop = _Loop()
        # Ends the thread of a client that was never closed, when it is collected.
        self._finalizer = weakref.finalize(self, self._loop.stop)

    @property
    def page(self) -> str:
        """The page's URL, without credentials."""
        return self._client.page

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """See AsyncClient.close."""
        if self._finalizer.alive:
            try:
                self._loop.run(self._client.close)
            finally:
                self._finalizer()

    def ask(
        self,
        message: MessageInput,
        *,
        system: str | None = None,
        bot: str | int | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """See AsyncClient.ask."""
        return self._loop.run(lambda: self._client.ask(message, system=system, bot=bot, timeout=timeout))

    def stream(
        self,
        message: MessageInput,
        *,
        system: str | None = None,
        bot: str | int | None = None,
        timeout: float | None = None,
    ) -> ReplyStream:
        """The answer as it arrives: `with client.stream("...") as stream: for piece in stream`.

        See AsyncClient.stream.
        """
        return ReplyStream(
            self, self._loop, self._client.stream(message, system=system, bot=bot, timeout=timeout)
        )

    def conversation(self, *, system: str | None = None, bot: str | int | None = None) -> Conversation:
        """See AsyncClient.conversation."""
        return Conversation(self, self._loop, self._client.conversation(system=system, bot=bot))

    def find_boxes(self, *, timeout: float | None = None) -> tuple[ChatBox, ...]:
        """See AsyncClient.find_boxes."""
        return self._loop.run(lambda: self._client.find_boxes(timeout=timeout))

    def health_check(
        self,
        level: Level = "full",
        *,
        message: str | None = None,
        expect: str | None = None,
        warn: float | None = None,
        cert_days: float = 14.0,
        timeout: float | None = None,
    ) -> HealthReport:
        """See AsyncClient.health_check."""
        return self._loop.run(
            lambda: self._client.health_check(
                level, message=message, expect=expect, warn=warn, cert_days=cert_days, timeout=timeout
            )
        )


class Conversation:
    """Messages that know the earlier ones; made by `Client.conversation`. See AsyncConversation."""

    def __init__(self, client: Client, loop: _Loop, conversation: AsyncConversation) -> None:
        self._client = client  # whose loop ends when nobody holds it any more
        self._loop = loop
        self._conversation = conversation

    @property
    def messages(self) -> list[dict[str, str]]:
        """See AsyncConversation.messages."""
        return self._conversation.messages

    def reset(self) -> None:
        """See AsyncConversation.reset."""
        self._conversation.reset()

    def ask(self, message: str, *, timeout: float | None = None) -> Reply:
        """See AsyncConversation.ask."""
        return self._loop.run(lambda: self._conversation.ask(message, timeout=timeout))

    def stream(self, message: str, *, timeout: float | None = None) -> ReplyStream:
        """See AsyncConversation.stream."""
        return ReplyStream(self._client, self._loop, self._conversation.stream(message, timeout=timeout))


class ReplyStream:
    """An answer as it arrives: `with` opens it, `for` gives its pieces of text. See AsyncReplyStream."""

    def __init__(self, client: Client, loop: _Loop, stream: AsyncReplyStream) -> None:
        self._client = client  # see Conversation
        self._loop = loop
        self._stream = stream

    @property
    def reply(self) -> Reply | None:
        """The finished answer, None until the last piece was taken."""
        return self._stream.reply

    def __enter__(self) -> Self:
        self._loop.run(self._stream.__aenter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.run(lambda: self._stream.__aexit__(kind, error, trace))
        except InvalidInputError:
            if not self._loop.is_stopped:
                raise
            # The client was closed, and its connections with it: what the block ended in is what counts.

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        piece = self._loop.run(lambda: anext(self._stream, None))
        if piece is None:
            raise StopIteration
        return piece


class _Loop:
    """An event loop in a daemon thread, started on first use."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._is_stopped = False
        self._changing = threading.Lock()

    def run(self, call: Callable[[], Awaitable[_Value]]) -> _Value:
        """The result of `call` in the loop; an interrupt of the waiting thread cancels it there."""
        future = self._started().start_task_soon(call)
        try:
            return future.result()
        except CancelledError:
            if self._is_stopped:  # by another thread, which closed the client
                raise client_is_closed() from None
            raise
        except BaseException:
            future.cancel()
            raise

    @property
    def is_stopped(self) -> bool:
        """Whether it was ended."""
        return self._is_stopped

    def stop(self) -> None:
        """Ends the thread; what still runs in it is cancelled."""
        with self._changing:
            portal, self._portal, self._is_stopped = self._portal, None, True
        if portal is None:
            return
        try:
            portal.call(portal.stop, True)
        except RuntimeError:  # collected in the loop's own thread, which ends when it is back in the loop
            portal.start_task_soon(portal.stop, True)
        else:
            self._stack.close()

    def _started(self) -> BlockingPortal:
        with self._changing:
            if self._is_stopped:
                raise client_is_closed()
            if self._portal is None:
                from anyio.from_thread import start_blocking_portal  # here, since only the sync face needs it

                self._portal = self._stack.enter_context(start_blocking_portal(name="chatgptt"))
            return self._portal


def ask(
    message: MessageInput,
    site: str = DEFAULT_SITE,
    *,
    system: str | None = None,
    **options: Unpack[ClientOptions],
) -> Reply:
    """The finished answer of the chat box on a page; for more than one question use `Client`.

    See AsyncClient for the options and AsyncClient.ask for the errors.
    """
    with Client(site, **options) as client:
        return client.ask(message, system=system)
