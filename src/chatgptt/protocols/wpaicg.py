"""The 1.x protocol (plugin versions up to and including 2.2): find boxes, build the request, read the reply.

Three things shape this module (docs/protocols.md W1 to W6):

* Attributes are taken from the box's own element. Other plugins print `data-nonce` and
  `data-post-id`, too, and some versions nest the boxes in each other.
* Page and server disagree about streaming, so the bytes of the reply decide whether it is a stream.
* Status 200 proves nothing. A refusal may be followed by an answer, which is not for us. The words of a
  failed AI service are sent one by one as if they were an answer, twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from chatgptt._errors import AnswerError, ChatGpttError, RefusalReason
from chatgptt._models import BoxKind, ChatBox, Question, ReplyEnding, ReplyHead, Request, Turn
from chatgptt.protocols.events import EventReader
from chatgptt.protocols.interface import Message, Step
from chatgptt.protocols.page import (
    MAX_NAME_CHARACTERS,
    Page,
    has_class,
    maybe_nonce,
    read_assigned_object,
)
from chatgptt.protocols.prompt import fold
from chatgptt.protocols.reply_errors import (
    MAX_FAILURE_BYTES,
    empty_answer,
    interrupted,
    maybe_held_back,
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
from chatgptt.protocols.sse import BEGINNING, Event
from chatgptt.protocols.text import find_objects, is_html, lines_of, loads_frame, without_tags
from chatgptt.protocols.urls import site_of

VERSIONS = "1.x"
KEEPS_HISTORY = False

PARAMS = "wpaicgParams"
"""The script object on every page of the site; its `search_nonce` is the chat's own nonce (W7)."""

_BOXES = "div:is(.wpaicg-chat-shortcode, .wpaicg-chatbox)"
_OWN_ATTRIBUTES = frozenset({"data-nonce", "data-bot-id", "data-post-id", "data-type"})


def find_boxes(page: Page, endpoint: str = "") -> list[ChatBox]:
    """Every 1.x box of a page, in document order, with the attributes of its own element (W1).

    None where the page names another site's endpoint, unless the caller has named an `endpoint`.
    """
    boxes: list[ChatBox] = []
    named = page.find_script_object(PARAMS).get("ajax_url")
    ajax_url = endpoint or page.ajax_url(named)
    if not ajax_url:
        return boxes
    guesses = () if endpoint else page.ajax_guesses(named)
    for node in page.select(_BOXES):
        attributes = node.attributes
        if _OWN_ATTRIBUTES.isdisjoint(attributes):
            continue
        kind: BoxKind = "shortcode" if has_class(attributes, "wpaicg-chat-shortcode") else "widget"
        if attributes.get("data-type") in ("shortcode", "widget"):
            kind = "shortcode" if attributes["data-type"] == "shortcode" else "widget"
        boxes.append(
            ChatBox(
                protocol="wpaicg",
                kind=kind,
                bot_id=_digits(attributes.get("data-bot-id")) or 0,
                post_id=_digits(attributes.get("data-post-id")),
                ajax_url=ajax_url,
                ajax_guesses=guesses,
                nonce=maybe_nonce(attributes.get("data-nonce")),
                found_by="html",
                name=(attributes.get("data-ai-name") or "")[:MAX_NAME_CHARACTERS],
                page_url=attributes.get("data-url") or "",
                is_streaming=attributes.get("data-openai_stream_nav") == "1",
                memory_limit=_digits(attributes.get("data-memory-limit")) or 100,
                plugin_version=page.plugin_version,
            )
        )
    return boxes


def foreign_sites(page: Page) -> list[str]:
    """See Protocol."""
    named = page.find_script_object(PARAMS).get("ajax_url", "")
    return [site_of(page.absolute(named))] if page.is_foreign(named) else []


def find_script_nonce(script: str) -> str | None:
    """See Protocol."""
    return maybe_nonce(read_assigned_object(script, PARAMS).get("search_nonce"))


