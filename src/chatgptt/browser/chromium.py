"""One running Chromium, by way of Playwright.

Everything that the browser and Playwright's driver write is in one folder, and is removed with it (`reaper`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import weakref
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt.browser.calls import Crashed, attempt, unless_gone
from chatgptt.browser.driver import environment_of_driver
from chatgptt.browser.installed import DRIVER_PACKAGE, INSTALL_HINT, Found, no_display
from chatgptt.browser.navigation_errors import first_line_of
from chatgptt.browser.reaper import Reaper
from chatgptt.browser.visitor import TabOptions
from chatgptt.state.folder import check_owner

if TYPE_CHECKING:
    from playwright.async_api import Browser, Playwright

    from chatgptt.browser.tab import Tab

_log = logging.getLogger("chatgptt.browser")

_START_TIMEOUT = 30.0
_SPAWN_TIME = 0.02
"""Seconds until the driver's process runs. Its start takes 0.2 s: time to import what a visit needs."""
_CACHE_TIMEOUT = 0.5
"""Seconds that the driver has to end by itself, and to write its compile cache; mostly it needs a tenth."""

_FLAGS = (
    "--disable-gpu",
    "--disable-quic",  # its UDP would bypass the gate, and so would WebRTC's
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
    # Otherwise a whole Chromium asks a server of Google's about each form. Nothing listens at this port.
    "--autofill-server-url=http://127.0.0.1:9/",
    # One process for a page and all its frames. It holds this one site's cookies only. Each frame would cost
    # a process otherwise, and this way one debugging session reports the requests of every frame.
    "--disable-site-isolation-trials",
    # Playwright's settings, which this flag replaces, and no pictures.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4,"
    "imagesEnabled=false",
)


class Chromium:
    """One running browser. From the folder `cache` Playwright's driver starts faster the next time."""

    def __init__(
        self,
        found: Found,
        *,
        is_headed: bool = False,
        cache: Path | None = None,
        flags: Sequence[str] = _FLAGS,
    ) -> None:
        self._found = found
        self._flags = flags
        self._is_headed = is_headed
        self._driver_cache = cache
        self._reaper: Reaper | None = None
        self._driver: asyncio.Future[Playwright] | None = None
        self._browser: Browser | None = None
        self._tabs: weakref.WeakSet[Tab] = weakref.WeakSet()
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
        """Starts Playwright's driver, which starts the browser.

        Raises:
            BrowserError: where it does not start.
        """
        reaper = self._reaper = Reaper()
        try:
            driver = self._driver = self._start_driver(reaper)
            async with asyncio.timeout(_START_TIMEOUT):
                await asyncio.wait((driver,), timeout=_SPAWN_TIME)
                import_module("chatgptt.browser.visit")  # and with it all that a visit needs
                await asyncio.wait((driver,))
            self._browser = await self._launch(driver.result(), reaper.folder, is_sandboxed=_may_sandbox())
            self._browser.on("disconnected", lambda _: self._gone.set())
        except Exception as error:
            raise self._explain(error) from error

    def _explain(self, error: Exception) -> BrowserError:
        if self._is_headed and re.search(r"Missing X server|open (?:X )?display", str(error)):
            return no_display()
        driver = self._driver
        if driver is not None and driver.done() and not driver.cancelled() and driver.exception() is not None:
            return BrowserError(
                f"Playwright's driver does not start: {first_line_of(error)}",
                hint="python -m playwright --version says why; "
                f"a slim Debian lacks its library: apt-get install {DRIVER_PACKAGE}",
            )
        return BrowserError(
            f"the browser {self._found.path} does not start: {first_line_of(error)}",
            hint=f"name another one in CHATGPTT_BROWSER, or {INSTALL_HINT}",
        )

    def _start_driver(self, reaper: Reaper) -> asyncio.Future[Playwright]:
        """Starts the process that ends the driver, and then the driver."""
        from playwright.async_api import async_playwright  # here, since it takes a tenth of a second

        variables = {"TMPDIR": str(reaper.folder)}
        if self._driver_cache is not None and _is_private(self._driver_cache):
            variables["NODE_COMPILE_CACHE"] = str(self._driver_cache)
        reaper.start()
        environment_of_driver.set(variables)  # in the task that starts this browser, and nowhere else
        return asyncio.ensure_future(async_playwright().start())

    async def _launch(self, playwright: Playwright, folder: Path, *, is_sandboxed: bool) -> Browser:
        try:
            return await playwright.chromium.launch(
                executable_path=self._found.path,
                headless=not self._is_headed,
                args=self._flags,
                chromium_sandbox=is_sandboxed,
                timeout=_START_TIMEOUT * 1000,
                handle_sigint=False,  # Ctrl-C is the caller's, who then closes the browser
                env={**os.environ, "TMPDIR": str(folder)},
            )
        except Exception as error:
            if not is_sandboxed or "sandbox" not in str(error).lower():
                raise
            _warn_of_no_sandbox("this system allows none")
            return await self._launch(playwright, folder, is_sandboxed=False)

    @property
    def browser(self) -> Browser:
        """The browser in Playwright's terms, once it is started."""
        assert self._browser is not None, "the browser is not started"
        return self._browser

    async def open_tab(self, options: TabOptions) -> Tab:
        """An empty tab.

        Raises:
            BrowserError: where the browser fails.
        """
        from chatgptt.browser.tab import Tab  # here, since `start` imports it while the driver starts

        tab = Tab(options, self._gone)
        self._tabs.add(tab)
        try:
            opening = tab.open(self.browser, binding=self._binding, script=self._script)
            async with asyncio.timeout(_START_TIMEOUT):
                await unless_gone(self._gone, opening)
        except BaseException as error:
            # In the background, since a caller that gives up has no time left.
            closing = asyncio.ensure_future(tab.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            if isinstance(error, Exception) and not isinstance(error, ChatGpttError):
                raise Crashed(first_line_of(error)) from error
            raise
        return tab

    async def is_responding(self) -> bool:
        """Whether it runs and answers."""
        if not self.is_alive or self._browser is None:
            return False
        session = await attempt(self._browser.new_browser_cdp_session())
        if session is not None:
            await attempt(session.detach())
        return session is not None

    async def close(self) -> None:
        """Ends every process and removes the files, at whatever step the start is."""
        if self._is_closed:
            return
        self._is_closed = True
        reaper = self._reaper
        is_watched = reaper is not None and reaper.is_running
        if self._browser is not None and not is_watched:
            await attempt(self._browser.close())
        # At the same time: a driver that is asked to stop does not log that it is killed.
        stopping = asyncio.ensure_future(attempt(_stop(self._driver)))
        if not is_watched:
            await stopping
        elif self._driver_cache is not None:
            await asyncio.wait((stopping,), timeout=_CACHE_TIMEOUT)
        if reaper is not None:
            await reaper.close()
        await stopping
        for tab in list(self._tabs):
            await tab.disconnect()
        if self._closing:
            await asyncio.wait(self._closing)


async def _stop(driver: asyncio.Future[Playwright] | None) -> None:
    if driver is not None:
        await (await driver).stop()


def _is_private(cache: Path) -> bool:
    """Makes a folder for compiled code; False where another user could put code there."""
    try:
        for folder in (cache.parent, cache):
            check_owner(folder)
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return True


def _may_sandbox() -> bool:
    """Chromium refuses its sandbox to root."""
    if sys.platform != "win32" and os.geteuid() == 0:
        _warn_of_no_sandbox("the user is root")
        return False
    return True


@cache  # once for a reason
def _warn_of_no_sandbox(why: str) -> None:
    _log.warning("the browser runs without its sandbox: %s", why)
