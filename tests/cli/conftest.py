from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.commands import Run

from chatgptt.demo import DemoSite, serve


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with serve() as running:
        yield running


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test sees the environment that it is run in."""
    for name in ("CHATGPTT_SITE", "CHATGPTT_LOG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)
