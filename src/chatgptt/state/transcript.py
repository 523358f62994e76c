"""A conversation with a page as a value: for the log, and for a file."""

from __future__ import annotations

import time
from typing import NamedTuple


class Exchange(NamedTuple):
    """A message and its answer, or the part of it that came."""

    message: str
    answer: str
    asked_at: float
    """Unix time in seconds."""


class Transcript(NamedTuple):
    """A conversation with a page.

    `id` is None for one that is not kept yet. `name` is that of a named site, and `bot` the one that was
    asked for; each is "" for none.
    """

    page: str
    id: int | None = None
    name: str = ""
    bot: str = ""
    system: str = ""
    exchanges: tuple[Exchange, ...] = ()

    def with_exchange(self, message: str, answer: str) -> Transcript:
        """The transcript with one exchange more, of now."""
        exchange = Exchange(message=message, answer=answer, asked_at=time.time())
        return self._replace(exchanges=(*self.exchanges, exchange))