def find_page_nonce(page: Page) -> str | None:
    """The chat's nonce from `wpaicgParams.search_nonce`, a script on every page of a 1.x site (W7)."""
    return maybe_nonce(page.find_script_object(PARAMS).get("search_nonce"))


def build_nonce_request(box: ChatBox) -> None:
    """See Protocol. 1.x hands out no nonces."""


def maybe_fresh_nonce(head: ReplyHead, body: str) -> None:
    """See Protocol."""


_NUMBER = re.compile(r"\d{1,18}")


def _digits(text: str | None) -> int | None:
    """The number in an attribute; 1.9.16 and later print `<123` in a widget's post id (W1)."""
    found = _NUMBER.search(text or "")
    return int(found[0]) if found else None


# The request


def build_question(turns: tuple[Turn, ...], *, conversation_id: str, thread_id: str) -> Question:
    """The last message with the earlier ones as its history (W3)."""
    if turns[-1].role != "user":
        return Question(text=fold(turns), conversation_id=conversation_id)
    system = tuple(turn for turn in turns if turn.role == "system")
    history = tuple(turn for turn in turns[:-1] if turn.role != "system" and turn.content.strip())
    return Question(text=fold((*system, turns[-1])), history=history, thread_id=thread_id)


def first_step(message: Message) -> Step:
    """See Protocol."""
    return Step(
        request=build_message(
            message.box,
            message.nonce,
            message.question,
            client_id=message.visitor.client_id,
            chat_id=message.chat_id,
        )
    )


def build_message(box: ChatBox, nonce: str, question: Question, *, client_id: str, chat_id: int) -> Request:
    """The one request of a message (W2).

    `client_id` is 10 characters of `[A-Za-z0-9]`, one per site for ever: the visitor's quota is kept by it.
    `chat_id` is 1 to 100000, made anew for each message.
    """
    fields = [
        ("_wpnonce", nonce),
        ("post_id", "" if box.post_id is None else str(box.post_id)),
        ("url", box.page_url),
        ("action", "wpaicg_chatbox_message" if box.kind == "widget" else "wpaicg_chat_shortcode_message"),
        ("message", _escape_message(question.text, box.plugin_version)),
        ("bot_id", str(box.bot_id)),
        ("chatbot_identity", f"custom_bot_{box.bot_id}" if box.bot_id else box.kind),
        ("wpaicg_chat_history", _build_history(question.history, box.memory_limit)),
        ("wpaicg_chat_client_id", client_id),
    ]
    if question.thread_id:
        fields.append(("thread_id", question.thread_id))
    if box.is_streaming:
        fields.append(("chat_id", str(chat_id)))
    return Request(method="POST", url=box.ajax_url, accept="application/json", fields=tuple(fields))


def may_be_rejection(reason: RefusalReason, version: str) -> bool:
    """Whether a refusal for `reason` may be a rejected nonce in a language that we don't read.

    Up to 1.8.90 it comes as JSON like any refusal, in words that the site may have translated (W7).
    """
    return reason == "other" and (not version or _numbers(version) < (1, 8, 91))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d{1,9}", version))


def _escape_message(text: str, version: str) -> str:
    """Raw from 1.8.96 on; older versions strip tags and `%xx`, which entities survive (W2)."""
    if not version or _numbers(version) >= (1, 8, 96):
        return text
    return re.sub(r"%(?=[0-9A-Fa-f]{2})", "&#37;", text.replace("<", "&lt;"))


_MAX_HISTORY_CHARACTERS = 200_000
"""More than any of the models takes in, and less than servers refuse to be posted."""


