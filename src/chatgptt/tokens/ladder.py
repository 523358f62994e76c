"""The ladder: tries the rungs in order until one gives tokens, and collects what the others saw.

One acquisition at a time for a page and bot in an event loop: calls that come meanwhile get its outcome. It
runs in the task of the first of them. Where that task is cancelled, the next call starts afresh. Of all loops
and processes that share the store one acquires, and the others look for its tokens there.

A rung that fails for a passing reason ends the acquisition with that reason. It has shown nothing about the
page, so it never leads to the browser.
"""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar, assert_never

import anyio

from chatgptt._errors import (
    BrowserError,
    ChallengeError,
    ChatGpttError,
    Finding,
    PageError,
    RateLimitedError,
    TokensNotFoundError,
)
from chatgptt._models import ChatBox, PluginGeneration, Rung, Strategy, Tokens
from chatgptt.net.deadline import Deadline, in_time
from chatgptt.net.loops import Loop, running_loop
from chatgptt.protocols.urls import origin
from chatgptt.tokens.acquisition import Acquired, Acquisition, Outcome, PageFacts, RungOfLadder, Wanted
from chatgptt.tokens.pages import without_mark
from chatgptt.tokens.store import Store
from chatgptt.visits.current import CurrentVisit

_log = logging.getLogger("chatgptt.tokens")
_progress = logging.getLogger("chatgptt.progress")
_Value = TypeVar("_Value")

LEASE = 15.0
"""Seconds for which one process acquires alone: a visit of a browser takes some seconds. The others wait for
it no longer, since it may have been killed."""

_LOOKS = 0.1
"""Seconds between two looks for what another process acquires."""

NOT_FOUND = "Required authentication tokens not found in page HTML"
"""How the error's message starts; programs look for it."""

_DOING: dict[Rung, str] = {
    "cache": "looking for stored tokens",
    "html": "reading the page",
    "script": "searching the page's scripts",
    "endpoint": "asking the site for its tokens",
    "browser": "running the page in a browser",
}
"""What each rung does, for people who wait."""


