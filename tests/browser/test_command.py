"""The command with a browser under it: the whole way to the answer, and every way to be stopped."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from browser.processes import Traces

from chatgptt.demo import DemoSite


def start(*arguments: str, traces: Traces, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "chatgptt", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(traces.folder), **environment},
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("path", "rung"),
    [
        ("browser/fetched/", "browser"),
        ("browser/placeholder/", "browser"),
        ("browser/frame/", "browser"),
        ("browser-2x/embed/", "browser"),
        ("wpaicg/", "html"),
    ],
)
def test_the_answer_comes_over_the_clients_own_connection(
    traces: Traces, demo: DemoSite, path: str, rung: str
) -> None:
    command = start("ask", "--site", demo.page(path), "--json", "Hello", traces=traces)
    out, error = command.communicate(timeout=60)
    assert command.returncode == 0, error
    assert json.loads(out)["tokens_from"] == rung
    assert "You wrote: Hello" in json.loads(out)["text"]
    asked = demo.messages[-1]
    assert "python-httpx" not in asked.headers["user-agent"]
    assert "sec-fetch-mode" not in asked.headers  # which every browser sends


def test_an_answer_after_a_visit_is_whole_where_stdout_and_stderr_are_one_pipe(
    traces: Traces, demo: DemoSite
) -> None:
    """As in a CI's log. Nothing is read until the pipe is full for a while."""
    command = [sys.executable, "-m", "chatgptt", "ask", "--site", demo.page("browser/fetched/")]
    with subprocess.Popen(
        [*command, "--strategy", "browser", "LONG 60000"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(10.0)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert [word for word in out.decode().split() if word[1:].isdigit()] == [f"w{n}" for n in range(60_000)]


def test_a_machine_without_a_browser_is_told_the_command(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    command = start(
        "ask",
        "--site",
        demo.page("browser/fetched/"),
        "Hello",
        traces=traces,
        CHATGPTT_BROWSER=str(tmp_path / "none"),
    )
    _, error = command.communicate(timeout=60)
    assert command.returncode == 1
    assert b"chatgptt install-browser" in error


def test_a_failed_visit_is_shown_by_a_picture_and_a_trace(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    picture, trace = tmp_path / "seen.png", tmp_path / "trace of it.zip"
    page = demo.page("browser/nochat/")
    options = ("--strategy", "browser", "--screenshot", str(picture), "--trace", str(trace))
    command = start("ask", "--site", page, *options, "Hello", traces=traces)
    out, error = command.communicate(timeout=60)
    assert (command.returncode, out) == (1, b"")
    lines = error.decode().splitlines()
    place = lines.index(f"picture of the failed visit: {picture}")
    assert lines[place + 1] == f"trace of the failed visit: {trace}"
    assert lines[place + 2].endswith(f"-m playwright show-trace --port 0 '{trace}'")
    assert picture.exists()
    assert zipfile.is_zipfile(trace)


def test_a_visit_that_succeeds_leaves_no_picture(traces: Traces, demo: DemoSite, tmp_path: Path) -> None:
    page, picture = demo.page("browser/fetched/"), tmp_path / "seen.png"
    command = start("ask", "--site", page, "--screenshot", str(picture), "Hello", traces=traces)
    _, error = command.communicate(timeout=60)
    assert command.returncode == 0
    assert b"picture" not in error
    assert not picture.exists()


def test_a_health_check_puts_the_pictures_of_failed_visits_into_its_report(
    traces: Traces, demo: DemoSite, tmp_path: Path
) -> None:
    sites, report = tmp_path / "sites.toml", tmp_path / "report.html"
    pages = {"bad": "browser/nochat/", "good": "browser/fetched/"}
    sites.write_text("".join(f'[{name}]\nurl = "{demo.page(path)}"\n' for name, path in pages.items()))
    files = ("--screenshot", str(tmp_path / "seen.png"), "--report", str(report))
    options = ("--sites", str(sites), "--level", "tokens", "--strategy", "browser", *files)
    command = start("health-check", *options, traces=traces)
    out, error = command.communicate(timeout=120)
    assert command.returncode == 2, out
    assert f"picture of the failed visit: {tmp_path / 'seen-bad.png'}\n" in error.decode()
    assert [file.name for file in tmp_path.glob("*.png")] == ["seen-bad.png"]
    data = base64.b64encode((tmp_path / "seen-bad.png").read_bytes()).decode()
    assert report.read_text().count("<img ") == 1
    assert f'src="data:image/png;base64,{data}"' in report.read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_command_that_is_stopped_leaves_nothing(
    traces: Traces, demo: DemoSite, how: signal.Signals
) -> None:
    page = demo.page("browser/never/")
    command = start("ask", "--site", page, "--strategy", "browser", "Hello", traces=traces)
    end = time.monotonic() + 20
    while not traces.browsers() and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.5)
    assert traces.browsers()
    os.killpg(command.pid, how) if how is signal.SIGINT else os.kill(command.pid, how)
    _, error = command.communicate(timeout=15)
    if how is signal.SIGINT:
        assert command.returncode == 130
        assert b"Traceback" not in error
    traces.assert_none_within(10.0)


@pytest.mark.parametrize("display", ["", ":987"], ids=["none", "one that is not there"])
def test_a_window_without_a_display_is_told_by_the_name_of_the_option(
    traces: Traces, demo: DemoSite, display: str
) -> None:
    page = demo.page("browser/fetched/")
    command = start(
        "ask", "--site", page, "--headed", "Hello", traces=traces, DISPLAY=display, WAYLAND_DISPLAY=""
    )
    _, error = command.communicate(timeout=60)
    assert command.returncode == 1
    assert b"error: the browser cannot show its window: there is no display" in error
    assert b"hint: leave out --headed," in error


def test_a_browser_in_the_environment_that_is_none_is_told_as_that(traces: Traces, demo: DemoSite) -> None:
    page = demo.page("browser/fetched/")
    command = start(
        "ask",
        "--site",
        page,
        "--strategy",
        "browser",
        "Hello",
        traces=traces,
        CHATGPTT_BROWSER="/nowhere/chromium",
    )
    _, error = command.communicate(timeout=60)
    assert command.returncode == 1
    assert error.startswith(
        b"error: the browser '/nowhere/chromium', which is named in CHATGPTT_BROWSER, is no executable file\n"
        b"hint: name another one there, or leave it out to use the browser that is found; "
    )