def _build_history(turns: Iterable[Turn], limit: int) -> str:
    """The history field: JSON that survives the site's sanitising, which drops it all at one quote (W3).

    The latest entries win where there are more than the site wants, or more than `_MAX_HISTORY_CHARACTERS`.
    """
    labels = {
        "user": "Human: ",
        "assistant": "AI: ",
        "tool": "Human: Tool: ",
        "function": "Human: Function: ",
    }
    entries = [
        {"id": "", "text": labels[turn.role] + _escape_history(turn.content)}
        for turn in turns
        if turn.role in labels
    ]
    entries = entries[-limit:]
    size = sum(len(entry["text"]) for entry in entries)
    while entries and size > _MAX_HISTORY_CHARACTERS:
        size -= len(entries.pop(0)["text"])
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":"))


def _escape_history(text: str) -> str:
    text = re.sub(r"[\x00-\x20\x7f\u2028\u2029]+", " ", text)
    text = text.replace('"', "&quot;").replace("\\", "&#92;").replace("<", "&lt;").replace(">", "&gt;")
    text = re.sub(r"%(?=[0-9A-Fa-f]{2})", "&#37;", text)
    return text.replace("AI: ", "AI&#58; ").strip()


# The reply


class ReplyReader:
    """Reads one reply as it arrives: JSON or an event stream, whichever it turns out to be.

    See AnswerReader.
    """

    def __init__(self, head: ReplyHead) -> None:
        self.head = head
        self.is_finished = False
        self.is_stream = False
        self._body = bytearray()
        self._limit_bytes = _MAX_ANSWER_BYTES if head.status == 200 else MAX_FAILURE_BYTES
        self._stream: _StreamReader | None = None
        self._answer = ""

    @property
    def text(self) -> str:
        """See AnswerReader."""
        return self._stream.events.text if self._stream else self._answer

    def receive(self, data: bytes) -> list[str]:
        """See AnswerReader."""
        if self.is_finished:
            return []
        if self._stream is None:
            may_begin = self.head.status == 200 and len(self._body) < _BEGINNING_BYTES
            self._body += data
            self.is_finished = len(self._body) >= self._limit_bytes
            if not (may_begin and _begins_stream(self._body)):
                return []
            self._stream, data = _StreamReader(self.head), bytes(self._body)
            self.is_stream = True
            self._body.clear()
        pieces = self._stream.events.receive(data)
        self.is_finished = self._stream.events.is_finished
        return pieces

    def end(self) -> tuple[list[str], ReplyEnding]:
        """See AnswerReader."""
        self.is_finished = True
        if self._stream is not None:
            return self._stream.end()
        body = self._body.decode("utf-8", "replace")
        if self.head.status == 200 and _has_field(self._body) and not is_html(body):
            self._stream, self.is_stream = _StreamReader(self.head), True  # behind much stray output
            pieces = self._stream.events.receive(bytes(self._body))
            rest, ending = self._stream.end()
            return pieces + rest, ending
        self._answer, thread_id = _read_body(self.head, body)
        return [self._answer], ReplyEnding(thread_id=thread_id)


def _has_field(body: bytes | bytearray) -> bool:
    """Whether a line begins as one of an event does; no other thread runs while a pattern is matched."""
    for field in (b"data:", b"event:"):
        start = body.find(field)
        while start >= 0:
            if start == 0 or body[start - 1] in b"\r\n":
                return True
            start = body.find(field, start + 1)
    return False


_MAX_ANSWER_BYTES = 8 * 2**20
"""Of a reply that is no stream; an answer is some kilobytes."""

_BEGINNING_BYTES = 4096
"""Where a reply has to show that it is a stream to be read as one at once; else at its end."""


def _begins_stream(body: bytearray) -> bool:
    """Whether a reply is an event stream: by what it holds, whatever page or headers say (W5).

    A warning of PHP or a provider's raw error may precede it. A whole web page is no stream.
    """
    start = bytes(body[:_BEGINNING_BYTES])
    if start.lstrip(BEGINNING).startswith((b"data:", b"event:", b"id:", b"retry:", b":")):
        return True
    return _has_field(start) and not is_html(start.decode("utf-8", "replace"))


