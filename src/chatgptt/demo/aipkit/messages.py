"""What admin-ajax.php does with a message in 2.x, which takes two requests.

The first request stores the message under a key that is good for one use and a minute. The second request
asks for the answer, with all its parameters in the query. The site keeps the conversation, by bot,
conversation and session. (docs/protocols.md A3, A5)
"""

from __future__ import annotations

import json
import re
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from starlette.responses import Response

from chatgptt.demo.aipkit.answers import (
    WARNINGS,
    answer_stream,
    error_text,
    new_message_id,
    refusal_stream,
    stream_headers,
)
from chatgptt.demo.aipkit.pages import BOTS, NONCE, Setup
from chatgptt.demo.front import PHP_WARNING, reply_before_plugin
from chatgptt.demo.model import (
    ParsedMessage,
    Turn,
    answer_steps,
    collect_answer,
    read_message,
    with_note_texts,
)
from chatgptt.demo.state import DemoState, PendingMessage
from chatgptt.demo.stream import Hangup, Stream, broken, shaped
from chatgptt.demo.wordpress import JSON_HEADERS, Call, ajax_json, critical_error, not_an_action, php_json

KEY_LIFE = 60.0
"""Seconds between the two requests of a message."""

MOST_PENDING = 10_000
"""Messages that wait for their second request. The oldest are dropped first."""

REMEMBERED = 15
"""Messages of a conversation that reach the model again."""

