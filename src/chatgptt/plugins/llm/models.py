"""A chat box as a model of llm, sync and async: its options, errors, and what llm logs of a reply.

llm loads this module for every prompt, to whichever model. What only a question needs is imported then.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing, closing, contextmanager
from typing import TYPE_CHECKING, Literal

import click
import llm
from llm.parts import StreamEvent
from pydantic import Field

from chatgptt._errors import ChatGpttError

if TYPE_CHECKING:
    from chatgptt._models import Reply
    from chatgptt.plugins.llm.question import Question


class ChatBoxError(llm.ModelError, click.ClickException):
    """What kept an answer from coming, with a hint. `llm chat` shows only click's exceptions as a message."""


class ChatBoxOptions(llm.Model.Options):
    """The options of a model, `-o NAME VALUE`."""

    site: str | None = Field(default=None, description="The page that shows the chat box, or a site's name")
    bot: str | int | None = Field(default=None, description="A bot of the page: number, name or kind of box")
    timeout: float | None = Field(default=None, gt=0, description="Seconds for a whole answer")
    proxy: str | None = Field(default=None, description="Proxy for every request: http, https or socks5 URL")
    strategy: Literal["auto", "static", "browser"] | None = Field(
        default=None, description="Which ways to the page's tokens may be tried"
    )


class ChatBox(llm.Model):
    """A chat box as a model: of a named site, or of the page that an option or the environment names."""

    can_stream = True
    Options = ChatBoxOptions

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.model_id = _model_id(name)

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[StreamEvent]:
        """The pieces of the answer."""
        with closing(self._events(prompt, response)) as events:
            while (event := _next_event(events)) is not None:
                yield event

    def _events(self, prompt: llm.Prompt, response: llm.Response) -> Generator[StreamEvent, None, None]:
        from chatgptt._sync import Client

        question = _read_question(prompt, self.name)
        with Client(question.site, **question.options) as client, client.stream(question.messages) as answer:
            for piece in answer:
                yield _event(piece, question)
        response.response_json = _facts(answer.reply)


class AsyncChatBox(llm.AsyncModel):
    """See ChatBox."""

    can_stream = True
    Options = ChatBoxOptions

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.model_id = _model_id(name)

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """The pieces of the answer."""
        async with aclosing(self._events(prompt, response)) as events:
            while (event := await _next_async_event(events)) is not None:
                yield event

    async def _events(
        self, prompt: llm.Prompt, response: llm.AsyncResponse
    ) -> AsyncGenerator[StreamEvent, None]:
        from chatgptt._client import AsyncClient

        question = _read_question(prompt, self.name)
        async with (
            AsyncClient(question.site, **question.options) as client,
            client.stream(question.messages) as answer,
        ):
            async for piece in answer:
                yield _event(piece, question)
        response.response_json = _facts(answer.reply)


def _model_id(name: str) -> str:
    return f"chatgptt/{name}" if name else "chatgptt"


def _read_question(prompt: llm.Prompt, name: str) -> Question:
    from chatgptt.plugins.llm.question import read_question
    from chatgptt.sites.named import NamedSite

    given = prompt.options
    assert isinstance(given, ChatBoxOptions)
    options = NamedSite(
        url=given.site or "",
        bot="" if given.bot is None else str(given.bot),
        strategy=given.strategy,
        proxy=given.proxy or "",
        timeout=given.timeout,
    )
    # The conversation holds once more what is in `prompt.messages`, so it is not read.
    return read_question(prompt.messages, options, name)


def _event(piece: str, question: Question) -> StreamEvent:
    """A piece of the answer. llm joins the pieces, and keeps the metadata with the whole."""
    return StreamEvent(type="text", chunk=piece, provider_metadata=question.metadata)


def _facts(reply: Reply | None) -> dict[str, object]:
    """How the reply came about, for llm's log. It has the text itself."""
    assert reply is not None
    return {key: value for key, value in reply.as_dict().items() if key != "text"}


def _next_event(events: Iterator[StreamEvent]) -> StreamEvent | None:
    with _as_model_errors():
        return next(events, None)


async def _next_async_event(events: AsyncGenerator[StreamEvent, None]) -> StreamEvent | None:
    with _as_model_errors():
        return await anext(events, None)


@contextmanager
def _as_model_errors() -> Iterator[None]:
    try:
        yield
    except ChatGpttError as error:
        # Where a hint names an argument of Python, as in `timeout=`, the user of llm needs its option.
        hint = re.sub(r"\b(proxy|timeout|bot)=(?![\w\"])", r"-o \1", error.hint)
        raise ChatBoxError(f"{error.message}\nHint: {hint}" if hint else error.message) from error