def _read_body(head: ReplyHead, body: str) -> tuple[str, str]:
    """The answer of a reply that is no stream and an assistant's thread, "" for none (W4)."""
    walled = maybe_walled(head, body, _find_reason)
    if walled is not None:
        raise walled
    if (
        head.status == 403
        and not is_html(body)
        and not body.lstrip().startswith("{")
        and body.strip() not in ("", "-1")
        and _is_wordpress(head, body)
    ):
        # Security plugins end requests of visitors in the same way, with a sentence of their own.
        otherwise = None if _EXPIRED in body else read_failure(head, body, is_endpoint=True)
        raise nonce_rejected(head, words_of(without_tags(body)), otherwise=otherwise)
    if head.status == 200:
        for found in () if is_html(body) else find_objects(body):
            if found.keys() & _KNOWN_KEYS:
                thread_id = found.get("thread_id")
                answer = _read_object(head, found)
                return answer, thread_id[:200] if isinstance(thread_id, str) else ""
        if not body.strip("\ufeff \t\r\n"):
            raise empty_answer(head)
        if _EXPIRED in body[-2000:] and not is_html(body):
            raise nonce_rejected(head, _EXPIRED)
        words = words_of(without_tags(body)) if len(body) < _MAX_SENTENCE_CHARACTERS else ""
        if _SECURITY_CHECK.match(words):
            raise nonce_rejected(head, words, otherwise=refused(head, words, "other"))
        if head.headers.get("content-type", "").startswith("text/event-stream") and "<" in body:
            raise provider_sent_page(head, body)
    raise read_failure(head, body, is_endpoint=True)


_EXPIRED = "The link you followed has expired."
"""WordPress's refusal (W7). Behind PHP's own output its status 403 cannot be set any more."""

_MAX_SENTENCE_CHARACTERS = 2000

_SECURITY_CHECK = re.compile(r"\W{0,9}security check\b", re.I)
"""How 1.6 and 1.7 refuse a nonce, with 200 (W7); a security plugin may say the same of something else."""

_KNOWN_KEYS = frozenset(
    {"status", "msg", "data", "error", "tokenLimitReached", "success", "ipBanned", "messageFlagged"}
)


def _is_wordpress(head: ReplyHead, body: str) -> bool:
    """A rejected nonce is a short text that WordPress marks as its own; a firewall's 403 is neither (W7)."""
    return len(body) < _MAX_SENTENCE_CHARACTERS and (
        "1984" in head.headers.get("expires", "")
        or "noindex" in head.headers.get("x-robots-tag", "")
        or "must-revalidate, max-age=0" in head.headers.get("cache-control", "")
    )


def _read_object(head: ReplyHead, reply: dict[str, object]) -> str:
    refusal = _maybe_refusal(head, reply)
    if refusal is not None:
        raise refusal
    status = reply.get("status")
    data = reply.get("data")
    message = words_of(reply.get("msg"))
    if status == "success":
        text = _answer_text(data)
        if not text.strip():
            raise empty_answer(head)
        google = re.match(r"Response from (?:Google|Qdrant): (.*)", text, re.S)
        if google:
            raise provider_failed(head, words_of(google[1]))
        if text.strip() == _GOOGLE_BLOCKED:
            raise refused(head, text.strip(), "moderation")
        return text
    if "error" in reply:
        raise provider_failed(head, _error_words(reply["error"]))
    if status == "error" or reply.get("success") is False:
        has_prompt = status == "error" and bool({"greeting_message", "data"} & reply.keys())
        raise _read_error(head, message or words_of(data), has_prompt=has_prompt)
    message = "the reply is JSON, but in no form that the plugin is known to use"
    raise of_reply(head, AnswerError(message, hint="run again with CHATGPTT_LOG=debug"))


_GOOGLE_BLOCKED = (
    "Sorry, but it is not allowed to generate this content due to safety concerns. Please try again."
)


def _answer_text(data: object) -> str:
    """`data` is the answer's text, or an object where the AI service sent a tool call instead (W4)."""
    if isinstance(data, dict):
        data = data.get("content")
    return data if isinstance(data, str) else ""


