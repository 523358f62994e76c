"""The report of health checks in a real browser: on a phone and on a wide screen nothing is cut or squeezed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from browser.processes import Traces
from health.samples import CRITICAL, NOON, OK
from playwright.async_api import async_playwright

from chatgptt.browser.installed import find_browser
from chatgptt.health.history import History
from chatgptt.health.html_report import report_page

SITE = "https://a-rather-long-name.example/with/a/path/that/is/as/long/as/those/of/sites/are?lang=en"
WORDS = "page: HTTP 503, the web server says that it is overloaded; it said the same four times in 11.2 s"

_BOXES = (
    "all => all.map(one => { const r = one.getBoundingClientRect(); return [r.left, r.right, r.height] })"
)


@pytest.fixture
def report(tmp_path: Path) -> str:
    checks = [replace(OK, site=SITE, checked_at=NOON + 900 * n, elapsed=0.05 + n / 900) for n in range(90)]
    failed = replace(CRITICAL, site=SITE, summary=WORDS, hint="the site itself is failing; try again later")
    checks += [replace(failed, checked_at=NOON + 900 * n) for n in range(90, 96)]
    history = History(tmp_path)
    history.add(checks)
    return report_page([history.read(SITE, 0.0)], since=NOON, until=NOON + 86_400)


@pytest.mark.anyio
@pytest.mark.parametrize("width", [390, 1280])
async def test_the_report_page_is_readable(width: int, report: str, traces: Traces) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_browser().path)
        page = await browser.new_page(viewport={"width": width, "height": 800})
        await page.set_content(report)
        assert await page.evaluate("document.documentElement.scrollWidth") == width
        labels = await page.locator(".ticks span, .times span:visible").evaluate_all(_BOXES)
        ((left, right, _),) = await page.locator("tr:last-child td:last-child").evaluate_all(_BOXES)
        await browser.close()
    assert len(labels) > 5
    for start, end, height in labels:
        assert start >= 0
        assert end <= width
        assert height < 25, "a label has more than one line"
    assert right - left > 100
