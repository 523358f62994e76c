"""The 2.x protocol (plugin versions from 2.3 on): find boxes, build the two requests, read their replies.

Three things shape this module (docs/protocols.md A1 to A7):

* The box's own element carries all of a bot's configuration as JSON.
* A message is handed in first. Its answer is fetched as a stream by a second request.
* A refusal of the second request has the status 200, and a site may translate its words. So a refusal is
  recognised by its code, then by its place before or after `message_start`, and only then by its words.
"""

from __future__ import annotations

import json
import re

from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    PageError,
    RateLimitedError,
    RefusalReason,
    RefusedError,
    TokenRejectedError,
)
from chatgptt._models import ChatBox, Question, ReplyEnding, ReplyHead, Request, Turn
from chatgptt.protocols.events import EventReader
from chatgptt.protocols.interface import Message, Step
from chatgptt.protocols.page import MAX_NAME_CHARACTERS, Page, has_class, maybe_nonce
from chatgptt.protocols.prompt import fold
from chatgptt.protocols.reply_errors import (
    MAX_FAILURE_BYTES,
    empty_answer,
    interrupted,
    maybe_held_back,
    maybe_retry_after,
    maybe_walled,
    nonce_rejected,
    of_reply,
    provider_failed,
    provider_sent_page,
    read_failure,
    refused,
    unreadable_frames,
    words_of,
)
from chatgptt.protocols.sse import Event
from chatgptt.protocols.text import (
    find_objects,
    is_html,
    loads,
    loads_frame,
    unescape,
    without_surrogates,
    without_tags,
)
from chatgptt.protocols.urls import is_same_site, origin, site_of, without_credentials

VERSIONS = "2.x"
KEEPS_HISTORY = True
PARAMS = ""

_BOXES = "div:is(.aipkit_chat_container, .aipkit_popup_wrapper)"


def find_boxes(page: Page, endpoint: str = "") -> list[ChatBox]:
    """Every bot of a page, in document order; a bot that is shown twice is one box (A1).

    Not those that name another site's endpoint, unless the caller has named an `endpoint`. A container
    without its configuration still names its bot, which is enough for the nonce action (A6).
    """
    boxes: dict[int, ChatBox] = {}
    for node in page.select(_BOXES):
        attributes = node.attributes
        if "data-config" not in attributes and "data-bot-id" not in attributes:
            continue  # the inner half of a popup
        config = _read_config(attributes.get("data-config") or "")
        bot_id = _number(config.get("botId")) or _number(attributes.get("data-bot-id"))
        named = config.get("ajaxUrl")
        url = page.absolute(_text(named))
        ajax_url = endpoint or page.ajax_url(named)
        if bot_id is None or not ajax_url:
            continue
        is_popup = has_class(attributes, "aipkit_popup_wrapper")
        box = ChatBox(
            protocol="aipkit",
            kind="popup" if is_popup else "inline",
            bot_id=bot_id,
            post_id=_number(config.get("postId")) or None,
            ajax_url=ajax_url,
            ajax_guesses=() if endpoint else page.ajax_guesses(named),
            nonce=maybe_nonce(config.get("nonce")),
            found_by="html",
            name=unescape(_text(config.get("headerName"))[: 10 * MAX_NAME_CHARACTERS])[:MAX_NAME_CHARACTERS],
            is_streaming=config.get("streamEnabled") is not False,
            consent=_read_consent(config),
            origin=origin(url) if is_same_site(url, page.url) else "",
            image_triggers=_read_triggers(config),
            plugin_version=page.plugin_version,
        )
        known = boxes.get(bot_id)
        if known is None or (known.nonce is None and box.nonce is not None):
            boxes[bot_id] = box
    return list(boxes.values())


def foreign_sites(page: Page) -> list[str]:
    """See Protocol."""
    configs = (_read_config(node.attributes.get("data-config") or "") for node in page.select(_BOXES))
    named = (_text(config.get("ajaxUrl")) for config in configs)
    sites = [site_of(page.absolute(url)) for url in named if page.is_foreign(url)]
    return [*sites, *_embedded_sites(page)]


def find_page_nonce(page: Page) -> None:
    """See Protocol. 2.x keeps no nonce in scripts."""


def find_script_nonce(script: str) -> None:
    """See Protocol."""


