"""What admin-ajax.php does with a message in 1.x: the checks in their order, then the answer.

(docs/protocols.md W2, W6)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response

from chatgptt.demo.bodies import read_number
from chatgptt.demo.front import PHP_WARNING, challenge, reply_before_plugin
from chatgptt.demo.installation import Setup
from chatgptt.demo.model import (
    Fail,
    FinishedAnswer,
    ParsedMessage,
    Say,
    Step,
    Turn,
    answer_steps,
    collect_answer,
    read_message,
    with_note_texts,
)
from chatgptt.demo.state import DemoState, VisitorMemory
from chatgptt.demo.stream import Hangup, Stream, after, broken_json, shaped
from chatgptt.demo.wordpress import Call, ajax_json, ajax_text, not_an_action, php_json, slashed
from chatgptt.demo.wpaicg.answers import REFUSAL, assistant_stream, error_text, flag, ordinary_stream
from chatgptt.demo.wpaicg.boxes import BoxKind
from chatgptt.demo.wpaicg.sanitising import read_history, sanitised

NONCE = "wpaicg-chatbox"
"""The one action of all boxes and of the script."""

ACTIONS: dict[str, BoxKind] = {
    "wpaicg_chat_shortcode_message": "shortcode",
    "wpaicg_chatbox_message": "widget",
}
STREAM_HEADERS = {
    "content-type": "text/event-stream;charset=UTF-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "x-robots-tag": "noindex",
    "expires": "Wed, 11 Jan 1984 05:00:00 GMT",
}

QUOTA = "You have reached your token limit."
FLAGS = {
    "QUOTA": (QUOTA, "tokenLimitReached"),
    "BANIP": ("You are not allowed to access this feature.", "ipBanned"),
    "BANWORD": (
        "Your message contains prohibited words. Please modify your message and try again.",
        "messageFlagged",
    ),
    "MODERATION": ("The made-up moderation has flagged this message as harmful.", "modflag"),
    "PINECONEERROR": ("No results from Pinecone.", "pineconeError"),
}
"""Refusals: the text, and the flag that a stream adds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A bot: its settings on the server, and the values that its page shows.

    `quota` is in messages for each visitor; None is no limit.
    """

    name: str
    page_streams: bool = True
    server_streams: bool = True
    is_assistant: bool = False
    is_google: bool = False
    quota: int | None = None


BOTS: dict[int, Bot] = {
    0: Bot(name="the default bot"),
    4: Bot(name="a bot that doesn't stream", page_streams=False, server_streams=False),
    5: Bot(name="a custom bot"),
    7: Bot(name="an assistant", is_assistant=True),
    8: Bot(
        name="an assistant that doesn't stream", is_assistant=True, page_streams=False, server_streams=False
    ),
    9: Bot(name="a bot with a quota", quota=2),
    10: Bot(name="a Google bot", server_streams=False, is_google=True),
    11: Bot(name="a widget's bot whose page is wrong about it", page_streams=False),
}


@dataclass(frozen=True, slots=True)
class _Thread:
    """A message in an assistant's thread. Assistants ignore the history: the thread is their memory."""

    name: str
    is_new: bool
    turns: list[Turn]
    steps: Iterator[Step]

    def add_answer(self, text: str) -> None:
        """Adds the answer to the thread."""
        self.turns.append(Turn("assistant", text))


async def answer_message(call: Call, setup: Setup, state: DemoState, *, user: str) -> Response:
    """The reply to a request for admin-ajax.php. Its nonce must have been made for `user`."""
    # $_REQUEST up to 1.8.90, $_POST after that.
    fields = call.request if setup.version < (1, 8, 91) else call.logged.fields
    message, memory = read_message(_message(fields.get("message", ""), setup)), state.memory(setup.prefix)
    if setup.message_challenge is not None:
        return challenge(setup.message_challenge)
    if (early := reply_before_plugin(message, memory)) is not None:
        return early
    kind = ACTIONS.get(call.request.get("action", ""))
    if kind is None:
        return not_an_action()
    nonce = call.request.get("_wpnonce", "")
    is_good = state.nonces(setup.prefix).is_good(nonce, NONCE, at=call.logged.at, user=user)
    if not is_good or memory.is_asked_for("NONCE", message):
        return _rejected(call, setup)
    if message.text in ("", "0"):  # what PHP takes for empty
        return ajax_json({"status": "error", "msg": "It appears that nothing was inputted."})
    if message.word == "PINECONE":
        text = "Something wrong with Pinecone setup. Check your Pinecone settings."
        return ajax_json({"status": "error", "msg": text, "data": text})
    question = _Question(message, kind, fields, setup, memory)
    if (refusal := question.refuse()) is not None:
        return refusal
    call.logged.message = message.text
    return await question.answer(call.logged.at)


def _message(raw: str, setup: Setup) -> str:
    if setup.version >= (1, 8, 96):
        return raw
    if setup.version >= (1, 8, 91):
        return sanitised(raw)
    return sanitised(slashed(raw))


def _rejected(call: Call, setup: Setup) -> Response:
    if setup.version < (1, 8, 91):
        return ajax_json({"status": "error", "msg": "Nonce verification failed"})
    text = "The link you followed has expired."
    referer = call.logged.headers.get("referer", "")
    if referer.startswith(call.base + "/"):
        text += f'</p><p><a href="{referer}">Please try again.</a>'
    return ajax_text(text, 403)


