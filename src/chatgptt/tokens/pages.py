"""Reads pages: fetches and parses them, follows their refreshes, and tells a page from everything else."""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from chatgptt._errors import ChatBoxNotFoundError
from chatgptt._models import ChatBox, ReplyHead, Rung, Tokens
from chatgptt.net.clients import Trace
from chatgptt.net.deadline import in_time
from chatgptt.net.http import MAX_REDIRECTS, OpenReply, Transport
from chatgptt.net.retry import RetryPolicy, retry
from chatgptt.protocols.box_choice import box_elsewhere, choose_box, find_boxes, foreign_sites
from chatgptt.protocols.page import Page, maybe_nonce
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES
from chatgptt.protocols.reply_errors import (
    MAX_FAILURE_BYTES,
    maybe_wall_error,
    no_web_page,
    of_reply,
    read_failure,
)
from chatgptt.protocols.text import is_html
from chatgptt.tokens.acquisition import Acquisition, MissingBox, PageFacts
from chatgptt.visits.current import CurrentVisit

_Value = TypeVar("_Value")

_LARGE_BYTES = 16 * 1024
"""From this size on a page is read in a thread, which costs a tenth of a millisecond. A smaller one that was
made to be slow takes the parser some hundredths of a second, one of 64 kB a third of one."""

_MAX_DELAY = 5.0
"""Seconds. A page that leads on later wants to be read first; its target is named and not followed."""


class PageReader:
    """Reads the pages of a site, with repeats as the policy allows. `clock` gives Unix time in seconds.

    A `visit` that has ended is told from a page without a box.
    """

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        visit: CurrentVisit | None = None,
    ) -> None:
        self._visit = visit or CurrentVisit()
        self.transport = transport
        self._policy = policy
        self._clock = clock
        self._sleep = sleep

    async def read(self, known: PageFacts, acquisition: Acquisition) -> PageFacts:
        """What the wanted page shows, without running it. A box that is `known` stays where it shows none.

        Raises:
            ChallengeError: where a bot protection's page stands in for the site's.
            PageError: where a block does.
            RefusedError: where the login of a visit has ended.
        """
        page, head, boxes, leads_on = await self._follow(acquisition, is_fresh=bool(acquisition.rejected))
        if boxes and self._visit.is_shown_as_guest(page):
            if not acquisition.rejected:  # a cache may have kept it
                page, head, boxes, leads_on = await self._follow(acquisition, is_fresh=True)
            self._visit.advice_for(page)
        wanted = acquisition.wanted
        foreign = () if wanted.ajax_url else await self.search(page, acquisition, foreign_sites)
        facts = PageFacts(page=page, head=head, boxes=boxes, box=known.box, foreign_sites=foreign)
        try:
            if foreign and not boxes:
                raise box_elsewhere(foreign, page.url)
            return facts._replace(box=choose_box(boxes, wanted.bot, page.url))
        except ChatBoxNotFoundError as error:
            missing = MissingBox.of(error, head.status)
        if not (boxes or foreign):
            missing = _explained(missing, leads_on, self._visit.advice_for(page))
        return facts._replace(missing=missing)

    async def _follow(
        self, acquisition: Acquisition, *, is_fresh: bool
    ) -> tuple[Page, ReplyHead, tuple[ChatBox, ...], str]:
        """The page at the end of refreshes, which are followed as redirects are; its boxes; and in words
        where it leads still. A page with a box leads nowhere.
        """
        wanted = acquisition.wanted
        url, hops, known = wanted.page, 0, {wanted.page}
        while True:
            page, head = await self.fetch(url, acquisition, is_fresh=is_fresh, trace=acquisition.trace)
            hops += head.redirects
            head = replace(head, redirects=hops)
            boxes = await self.search(page, acquisition, lambda page: find_boxes(page, wanted.ajax_url))
            if boxes:
                return page, head, boxes, ""
            refuse_walled(head, page.beginning)
            refresh = page.refresh(head.headers.get("refresh", ""))
            if refresh is None:
                return page, head, boxes, ""
            delay, url = refresh
            if url in known or url == page.url:
                return page, head, boxes, f"it reloads itself after {delay:g} s"
            if delay > _MAX_DELAY or hops >= MAX_REDIRECTS:
                return page, head, boxes, f"it leads on to {url[:300]} after {delay:g} s"
            hops += 1
            known.add(url)

    async def fetch(
        self,
        url: str,
        acquisition: Acquisition,
        *,
        is_fresh: bool = False,
        accepts_errors: bool = False,
        trace: Trace | None = None,
    ) -> tuple[Page, ReplyHead]:
        """A page, parsed, with the head of its reply.

        Args:
            url: where it is.
            acquisition: its deadline bounds the request, which is counted there.
            is_fresh: whether caches are asked to stand aside.
            accepts_errors: whether a 404 page will do: it shows the site's nonce too.
            trace: gets the events of the connection.

        Raises:
            ChatGpttError: for no HTML, an error status, or no connection.
        """

        async def send() -> tuple[Page, ReplyHead]:
            acquisition.requests += 1
            target = past_caches(url) if is_fresh else url
            async with await self.transport.get_page(
                target, deadline=acquisition.deadline, is_fresh=is_fresh, trace=trace
            ) as reply:
                body, head = await _read_page(reply, accepts_errors=accepts_errors)
            parse = partial(Page, body, head.url, is_cut=len(body) > MAX_PAGE_BYTES)
            return await self.aside(parse, len(body), acquisition), head

        return await self.repeat(send, acquisition)

    async def fetch_script(self, url: str, acquisition: Acquisition) -> str:
        """The text of a script of the site; "" for anything else."""
        acquisition.requests += 1
        async with await self.transport.get_page(url, deadline=acquisition.deadline) as reply:
            if reply.head.status != 200 or "html" in reply.head.headers.get("content-type", ""):
                return ""
            return (await reply.read(MAX_PAGE_BYTES)).decode("utf-8", "replace")

    async def repeat(self, send: Callable[[], Awaitable[_Value]], acquisition: Acquisition) -> _Value:
        """The result of a request without a message, repeated as the policy allows."""
        return await retry(
            send,
            is_message=False,
            policy=self._policy,
            remaining=acquisition.deadline.remaining,
            sleep=self._sleep,
        )

    async def search(self, page: Page, acquisition: Acquisition, find: Callable[[Page], _Value]) -> _Value:
        """What `find` finds in a page, as far as the deadline leaves time for it."""
        return await self.aside(lambda: find(page), page.size_bytes, acquisition)

    async def aside(self, work: Callable[[], _Value], size_bytes: int, acquisition: Acquisition) -> _Value:
        """The result of work on a page; a large one is worked on in a thread, which can only be left."""
        if size_bytes < _LARGE_BYTES:
            return work()
        return await in_time(
            anyio.to_thread.run_sync(work, abandon_on_cancel=True),
            acquisition.deadline,
            doing=f"a page of {size_bytes / 2**20:.1f} MB was read",
            url=acquisition.wanted.page,
        )

    def make_tokens(self, facts: PageFacts, acquisition: Acquisition, nonce: str, rung: Rung) -> Tokens:
        """Tokens for the box of `facts`, with the cookies that came along."""
        assert facts.box is not None
        assert facts.page is not None
        assert maybe_nonce(nonce)
        return Tokens(
            box=replace(facts.box, nonce=nonce, found_by=rung),
            nonce=nonce,
            page=facts.page.url,
            rung=rung,
            acquired_at=self._clock(),
            # Those of a visit are in its own file.
            cookies=() if self._visit.is_in_use else self.transport.cookies_for(acquisition.wanted.page),
        )


