"""One page of the browser, in a context of its own: what a visit does in it, and what it reports.

A tab lets out only the requests that tokens need (`request_filter`), through a gate of its own
(`proxy_gate`). It reports what happens to its `PageListener`, and maps Playwright's exceptions to errors of
this package.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tempfile
import time
from collections.abc import Awaitable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt._models import ReplyHead, StoredCookie
from chatgptt.browser.browser_cookies import cookies_to_set, stored_cookies
from chatgptt.browser.calls import CLOSE_TIMEOUT, Crashed, attempt, unless_gone
from chatgptt.browser.navigation_errors import first_line_of, map_failure
from chatgptt.browser.observations import BOX_CLASSES, MAX_REPLY_CHARACTERS, may_hold_tokens
from chatgptt.browser.page_loads import LOADED, LoadRecorder, RecordedVisit
from chatgptt.browser.proxy_gate import ProxyGate
from chatgptt.browser.request_filter import RequestFilter
from chatgptt.browser.traces import write_clean_trace
from chatgptt.browser.visitor import TabOptions
from chatgptt.net.reach import Reach
from chatgptt.protocols.reply_errors import no_web_page
from chatgptt.protocols.urls import origin, without_credentials
from chatgptt.state.files import find_place, replacing
from chatgptt.visits.visit import StorageItem

if TYPE_CHECKING:
    from playwright.async_api import (
        Browser,
        BrowserContext,
        CDPSession,
        Page,
        Request,
        Response,
        StorageState,
    )

_log = logging.getLogger("chatgptt.browser")
_Value = TypeVar("_Value")

_HOLD_TIMEOUT = 20.0
_COMPLETE_TIMEOUT = 1.0
"""Seconds that the end of a recorded visit waits for replies under way; some pages always have one."""

_SCREENSHOT_TIMEOUT = 10.0
"""Seconds. A busy machine takes some to draw a page for the first time."""

_HAS_NO_BODY = "net::ERR_HTTP_RESPONSE_CODE_FAILURE"
"""The name that a whole Chromium has for an error page without a body. It shows its own page instead."""

_TOGGLES = ".wpaicg_toggle, .wpaicg-chatbox-toggle, .aipkit_popup_trigger, .aipkit_chat_popup_trigger"
_PRESS = "selector => document.querySelector(selector)?.click()"
_BOXES = ", ".join(f".{name}" for name in BOX_CLASSES)
_SCROLL = """selector => {
    const box = document.querySelector(selector);
    if (box) box.scrollIntoView({block: "center"}); else scrollTo(0, document.documentElement.scrollHeight);
}"""
_TOUCH: tuple[tuple[str, list[dict[str, int]]], ...] = (
    ("touchStart", [{"x": 300, "y": 300}]),
    ("touchMove", [{"x": 300, "y": 280}]),
    ("touchCancel", []),
)


class PageListener:
    """Ignores everything that happens in a tab; a visit overrides what it needs. No method waits."""

    def observe_frame(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """The watching script in a frame sent a report."""

    def forget_frame(self, frame: object) -> None:
        """A frame, or its document, is gone; None stands for all frames."""

    def observe_request(self, url: str, body: str) -> None:
        """The page sent a request to WordPress' message endpoint."""

    def observe_reply(self, url: str, body: str, request_body: str) -> None:
        """The page's scripts received a reply that may hold tokens."""

    def observe_document(self, head: ReplyHead) -> None:
        """The page itself goes to a document, the first or another one. Its body is still to come."""

    def observe_error_page(self, head: ReplyHead, body: str) -> None:
        """The body of an error page is there. A page that went on at once has no body."""

    def note_script_error(self, message: str) -> None:
        """A script of the page threw an exception."""

    def note_crash(self) -> None:
        """The page's process crashed, or the browser is gone."""


