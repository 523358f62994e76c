"""The rung that asks the site itself: the protocol's nonce action, or another page that no cache has.

2.x from 2.3.41 on hands out nonces (docs/protocols.md A6). Other versions have no nonce action. But all
guests of a site share one nonce, and 1.x prints it on every page. So any page will do that was never asked
for before, since no cache can hold it (W7).

These are guesses. A site that refuses one (by a status, a wall or a challenge) has said nothing about the
page: that is a finding. Only a passing failure (no connection, a failing or a busy site) ends the search.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

from chatgptt._errors import (
    AnswerError,
    ChallengeError,
    ChatGpttError,
    Finding,
    PageError,
    TokenRejectedError,
)
from chatgptt._models import ChatBox, Request, Rung, Tokens
from chatgptt.protocols.box_choice import find_boxes
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.reply_errors import MAX_FAILURE_BYTES, read_failure
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts
from chatgptt.tokens.pages import PageReader, refuse_walled


class EndpointRung:
    """Asks the site for a nonce past all caches."""

    name: Rung = "endpoint"

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder.

        Raises:
            ChallengeError: where a bot protection answered in the place of a nonce.
            PageError: where a block did.
        """
        if facts.box is None or facts.page is None:
            return Outcome(facts=facts)
        return await _Search(self._reader, facts, facts.box, acquisition).run()


class _Search:
    """One search for a nonce that is not in the page."""

    def __init__(self, reader: PageReader, facts: PageFacts, box: ChatBox, acquisition: Acquisition) -> None:
        self._reader = reader
        self._facts = facts
        self._box = box
        self._protocol = PROTOCOLS[box.protocol]
        self._acquisition = acquisition

    async def run(self) -> Outcome:
        """The first nonce that was not rejected."""
        findings: list[Finding] = []
        walls: list[ChatGpttError] = []
        doubtful: list[Tokens] = []
        for words, ask in self._places():
            try:
                nonce = await ask()
            except ChatGpttError as error:
                if not _is_definite(error):
                    error.findings = tuple(findings)
                    raise
                if isinstance(error, ChallengeError) or (isinstance(error, PageError) and error.is_block):
                    walls.append(error)
                findings.append(Finding(rung="endpoint", saw=f"{words}: {error.message}"))
                continue
            if nonce is None:
                findings.append(Finding(rung="endpoint", saw=f"{words}: no usable nonce"))
                continue
            facts = self._facts._replace(box=self._box)
            tokens = self._reader.make_tokens(facts, self._acquisition, nonce, "endpoint")
            if nonce not in self._acquisition.rejected:
                return Outcome(facts=facts, tokens=tokens, findings=tuple(findings))
            doubtful.append(tokens)
            findings.append(Finding(rung="endpoint", saw=f"{words}: the nonce that was rejected"))
        if walls and not doubtful:
            walls[0].findings = tuple(findings)
            raise walls[0]
        return Outcome(
            facts=self._facts._replace(box=self._box),
            doubtful=doubtful[-1] if doubtful else None,
            places=len(doubtful),
            findings=tuple(findings),
        )

    def _places(self) -> list[tuple[str, Callable[[], Awaitable[str | None]]]]:
        """Where to ask, each in words for the finding."""
        assert self._facts.page is not None
        page, home = self._facts.page.url, self._facts.page.home
        places: list[tuple[str, Callable[[], Awaitable[str | None]]]] = []
        if self._protocol.build_nonce_request(self._box) is not None:
            places.append(("the nonce action", self._ask_action))
        if not self._acquisition.rejected:  # else the page was fetched past caches already
            places.append(("the page past caches", lambda: self._ask_page(page)))
        if self._protocol.PARAMS:
            unknown = f"{home}{secrets.token_hex(8)}/"
            places.append(("an unknown page of the site", lambda: self._ask_page(unknown)))
            places.append(("the site's front page", lambda: self._ask_page(home)))
        return places

    async def _ask_action(self) -> str | None:
        """What the nonce action says; where its address is a guess, at the first place that has one."""
        guesses = self._box.ajax_guesses or (self._box.ajax_url,)
        for url in guesses:
            try:
                request = self._protocol.build_nonce_request(replace(self._box, ajax_url=url))
                nonce = None if request is None else await self._send(request)
            except PageError as error:
                if error.status != 404 or url == guesses[-1]:
                    raise
                continue
            self._box = replace(self._box, ajax_url=url, ajax_guesses=())
            return nonce
        return None

    async def _send(self, request: Request) -> str | None:
        acquisition = self._acquisition

        async def send() -> str | None:
            acquisition.requests += 1
            async with await self._reader.transport.send(
                request, page=acquisition.wanted.page, deadline=acquisition.deadline
            ) as reply:
                body = (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace")
            nonce = self._protocol.maybe_fresh_nonce(reply.head, body)
            if nonce is None:
                failure = read_failure(reply.head, body, is_endpoint=True)
                if not isinstance(failure, AnswerError):  # most versions do not know the action, and say so
                    raise failure
            return nonce

        return await self._reader.repeat(send, acquisition)

    async def _ask_page(self, url: str) -> str | None:
        page, head = await self._reader.fetch(url, self._acquisition, is_fresh=True, accepts_errors=True)
        nonce = await self._reader.search(page, self._acquisition, self._protocol.find_page_nonce)
        if nonce is not None:
            return nonce
        boxes = await self._reader.search(page, self._acquisition, find_boxes)
        if not boxes:
            refuse_walled(head, page.beginning)
        return next((box.nonce for box in boxes if box.nonce), None)


def _is_definite(error: ChatGpttError) -> bool:
    """Whether asking again later would give the same answer, as far as one can tell."""
    match error:
        case AnswerError() | TokenRejectedError() | ChallengeError():
            return True
        case PageError():
            return error.is_block or error.status is None or error.status < 500
        case _:
            return False