class _Shared:
    """One acquisition that several callers wait for, under the deadline of the one that runs it."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.is_done = anyio.Event()
        self.outcome: Acquired | ChatGpttError | None = None


class Ladder:
    """Acquires tokens for pages.

    Args:
        rungs: cheapest first; the cache is not among them.
        store: where tokens are kept between calls.
        strategy: which rungs may be used for tokens. Boxes are listed by those without a browser, too.
        prepare_browser: starts the browser in the background. It is called before the other rungs are tried
            for a page that needed a browser before.
        visit: whose requests these are.
    """

    def __init__(
        self,
        rungs: Sequence[RungOfLadder],
        store: Store,
        strategy: Strategy = "auto",
        *,
        prepare_browser: Callable[[], None] = lambda: None,
        visit: CurrentVisit | None = None,
    ) -> None:
        self._visit = visit or CurrentVisit()
        self._rungs = {rung.name: rung for rung in rungs}
        self._names = tuple(name for name in self._rungs if _is_allowed(name, strategy))
        self._store = store
        self._prepare_browser = prepare_browser
        self._under_way: dict[tuple[Loop | None, str, frozenset[str]], _Shared] = {}

    @property
    def has_browser(self) -> bool:
        """Whether a browser may be used."""
        return "browser" in self._names

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
            await _in_store(self._store.drop(site, wanted.key, nonce), wanted, deadline)
        while True:
            tokens = await _in_store(self._store.find(site, wanted.key, rejected), wanted, deadline)
            if tokens is not None:
                return Acquired(tokens=replace(tokens, rung="cache"), requests=0, findings=())
            shared = self._under_way.get((running_loop(), wanted.key, rejected))
            if shared is None:
                return await self._run(
                    Acquisition(
                        wanted=wanted, deadline=deadline, rejected=rejected, is_last_resort=is_last_resort
                    )
                )
            await in_time(shared.is_done.wait(), deadline, doing="waiting for tokens", url=wanted.page)
            match shared.outcome:
                case Acquired() as acquired:
                    return acquired
                case ChatGpttError() as error if not _is_for_lack_of_time(error, shared, deadline):
                    raise copy.copy(error)
                case _:
                    continue  # the call that ran it was cancelled or ran out of its own time

    async def _run(self, acquisition: Acquisition) -> Acquired:
        key = (running_loop(), acquisition.wanted.key, acquisition.rejected)
        shared = self._under_way[key] = _Shared(acquisition.deadline)
        try:
            shared.outcome = await self._acquire_alone(acquisition)
            return shared.outcome
        except ChatGpttError as error:
            shared.outcome = error
            raise
        finally:
            del self._under_way[key]
            shared.is_done.set()

    async def _acquire_alone(self, acquisition: Acquisition) -> Acquired:
        """Tokens from the rungs, or those that another process acquires meanwhile."""
        wanted, deadline, store = acquisition.wanted, acquisition.deadline, self._store
        site, patience = origin(wanted.page), min(LEASE, deadline.remaining() / 2)
        goes_alone_at = deadline.remaining() - patience
        while True:
            lease = await _in_store(store.lease(site, wanted.key, LEASE), wanted, deadline)
            try:
                found = await _in_store(store.find(site, wanted.key, acquisition.rejected), wanted, deadline)
                if found is not None:
                    return Acquired(tokens=replace(found, rung="cache"), requests=0, findings=())
                if lease is not None or deadline.remaining() <= goes_alone_at:
                    return await self.acquire_anew(acquisition)
            finally:
                if lease is not None:
                    with anyio.move_on_after(_LOOKS * 10, shield=True):
                        await store.release(site, wanted.key, lease)
            _log.info("waiting for the tokens that another process acquires for %s", wanted.page)
            await anyio.sleep(random.uniform(0.5, 1.5) * _LOOKS)

    async def acquire_anew(self, acquisition: Acquisition) -> Acquired:
        """Tokens from the rungs, whatever the store has; they are kept there.

        Raises:
            ChatGpttError: see `acquire`.
        """
        wanted, site = acquisition.wanted, origin(acquisition.wanted.page)
        goes_straight = acquisition.is_last_resort or await _in_store(
            self._store.needs_browser(site, wanted.key), wanted, acquisition.deadline
        )
        if not goes_straight and self._names[0] != "browser" and self.has_browser:
            needed = self._store.needed_browser(site, wanted.key)
            if await _in_store(needed, wanted, acquisition.deadline):
                self._prepare_browser()
        collected = _Collected()
        deferred: ChatGpttError | None = None
        for name in self._order(goes_straight=goes_straight, is_last_resort=acquisition.is_last_resort):
            if name == "browser" and collected.doubtful is not None and not goes_straight:
                break  # what the site shows is tried once more before a browser is
            try:
                tokens = await self._try(name, collected, acquisition)
            except ChatGpttError as error:
                is_first = goes_straight and not acquisition.is_last_resort
                if not _may_go_on(name, error, is_first=is_first):
                    raise
                deferred = deferred or error
                continue
            if tokens is not None:
                # A page needs the browser only if it was read and gave no tokens.
                is_lesson = name != "browser" or collected.facts.page is not None
                if self._visit.is_still(wanted.identity):  # no login or logout came meanwhile
                    keeping = self._store.put(site, wanted.key, tokens, is_lesson=is_lesson)
                    await _in_store(keeping, wanted, acquisition.deadline)
                return Acquired(
                    tokens=tokens, requests=acquisition.requests, findings=tuple(collected.findings)
                )
        if collected.doubtful is not None:
            return Acquired(
                tokens=collected.doubtful,
                requests=acquisition.requests,
                findings=tuple(collected.findings),
                is_confirmed=collected.places > 1,
            )
        raise _with_findings(deferred or _not_found(collected.facts, wanted), collected.findings)

    async def _try(self, name: Rung, collected: _Collected, acquisition: Acquisition) -> Tokens | None:
        acquisition.on_progress(name, collected.facts)
        _progress.debug(_DOING[name])
        try:
            outcome = await self._rungs[name].acquire(collected.facts, acquisition)
        except ChatGpttError as error:
            collected.note(error.findings)
            error.url = error.url and without_mark(error.url)
            error.findings = tuple(collected.findings)
            if isinstance(error, BrowserError):
                collected.note([Finding(rung=name, saw=error.message)])
            explained = self._visit.explain(error, is_page=True)
            if explained is error:
                raise
            raise explained from error
        acquisition.on_progress(name, outcome.facts)
        return collected.take(name, outcome)

    async def read_page(self, acquisition: Acquisition) -> PageFacts:
        """What the page shows, without running it.

        Raises:
            ChatBoxNotFoundError: where it does not show the wanted box.
            ChatGpttError: where there is no page to read.
        """
        collected = _Collected()
        await self._try("html", collected, acquisition)
        if collected.facts.missing is not None:
            raise collected.facts.missing.error()
        return collected.facts

    async def find_boxes(self, wanted: Wanted, deadline: Deadline) -> tuple[ChatBox, ...]:
        """The boxes of a page, each with its nonce where a rung finds one.

        Boxes of one generation share a nonce (docs/protocols.md C2): the rungs are tried for one of them.

        Raises:
            ChatBoxNotFoundError: where the page has none.
            ChatGpttError: where there is no page to read.
        """
        acquisition = Acquisition(wanted=wanted, deadline=deadline)
        collected = _Collected()
        await self._try("html", collected, acquisition)
        if collected.facts.missing is not None and self.has_browser:
            await self._try("browser", collected, acquisition)  # its scripts may make them
        facts = collected.facts
        if facts.missing is not None and not facts.boxes:
            raise facts.missing.error(tuple(collected.findings))
        completed: dict[PluginGeneration, ChatBox] = {}
        for box in facts.boxes:
            if box.nonce is None and box.protocol not in completed:
                completed[box.protocol] = await self._complete(facts._replace(box=box), box, acquisition)
        return tuple(
            replace(box, nonce=completed[box.protocol].nonce, found_by=completed[box.protocol].found_by)
            if box.nonce is None
            else box
            for box in facts.boxes
        )

    async def _complete(self, facts: PageFacts, box: ChatBox, acquisition: Acquisition) -> ChatBox:
        """The box with a nonce, or as it is where no rung finds one."""
        collected = _Collected(facts=facts)
        for name in self._rungs:
            if name == "html" or (name == "browser" and not self.has_browser):
                continue
            try:
                tokens = await self._try(name, collected, acquisition)
            except ChatGpttError as error:
                if not _may_go_on(name, error, is_first=False):
                    _log.debug("%s: %s", name, error.message)
                    break
            else:
                if tokens is not None:
                    return tokens.box
        return box

    def _order(self, *, goes_straight: bool, is_last_resort: bool) -> tuple[Rung, ...]:
        if is_last_resort:
            return tuple(name for name in self._names if name == "browser")
        if goes_straight:
            return tuple(sorted(self._names, key=lambda name: name != "browser"))
        return self._names


@dataclass(slots=True, kw_only=True)
class _Collected:
    """What the rungs gave so far."""

    facts: PageFacts = field(default_factory=PageFacts)
    findings: list[Finding] = field(default_factory=list)
    doubtful: Tokens | None = None
    places: int = 0
    is_shown_running: bool = False
    """Whether the page shows the rejected nonce after its scripts ran: then no part of it has another."""

    def note(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self.findings.append(finding)
            _log.debug("%s: %s", finding.rung, finding.saw)

    def take(self, name: Rung, outcome: Outcome) -> Tokens | None:
        """Takes in what a rung gave; the tokens that end the search."""
        self.facts = outcome.facts
        self.note(outcome.findings)
        if self.is_shown_running and name != "endpoint":
            if outcome.tokens is not None or outcome.doubtful is not None:
                saw = "not used: the running page shows the nonce that was rejected"
                self.note([Finding(rung=name, saw=saw)])
            return None
        if outcome.doubtful is not None:
            self.doubtful = outcome.doubtful
            self.places += outcome.places
            self.is_shown_running = self.is_shown_running or name == "browser"
        return outcome.tokens


def _is_allowed(rung: Rung, strategy: Strategy) -> bool:
    match strategy:
        case "auto":
            return True
        case "static":
            return rung != "browser"
        case "browser":
            return rung == "browser"
        case _:
            assert_never(strategy)


def _may_go_on(name: Rung, error: ChatGpttError, *, is_first: bool) -> bool:
    """Whether the other rungs are tried after an error, which is raised where none of them finds tokens.

    That is so for what answered in the place of a nonce, and for a browser that is tried before them.
    """
    match name:
        case "browser":
            return is_first and isinstance(error, BrowserError)
        case "endpoint":
            return isinstance(error, ChallengeError) or (isinstance(error, PageError) and error.is_block)
        case "cache" | "html" | "script":
            return False


def _not_found(facts: PageFacts, wanted: Wanted) -> ChatGpttError:
    if facts.box is None and facts.missing is not None:
        return facts.missing.error()
    return TokensNotFoundError(
        f"{NOT_FOUND}: {wanted.page} shows a chat box, but no rung found its tokens",
        hint="the page may need a browser, or a plugin of the site hides its tokens",
        url=wanted.page,
    )


def _with_findings(error: ChatGpttError, findings: Sequence[Finding]) -> ChatGpttError:
    error.findings = tuple(findings)
    if isinstance(error, TokensNotFoundError):
        for finding in findings:
            error.add_note(f"  {finding.rung}: {finding.saw}")  # for tracebacks
    return error


async def _in_store(work: Awaitable[_Value], wanted: Wanted, deadline: Deadline) -> _Value:
    """The store's answer. The disk may be slow, and another process may hold its lock."""
    return await in_time(work, deadline, doing="the state folder was used", url=wanted.page)


def _is_for_lack_of_time(error: ChatGpttError, shared: _Shared, deadline: Deadline) -> bool:
    """Whether the call that ran it was out of time; a call with more time may succeed."""
    is_about_time = isinstance(error, RateLimitedError) or error.code == "timeout"
    return is_about_time and deadline.remaining() > shared.deadline.remaining() + _MUCH_MORE


_MUCH_MORE = 1.0
"""Seconds. Calls that came just after the first would only meet the same end, one after the other."""