_EMBED = "embed-bootstrap"
_EMBED_SCRIPT = re.compile(
    r"[\"'`]((?:https?:)?(?:\\?/){2}[^\"'`\s]{1,500}?embed-bootstrap[^\"'`\s]{0,100}\.js)"
)
_EMBED_SITE = re.compile(r"wpUrl[\"']?\]?\s{0,9}[:=]\s{0,9}[\"'`]([^\"'`\s]{1,500})[\"'`]")


def _embedded_sites(page: Page) -> list[str]:
    """Other sites whose bot the page embeds by the plugin's snippet: scripts draw their box there (A1)."""
    scripts = [node.attributes for node in page.select(f'script[src*="{_EMBED}"]')]
    named = [(one.get("data-wp-url") or "", one.get("src") or "") for one in scripts]
    for script in page.scripts:
        start = script.find(_EMBED)
        if start < 0:
            continue
        near = script[max(0, start - 3000) : start + 3000]
        source, site = _EMBED_SCRIPT.search(near), _EMBED_SITE.search(near)
        named.append((site[1] if site else "", source[1] if source else ""))
    found = []
    for site_url, source_url in named:
        url = page.absolute((site_url or source_url.partition("/wp-content/")[0]).replace("\\", ""))
        if page.is_foreign(url):
            found.append(without_credentials(url.partition("?")[0]).rstrip("/"))
    return found


_MAX_TRIGGERS_CHARACTERS = 10_000


def _read_config(text: str) -> dict[str, object]:
    value = loads(text)
    if value is None and "&quot;" in text:
        value = loads(unescape(text))  # a filter of the site escaped it once more
    return value if isinstance(value, dict) else {}


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 <= value < 10**18 else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read_consent(config: dict[str, object]) -> str:
    if config.get("requireConsentCompliance") in (None, False, "", 0, "0", "false"):
        return ""
    texts = config.get("text")
    message = _text(texts.get("consentMessage")) if isinstance(texts, dict) else ""
    return words_of(without_tags(message)) or "the site asks for consent before the first message"


def _read_triggers(config: dict[str, object]) -> tuple[str, ...]:
    """Image commands begin with a slash; other words in the list are ordinary text (A7)."""
    words = _text(config.get("imageTriggers"))[:_MAX_TRIGGERS_CHARACTERS].split(",")
    return tuple(word.strip().lower() for word in words if word.strip().startswith("/"))


def check_text(box: ChatBox, text: str) -> None:
    """Refuses what a site would take for something other than chat (A7).

    Raises:
        RefusedError: `consent_required`, where the visitor must agree to something first.
        ChatGpttError: for an image command, or JSON that the site would route elsewhere.
    """
    if box.consent:
        raise RefusedError(
            f"the site asks its visitors for consent first: {box.consent}",
            reason="consent_required",
            hint="agree in a browser if you want to; this client agrees to nothing on your behalf",
        )
    words = text.strip(_TRIMMED).lower()
    for trigger in box.image_triggers:
        if words == trigger or words.startswith(f"{trigger} "):
            raise RefusedError(
                f"the message begins with the site's image command {trigger!r}; only text can be asked for",
                hint="begin the message with another word",
            )
    if _has_stream_context(text):
        raise RefusedError(
            "the message is a JSON object with the key stream_context, which the site takes for a command",
            hint="put a word in front of it",
        )


def _has_stream_context(text: str) -> bool:
    """Whether the site, which trims and takes numbers of any length, reads it as an object with that key."""
    try:
        value = json.loads(text.strip(_TRIMMED), parse_int=float)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "stream_context" in value


_TRIMMED = "\0" + "".join(character for character in map(chr, range(0x3001)) if character.isspace())
"""What is cut off the ends of a message, here (see `build_upload`) and on the site."""


# The requests


def build_question(turns: tuple[Turn, ...], *, conversation_id: str, thread_id: str) -> Question:
    """The turns as a single prompt; the site keeps what follows under the conversation's id (A3)."""
    return Question(text=fold(turns), conversation_id=conversation_id)


def first_step(message: Message) -> Step:
    """Hands the text in. The next step fetches the answer to it."""
    box, question, now_ms = message.box, message.question, message.now_ms
    check_text(box, question.text)
    message_id = f"aipkit-client-msg-{box.bot_id}-{now_ms}-{message.random_word}"

    def fetch_answer(head: ReplyHead, body: str) -> Step:
        return Step(
            request=build_stream_request(
                box,
                message.nonce,
                cache_key=read_cache_key(head, body),
                session_id=message.visitor.session_id,
                conversation_id=question.conversation_id,
                now_ms=now_ms,
            )
        )

    upload = build_upload(box, message.nonce, question.text, message_id=message_id)
    return Step(request=upload, then=fetch_answer)


