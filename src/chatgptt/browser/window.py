"""A browser's window in which a person visits a page; it gives what the browser then holds.

Nothing is clicked or typed here. The context is new: nothing of the person's own profile is in it. It has no
gate, no filter and none of the headless rung's savings, since a person wants pictures and all of a page.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt.browser.browser_cookies import stored_cookies
from chatgptt.browser.calls import attempt
from chatgptt.browser.chromium import Chromium
from chatgptt.browser.driver import DriverThread
from chatgptt.browser.installed import Found, find_browser, no_display
from chatgptt.browser.navigation_errors import first_line_of, map_failure
from chatgptt.net.proxies import Proxy
from chatgptt.protocols.urls import has_host, origin, without_credentials
from chatgptt.visits.visit import Contents, StorageItem

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, HttpCredentials, Page, ProxySettings

_LOOK = 0.2
"""Seconds between two looks. A window that is closed shows its storage no more, so the last look counts."""

_FLAGS = ("--disable-sync", "--no-default-browser-check")

_NO_WINDOWS = "a headless shell has no windows: install Chrome or Chromium"
_NO_DISPLAY = "connect with ssh -X, run this on a desktop"

_ENTRIES = "() => Object.entries(localStorage)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonsVisit:
    """What the browser holds after a person's visit, of all sites, and its user agent.

    `place` is the page that it showed last.
    """

    contents: Contents
    user_agent: str
    place: str


async def show_page(
    url: str,
    *,
    proxy: Proxy | None,
    login: tuple[str, str] | None,
    timeout: float,
    on_open: Callable[[], None],
    is_done: Callable[[], bool],
) -> PersonsVisit:
    """Shows a page in a window, until the person has closed it or `is_done`.

    Args:
        url: the page.
        proxy: what the window connects through.
        login: user and password, for a page that asks for them as HTTP does.
        timeout: seconds for the page's first answer.
        on_open: is called when the page has begun to come.
        is_done: is asked several times a second.

    Raises:
        BrowserError: where no browser can show a window.
        TransportError: where the page does not come.
    """
    found = _find_browser(url)
    thread = DriverThread()
    window = _Window(found, url, proxy, login, timeout, on_open, is_done)
    try:
        return await thread.run(window.run)
    finally:
        thread.stop(window.close)


def _find_browser(url: str) -> Found:
    try:
        return find_browser(needs_window=True)
    except BrowserError as error:
        if error.code == "browser_missing":
            error.hint = f"{_or_import(_NO_WINDOWS, url)}; or {error.hint}"
        else:
            error.hint = _or_import(_NO_DISPLAY, url)
        raise


def _or_import(way: str, url: str) -> str:
    """The hint where no window is shown: this way, or a login that was made elsewhere."""
    command = f"chatgptt login --site {shlex.quote(without_credentials(url))} --import FILE"
    return f"{way}, or log in elsewhere and give its cookies: {command}"


class _Window:
    """The window; lives in the loop of the browser's thread."""

    def __init__(
        self,
        found: Found,
        url: str,
        proxy: Proxy | None,
        login: tuple[str, str] | None,
        timeout: float,
        on_open: Callable[[], None],
        is_done: Callable[[], bool],
    ) -> None:
        self._on_open = on_open
        self._chromium = Chromium(found, is_headed=True, flags=_FLAGS)
        self._url = url
        self._proxy = proxy
        self._login = login
        self._timeout = timeout
        self._is_done = is_done
        self._contents = Contents()
        self._place = url

    async def run(self) -> PersonsVisit:
        """What the browser holds when the person is done."""
        try:
            await self._chromium.start()
        except BrowserError as error:
            if error.message == no_display().message:
                error.hint = _or_import(_NO_DISPLAY, self._url)
            raise
        try:
            context = await self._chromium.browser.new_context(
                no_viewport=True,
                proxy=None if self._proxy is None else _settings_of(self._proxy),
                http_credentials=None if self._login is None else _credentials(self._login, self._url),
            )
            context.on("dialog", lambda _: None)  # Playwright would answer what a page asks the person
            page = await context.new_page()
            user_agent: str = await page.evaluate("navigator.userAgent")
            await page.goto(self._url, wait_until="commit", timeout=self._timeout * 1000)
        except Exception as error:
            raise self._map(error) from error
        self._on_open()
        while context.pages and not self._is_done():
            await self._look(context)
            await asyncio.sleep(_LOOK)
        await self._look(context)
        return PersonsVisit(contents=self._contents, user_agent=user_agent, place=self._place)

    async def _look(self, context: BrowserContext) -> None:
        cookies = await attempt(context.cookies())
        if cookies is not None:
            self._contents = Contents(cookies=stored_cookies(cookies), storage=self._contents.storage)
        for page in context.pages:
            await self._look_at(page)

    async def _look_at(self, page: Page) -> None:
        """Takes the local storage of a page's origin in place of what it was."""
        address = page.url
        if not has_host(address):
            return
        self._place = address
        entries = await attempt(page.evaluate(_ENTRIES))
        if not isinstance(entries, list) or page.url != address:
            return
        site = origin(address)
        items = tuple(
            StorageItem(origin=site, name=entry[0], value=entry[1])
            for entry in entries
            if isinstance(entry, list) and len(entry) == 2 and all(isinstance(text, str) for text in entry)
        )
        others = tuple(item for item in self._contents.storage if item.origin != site)
        self._contents = Contents(cookies=self._contents.cookies, storage=others + items)

    def _map(self, error: Exception) -> ChatGpttError:
        shown = without_credentials(self._url)
        failure = re.search(r"net::(ERR_\w+)", str(error))
        if failure is not None:
            return map_failure(failure[1], shown, {})
        if "Timeout" in str(error):
            return map_failure("ERR_TIMED_OUT", shown, {})
        return BrowserError(
            f"the browser cannot show the page: {first_line_of(error)}",
            hint=_or_import("run again", self._url),
            url=shown,
        )

    async def close(self) -> None:
        """Ends the browser."""
        await self._chromium.close()


def _settings_of(proxy: Proxy) -> ProxySettings:
    parts = urlsplit(proxy.url)
    port = "" if parts.port is None else f":{parts.port}"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    settings: ProxySettings = {"server": f"{parts.scheme}://{host}{port}", "bypass": "<-loopback>"}
    if parts.username:
        settings |= {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    return settings


def _credentials(login: tuple[str, str], url: str) -> HttpCredentials:
    return {"username": login[0], "password": login[1], "origin": origin(url)}
