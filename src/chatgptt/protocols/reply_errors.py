"""The errors of replies that are no answers, in the same words for both generations.

`read_failure` reads every status and body that a generation's own tables do not have: those of WordPress, of
its server, and of a wall in front of it. The other functions build the errors that the readers recognise.
"""

from __future__ import annotations

import re
from calendar import timegm
from collections.abc import Callable, Iterator
from email.utils import parsedate_tz
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urljoin, urlsplit

from chatgptt._errors import (
    AnswerError,
    ChallengeError,
    ChatGpttError,
    PageError,
    ProviderError,
    RateLimitedError,
    RefusalReason,
    RefusedError,
    StreamInterruptedError,
    TokenRejectedError,
)
from chatgptt._models import ReplyHead
from chatgptt.protocols.text import find_objects, loads, unescape, without_surrogates, without_tags
from chatgptt.protocols.urls import without_credentials

if TYPE_CHECKING:
    from chatgptt.protocols.walls import Wall

_Error = TypeVar("_Error", bound=ChatGpttError)

MAX_FAILURE_BYTES = 64 * 2**10
"""How much of an error page is read: the marks of a challenge are in its head."""

REPLAY_MISS = "x-chatgptt-replay-miss"
"""The header by which a replayed case says that it has no reply; from this machine alone it is believed."""

_MAX_WORDS_CHARACTERS = 20_000
"""How much of an error's words is looked at to find 1,000 characters behind escapes and blanks."""

CHALLENGE_HINT = (
    "open the page in a browser, or ask the site's owner to let this client in; "
    "challenges are never solved here"
)
"""For the browser that was stopped by one."""
_OPEN_HINT = (
    'let a browser open the page: --strategy browser, in Python strategy="browser"; or ask the site\'s '
    "owner to let this client in; challenges are never solved here"
)
_BLOCK_HINT = "a firewall or security plugin refused the request; ask the site's owner to let this client in"
_REJECTED_HINT = (
    "the site does not accept its own page's tokens; a page cache or a security plugin may be at fault"
)

_ADDRESS_HINT = "give the page's address as the site itself writes it (https, www or not)"

MAY_HAVE_ANSWERED = "the site may have answered; ask again only if a second message does no harm"
"""For an error that is ambiguous."""

_STATUS_HINTS = {
    401: "the site asks for a login",
    403: "a firewall or security plugin refused the request",
    404: "check the page's address",
    405: "the site's server does not let messages through",
    413: "the message is too long for the site",
    503: f"the site, or something in front of it, is failing or closed for now; {MAY_HAVE_ANSWERED}",
}

_ENDPOINT_HINTS = {
    401: "the page needs no password, but the message endpoint does: the site's wp-admin is protected; "
    "its owner has to let admin-ajax.php through",
    404: "the page is right, but the site's message endpoint is hidden or elsewhere: security plugins hide "
    "wp-admin from visitors; tell the site's owner, or name the endpoint with ajax_url",
    405: "the server at the message endpoint takes no messages: a static copy of the site, or a firewall",
    413: "the message is too long for the site",
}
"""The page came before, so these are about the endpoint alone (docs/protocols.md C1)."""


def read_failure(head: ReplyHead, body: str, *, is_endpoint: bool = False) -> ChatGpttError:
    """The error that a reply amounts to which is no answer; `body` may be just its beginning.

    `is_endpoint` says that the message endpoint sent it, and not a page. A page's 503 means "later". The
    endpoint's does so only where WordPress is in maintenance.

    In order: a replay's miss, a wall (docs/protocols.md C4), a busy site, WordPress's own short bodies
    (C1), an error status, and last a page where an answer should be.
    """
    body = body[:MAX_FAILURE_BYTES]
    is_miss = head.status == 501 and bool(head.headers.get(REPLAY_MISS))
    if is_miss and urlsplit(head.url).hostname in ("127.0.0.1", "localhost"):
        return _replay_missed(head, body)
    walled = maybe_wall_error(head, body)
    if walled is not None:
        return walled
    if head.status == 429 or (head.status == 503 and (not is_endpoint or _is_maintenance(head, body))):
        seconds = maybe_retry_after(head)
        asked = "" if seconds is None else f"; it asks to wait {seconds:g} s"
        message = f"the site is busy or limits requests: HTTP {head.status}{said(body)}{asked}"
        hint = "wait before the next message"
        return of_reply(head, RateLimitedError(message, hint=hint, retry_after=seconds))
    failure = _maybe_short_reply(head, body.strip("\ufeff \t\r\n"))
    if failure is not None:
        return failure
    if is_endpoint and 300 <= head.status < 500 and head.status != 408:
        return _endpoint_failed(head, body)
    if 300 <= head.status < 400:
        message = f"the site redirects messages (HTTP {head.status}); they are not sent elsewhere"
        return of_reply(head, PageError(message, hint=_ADDRESS_HINT))
    if head.status >= 400:
        hint = _STATUS_HINTS.get(head.status, "look at the page in a browser; the site itself is failing")
        return _page_error(head, f"the site answered with HTTP {head.status}{said(body)}", hint)
    message = f"the reply is in no form that the chat protocols know{said(body)}"
    hint = "run again with CHATGPTT_LOG=debug, or look at the page with: chatgptt inspect"
    return of_reply(head, AnswerError(message, hint=hint))


