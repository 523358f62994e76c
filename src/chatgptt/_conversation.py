"""A conversation, and messages in the form that each generation of the plugin carries.

A 1.x site is sent the history with each message. A 2.x site keeps the history under the conversation's id. It
is sent the history again only where it lacks a part of it.
"""

from __future__ import annotations

import uuid

from chatgptt._arguments import check_kind, check_seconds
from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput, Question, Reply, Tokens, Turn
from chatgptt._stream import AsyncReplyStream, Context, Turns
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.prompt import check_message, fold, read_turns
from chatgptt.protocols.text import without_surrogates
from chatgptt.tokens.acquisition import Wanted


class AsyncConversation:
    """Messages that know the earlier ones; made by `AsyncClient.conversation`.

    It sends one message at a time: a second one waits for the first, and is an error while another event loop
    has the first (docs/protocols.md W3, A3).
    """

    def __init__(self, context: Context, wanted: Wanted, *, system: str | None) -> None:
        check_kind("system", system, str, None, wanted="text")
        self._context = context
        self._wanted = wanted
        self._system = system
        self._one_at_a_time = Turns()
        self.reset()

    def reset(self) -> None:
        """Forgets the earlier messages; the next one begins a new conversation."""
        self._history: tuple[Turn, ...] = ()
        self._id = str(uuid.uuid4())
        self._kept_by_site = 0
        self._thread_id = ""

    @property
    def messages(self) -> list[dict[str, str]]:
        """The messages and answers so far, in the form that `AsyncClient.ask` takes."""
        return [{"role": turn.role, "content": turn.content} for turn in self._history]

    def add(self, message: str, answer: str) -> None:
        """Adds a message and its answer as if they had been said here: in an earlier program, or cut short.

        Args:
            message: a text.
            answer: a text; of an answer that was cut short, the part that came.

        Raises:
            InvalidInputError: for what is no text, and for a message that is empty or too long.
        """
        for name, text in (("message", message), ("answer", answer)):
            check_kind(name, text, str, wanted="text")
        check_message(message)
        self._add(Turn(role="user", content=without_surrogates(message)), without_surrogates(answer))

    async def ask(self, message: str, *, timeout: float | None = None) -> Reply:
        """The finished answer to the next message.

        Args:
            message: a text.
            timeout: seconds for this call instead of the client's.

        Raises:
            ChatGpttError: where no answer comes. See docs/errors.md.
        """
        async with self.stream(message, timeout=timeout) as stream:
            return await stream.drain()

    def stream(self, message: str, *, timeout: float | None = None) -> AsyncReplyStream:
        """The answer to the next message as it arrives. See AsyncClient.stream.

        A message whose answer did not finish is not part of the conversation.

        Args:
            message: a text.
            timeout: seconds for this call instead of the client's.

        Raises:
            InvalidInputError: for a message or a timeout that cannot work.
        """
        turns = read_turns(message)
        if len(turns) != 1:
            raise InvalidInputError(
                "a conversation takes one message at a time", hint="give a list of messages to client.ask"
            )
        turn = turns[0]
        check_message(turn.content)
        return AsyncReplyStream(
            self._context,
            wanted=self._wanted,
            question=lambda tokens: self._make_question(turn, tokens),
            timeout=None if timeout is None else check_seconds(timeout),
            turns=self._one_at_a_time,
            on_reply=lambda reply: self._finish(turn, reply),
        )

    def _make_question(self, turn: Turn, tokens: Tokens) -> Question:
        keeps_history = PROTOCOLS[tokens.box.protocol].KEEPS_HISTORY
        if keeps_history and self._history and self._kept_by_site == len(self._history):
            return Question(text=turn.content, conversation_id=self._id)
        turns = add_system((*self._history, turn), self._system)
        return make_question(turns, tokens, conversation_id=self._id, thread_id=self._thread_id)

    def _finish(self, turn: Turn, reply: Reply) -> None:
        self._add(turn, reply.text)
        self._thread_id = reply.thread_id or self._thread_id
        if PROTOCOLS[reply.protocol].KEEPS_HISTORY:
            self._kept_by_site = len(self._history)

    def _add(self, turn: Turn, answer: str) -> None:
        self._history = (*self._history, turn, Turn(role="assistant", content=answer))


def add_system(turns: tuple[Turn, ...], system: str | None) -> tuple[Turn, ...]:
    """The turns after a system prompt, which is left out where it is blank.

    Raises:
        InvalidInputError: for a system prompt that is no text.
    """
    check_kind("system", system, str, None, wanted="text")
    if not system or not system.strip():
        return turns
    return (Turn(role="system", content=without_surrogates(system)), *turns)


def read_question(message: MessageInput, system: str | None) -> tuple[Turn, ...]:
    """The turns of a message or a list of messages that can be sent, a system prompt before them.

    Raises:
        InvalidInputError: for what cannot be sent, and what a site would refuse.
    """
    turns = add_system(read_turns(message), system)
    check_message(fold(turns))
    if turns[-1].role == "user":
        check_message(turns[-1].content)  # 1.x sends it by itself, beside its history
    return turns


def make_question(
    turns: tuple[Turn, ...], tokens: Tokens, *, conversation_id: str, thread_id: str = ""
) -> Question:
    """The turns in the form that the box's protocol carries."""
    protocol = PROTOCOLS[tokens.box.protocol]
    return protocol.build_question(turns, conversation_id=conversation_id, thread_id=thread_id)
