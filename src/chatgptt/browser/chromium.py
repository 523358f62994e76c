"""Chromium through Playwright: the only module that knows either.

`Chromium` is one running browser, `Tab` one page in a context of its own, with everything kept out that
tokens don't need. What a visit does and waits for is in `rung`, when a browser is started and ended in
`shared`, in which thread in `driver`, where a page may connect to in `gate`, and what clears up after a
killed caller in `reaper`.

Everything that the browser and Playwright's driver write is in one folder, and goes with it.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import re
import sys
import tempfile
from collections.abc import Awaitable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from chatgptt._errors import BrowserError, ChatGpttError, PageError
from chatgptt._models import StoredCookie
from chatgptt.browser.blocked_requests import NOT_LOADED, TRACKERS, is_tracker
from chatgptt.browser.driver import environment_of_driver
from chatgptt.browser.failures import map_failure, words_of
from chatgptt.browser.gate import Gate
from chatgptt.browser.installed import INSTALL_HINT, Found, no_display
from chatgptt.browser.observations import MAX_REPLY_CHARACTERS, is_worth_reading
from chatgptt.browser.page_loads import LOADED, Loads, Witnessed
from chatgptt.browser.reaper import Lifeline
from chatgptt.browser.traces import keep_clean
from chatgptt.net.proxies import Proxy
from chatgptt.net.reach import Reach
from chatgptt.protocols.urls import origin, without_credentials
from chatgptt.tokens.store import check_owner

if TYPE_CHECKING:
    from playwright.async_api import (
        Browser,
        BrowserContext,
        CDPSession,
        Cookie,
        Page,
        Playwright,
        Request,
        Response,
    )

__all__ = ["Chromium", "Crashed", "Disguise", "Document", "Listener", "Tab", "TabOptions"]

_log = logging.getLogger("chatgptt.browser")
_Value = TypeVar("_Value")

_START_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 3.0
_HOLD_TIMEOUT = 20.0
_CALM_TIMEOUT = 1.0
"""What a witnessed visit waits at its end for replies under way; some pages always have one."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",  # its UDP would go past the gate, and so would WebRTC's
    # Once for Chromium and once for its headless shell.
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    # Cookies of one port go to no other port. The other two are Playwright's, whose list this one replaces.
    "--enable-features=EnablePortBoundCookies,CDPScreenshotNewSurface,SkipListAccountsWithoutGaiaCookies",
    "--disable-sync",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--dns-prefetch-disable",
    "--disable-remote-fonts",
    "--no-pings",
    # A whole Chromium asks a server of Google's about each form otherwise. Nothing listens there.
    "--autofill-server-url=http://127.0.0.1:9/",
    # One process for a page and all its frames: there is nothing in it but this one site's cookies, each
    # frame costs a process otherwise, and so one debugging session sees every frame's requests.
    "--disable-site-isolation-trials",
    # What Playwright sets, which this one replaces, and no pictures.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4,"
    "imagesEnabled=false",
)

_TOGGLES = ".wpaicg_toggle, .wpaicg-chatbox-toggle, .aipkit_popup_trigger, .aipkit_chat_popup_trigger"
_PRESS = """selector => {
    for (const toggle of document.querySelectorAll(selector)) { toggle.click(); return true; }
    return false;
}"""
_SCROLL = """selector => {
    const box = document.querySelector(selector);
    if (box) box.scrollIntoView({block: "center"}); else scrollTo(0, document.documentElement.scrollHeight);
}"""
_BOXES = ".wpaicg-chat-shortcode, .wpaicg-chatbox, .aipkit_chat_container, .aipkit_popup_wrapper"