def of_reply(head: ReplyHead, error: _Error) -> _Error:
    """The error with the address and the status of the reply that it is about."""
    error.url, error.status = head.url, head.status
    return error


def _page_error(head: ReplyHead, message: str, hint: str, *, is_block: bool = False) -> PageError:
    seconds = maybe_retry_after(head)
    return of_reply(head, PageError(message, hint=hint, retry_after=seconds, is_block=is_block))


def _maybe_short_reply(head: ReplyHead, text: str) -> ChatGpttError | None:
    """The error of the short replies by which WordPress ends a request (C1)."""
    match head.status, text:
        case 200, "0":
            # The action's handler took the message and returned, so a second one may be billed as well.
            message = "the site took the message and answered nothing (HTTP 200, body 0)"
            hint = "the chat plugin, or another one in its way, is at fault; tell the site's owner"
            return of_reply(head, AnswerError(message, hint=hint))
        case 400, "0":
            message = "the site does not know the chat's ajax action (HTTP 400, body 0)"
            hint = (
                "the plugin is switched off, or was updated to another generation since the page was cached"
            )
            return of_reply(head, AnswerError(message, hint=hint, is_stale=True))
        case 403, "-1":
            return nonce_rejected(head, "-1")
        case _:
            return None


def _replay_missed(head: ReplyHead, body: str) -> ChatGpttError:
    """No site failed: the caller asked a recorded case for something else than was recorded."""
    message = words_of(body) or "the recorded case has no reply to this request"
    hint = "ask for what was recorded, word for word, or record a case with this request in it"
    return of_reply(head, ChatGpttError(message, code="invalid_input", hint=hint))


def _endpoint_failed(head: ReplyHead, body: str) -> PageError:
    """The error of a message endpoint that refused a request, although the site's page had come."""
    if head.status < 400:
        return _redirected(head)
    if head.status in _ENDPOINT_HINTS:
        message = f"the site's message endpoint answered with HTTP {head.status}{said(body)}"
        hint = _ENDPOINT_HINTS[head.status]
    else:
        message = f"the site's message endpoint refused the request: HTTP {head.status}{said(body)}"
        hint = (
            "a firewall, a security plugin or a check of the site's host refused the request, not the chat; "
            "tell the site's owner what it says"
        )
    return _page_error(head, message, hint)


def _redirected(head: ReplyHead) -> PageError:
    """A message is not sent elsewhere. The target shows why: another spelling, or a page to log in."""
    location = head.headers.get("location", "").strip()
    try:
        target = urlsplit(urljoin(head.url, location))
    except ValueError:
        target = urlsplit("")
    # The query of a log-in page may hold tokens.
    shown = without_credentials(target._replace(query="", fragment="").geturl())
    if not location or not target.netloc or shown == head.url.partition("?")[0]:
        where = "to itself" if location and target.netloc else "to no address"
        hint = "a firewall or a check of the site's host refused the request; tell the site's owner"
    elif target.path.endswith("/admin-ajax.php"):
        where, hint = f"to {shown}", _ADDRESS_HINT
    else:
        where = f"to {shown}"
        hint = (
            "the site keeps visitors out of wp-admin, where its chat sends messages: a membership or "
            "security plugin sends them on; its owner has to let admin-ajax.php through"
        )
    message = f"the site's message endpoint redirects {where[:300]} (HTTP {head.status})"
    return of_reply(head, PageError(f"{message}; messages are not sent elsewhere", hint=hint))


def challenged(what: str, *, instead_of: str = "the site", hint: str = _OPEN_HINT) -> ChallengeError:
    """The error of a bot protection that answered; `what` is the mark by which it was recognised."""
    return ChallengeError(f"a bot protection answered instead of {instead_of}: {what}", hint=hint)


def no_web_page(what: str = "") -> PageError:
    """The error of an address that shows no page; `what` says what it shows."""
    message = f"the address answers with no web page{': ' if what else ''}{what}"
    return PageError(message, hint="give the address of the page that shows the chat")