def may_be_rejection(reason: RefusalReason, version: str) -> bool:
    """See Protocol. A rejection has a code, or comes before the stream's first event (A5)."""
    return False


def build_upload(box: ChatBox, nonce: str, text: str, *, message_id: str) -> Request:
    """Step 1 of a message: hands the text in (A3).

    `message_id` is made anew: `aipkit-client-msg-{bot}-{epoch ms}-{5 x [a-z0-9]}`.
    """
    fields = (
        ("action", "aipkit_cache_sse_message"),
        ("message", text.strip()),
        ("_ajax_nonce", nonce),
        ("bot_id", str(box.bot_id)),
        ("user_client_message_id", message_id),
    )
    return Request(
        method="POST", origin=box.origin, url=box.ajax_url, accept="application/json", fields=fields
    )


def build_stream_request(
    box: ChatBox, nonce: str, *, cache_key: str, session_id: str, conversation_id: str, now_ms: int
) -> Request:
    """Step 2: fetches the answer to what step 1 handed in; the key is good once and for 60 s (A3).

    `session_id` is one UUID per site for ever: the visitor's quota is kept by it. The site keeps the history
    under `conversation_id`, another UUID. `now_ms` is Unix time, against caches.
    """
    params = [
        ("action", "aipkit_frontend_chat_stream"),
        ("cache_key", cache_key),
        ("bot_id", str(box.bot_id)),
        ("session_id", session_id),
        ("conversation_uuid", conversation_id),
    ]
    if box.post_id:
        params.append(("post_id", str(box.post_id)))
    params += [("_ts", str(now_ms)), ("_ajax_nonce", nonce)]
    return Request(method="GET", url=box.ajax_url, accept="text/event-stream", params=tuple(params))


def build_nonce_request(box: ChatBox) -> Request:
    """Asks the site for a nonce past all page caches; known to versions from 2.3.41 on (A6)."""
    fields = (("action", "aipkit_get_frontend_chat_nonce"), ("bot_id", str(box.bot_id)))
    return Request(
        method="POST", origin=box.origin, url=box.ajax_url, accept="application/json", fields=fields
    )


def maybe_fresh_nonce(head: ReplyHead, body: str) -> str | None:
    """The nonce in the reply to `build_nonce_request`; None where there is none."""
    if head.status != 200:
        return None
    for reply in find_objects(body):
        data = reply.get("data")
        if reply.get("success") is True and isinstance(data, dict):
            return maybe_nonce(data.get("nonce"))
    return None


# The replies


_MAX_KEY_CHARACTERS = 1000
"""It goes into a query; real ones are some 50 characters long."""


def read_cache_key(head: ReplyHead, body: str) -> str:
    """The key under which step 1 stored the message.

    Raises:
        ChatGpttError: what the reply amounts to instead (A5).
    """
    walled = maybe_walled(head, body, _reason)
    if walled is not None:
        raise walled
    for reply in find_objects(body):
        data = _read_data(reply)
        key = data.get("cache_key")
        is_key = isinstance(key, str) and 0 < len(key) <= _MAX_KEY_CHARACTERS
        if head.status == 200 and reply.get("success") is True and is_key:
            return str(key)
        words = words_of(data.get("message") or reply.get("message"))
        code = _text(data.get("code") or reply.get("code"))
        is_message_alone = not (code or "success" in reply or data)  # no 2.x writes that (C4)
        if reply.get("success") is False or (
            words and not (is_message_alone and not _NONCE_WORDS.search(words))
        ):
            raise _upload_error(head, words, code, body)
    if head.status == 200 and not body.strip():
        raise empty_answer(head)
    raise read_failure(head, body, is_endpoint=True)


def _read_data(reply: dict[str, object]) -> dict[str, object]:
    """The `data` of a reply; WordPress sends a refusal's as text or, of a WP_Error, as a list, too."""
    data = reply.get("data")
    if reply.get("success") is False:
        if isinstance(data, str):
            return {"message": data}
        if isinstance(data, list) and data:
            data = data[0]
    return data if isinstance(data, dict) else {}


