"""Checks of pages that need a browser, with rungs that stand in for it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from asking import QUICK, client_of

from chatgptt import AsyncClient, BrowserError, ChatBox
from chatgptt._models import Rung, Tokens
from chatgptt.demo import DemoSite
from chatgptt.health.history import History
from chatgptt.tokens.acquisition import Acquisition, Outcome, PageFacts, RungOfLadder
from chatgptt.tokens.ladder import Ladder
from chatgptt.tokens.pages import PageReader
from chatgptt.tokens.static import HtmlRung

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Missing:
    """The rung of a machine without a browser."""

    name: Rung = "browser"

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        raise BrowserError(
            "no Chromium was found", code="browser_missing", hint="get one with: chatgptt install-browser"
        )


@dataclass(frozen=True)
class Finds:
    """A browser that finds this box."""

    box: ChatBox
    name: Rung = "browser"

    async def acquire(self, facts: PageFacts, acquisition: Acquisition) -> Outcome:
        assert self.box.nonce is not None
        page = acquisition.wanted.page
        tokens = Tokens(box=self.box, nonce=self.box.nonce, page=page, rung="browser", acquired_at=0.0)
        return Outcome(facts=facts, tokens=tokens)


def html(client: AsyncClient) -> HtmlRung:
    return HtmlRung(PageReader(client._context.transport, QUICK, clock=time.time, sleep=anyio.sleep))


def with_rungs(client: AsyncClient, *rungs: RungOfLadder) -> AsyncClient:
    client._context = client._context._replace(ladder=Ladder(rungs, client._context.store))
    return client


async def box_of(page: str) -> ChatBox:
    async with client_of(page) as client:
        return (await client.find_boxes())[0]


@pytest.mark.parametrize(("page", "phase"), [("never/", "tokens"), ("scripted-aipkit/", "box")])
async def test_a_missing_browser_is_this_machines_fault(page: str, phase: str, demo: DemoSite) -> None:
    async with client_of(demo.page(page)) as client:
        with_rungs(client, html(client), Missing())
        report = await client.health_check()
    assert (report.verdict, report.exit_code, report.code) == ("unknown", 3, "browser_missing")
    assert report.failing == report.phase("tokens" if phase == "tokens" else "box")
    assert "this machine's browser" in report.summary
    assert "install-browser" in report.hint


async def test_a_page_that_only_a_browser_reads_skips_the_connection(demo: DemoSite) -> None:
    box = await box_of(demo.page("wpaicg/"))
    async with client_of(demo.page("wpaicg/")) as client:
        report = await with_rungs(client, Finds(box)).health_check()
    assert report.verdict == "ok", report
    assert [phase.status for phase in report.phases] == ["skip"] * 4 + ["pass"] * 5
    assert "from browser" in report.phase("tokens").detail
    assert report.rung == "browser"


async def test_a_browser_that_was_not_needed_yesterday_is_a_warning(demo: DemoSite, tmp_path: Path) -> None:
    page = demo.page("wpaicg/no-nonce/")
    box = await box_of(page)
    async with client_of(page, state_dir=tmp_path) as client:
        assert (await client.health_check()).verdict == "ok"
        assert box.nonce is not None
        report = await with_rungs(client, html(client), Finds(box)).health_check()
    assert (report.verdict, report.code) == ("warning", "browser_needed")
    assert "endpoint used to do" in report.summary
    assert [check.rung for check in History(tmp_path).read(page, 0.0)] == ["endpoint", "browser"]


async def test_an_open_connection_is_used_again(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        await client.ask("Hello")
        report = await client.health_check()
    assert report.verdict == "ok"
    assert [phase.detail for phase in report.phases[:3]] == ["an open connection was used again"] * 3
