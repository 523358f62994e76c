"""What admin-ajax.php does with a message in 1.x: the checks in their order, then the answer.

(docs/protocols.md W2, W6)
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from starlette.responses import Response

from chatgptt.demo.front import PHP_WARNING, challenge, in_front
from chatgptt.demo.model import Asked, Fail, Say, Spoken, Step, Turn, act, read_message, spoken, worded
from chatgptt.demo.stream import Hangup, Pieces, Stream, after, broken, shaped
from chatgptt.demo.wordpress import JSON_HEADERS, Call, ajax_json, ajax_text, not_an_action, php_json, slashed
from chatgptt.demo.world import World
from chatgptt.demo.wpaicg.answers import REFUSAL, assistant_stream, error_text, flag, ordinary_stream
from chatgptt.demo.wpaicg.boxes import Kind
from chatgptt.demo.wpaicg.pages import BOTS, NONCE, Bot, Setup
from chatgptt.demo.wpaicg.sanitising import read_history, sanitised

__all__ = ["answer_message"]

ACTIONS: dict[str, Kind] = {
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
"""Refusals: the text, and in a stream the flag beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A message that passed the checks, with all that its answer depends on."""

    asked: Asked
    bot: Bot
    bot_key: str
    client_id: str
    greeting: str
    prompt: list[Turn]
    fields: dict[str, str]


async def answer_message(call: Call, setup: Setup, world: World, *, user: str) -> Response:
    """The reply to a request for admin-ajax.php; `user` is whom its nonce must have been made for."""
    # $_REQUEST up to 1.8.90, $_POST after that.
    fields = call.request if setup.version < (1, 8, 91) else dict(call.fields)
    asked = read_message(_message(fields.get("message", ""), setup))
    if setup.message_challenge is not None:
        return challenge(setup.message_challenge)
    if (early := in_front(asked, setup.prefix, world.memory)) is not None:
        return early
    kind = ACTIONS.get(call.request.get("action", ""))
    if kind is None:
        return not_an_action()
    nonce = call.request.get("_wpnonce", "")
    is_good = world.nonces(setup.prefix).is_good(nonce, NONCE, at=call.now, user=user)
    if not is_good or _is_scripted_rejection(asked, setup, world):
        return _rejected(call, setup)
    if asked.text in ("", "0"):  # what PHP takes for empty
        return ajax_json({"status": "error", "msg": "It appears that nothing was inputted."})
    if asked.word == "PINECONE":
        text = "Something wrong with Pinecone setup. Check your Pinecone settings."
        return ajax_json({"status": "error", "msg": text, "data": text})
    question = _question(asked, kind, fields, setup)
    before = PHP_WARNING if asked.word == "PHPWARNING" else ""
    if (refused := _refused(question, setup, world, before)) is not None:
        return refused
    call.entry.asked(asked.text)
    is_assistant = question.bot.is_assistant and setup.version >= (1, 8, 95)
    if question.bot.server_streams:
        pieces = (_assistant_pieces if is_assistant else _ordinary_pieces)(question, setup, world, call.now)
        return _stream(question, pieces, before, is_assistant=is_assistant)
    if is_assistant:
        return await _assistant_json(question, setup, world)
    return await _json(question, setup, world, before)


def _message(raw: str, setup: Setup) -> str:
    if setup.version >= (1, 8, 96):
        return raw
    if setup.version >= (1, 8, 91):
        return sanitised(raw)
    return sanitised(slashed(raw))


def _is_scripted_rejection(asked: Asked, setup: Setup, world: World) -> bool:
    if asked.word == "NONCEONCE":
        return world.memory.is_among_first(1, setup.prefix, "NONCEONCE", asked.text)
    return asked.word == "NONCE"


def _rejected(call: Call, setup: Setup) -> Response:
    if setup.version < (1, 8, 91):
        return ajax_json({"status": "error", "msg": "Nonce verification failed"})
    text = "The link you followed has expired."
    referer = call.headers.get("referer", "")
    if referer.startswith(call.base + "/"):
        text += f'</p><p><a href="{referer}">Please try again.</a>'
    return ajax_text(text, 403)


def _question(asked: Asked, kind: Kind, fields: dict[str, str], setup: Setup) -> Question:
    number = fields.get("bot_id", "")
    bot_id = int(number) if number.isascii() and number.isdigit() and int(number) in BOTS else 0
    post_id = fields.get("post_id", "")
    greeting = "Answer as the demo would."
    # `<10`, which the last widgets send, is the id of no post.
    if post_id.isascii() and post_id.isdigit() and 0 <= int(post_id) - 9 < len(setup.pages):
        greeting += f'\n, Current context: "{setup.pages[int(post_id) - 9].title}"'
    prompt = [
        Turn("user", greeting),
        *read_history(fields.get("wpaicg_chat_history", "")),
        Turn("user", asked.text),
    ]
    return Question(
        asked=asked,
        bot=BOTS[bot_id],
        bot_key=str(bot_id) if bot_id else kind,
        client_id=fields.get("wpaicg_chat_client_id", ""),
        greeting=greeting,
        prompt=prompt,
        fields=fields,
    )


def _refused(question: Question, setup: Setup, world: World, before: str) -> Response | None:
    """A refusal that ends the matter; in a stream a banned visitor or word doesn't."""
    bot, word = question.bot, question.asked.word
    if bot.quota is not None:
        used = (setup.prefix, "quota", question.bot_key, question.client_id)
        if not world.memory.is_among_first(bot.quota, *used):
            word = "QUOTA"
    if word not in FLAGS or (bot.server_streams and word in ("BANIP", "BANWORD")):
        return None
    text, name = FLAGS[word]
    if bot.server_streams:
        return Response(flag(text, name), 200, STREAM_HEADERS)
    if word == "QUOTA":
        return ajax_json({"msg": text, name: True}, before=before)
    return ajax_json({"status": "error", "msg": text}, before=before)


