"""The rungs that read the page as it is served: the box's attributes, then the rest. Nothing is run."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from chatgptt._errors import ChatBoxNotFoundError, ChatGpttError, PageError
from chatgptt._models import ChatBox, ReplyHead, Rung, Tokens
from chatgptt.net.deadline import in_time
from chatgptt.net.http import MAX_REDIRECTS, OpenReply, Transport
from chatgptt.net.retry import RetryPolicy, retry
from chatgptt.protocols import wpaicg
from chatgptt.protocols.boxes import box_elsewhere, choose_box, find_boxes, foreign_sites
from chatgptt.protocols.failures import MAX_FAILURE_BYTES, is_html, read_failure, wall_error
from chatgptt.protocols.page import MAX_PAGE_BYTES, Page, maybe_nonce
from chatgptt.protocols.walls import maybe_wall
from chatgptt.tokens.ladder import Climb, past_caches, without_mark

__all__ = ["HtmlRung", "PageReader", "ScriptRung", "make_tokens", "refuse_walled"]

_Value = TypeVar("_Value")

_LARGE_BYTES = 16 * 1024
"""From this size on a page is read in a thread, which costs a tenth of a millisecond. A smaller one that was
made to be slow takes the parser some hundredths of a second, one of 64 kB a third of one."""

_MAX_SCRIPTS = 3
_MAX_SCRIPT_BYTES = 2 * 2**20


class PageReader:
    """Fetches pages, repeated as the policy allows, and tells a page from everything else."""

    def __init__(
        self,
        transport: Transport,
        policy: RetryPolicy,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.transport = transport
        self.policy = policy
        self.clock = clock
        self._sleep = sleep

    async def fetch(
        self,
        url: str,
        climb: Climb,
        *,
        is_fresh: bool = False,
        accepts_errors: bool = False,
    ) -> tuple[Page, ReplyHead]:
        """A page, parsed, with the head of its reply.

        Args:
            url: where it is.
            climb: its deadline bounds the request, which is counted there.
            is_fresh: whether caches are to be asked to stand aside.
            accepts_errors: whether a 404 page will do: it shows the site's nonce too.

        Raises:
            ChatGpttError: for no HTML, an error status, or no connection.
        """

        async def send() -> tuple[Page, ReplyHead]:
            climb.requests += 1
            target = past_caches(url) if is_fresh else url
            async with await self.transport.get_page(
                target, deadline=climb.deadline, is_fresh=is_fresh, trace=climb.trace
            ) as reply:
                return await self._read(reply, climb, accepts_errors=accepts_errors)

        return await retry(
            send, is_message=False, policy=self.policy, remaining=climb.deadline.remaining, sleep=self._sleep
        )

    async def look(self, page: Page, climb: Climb, find: Callable[[Page], _Value]) -> _Value:
        """What `find` finds in a page, as far as the deadline leaves time for it."""
        return await _aside(lambda: find(page), page.size_bytes, climb)

    async def fetch_script(self, url: str, climb: Climb) -> str:
        """The text of a script of the site; "" for anything else."""
        climb.requests += 1
        async with await self.transport.get_page(url, deadline=climb.deadline) as reply:
            if reply.head.status != 200 or "html" in reply.head.headers.get("content-type", ""):
                return ""
            return (await reply.read(_MAX_SCRIPT_BYTES)).decode("utf-8", "replace")

    async def _read(self, reply: OpenReply, climb: Climb, *, accepts_errors: bool) -> tuple[Page, ReplyHead]:
        body, head = await _read_page(reply, accepts_errors=accepts_errors)
        page = await _aside(
            lambda: Page(_as_utf8(body, head), head.url, is_cut=len(body) > MAX_PAGE_BYTES), len(body), climb
        )
        return page, head


async def _aside(work: Callable[[], _Value], size_bytes: int, climb: Climb) -> _Value:
    """The result of work on a page, that of a large one from a thread: it cannot be stopped, only left."""
    if size_bytes < _LARGE_BYTES:
        return work()
    return await in_time(
        anyio.to_thread.run_sync(work, abandon_on_cancel=True),
        climb.deadline,
        doing=f"a page of {size_bytes / 2**20:.1f} MB was read",
        url=climb.wanted.page,
    )


async def _read_page(reply: OpenReply, *, accepts_errors: bool) -> tuple[bytes, ReplyHead]:
    head = replace(reply.head, url=without_mark(reply.head.url))
    media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
    if head.status >= 400 and not (accepts_errors and head.status == 404):
        raise read_failure(head, (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace"))
    if media_type not in ("", "text/html", "application/xhtml+xml", "text/plain"):
        refuse_walled(head, (await reply.read(MAX_FAILURE_BYTES)).decode("utf-8", "replace"))
        raise _no_page(head, f"it is {media_type}")
    body = await reply.read(MAX_PAGE_BYTES + 1)
    if media_type in ("", "text/plain") and not is_html(body[:4096].decode("utf-8", "replace")):
        refuse_walled(head, body[:MAX_FAILURE_BYTES].decode("utf-8", "replace"))
        raise _no_page(head, "it does not look like HTML")
    return body, head


def refuse_walled(head: ReplyHead, body: str) -> None:
    """Looks at what has no chat box.

    Raises:
        ChallengeError: where a bot protection answered.
        PageError: where a firewall or security plugin blocked the request.
    """
    wall = maybe_wall(head, body)
    if wall is not None:
        raise wall_error(head, wall, body)


def _no_page(head: ReplyHead, what: str) -> PageError:
    return PageError(
        f"the address answers with no web page: {what}",
        hint="give the address of the page that shows the chat",
        url=head.url,
        status=head.status,
    )


def _as_utf8(body: bytes, head: ReplyHead) -> bytes:
    """The page in UTF-8, which the parser takes; only names of bots depend on it.

    Python's codecs are more than character sets (`unicode_escape`, `idna`, `undefined`): the page has no
    say in those.
    """
    declared = re.search(r"charset=[\"']?([\w-]+)", head.headers.get("content-type", "")) or re.search(
        r"charset=[\"']?([\w-]+)", body[:1024].decode("latin-1"), re.I
    )
    if declared is None or not _CHARSET.fullmatch(declared[1]):
        return body
    try:
        return body.decode(declared[1], "replace").encode()
    except (LookupError, UnicodeError):
        return body


_CHARSET = re.compile(
    r"(?:us-)?ascii|latin-?[1-9]|iso[-_]?8859-\d+|windows-\d+|cp\d+|koi8-[rtu]|macintosh|utf-16(?:be|le)?|"
    r"shift[-_]jis|euc-(?:jp|kr)|iso-2022-jp|gb2312|gbk|gb18030|big5(?:-hkscs)?|tis-620",
    re.I,
)
"""The character sets of web pages, UTF-8 aside."""


class HtmlRung:
    """Gets the page and takes the attributes of the box's own element."""

    name: Rung = "html"

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def climb(self, climb: Climb) -> Tokens | None:
        """See RungOfLadder."""
        await self.look(climb)
        if climb.box is None:
            return None
        if climb.box.nonce is None:
            climb.saw(self.name, f"the {climb.box.kind} box of bot {climb.box.bot_id} shows no usable nonce")
            return None
        return make_tokens(climb, climb.box, climb.box.nonce, self.name, self._reader)

    async def look(self, climb: Climb) -> None:
        """Finds the page's boxes and the wanted one; a page without it is noted as `missing`.

        Raises:
            ChallengeError: where a bot protection's page stands in for the site's.
            PageError: where a block does.
        """
        page, head, ahead = await self._arrive(climb)
        climb.page, climb.head = page, head
        if not climb.wanted.ajax_url:
            climb.elsewhere = await self._reader.look(page, climb, foreign_sites)
        for site in climb.elsewhere:
            climb.saw(
                self.name, f"a chat box on the page belongs to another site, {site[:200]}; it is not asked"
            )
        try:
            if climb.elsewhere and not climb.boxes:
                raise box_elsewhere(climb.elsewhere, page.url)
            climb.box = choose_box(climb.boxes, climb.wanted.bot, page.url)
        except ChatBoxNotFoundError as error:
            error.status = head.status
            if not (climb.boxes or climb.elsewhere):
                error = _explained(error, ahead)
            climb.missing = error
            cut = "; the page was cut off for its size or depth" if page.is_cut else ""
            number = len(climb.boxes)
            boxes = f"{number or 'no'} box{'' if number == 1 else 'es'}"
            climb.saw(self.name, f"HTTP {head.status}, title {page.title!r}, {boxes}{cut}")

    async def _arrive(self, climb: Climb) -> tuple[Page, ReplyHead, str]:
        """The page at the end of refreshes, followed as redirects are, and in words where it leads still.

        A page with a box leads nowhere.
        """
        url, endpoint = climb.wanted.page, climb.wanted.ajax_url
        hops, known = 0, {url}
        while True:
            page, head = await self._reader.fetch(url, climb, is_fresh=bool(climb.rejected))
            hops += head.redirects
            head = replace(head, redirects=hops)
            climb.boxes = await self._reader.look(page, climb, lambda page: find_boxes(page, endpoint))
            if climb.boxes:
                return page, head, ""
            refuse_walled(head, page.beginning)
            refresh = page.refresh(head.headers.get("refresh", ""))
            if refresh is None:
                return page, head, ""
            delay, url = refresh
            if url in known or url == page.url:
                return page, head, f"it reloads itself after {delay:g} s"
            if delay > _MAX_DELAY or hops >= MAX_REDIRECTS:
                return page, head, f"it leads on to {url[:300]} after {delay:g} s"
            hops += 1
            known.add(url)


