"""The values that travel between the parts: frozen, without behaviour of their own.

Seconds are floats without a suffix. A `url` never holds credentials. A repr shows nothing that identifies a
person: reprs end in logs and in the traces of error trackers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

PluginGeneration = Literal["wpaicg", "aipkit"]
"""The two generations of the plugin: 1.x up to 2.2, and 2.x from 2.3 on."""

BoxKind = Literal["shortcode", "widget", "inline", "popup"]
"""How a box sits on its page: the first two are 1.x, the last two 2.x."""

Rung = Literal["cache", "html", "script", "endpoint", "browser"]
"""One way to get tokens, cheapest first."""

Strategy = Literal["auto", "static", "browser"]
"""Which rungs may be used: all, all but the browser, or the browser alone."""

Level = Literal["page", "tokens", "full"]
"""How far a health check goes; only `full` sends a message."""

Role = Literal["system", "user", "assistant", "tool", "function"]
"""The last two bring an assistant what it called for; a program's history may hold them."""

MessageInput = str | Sequence[Mapping[str, object]]
"""A message, or messages in the usual form `[{"role": "user", "content": "..."}]`.

A content may be a list of text parts, or None for a message that holds nothing.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBox:
    """One chat box on a page, read from its own element.

    Attributes:
        protocol: the generation of the plugin, `wpaicg` (1.x) or `aipkit` (2.x).
        kind: how it sits on the page; `shortcode` and `widget` are 1.x, `inline` and `popup` 2.x.
        bot_id: the bot's number at its site.
        post_id: the number of the post that shows it, None where the page names none.
        ajax_url: where messages go.
        nonce: WordPress's token; None where the page shows none that is plausible (10 hex digits, no
            placeholder).
        found_by: the rung that found it.
        name: the bot's name, "" where the page does not tell it.
        page_url: 1.x `data-url`, which is sent back as the field `url`.
        is_streaming: whether the page expects its answers as a stream; only a hint (docs/protocols.md W5).
        memory_limit: 1.x, the number of history entries (not pairs) that the site wants at most.
        consent: 2.x, the question that a visitor must agree to before the first message; "" where none is
            asked.
        origin: 2.x, the site's origin as it names it itself; it refuses any other as Origin
            (docs/protocols.md A3).
        ajax_guesses: where the message endpoint may be, `ajax_url` the first of them; empty where the page
            names it.
        image_triggers: 2.x, words that make a message an image command instead of chat.
        plugin_version: as the page tells it, "" where it does not.
    """

    protocol: PluginGeneration
    kind: BoxKind
    bot_id: int
    post_id: int | None
    ajax_url: str
    nonce: str | None = field(repr=False)
    found_by: Rung
    name: str = ""
    page_url: str = ""
    is_streaming: bool = True
    memory_limit: int = 100
    consent: str = ""
    origin: str = ""
    ajax_guesses: tuple[str, ...] = field(default=(), compare=False)
    image_triggers: tuple[str, ...] = ()
    plugin_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCookie:
    """A cookie that is kept. `domain` begins with a dot where the cookie is for the hosts below it too.

    `expires` is a Unix time, None for a cookie that ends with the browser's session.
    """

    name: str
    value: str = field(repr=False)
    domain: str
    path: str
    is_secure: bool
    is_http_only: bool = False
    expires: float | None = None

    @property
    def is_sane(self) -> bool:
        """Whether the fields, which may be a file's, have their types."""
        texts = (self.name, self.value, self.domain, self.path)
        is_end = self.expires is None or (
            isinstance(self.expires, int | float) and 0 <= self.expires < 2**53  # JSON knows longer ones
        )
        are_marks = isinstance(self.is_secure, bool) and isinstance(self.is_http_only, bool)
        return is_end and are_marks and all(isinstance(text, str) for text in texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """What a message needs: the box with a plausible nonce, and where it came from."""

    box: ChatBox
    nonce: str = field(repr=False)
    page: str
    """The page's URL after redirects; sent as Referer."""
    rung: Rung
    acquired_at: float
    """Unix time in seconds."""
    user_agent: str = ""
    """The user agent that acquired them, "" for the client's own."""
    cookies: tuple[StoredCookie, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorIds:
    """Who we are to a site, for ever: the 1.x client id and the 2.x session id."""

    client_id: str = field(repr=False)
    session_id: str = field(repr=False)


class Turn(NamedTuple):
    """One earlier message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One message on its way to the site.

    `history` holds the earlier turns where the protocol carries them itself (1.x). `conversation_id`
    names the conversation that a 2.x site keeps, `thread_id` the one of a 1.x assistant bot.
    """

    text: str
    history: tuple[Turn, ...] = ()
    conversation_id: str = field(default="", repr=False)
    thread_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request as a protocol wants it; the client adds headers, cookies and proxy.

    `fields` go url-encoded into the body of a POST, `params` into the query string.
    """

    method: Literal["GET", "POST"]
    url: str
    accept: str
    origin: str = ""
    """What to send as Origin where it is not simply the URL's own."""
    params: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyHead:
    """What is known of an HTTP reply before its body: header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    url: str
    received_at: float = 0.0
    """Unix time in seconds; a Retry-After that is a date is read against it."""
    redirects: int = 0
    """How many were followed on the way to `url`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyEnding:
    """How a reply ended: properly, or a reader would have raised instead."""

    thread_id: str = field(default="", repr=False)
    """1.x assistant bots: to be sent back with the next message."""
    message_id: str = ""
    """2.x: the site's id of its answer."""
    unreadable_frames: int = 0
    """Frames of a stream that could not be read and were passed over (docs/protocols.md W5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A finished answer and how it came about. `str(reply)` is its text.

    Attributes:
        text: the answer.
        site: the site's origin and path prefix.
        page: the page's URL after redirects, without credentials.
        protocol: the generation of the plugin, `wpaicg` (1.x) or `aipkit` (2.x).
        bot_id: the bot's number at its site.
        tokens_from: the rung that gave the tokens.
        is_streamed: whether the answer came in pieces.
        attempts: how often the message was sent.
        page_requests: the requests that acquiring the tokens took, 0 from the cache.
        elapsed: seconds from the beginning of the call to the end of the answer.
        first_text: seconds from the beginning of the call to the first text.
        conversation_id: the name of the conversation at a 2.x site.
        thread_id: 1.x, the name of an assistant bot's thread, "" elsewhere.
    """

    text: str
    site: str
    page: str
    protocol: PluginGeneration
    bot_id: int
    tokens_from: Rung
    is_streamed: bool
    attempts: int
    page_requests: int
    elapsed: float
    first_text: float
    conversation_id: str = field(default="", repr=False)
    thread_id: str = field(default="", repr=False)

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, object]:
        """The reply as the command line's `--json` prints it."""
        return {
            "text": self.text,
            "site": self.site,
            "page": self.page,
            "protocol": self.protocol,
            "bot_id": self.bot_id,
            "tokens_from": self.tokens_from,
            "streamed": self.is_streamed,
            "attempts": self.attempts,
            "page_requests": self.page_requests,
            "elapsed_s": round(self.elapsed, 4),
            "first_text_s": round(self.first_text, 4),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Bounds in seconds.

    Attributes:
        total: the whole call, retries and waits included.
        connect: reaching a server.
        page: one page request.
        silence: the time without any byte of a reply. The default is above the 120 s to 200 s that sites
            themselves wait for their AI service (docs/protocols.md C5).
    """

    total: float = 240.0
    connect: float = 10.0
    page: float = 30.0
    silence: float = 210.0
