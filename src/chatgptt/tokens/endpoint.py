"""The rung that asks the site itself: the protocol's nonce action, or another page that no cache has.

2.x from 2.3.41 on hands out nonces (docs/protocols.md A6). Everything else has none to ask, but guests
share one nonce on the whole site, and 1.x prints it on every page; so a page that nobody has asked for
before, and that no cache can hold, will do (W7).

These are guesses. A site that refuses one (by a status, a wall or a challenge) has said nothing about the
page: that is a finding. Only a passing failure (no connection, a failing or a busy site) ends the search.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from chatgptt._errors import AnswerError, ChallengeError, ChatGpttError, PageError, TokenRejectedError
from chatgptt._models import ChatBox, Rung, Tokens
from chatgptt.net.retry import retry
from chatgptt.protocols import aipkit, wpaicg
from chatgptt.protocols.boxes import find_boxes
from chatgptt.protocols.failures import MAX_FAILURE_BYTES, read_failure
from chatgptt.tokens.ladder import Climb
from chatgptt.tokens.static import PageReader, make_tokens, refuse_walled

__all__ = ["EndpointRung"]


@dataclass(frozen=True, slots=True)
class _Source:
    """One place to ask, in words for the finding."""

    words: str
    ask: Callable[[], Awaitable[str | None]]


class EndpointRung:
    """Asks the site for a nonce past all caches."""

    name: Rung = "endpoint"

    def __init__(self, reader: PageReader, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._reader = reader
        self._sleep = sleep

    async def climb(self, climb: Climb) -> Tokens | None:
        """See RungOfLadder."""
        if climb.box is None or climb.page is None:
            return None
        for source in self._sources(climb, climb.box):
            try:
                nonce = await source.ask()
            except ChatGpttError as error:
                if not _is_definite(error):
                    raise
                if isinstance(error, ChallengeError) or (isinstance(error, PageError) and error.is_block):
                    climb.wall = climb.wall or error
                climb.saw(self.name, f"{source.words}: {error.message}")
                continue
            if nonce is None:
                climb.saw(self.name, f"{source.words}: no usable nonce")
                continue
            tokens = make_tokens(climb, climb.box, nonce, self.name, self._reader)
            if nonce not in climb.rejected:
                return tokens
            climb.again = tokens
            climb.times_again += 1
            climb.saw(self.name, f"{source.words}: the nonce that was rejected")
        return None

    def _sources(self, climb: Climb, box: ChatBox) -> list[_Source]:
        assert climb.page is not None
        page, home = climb.page.url, climb.page.home
        sources = []
        if box.protocol == "aipkit":
            sources.append(_Source("the nonce action", lambda: self._ask_action(climb, box)))
        if not climb.rejected:  # else the page was fetched past caches already
            sources.append(_Source("the page past caches", lambda: self._ask_page(climb, page)))
        if box.protocol == "wpaicg":
            unknown = f"{home}{secrets.token_hex(8)}/"
            sources.append(_Source("an unknown page of the site", lambda: self._ask_page(climb, unknown)))
            sources.append(_Source("the site's front page", lambda: self._ask_page(climb, home)))
        return sources

    async def _ask_action(self, climb: Climb, box: ChatBox) -> str | None:
        """What the nonce action says; where its address is a guess, at the first place that has one."""
        places = box.ajax_guesses or (box.ajax_url,)
        for place in places:
            try:
                nonce = await self._ask_action_at(replace(box, ajax_url=place), climb)
            except PageError as error:
                if error.status != 404 or place == places[-1]:
                    raise
                continue
            climb.box = replace(box, ajax_url=place, ajax_guesses=())
            return nonce
        return None

    async def _ask_action_at(self, box: ChatBox, climb: Climb) -> str | None:
        request = aipkit.build_nonce_request(box)

        async def send() -> str | None:
            climb.requests += 1
            async with await self._reader.transport.send(
                request, page=climb.wanted.page, deadline=climb.deadline
            ) as reply:
                body = (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace")
            nonce = aipkit.maybe_fresh_nonce(reply.head, body)
            if nonce is None:
                failure = read_failure(reply.head, body, is_endpoint=True)
                if not isinstance(failure, AnswerError):  # most versions do not know the action, and say so
                    raise failure
            return nonce

        return await retry(
            send,
            is_message=False,
            policy=self._reader.policy,
            remaining=climb.deadline.remaining,
            sleep=self._sleep,
        )

    async def _ask_page(self, climb: Climb, url: str) -> str | None:
        page, head = await self._reader.fetch(url, climb, is_fresh=True, accepts_errors=True)
        assert climb.box is not None
        if climb.box.protocol == "wpaicg":
            nonce = await self._reader.look(page, climb, wpaicg.find_page_nonce)
            if nonce is not None:
                return nonce
        boxes = await self._reader.look(page, climb, find_boxes)
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
