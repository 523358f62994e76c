"""What a generation of the plugin offers: `Protocol`. Each generation has a module here that implements it.

Everything is a function of values. The flow of a message is a chain of steps: the client sends the request of
a step, and gives the whole reply to `Step.then` for the next one, until a reply is the answer.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field

from chatgptt._errors import RefusalReason
from chatgptt._models import ChatBox, Question, ReplyEnding, ReplyHead, Request, Turn, VisitorIds
from chatgptt.protocols.page import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A question with all that its requests are made of."""

    box: ChatBox
    nonce: str = field(repr=False)
    question: Question
    visitor: VisitorIds
    now_ms: int
    """Unix time in milliseconds."""
    chat_id: int
    """1 to 100000, made anew for each message."""
    random_word: str
    """5 characters of `[a-z0-9]`, made anew for each message."""


class Step(typing.NamedTuple):
    """One request on the way to an answer.

    `then` gives the next step for a reply's head and text, or raises what the reply amounts to instead. It is
    None where the reply is the answer itself.
    """

    request: Request
    then: Callable[[ReplyHead, str], Step] | None = None


class AnswerReader(typing.Protocol):
    """Reads an answer as it arrives.

    Feed `receive` until `is_finished`, then call `end`, which returns how the reply ended or raises what
    it amounts to. Pieces returned by `receive` are for the user at once.
    """

    @property
    def head(self) -> ReplyHead:
        """The head of the reply."""

    @property
    def is_stream(self) -> bool:
        """Whether it turned out to be a stream."""

    @property
    def is_finished(self) -> bool:
        """Whether no more of the reply is needed."""

    @property
    def text(self) -> str:
        """All that `receive` and `end` have returned as text so far."""

    def receive(self, data: bytes) -> list[str]:
        """The pieces of text that `data` completes."""

    def end(self) -> tuple[list[str], ReplyEnding]:
        """The last pieces and how the reply ended.

        Raises:
            ChatGpttError: what the reply amounts to where it is no complete answer.
        """


class Protocol(typing.Protocol):
    """One generation of the plugin."""

    @property
    def VERSIONS(self) -> str:
        """Its versions, for messages."""

    @property
    def PARAMS(self) -> str:
        """The script object on every page of a site that holds the nonce; "" where there is none."""

    @property
    def KEEPS_HISTORY(self) -> bool:
        """Whether the site keeps a conversation's history; if not, each message carries it."""

    @property
    def ReplyReader(self) -> Callable[[ReplyHead], AnswerReader]:
        """Makes the reader of an answer from the reply's head."""

    # Boxes

    def find_boxes(self, page: Page, endpoint: str = "") -> list[ChatBox]:
        """The boxes of a page in document order.

        Not those that name another site's endpoint, unless the caller has named an `endpoint`.
        """

    def foreign_sites(self, page: Page) -> list[str]:
        """Other sites whose box the page shows or embeds; nothing is ever posted there."""

    # Nonces beside those of the boxes

    def find_page_nonce(self, page: Page) -> str | None:
        """The nonce in the scripts of any page of the site."""

    def find_script_nonce(self, script: str) -> str | None:
        """The same from the text of one script that an optimiser moved out of the page (C3)."""

    def build_nonce_request(self, box: ChatBox) -> Request | None:
        """Asks the site for a nonce past all page caches; None where a site has no such action."""

    def maybe_fresh_nonce(self, head: ReplyHead, body: str) -> str | None:
        """The nonce in the reply to that request; None where there is none."""

    # Messages

    def build_question(self, turns: tuple[Turn, ...], *, conversation_id: str, thread_id: str) -> Question:
        """The turns of a conversation as the site takes them."""

    def first_step(self, message: Message) -> Step:
        """The first request of a message.

        Raises:
            ChatGpttError: for what the site would take for something other than a message.
        """

    def may_be_rejection(self, reason: RefusalReason, version: str) -> bool:
        """Whether a refusal in words that we don't read may be a rejected nonce."""