class Tab:
    """One page in a context of its own. `gone` is set when the browser is gone."""

    def __init__(self, options: TabOptions, gone: asyncio.Event) -> None:
        self.options = options
        self.listener = PageListener()
        self._gone = gone
        self._trace = options.trace
        self._screenshot = options.screenshot
        self._recorder = LoadRecorder() if options.is_recorded else None
        self._gate = ProxyGate(options.identity.proxy)
        self._context: BrowserContext | None = None
        self._opened_page: Page | None = None
        self._opened_session: CDPSession | None = None
        self._requests: RequestFilter | None = None
        self._document: Response | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._has_crashed = False

    async def open(self, browser: Browser, *, binding: str, script: str) -> None:
        """Opens context and page. By `binding` the watching `script` (watch.js) sends its reports."""
        context = self._context = await browser.new_context(
            user_agent=self.options.identity.user_agent,
            accept_downloads=False,
            service_workers="block",
            storage_state=_storage_state(self.options.identity.storage),
            proxy={"server": f"http://127.0.0.1:{self._gate.open()}", "bypass": "<-loopback>"},
        )
        if self._trace is not None:
            await context.tracing.start(screenshots=True, snapshots=True)
        await context.add_init_script(script)
        page = self._opened_page = await context.new_page()
        context.on("page", lambda other: self._spawn(other.close()))
        page.on("crash", lambda _: self._note_crash())
        page.on("close", lambda _: self._note_crash())
        page.on("pageerror", lambda error: self.listener.note_script_error(str(error)))
        page.on("request", self._report_request)
        page.on("response", lambda response: self._spawn(self._report_reply(response)))
        session = self._opened_session = await context.new_cdp_session(page)
        # Playwright's own bindings write their arguments with the page's JSON, which a page can replace.
        session.on("Runtime.bindingCalled", lambda event: self._report_frame(binding, event))
        session.on("Runtime.executionContextDestroyed", self._report_end_of_frame)
        session.on("Runtime.executionContextsCleared", self._report_end_of_frame)
        await session.send("Runtime.enable")
        await session.send("Runtime.addBinding", {"name": binding})
        await self._filter_requests(session)

    async def _filter_requests(self, session: CDPSession) -> None:
        requests = self._requests = RequestFilter(session, self.options.identity, self._gate)
        session.on("Fetch.requestPaused", self._handle_pause)
        session.on("Fetch.authRequired", lambda event: self._spawn(requests.log_in(event)))
        patterns = requests.patterns()
        if self._recorder is not None:
            session.on("Network.requestWillBeSent", self._recorder.observe_request)
            session.on("Network.loadingFailed", self._recorder.observe_failure)
            await session.send("Network.enable")
            patterns += [
                {"urlPattern": "*", "resourceType": kind, "requestStage": "Response"} for kind in LOADED
            ]
        await session.send("Fetch.enable", {"patterns": patterns, "handleAuthRequests": True})

    @property
    def _page(self) -> Page:
        assert self._opened_page is not None, "the tab is not open"
        return self._opened_page

    @property
    def _session(self) -> CDPSession:
        assert self._opened_session is not None, "the tab is not open"
        return self._opened_session

    # What a visit does in it

    async def goto(
        self, url: str, cookies: tuple[StoredCookie, ...], reach: Reach, *, is_fresh: bool
    ) -> None:
        """Goes to a page, until the head of its document is there; `is_fresh` bypasses caches on the way.

        Raises:
            TransportError: where the site cannot be reached.
            PageError: where the address is no page.
            BrowserError: where the browser fails.
        """
        assert self._requests is not None, "the tab is not open"
        home = self._requests.home = origin(url)
        self._gate.admit(reach)
        given = cookies_to_set(home, self.options.identity.cookies, cookies)
        if given:
            await self._set_cookies(given)
        if is_fresh:
            await self._ask(self._session.send("Network.setCacheDisabled", {"cacheDisabled": True}))
        try:
            response = await unless_gone(self._gone, self._page.goto(url, wait_until="commit", timeout=0))
        except Exception as error:
            if _HAS_NO_BODY in str(error):
                return  # its head was reported like that of every document
            raise self._map(error, url) from error
        if response is None:
            no_page = no_web_page()
            no_page.url = without_credentials(url)
            raise no_page

    async def _set_cookies(self, cookies: list[dict[str, object]]) -> None:
        """Sets what can be set: Chromium takes all of the cookies of a call, or none."""
        try:
            await self._ask(self._session.send("Network.setCookies", {"cookies": cookies}))
        except Crashed:
            raise
        except BrowserError as error:
            _log.debug("setting the cookies one by one: %s", error.message)
            for cookie in cookies:
                await attempt(self._session.send("Network.setCookies", {"cookies": [cookie]}))

    async def content(self) -> str:
        """The document as it is now; "" while the page goes to another one."""
        try:
            return await self._ask(self._page.content())
        except Crashed:
            raise
        except BrowserError as error:
            _log.debug("the document cannot be read: %s", error.message)
            return ""

    async def move_about(self) -> None:
        """Gives the input of a visitor who chooses nothing: pointer, wheel, a key, a touch without a tap."""
        page = self._page
        await self._ask(page.mouse.move(200, 200))
        await self._ask(page.mouse.move(320, 240))
        await self._ask(page.mouse.wheel(0, 240))
        await self._ask(page.keyboard.press("Shift"))
        for kind, points in _TOUCH:
            touch = {"type": kind, "touchPoints": points}
            await self._ask(self._session.send("Input.dispatchTouchEvent", touch))

    async def scroll_to_box(self) -> None:
        """Brings the box into view, in every frame; where there is none, the page's end."""
        for frame in self._page.frames:
            await attempt(frame.evaluate(_SCROLL, _BOXES))

    async def press_toggle(self) -> None:
        """Opens a popup chat by its own button. A layer above the button gets no click."""
        for frame in self._page.frames:
            await attempt(frame.evaluate(_PRESS, _TOGGLES))

    async def cookies(self, *urls: str) -> tuple[StoredCookie, ...]:
        """The cookies that requests to these addresses would carry, without those that the caller gave."""
        found = await self._ask(self._session.send("Network.getCookies", {"urls": list(urls)}))
        named = self.options.identity.cookies
        return tuple(one for one in stored_cookies(found["cookies"]) if (one.name, one.value) not in named)

    async def recorded_visit(self) -> RecordedVisit:
        """What the page has loaded, and its document; of a tab that is not recorded, no loads."""
        recorder = self._recorder or LoadRecorder()
        timeout = _COMPLETE_TIMEOUT * 1000
        await attempt(self._page.wait_for_load_state("domcontentloaded", timeout=timeout))
        await attempt(recorder.wait_until_complete(), _COMPLETE_TIMEOUT)
        return RecordedVisit(
            page=self._page.url,
            loads=recorder.loads,
            content=await attempt(self._page.content()) or "",
            cookies=stored_cookies(await attempt(self._page.context.cookies()) or []),
        )

    async def write_evidence(self) -> None:
        """Writes the picture and the trace of a visit that failed, each where it is wanted."""
        if self._context is None:
            return
        trace, self._trace = self._trace, None
        screenshot, self._screenshot = self._screenshot, None
        if screenshot is not None:
            picture = await attempt(self._page.screenshot(), _SCREENSHOT_TIMEOUT)
            if picture is not None:
                await attempt(asyncio.to_thread(_write_picture, screenshot, picture))
        if trace is None:
            return
        cookies = await attempt(self._context.cookies()) or []
        with tempfile.TemporaryDirectory() as folder:
            raw = Path(folder) / "trace.zip"
            await attempt(self._context.tracing.stop(path=raw))
            write = partial(
                write_clean_trace,
                raw,
                trace,
                identity=self.options.identity,
                cookies=[(cookie.get("name", ""), cookie.get("value", "")) for cookie in cookies],
            )
            await attempt(asyncio.to_thread(write))

    async def close(self, *, writes_evidence: bool = False) -> None:
        """Closes the page, and every connection it has."""
        if writes_evidence:
            await self.write_evidence()
        self.listener = PageListener()
        if self._context is not None:
            await attempt(self._context.close())
        await self.disconnect()

    async def disconnect(self) -> None:
        """Ends what the tab has outside of the browser."""
        for task in self._tasks:
            task.cancel()
        await self._gate.close()

    async def _ask(self, call: Awaitable[_Value], url: str = "") -> _Value:
        """The result of one awaited call to the browser, with its exceptions mapped."""
        try:
            return await unless_gone(self._gone, call)
        except Exception as error:
            raise self._map(error, url) from error

    def _map(self, error: Exception, url: str) -> ChatGpttError:
        shown = without_credentials(url)
        is_closed = self._gone.is_set() or self._page.is_closed() or "has been closed" in str(error)
        if self._has_crashed or is_closed:
            return Crashed(f"the browser died: {first_line_of(error)}", url=shown or None)
        if "Download is starting" in str(error):
            return map_failure("ERR_ABORTED", url, {})
        failure = re.search(r"net::(ERR_\w+)", str(error))
        if failure is not None:
            return map_failure(failure[1], url, self._gate.failures)
        return BrowserError(
            f"the browser failed: {first_line_of(error)}", hint="run again with -vv", url=shown
        )

    # What it reports

    def _spawn(self, work: Coroutine[object, object, object], timeout: float = CLOSE_TIMEOUT) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(attempt(work, timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note_crash(self) -> None:
        self._has_crashed = True
        self.listener.note_crash()

    def _report_frame(self, binding: str, event: Mapping[str, object]) -> None:
        """Passes on a report of a frame's watching script: what the frame shows, and where."""
        if event["name"] != binding:
            return
        is_main, url, parent, text = str(event["payload"]).split("\n", 3)
        if not url and parent:  # a document without an address of its own is a part of the one around it
            url = self._page.url if origin(self._page.url) == parent else f"{parent}/"
        if url:
            url = without_credentials(url.partition("#")[0])
            frame = event["executionContextId"]
            self.listener.observe_frame(frame, url, is_main=is_main == "1", text=text)

    def _report_end_of_frame(self, event: Mapping[str, object]) -> None:
        self.listener.forget_frame(event.get("executionContextId"))

    def _report_request(self, request: Request) -> None:
        if "admin-ajax.php" in request.url:
            self.listener.observe_request(request.url, _body_of(request))

    async def _report_reply(self, response: Response) -> None:
        request = response.request
        if request.is_navigation_request():
            leads_on = 300 <= response.status < 400 and "location" in response.headers
            if response.frame == self._page.main_frame and not leads_on:
                await self._report_document(response)
            return
        size = response.headers.get("content-length", "0")
        is_small = size.isdigit() and int(size) <= MAX_REPLY_CHARACTERS
        if request.resource_type in ("xhr", "fetch") and is_small and may_hold_tokens(response.url):
            kind = response.headers.get("content-type", "")
            if "json" in kind or "html" in kind:
                self.listener.observe_reply(response.url, await response.text(), _body_of(request))

    async def _report_document(self, response: Response) -> None:
        self._document = response
        head = ReplyHead(
            status=response.status,
            headers=response.headers,  # by their lower-case names
            url=without_credentials(response.url),
            received_at=time.time(),
        )
        self.listener.observe_document(head)
        if head.status >= 400:
            body = await attempt(response.text())  # gone where the page loads itself again at once
            if body is not None and self._document is response:
                self.listener.observe_error_page(head, body)

    def _handle_pause(self, event: Mapping[str, object]) -> None:
        assert self._requests is not None, "the tab is not open"
        if "responseStatusCode" in event or "responseErrorReason" in event:
            self._spawn(self._record_reply(event), _HOLD_TIMEOUT)
        else:
            self._spawn(self._requests.decide(event))

    async def _record_reply(self, event: Mapping[str, object]) -> None:
        """Notes a reply, and lets it go on to the page."""
        session = self._session
        assert self._recorder is not None, "the tab is not recorded"
        try:
            await self._recorder.observe_reply(
                event, lambda *call: attempt(session.send(*call), _HOLD_TIMEOUT)
            )
        finally:
            await session.send("Fetch.continueRequest", {"requestId": event["requestId"]})


def _storage_state(storage: tuple[StorageItem, ...]) -> StorageState | None:
    """What Playwright opens a context with. Cookies are set later, bound to their site's port."""
    if not storage:
        return None
    return {
        "cookies": [],
        "origins": [
            {
                "origin": site,
                "localStorage": [
                    {"name": item.name, "value": item.value} for item in storage if item.origin == site
                ],
            }
            for site in dict.fromkeys(item.origin for item in storage)
        ],
    }


def _write_picture(target: Path, picture: bytes) -> None:
    """Writes it for its owner alone: the page may be one that only the visitor gets to see."""
    find_place(target).parent.mkdir(parents=True, exist_ok=True)
    with replacing(target, mode=0o600) as file:
        file.write(picture)


def _body_of(request: Request) -> str:
    try:
        return request.post_data or ""
    except Exception as error:  # noqa: BLE001 - Playwright cannot decode it, so it is no form
        _log.debug("the body of a request is no text: %s", first_line_of(error))
        return ""
