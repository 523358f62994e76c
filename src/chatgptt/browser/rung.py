"""The last rung: runs the page in a browser until its scripts have made the tokens.

The rung decides whether a visit can help, repeats a visit that a crash or a passing failure ended, and makes
tokens or an explanation of what the visit found. It agrees to nothing: it reports a chat that waits for
consent, and it reports a challenge.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from chatgptt._errors import BrowserError, ChatGpttError, Finding, RefusedError
from chatgptt._models import Rung, StoredCookie, Tokens
from chatgptt.browser.calls import Crashed
from chatgptt.browser.page_hints import hints_at_chat, needs_scripts, waits_for_consent
from chatgptt.browser.setup import BrowserSetup
from chatgptt.browser.shared import BrowserOptions, SharedBrowser
from chatgptt.net.retry import retry
from chatgptt.protocols.box_choice import NO_BOX_HINT, box_elsewhere
from chatgptt.protocols.page import Page
from chatgptt.tokens.acquisition import Acquisition, MissingBox, Outcome, PageFacts, foreign_box
from chatgptt.tokens.ladder import NOT_FOUND
from chatgptt.tokens.pages import past_caches, without_mark

if TYPE_CHECKING:
    from chatgptt.browser.observations import Candidate
    from chatgptt.browser.tab import Tab
    from chatgptt.browser.visit import Visit

_MOST_PLACES = 5
"""Findings about boxes of other sites."""

_NO_HINT = "not run: nothing on the page hints at a chat that scripts make"


class BrowserRung:
    """Runs the page in a tab of `browser`."""

    name: Rung = "browser"

    def __init__(self, setup: BrowserSetup) -> None:
        options = setup.options or BrowserOptions()
        if options.cache is None and setup.folder is not None:
            # What the driver compiles; with it the next browser starts a fifth of a second sooner.
            options = replace(options, cache=setup.folder / "playwright-cache")
        self.browser = SharedBrowser(options)
        self._setup = setup

    async def close(self) -> None:
        """Ends the browser for good, if there is one."""
        await self.browser.close()

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """See RungOfLadder."""
        if facts.missing is not None and facts.page is not None and not acquisition.is_last_resort:
            if facts.boxes or facts.foreign_sites:
                return Outcome(facts=facts)  # the page has boxes: other ones, or another site's
            if not hints_at_chat(facts.page):
                return Outcome(facts=facts, findings=(_finding(_NO_HINT),))
        try:
            return await retry(
                lambda: self._visit(facts, acquisition),
                is_message=False,
                policy=self._setup.policy,
                remaining=acquisition.deadline.remaining,
                sleep=self._setup.sleep,
            )
        except BrowserError as error:
            if error.code != "browser_missing" or facts.page is None:
                raise
            return _without_browser(error, facts, facts.page, acquisition.wanted.page)

    async def _visit(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """What a visit gives; a visit that a crash ends is repeated once."""
        deadline = acquisition.deadline
        crash: tuple[Finding, ...] = ()
        try:
            with anyio.fail_after(deadline.remaining()):
                try:
                    return await self._visit_once(facts, acquisition)
                except Crashed as error:
                    crash = (_finding(f"{error.message}; started anew"),)
                outcome = await self._visit_once(facts, acquisition)
                return outcome._replace(findings=crash + outcome.findings)
        except ChatGpttError as error:
            error.findings = crash + error.findings
            raise
        except TimeoutError as error:
            page = acquisition.wanted.page
            raise deadline.error("a browser ran the page", url=page, is_sent=True) from error

    async def _visit_once(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        """What one run of the page gives; of two, where a cache may have kept a guest's page for a member."""
        outcome = None
        if not acquisition.rejected:
            outcome = await self._run(facts, acquisition, is_fresh=False)
        outcome = outcome or await self._run(facts, acquisition, is_fresh=True)
        assert outcome is not None
        tokens, doubtful = outcome.tokens, outcome.doubtful
        return outcome._replace(
            tokens=tokens and await self._setup.visit.settle(tokens),
            doubtful=doubtful and await self._setup.visit.settle(doubtful),
        )

    async def _run(self, facts: PageFacts, acquisition: Acquisition, *, is_fresh: bool) -> Outcome | None:
        page = acquisition.wanted.page
        url = past_caches(page) if is_fresh else page
        # Here, since both belong to the caller's thread.
        cookies, reach = self._setup.cookies_for(page), self._setup.reach_of(page)

        async def visit_in(tab: Tab) -> Outcome | None:
            from chatgptt.browser.visit import Visit  # here, since it is imported while the browser starts

            visit = Visit(tab, facts, acquisition)
            acquisition.requests += 1
            await tab.goto(url, cookies, reach, is_fresh=is_fresh)
            candidate = await visit.wait_for_candidate()
            known = _facts_after(visit, facts)
            if await self._is_shown_as_guest(visit, is_fresh=is_fresh):
                return None
            if candidate is not None:
                return Outcome(facts=known, tokens=await self._make_tokens(tab, candidate, visit))
            acquisition.on_progress(self.name, known)
            outcome = await self._explain(visit, known, page)
            candidate = visit.observations.least_bad_candidate()
            if candidate is not None:
                outcome = outcome._replace(doubtful=await self._make_tokens(tab, candidate, visit))
            await tab.write_evidence()
            return outcome

        self._setup.visit.refuse_ended()
        return await self.browser.visit(self._setup.identity_for(page), visit_in)

    async def _is_shown_as_guest(self, visit: Visit, *, is_fresh: bool) -> bool:
        """Whether a member is shown a box as a guest, maybe from a cache.

        Raises:
            RefusedError: where that is so past all caches.
        """
        persons = self._setup.visit
        if not (persons.is_member and visit.observations.boxes):
            return False
        shown = Page((await visit.final_content()).encode("utf-8", "replace"), visit.observations.page)
        is_guests = persons.is_shown_as_guest(shown)
        if is_guests and is_fresh:
            persons.advice_for(shown)
        return is_guests

    async def _make_tokens(self, tab: Tab, candidate: Candidate, visit: Visit) -> Tokens:
        cookies = await tab.cookies(candidate.page, candidate.box.ajax_url)
        return Tokens(
            box=candidate.box,
            nonce=candidate.nonce,
            page=without_mark(candidate.page),
            rung=self.name,
            acquired_at=self._setup.clock(),
            user_agent=tab.options.identity.user_agent,
            cookies=_for_whole_site(cookies, candidate.page) if visit.has_gone_on else cookies,
        )

    async def _explain(self, visit: Visit, facts: PageFacts, page: str) -> Outcome:
        """What was there instead of tokens.

        Raises:
            ChallengeError: where the page ended as a bot protection's.
            RefusedError: where the chat waits for the visitor's consent, and where a login has ended.
        """
        content = await visit.final_content()
        advice = ""
        if not visit.observations.boxes:
            shown = Page(content.encode("utf-8", "replace"), visit.observations.page)
            advice = self._setup.visit.advice_for(shown)
        if waits_for_consent(content):
            raise RefusedError(
                "the page's chat starts only after the visitor has agreed to something",
                reason="consent_required",
                hint="agree in a browser if you want to; this client agrees to nothing on your behalf",
                url=page,
            )
        elsewhere = visit.observations.foreign_pages + visit.observations.foreign_sites
        missing = _why_missing(visit, facts, elsewhere, page)
        if missing is not None and advice:
            missing = missing._replace(hint=f"{advice}; {missing.hint}")
        findings = [foreign_box("browser", place) for place in elsewhere[:_MOST_PLACES]]
        return Outcome(
            facts=facts._replace(missing=missing),
            findings=(*findings, _finding(_summary_of(visit))),
        )