def _upload_error(head: ReplyHead, words: str, code: str, body: str) -> ChatGpttError:
    if code in ("nonce_failure_cache_sse", "nonce_failure"):
        return nonce_rejected(head, words)
    failure = read_failure(head, body, is_endpoint=True)
    if isinstance(failure, ChallengeError):
        return failure
    if head.status == 403 and _NONCE_WORDS.search(words):
        return nonce_rejected(head, words, otherwise=refused(head, words, _reason(words)))
    if isinstance(failure, RateLimitedError):
        reason = _reason(words)
        if head.status == 429 and reason == "quota" and maybe_retry_after(head) is None:
            return refused(head, words, reason)
        return failure
    if _PROVIDER_WORDS.search(words):
        return provider_failed(head, words)
    if head.status >= 500 or code in _SITE_TROUBLE:
        message = f"the site could not take the message: {words!r}"
        return of_reply(head, PageError(message, hint="the site itself is failing; tell its owner"))
    if code in ("cors_denied", "embed_not_available"):
        hint = "the site answers only on its own pages; give the page's address as the site writes it"
        return of_reply(head, RefusedError(words or code, hint=hint))
    return refused(head, words, _reason(words))


_SITE_TROUBLE = frozenset({"json_encode_failed", "sse_cache_db_insert_failed", "cache_component_missing"})

_MAX_BODY_BYTES = 2**20
"""A reply that is no stream is kept up to here, to be read as JSON or as an error page."""

_NONCE_WORDS = re.compile(r"security check failed|session has expired|nonce", re.I)
_KEY_WORDS = re.compile(r"not found in cache|cached message has expired|cache key is missing", re.I)
_SETUP_WORDS = re.compile(r"API key (?:is )?missing|api key (?:is )?not (?:set|configured)", re.I)
_BROKEN_WORDS = re.compile(r"^connection error\b", re.I)
_PROVIDER_WORDS = re.compile(r"\bAPI Error\b|^connection error", re.I)

_REASONS: tuple[tuple[RefusalReason, re.Pattern[str]], ...] = (
    ("guests_disabled", re.compile(r"access disabled for guests", re.I)),
    ("banned_ip", re.compile(r"\bIP address\b.*\b(?:blocked|banned)|\b(?:blocked|banned)\b.*\bIP\b", re.I)),
    ("banned_words", re.compile(r"prohibited word", re.I)),
    ("moderation", re.compile(r"flagged|moderation", re.I)),
    ("other", re.compile(r"\bcharacters?\b|\blength\b|\btoo (?:long|large)\b|\brate[ -]limit", re.I)),
    (
        "quota",
        re.compile(
            r"\bquota\b|\b(?:hourly|daily|weekly|monthly|token|usage|messages?) limit\b|"
            r"\b(?:reached|exceeded|used up|hit) (?:your|the|its) (?:\w+ ){0,3}limit\b|"
            r"\blimit\b.{0,40}\breached\b",
            re.I,
        ),
    ),
)


def _reason(words: str) -> RefusalReason:
    return next((reason for reason, pattern in _REASONS if pattern.search(words)), "other")


