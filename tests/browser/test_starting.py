"""Starting a browser changes nothing for the caller: neither environment, nor descriptors, nor other children."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from browser.acquiring import Acquiring
from browser.processes import Traces

from chatgptt import BrowserError, Client
from chatgptt.browser.installed import maybe_browser
from chatgptt.browser.reaper import PREFIX, Reaper
from chatgptt.browser.shared import BrowserOptions
from chatgptt.demo import DemoSite

pytestmark = pytest.mark.anyio

EACH_KIND = sorted({found.path for found in (maybe_browser(), maybe_browser(needs_window=True)) if found})
"""A headless shell and a whole browser, where both are there."""


@pytest.fixture
def long_folder(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose path has 90 characters, which may hold no socket of Chromium's."""
    folder = traces.folder / ("t" * (89 - len(str(traces.folder))))
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    yield folder
    folder.rmdir()


@pytest.mark.parametrize("executable", EACH_KIND)
async def test_each_kind_of_browser_starts_with_a_long_folder_for_temporary_files(
    long_folder: Path, demo: DemoSite, executable: str
) -> None:
    assert len(str(long_folder)) == 90
    async with Acquiring(BrowserOptions(executable=executable)) as acquiring:
        acquired = await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
        assert acquired.tokens.rung == "browser"
        assert os.environ["TMPDIR"] == str(long_folder)


async def test_a_driver_that_cannot_run_is_told_from_a_browser_that_cannot(
    acquiring: Acquiring, demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/bin/false")
    with pytest.raises(BrowserError, match="driver does not start") as raised:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
    assert raised.value.code == "browser_failed"
    assert "apt-get install libatomic1" in raised.value.hint


async def test_a_failed_start_is_logged_though_its_only_caller_gave_up(
    traces: Traces, demo: DemoSite, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    browser, begun, may_fail = (tmp_path / name for name in ("browser", "begun", "may_fail"))
    browser.write_text(f"#!/bin/sh\n: > '{begun}'\nuntil [ -e '{may_fail}' ]; do sleep 0.05; done\nexit 1\n")
    browser.chmod(0o755)
    expected = f"the start of the browser failed: the browser {browser} does not start"
    caplog.set_level(logging.DEBUG, "chatgptt.browser")
    async with Acquiring(BrowserOptions(executable=str(browser))) as acquiring:
        call = asyncio.create_task(acquiring.acquire(demo.page("browser/fetched/"), strategy="browser"))
        with anyio.fail_after(20):
            while not begun.exists():  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.05)
        call.cancel()
        await asyncio.wait((call,))
        assert call.cancelled()
        may_fail.touch()
        with anyio.fail_after(20):
            while expected not in caplog.text:  # noqa: ASYNC110 - a log sets no event
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(("mode", "is_safe"), [(0o700, True), (0o1777, True), (0o777, False), (0o770, False)])
def test_no_folder_is_taken_in_which_others_may_replace_ours(
    long_folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_safe: bool
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        Path(folder).chmod(mode)
        assert Reaper().folder.parent == Path(folder if is_safe else "/tmp")


async def test_the_browsers_folder_is_its_owners_alone(long_folder: Path) -> None:
    reaper = Reaper()
    reaper.start()
    found = reaper.folder.stat()
    assert reaper.folder.parent == Path("/tmp")
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o700, os.geteuid())
    await reaper.close()
    assert not reaper.folder.exists()


WATCHING = """
import sys
import chatgptt
changes = []
sys.addaudithook(lambda event, of: changes.append(of) if event in ("os.putenv", "os.unsetenv") else None)
chatgptt.ask("Hello", sys.argv[1], strategy="browser", state_dir=None)
print(changes)
"""


def test_the_environment_is_never_changed(traces: Traces, demo: DemoSite) -> None:
    program = [sys.executable, "-c", WATCHING, demo.page("browser/fetched/")]
    done = subprocess.run(program, stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == b"[]\n"


async def test_children_that_are_started_meanwhile_are_left_alone(traces: Traces, demo: DemoSite) -> None:
    children: list[subprocess.Popen[bytes]] = []
    is_over = threading.Event()

    def start_children() -> None:
        while not is_over.wait(0.02):
            children.append(subprocess.Popen(["sleep", "600"]))

    starting = threading.Thread(target=start_children)
    starting.start()
    try:
        for _ in range(3):
            async with Acquiring() as acquiring:
                await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
            traces.assert_none_within(10.0)
        assert [child.poll() for child in children] == [None] * len(children)
    finally:
        is_over.set()
        starting.join()
        for child in children:
            child.kill()
            child.wait()


def test_a_process_that_only_names_the_folder_is_left_alone(traces: Traces, demo: DemoSite) -> None:
    with Client(demo.page("browser/fetched/"), strategy="browser", state_dir=None) as client:
        client.ask("Hello")
        (folder,) = (name for name in traces.files() if name.startswith(PREFIX))
        looking = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()", str(traces.folder / folder)],
            stdin=subprocess.PIPE,
        )
    assert looking.poll() is None
    looking.communicate(timeout=10)
    assert looking.returncode == 0


def test_a_caller_that_is_killed_takes_its_browser_along_and_no_other_child(
    traces: Traces, demo: DemoSite
) -> None:
    program = (
        "import asyncio, os, subprocess, sys\n"
        "from browser.acquiring import Acquiring\n"
        "async def main():\n"
        "    acquiring = Acquiring()\n"
        "    call = asyncio.ensure_future(acquiring.acquire(sys.argv[1], strategy='browser'))\n"
        "    children = []\n"
        "    while not acquiring.browser.is_running:\n"
        "        children.append(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid)\n"
        "        await asyncio.sleep(0.02)\n"
        "    print(*children, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    caller = subprocess.run(
        [sys.executable, "-c", program, demo.page("browser/never/")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=60,
        check=False,
    )
    children = [int(pid) for pid in caller.stdout.split()]
    assert children
    try:
        traces.assert_none_within(10.0)
        for pid in children:
            assert Path(f"/proc/{pid}").exists()
    finally:
        for pid in children:
            os.kill(pid, 9)


async def test_what_the_driver_says_is_logged_and_not_printed(
    traces: Traces,
    demo: DemoSite,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DEBUG", "pw:browser")  # Playwright's way to be told more
    caplog.set_level(logging.DEBUG, "chatgptt.browser")
    async with Acquiring() as acquiring:
        await acquiring.acquire(demo.page("browser/fetched/"), strategy="browser")
    with anyio.fail_after(10):
        while "the driver: " not in caplog.text:  # noqa: ASYNC110 - a log sets no event
            await asyncio.sleep(0.05)
    assert capfd.readouterr().err == ""


PRINTING = """
import os, sys
import chatgptt
before = [os.get_blocking(descriptor) for descriptor in (0, 1, 2)]
chatgptt.ask("Hello", sys.argv[1], strategy="browser", state_dir=None)
assert [os.get_blocking(descriptor) for descriptor in (0, 1, 2)] == before
for number in range(20_000):
    print(f"line {number}")
"""


def test_a_program_that_prints_after_a_visit_loses_no_line(traces: Traces, demo: DemoSite) -> None:
    program = [sys.executable, "-c", PRINTING, demo.page("browser/fetched/")]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        # Nothing is read meanwhile, so that the pipe is full.
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(8.0)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    lines = [line for line in out.decode().splitlines() if line.startswith("line ")]
    assert lines == [f"line {number}" for number in range(20_000)]
