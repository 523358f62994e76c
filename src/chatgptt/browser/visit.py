"""One visit of a page: runs it until its scripts have made the tokens, or until it is clear that they won't.

The visit waits for a plausible and stable nonce, never for "load" or "idle", which some pages don't reach. A
script may wait for a visitor, so the page gets real input after a moment; then a popup's own button is
pressed. The visit agrees to nothing.

The page's last document counts. An error page may have a script that loads the page again, as the cookie
checks of hosts do. It gets a moment for that.
"""

from __future__ import annotations

import re
import time

import anyio

from chatgptt._errors import ChallengeError, ChatGpttError, Finding
from chatgptt._models import ReplyHead
from chatgptt.browser.calls import Crashed
from chatgptt.browser.observations import Candidate, PageObservations
from chatgptt.browser.page_hints import waits_for_consent
from chatgptt.browser.tab import PageListener, Tab
from chatgptt.protocols.reply_errors import (
    CHALLENGE_HINT,
    challenged,
    no_web_page,
    of_reply,
    read_failure,
    wall_error,
)
from chatgptt.protocols.walls import Wall, maybe_wall
from chatgptt.tokens.acquisition import Acquisition, PageFacts
from chatgptt.tokens.pages import without_mark

# Seconds.
_BEFORE_INPUT = 0.3
"""After the document is there: scripts that only need a moment are done by then."""
_BETWEEN_INPUTS = 0.7
_PATIENCE = 12.0
"""After all input, where there is a box: scripts may wait for others that load."""
_PATIENCE_WITHOUT_BOX = 3.0
_PATIENCE_FOR_CONSENT = 1.0
"""Here a script that waits for the visitor to agree waits for ever."""
_PATIENCE_WITH_ERROR = 3.0
"""An error page may have a script that leads to another document; most do so at once."""
SLOW_DOCUMENT = 5.0
"""A document that is still incomplete by now gets its input all the same."""

_MOST_RELOADS = 3
"""Error pages in a row. A script that loads a page again does so because a visitor gets past it that way."""
_MOST_DOCUMENTS_WITH_INPUT = 10
"""A page that goes on to more documents than these does not wait for a visitor."""

_LEADS_ON = re.compile(r"<script|http-equiv\s*=\s*[\"']?refresh", re.I)
"""The parts of an error page that may lead to another document."""


