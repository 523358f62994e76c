"""The ladder: tries the rungs in order until one gives tokens, and collects what the others saw.

One acquisition at a time for a page and bot in an event loop: whoever asks meanwhile gets its outcome. The
leader works in its own task, so a cancelled leader takes nobody with it; the next one in line starts afresh.

A rung that fails for a passing reason ends the acquisition with that reason. It has shown nothing about the
page, so it sends nobody up to the browser.
"""

from __future__ import annotations

import copy
import logging
import re
import secrets
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol as TypingProtocol
from typing import TypeVar

import anyio

from chatgptt._errors import (
    BrowserError,
    ChatBoxNotFoundError,
    ChatGpttError,
    Finding,
    RateLimitedError,
    TokensNotFoundError,
    TransportError,
)
from chatgptt._models import ChatBox, ReplyHead, Rung, Strategy, Tokens
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.net.http import Trace
from chatgptt.net.loops import Loop, running_loop
from chatgptt.protocols.page import Page
from chatgptt.protocols.urls import origin
from chatgptt.tokens.store import TokenStore

__all__ = [
    "NOT_FOUND",
    "Acquired",
    "Climb",
    "Ladder",
    "RungOfLadder",
    "Wanted",
    "past_caches",
    "without_mark",
]

_log = logging.getLogger("chatgptt.tokens")
_Value = TypeVar("_Value")

NOT_FOUND = "Required authentication tokens not found in page HTML"
"""How the error's message starts; programs look for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
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
        """Under which the tokens are kept, within the page's site."""
        return "|".join((self.page, self.bot or "", self.identity, self.ajax_url))


@dataclass(slots=True, kw_only=True)
class Climb:
    """One acquisition under way: what the rungs share and what they found out.

    With nonces in `rejected`, everything is asked for past all caches. `again` holds tokens that a rung
    found to be the rejected ones still: better than none, since sites do err. `times_again` counts the
    places that showed them. With `is_last_resort` only the browser is asked. `elsewhere` names other sites
    whose boxes the page shows. `wall` is what answered in the place of a nonce; it is the error where no rung
    finds one. `head` is the head of the page's reply; `trace` is told how its connection came about; `began`
    is when each rung was tried.
    """

    wanted: Wanted
    deadline: Deadline
    rejected: frozenset[str] = frozenset()
    is_last_resort: bool = False
    findings: list[Finding] = field(default_factory=list)
    page: Page | None = None
    boxes: tuple[ChatBox, ...] = ()
    box: ChatBox | None = None
    missing: ChatBoxNotFoundError | None = None
    elsewhere: tuple[str, ...] = ()
    again: Tokens | None = None
    wall: ChatGpttError | None = None
    times_again: int = 0
    requests: int = 0
    head: ReplyHead | None = None
    trace: Trace | None = None
    began: dict[Rung, float] = field(default_factory=dict)

    def saw(self, rung: Rung, what: str) -> None:
        """Notes what a rung saw instead of tokens."""
        self.findings.append(Finding(rung=rung, saw=what))
        _log.debug("%s: %s", rung, what)


class RungOfLadder(TypingProtocol):
    """One way to get tokens."""

    @property
    def name(self) -> Rung:
        """As it appears in `tokens_from` and in findings."""

    async def climb(self, climb: Climb) -> Tokens | None:
        """Tokens, or None with a finding that says what was seen instead.

        Raises:
            ChatGpttError: where the acquisition as a whole cannot go on.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """Tokens, how many requests they took, and what the rungs below saw.

    With `is_confirmed` a nonce that had been rejected showed in more places than the box, past all caches:
    it is no placeholder that scripts would replace.
    """

    tokens: Tokens
    requests: int
    findings: tuple[Finding, ...]
    is_confirmed: bool = False


class _Flight:
    """One acquisition that several callers wait for, under the deadline of the one that leads it."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.landed = anyio.Event()
        self.outcome: Acquired | ChatGpttError | None = None