def maybe_wall_error(head: ReplyHead, body: str) -> ChallengeError | PageError | None:
    """The error of a wall that answered in the site's place; None where none did."""
    from chatgptt.protocols.walls import maybe_wall  # here: a usual answer does not need its many patterns

    wall = maybe_wall(head, body)
    return None if wall is None else wall_error(head, wall, body)


def wall_error(head: ReplyHead, wall: Wall, body: str) -> ChallengeError | PageError:
    """The error of a wall that answered in the site's place."""
    if wall.kind == "challenge":
        return of_reply(head, challenged(wall.what))
    message = (
        f"a firewall or security plugin blocked the request: {wall.what}; HTTP {head.status}{said(body)}"
    )
    return _page_error(head, message, _BLOCK_HINT, is_block=True)


def maybe_walled(
    head: ReplyHead, body: str, find_reason: Callable[[str], RefusalReason]
) -> ChatGpttError | None:
    """The error of a reply that is not the chat's, before a protocol reads it; None for one that may be."""
    walled = maybe_wall_error(head, body)
    if walled is not None:
        return walled
    if any(key in body for key in _HELD_BACK):
        for reply in find_objects(body):
            held_back = maybe_held_back(head, reply, find_reason)
            if held_back is not None:
                return held_back
    return None


_HELD_BACK = ('"ts_required"', '"apbct"')


def maybe_held_back(
    head: ReplyHead, reply: dict[str, object], find_reason: Callable[[str], RefusalReason]
) -> ChatGpttError | None:
    """The error of a plugin that checks messages and answers for the chat: a human check, or a refusal.

    Both are marked by a key, whatever the language of their words (C4, A5). `find_reason` gives the reason of
    a refusal, by its words.
    """
    spam = reply.get("apbct")
    if isinstance(spam, dict) and spam.get("blocked"):
        comment = spam.get("comment")
        words = words_of(without_tags(comment[:_MAX_WORDS_CHARACTERS])) if isinstance(comment, str) else ""
        refusal = refused(head, words, find_reason(words))
        refusal.is_certain = True
        return refusal
    if reply.get("success") is True or not _wants_check(reply):
        return None
    words = _find_words(reply)
    quoted = f": {words!r}" if words else ""
    message = f"the site wants a human check before its chat answers (ts_required){quoted}"
    return of_reply(head, ChallengeError(message, hint=_CHECK_HINT))


_CHECK_HINT = (
    "a person has to pass the human check: open the page in a browser and pass it there; "
    "checks are never passed here"
)
_MAX_VALUES = 200
"""Of one reply that are looked at; a WP_Error has a dozen."""


def _wants_check(reply: dict[str, object]) -> bool:
    return any(
        value not in (None, False, 0, "", "0", "false")
        for key, value in _nested_items(reply)
        if key == "ts_required"
    )


def _find_words(reply: dict[str, object]) -> str:
    texts = (value for key, value in _nested_items(reply) if key in ("error", "message", "msg"))
    return next((words for words in map(words_of, texts) if words), "")


def _nested_items(reply: dict[str, object]) -> Iterator[tuple[str, object]]:
    """The members of an object and of those in it, as WP_Errors nest; the nearest first."""
    pending: list[object] = [reply]
    for _ in range(_MAX_VALUES):
        if not pending:
            return
        value = pending.pop(0)
        if isinstance(value, dict):
            yield from value.items()
            pending += value.values()
        elif isinstance(value, list):
            pending += value[:_MAX_VALUES]


_NOTICE = "Briefly unavailable"
"""How WordPress's notice begins, in English."""

_MAX_NOTICE_CHARACTERS = 500


def _is_maintenance(head: ReplyHead, body: str) -> bool:
    """Whether a 503 is plainly WordPress's notice of its maintenance mode, which it sends before any plugin.

    The notice has no mark of its own, and many languages. So its English words count, or its Retry-After
    in one of the forms in which WordPress ends a request: bare text with its no-cache headers, a page, or
    JSON (C1).
    """
    text = body.strip("\ufeff \t\r\n")
    is_short = "<" not in text and len(text) <= _MAX_NOTICE_CHARACTERS
    is_page = 'id="error-page"' in text
    if (is_short and text.startswith(_NOTICE)) or (is_page and f">{_NOTICE}" in text):
        return True
    if head.headers.get("retry-after", "").strip() != "600" or not text:
        return False
    reply = loads(text) if text.startswith("{") else None
    if isinstance(reply, dict):
        return reply.get("code") == "wp_die"
    return is_page or (is_short and "1984" in head.headers.get("expires", ""))


