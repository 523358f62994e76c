"""Finds the browser to run: one that the caller names, Playwright's own, or one of this machine.

A headless shell is Chromium without windows. It starts in a third of the time, so it comes before a whole
Chromium.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from chatgptt._errors import BrowserError

INSTALL_HINT = "get one with: chatgptt install-browser"

DRIVER_PACKAGE = "libatomic1"
"""What Playwright's driver needs, and neither a slim Debian nor its Chromium brings."""

_SHELLS = ("chromium-headless-shell", "chrome-headless-shell", "headless_shell")
_BROWSERS = (
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge-stable",
    "microsoft-edge",
)
_ELSEWHERE = {
    "linux": (
        # Debian's command is a shell script that starts this one. Without it there is one process less.
        "/usr/lib/chromium/chromium-headless-shell",
        "/opt/google/chrome/chrome",
        "/usr/lib/chromium/chromium",
        "/opt/microsoft/msedge/msedge",
        "/snap/bin/chromium",
    ),
    "darwin": (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ),
    "win32": (
        r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
        r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
        r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe",
    ),
}
_PLAYWRIGHT = (
    # A newer Playwright names the folders after the platform.
    "chromium_headless_shell-*/chrome-*/*headless*shell*",
    "chromium-*/chrome-*/chrome",
    "chromium-*/chrome-*/chrome.exe",
    "chromium-*/chrome-*/*.app/Contents/MacOS/*",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A browser that can be run, and how it was found."""

    path: str
    by: Literal["named", "playwright", "machine"]

    @property
    def is_shell(self) -> bool:
        """Whether it is a headless shell, which has no windows to show."""
        return re.search(r"headless[-_]shell", Path(self.path).name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """The browser that will be used, and the steps that installed it; none where it was already there."""

    found: Found
    steps: tuple[str, ...]


def find_browser(named: str | None = None, *, needs_window: bool = False) -> Found:
    """The browser to run, by its executable's name; None heeds `CHATGPTT_BROWSER`.

    Raises:
        BrowserError: `browser_missing`, with the command that helps; `browser_failed` without a display.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if needs_window and sys.platform == "linux" and not any(map(os.environ.get, displays)):
        raise no_display()
    name = named or os.environ.get("CHATGPTT_BROWSER")
    if name:
        where = "executable" if named else "CHATGPTT_BROWSER"
        return _find_named(name, where=where, needs_window=needs_window)
    found = maybe_browser(needs_window=needs_window)
    if found is None:
        raise BrowserError(
            "no Chromium, Chrome or Edge was found on this machine",
            code="browser_missing",
            hint=INSTALL_HINT,
        )
    return found


def _find_named(name: str, *, where: str, needs_window: bool) -> Found:
    path = shutil.which(os.path.expanduser(name))
    found = None if path is None else Found(path=os.path.abspath(path), by="named")
    if found is not None and not (needs_window and found.is_shell):
        return found
    fault = "is no executable file" if found is None else "has no windows to show"
    raise BrowserError(
        f"the browser {name!r}, which is named in {where}, {fault}",
        code="browser_missing",
        hint=f"name another one there, or leave it out to use the browser that is found; {INSTALL_HINT}",
    )


def no_display() -> BrowserError:
    """The error for a window on a machine without a display."""
    return BrowserError(
        "the browser cannot show its window: there is no display that it can use",
        hint="leave out is_headed, or run this on a desktop, or under xvfb-run",
    )


def maybe_browser(*, needs_window: bool = False) -> Found | None:
    """The browser that is used when none is named; None where there is none."""
    own = (Found(path=str(path), by="playwright") for path in _playwrights_own())
    others = (Found(path=path, by="machine") for path in _on_this_machine())
    return next((found for found in chain(own, others) if not (needs_window and found.is_shell)), None)


def _playwrights_own() -> Iterator[Path]:
    folder = _playwright_folder()
    for pattern in _PLAYWRIGHT:
        try:
            paths = [path for path in folder.glob(pattern) if _is_executable(path)]
        except OSError:
            continue
        yield from sorted(paths, key=lambda path: _revision(folder, path), reverse=True)


def _playwright_folder() -> Path:
    named = os.environ.get("PLAYWRIGHT_BROWSERS_PATH")
    if named and named != "0":
        return Path(named)
    match sys.platform:
        case "win32":
            return Path(os.environ.get("LOCALAPPDATA", "~")).expanduser() / "ms-playwright"
        case "darwin":
            return Path("~/Library/Caches/ms-playwright").expanduser()
        case _:
            return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ms-playwright"


def _revision(folder: Path, path: Path) -> int:
    found = re.search(r"-(\d{1,9})$", path.relative_to(folder).parts[0])
    return int(found[1]) if found else 0


def _on_this_machine() -> Iterator[str]:
    elsewhere = [os.path.expandvars(path) for path in _ELSEWHERE.get(sys.platform, ())]
    shells = [path for path in elsewhere if "headless" in path]
    for path in [*shells, *_SHELLS, *_BROWSERS, *(path for path in elsewhere if path not in shells)]:
        found = shutil.which(path)
        if found is not None and not _is_stub(found):
            yield found


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _is_stub(path: str) -> bool:
    """Ubuntu's `chromium-browser` may be a script that only says how to get the real one."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(4096)
    except OSError:
        return True
    return beginning.startswith(b"#!") and b"snap install chromium" in beginning


def install_browser(say: Callable[[str], None] = lambda _: None) -> Installed:
    """Installs a browser where there is none; safe to repeat.

    It tries Playwright's own download first. If that fails, and the user may install packages on Debian or
    Ubuntu, it tries the distribution's package.

    Args:
        say: is called with the name of each step as it begins.

    Raises:
        BrowserError: `browser_missing`, where every step failed; the message names the steps.
    """
    found = maybe_browser()
    if found is not None:
        return Installed(found=found, steps=())
    tried: dict[str, str] = {}
    for name, commands in _ways():
        say(name)
        failure = next((words for words in map(_run, commands) if words), "")
        found = maybe_browser()
        if found is not None and not failure:
            failure = _run([found.path, "--headless", "--no-sandbox", "--version"])
            if not failure:
                return Installed(found=found, steps=(*tried, name))
        tried[name] = failure or "no browser came of it"
    raise BrowserError(
        "no browser could be installed: " + "; ".join(map(": ".join, tried.items())),
        code="browser_missing",
        hint="install Chrome or Chromium by hand; if it is not found then, name it in CHATGPTT_BROWSER",
    )


def _ways() -> Iterator[tuple[str, list[list[str]]]]:
    yield (
        "Playwright's download of Chromium's headless shell",
        [[sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]],
    )
    if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("apt-get") and _is_debian():
        install = ["apt-get", "install", "-y", "--no-install-recommends", DRIVER_PACKAGE]
        yield (
            "the package chromium-headless-shell",
            [["apt-get", "update"], [*install, "chromium-headless-shell"]],
        )
        yield "the package chromium", [[*install, "chromium"]]


def _is_debian() -> bool:
    try:
        release = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"^ID(?:_LIKE)?=.*\b(?:debian|ubuntu)\b", release, re.M) is not None


def _run(command: list[str]) -> str:
    """Runs a command to its end; "" where it succeeded, else what it said last."""
    try:
        done = subprocess.run(  # noqa: S603 - one of the commands above
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout=900,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(?:Error|E:|W: Failed)", line)]
    return (telling or lines or [f"exit code {done.returncode}"])[-1][:300]
