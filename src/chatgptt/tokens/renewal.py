"""The tokens of one message: those that are tried first, and others where the site does not accept them.

A rejected nonce means: acquire once more past all caches, and send the message once more. Three cases differ:

* The site shows the rejected nonce past all caches too. Then the nonce is not the cause, and the site's words
  stand. Where the box alone shows it, scripts may replace it, and a browser is asked once.
* The site rejects the newer nonce too. It may only look real, so a browser is asked once.
* The page does not name its endpoint, and nothing is at the place that was guessed. The next guess is tried,
  and at last the place that a browser finds.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import anyio

from chatgptt._errors import (
    BrowserError,
    ChatGpttError,
    Finding,
    PageError,
    RefusedError,
    TokenRejectedError,
    TokensNotFoundError,
)
from chatgptt._models import Tokens
from chatgptt.net.deadline import Deadline
from chatgptt.net.http import Transport
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.urls import origin
from chatgptt.tokens.acquisition import Acquired, Acquisition, Wanted
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.store import Store

_log = logging.getLogger("chatgptt.client")

_KEEPING = 2.0
"""Seconds for writing down where the endpoint is. The answer is not held up for longer."""


class MessageTokens:
    """The tokens that a message is sent with.

    Attributes:
        requests: how many requests acquiring them took.
        renewals: how often others were acquired since the site rejected some.
    """

    def __init__(
        self, ladder: Ladder, store: Store, transport: Transport, wanted: Wanted, deadline: Deadline
    ) -> None:
        self.requests = 0
        self.renewals = 0
        self._ladder = ladder
        self._store = store
        self._transport = transport
        self._wanted = wanted
        self._deadline = deadline
        self._rejected: frozenset[str] = frozenset()
        self._has_old_nonce = False
        self._wrong_places: set[str] = set()
        self._may_hand_in_again = True

    async def acquire(self, known: Acquired | None = None) -> Acquired:
        """The tokens to try, past all caches after a rejection; those that are `known` from before.

        Raises:
            ChatGpttError: see `Ladder.acquire`.
        """
        return self._take(
            known
            or await self._ladder.acquire(
                self._wanted, self._deadline, self._rejected, is_last_resort=self.renewals > 1
            )
        )

    def _take(self, acquired: Acquired) -> Acquired:
        self.requests += acquired.requests
        self._transport.add_cookies(acquired.tokens.cookies)
        return acquired

    async def acquire_other(
        self, acquired: Acquired, error: ChatGpttError, *, is_handed_in: bool
    ) -> Acquired:
        """The tokens to try after a message with those `acquired` ended in an error.

        `is_handed_in` says whether the site took the message in a first request.

        Raises:
            ChatGpttError: the error, where no tokens would help.
        """
        error.findings = error.findings or acquired.findings
        if isinstance(error, TokenRejectedError) and error.is_key_lost and self._may_hand_in_again:
            self._may_hand_in_again = False
            _log.info("%s; handing the message in again", error)
            return acquired
        is_missing = isinstance(error, PageError) and error.status == 404
        if is_missing and acquired.tokens.box.ajax_guesses and not is_handed_in:
            return await self._look_elsewhere(acquired, error)
        if self._may_renew(error, acquired.tokens):
            return await self._renew(acquired, error)
        if self._has_old_nonce:
            raise _without_rejection(error) from error.__cause__
        raise error

    async def keep(self, tokens: Tokens) -> None:
        """Remembers where the endpoint is, if it was not at the place that was guessed first.

        The answer has begun by now. So this never fails the call, and takes half of its rest at most.
        """
        if not self._wrong_places:
            return
        tokens = replace(tokens, box=replace(tokens.box, ajax_guesses=()))
        keeping = self._store.put(origin(self._wanted.page), self._wanted.key, tokens, is_lesson=False)
        with anyio.move_on_after(min(_KEEPING, self._deadline.remaining() / 2)):
            await keeping

    # A nonce that the site rejects

    def _may_renew(self, error: ChatGpttError, tokens: Tokens) -> bool:
        match self.renewals:
            case 0:
                return error.is_stale or _may_be_rejection(error, tokens)
            case 1:
                may_help = error.is_stale and not self._has_old_nonce
                return may_help and tokens.rung != "browser" and self._ladder.has_browser
            case _:
                return False

    async def _renew(self, old: Acquired, error: ChatGpttError) -> Acquired:
        self.renewals += 1
        _log.info("%s; acquiring tokens past all caches", error)
        self._rejected |= {old.tokens.nonce}
        acquired = await self._acquire_after(error)
        acquired = self._maybe_next_place(acquired) or acquired
        self._has_old_nonce = acquired.tokens.nonce in self._rejected
        if self._may_be_placeholder(error, acquired):
            return await self._ask_browser(acquired)
        if self._has_old_nonce and (not error.is_stale or self.renewals > 1):
            raise _without_rejection(error) from error.__cause__
        return acquired

    async def _acquire_after(self, error: ChatGpttError) -> Acquired:
        """Newer tokens; without them the rejection is raised, with what the rungs saw."""
        try:
            return await self.acquire()
        except TokensNotFoundError as missing:
            error.findings = (*error.findings, *missing.findings)
            raise error from missing
        except BrowserError as missing:
            finding = Finding(rung="browser", saw=f"{missing.message}; {missing.hint}")
            error.findings = (*error.findings, *missing.findings, finding)
            raise error from missing
        except ChatGpttError as failure:
            if error.is_stale and self.renewals == 1:
                raise
            raise error from failure  # a refusal that was doubted stands, and so does a second rejection

    def _may_be_placeholder(self, error: ChatGpttError, acquired: Acquired) -> bool:
        """Whether scripts may replace the nonce that the site plainly rejects: the box alone shows it."""
        is_plain = isinstance(error, TokenRejectedError) and error.otherwise is None
        is_doubtful = not acquired.is_confirmed and acquired.tokens.rung != "browser"
        return is_plain and self._has_old_nonce and is_doubtful and self._ladder.has_browser

    async def _ask_browser(self, acquired: Acquired) -> Acquired:
        """Tokens from the browser, or the same ones without a browser. No others are tried after them."""
        self.renewals += 1
        try:
            found = await self.acquire()
        except ChatGpttError as failure:
            finding = Finding(rung="browser", saw=failure.message)
            return acquired._replace(findings=(*acquired.findings, *failure.findings, finding))
        self._has_old_nonce = found.tokens.nonce in self._rejected
        return found

    # An endpoint whose address was guessed

    async def _look_elsewhere(self, acquired: Acquired, error: ChatGpttError) -> Acquired:
        """The tokens with the next place of the endpoint; the error, where no other is known."""
        self._wrong_places.add(acquired.tokens.box.ajax_url)
        _log.info("%s; its address was guessed", error)
        other = self._maybe_next_place(acquired)
        if other is not None:
            return other
        error.hint += "; the page does not name its endpoint: its address was guessed"
        if acquired.tokens.rung == "browser" or not self._ladder.has_browser:
            raise error
        last_resort = Acquisition(
            wanted=self._wanted,
            deadline=self._deadline,
            wrong_places=frozenset(self._wrong_places),
            is_last_resort=True,
        )
        try:
            found = self._take(await self._ladder.acquire_anew(last_resort))
        except ChatGpttError as failure:
            finding = Finding(rung="browser", saw=failure.message)
            error.findings = (*error.findings, *failure.findings, finding)
            raise error from failure
        if found.tokens.box.ajax_url in self._wrong_places:
            raise error
        return found

    def _maybe_next_place(self, acquired: Acquired) -> Acquired | None:
        """The tokens with the next guess at the endpoint; None where all were tried."""
        box = acquired.tokens.box
        url = next((url for url in box.ajax_guesses if url not in self._wrong_places), None)
        if url is None:
            return None
        return acquired._replace(tokens=replace(acquired.tokens, box=replace(box, ajax_url=url)))


def _without_rejection(error: ChatGpttError) -> ChatGpttError:
    """The error for a rejected nonce that the site shows past all caches too: the nonce is not the cause."""
    if not isinstance(error, TokenRejectedError) or error.otherwise is None:
        return error
    error.otherwise.findings = error.findings
    return error.otherwise


def _may_be_rejection(error: ChatGpttError, tokens: Tokens) -> bool:
    """Whether a refusal in unknown words may be a nonce's rejection; fresh tokens that differ prove it."""
    if not isinstance(error, RefusedError) or error.is_certain:
        return False
    return PROTOCOLS[tokens.box.protocol].may_be_rejection(error.reason, tokens.box.plugin_version)