_MAX_DELAY = 5.0
"""Seconds. What leads on later lets its visitor read first; it is named and not followed."""


def _explained(error: ChatBoxNotFoundError, ahead: str) -> ChatBoxNotFoundError:
    """The error with where the page leads, and with what a browser might still find."""
    return ChatBoxNotFoundError(
        f"{error.message}; {ahead}" if ahead else error.message,
        hint=f'{error.hint}; if scripts make its chat box: --strategy browser, in Python strategy="browser"',
        url=error.url,
        status=error.status,
    )


class ScriptRung:
    """Reads the nonce elsewhere in the page: from another box of the same generation, since all of them share
    one (C2), from the page's scripts, or from those that an optimiser moved out of the page (C3).
    """

    name: Rung = "script"

    def __init__(self, reader: PageReader) -> None:
        self._reader = reader

    async def climb(self, climb: Climb) -> Tokens | None:
        """See RungOfLadder."""
        if climb.box is None or climb.page is None:
            return None
        shared = _maybe_shared_nonce(climb, climb.box)
        if shared is not None:
            return make_tokens(climb, climb.box, shared, self.name, self._reader)
        if climb.box.protocol == "aipkit":
            climb.saw(self.name, "2.x keeps no nonce in scripts")
            return None
        nonce = await self._reader.look(climb.page, climb, wpaicg.find_page_nonce)
        if nonce is None:
            nonce = await self._find_in_files(climb, climb.page)
        if nonce is None:
            climb.saw(self.name, f"no script of the page holds {wpaicg.PARAMS} with a usable nonce")
            return None
        return make_tokens(climb, climb.box, nonce, self.name, self._reader)

    async def _find_in_files(self, climb: Climb, page: Page) -> str | None:
        scripts = await self._reader.look(page, climb, lambda page: page.combined_scripts)
        for url in scripts[:_MAX_SCRIPTS]:
            try:
                script = await self._reader.fetch_script(url, climb)
            except ChatGpttError as error:
                climb.saw(self.name, f"a combined script could not be read: {error.message}")
                continue
            nonce = await _aside(partial(wpaicg.find_script_nonce, script), len(script), climb)
            if nonce is not None:
                return nonce
        return None


def _maybe_shared_nonce(climb: Climb, wanted: ChatBox) -> str | None:
    """The nonce of another box of the page, unless the site rejected it."""
    nonces = [box.nonce for box in climb.boxes if box.protocol == wanted.protocol]
    return next((nonce for nonce in nonces if nonce is not None and nonce not in climb.rejected), None)


def make_tokens(climb: Climb, box: ChatBox, nonce: str, rung: Rung, reader: PageReader) -> Tokens:
    """Tokens for the wanted box, with the cookies that came along."""
    assert climb.page is not None
    assert maybe_nonce(nonce)
    return Tokens(
        box=replace(box, nonce=nonce, found_by=rung),
        nonce=nonce,
        page=climb.page.url,
        rung=rung,
        acquired_at=reader.clock(),
        cookies=reader.transport.cookies_for(climb.wanted.page),
    )