def _explained(missing: MissingBox, leads_on: str, advice: str) -> MissingBox:
    """With where the page leads, and with what a person or a browser might still find."""
    hint = 'if scripts make its chat box: --strategy browser, in Python strategy="browser"'
    message = f"{missing.message}; {leads_on}" if leads_on else missing.message
    return missing._replace(message=message, hint="; ".join(filter(None, (advice, missing.hint, hint))))


async def _read_page(reply: OpenReply, *, accepts_errors: bool) -> tuple[bytes, ReplyHead]:
    head = replace(reply.head, url=without_mark(reply.head.url))
    media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if head.status >= 400 and not (accepts_errors and head.status == 404):
        raise read_failure(head, (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace"))
    if media_type not in ("", "text/html", "application/xhtml+xml", "text/plain"):
        refuse_walled(head, (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace"))
        raise of_reply(head, no_web_page(f"it is {media_type}"))
    body = await reply.read(MAX_PAGE_BYTES + 1)
    if media_type in ("", "text/plain") and not is_html(body[:4096].decode("utf-8", "replace")):
        refuse_walled(head, body[:MAX_FAILURE_BYTES].decode("utf-8", "replace"))
        raise of_reply(head, no_web_page("it does not look like HTML"))
    return body, head


def refuse_walled(head: ReplyHead, body: str) -> None:
    """Looks at what has no chat box.

    Raises:
        ChallengeError: where a bot protection answered.
        PageError: where a firewall or security plugin blocked the request.
    """
    walled = maybe_wall_error(head, body)
    if walled is not None:
        raise walled


def past_caches(url: str) -> str:
    """`url` with a query that is new to every cache."""
    head, _, fragment = url.partition("#")
    mark = "&" if "?" in head else "?"
    return f"{head}{mark}nocache={secrets.token_hex(6)}{'#' + fragment if fragment else ''}"


def without_mark(url: str) -> str:
    """The URL that `past_caches` was given, wherever a redirect has taken it since."""
    return re.sub(r"[?&]nocache=[0-9a-f]{12}(?=[#]|$)|(?<=[?&])nocache=[0-9a-f]{12}&", "", url)
