"""What all tests share: the event loop, a demo site, and an environment without the machine's own settings."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from chatgptt.demo import DemoSite, serve


def pytest_configure() -> None:
    """Lets Ctrl-C through: in a background job it is ignored, also by all programs that the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """The one authority that clients trust here: reading the system's whole list takes longer than most tests."""
    return trustme.CA()


@pytest.fixture(scope="session")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, authority_file: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("CHATGPTT_SITE", "CHATGPTT_SITES", "CHATGPTT_LOG", "CHATGPTT_STORE", "CHATGPTT_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config-of-the-environment"))
    # Only tests/browser runs one, so that all others do the same on machines with a browser and without.
    monkeypatch.setenv("CHATGPTT_BROWSER", str(tmp_path / "no-browser"))
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "state-of-the-environment"))


@pytest.fixture(scope="session")
def running_demo() -> Iterator[DemoSite]:
    with serve() as site:
        yield site


@pytest.fixture
def demo(running_demo: DemoSite) -> DemoSite:
    """The session's demo site, with nothing remembered. A test that moves its clock starts its own."""
    running_demo.clear()
    return running_demo
