"""The browser rung that is made when it is first used."""

from __future__ import annotations

import time
from pathlib import Path

import anyio
import pytest
from asking import QUICK

from chatgptt._errors import BrowserError
from chatgptt.browser.on_demand import BrowserOnDemand
from chatgptt.browser.setup import BrowserSetup
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.deadline import Deadline
from chatgptt.net.reach import Reach
from chatgptt.tokens.acquisition import Acquisition, PageFacts, Wanted

pytestmark = pytest.mark.anyio


def rung(folder: Path | None = None) -> BrowserOnDemand:
    return BrowserOnDemand(
        lambda: BrowserSetup(
            folder=folder,
            identity_for=lambda page: VisitorIdentity(user_agent="Tester/1.0"),
            policy=QUICK,
            cookies_for=lambda url: (),
            reach_of=lambda page: Reach(""),
            clock=time.time,
            sleep=anyio.sleep,
        )
    )


async def acquire(browser: BrowserOnDemand) -> None:
    wanted = Wanted(page="http://127.0.0.1:9/")
    await browser.acquire(PageFacts(), Acquisition(wanted=wanted, deadline=Deadline(20.0)))


async def test_it_says_where_there_is_no_browser(tmp_path: Path) -> None:
    browser = rung(tmp_path)
    for _ in range(2):
        with pytest.raises(BrowserError) as caught:
            await acquire(browser)
        assert caught.value.code == "browser_missing"
    await browser.close()


@pytest.mark.parametrize("is_made", [True, False])
async def test_nothing_is_started_once_it_is_closed(is_made: bool) -> None:
    browser = rung()
    if is_made:
        with pytest.raises(BrowserError):
            await acquire(browser)
    await browser.close()
    with pytest.raises(BrowserError, match="the browser is closed"):
        await acquire(browser)
    await browser.close()