def _error_words(error: object) -> str:
    return words_of(error.get("message") if isinstance(error, dict) else error)


_FLAGS: tuple[tuple[str, RefusalReason], ...] = (
    ("tokenLimitReached", "quota"),
    ("ipBanned", "banned_ip"),
    ("messageFlagged", "banned_words"),
    ("modflag", "moderation"),
)


def _maybe_refusal(head: ReplyHead, reply: dict[str, object]) -> ChatGpttError | None:
    """The refusal that an object's flag announces, in JSON and in streams alike (W6)."""
    words = words_of(reply.get("msg"))
    for flag, reason in _FLAGS:
        if reply.get(flag):
            return refused(head, words or f"the site refused ({flag})", reason)
    return provider_failed(head, words) if reply.get("pineconeError") else None


# Texts of the plugin that carry no flag (W6). The site may translate them; what is then unknown and comes
# without a prompt is a refusal of the site, since a failed AI service is reported together with the prompt.
_ERROR_TEXTS: tuple[tuple[re.Pattern[str], RefusalReason | None], ...] = (
    (re.compile(r"not allowed to access this feature", re.I), "banned_ip"),
    (re.compile(r"prohibited words", re.I), "banned_words"),
    (re.compile(r"\bflagged\b|moderation", re.I), "moderation"),
    (re.compile(r"token limit|quota", re.I), "quota"),
    (re.compile(r"nothing was inputted", re.I), "other"),
    (
        re.compile(
            r"initialize the AI instance|Incorrect API key|Pinecone|Qdrant|cURL error|Something went wrong|"
            r"Failed to (?:create thread|add message|get run)|^Run (?:failed|did not complete)|"
            r"No (?:assistant message|content) found|An unknown error occurred",
            re.I,
        ),
        None,
    ),
)


def _find_reason(words: str) -> RefusalReason:
    return next((reason for pattern, reason in _ERROR_TEXTS if reason and pattern.search(words)), "other")


def _read_error(head: ReplyHead, words: str, *, has_prompt: bool) -> ChatGpttError:
    if re.search(r"nonce verification failed", words, re.I):
        return nonce_rejected(head, words)
    if _SECURITY_CHECK.match(words):
        return nonce_rejected(head, words, otherwise=refused(head, words, "other"))
    if has_prompt:
        return provider_failed(head, words)
    for pattern, reason in _ERROR_TEXTS:
        if pattern.search(words):
            if reason is None:
                return provider_failed(head, words)
            return refused(head, words, reason)
    return refused(head, words, "other")


