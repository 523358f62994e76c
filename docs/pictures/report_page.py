"""Makes the report page of health checks, and takes its pictures in a real browser."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright

from chatgptt.browser.installed import find_browser

ROUNDS_BEFORE, ROUNDS_AWAY, ROUNDS_AFTER = 64, 3, 30
"""Checks while the site is there, while it is away, and after that."""

_PATIENCE = 120.0

_SPREAD = """
UPDATE checks SET checked_at = ? - 900 * (
    SELECT count(*) FROM checks AS later WHERE later.checked_at > checks.checked_at)
"""
"""The checks take a minute; the page shows them as those of a day, one in a quarter of an hour."""

Demo = Callable[[int], AbstractContextManager[str]]


def make_page(folder: Path, env: Mapping[str, str], demo: Demo) -> Path:
    """Checks a site that is away for a while; the page about it."""
    page, sites = folder / "report.html", folder / "sites.toml"
    with demo(0) as url:
        sites.write_text(f'[shop]\nurl = "{url}/wpaicg/"\n', encoding="utf-8")
        _watch(sites, env, ROUNDS_BEFORE)
    _watch(sites, env, ROUNDS_AWAY)
    with demo(int(url.rpartition(":")[2])):
        _watch(sites, env, ROUNDS_AFTER)
    with closing(sqlite3.connect(Path(env["CHATGPTT_STATE_DIR"]) / "health.sqlite3")) as history, history:
        history.execute(_SPREAD, (time.time(),))
    report = ["chatgptt", "health-check", "--sites", str(sites), "--history", "--report", str(page)]
    subprocess.run(report, env=env, check=True, stdout=subprocess.DEVNULL)
    return page


def _watch(sites: Path, env: Mapping[str, str], rounds: int) -> None:
    """Checks, round after round."""
    command = ["chatgptt", "health-check", "--sites", str(sites), "--watch", "0.05"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            end = time.monotonic() + _PATIENCE
            while rounds and time.monotonic() < end:
                rounds -= process.stdout.readline().rstrip().endswith("UTC")
        finally:
            process.terminate()


def draw(page: Path, into: Path) -> None:
    """Takes the pictures: wide in light, wide in dark, and a phone's."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser().path)
        _take(browser, page, into / "report-light.png", "light", 900)
        _take(browser, page, into / "report-dark.png", "dark", 900)
        _take(browser, page, into / "report-phone.png", "light", 390)
        browser.close()


def _take(browser: Browser, page: Path, into: Path, scheme: Literal["dark", "light"], width: int) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 760}, color_scheme=scheme)
    tab.goto(page.as_uri())
    tab.screenshot(path=into)
    tab.close()
