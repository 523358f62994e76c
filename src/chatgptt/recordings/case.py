"""A recorded visit to a page, as it went over the wire and as a case. Frozen values, no files."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from chatgptt._errors import ChatGpttError, ErrorCode
from chatgptt._models import ChatBox, PluginGeneration, Rung, Strategy

Framing = Literal["length", "chunked", "close"]
"""How a reply marks the end of its body: by a Content-Length, in chunks, or by closing the connection."""

ReplyEnding = Literal["complete", "cut", "reset", "nothing", "awaited"]
"""How a reply ended: whole, closed too early, reset, or closed before its first byte.

An awaited reply had not come when the browser had its tokens.
"""

Sender = Literal["client", "browser"]

Outcome = Literal["answered", "found"] | ErrorCode
"""The outcome of a call: an answer, boxes (of a call without a message), or an error's code."""


class CaseError(ChatGpttError):
    """A case that cannot be read, recorded or written. Its message says why."""

    default_code: ClassVar[ErrorCode] = "invalid_input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some bytes of a body.

    Attributes:
        size_bytes: how many.
        delay: seconds before they came.
    """

    size_bytes: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its reply. `path`, `query` and `fields` distinguish requests.

    Attributes:
        by: the sender, which is the client, or the page in the `browser`.
        method: `GET` or `POST`.
        host: the host that was asked, "" for the page's own site.
        path: the path without the query.
        query: names and values of the query.
        fields: names and values of the body.
        status: of the reply, 0 where none came.
        headers: names in lower case, and values; only those that the client or a browser acts on.
        body: of the reply, decoded.
        framing: how the reply marked the end of its body.
        ending: how the reply ended.
        chunks: where the body was cut; empty for one piece.
        is_written: whether a person wrote the reply in place of the site's.
    """

    by: Sender = "client"
    method: str
    host: str = ""
    path: str
    query: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    framing: Framing = "length"
    ending: ReplyEnding = "complete"
    chunks: tuple[Chunk, ...] = ()
    is_written: bool = False

    def header(self, name: str) -> str:
        """A header's value by its name in lower case; "" where the reply has none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def action(self) -> str:
        """The action of a request to WordPress; "" for a page or a file."""
        return dict((*self.query, *self.fields)).get("action", "")

    @property
    def media_type(self) -> str:
        """The reply's Content-Type without its parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call and its outcome.

    Attributes:
        message: what was asked; None for a call that looked for the page's boxes.
        outcome: `answered`, `found`, or an error's code.
        reason: of a refusal, else "".
        rung: what gave the tokens, None where nothing did.
        text: the answer, or the part of it that came before a failure.
        is_streamed: whether it came in pieces.
        attempts: how often the message was sent.
    """

    message: str | None
    outcome: Outcome
    reason: str = ""
    rung: Rung | None = None
    text: str = ""
    is_streamed: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A visit with all its secrets. It stays in memory.

    `hosts` are those of the page's site, the page's own first, with their port if they have one. `elsewhere`
    are the other hosts, from which the page loaded things in the browser; an exchange names the one that it
    went to. `credentials` are cookies and logins. `recorded_at` is in Unix seconds. With `keeps_scripts`,
    scripts stay that seem to have nothing to do with the chat.
    """

    page: str
    asks: tuple[Ask, ...]
    exchanges: tuple[Exchange, ...]
    recorded_at: float
    hosts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    bot: str = ""
    strategy: Strategy = "static"
    note: str = ""
    rendered: bytes = b""
    keeps_scripts: bool = False

    @property
    def is_run(self) -> bool:
        """Whether a browser ran the page."""
        return any(exchange.by == "browser" for exchange in self.exchanges)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A recorded visit, scrubbed.

    Attributes:
        recorded: the day.
        page: the page's address on the stand-in host `site.example`.
        asks: the calls, in order.
        exchanges: the requests and replies, in order.
        boxes: those of the page as the site sent it.
        bot: the wanted bot, "" for the page's own choice.
        strategy: that of the client.
        note: a sentence on what the case is about.
        rendered: where a browser ran the page, its document at the end.
        rendered_boxes: the boxes in that document. One in a frame or in a shadow root is not among them,
            because the document does not show it.
    """

    recorded: datetime.date
    page: str
    asks: tuple[Ask, ...]
    exchanges: tuple[Exchange, ...]
    boxes: tuple[ChatBox, ...] = ()
    bot: str = ""
    strategy: Strategy = "static"
    note: str = ""
    rendered: bytes = field(default=b"", repr=False)
    rendered_boxes: tuple[ChatBox, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """The recorded messages, in order."""
        return tuple(ask.message for ask in self.asks if ask.message is not None)

    @property
    def protocol(self) -> str:
        """The protocol of the page's boxes, else of the messages; "" where there are neither."""
        for box in (*self.boxes, *self.rendered_boxes):
            return box.protocol
        actions = [exchange.action for exchange in self.exchanges if exchange.by == "client"]
        names = (action.partition("_")[0] for action in actions)
        return next((name for name in names if name in get_args(PluginGeneration)), "")

    @property
    def plugin_version(self) -> str:
        """The plugin's version as the page shows it; "" where it shows none."""
        boxes = (*self.boxes, *self.rendered_boxes)
        return next((box.plugin_version for box in boxes if box.plugin_version), "")

    @property
    def served(self) -> Exchange | None:
        """The reply with the page, the first good one, else the last; None without a page request."""
        path = re.sub(r"^https?://[^/]*", "", self.page)
        pages = [
            exchange
            for exchange in self.exchanges
            if exchange.method == "GET"
            and not exchange.host
            and "action" not in dict(exchange.query)
            and exchange.status // 100 != 3
        ]
        pages = [page for page in pages if _with_query(page) == path] or pages
        return next((page for page in pages if 200 <= page.status < 400), pages[-1] if pages else None)


def _with_query(exchange: Exchange) -> str:
    query = "&".join(f"{name}={value}" for name, value in exchange.query)
    return f"{exchange.path}?{query}" if query else exchange.path
