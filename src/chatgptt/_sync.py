"""The sync face: `Client` runs an `AsyncClient` in a thread of its own, and waits for it.

There is one implementation, the async one. This works in scripts, in threads, in notebooks and under a
running event loop alike, since the client's loop is never the caller's. A client that was used before its
process forked works in the child too, with a loop, a thread and connections of its own.

The first client imports what asking needs. Importing `Client` takes half of the time of importing httpx.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from chatgptt._errors import ChatGpttError, ClosedError
from chatgptt._loop_thread import LoopThread
from chatgptt.sites import DEFAULT_SITE

if TYPE_CHECKING:
    from chatgptt._client import ClientOptions
    from chatgptt._conversation import AsyncConversation
    from chatgptt._models import ChatBox, Level, MessageInput, Reply
    from chatgptt._stream import AsyncReplyStream
    from chatgptt.health.report import HealthReport

_Value = TypeVar("_Value")
_Row = TypeVar("_Row", bound="MessageInput | Mapping[str, object]")


class Client:
    """Asks the chat box of a page. Arguments and methods are those of `AsyncClient`, without the await.

    Use it in a `with` block, or call `close` at the end.

    Raises:
        InvalidInputError: for arguments that cannot work.
    """

    def __init__(self, site: str = DEFAULT_SITE, **options: Unpack[ClientOptions]) -> None:
        from chatgptt._client import AsyncClient

        self._client = AsyncClient(site, **options)
        self._loop = LoopThread()
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
                # Else nothing was opened, or only by the process that forked this one.
                if self._loop.is_running:
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

    def ask_many(
        self, rows: Iterable[_Row], *, concurrency: int = 2, rate: float | None = None
    ) -> Iterator[tuple[_Row, Reply | ChatGpttError]]:
        """`for row, reply_or_error in client.ask_many(rows)`. See AsyncClient.ask_many.

        The rows are taken in the client's thread.
        """
        return self._take_all(self._client.ask_many(rows, concurrency=concurrency, rate=rate))

    def _take_all(self, answers: AsyncGenerator[_Value]) -> Iterator[_Value]:
        try:
            while (answer := self._loop.run(lambda: anext(answers, None))) is not None:
                yield answer
        finally:
            if not self._loop.is_stopped:
                self._loop.run(answers.aclose)

    def conversation(self, *, system: str | None = None, bot: str | int | None = None) -> Conversation:
        """See AsyncClient.conversation."""
        return Conversation(self, self._loop, self._client.conversation(system=system, bot=bot))

    def prepare(self, *, timeout: float | None = None) -> ChatBox:
        """See AsyncClient.prepare."""
        return self._loop.run(lambda: self._client.prepare(timeout=timeout))

    def find_boxes(self, *, timeout: float | None = None) -> tuple[ChatBox, ...]:
        """See AsyncClient.find_boxes."""
        return self._loop.run(lambda: self._client.find_boxes(timeout=timeout))

    def health_check(
        self,
        level: Level | None = None,
        *,
        message: str | None = None,
        expect: str | None = None,
        warn: float | None = None,
        cert_days: float | None = None,
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

    def __init__(self, client: Client, loop: LoopThread, conversation: AsyncConversation) -> None:
        self._client = client  # keeps it alive: its loop ends with it
        self._loop = loop
        self._conversation = conversation

    @property
    def messages(self) -> list[dict[str, str]]:
        """See AsyncConversation.messages."""
        return self._conversation.messages

    def reset(self) -> None:
        """See AsyncConversation.reset."""
        self._conversation.reset()

    def add(self, message: str, answer: str) -> None:
        """See AsyncConversation.add."""
        self._conversation.add(message, answer)

    def ask(self, message: str, *, timeout: float | None = None) -> Reply:
        """See AsyncConversation.ask."""
        return self._loop.run(lambda: self._conversation.ask(message, timeout=timeout))

    def stream(self, message: str, *, timeout: float | None = None) -> ReplyStream:
        """See AsyncConversation.stream."""
        return ReplyStream(self._client, self._loop, self._conversation.stream(message, timeout=timeout))


class ReplyStream:
    """An answer as it arrives: `with` opens it, `for` gives its pieces of text. See AsyncReplyStream."""

    def __init__(self, client: Client, loop: LoopThread, stream: AsyncReplyStream) -> None:
        self._client = client  # see Conversation
        self._loop = loop
        self._stream = stream

    @property
    def reply(self) -> Reply | None:
        """The finished answer, None until the last piece was taken."""
        return self._stream.reply

    def __enter__(self) -> Self:
        try:
            self._loop.run(self._stream.__aenter__)
        except BaseException:  # Ctrl-C may come when the answer has begun, and no block will end it then
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._loop.run(lambda: self._stream.__aexit__(kind, error, trace))
        except ClosedError:
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


def ask(
    message: MessageInput,
    site: str = DEFAULT_SITE,
    *,
    system: str | None = None,
    **options: Unpack[ClientOptions],
) -> Reply:
    """The finished answer of the chat box on a page; for more than one question use `Client`.

    Args:
        message: see AsyncClient.ask.
        site: the page's address, or the name of a site.
        system: see AsyncClient.ask.
        options: see AsyncClient.

    Raises:
        ChatGpttError: where no answer comes. See docs/errors.md.
    """
    with Client(site, **options) as client:
        return client.ask(message, system=system)