def _finding(saw: str) -> Finding:
    return Finding(rung="browser", saw=saw)


def _without_browser(error: BrowserError, facts: PageFacts, served: Page, url: str) -> Outcome:
    """The outcome on a machine without a browser, after the page was read as it is served.

    Raises:
        BrowserError: where the page needs one.
    """
    if facts.box is not None:
        error.message = f"{NOT_FOUND}, and {error.message}"
        error.args = (error.message,)
        error.url = error.url or url
        raise error
    if facts.missing is None or needs_scripts(served):
        raise error
    # Little says that scripts would make a box here, so "no chat box" is the better answer.
    hint = f"{NO_BOX_HINT}; if scripts make its chat box, {error.hint}"
    return Outcome(
        facts=facts._replace(missing=facts.missing._replace(hint=hint)),
        findings=(_finding(f"not run: {error.message}"),),
    )


def _facts_after(visit: Visit, facts: PageFacts) -> PageFacts:
    """What is known of the page after the visit."""
    boxes = tuple(replace(box, found_by="browser") for box in visit.observations.boxes)
    return facts._replace(boxes=boxes or facts.boxes, box=visit.observations.box or facts.box)


def _why_missing(visit: Visit, facts: PageFacts, elsewhere: tuple[str, ...], page: str) -> MissingBox | None:
    """Why there is no box, after the page's scripts ran."""
    missing = facts.missing
    if facts.box is None and elsewhere and not facts.boxes:
        missing = MissingBox.of(box_elsewhere(elsewhere, visit.observations.page), None)
        if visit.observations.foreign_pages:
            hint = f"to ask it, give the address of its own page: {elsewhere[0][:200]}"
            missing = missing._replace(hint=hint)
    elif facts.box is None and (missing is None or not facts.boxes):
        missing = MissingBox(
            message="the page has no chat box of the AI Power plugin, even after its scripts ran",
            hint=NO_BOX_HINT,
            url=page,
            status=None if missing is None else missing.status,
        )
    return missing


def _summary_of(visit: Visit) -> str:
    boxes = visit.observations.boxes
    what = f"{len(boxes)} chat box{'es' if len(boxes) != 1 else ''}, none with a usable nonce"
    if not boxes:
        what = "no chat box"
    if visit.observations.wrong_shown:
        what += "; it shows only a nonce that is known not to do"
    if visit.script_error:
        what += f"; a script of the page failed: {visit.script_error}"
    return f"ran the page for {visit.age:.1f} s: {what}"


def _for_whole_site(cookies: tuple[StoredCookie, ...], page: str) -> tuple[StoredCookie, ...]:
    """The cookies, of which none is for the page's folder alone.

    A script that passes a host's cookie check may name no path and mean the site: the same check stands
    before the message endpoint (docs/protocols.md C4). A browser takes the page's folder for the path then
    (RFC 6265, section 5.1.4).
    """
    folder = urlsplit(page).path.rpartition("/")[0] or "/"
    return tuple(replace(cookie, path="/") if cookie.path == folder else cookie for cookie in cookies)