class Ladder:
    """Acquires tokens for pages.

    Args:
        rungs: cheapest first; the cache is not among them.
        store: where tokens are kept between calls.
        strategy: which rungs may be used.
    """

    def __init__(self, rungs: Sequence[RungOfLadder], store: TokenStore, strategy: Strategy = "auto") -> None:
        self._rungs = tuple(rung for rung in rungs if _is_allowed(rung.name, strategy))
        self._store = store
        self._strategy = strategy
        self._flights: dict[tuple[Loop | None, str, frozenset[str]], _Flight] = {}

    async def acquire(
        self,
        wanted: Wanted,
        deadline: Deadline,
        rejected: frozenset[str] = frozenset(),
        *,
        is_last_resort: bool = False,
    ) -> Acquired:
        """Tokens for a page, from the store where it has some.

        Args:
            wanted: the page and the bot.
            deadline: bounds the whole ladder.
            rejected: nonces that the site did not accept; anything else is acquired past all caches.
            is_last_resort: whether only the browser is left to be asked.

        Raises:
            ChatGpttError: `tokens_missing` with the findings of every rung, or what kept them from looking.
        """
        site = origin(wanted.page)
        for nonce in rejected:
            await _remember(self._store.drop(site, wanted.key, nonce), wanted, deadline)
        while True:
            tokens = await _remember(self._store.find(site, wanted.key, rejected), wanted, deadline)
            if tokens is not None:
                return Acquired(tokens=replace(tokens, rung="cache"), requests=0, findings=())
            flight = self._flights.get((running_loop(), wanted.key, rejected))
            if flight is None:
                return await self._lead(
                    Climb(wanted=wanted, deadline=deadline, rejected=rejected, is_last_resort=is_last_resort)
                )
            with anyio.move_on_after(deadline.remaining()):
                await flight.landed.wait()
            match flight.outcome:
                case Acquired() as acquired:
                    return acquired
                case ChatGpttError() as error if not _is_of_the_leader(error, flight, deadline):
                    raise copy.copy(error)
                case _ if deadline.remaining() <= 0:
                    raise TransportError(
                        f"the time limit of {deadline.seconds:g} s passed while waiting for tokens",
                        code="timeout",
                        hint="allow more time with timeout=",
                        url=wanted.page,
                    )
                case _:
                    continue  # the leader was cancelled or ran out of its own time

    async def _lead(self, climb: Climb) -> Acquired:
        key = (running_loop(), climb.wanted.key, climb.rejected)
        flight = self._flights[key] = _Flight(climb.deadline)
        try:
            flight.outcome = await self.climb(climb)
            return flight.outcome
        except ChatGpttError as error:
            flight.outcome = error
            raise
        finally:
            del self._flights[key]
            flight.landed.set()

    async def climb(self, climb: Climb) -> Acquired:
        """Tokens from the rungs, whatever the store has; they are kept there.

        Raises:
            ChatGpttError: see `acquire`.
        """
        wanted, site = climb.wanted, origin(climb.wanted.page)
        goes_straight = climb.is_last_resort or await _remember(
            self._store.needs_browser(site, wanted.key), wanted, climb.deadline
        )
        no_browser: BrowserError | None = None
        is_shown_running = False
        for rung in self._order(climb, goes_straight=goes_straight):
            if rung.name == "browser" and climb.again is not None and not goes_straight:
                break  # what the site shows is tried once more before a browser is
            climb.began[rung.name] = climb.deadline.elapsed()
            try:
                tokens = await rung.climb(climb)
            except ChatGpttError as error:
                error.url = error.url and without_mark(error.url)
                if goes_straight and isinstance(error, BrowserError) and not climb.is_last_resort:
                    no_browser = error
                    climb.saw(rung.name, error.message)
                    continue
                error.findings = (*climb.findings, *error.findings)
                raise
            if tokens is not None and is_shown_running and rung.name != "endpoint":
                climb.saw(rung.name, "not used: the running page shows the nonce that was rejected")
                continue
            if tokens is not None and tokens.nonce not in climb.rejected:
                # What a page needs is learned from a page that came and did not do.
                is_lesson = rung.name != "browser" or climb.page is not None
                keeping = self._store.put(site, wanted.key, tokens, is_lesson=is_lesson)
                await _remember(keeping, wanted, climb.deadline)
                return Acquired(tokens=tokens, requests=climb.requests, findings=tuple(climb.findings))
            if tokens is not None:
                climb.again = tokens
                climb.times_again += 1
                climb.saw(rung.name, "the site still shows the nonce that it rejected")
            is_shown_running = is_shown_running or (rung.name == "browser" and climb.again is not None)
        if climb.again is not None:
            return Acquired(
                tokens=climb.again,
                requests=climb.requests,
                findings=tuple(climb.findings),
                is_confirmed=climb.times_again > 1,
            )
        if no_browser is not None:
            no_browser.findings = tuple(climb.findings)
            raise no_browser
        raise self._not_found(climb)

    @property
    def has_browser(self) -> bool:
        """Whether its last rung may be climbed."""
        return any(rung.name == "browser" for rung in self._rungs)

    def _order(self, climb: Climb, *, goes_straight: bool) -> tuple[RungOfLadder, ...]:
        if climb.is_last_resort:
            return tuple(rung for rung in self._rungs if rung.name == "browser")
        if goes_straight:
            return tuple(sorted(self._rungs, key=lambda rung: rung.name != "browser"))
        return self._rungs

    def _not_found(self, climb: Climb) -> ChatGpttError:
        findings = tuple(climb.findings)
        if climb.box is None and climb.missing is not None:
            climb.missing.findings = findings
            return climb.missing
        if climb.wall is not None:
            climb.wall.findings = findings
            return climb.wall
        error = TokensNotFoundError(
            f"{NOT_FOUND}: {climb.wanted.page} shows a chat box, but no rung found its tokens",
            hint="the page may need a browser, or a plugin of the site hides its tokens",
            url=climb.wanted.page,
            findings=findings,
        )
        for finding in findings:
            error.add_note(f"  {finding.rung}: {finding.saw}")  # for tracebacks
        return error


