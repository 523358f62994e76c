from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces
from hostile.internet import internet

from chatgptt.browser.installed import maybe_browser
from chatgptt.demo import DemoSite, serve

__all__ = ["internet"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Playwright knows no other


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-browser", action="store_true", help="test with a browser that has windows")


@pytest.fixture(autouse=True)
def browser_of_this_machine(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, no_settings_of_this_machine: None
) -> None:
    """The one that is found first, which is a headless shell where there is one; or a whole one."""
    monkeypatch.delenv("CHATGPTT_BROWSER")
    if request.config.getoption("--whole-browser", default=False):
        whole = maybe_browser(needs_window=True)
        assert whole is not None, "there is no browser that has windows"
        monkeypatch.setenv("CHATGPTT_BROWSER", whole.path)


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoSite]:
    with serve() as site:
        yield site


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Traces]:
    """What browsers leave behind, of this test alone; nothing may be there at its end.

    The folder's path is short, as a browser's has to be; in a longer one nothing would be found.
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        traces = Traces(Path(folder))
        yield traces
        traces.assert_none_within(10.0)


@pytest.fixture
async def acquiring(traces: Traces) -> AsyncIterator[Acquiring]:
    async with Acquiring() as acquiring:
        yield acquiring