def _steps(question: Question) -> Iterator[Step]:
    return worded(act(question.asked, question.prompt), {"refusal": REFUSAL})


def _stream(question: Question, pieces: Pieces, before: str, *, is_assistant: bool) -> Response:
    asked = question.asked
    if asked.word in ("BANIP", "BANWORD"):
        pieces = after(flag(*FLAGS[asked.word]), pieces)
    if before:
        pieces = after(before.encode(), pieces)
    headers = {**STREAM_HEADERS, "connection": "keep-alive"} if is_assistant else STREAM_HEADERS
    return Stream(shaped(pieces, asked.word, asked.number), headers=headers)


def _ordinary_pieces(question: Question, setup: Setup, world: World, at: float) -> Pieces:
    def tail(text: str) -> str:
        return php_json(_success(question, setup, world, text))

    return ordinary_stream(
        _steps(question),
        at=at,
        tail=tail if setup.version < (1, 8, 85) else None,
        has_garbage=question.asked.word == "GARBAGE",
    )


async def _json(question: Question, setup: Setup, world: World, before: str) -> Response:
    answer = await spoken(_steps(question))
    if question.bot.is_google:
        answer = _as_google(answer)
    found = _success(question, setup, world, answer.text)
    fail = answer.fail
    if fail is None:
        return ajax_json(found, before=before)
    if fail.how in ("close", "reset"):
        return broken(php_json(found).encode(), Hangup(fail.how), JSON_HEADERS)
    if fail.how == "page":  # no JSON from the provider: nothing to say, and no word that it went wrong
        return ajax_json({**found, "data": ""})
    failed = {"status": "error", "msg": error_text(fail), "greeting_message": question.greeting}
    return ajax_json({**failed, "log": found["log"]})


def _as_google(answer: Spoken) -> Spoken:
    """Google's way: HTML for line breaks, and every failure is a success."""
    if answer.fail is None or answer.fail.how in ("close", "reset"):
        return Spoken(answer.text.replace("\n", "<br>"), answer.fail)
    says = answer.fail.how == "error"
    return Spoken(f"Response from Google: {answer.fail.message}" if says else "", None)


def _success(question: Question, setup: Setup, world: World, text: str) -> dict[str, object]:
    log: object = False
    if question.client_id:
        key = (setup.prefix, "log", question.bot_key, question.client_id)
        is_first = world.memory.is_among_first(1, *key)
        number = 1 + sum(map(ord, question.client_id)) % 1000
        log = number if is_first else str(number)  # a number first, a string ever after
    return {
        "status": "success",
        "msg": "Something went wrong",  # left over from the start of the handler, on success too
        "greeting_message": question.greeting,
        "data": text,
        "log": log,
    }


@dataclass(frozen=True, slots=True)
class Run:
    """A message in an assistant's thread, which is the assistants' memory: they ignore the history."""

    thread: str
    is_new: bool
    turns: list[Turn]
    steps: Iterator[Step]

    def finished(self, text: str) -> None:
        """The thread gets the answer."""
        self.turns.append(Turn("assistant", text))


def _run(question: Question, setup: Setup, world: World) -> Run:
    given = question.fields.get("thread_id", "")
    thread = given or f"thread_{secrets.token_hex(12)}"
    if given and (setup.prefix, given) not in world.memory.talks:
        return Run(given, False, [], iter([Fail("error", f"No thread found with id '{given}'.")]))
    turns = world.memory.talks[setup.prefix, thread]
    turns.append(Turn("user", question.asked.text))
    steps = worded(act(question.asked, list(turns)), {"refusal": REFUSAL})
    if question.asked.word == "THREAD":
        steps = map(Say, (f"{thread} ", "has ", f"{len(turns)} ", "messages."))
    return Run(thread, not given, turns, steps)


def _assistant_pieces(question: Question, setup: Setup, world: World, at: float) -> Pieces:
    run = _run(question, setup, world)
    return assistant_stream(run.steps, thread=run.thread, is_new=run.is_new, finished=run.finished)


async def _assistant_json(question: Question, setup: Setup, world: World) -> Response:
    run = _run(question, setup, world)
    answer = await spoken(run.steps)
    found = {**_success(question, setup, world, answer.text), "thread_id": run.thread}
    if answer.fail is not None and answer.fail.how in ("close", "reset"):
        return broken(php_json(found).encode(), Hangup(answer.fail.how), JSON_HEADERS)
    if answer.fail is not None:
        return ajax_json({"status": "error", "msg": error_text(answer.fail) or "Run failed."})
    if not answer.text:
        return ajax_json({"status": "error", "msg": "No assistant message found in run steps."})
    run.finished(answer.text)
    return ajax_json(found)
