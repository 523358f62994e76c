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
from dataclasses import KW_ONLY, dataclass
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
from chatgptt.demo.aipkit.boxes import BOTS
from chatgptt.demo.bodies import read_number
from chatgptt.demo.front import PHP_WARNING, reply_before_plugin
from chatgptt.demo.installation import Setup
from chatgptt.demo.model import (
    ParsedMessage,
    Turn,
    answer_steps,
    collect_answer,
    read_message,
    with_note_texts,
)
from chatgptt.demo.state import DemoState
from chatgptt.demo.stream import Hangup, Stream, broken_json, shaped
from chatgptt.demo.wordpress import Call, ajax_json, critical_error, not_an_action

NONCE = "aipkit_frontend_chat_nonce"
"""The one nonce action of all bots and all chat requests."""

_KEY_LIFE = 60.0
"""Seconds between the two requests of a message."""

MOST_PENDING = 10_000
"""Messages of a site that wait for their second request. The oldest are dropped first."""

_REMEMBERED = 15
"""Messages of a conversation that reach the model again."""

_LETTERS = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class _Refused:
    """Why the site does not ask the AI. The status is that of the non-streaming action; a stream says 200."""

    text: str
    _: KW_ONLY
    status: int = 400
    is_quota: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    """A message that passed the checks and was added to its conversation."""

    message: ParsedMessage
    turns: list[Turn]
    prompt: list[Turn]

    def add_answer(self, text: str) -> None:
        """Adds the answer to the conversation."""
        self.turns.append(Turn("assistant", _stored(text)))


async def answer_action(call: Call, setup: Setup, state: DemoState) -> Response:
    """The reply to a request for admin-ajax.php."""
    request = _Request(call, setup, state)
    match call.request.get("action", ""):
        case "aipkit_cache_sse_message":
            return request.hold()
        case "aipkit_frontend_chat_stream":
            return request.stream()
        case "aipkit_frontend_chat_message" if setup.version < (2, 4, 1):
            return await request.answer_at_once()
        case "aipkit_get_frontend_chat_nonce" if setup.version >= (2, 3, 41):
            return request.make_nonce()
        case _:
            return not_an_action()