class Crashed(BrowserError):
    """The browser, or the page's process in it, died under a visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disguise:
    """As whom pages are visited: the same visitor as on every other hop.

    `headers` go to the page's own origin only, since they may hold credentials. `proxy` is a URL with any
    login.
    """

    user_agent: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy: str | None = field(default=None, repr=False)
    proxy_source: str = ""
    """As `Proxy` has it."""

    @property
    def proxied_by(self) -> Proxy | None:
        """The proxy without its login, for messages."""
        return Proxy(url=self.proxy, source=self.proxy_source) if self.proxy else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TabOptions:
    """What a tab is opened for.

    Attributes:
        disguise: as whom it visits.
        trace: where Playwright's trace of a failed visit is written; None keeps none.
        is_witnessed: whether it notes what the page loads.
    """

    disguise: Disguise
    trace: Path | None = None
    is_witnessed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A document of the page itself: its reply's head, and of an error page its body."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: str = ""


class Listener:
    """Is told what happens in a tab; what matters is overridden. The calls are short and don't wait."""

    def frame_showed(self, frame: object, url: str, *, is_main: bool, text: str) -> None:
        """The watching script in a frame told what it sees."""

    def frame_left(self, frame: object) -> None:
        """A frame is gone, or its document; None stands for all of them."""

    def request_went(self, url: str, body: str) -> None:
        """The page sent a request to WordPress' message endpoint."""

    def reply_came(self, url: str, body: str, request_body: str) -> None:
        """The page's scripts were given JSON."""

    def document_came(self, document: Document) -> None:
        """The page itself goes to a document, the first or another one. Its body is still to come."""

    def error_page_came(self, document: Document) -> None:
        """The body of an error page that is the last document; not called if the page left it at once."""

    def script_failed(self, message: str) -> None:
        """A script of the page threw."""

    def page_died(self) -> None:
        """The page's process crashed, or the browser is gone."""


def _is_ours_alone(cache: Path) -> bool:
    """Makes a folder for what the driver compiles; False where somebody else could put code there."""
    try:
        for folder in (cache.parent, cache):
            check_owner(folder)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return True