def words_of(message: object) -> str:
    """An error's words on one line, at most 1,000 characters, "" for none; sites escape them as HTML (W6)."""
    if not isinstance(message, str):
        return ""
    words = " ".join(unescape(without_surrogates(message[:_MAX_WORDS_CHARACTERS])).split())
    return _without_keys(words)[:1000]


_KEY = re.compile(
    r"(\b(?:sk|pk|rk)-(?:[a-z]{2,8}-)?|\bAIza|\b(?:gsk|hf|r8|sk_live|sk_test)_|\b(?:xai|nvapi|pplx)-"
    r"|\b[Bb]earer\s|[?&](?:api[-_]?)?key=)[\w+/=.-]{12,}"
)
"""How the keys of known AI services look; services put them into their complaints, half hidden or not."""


def _without_keys(words: str) -> str:
    """A site's words without its key: they go to logs, to reports, and to people who help."""
    return _KEY.sub(r"\1***", words)


_REASON_HINTS: dict[RefusalReason, str] = {
    "quota": "the site's limit for a visitor is used up; wait until it is reset",
    "banned_ip": "the site does not serve this address",
    "banned_words": "the site does not answer this; ask something else",
    "moderation": "the site does not answer this; ask something else",
    "guests_disabled": "the site replies only to visitors who are logged in",
}


def refused(head: ReplyHead, words: str, reason: RefusalReason) -> RefusedError:
    """The site said no, in these words."""
    message = words or "the site refused without a word"
    hint = _REASON_HINTS.get(reason, "the message holds the site's own words")
    return of_reply(head, RefusedError(message, reason=reason, hint=hint))


def provider_failed(head: ReplyHead, words: str) -> ProviderError:
    """The AI service behind the site failed, in these words."""
    message = words or "the AI service behind the site failed without a word"
    hint = "the site's AI service is at fault; try again later or tell the site's owner"
    return of_reply(head, ProviderError(message, hint=hint))


def provider_sent_page(head: ReplyHead, body: str) -> ProviderError:
    """The AI service behind the site answered with a web page, which the site passed on."""
    return provider_failed(head, f"the AI service answered the site with a web page{said(body)}")


def nonce_rejected(
    head: ReplyHead, words: str, *, otherwise: ChatGpttError | None = None
) -> TokenRejectedError:
    """The site did not accept the nonce, in these words; see TokenRejectedError for `otherwise`."""
    message = f"the site rejected the nonce (HTTP {head.status}: {words[:200]!r})"
    return of_reply(head, TokenRejectedError(message, hint=_REJECTED_HINT, otherwise=otherwise))


def empty_answer(head: ReplyHead) -> AnswerError:
    """The reply ended properly and held no text."""
    hint = "its AI service most likely failed; try again later"
    return of_reply(head, AnswerError("the site answered without any text", code="empty_answer", hint=hint))


def interrupted(head: ReplyHead, why: str) -> StreamInterruptedError:
    """The answer had begun and did not end."""
    return of_reply(head, StreamInterruptedError(f"the answer broke off: {why}", hint=MAY_HAVE_ANSWERED))


def unreadable_frames(head: ReplyHead, count: int) -> AnswerError:
    """A stream of nothing but frames that could not be read."""
    message = f"none of the stream's {count} frames could be read"
    return of_reply(head, AnswerError(message, hint="run again with CHATGPTT_LOG=debug"))


def said(body: str) -> str:
    """An error page's title or first words for the end of a message, as `": 'Not Found'"`; "" without any."""
    title = re.search(r"<title[^>]{0,200}>([^<]{1,300})", body[:MAX_FAILURE_BYTES], re.I)
    text = (
        title[1]
        if title
        else re.sub(r"<[^>]*>", " ", re.sub(r"(?is)<(script|style).*?</\1>", " ", body[:4000]))
    )
    words = _without_keys(" ".join(unescape(text).split()))
    return f": {words[:200]!r}" if words else ""


def maybe_retry_after(head: ReplyHead) -> float | None:
    """Seconds of a Retry-After header, in any of its forms; None for none or nonsense. Never negative.

    Of the three forms of an HTTP date one names no zone; all of them are UTC.
    """
    value = head.headers.get("retry-after", "").strip()
    if re.fullmatch(r"-?[0-9]+(?:\.[0-9]*)?", value):
        return min(max(0.0, float(value)), _FOR_EVER)
    date = parsedate_tz(value)
    try:
        seconds = timegm(date[:9]) - (date[9] or 0) - head.received_at if date else None
    except (ValueError, OverflowError):
        return None
    return None if seconds is None else max(0.0, seconds)


_FOR_EVER = 1e15
"""Seconds; a header may hold more digits than any number has, and infinity is no JSON."""
