"""Calls to the browser that may fail or never return, because it may die at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TypeVar

from chatgptt._errors import BrowserError
from chatgptt.browser.navigation_errors import first_line_of

_log = logging.getLogger("chatgptt.browser")
_Value = TypeVar("_Value")

CLOSE_TIMEOUT = 3.0


class Crashed(BrowserError):
    """The browser, or the page's process in it, died under a visit."""


async def attempt(call: Awaitable[_Value], timeout: float = CLOSE_TIMEOUT) -> _Value | None:
    """The result of a call whose failure changes nothing: the tab or the browser is gone, or about to be."""
    try:
        async with asyncio.timeout(timeout):
            return await call
    except Exception as error:  # noqa: BLE001 - see above
        _log.debug("the browser: %s", first_line_of(error))
        return None


async def unless_gone(gone: asyncio.Event, call: Awaitable[_Value]) -> _Value:
    """The result of a call. Playwright never ends some calls to a browser that dies, so this does.

    Raises:
        ConnectionError: where the browser dies meanwhile.
    """
    calling, dying = asyncio.ensure_future(call), asyncio.ensure_future(gone.wait())
    try:
        await asyncio.wait((calling, dying), return_when=asyncio.FIRST_COMPLETED)
        if calling.done():
            return calling.result()
        raise ConnectionError("the browser is gone")
    finally:
        dying.cancel()
        if not calling.done():
            calling.cancel()
            await asyncio.wait((calling,))
