"""A recording: a visit as it went over the wire, before it is scrubbed."""

from __future__ import annotations

from dataclasses import dataclass

from chatgptt._models import Strategy
from chatgptt.recordings.case import Ask, Exchange


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