class ReplyReader:
    """Reads the answer's stream as it arrives. See AnswerReader."""

    def __init__(self, head: ReplyHead) -> None:
        self.head = head
        self.is_stream = True
        self._events = EventReader(head, self._read_event)
        self._body = bytearray()
        self._message_id = ""
        self._has_start = False
        self._has_begun = False  # the message that started last has text
        self._has_done = False
        self._has_events = False
        self._has_form = False

    @property
    def text(self) -> str:
        """See AnswerReader."""
        return self._events.text

    @property
    def is_finished(self) -> bool:
        """See AnswerReader."""
        return self._events.is_finished

    def receive(self, data: bytes) -> list[str]:
        """See AnswerReader."""
        if self._events.is_finished:
            return []
        if not self._has_events:
            self._body += data[: _MAX_BODY_BYTES - len(self._body)]
        if self.head.status != 200:
            self._events.is_finished = len(self._body) >= MAX_FAILURE_BYTES
            return []
        return self._events.receive(data)

    def end(self) -> tuple[list[str], ReplyEnding]:
        """See AnswerReader."""
        pieces: list[str] = []
        if self.head.status == 200 and not self.is_finished:
            pieces = self._events.flush()
            if not self._has_events:
                pieces = self._read_plain_reply()
        pieces += self._events.end(self._maybe_broken)
        unreadable = self._events.unreadable_frames
        return pieces, ReplyEnding(message_id=self._message_id, unreadable_frames=unreadable)

    def _read_event(self, event: Event) -> None:
        self._has_events = True
        data = loads_frame(event.data)
        frame = data if isinstance(data, dict) else {}
        match event.name:
            case "" | "message":
                delta = frame.get("delta")
                held_back = None if delta else maybe_held_back(self.head, frame, _reason)
                if held_back is not None:
                    self._events.fail(held_back)
                elif isinstance(delta, str):
                    self._say(delta)
                elif data is None:
                    self._events.unreadable_frames += 1
            case "message_start":
                if self._events.has_text:
                    self._say("\n\n")  # a trigger's greeting is a message of its own (A4)
                self._has_start, self._has_begun = True, False
                self._message_id = without_surrogates(_text(frame.get("message_id"))[:200])
            case "warning":
                self._say(_text(frame.get("error")))
            case "error":
                self._events.fail(self._read_error(frame, event.data))
            case "display_form_event":
                self._has_form = True
            case "done":
                self._has_done = self._events.is_finished = True
            case _:
                pass  # status, citations, ids of the provider and whatever later versions add (A4)

    def _say(self, text: str) -> None:
        self._has_begun = self._events.add(text) or self._has_begun

    def _read_error(self, frame: dict[str, object], data: str) -> ChatGpttError:
        words = words_of(frame.get("error")) or words_of(data)
        head = self.head
        held_back = maybe_held_back(head, frame, _reason)
        if held_back is not None:
            return held_back
        if self._has_begun and _BROKEN_WORDS.search(words):
            return interrupted(head, words)
        if self._has_begun or self._has_start:
            return provider_failed(head, words)
        if frame.get("quota_notice"):
            return refused(head, words, "quota")
        if _KEY_WORDS.search(words):
            message = f"the site lost the message between the two requests: {words!r}"
            hint = "try again; if it stays, the site's database or cache is at fault"
            return of_reply(head, TokenRejectedError(message, hint=hint, is_key_lost=True))
        if _NONCE_WORDS.search(words):
            return nonce_rejected(head, words, otherwise=refused(head, words, _reason(words)))
        if _SETUP_WORDS.search(words):
            return provider_failed(head, words)
        return refused(head, words, _reason(words))

    def _maybe_broken(self) -> ChatGpttError | None:
        """The error that the end of the stream amounts to; None for a complete answer."""
        if self._has_done and self.text.strip():
            return None
        if not self._has_events:
            return self._read_body()
        if self._has_form:
            return refused(self.head, "the site wants a form to be filled in before it answers", "other")
        if not self._has_done and (self._has_start or self._events.has_text):
            return interrupted(self.head, "the stream ended without its end mark")
        if self._events.unreadable_frames:
            return unreadable_frames(self.head, self._events.unreadable_frames)
        return empty_answer(self.head)

    def _read_plain_reply(self) -> list[str]:
        """The answer of a reply that is JSON after all, as up to 2.4.0 one could ask for (A4)."""
        for reply in find_objects(self._body.decode("utf-8", "replace")):
            data = _read_data(reply)
            text = data.get("reply")
            if reply.get("success") is True and isinstance(text, str):
                self.is_stream, self._has_events, self._has_done = False, True, True
                self._message_id = _text(data.get("message_id"))[:200]
                self._say(text)
                return [self.text] if self.text else []
        return []

    def _read_body(self) -> ChatGpttError:
        """What a reply without any event amounts to: JSON, a page of an error, or nothing."""
        body = self._body.decode("utf-8", "replace")
        if self.head.status == 200 and not re.sub(r"(?m)^:.*$", "", body).strip():
            return empty_answer(self.head)
        walled = maybe_walled(self.head, body, _reason)
        if walled is not None:
            return walled
        for reply in find_objects(body):
            data = _read_data(reply)
            words = words_of(data.get("message"))
            if reply.get("success") is False and words:
                return _upload_error(self.head, words, _text(data.get("code")), body)
        if (
            self.head.status == 200
            and is_html(body)
            and self.head.headers.get("content-type", "").startswith("text/event-stream")
        ):
            return provider_sent_page(self.head, body)
        return read_failure(self.head, body, is_endpoint=True)
