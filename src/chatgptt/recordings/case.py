"""A case: one recorded visit to a page, with its outcome. Frozen values, no files (see case_folder.py)."""

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
    """Some bytes of a body. `delay` is the seconds before they came."""

    size_bytes: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its reply.

    `path`, `query` and `fields` distinguish requests. `status` is 0 where no reply came. `by` is the sender:
    the client, or the page in the browser. `host` is "" for the page's own site. `is_written` marks a reply
    that a person wrote in place of the site's.
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
    """One call and its outcome. A call without a message looks for the page's boxes.

    `text` is the answer, or the part of it that came before a failure. `attempts` counts how often the
    message was sent.
    """

    message: str | None
    outcome: Outcome
    reason: str = ""
    rung: Rung | None = None
    text: str = ""
    is_streamed: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A recorded visit, scrubbed.

    `page` is the page's address on the stand-in host `site.example`. `boxes` are those of the page as the
    site sent it. Where a browser ran the page, `rendered` is its document at the end, and `rendered_boxes`
    are the boxes in that document. A box in a frame or in a shadow root is not among them: the document does
    not show it.
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
        """The reply that holds the page: the first good one, else the last; None without a page request."""
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
