"""What admin-ajax.php does with a message in 2.x, which takes two requests.

The first request leaves the message under a key that is good for one use and a minute; the second asks for
the answer and has everything in its query. The conversation is kept here, by bot, conversation and session.
(docs/protocols.md A3, A5)
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
from chatgptt.demo.front import PHP_WARNING, in_front
from chatgptt.demo.model import Asked, Turn, act, read_message, spoken, worded
from chatgptt.demo.stream import Hangup, Stream, broken, shaped
from chatgptt.demo.wordpress import JSON_HEADERS, Call, ajax_json, critical_error, not_an_action, php_json
from chatgptt.demo.world import Held, World

__all__ = ["answer_action"]

KEY_LIFE = 60.0
"""Seconds between the two requests of a message."""

MOST_HELD = 10_000
"""Messages waiting for their second request; the oldest are forgotten first."""

REMEMBERED = 15
"""Messages of a conversation that reach the model again."""

NO_SUCH_KEY = "Message not found in cache."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why the AI isn't asked."""

    text: str
    status: int = 400
    """Of the non-streaming action; a stream says 200."""
    is_quota: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A message that passed the checks: it stands in its conversation now."""

    asked: Asked
    turns: list[Turn]
    prompt: list[Turn]

    def finished(self, text: str) -> None:
        """The conversation gets the answer."""
        self.turns.append(Turn("assistant", _stored(text)))


async def answer_action(call: Call, setup: Setup, world: World) -> Response:
    """The reply to a request for admin-ajax.php."""
    match call.request.get("action", ""):
        case "aipkit_cache_sse_message":
            return _hold(call, setup, world)
        case "aipkit_frontend_chat_stream":
            return _stream(call, setup, world)
        case "aipkit_frontend_chat_message" if setup.version < (2, 4, 1):
            return await _plain(call, setup, world)
        case "aipkit_get_frontend_chat_nonce" if setup.version >= (2, 3, 41):
            if _is_foreign(call, setup) and call.request.get("bot_id"):
                return _failure("This domain is not permitted to access the chatbot.", "cors_denied", 403)
            nonce = world.nonces(setup.prefix).make(NONCE, at=call.now)
            return ajax_json({"success": True, "data": {"nonce": nonce}})
        case _:
            return not_an_action()


def _failure(message: str, code: str, status: int) -> Response:
    return ajax_json({"success": False, "data": {"message": message, "code": code}}, status)


def _is_foreign(call: Call, setup: Setup) -> bool:
    """Whether a page of another site asks, where the version looks at that. Ports don't count."""
    origin = call.headers.get("origin")
    if origin is None or setup.version < (2, 3, 31):
        return False
    theirs, own = urlsplit(origin), urlsplit(call.base)
    return (theirs.scheme, theirs.hostname) != (own.scheme, own.hostname)


def _is_good(nonce: str, call: Call, setup: Setup, world: World) -> bool:
    return world.nonces(setup.prefix).is_good(nonce, NONCE, at=call.now)


def _is_scripted(asked: Asked, word: str, setup: Setup, world: World) -> bool:
    """Whether the message says `word`, or says `word`ONCE and this is the first time."""
    if asked.word == f"{word}ONCE":
        return world.memory.is_among_first(1, setup.prefix, asked.word, asked.text)
    return asked.word == word


def _hold(call: Call, setup: Setup, world: World) -> Response:
    """The first request: everything in the body."""
    asked = read_message(call.fields.get("message", ""))
    if (early := in_front(asked, setup.prefix, world.memory)) is not None:
        return early
    if _is_foreign(call, setup):
        text = "Embed feature is not available with your current plan."
        return _failure(text, "embed_not_available", 403)
    nonce = call.fields.get("_ajax_nonce", "")
    if not _is_good(nonce, call, setup, world) or _is_scripted(asked, "NONCE", setup, world):
        text = "Your session has expired or the request is invalid. Please refresh the page and try again."
        return _failure(text, "nonce_failure_cache_sse", 403)
    if asked.text.strip() in ("", "0"):  # what PHP takes for empty
        text = "Data to cache (message or image) cannot be empty."
        return _failure(text, "empty_data_to_cache", 400)
    held = world.memory.held
    if len(held) >= MOST_HELD:
        held.pop(next(iter(held)), None)
    letters = string.ascii_letters + string.digits
    key = "aipkit_sse_" + "".join(secrets.choice(letters) for _ in range(32))
    held[setup.prefix, key] = Held(asked.text, call.now)
    before = PHP_WARNING if asked.word == "PHPWARNING" else ""
    return ajax_json({"success": True, "data": {"cache_key": key}}, before=before)