class _Question:
    """A message that passed the first checks, and its answer."""

    def __init__(
        self,
        message: ParsedMessage,
        kind: BoxKind,
        fields: dict[str, str],
        setup: Setup,
        memory: VisitorMemory,
    ) -> None:
        number = read_number(fields.get("bot_id", ""))
        bot_id = number if number in BOTS else 0
        self._message = message
        self._bot = BOTS[bot_id]
        self._visitor = (str(bot_id) if bot_id else kind, fields.get("wpaicg_chat_client_id", ""))
        self._fields = fields
        self._setup = setup
        self._memory = memory
        self._before = PHP_WARNING if message.word == "PHPWARNING" else ""
        self._greeting = "Answer as the demo would."
        place = read_number(fields.get("post_id", "")) - 9  # `<10`, which the last widgets send, is no post
        if 0 <= place < len(setup.pages):
            self._greeting += f'\n, Current context: "{setup.pages[place].title}"'

    def refuse(self) -> Response | None:
        """The refusal, if the answer ends with it. A stream goes on after a banned address or word."""
        bot, word = self._bot, self._message.word
        if bot.quota is not None and not self._memory.is_among_first(bot.quota, "quota", *self._visitor):
            word = "QUOTA"
        if word not in FLAGS or (bot.server_streams and word in ("BANIP", "BANWORD")):
            return None
        text, name = FLAGS[word]
        if bot.server_streams:
            return Response(flag(text, name), 200, STREAM_HEADERS)
        found = {"msg": text, name: True} if word == "QUOTA" else {"status": "error", "msg": text}
        return ajax_json(found, before=self._before)

    async def answer(self, at: float) -> Response:
        """The answer of the AI, in the form that the bot's settings ask for."""
        is_threaded = self._bot.is_assistant and self._setup.version >= (1, 8, 95)
        thread = self._open_thread() if is_threaded else None
        return self._stream(thread, at) if self._bot.server_streams else await self._answer_in_json(thread)

    def _steps(self, prompt: list[Turn]) -> Iterator[Step]:
        return with_note_texts(answer_steps(self._message, prompt), {"refusal": REFUSAL})

    def _steps_without_thread(self) -> Iterator[Step]:
        history = read_history(self._fields.get("wpaicg_chat_history", ""))
        return self._steps([Turn("user", self._greeting), *history, Turn("user", self._message.text)])

    def _open_thread(self) -> _Thread:
        given, conversations = self._fields.get("thread_id", ""), self._memory.conversations
        name = given or f"thread_{secrets.token_hex(12)}"
        if given and (given,) not in conversations:
            return _Thread(given, False, [], iter([Fail("error", f"No thread found with id '{given}'.")]))
        turns = conversations[(name,)]
        turns.append(Turn("user", self._message.text))
        steps = self._steps(list(turns))
        if self._message.word == "THREAD":
            steps = map(Say, (f"{name} ", "has ", f"{len(turns)} ", "messages."))
        return _Thread(name, not given, turns, steps)

    def _stream(self, thread: _Thread | None, at: float) -> Response:
        message, headers = self._message, STREAM_HEADERS
        if thread is None:
            pieces = ordinary_stream(
                self._steps_without_thread(),
                at=at,
                # Versions up to 1.8.84 append what a bot that does not stream would reply.
                tail=(lambda text: php_json(self._success(text)))
                if self._setup.version < (1, 8, 85)
                else None,
                has_garbage=message.word == "GARBAGE",
            )
        else:
            headers = {**headers, "connection": "keep-alive"}
            pieces = assistant_stream(
                thread.steps, thread=thread.name, is_new=thread.is_new, on_finish=thread.add_answer
            )
        if message.word in ("BANIP", "BANWORD"):
            pieces = after(flag(*FLAGS[message.word]), pieces)
        if self._before:
            pieces = after(self._before.encode(), pieces)
        return Stream(shaped(pieces, message.word, message.number), headers=headers)

    async def _answer_in_json(self, thread: _Thread | None) -> Response:
        answer = await collect_answer(self._steps_without_thread() if thread is None else thread.steps)
        if self._bot.is_google:
            answer = _as_google(answer)
        found, fail = self._success(answer.text), answer.fail
        if fail is not None and fail.how in ("close", "reset"):
            return broken_json(found, Hangup(fail.how))
        if thread is not None:
            if fail is not None or not answer.text:
                text = "No assistant message found in run steps." if fail is None else error_text(fail)
                return ajax_json({"status": "error", "msg": text or "Run failed."})
            thread.add_answer(answer.text)
            found["thread_id"] = thread.name
        if fail is None:
            return ajax_json(found, before=self._before)
        if fail.how == "page":  # no JSON from the provider: nothing to say, and no word that it went wrong
            return ajax_json({**found, "data": ""})
        failed = {"status": "error", "msg": error_text(fail), "greeting_message": self._greeting}
        return ajax_json({**failed, "log": found["log"]})

    def _success(self, text: str) -> dict[str, object]:
        log: object = False
        if client_id := self._visitor[1]:
            is_first = self._memory.is_among_first(1, "log", *self._visitor)
            number = 1 + sum(map(ord, client_id)) % 1000
            log = number if is_first else str(number)  # a number first, a string ever after
        return {
            "status": "success",
            "msg": "Something went wrong",  # left over from the start of the handler, on success too
            "greeting_message": self._greeting,
            "data": text,
            "log": log,
        }


def _as_google(answer: FinishedAnswer) -> FinishedAnswer:
    """The answer as the Google code path gives it: HTML for line breaks, and failures reported as answers."""
    if answer.fail is None or answer.fail.how in ("close", "reset"):
        return FinishedAnswer(answer.text.replace("\n", "<br>"), answer.fail)
    says = answer.fail.how == "error"
    return FinishedAnswer(f"Response from Google: {answer.fail.message}" if says else "", None)
