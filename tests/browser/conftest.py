from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces
from hostile.internet import internet

from chatgptt.demo import DemoSite, serve

__all__ = ["internet"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # Playwright knows no other


@pytest.fixture(autouse=True)
def browser_of_this_machine(monkeypatch: pytest.MonkeyPatch, no_settings_of_this_machine: None) -> None:
    monkeypatch.delenv("CHATGPTT_BROWSER")


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