class Chromium:
    """One running browser."""

    def __init__(self, found: Found, *, is_headed: bool = False, cache: Path | None = None) -> None:
        self._found = found
        self._is_headed = is_headed
        self._cache = cache
        self._lifeline: Lifeline | None = None
        self._driver: asyncio.Future[Playwright] | None = None
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._tabs: set[Tab] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._gone = asyncio.Event()
        self._is_closed = False
        self._binding = f"_{os.urandom(8).hex()}"
        script = files("chatgptt.browser").joinpath("watch.js").read_text("utf-8")
        self._script = script.replace("BINDING", self._binding)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return not self._is_closed and self._browser is not None and self._browser.is_connected()

    async def start(self) -> None:
        """Starts Playwright's driver, and by it the browser.

        Raises:
            BrowserError: where it does not start.
        """
        self._lifeline = Lifeline()
        try:
            self._start_driver(self._lifeline)
            assert self._driver is not None
            async with asyncio.timeout(_START_TIMEOUT):
                await asyncio.wait((self._driver,))
            self._playwright = self._driver.result()
            self._browser = await self._launch(self._lifeline.folder, is_sandboxed=_may_sandbox())
            self._browser.on("disconnected", lambda _: self._gone.set())
        except Exception as error:
            if self._is_headed and re.search(r"Missing X server|open (?:X )?display", str(error)):
                raise no_display() from error
            raise BrowserError(
                f"the browser {self._found.path} does not start: {words_of(error)}",
                hint=f"name another one in CHATGPTT_BROWSER, or {INSTALL_HINT}",
            ) from error

    def _start_driver(self, lifeline: Lifeline) -> None:
        """Starts the driver's process, and the one that ends it."""
        from playwright.async_api import async_playwright  # here, since it takes a tenth of a second

        extra = {"TMPDIR": str(lifeline.folder)}
        if self._cache is not None and _is_ours_alone(self._cache):
            extra["NODE_COMPILE_CACHE"] = str(self._cache)
        lifeline.watch()
        with environment_of_driver(extra):
            self._driver = asyncio.ensure_future(async_playwright().start())

    async def _launch(self, folder: Path, *, is_sandboxed: bool) -> Browser:
        assert self._playwright is not None
        try:
            return await self._playwright.chromium.launch(
                executable_path=self._found.path,
                headless=not self._is_headed,
                args=_FLAGS,
                chromium_sandbox=is_sandboxed,
                timeout=_START_TIMEOUT * 1000,
                handle_sigint=False,  # Ctrl-C is the caller's, who then closes the browser
                env={**os.environ, "TMPDIR": str(folder)},
            )
        except Exception as error:
            if not is_sandboxed or "sandbox" not in str(error).lower():
                raise
            _warn_of_no_sandbox("this system allows none")
            return await self._launch(folder, is_sandboxed=False)

    async def open_tab(self, options: TabOptions) -> Tab:
        """An empty tab.

        Raises:
            BrowserError: where the browser fails.
        """
        assert self._browser is not None
        tab = Tab(options, self._tabs, self._gone)
        try:
            opening = tab.open(self._browser, binding=self._binding, script=self._script)
            async with asyncio.timeout(_START_TIMEOUT):
                await _unless(self._gone, opening)
        except BaseException as error:
            # Not waited for: whoever gives up has no time left.
            closing = asyncio.ensure_future(tab.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            if isinstance(error, Exception) and not isinstance(error, ChatGpttError):
                raise Crashed(words_of(error)) from error
            raise
        return tab

    async def is_responding(self) -> bool:
        """Whether it runs and answers."""
        if not self.is_alive or self._browser is None:
            return False
        session = await _attempt(self._browser.new_browser_cdp_session())
        if session is None:
            return False
        await _attempt(session.detach())
        return True

    async def close(self) -> None:
        """Ends every process and removes what they wrote, however far the start came."""
        if self._is_closed:
            return
        self._is_closed = True
        lifeline = self._lifeline
        if self._browser is not None and not (lifeline is not None and lifeline.is_watching):
            await _attempt(self._browser.close())
        # At the same time: what is told to stop does not take its being killed for a failure.
        stopping = asyncio.ensure_future(_attempt(_stop(self._driver)))
        if lifeline is not None:
            if not lifeline.is_watching:
                await stopping
            await lifeline.close()
        await stopping
        for tab in list(self._tabs):
            await tab.disconnect()
        if self._closing:
            await asyncio.wait(self._closing)

    def forget(self) -> None:
        """For a process that was forked: the browser is its parent's alone."""
        if self._lifeline is not None:
            self._lifeline.forget()


_HAS_NO_BODY = "net::ERR_HTTP_RESPONSE_CODE_FAILURE"
"""What a whole Chromium calls an error page without a body; it shows one of its own in that place."""


class Tab:
    """One page in a context of its own."""

    def __init__(self, options: TabOptions, open_tabs: set[Tab], gone: asyncio.Event) -> None:
        self.listener = Listener()
        self._gone = gone
        self._open_tabs = open_tabs
        self.options = options
        self.disguise = options.disguise
        self._trace = options.trace
        self._loads = Loads() if options.is_witnessed else None
        self._gate = Gate(self.disguise.proxied_by)
        self._context: BrowserContext | None = None
        self._opened: Page | None = None
        self._session: CDPSession | None = None
        self._document: Response | None = None
        self._home = ""
        self._tasks: set[asyncio.Task[object]] = set()
        self._has_crashed = False

    async def open(self, browser: Browser, *, binding: str, script: str) -> None:
        """Opens context and page."""
        self._open_tabs.add(self)
        context = self._context = await browser.new_context(
            user_agent=self.disguise.user_agent,
            accept_downloads=False,
            service_workers="block",
            proxy={"server": f"http://127.0.0.1:{await self._gate.open()}", "bypass": "<-loopback>"},
        )
        if self._trace is not None:
            await context.tracing.start(screenshots=True, snapshots=True)
        await context.add_init_script(script)
        page = self._opened = await context.new_page()
        context.on("page", lambda other: self._spawn(other.close()))
        page.on("crash", lambda _: self._died())
        page.on("close", lambda _: self._died())
        page.on("pageerror", lambda error: self.listener.script_failed(str(error)))
        page.on("request", self._went)
        page.on("response", lambda response: self._spawn(self._came(response)))
        session = self._session = await context.new_cdp_session(page)
        # Playwright's own bindings write their arguments with the page's JSON, which a page can replace.
        session.on("Runtime.bindingCalled", lambda event: self._told(binding, event))
        session.on("Runtime.executionContextDestroyed", self._left)
        session.on("Runtime.executionContextsCleared", self._left)
        await session.send("Runtime.enable")
        await session.send("Runtime.addBinding", {"name": binding})
        session.on("Fetch.requestPaused", self._paused)
        session.on("Fetch.authRequired", lambda event: self._spawn(self._log_in(event)))
        patterns = [{"urlPattern": "*", "resourceType": kind} for kind in sorted(NOT_LOADED)]
        patterns += [{"urlPattern": f"*://*{host}/*"} for host in TRACKERS]
        # Documents for the gate's login too. Chromium keeps it for whatever else the context asks for.
        kinds = ("Document", "XHR", "Fetch", "Script") if self.disguise.headers else ("Document",)
        patterns += [{"urlPattern": "*", "resourceType": kind} for kind in kinds]
        if self._loads is not None:
            session.on("Network.requestWillBeSent", self._loads.went)
            session.on("Network.loadingFailed", self._loads.failed)
            await session.send("Network.enable")
            patterns += [
                {"urlPattern": "*", "resourceType": kind, "requestStage": "Response"} for kind in LOADED
            ]
        await session.send("Fetch.enable", {"patterns": patterns, "handleAuthRequests": True})

    # What is done in it

    async def goto(
        self, url: str, cookies: tuple[StoredCookie, ...], reach: Reach, *, is_fresh: bool
    ) -> None:
        """Goes to a page, until the head of its document is there.

        Args:
            url: the page.
            cookies: what the visitor has of its site.
            reach: where the site may lead.
            is_fresh: whether caches on the way are to be asked to stand aside.

        Raises:
            TransportError: where the site can't be reached.
            PageError: where the address is no page.
            BrowserError: where the browser fails.
        """
        self._home = origin(url)
        self._gate.admit(reach)
        page, context = self._page, self._context
        assert context is not None
        assert self._session is not None
        await self._add_cookies(cookies)
        if is_fresh:
            await self._ask(self._session.send("Network.setCacheDisabled", {"cacheDisabled": True}))
        try:
            response = await _unless(self._gone, page.goto(url, wait_until="commit", timeout=0))
        except Exception as error:
            if _HAS_NO_BODY in str(error):
                return  # its head has come as that of every document
            raise self._map(error, url) from error
        if response is None:
            raise PageError("the address answers with no web page", url=without_credentials(url))

    async def _add_cookies(self, cookies: tuple[StoredCookie, ...]) -> None:
        """Gives the page its visitor's cookies: those of a host for the ports of its site alone."""
        assert self._session is not None
        given: list[dict[str, object]] = []
        for place in _places_of(self._home):
            given += [{"name": name, "value": value, **place} for name, value in self._named_cookies()]
            for cookie in cookies:
                domain = cookie.domain
                fields = {
                    "name": cookie.name,
                    "value": cookie.value,
                    "domain": domain.removesuffix(".local") if _is_bare(domain) else domain,
                    "path": cookie.path,
                    "secure": cookie.is_secure,
                }
                given.append({**place, **fields})
        if given:
            await self._ask(self._session.send("Network.setCookies", {"cookies": given}))

    def _named_cookies(self) -> list[tuple[str, str]]:
        """The caller's own cookies."""
        pairs = dict(self.disguise.headers).get("cookie", "").split(";")
        parted = [pair.strip().partition("=") for pair in pairs if pair.strip()]
        return [(name, value) for name, _, value in parted]

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
        """What a visitor's hands do without choosing anything: pointer, wheel, a key, a touch that is no
        tap.
        """
        page, session = self._page, self._session
        assert session is not None
        await self._ask(page.mouse.move(200, 200))
        await self._ask(page.mouse.move(320, 240))
        await self._ask(page.mouse.wheel(0, 240))
        await self._ask(page.keyboard.press("Shift"))
        point = {"x": 300, "y": 300}
        for kind, points in (
            ("touchStart", [point]),
            ("touchMove", [{"x": 300, "y": 280}]),
            ("touchCancel", []),
        ):
            await self._ask(session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points}))

    async def scroll_to_box(self) -> None:
        """Brings the box into view, in every frame; where none is there, the page's end."""
        for frame in self._page.frames:
            await _attempt(frame.evaluate(_SCROLL, _BOXES))

    async def press_toggle(self) -> bool:
        """Opens a popup chat by its own button, which is pressed itself: no layer above it can be meant."""
        pressed = [await _attempt(frame.evaluate(_PRESS, _TOGGLES)) for frame in self._page.frames]
        return any(pressed)

    async def cookies(self, *urls: str) -> tuple[StoredCookie, ...]:
        """The cookies that requests to these addresses would carry, without those that the caller gave."""
        assert self._session is not None
        there = await self._ask(self._session.send("Network.getCookies", {"urls": list(urls)}))
        named = self._named_cookies()
        return tuple(one for one in _stored(there["cookies"]) if (one.name, one.value) not in named)

    async def witnessed(self) -> Witnessed:
        """What the page has loaded, and what it has become; nothing of a tab that is not witnessed."""
        assert self._context is not None
        loads: Loads = self._loads or Loads()
        state = self._page.wait_for_load_state("domcontentloaded", timeout=_CALM_TIMEOUT * 1000)
        await _attempt(state)
        await _attempt(loads.calm(), _CALM_TIMEOUT)
        content = await _attempt(self._page.content())
        return Witnessed(
            page=self._page.url,
            loads=loads.all(),
            content=content or "",
            cookies=_stored(await _attempt(self._context.cookies()) or []),
        )

    async def keep_trace(self) -> None:
        """Writes the trace of a visit that failed, where one is wanted."""
        if self._trace is not None and self._context is not None:
            trace, self._trace = self._trace, None
            cookies = _stored(await _attempt(self._context.cookies()) or [])
            with tempfile.TemporaryDirectory() as folder:
                raw = Path(folder) / "trace.zip"
                await _attempt(self._context.tracing.stop(path=raw))
                clean = partial(
                    keep_clean,
                    raw,
                    trace,
                    headers=self.disguise.headers,
                    cookies=[(cookie.name, cookie.value) for cookie in cookies],
                    proxy=self.disguise.proxy,
                )
                await _attempt(asyncio.to_thread(clean))

    async def close(self) -> None:
        """Closes the page, and every connection it has."""
        self.listener = Listener()
        if self._context is not None:
            await _attempt(self._context.close())
        await self.disconnect()

    async def disconnect(self) -> None:
        """Ends what the tab has outside of the browser."""
        self._open_tabs.discard(self)
        for task in self._tasks:
            task.cancel()
        await self._gate.close()

    @property
    def _page(self) -> Page:
        assert self._opened is not None
        return self._opened

    async def _ask(self, call: Awaitable[_Value], url: str = "") -> _Value:
        """The result of one awaited call to the browser, with its exceptions mapped."""
        try:
            return await _unless(self._gone, call)
        except Exception as error:
            raise self._map(error, url) from error

    def _map(self, error: Exception, url: str) -> ChatGpttError:
        is_closed = self._gone.is_set() or self._page.is_closed() or "has been closed" in str(error)
        if self._has_crashed or is_closed:
            return Crashed(f"the browser died: {words_of(error)}", url=without_credentials(url) or None)
        if "Download is starting" in str(error):
            return map_failure("ERR_ABORTED", url, {})
        failure = re.search(r"net::(ERR_\w+)", str(error))
        if failure is None:
            return BrowserError(
                f"the browser failed: {words_of(error)}",
                hint="run again with -vv",
                url=without_credentials(url),
            )
        return map_failure(failure[1], url, self._gate.failures)

    # What happens in it

    def _spawn(self, work: Coroutine[object, object, object], timeout: float = _CLOSE_TIMEOUT) -> None:
        task: asyncio.Task[object] = asyncio.ensure_future(_attempt(work, timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _died(self) -> None:
        self._has_crashed = True
        self.listener.page_died()

    def _told(self, binding: str, event: Mapping[str, object]) -> None:
        """Takes in a report of a frame's watching script: what the frame shows, and where."""
        if event["name"] != binding:
            return
        is_main, url, parent, text = str(event["payload"]).split("\n", 3)
        if not url and parent:  # a document without an address of its own is a part of the one around it
            url = self._page.url if origin(self._page.url) == parent else f"{parent}/"
        if url:
            url = without_credentials(url.partition("#")[0])
            frame = event["executionContextId"]
            self.listener.frame_showed(frame, url, is_main=is_main == "1", text=text)

    def _left(self, event: Mapping[str, object]) -> None:
        self.listener.frame_left(event.get("executionContextId"))

    def _went(self, request: Request) -> None:
        if "admin-ajax.php" in request.url:
            self.listener.request_went(request.url, _posted(request))

    async def _came(self, response: Response) -> None:
        request = response.request
        if request.is_navigation_request():
            leads_on = 300 <= response.status < 400 and "location" in response.headers
            if response.frame == self._page.main_frame and not leads_on:
                await self._document_came(response)
            return
        size = response.headers.get("content-length", "0")
        is_small = size.isdigit() and int(size) <= MAX_REPLY_CHARACTERS
        if request.resource_type in ("xhr", "fetch") and is_small and is_worth_reading(response.url):
            kind = response.headers.get("content-type", "")
            if "json" in kind or "html" in kind:
                self.listener.reply_came(response.url, await response.text(), _posted(request))

    async def _document_came(self, response: Response) -> None:
        self._document = response
        url = without_credentials(response.url)
        document = Document(url=url, status=response.status, headers=response.headers)
        self.listener.document_came(document)
        if document.status >= 400:
            body = await _attempt(response.text())  # gone where the page loads itself again at once
            if body is not None and self._document is response:
                self.listener.error_page_came(replace(document, body=body))

    def _paused(self, event: Mapping[str, object]) -> None:
        if "responseStatusCode" in event or "responseErrorReason" in event:
            self._spawn(self._note(event), _HOLD_TIMEOUT)
        else:
            self._spawn(self._decide(event))

    async def _note(self, event: Mapping[str, object]) -> None:
        """Takes a reply to a witnessed page down, and lets it go on to the page."""
        session, loads = self._session, self._loads
        assert session is not None
        assert loads is not None
        try:
            await loads.take(event, lambda *call: _attempt(session.send(*call), _HOLD_TIMEOUT))
        finally:
            await session.send("Fetch.continueRequest", {"requestId": event["requestId"]})

    async def _log_in(self, event: Mapping[str, object]) -> None:
        """Gives the gate its login. Other servers that ask for a login get none."""
        session, challenge = self._session, event["authChallenge"]
        assert session is not None
        assert isinstance(challenge, dict)
        answer = {"response": "Default"}
        if challenge.get("source") == "Proxy":
            is_gate = challenge.get("realm") == self._gate.realm
            user, password = self._gate.login
            given = {"response": "ProvideCredentials", "username": user, "password": password}
            answer = given if is_gate else {"response": "CancelAuth"}
        which = {"requestId": event["requestId"]}
        await session.send("Fetch.continueWithAuth", {**which, "authChallengeResponse": answer})

    async def _decide(self, event: Mapping[str, object]) -> None:
        """Whether one of the requests that are looked at goes out, and with what."""
        session, request = self._session, event["request"]
        assert session is not None
        assert isinstance(request, dict)
        which = {"requestId": event["requestId"]}
        url, kind = str(request["url"]), event["resourceType"]
        if kind == "Stylesheet":  # an empty one, since scripts wait for it to be loaded
            style = {"responseCode": 200, "responseHeaders": [{"name": "content-type", "value": "text/css"}]}
            await session.send(
                "Fetch.fulfillRequest", {**which, **style, "body": base64.b64encode(b"").decode()}
            )
        elif kind in NOT_LOADED or is_tracker(url):
            await session.send("Fetch.failRequest", {**which, "errorReason": "BlockedByClient"})
        elif self.disguise.headers and origin(url) == self._home:
            own = {
                name: value for name, value in self.disguise.headers if name not in ("cookie", "user-agent")
            }
            there = {
                str(name): str(value)
                for name, value in request["headers"].items()
                if str(name).lower() not in own
            }
            headers = [{"name": name, "value": value} for name, value in (there | own).items()]
            await session.send("Fetch.continueRequest", {**which, "headers": headers})
        else:
            await session.send("Fetch.continueRequest", which)


# What goes wrong


async def _unless(gone: asyncio.Event, call: Awaitable[_Value]) -> _Value:
    """The result of a call to a browser that may die meanwhile: Playwright leaves some calls waiting then."""
    calling, leaving = asyncio.ensure_future(call), asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((calling, leaving), return_when=asyncio.FIRST_COMPLETED)
        if calling.done():
            return calling.result()
        raise ConnectionError("the browser is gone")
    finally:
        leaving.cancel()
        if not calling.done():
            calling.cancel()
            await asyncio.wait((calling,))


async def _attempt(work: Awaitable[_Value], timeout: float = _CLOSE_TIMEOUT) -> _Value | None:
    """The result of a call whose failure changes nothing: the tab or the browser is gone, or about to be."""
    try:
        async with asyncio.timeout(timeout):
            return await work
    except Exception as error:  # noqa: BLE001 - see above
        _log.debug("the browser: %s", words_of(error))
        return None


async def _stop(driver: asyncio.Future[Playwright] | None) -> None:
    if driver is not None:
        await (await driver).stop()


def _posted(request: Request) -> str:
    try:
        return request.post_data or ""
    except Exception as error:  # noqa: BLE001 - whatever it holds, it is no form
        _log.debug("the body of a request is no text: %s", words_of(error))
        return ""


def _stored(cookies: Iterable[Cookie]) -> tuple[StoredCookie, ...]:
    return tuple(
        StoredCookie(
            name=cookie.get("name", ""),
            value=cookie.get("value", ""),
            domain=_for_jar(cookie.get("domain", "")),
            path=cookie.get("path", "/"),
            is_secure=cookie.get("secure", False),
        )
        for cookie in cookies
    )


def _places_of(home: str) -> list[dict[str, object]]:
    """Where a cookie of a site is for, by the site's origin; as `may_carry_credentials` has it."""
    parts = urlsplit(home)
    safe: dict[str, object] = {
        "url": f"https://{parts.netloc}/",
        "sourceScheme": "Secure",
        "sourcePort": parts.port or 443,
        "secure": True,
    }
    if parts.scheme == "https":
        return [safe]
    clear: dict[str, object] = {
        "url": f"{home}/",
        "sourceScheme": "NonSecure",
        "sourcePort": parts.port or 80,
        "secure": False,
    }
    return [clear] if parts.port else [clear, safe]


def _is_bare(domain: str) -> bool:
    return domain.count(".") == 1 and domain.endswith(".local")


def _for_jar(domain: str) -> str:
    """As Python's cookie jar has it: a host without a dot is `.local` there."""
    return domain if "." in domain else f"{domain}.local"


# The system


def _may_sandbox() -> bool:
    """Chromium refuses its sandbox to root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        _warn_of_no_sandbox("the user is root")
        return False
    return True


_said: set[str] = set()


def _warn_of_no_sandbox(why: str) -> None:
    if why not in _said:
        _said.add(why)
        _log.warning("the browser runs without its sandbox: %s", why)
