"""The last rung: runs the page in a browser until its scripts have made the tokens.

It waits for a plausible and stable value, never for "load" or "idle", which some pages don't reach. Scripts
that wait for a visitor get real input after a moment, then a popup's own button is pressed. Nothing is agreed
to: a chat that waits for consent is reported, and so is a challenge, as soon as it is recognised.

The page's last document counts. An error page may have a script that loads the page again, as the cookie
checks of hosts do. It gets a moment for that, and then the document that is there counts.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import anyio

from chatgptt._errors import (
    BrowserError,
    ChallengeError,
    ChatGpttError,
    Finding,
    PageError,
    RefusedError,
    TransportError,
)
from chatgptt._models import ReplyHead, Rung, StoredCookie, Tokens
from chatgptt.browser.observations import Candidate, PageObservations
from chatgptt.browser.page_events import Document, PageListener
from chatgptt.browser.page_hints import hints_at_chat, needs_scripts, waits_for_consent
from chatgptt.browser.shared import SharedBrowser
from chatgptt.browser.tab import Crashed, Tab
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy, retry
from chatgptt.protocols.boxes import NO_BOX_HINT, box_elsewhere
from chatgptt.protocols.failures import CHALLENGE_HINT, read_failure, wall_error
from chatgptt.protocols.walls import Wall, maybe_wall
from chatgptt.tokens.acquisition import Acquisition, MissingBox, Outcome, PageFacts, foreign_box
from chatgptt.tokens.ladder import NOT_FOUND
from chatgptt.tokens.pages import past_caches, without_mark

__all__ = ["BrowserRung"]

# Seconds.
_BEFORE_INPUT = 0.3
"""After the document is there: scripts that only need a moment are done by then."""
_BETWEEN_INPUTS = 0.7
_PATIENCE = 12.0
"""After all input, where a box is there: scripts may wait for others that load."""
_PATIENCE_WITHOUT_BOX = 3.0
_PATIENCE_FOR_CONSENT = 1.0
"""A script that waits for the visitor to agree waits for ever here."""
_PATIENCE_WITH_ERROR = 3.0
"""An error page may have a script that goes on; most do so at once."""
_MOST_RELOADS = 3
"""Error pages in a row. A script that loads a page again does so because a visitor gets past it that way."""
_SLOW_DOCUMENT = 5.0
"""A document that is not complete by now gets its input all the same."""

_MOST_STARTS = 10
"""Documents that get input. A page that goes on to more than these does not wait for a visitor."""

_MOST_PLACES = 5
"""Findings about boxes of other sites."""

_NO_HINT = "not run: nothing on the page hints at a chat that scripts make"

_MAY_GO_ON = re.compile(r"<script|http-equiv\s*=\s*[\"']?refresh", re.I)
"""The parts of an error page that may lead to another document."""


class BrowserRung:
    """Runs the page in a browser.

    Args:
        browser: where the tabs come from.
        identity_for: the visitor of a page, by the page's URL.
        policy: how often and how patiently a visit that fails for a passing reason is repeated.
        cookies_for: what the visitor has of a page's site.
        reach_of: where a page's site may lead.
        clock: Unix time in seconds.
        sleep: waits that many seconds.
    """

    name: Rung = "browser"

    def __init__(
        self,
        browser: SharedBrowser,
        identity_for: Callable[[str], VisitorIdentity],
        policy: RetryPolicy,
        *,
        cookies_for: Callable[[str], tuple[StoredCookie, ...]],
        reach_of: Callable[[str], Reach],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._browser = browser
        self._identity_for = identity_for
        self._policy = policy
        self._cookies_for = cookies_for
        self._reach_of = reach_of
        self._clock = clock
        self._sleep = sleep

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        if facts.missing is not None and facts.page is not None and not acquisition.is_last_resort:
            if facts.boxes or facts.foreign_sites:
                return Outcome(
                    facts=facts
                )  # the page has its boxes, and not the wanted one, or another site's
            if not hints_at_chat(facts.page):
                return Outcome(facts=facts, findings=(_finding(_NO_HINT),))
        try:
            return await retry(
                lambda: self._visit(facts, acquisition),
                is_message=False,
                policy=self._policy,
                remaining=acquisition.deadline.remaining,
                sleep=self._sleep,
            )
        except BrowserError as error:
            if error.code != "browser_missing" or facts.page is None:
                raise
            if facts.box is not None:
                error.message = f"{NOT_FOUND}, and {error.message}"
                error.args = (error.message,)
                error.url = error.url or acquisition.wanted.page
                raise
            if facts.missing is None or needs_scripts(facts.page):
                raise
            # Little says that scripts would make a box here: that there is none is the better answer.
            hint = f"{NO_BOX_HINT}; if scripts make its chat box, {error.hint}"
            return Outcome(
                facts=replace(facts, missing=replace(facts.missing, hint=hint)),
                findings=(_finding(f"not run: {error.message}"),),
            )

    async def _visit(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        deadline = acquisition.deadline
        try:
            with anyio.fail_after(deadline.remaining()):
                try:
                    return await self._visit_once(facts, acquisition)
                except Crashed as error:
                    crashed = _finding(f"{error.message}; started anew")
                try:
                    outcome = await self._visit_once(facts, acquisition)
                except ChatGpttError as error:
                    error.findings = (crashed, *error.findings)
                    raise
                return replace(outcome, findings=(crashed, *outcome.findings))
        except TimeoutError as error:
            raise TransportError(
                f"the time limit of {deadline.seconds:g} s passed while a browser ran the page",
                code="timeout",
                hint="allow more time with timeout=",
                url=acquisition.wanted.page,
                is_sent=True,
            ) from error

    async def _visit_once(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        page = acquisition.wanted.page
        cookies = self._cookies_for(page)  # here, since it is no other thread's

        async def visit_in(tab: Tab) -> Outcome:
            visit = _Visit(tab, facts, acquisition)
            acquisition.requests += 1
            is_fresh = bool(acquisition.rejected)
            await tab.goto(
                past_caches(page) if is_fresh else page, cookies, self._reach_of(page), is_fresh=is_fresh
            )
            seen = await visit.look()
            if seen is not None:
                return Outcome(facts=visit.facts(), tokens=await self._make_tokens(tab, seen, visit))
            outcome = await visit.explain()
            seen = visit.least_bad()
            if seen is not None:
                outcome = replace(outcome, doubtful=await self._make_tokens(tab, seen, visit))
            await tab.write_trace()
            return outcome

        return await self._browser.visit(self._identity_for(page), visit_in)

    async def _make_tokens(self, tab: Tab, seen: Candidate, visit: _Visit) -> Tokens:
        cookies = await tab.cookies(seen.page, seen.box.ajax_url)
        return Tokens(
            box=seen.box,
            nonce=seen.nonce,
            page=without_mark(seen.page),
            rung=self.name,
            acquired_at=self._clock(),
            user_agent=tab.options.identity.user_agent,
            cookies=_for_whole_site(cookies, seen.page) if visit.has_gone_on else cookies,
        )


class _Visit(PageListener):
    """One visit: what it saw, what it did, and how it ends."""

    def __init__(self, tab: Tab, facts: PageFacts, acquisition: Acquisition) -> None:
        self._tab = tab
        self._facts = facts
        self._acquisition = acquisition
        self._observations = PageObservations(
            page=acquisition.wanted.page,
            bot=acquisition.wanted.bot,
            endpoint=acquisition.wanted.ajax_url,
            wrong=acquisition.rejected | {box.nonce for box in facts.boxes if box.nonce is not None},
            is_static_known=facts.page is not None,
        )
        self._unread: dict[object, tuple[str, bool, str]] = {}
        self._bell = anyio.Event()
        self._parsed = anyio.Event()
        self._failure: ChatGpttError | None = None
        self._went_on = anyio.Event()
        self._documents = 0
        self._errors = 0
        self._error_page: ChatGpttError | None = None
        self._error_since = 0.0
        self._restless_since: float | None = None
        self._wall: Wall | None = None
        self._script_error = ""
        self._began = time.monotonic()
        self._acted: float | None = None
        self._patience = _PATIENCE
        tab.listener = self

    @property
    def has_gone_on(self) -> bool:
        """Whether a document came before the page itself, as that of a cookie check."""
        return self._documents > 1

    async def look(self) -> Candidate | None:
        """Tokens as soon as they are there; None where patience ends.

        Raises:
            ChallengeError: where a bot protection's page came, or stayed.
            ChatGpttError: where the page ended as an error page, or is no page.
        """
        seen: Candidate | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._act)
            while seen is None and self._failure is None and not self._is_hopeless():
                self._bell = anyio.Event()
                self._read()
                if self._error_page is None:
                    seen = self._observations.choose_candidate(time.monotonic())
                if seen is None:
                    with anyio.move_on_after(0.01 if self._observations.is_settling else 0.1):
                        await self._bell.wait()
            tasks.cancel_scope.cancel()
        failure = self._failure or self._error_page
        if seen is None and failure is not None:
            raise failure
        return seen

    def _read(self) -> None:
        while self._unread:
            frame, (url, is_main, text) = self._unread.popitem()
            self._observations.observe_frame(frame, url, is_main=is_main, text=text)
        if self._observations.state in ("interactive", "complete"):
            self._parsed.set()

    def facts(self) -> PageFacts:
        """What is known of the page after the visit."""
        boxes = tuple(replace(box, found_by="browser") for box in self._observations.boxes)
        return replace(
            self._facts,
            boxes=boxes or self._facts.boxes,
            box=self._observations.box or self._facts.box,
        )

    async def explain(self) -> Outcome:
        """What was there instead of tokens.

        Raises:
            ChallengeError: where the page ended as a bot protection's.
            RefusedError: where the chat waits for the visitor's consent.
        """
        facts = self.facts()
        self._acquisition.on_progress("browser", facts)
        content = ""
        with anyio.move_on_after(_SLOW_DOCUMENT):
            content = await self._tab.content()
        if self._observations.box is None:
            self._refuse_challenge(content, is_end=True)
        if waits_for_consent(content):
            raise RefusedError(
                "the page's chat starts only after the visitor has agreed to something",
                reason="consent_required",
                hint="agree in a browser if you want to; this client agrees to nothing on your behalf",
                url=self._acquisition.wanted.page,
            )
        elsewhere = self._observations.foreign_pages + self._observations.foreign_sites
        findings = [foreign_box("browser", place) for place in elsewhere[:_MOST_PLACES]]
        return Outcome(
            facts=replace(facts, missing=self._missing(facts, elsewhere)),
            findings=(*findings, _finding(self._words())),
        )

    def _missing(self, facts: PageFacts, elsewhere: tuple[str, ...]) -> MissingBox | None:
        """Why there is no box, after the page's scripts ran."""
        observations, missing = self._observations, facts.missing
        if facts.box is None and elsewhere and not facts.boxes:
            missing = MissingBox.of(box_elsewhere(elsewhere, observations.page), None)
            if observations.foreign_pages:
                hint = f"to ask it, give the address of its own page: {elsewhere[0][:200]}"
                missing = replace(missing, hint=hint)
        elif facts.box is None and (missing is None or not facts.boxes):
            missing = MissingBox(
                message="the page has no chat box of the AI Power plugin, even after its scripts ran",
                hint=NO_BOX_HINT,
                url=self._acquisition.wanted.page,
                status=None if missing is None else missing.status,
            )
        return missing

    def least_bad(self) -> Candidate | None:
        """Tokens that are known to be wrong, where the page shows no others."""
        return self._observations.least_bad_candidate()

    # What it is told

    def observe_frame(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """See PageListener."""
        self._unread[frame] = (url, is_main, text)  # only the last of what a frame showed is read
        self._bell.set()

    def forget_frame(self, frame: object) -> None:
        """See PageListener."""
        if frame is None:
            self._unread.clear()
        self._unread.pop(frame, None)
        self._observations.forget_frame(frame)

    def observe_request(self, url: str, body: str) -> None:
        """See PageListener."""
        self._observations.observe_request(url, body)
        self._bell.set()

    def observe_reply(self, url: str, body: str, request_body: str) -> None:
        """See PageListener."""
        self._observations.observe_reply(url, body, request_body)
        self._bell.set()

    def observe_document(self, document: Document) -> None:
        """See PageListener."""
        self._documents += 1
        if self._documents == _MOST_STARTS:
            self._restless_since = time.monotonic()
        self._observations.page = without_mark(document.url)
        self._parsed = anyio.Event()
        self._went_on.set()
        head = _head_of(document)
        media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        wall = maybe_wall(head, "")
        if wall is not None and not wall.is_script:
            self._failure = self._found(wall_error(head, wall, ""))
        elif head.status >= 400:
            self._meet_error(head)
        elif self._documents == 1 and media_type not in ("", "text/html", "application/xhtml+xml"):
            self._failure = PageError(
                f"the address answers with no web page: it is {media_type}",
                hint="give the address of the page that shows the chat",
                url=head.url,
                status=head.status,
            )
        else:
            self._error_page, self._errors = None, 0
        self._bell.set()

    def observe_error_page(self, document: Document) -> None:
        """See PageListener."""
        head = _head_of(document)
        if not isinstance(self._error_page, ChallengeError):
            self._error_page = self._found(read_failure(head, document.body))
        wall = maybe_wall(head, document.body)
        may_go_on = _MAY_GO_ON.search(document.body) if wall is None else wall.is_script
        if not may_go_on:
            self._failure = self._error_page
        self._bell.set()

    def note_script_error(self, message: str) -> None:
        """See PageListener."""
        self._script_error = self._script_error or " ".join(message.split())[:150]

    def note_crash(self) -> None:
        """See PageListener."""
        self._failure = Crashed("the page's process died")
        self._bell.set()

    # What it does

    async def _act(self) -> None:
        """Acts as a visitor who waits for the chat, again on each document that the page goes to."""
        while True:
            document = self._documents
            if self._error_page is None:
                await self._act_once()
                self._acted = time.monotonic()
            while document == self._documents or document >= _MOST_STARTS:
                self._went_on = anyio.Event()
                await self._went_on.wait()
            self._acted = None

    async def _act_once(self) -> None:
        with anyio.move_on_after(_SLOW_DOCUMENT):
            await self._parsed.wait()
        await anyio.sleep(_BEFORE_INPUT)
        try:
            if self._observations.box is None:
                self._refuse_challenge(await self._content_of_stranger(), is_end=False)
            await self._tab.move_about()
            await anyio.sleep(_BETWEEN_INPUTS)
            await self._tab.scroll_to_box()
            await self._tab.move_about()
            await anyio.sleep(_BETWEEN_INPUTS)
            await self._tab.press_toggle()
            if waits_for_consent(await self._tab.content()):
                self._patience = _PATIENCE_FOR_CONSENT
        except ChatGpttError as error:
            # A page that is busy or on its way elsewhere takes no input; a challenge ends the visit.
            if isinstance(error, ChallengeError | Crashed):
                self._failure = error
                self._bell.set()

    async def _content_of_stranger(self) -> str:
        """The document, if it is none of WordPress': a challenge's marks prove nothing in a page of the
        site.
        """
        content = await self._tab.content()
        return "" if "/wp-content/" in content or "/wp-includes/" in content else content

    def _is_hopeless(self) -> bool:
        if self._error_page is not None:
            return time.monotonic() - self._error_since > _PATIENCE_WITH_ERROR
        if self._restless_since is not None and self._observations.box is None:
            return time.monotonic() - self._restless_since > _PATIENCE_WITHOUT_BOX
        if self._acted is None:
            return False
        has_box = self._observations.box is not None or self._facts.box is not None
        # A box that shows what the site rejected will hardly show another nonce: scripts made that one.
        wrong = self._observations.wrong_shown & self._acquisition.rejected
        is_old = bool(wrong) and not self._acquisition.is_last_resort
        patience = _PATIENCE if has_box and not is_old else _PATIENCE_WITHOUT_BOX
        return time.monotonic() - self._acted > min(self._patience, patience)

    def _age(self) -> float:
        return time.monotonic() - self._began

    # What it makes of it

    def _meet_error(self, head: ReplyHead) -> None:
        """Notes an error page. The note stands until the page goes on to a document that is no error page."""
        if self._error_page is None:
            self._error_since = time.monotonic()
        self._errors += 1
        if self._errors > _MOST_RELOADS:
            how = f"HTTP {head.status} and a script that loads the page again, {self._errors} times"
            self._error_page = self._challenged(how, head)
        elif not isinstance(self._error_page, ChallengeError):
            self._error_page = read_failure(head, "")

    def _refuse_challenge(self, content: str, *, is_end: bool) -> None:
        wall = maybe_wall(ReplyHead(status=200, headers={}, url=self._acquisition.wanted.page), content)
        if content:
            self._wall = wall
        elif is_end:
            wall = self._wall  # the page is on its way to the next document, as it was to those before
        if wall is not None and (is_end or not wall.is_script):
            raise self._challenged(wall.what, None)

    def _found(self, error: ChatGpttError) -> ChatGpttError:
        """The error without the advice to use a browser: a browser has met it."""
        if isinstance(error, ChallengeError):
            error.findings = (_finding(error.message),)
            error.hint = CHALLENGE_HINT
        return error

    def _challenged(self, challenge: str, head: ReplyHead | None) -> ChallengeError:
        return ChallengeError(
            f"a bot protection answered instead of the page: {challenge}",
            hint=CHALLENGE_HINT,
            url=self._acquisition.wanted.page if head is None else head.url,
            status=None if head is None else head.status,
            findings=(_finding(f"a challenge: {challenge}"),),
        )

    def _words(self) -> str:
        boxes = self._observations.boxes
        what = f"{len(boxes)} chat box{'es' if len(boxes) != 1 else ''}, none with a usable nonce"
        if not boxes:
            what = "no chat box"
        if self._observations.wrong_shown:
            what += "; it shows only a nonce that is known not to do"
        if self._script_error:
            what += f"; a script of the page failed: {self._script_error}"
        return f"ran the page for {self._age():.1f} s: {what}"


def _for_whole_site(cookies: tuple[StoredCookie, ...], page: str) -> tuple[StoredCookie, ...]:
    """The cookies, of which none is for the page's folder alone.

    A script that passes a host's cookie check may name no path and mean the site: the same check stands
    before the message endpoint (docs/protocols.md C4). A browser takes the page's folder for the path then
    (RFC 6265, section 5.1.4).
    """
    folder = urlsplit(page).path.rpartition("/")[0] or "/"
    return tuple(replace(cookie, path="/") if cookie.path == folder else cookie for cookie in cookies)


def _finding(saw: str) -> Finding:
    return Finding(rung="browser", saw=saw)


def _head_of(document: Document) -> ReplyHead:
    return ReplyHead(
        status=document.status,
        headers={name.lower(): value for name, value in document.headers.items()},
        url=document.url,
        received_at=time.time(),
    )