NO_SUCH_KEY = "Message not found in cache."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why the site does not ask the AI."""

    text: str
    status: int = 400
    """Of the non-streaming action; a stream says 200."""
    is_quota: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedMessage:
    """A message that passed the checks and was added to its conversation."""

    message: ParsedMessage
    turns: list[Turn]
    prompt: list[Turn]

    def add_answer(self, text: str) -> None:
        """Adds the answer to the conversation."""
        self.turns.append(Turn("assistant", _stored(text)))


async def answer_action(call: Call, setup: Setup, state: DemoState) -> Response:
    """The reply to a request for admin-ajax.php."""
    match call.request.get("action", ""):
        case "aipkit_cache_sse_message":
            return _hold(call, setup, state)
        case "aipkit_frontend_chat_stream":
            return _stream(call, setup, state)
        case "aipkit_frontend_chat_message" if setup.version < (2, 4, 1):
            return await _plain(call, setup, state)
        case "aipkit_get_frontend_chat_nonce" if setup.version >= (2, 3, 41):
            if _is_foreign(call, setup) and call.request.get("bot_id"):
                return _failure("This domain is not permitted to access the chatbot.", "cors_denied", 403)
            nonce = state.nonces(setup.prefix).make(NONCE, at=call.now)
            return ajax_json({"success": True, "data": {"nonce": nonce}})
        case _:
            return not_an_action()


def _failure(message: str, code: str, status: int) -> Response:
    return ajax_json({"success": False, "data": {"message": message, "code": code}}, status)


def _is_foreign(call: Call, setup: Setup) -> bool:
    """Whether a page of another site sent it, in versions that check it. Ports do not count."""
    origin = call.headers.get("origin")
    if origin is None or setup.version < (2, 3, 31):
        return False
    theirs, own = urlsplit(origin), urlsplit(call.base)
    return (theirs.scheme, theirs.hostname) != (own.scheme, own.hostname)


def _is_good(nonce: str, call: Call, setup: Setup, state: DemoState) -> bool:
    return state.nonces(setup.prefix).is_good(nonce, NONCE, at=call.now)


def _is_scripted(message: ParsedMessage, word: str, setup: Setup, state: DemoState) -> bool:
    """Whether the message begins with `word`, or comes for the first time and begins with `word`ONCE."""
    if message.word == f"{word}ONCE":
        return state.memory.is_among_first(1, setup.prefix, message.word, message.text)
    return message.word == word


def _hold(call: Call, setup: Setup, state: DemoState) -> Response:
    """The first request. All its parameters are in the body."""
    message = read_message(call.fields.get("message", ""))
    if (early := reply_before_plugin(message, setup.prefix, state.memory)) is not None:
        return early
    if _is_foreign(call, setup):
        text = "Embed feature is not available with your current plan."
        return _failure(text, "embed_not_available", 403)
    nonce = call.fields.get("_ajax_nonce", "")
    if not _is_good(nonce, call, setup, state) or _is_scripted(message, "NONCE", setup, state):
        text = "Your session has expired or the request is invalid. Please refresh the page and try again."
        return _failure(text, "nonce_failure_cache_sse", 403)
    if message.text.strip() in ("", "0"):  # what PHP takes for empty
        text = "Data to cache (message or image) cannot be empty."
        return _failure(text, "empty_data_to_cache", 400)
    pending = state.memory.pending
    if len(pending) >= MOST_PENDING:
        pending.pop(next(iter(pending)), None)
    letters = string.ascii_letters + string.digits
    key = "aipkit_sse_" + "".join(secrets.choice(letters) for _ in range(32))
    pending[setup.prefix, key] = PendingMessage(message.text, call.now)
    before = PHP_WARNING if message.word == "PHPWARNING" else ""
    return ajax_json({"success": True, "data": {"cache_key": key}}, before=before)


def _stream(call: Call, setup: Setup, state: DemoState) -> Response:
    """The second request. Its parameters are in the query; the nonce alone may be in a body."""
    fetched = _fetch(call, setup, state)
    found = _check(fetched, call.params, setup, state) if isinstance(fetched, ParsedMessage) else fetched
    headers = stream_headers(setup.version)
    if isinstance(found, Refused):
        error: dict[str, object] = {"error": found.text}
        if found.is_quota and setup.version >= (2, 4, 5):
            action = {"label": "More", "url": "https://example.org/more", "variant": "primary"}
            error["quota_notice"] = {"type": "quota_notice", "message": found.text, "actions": [action]}
        return Stream(refusal_stream(error, version=setup.version, at=call.now), headers=headers)
    message = found.message
    call.entry.set_message(message.text)
    pieces = answer_stream(
        answer_steps(message, found.prompt),
        version=setup.version,
        at=call.now,
        word=message.word,
        on_finish=found.add_answer,
    )
    return Stream(shaped(pieces, message.word, message.number), headers=headers)


def _fetch(call: Call, setup: Setup, state: DemoState) -> ParsedMessage | Refused:
    """The message of the first request. Its key works no second time."""
    nonce = call.params.get("_ajax_nonce") or call.fields.get("_ajax_nonce", "")
    key = call.params.get("cache_key", "")
    pending = state.memory.pending.get((setup.prefix, key))
    message = read_message(pending.text if pending else "")
    if _is_foreign(call, setup):
        return Refused(text="This domain is not permitted to access the chatbot.")
    if not _is_good(nonce, call, setup, state) or _is_scripted(message, "NONCESTREAM", setup, state):
        return Refused(text="Security check failed. Please refresh the page and try again.")
    if not key:
        return Refused(text="Message cache key is missing.")
    state.memory.pending.pop((setup.prefix, key), None)
    if pending is None or _is_scripted(message, "KEYLOST", setup, state):
        return Refused(text=NO_SUCH_KEY)
    if call.now - pending.at > KEY_LIFE or _is_scripted(message, "KEYEXPIRED", setup, state):
        return Refused(text="Cached message has expired.")
    return message


async def _plain(call: Call, setup: Setup, state: DemoState) -> Response:
    """The one request of a bot that prefers not to stream, up to 2.4.0."""
    fields = call.fields
    message = read_message(fields.get("message", ""))
    if (early := reply_before_plugin(message, setup.prefix, state.memory)) is not None:
        return early
    nonce = fields.get("_ajax_nonce", "")
    if not _is_good(nonce, call, setup, state) or _is_scripted(message, "NONCE", setup, state):
        return _refusal("Security check failed. Please refresh the page and try again.", 403)
    for name, text in (("bot_id", "Bot ID"), ("conversation_uuid", "Conversation ID")):
        if not fields.get(name):
            return _refusal(f"{text} is required.", 400)
    if message.text.strip() in ("", "0"):
        return _refusal("Message or image cannot be empty.", 400)
    if _bot_id(fields) is None:
        return critical_error()  # the intended refusal is never reached
    accepted = _check(message, fields, setup, state)
    if isinstance(accepted, Refused):
        return _refusal(accepted.text, accepted.status)
    call.entry.set_message(message.text)
    answer = await collect_answer(with_note_texts(answer_steps(message, accepted.prompt), WARNINGS))
    fail = answer.fail
    reply = {
        "reply": answer.text,
        "message_id": new_message_id().replace(".", ""),
        "openai_response_id": f"resp_{secrets.token_hex(8)}",
    }
    found = {"success": True, "data": reply}
    if fail is None:
        accepted.add_answer(answer.text)
        return ajax_json(found, before=PHP_WARNING if message.word == "PHPWARNING" else "")
    if fail.how in ("close", "reset"):
        return broken(php_json(found).encode(), Hangup(fail.how), JSON_HEADERS)
    if fail.how == "error":
        return _refusal(f"OpenAI API Error (HTTP {fail.status}): {fail.message}", fail.status)
    return _refusal(error_text(fail), 503)


def _refusal(text: str, status: int) -> Response:
    return ajax_json({"success": False, "data": {"message": text}}, status)


def _bot_id(request: Mapping[str, str]) -> int | None:
    text = request.get("bot_id", "")
    return int(text) if text.isascii() and text.isdigit() and int(text) in BOTS else None


def _check(
    message: ParsedMessage, request: Mapping[str, str], setup: Setup, state: DemoState
) -> AcceptedMessage | Refused:
    """The plugin's checks, in its order. They add an accepted message to its conversation."""
    if _has_stream_context(message.text):
        return Refused(text="Unsupported stream context.")
    bot_id = _bot_id(request)
    if bot_id is None or BOTS[bot_id].is_draft:
        return Refused(text="Invalid chatbot specified.")
    conversation = re.sub(r"[^a-z0-9_-]", "", request.get("conversation_uuid", "").lower())
    session = request.get("session_id", "")
    if not conversation:
        return Refused(text="Conversation ID is missing.")
    if not session:
        return Refused(text="Session ID is missing for guest.")
    bot = BOTS[bot_id]
    word = message.word
    if not bot.allows_guests or word == "GUESTS":
        return Refused(text="Access disabled for guests.", status=403)
    used = (setup.prefix, "quota", str(bot_id), session)
    if word == "QUOTA" or (bot.quota is not None and state.memory.counts[used] >= bot.quota):
        noun: Literal["quota", "token limit"] = "quota" if setup.version >= (2, 3, 94) else "token limit"
        return Refused(text=f"You have reached your {noun} for this period.", status=429, is_quota=True)
    if (refused := _REFUSALS.get(word)) is not None:
        return refused
    if len(conversation) > 36 or len(session) > 64:  # the columns of the log
        return Refused(text="Failed to log user message.", status=500)
    state.memory.counts[used] += 1
    turns = state.memory.conversations[setup.prefix, str(bot_id), conversation, session]
    prompt = [Turn("system", "Answer as the demo would."), *turns[-REMEMBERED:], Turn("user", message.text)]
    turns.append(Turn("user", _stored(message.text)))
    return AcceptedMessage(message=message, turns=turns, prompt=prompt)


_REFUSALS = {
    "BANIP": Refused(text="Access from your IP address has been blocked.", status=403),
    "BANWORD": Refused(text="Sorry, your message could not be sent as it contains prohibited words."),
    "MODERATION": Refused(text="Your message was flagged by the moderation system and could not be sent."),
}


def _has_stream_context(text: str) -> bool:
    """Whether the text is an object for the plugin's other features, which share the stream."""
    if "stream_context" not in text:
        return False
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "stream_context" in found


def _stored(text: str) -> str:
    """A text as the log keeps it, filtered as HTML."""
    text = re.sub(r"</?script\b[^>]*>", "", text, flags=re.IGNORECASE)
    return re.sub(r"&(?!#\d+;|#x[0-9a-fA-F]+;|[a-zA-Z][a-zA-Z0-9]*;)", "&amp;", text)
