"""A caller to be interrupted or killed: acquires a page's tokens, and says when its browser runs."""

from __future__ import annotations

import asyncio
import sys

from browser.acquiring import Acquiring


async def acquire(acquiring: Acquiring, page: str) -> None:
    call = asyncio.ensure_future(acquiring.acquire(page, strategy="browser", timeout=120))
    while not (acquiring.browser.is_running or call.done()):  # noqa: ASYNC110 - processes set no event
        await asyncio.sleep(0.01)
    print("running", flush=True)
    await call


async def acquire_and_close(acquiring: Acquiring, page: str) -> None:
    async with acquiring:
        await acquire(acquiring, page)


def main(page: str, how: str) -> None:
    acquiring = Acquiring()
    if how == "two-loops":
        asyncio.run(acquire(acquiring, page))
    asyncio.run(acquire_and_close(acquiring, page))


try:
    main(sys.argv[1], sys.argv[2])
except KeyboardInterrupt:
    sys.exit(130)
