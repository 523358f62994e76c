"""A browser's window in which a person visits a page; it gives what the browser then holds.

Nothing is clicked or typed here. The context is new: nothing of the person's own profile is in it. It has no
gate, no filter and none of the headless rung's savings, since a person wants pictures and all of a page.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chatgptt._errors import BrowserError, ChatGpttError
from chatgptt.browser.browser_cookies import stored_cookies
from chatgptt.browser.calls import attempt
from chatgptt.browser.chromium import Chromium
from chatgptt.browser.driver import DriverThread
from chatgptt.browser.installed import Found, find_browser, no_display
from chatgptt.browser.navigation_errors import first_line_of, map_failure
from chatgptt.browser.upstream import UpstreamProxy
from chatgptt.net.proxies import Proxy
from chatgptt.protocols.urls import has_host, origin, without_credentials
from chatgptt.visits.visit import Contents, StorageItem

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, ProxySettings

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
    chromium = Chromium(_find_browser(url), is_headed=True, flags=_FLAGS)

    async def watch() -> PersonsVisit:
        await _start(chromium, url)
        try:
            context = await _open_context(chromium, url, proxy, login)
            page = await context.new_page()
            user_agent: str = await page.evaluate("navigator.userAgent")
            await page.goto(url, wait_until="commit", timeout=timeout * 1000)
        except Exception as error:
            raise _map(error, url) from error
        on_open()
        visit = PersonsVisit(contents=Contents(), user_agent=user_agent, place=url)
        while context.pages and not is_done():
            visit = await _look(context, visit)
            await asyncio.sleep(_LOOK)
        return await _look(context, visit)

    thread = DriverThread()
    try:
        return await thread.run(watch)
    finally:
        thread.stop(chromium.close)


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


async def _start(chromium: Chromium, url: str) -> None:
    try:
        await chromium.start()
    except BrowserError as error:
        if error.message == no_display().message:
            error.hint = _or_import(_NO_DISPLAY, url)
        raise


async def _open_context(
    chromium: Chromium, url: str, proxy: Proxy | None, login: tuple[str, str] | None
) -> BrowserContext:
    context = await chromium.browser.new_context(
        no_viewport=True,
        proxy=None if proxy is None else _settings_of(proxy),
        http_credentials=None
        if login is None
        else {"username": login[0], "password": login[1], "origin": origin(url)},
    )
    context.on("dialog", lambda _: None)  # Playwright would answer what a page asks the person
    return context


async def _look(context: BrowserContext, visit: PersonsVisit) -> PersonsVisit:
    """The visit with what the browser holds now; what it does not tell any more stays."""
    cookies = await attempt(context.cookies())
    if cookies is not None:
        visit = replace(visit, contents=replace(visit.contents, cookies=stored_cookies(cookies)))
    for page in context.pages:
        visit = await _look_at(page, visit)
    return visit


async def _look_at(page: Page, visit: PersonsVisit) -> PersonsVisit:
    """Takes the local storage of a page's origin in place of what it was."""
    address = page.url
    if not has_host(address):
        return visit
    visit = replace(visit, place=address)
    entries = await attempt(page.evaluate(_ENTRIES))
    if not isinstance(entries, list) or page.url != address:
        return visit
    site = origin(address)
    items = tuple(
        StorageItem(origin=site, name=entry[0], value=entry[1])
        for entry in entries
        if isinstance(entry, list) and len(entry) == 2 and all(isinstance(text, str) for text in entry)
    )
    others = tuple(item for item in visit.contents.storage if item.origin != site)
    return replace(visit, contents=replace(visit.contents, storage=others + items))


def _map(error: Exception, url: str) -> ChatGpttError:
    shown = without_credentials(url)
    failure = re.search(r"net::(ERR_\w+)", str(error))
    if failure is not None:
        return map_failure(failure[1], shown, {})
    if "Timeout" in str(error):
        return map_failure("ERR_TIMED_OUT", shown, {})
    return BrowserError(
        f"the browser cannot show the page: {first_line_of(error)}",
        hint=_or_import("run again", url),
        url=shown,
    )


def _settings_of(proxy: Proxy) -> ProxySettings:
    to = UpstreamProxy.of(proxy.url)
    host = f"[{to.host}]" if ":" in to.host else to.host
    settings: ProxySettings = {"server": f"{to.scheme}://{host}:{to.port}", "bypass": "<-loopback>"}
    if to.user:
        settings |= {"username": to.user, "password": to.password}
    return settings