async def _remember(work: Awaitable[_Value], wanted: Wanted, deadline: Deadline) -> _Value:
    """The store's answer; its disk may be slow, or locked by somebody who does not let go."""
    return await in_time(work, deadline, doing="the state folder was used", url=wanted.page)


def _is_allowed(rung: Rung, strategy: Strategy) -> bool:
    match strategy:
        case "auto":
            return True
        case "static":
            return rung != "browser"
        case "browser":
            return rung == "browser"


def _is_of_the_leader(error: ChatGpttError, flight: _Flight, deadline: Deadline) -> bool:
    """Whether the leader gave up for lack of time, which says nothing to a caller that has more of it."""
    is_about_time = isinstance(error, RateLimitedError) or error.code == "timeout"
    return is_about_time and deadline.remaining() > flight.deadline.remaining() + _MUCH_MORE


_MUCH_MORE = 1.0
"""Seconds. Callers that came just after the leader would only meet the same end, one after the other."""


def past_caches(url: str) -> str:
    """`url` with a query that no cache has seen."""
    head, _, fragment = url.partition("#")
    mark = "&" if "?" in head else "?"
    return f"{head}{mark}nocache={secrets.token_hex(6)}{'#' + fragment if fragment else ''}"


def without_mark(url: str) -> str:
    """The URL that `past_caches` was given, wherever a redirect has taken it since."""
    return re.sub(r"[?&]nocache=[0-9a-f]{12}(?=[#]|$)|(?<=[?&])nocache=[0-9a-f]{12}&", "", url)