def _stream(call: Call, setup: Setup, world: World) -> Response:
    """The second request: everything in the query, and only the nonce may be in a body."""
    fetched = _fetch(call, setup, world)
    found = _check(fetched, call.params, setup, world) if isinstance(fetched, Asked) else fetched
    headers = stream_headers(setup.version)
    if isinstance(found, Refused):
        error: dict[str, object] = {"error": found.text}
        if found.is_quota and setup.version >= (2, 4, 5):
            action = {"label": "More", "url": "https://example.org/more", "variant": "primary"}
            error["quota_notice"] = {"type": "quota_notice", "message": found.text, "actions": [action]}
        return Stream(refusal_stream(error, version=setup.version, at=call.now), headers=headers)
    asked = found.asked
    call.entry.asked(asked.text)
    pieces = answer_stream(
        act(asked, found.prompt),
        version=setup.version,
        at=call.now,
        word=asked.word,
        finished=found.finished,
    )
    return Stream(shaped(pieces, asked.word, asked.number), headers=headers)


def _fetch(call: Call, setup: Setup, world: World) -> Asked | Refused:
    """The message of the first request, which is gone from then on."""
    nonce = call.params.get("_ajax_nonce") or call.fields.get("_ajax_nonce", "")
    key = call.params.get("cache_key", "")
    held = world.memory.held.get((setup.prefix, key))
    asked = read_message(held.message if held else "")
    if _is_foreign(call, setup):
        return Refused(text="This domain is not permitted to access the chatbot.")
    if not _is_good(nonce, call, setup, world) or _is_scripted(asked, "NONCESTREAM", setup, world):
        return Refused(text="Security check failed. Please refresh the page and try again.")
    if not key:
        return Refused(text="Message cache key is missing.")
    world.memory.held.pop((setup.prefix, key), None)
    if held is None or _is_scripted(asked, "KEYLOST", setup, world):
        return Refused(text=NO_SUCH_KEY)
    if call.now - held.at > KEY_LIFE or _is_scripted(asked, "KEYEXPIRED", setup, world):
        return Refused(text="Cached message has expired.")
    return asked


async def _plain(call: Call, setup: Setup, world: World) -> Response:
    """The one request of a bot that prefers not to stream, up to 2.4.0."""
    fields = call.fields
    asked = read_message(fields.get("message", ""))
    if (early := in_front(asked, setup.prefix, world.memory)) is not None:
        return early
    nonce = fields.get("_ajax_nonce", "")
    if not _is_good(nonce, call, setup, world) or _is_scripted(asked, "NONCE", setup, world):
        return _refusal("Security check failed. Please refresh the page and try again.", 403)
    for name, text in (("bot_id", "Bot ID"), ("conversation_uuid", "Conversation ID")):
        if not fields.get(name):
            return _refusal(f"{text} is required.", 400)
    if asked.text.strip() in ("", "0"):
        return _refusal("Message or image cannot be empty.", 400)
    if _bot_id(fields) is None:
        return critical_error()  # the intended refusal is never reached
    talk = _check(asked, fields, setup, world)
    if isinstance(talk, Refused):
        return _refusal(talk.text, talk.status)
    call.entry.asked(asked.text)
    answer = await spoken(worded(act(asked, talk.prompt), WARNINGS))
    fail = answer.fail
    reply = {
        "reply": answer.text,
        "message_id": new_message_id().replace(".", ""),
        "openai_response_id": f"resp_{secrets.token_hex(8)}",
    }
    found = {"success": True, "data": reply}
    if fail is None:
        talk.finished(answer.text)
        return ajax_json(found, before=PHP_WARNING if asked.word == "PHPWARNING" else "")
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


def _check(asked: Asked, request: Mapping[str, str], setup: Setup, world: World) -> Talk | Refused:
    """All that comes before the provider, in the server's order; the message is logged on the way."""
    if _has_stream_context(asked.text):
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
    word = asked.word
    if not bot.allows_guests or word == "GUESTS":
        return Refused(text="Access disabled for guests.", status=403)
    used = (setup.prefix, "quota", str(bot_id), session)
    if word == "QUOTA" or (bot.quota is not None and world.memory.times[used] >= bot.quota):
        noun: Literal["quota", "token limit"] = "quota" if setup.version >= (2, 3, 94) else "token limit"
        return Refused(text=f"You have reached your {noun} for this period.", status=429, is_quota=True)
    if (refused := _REFUSALS.get(word)) is not None:
        return refused
    if len(conversation) > 36 or len(session) > 64:  # the columns of the log
        return Refused(text="Failed to log user message.", status=500)
    world.memory.times[used] += 1
    turns = world.memory.talks[setup.prefix, str(bot_id), conversation, session]
    prompt = [Turn("system", "Answer as the demo would."), *turns[-REMEMBERED:], Turn("user", asked.text)]
    turns.append(Turn("user", _stored(asked.text)))
    return Talk(asked=asked, turns=turns, prompt=prompt)


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