class _StreamReader:
    """The event-stream half of `ReplyReader`.

    A failed AI service is typed out as bare deltas under `event: message` and closed by a bare finish
    frame without `[DONE]` (W5). Genuine chunks carry an id or a model and name no event. So bare deltas
    under that name are held back until something genuine, or the stream's end, shows what they were.
    """

    def __init__(self, head: ReplyHead) -> None:
        self._head = head
        self.events = EventReader(head, self._read_event)
        self._held: list[str] = []
        self._thread_id = ""
        self._has_chunks = False
        self._has_finish = False

    def end(self) -> tuple[list[str], ReplyEnding]:
        pieces = self.events.flush()
        pieces += self.events.end(self._maybe_broken)
        unreadable = self.events.unreadable_frames
        return pieces, ReplyEnding(thread_id=self._thread_id, unreadable_frames=unreadable)

    def _read_event(self, event: Event) -> None:
        match event.name:
            case "thread_id":
                self._thread_id = event.data.strip()[:200]
            case "assistant_error":
                reply = loads_frame(event.data)
                words = reply.get("msg") if isinstance(reply, dict) else event.data
                self.events.fail(provider_failed(self._head, words_of(words)))
            case "done":
                self._finish()
            case "" | "message" | "thread.message.delta":
                self._read_data(event)
            case _:
                pass  # other events of assistants; forwarding is patchy and they hold no text (W5)

    def _read_data(self, event: Event) -> None:
        frame = loads_frame(event.data) if event.data.lstrip().startswith("{") else None
        if isinstance(frame, dict):
            self._read_frame(frame, event.name)
            return
        # A site may forward data lines without the blank lines between them (W5).
        for line in lines_of(event.data):
            if self.events.is_finished:
                return
            line = line.strip()
            if line.startswith(("[DONE]", "[LIMITED]")):
                self._finish()
                return
            frame = loads_frame(line) if line.startswith("{") else None
            if isinstance(frame, dict):
                self._read_frame(frame, event.name)
                continue
            word = _BROKEN_WORD.fullmatch(line)
            if word:
                self._held.append(word[1])
            elif line:
                self.events.unreadable_frames += 1

    def _read_frame(self, frame: dict[str, object], event_name: str) -> None:
        if "choices" not in frame:  # a chunk of the answer is no refusal, and the search takes time
            refusal = maybe_held_back(self._head, frame, _find_reason) or _maybe_refusal(self._head, frame)
            if refusal is not None:
                self.events.fail(refusal)
                return
        if frame.get("error"):
            self.events.fail(provider_failed(self._head, _error_words(frame["error"])))
            return
        if event_name == "thread.message.delta":
            self._has_chunks = True
            self.events.add(_assistant_text(frame))
            return
        choices = frame.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return
        text = _choice_text(choice)
        is_finish = bool(choice.get("finish_reason"))
        is_bare = "index" not in choice and frame.keys() == {"choices"}
        if (
            is_bare
            and not is_finish
            and (event_name == "message" or self.events.decoder.has_stray(b'"error"'))
        ):
            self._held.append(text)  # unnamed where the provider's raw error ran into the name's line
            return
        if is_bare and is_finish and self._held and not self._has_chunks:
            self.events.fail(provider_failed(self._head, words_of("".join(self._held))))
            return
        self._has_chunks = True
        self._has_finish |= is_finish
        self._release()
        self.events.add(text)

    def _release(self) -> None:
        held, self._held = self._held, []
        for text in held:
            self.events.add(text)

    def _finish(self) -> None:
        self._release()
        self._has_finish = self.events.is_finished = True

    def _maybe_broken(self) -> ChatGpttError | None:
        """The error that the end of the stream amounts to; None for a complete answer."""
        if self._has_finish and self.events.text.strip():
            return None
        stray = self.events.decoder.stray.strip()
        if self._held:
            return provider_failed(self._head, words_of("".join(self._held)))
        if self._has_chunks and not self._has_finish:
            return interrupted(self._head, "the stream ended without its end mark")
        for found in find_objects(stray):
            if "error" in found:
                return provider_failed(self._head, _error_words(found["error"]))
        if is_html(stray):
            return provider_sent_page(self._head, stray)
        if self.events.unreadable_frames:
            return unreadable_frames(self._head, self.events.unreadable_frames)
        return empty_answer(self._head)


_BROKEN_WORD = re.compile(r'\{"choices":\[\{"delta":\{"content":"(.*)"\}\}\]\}', re.S)
"""A word of a failed AI service whose quotes the site did not escape (W5)."""


def _choice_text(choice: dict[str, object]) -> str:
    delta = choice.get("delta")
    text = delta.get("content") if isinstance(delta, dict) else choice.get("text")
    return text if isinstance(text, str) else ""


def _assistant_text(frame: dict[str, object]) -> str:
    """The text of a `thread.message.delta`: `delta.content[].text.value` (W5)."""
    delta = frame.get("delta")
    parts = delta.get("content") if isinstance(delta, dict) else None
    texts = []
    for part in parts if isinstance(parts, list) else []:
        text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        value = text.get("value") if isinstance(text, dict) else None
        texts.append(value if isinstance(value, str) else "")
    return "".join(texts)