class Visit(PageListener):
    """One visit of a page in a tab: `observations` is what the page has shown until now."""

    def __init__(self, tab: Tab, facts: PageFacts, acquisition: Acquisition) -> None:
        self.observations = PageObservations(
            page=acquisition.wanted.page,
            bot=acquisition.wanted.bot,
            endpoint=acquisition.wanted.ajax_url,
            wrong_endpoints=acquisition.wrong_places,
            wrong=acquisition.rejected | {box.nonce for box in facts.boxes if box.nonce is not None},
            is_static_known=facts.page is not None,
        )
        self.script_error = ""
        self._tab = tab
        self._facts = facts
        self._acquisition = acquisition
        self._began = time.monotonic()
        self._unread_frames: dict[object, tuple[str, bool, str]] = {}
        self._has_changed = anyio.Event()
        self._is_parsed = anyio.Event()
        self._has_next_document = anyio.Event()
        self._giving_input = anyio.CancelScope()
        self._documents = 0
        self._restless_since: float | None = None
        self._input_ended: float | None = None
        self._patience = _PATIENCE
        self._failure: ChatGpttError | None = None
        self._error_page: ChatGpttError | None = None
        self._error_pages = 0
        self._error_since = 0.0
        self._last_wall: Wall | None = None
        tab.listener = self

    @property
    def has_gone_on(self) -> bool:
        """Whether another document came before the page itself, such as a cookie check."""
        return self._documents > 1

    @property
    def age(self) -> float:
        """Seconds since the visit began."""
        return time.monotonic() - self._began

    async def wait_for_candidate(self) -> Candidate | None:
        """Tokens as soon as they are there; None where the visit's patience ends.

        Raises:
            ChallengeError: where a bot protection's page came.
            ChatGpttError: where the page ended as an error page, or is no page.
        """
        candidate: Candidate | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._give_input)
            while candidate is None and self._failure is None and not self._is_hopeless():
                self._has_changed = anyio.Event()
                self._read_frames()
                if self._error_page is None:
                    candidate = self.observations.choose_candidate(time.monotonic())
                if candidate is None:
                    with anyio.move_on_after(0.01 if self.observations.is_settling else 0.1):
                        await self._has_changed.wait()
            tasks.cancel_scope.cancel()
        failure = self._failure or self._error_page
        if candidate is None and failure is not None:
            raise failure
        return candidate

    def _read_frames(self) -> None:
        while self._unread_frames:
            frame, (url, is_main, text) = self._unread_frames.popitem()
            self.observations.observe_frame(frame, url, is_main=is_main, text=text)
        if self.observations.state in ("interactive", "complete"):
            self._is_parsed.set()

    def _is_hopeless(self) -> bool:
        now = time.monotonic()
        if self._error_page is not None:
            return now - self._error_since > _PATIENCE_WITH_ERROR
        if self._restless_since is not None and self.observations.box is None:
            return now - self._restless_since > _PATIENCE_WITHOUT_BOX
        if self._input_ended is None:
            return False
        has_box = self.observations.box is not None or self._facts.box is not None
        # A box that shows a rejected nonce will hardly show another one: scripts made that one.
        rejected = self.observations.wrong_shown & self._acquisition.rejected
        is_old = bool(rejected) and not self._acquisition.is_last_resort
        patience = _PATIENCE if has_box and not is_old else _PATIENCE_WITHOUT_BOX
        return now - self._input_ended > min(self._patience, patience)

    async def final_content(self) -> str:
        """The document at the end of a visit without tokens; "" where it is too slow.

        Raises:
            ChallengeError: where it is a bot protection's page.
        """
        content = ""
        with anyio.move_on_after(SLOW_DOCUMENT):
            content = await self._tab.content()
        if self.observations.box is None:
            # Without content, the page is going to the next document, as it went to those before.
            wall = self._find_wall(content) if content else self._last_wall
            if wall is not None:
                raise self._challenge(wall.what, None)
        return content

    # What it does as a visitor

    async def _give_input(self) -> None:
        """Gives a visitor's input to each document that the page goes to."""
        while True:
            document = self._documents
            if self._error_page is None:
                # The browser may never answer an input to a document that another one replaces.
                self._giving_input = anyio.CancelScope()
                with self._giving_input:
                    await self._give_input_once()
                self._input_ended = time.monotonic()
            while document == self._documents or document >= _MOST_DOCUMENTS_WITH_INPUT:
                self._has_next_document = anyio.Event()
                await self._has_next_document.wait()
            self._input_ended = None

    async def _give_input_once(self) -> None:
        with anyio.move_on_after(SLOW_DOCUMENT):
            await self._is_parsed.wait()
        await anyio.sleep(_BEFORE_INPUT)
        try:
            if self.observations.box is None:
                await self._refuse_challenge()
            await self._tab.move_about()
            await anyio.sleep(_BETWEEN_INPUTS)
            await self._tab.scroll_to_box()
            await self._tab.move_about()
            await anyio.sleep(_BETWEEN_INPUTS)
            await self._tab.press_toggle()
            if waits_for_consent(await self._tab.content()):
                self._patience = _PATIENCE_FOR_CONSENT
        except ChatGpttError as error:
            # A page that is busy or goes elsewhere takes no input. A challenge ends the visit.
            if isinstance(error, ChallengeError | Crashed):
                self._fail(error)

    async def _refuse_challenge(self) -> None:
        content = await self._tab.content()
        # The marks of a challenge prove nothing in a page of the site itself.
        if content and "/wp-content/" not in content and "/wp-includes/" not in content:
            wall = self._find_wall(content)
            if wall is not None and not wall.is_script:
                raise self._challenge(wall.what, None)

    def _find_wall(self, content: str) -> Wall | None:
        head = ReplyHead(status=200, headers={}, url=self._acquisition.wanted.page)
        self._last_wall = maybe_wall(head, content)
        return self._last_wall

    # What the tab reports; see PageListener

    def observe_frame(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """Keeps the last report of a frame, to be read when there is time."""
        self._unread_frames[frame] = (url, is_main, text)
        self._has_changed.set()

    def forget_frame(self, frame: object) -> None:
        """Forgets a frame."""
        if frame is None:
            self._unread_frames.clear()
        self._unread_frames.pop(frame, None)
        self.observations.forget_frame(frame)

    def observe_request(self, url: str, body: str) -> None:
        """Adds a request to the observations."""
        self.observations.observe_request(url, body)
        self._has_changed.set()

    def observe_reply(self, url: str, body: str, request_body: str) -> None:
        """Adds a reply to the observations."""
        self.observations.observe_reply(url, body, request_body)
        self._has_changed.set()

    def observe_document(self, head: ReplyHead) -> None:
        """Judges a document by its head."""
        self._documents += 1
        if self._documents == _MOST_DOCUMENTS_WITH_INPUT:
            self._restless_since = time.monotonic()
        self.observations.page = without_mark(head.url)
        self._is_parsed = anyio.Event()
        self._has_next_document.set()
        self._giving_input.cancel()
        media_type = head.headers.get("content-type", "").partition(";")[0].strip().lower()
        wall = maybe_wall(head, "")
        if wall is not None and not wall.is_script:
            self._fail(_without_advice(wall_error(head, wall, "")))
        elif head.status >= 400:
            self._note_error_page(head)
        elif self._documents == 1 and media_type not in ("", "text/html", "application/xhtml+xml"):
            self._fail(of_reply(head, no_web_page(f"it is {media_type}")))
        else:
            self._error_page, self._error_pages = None, 0
        self._has_changed.set()

    def observe_error_page(self, head: ReplyHead, body: str) -> None:
        """Judges an error page by its body: whether it may lead to another document."""
        if not isinstance(self._error_page, ChallengeError):
            self._error_page = _without_advice(read_failure(head, body))
        wall = maybe_wall(head, body)
        if not (_LEADS_ON.search(body) if wall is None else wall.is_script):
            self._failure = self._error_page
        self._has_changed.set()

    def note_script_error(self, message: str) -> None:
        """Keeps the first error."""
        self.script_error = self.script_error or " ".join(message.split())[:150]

    def note_crash(self) -> None:
        """Ends the visit."""
        self._fail(Crashed("the page's process died"))

    def _fail(self, error: ChatGpttError) -> None:
        self._failure = error
        self._has_changed.set()

    def _note_error_page(self, head: ReplyHead) -> None:
        """Notes an error page. The note stands until the page goes on to a document that is no error page."""
        if self._error_page is None:
            self._error_since = time.monotonic()
        self._error_pages += 1
        if self._error_pages > _MOST_RELOADS:
            times = f"{self._error_pages} times"
            self._error_page = self._challenge(
                f"HTTP {head.status} and a script that loads the page again, {times}", head
            )
        elif not isinstance(self._error_page, ChallengeError):
            self._error_page = read_failure(head, "")

    def _challenge(self, what: str, head: ReplyHead | None) -> ChallengeError:
        error = challenged(what, instead_of="the page", hint=CHALLENGE_HINT)
        error.url = self._acquisition.wanted.page
        error.findings = (Finding(rung="browser", saw=f"a challenge: {what}"),)
        return error if head is None else of_reply(head, error)


def _without_advice(error: ChatGpttError) -> ChatGpttError:
    """A challenge without the advice to use a browser: a browser has met it."""
    if isinstance(error, ChallengeError):
        error.findings = (Finding(rung="browser", saw=error.message),)
        error.hint = CHALLENGE_HINT
    return error