class _Request:
    """One request, and what it does."""

    def __init__(self, call: Call, setup: Setup, state: DemoState) -> None:
        self._call = call
        self._logged = call.logged
        self._version = setup.version
        self._memory = state.memory(setup.prefix)
        self._nonces = state.nonces(setup.prefix)

    def make_nonce(self) -> Response:
        """Gives a nonce out."""
        if self._is_foreign() and self._call.request.get("bot_id"):
            return _failure("This domain is not permitted to access the chatbot.", 403, "cors_denied")
        nonce = self._nonces.make(NONCE, at=self._logged.at)
        return ajax_json({"success": True, "data": {"nonce": nonce}})

    def hold(self) -> Response:
        """The first request. All its parameters are in the body."""
        message = read_message(self._logged.fields.get("message", ""))
        if (early := reply_before_plugin(message, self._memory)) is not None:
            return early
        if self._is_foreign():
            text = "Embed feature is not available with your current plan."
            return _failure(text, 403, "embed_not_available")
        if self._is_rejected(self._logged.fields.get("_ajax_nonce", ""), message, "NONCE"):
            text = (
                "Your session has expired or the request is invalid. Please refresh the page and try again."
            )
            return _failure(text, 403, "nonce_failure_cache_sse")
        if message.text.strip() in ("", "0"):  # what PHP takes for empty
            text = "Data to cache (message or image) cannot be empty."
            return _failure(text, 400, "empty_data_to_cache")
        pending = self._memory.pending
        if len(pending) >= MOST_PENDING:
            pending.pop(next(iter(pending)), None)
        key = "aipkit_sse_" + "".join(secrets.choice(_LETTERS) for _ in range(32))
        pending[key] = (message.text, self._logged.at)
        before = PHP_WARNING if message.word == "PHPWARNING" else ""
        return ajax_json({"success": True, "data": {"cache_key": key}}, before=before)

    def stream(self) -> Response:
        """The second request. Its parameters are in the query; the nonce alone may be in a body."""
        found: ParsedMessage | _Accepted | _Refused = self._fetch()
        if isinstance(found, ParsedMessage):
            found = self._check(found, self._logged.params)
        headers, at = stream_headers(self._version), self._logged.at
        if isinstance(found, _Refused):
            error: dict[str, object] = {"error": found.text}
            if found.is_quota and self._version >= (2, 4, 5):
                action = {"label": "More", "url": "https://example.org/more", "variant": "primary"}
                error["quota_notice"] = {"type": "quota_notice", "message": found.text, "actions": [action]}
            return Stream(refusal_stream(error, version=self._version, at=at), headers=headers)
        message = found.message
        self._logged.message = message.text
        pieces = answer_stream(
            answer_steps(message, found.prompt),
            version=self._version,
            at=at,
            word=message.word,
            on_finish=found.add_answer,
        )
        return Stream(shaped(pieces, message.word, message.number), headers=headers)

    async def answer_at_once(self) -> Response:
        """The one request of a bot that prefers not to stream, up to 2.4.0."""
        fields = self._logged.fields
        message = read_message(fields.get("message", ""))
        if (early := reply_before_plugin(message, self._memory)) is not None:
            return early
        if self._is_rejected(fields.get("_ajax_nonce", ""), message, "NONCE"):
            return _failure("Security check failed. Please refresh the page and try again.", 403)
        for name, text in (("bot_id", "Bot ID"), ("conversation_uuid", "Conversation ID")):
            if not fields.get(name):
                return _failure(f"{text} is required.", 400)
        if message.text.strip() in ("", "0"):
            return _failure("Message or image cannot be empty.", 400)
        if read_number(fields["bot_id"]) not in BOTS:
            return critical_error()  # the intended refusal is never reached
        accepted = self._check(message, fields)
        if isinstance(accepted, _Refused):
            return _failure(accepted.text, accepted.status)
        self._logged.message = message.text
        return await _answer_in_json(accepted)

    def _fetch(self) -> ParsedMessage | _Refused:
        """The message of the first request. Its key works no second time."""
        params = self._logged.params
        nonce = params.get("_ajax_nonce") or self._logged.fields.get("_ajax_nonce", "")
        key = params.get("cache_key", "")
        text, held_at = self._memory.pending.get(key, (None, 0.0))
        message = read_message(text or "")
        if self._is_foreign():
            return _Refused("This domain is not permitted to access the chatbot.")
        if self._is_rejected(nonce, message, "NONCESTREAM"):
            return _Refused("Security check failed. Please refresh the page and try again.")
        if not key:
            return _Refused("Message cache key is missing.")
        self._memory.pending.pop(key, None)
        if text is None or self._memory.is_asked_for("KEYLOST", message):
            return _Refused("Message not found in cache.")
        if self._logged.at - held_at > _KEY_LIFE or self._memory.is_asked_for("KEYEXPIRED", message):
            return _Refused("Cached message has expired.")
        return message

    def _check(self, message: ParsedMessage, request: Mapping[str, str]) -> _Accepted | _Refused:
        """The plugin's checks, in its order. They add an accepted message to its conversation."""
        bot_id = read_number(request.get("bot_id", ""))
        conversation = re.sub(r"[^a-z0-9_-]", "", request.get("conversation_uuid", "").lower())
        session = request.get("session_id", "")
        if _has_stream_context(message.text):
            return _Refused("Unsupported stream context.")
        if bot_id not in BOTS or BOTS[bot_id].is_draft:
            return _Refused("Invalid chatbot specified.")
        if not conversation:
            return _Refused("Conversation ID is missing.")
        if not session:
            return _Refused("Session ID is missing for guest.")
        if not BOTS[bot_id].allows_guests or message.word == "GUESTS":
            return _Refused("Access disabled for guests.", status=403)
        used, quota = ("quota", str(bot_id), session), BOTS[bot_id].quota
        if message.word == "QUOTA" or (quota is not None and self._memory.counts[used] >= quota):
            noun = "quota" if self._version >= (2, 3, 94) else "token limit"
            text = f"You have reached your {noun} for this period."
            return _Refused(text, status=429, is_quota=True)
        if message.word in _REFUSALS:
            return _REFUSALS[message.word]
        if len(conversation) > 36 or len(session) > 64:  # the columns of the log
            return _Refused("Failed to log user message.", status=500)
        self._memory.counts[used] += 1
        turns = self._memory.conversations[str(bot_id), conversation, session]
        system, own = Turn("system", "Answer as the demo would."), Turn("user", message.text)
        prompt = [system, *turns[-_REMEMBERED:], own]
        turns.append(Turn("user", _stored(message.text)))
        return _Accepted(message=message, turns=turns, prompt=prompt)

    def _is_foreign(self) -> bool:
        """Whether a page of another site sent it, in versions that check it. Ports do not count."""
        origin = self._logged.headers.get("origin")
        if origin is None or self._version < (2, 3, 31):
            return False
        theirs, own = urlsplit(origin), urlsplit(self._call.base)
        return (theirs.scheme, theirs.hostname) != (own.scheme, own.hostname)

    def _is_rejected(self, nonce: str, message: ParsedMessage, word: str) -> bool:
        """Whether the nonce is wrong, or the scripted word says so."""
        is_good = self._nonces.is_good(nonce, NONCE, at=self._logged.at)
        return not is_good or self._memory.is_asked_for(word, message)


_REFUSALS = {
    "BANIP": _Refused("Access from your IP address has been blocked.", status=403),
    "BANWORD": _Refused("Sorry, your message could not be sent as it contains prohibited words."),
    "MODERATION": _Refused("Your message was flagged by the moderation system and could not be sent."),
}


async def _answer_in_json(accepted: _Accepted) -> Response:
    message = accepted.message
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
        return broken_json(found, Hangup(fail.how))
    if fail.how == "error":
        return _failure(f"OpenAI API Error (HTTP {fail.status}): {fail.message}", fail.status)
    return _failure(error_text(fail), 503)


def _failure(message: str, status: int, code: str = "") -> Response:
    data = {"message": message, "code": code} if code else {"message": message}
    return ajax_json({"success": False, "data": data}, status)


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
