"""What the rungs of the ladder take and give: values, and no behaviour beyond them.

A rung gets what is known of the page, `PageFacts`, and gives an `Outcome`: the facts as they are after it,
tokens where it found some, and findings that say what it saw instead. Only the ladder collects outcomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from chatgptt._errors import ChatBoxNotFoundError, Finding
from chatgptt._models import ChatBox, ReplyHead, Rung, Tokens
from chatgptt.net.clients import Trace
from chatgptt.net.deadline import Deadline
from chatgptt.protocols.page import Page


class Wanted(NamedTuple):
    """What an acquisition is for.

    `identity` tells visitors with different credentials apart. `ajax_url`, where the caller named one, is
    posted to instead of what the page says.
    """

    page: str
    bot: str | None = None
    identity: str = ""
    ajax_url: str = ""

    @property
    def key(self) -> str:
        """The name of the tokens in the store, within the page's site."""
        return "|".join((self.page, self.bot or "", self.identity, self.ajax_url))


class MissingBox(NamedTuple):
    """Why a page has no box to ask; `error` raises it."""

    message: str
    hint: str
    url: str | None
    status: int | None

    @classmethod
    def of(cls, error: ChatBoxNotFoundError, status: int | None) -> MissingBox:
        """The same as a value, with the HTTP status of the page."""
        return cls(message=error.message, hint=error.hint, url=error.url, status=status)

    def error(self, findings: tuple[Finding, ...] = ()) -> ChatBoxNotFoundError:
        """The error that says so."""
        return ChatBoxNotFoundError(
            self.message, hint=self.hint, url=self.url, status=self.status, findings=findings
        )


class PageFacts(NamedTuple):
    """What is known of the wanted page.

    `page` and `head` are None where the page was not read as it is served. `box` is the box to ask, and
    `missing` says why the page as it is served has none. `foreign_sites` own boxes that the page shows, too.
    """

    page: Page | None = None
    head: ReplyHead | None = None
    boxes: tuple[ChatBox, ...] = ()
    box: ChatBox | None = None
    missing: MissingBox | None = None
    foreign_sites: tuple[str, ...] = ()


def _ignore(rung: Rung, facts: PageFacts) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class Acquisition:
    """One acquisition. Only `requests` changes: each request is counted where it is sent.

    With nonces in `rejected`, everything is asked for past all caches. `wrong_places` are guesses at the
    endpoint that were tried. With `is_last_resort` only the browser is asked. `trace` gets the events of the
    page's connection. `on_progress` is called before and after each rung is tried, with what is known of the
    page by then.
    """

    wanted: Wanted
    deadline: Deadline
    rejected: frozenset[str] = frozenset()
    wrong_places: frozenset[str] = frozenset()
    is_last_resort: bool = False
    trace: Trace | None = None
    on_progress: Callable[[Rung, PageFacts], None] = _ignore
    requests: int = 0


class Outcome(NamedTuple):
    """What a rung gives.

    `doubtful` are tokens with a nonce that the site rejected, and shows still. They are better than none,
    since sites do err. `places` counts where the rung found that nonce.
    """

    facts: PageFacts
    tokens: Tokens | None = None
    doubtful: Tokens | None = None
    places: int = 1
    findings: tuple[Finding, ...] = ()


class RungOfLadder(Protocol):
    """One way to get tokens."""

    @property
    def name(self) -> Rung:
        """As it appears in `tokens_from` and in findings."""

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """Tokens, or findings that say what the rung saw instead.

        Raises:
            ChatGpttError: where the acquisition as a whole cannot go on; its findings are the rung's own.
        """


class Acquired(NamedTuple):
    """Tokens, how many requests they took, and what the rungs below saw.

    With `is_confirmed` a nonce that had been rejected showed in more places than the box, past all caches:
    it is no placeholder that scripts would replace.
    """

    tokens: Tokens
    requests: int
    findings: tuple[Finding, ...]
    is_confirmed: bool = False


def foreign_box(rung: Rung, place: str) -> Finding:
    """The finding about a box that belongs to another site."""
    return Finding(
        rung=rung, saw=f"a chat box on the page belongs to another site, {place[:200]}; it is not asked"
    )
