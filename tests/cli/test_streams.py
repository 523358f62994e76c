"""What a shell, a pipe and a terminal do to a command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import (
    COMMAND,
    PATIENCE,
    Done,
    Run,
    interrupt,
    on_terminal,
    read_until,
    run_process,
    started,
)

from chatgptt.cli import terminal
from chatgptt.demo import DemoSite

ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COLOUR_WANTED = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color"}


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/"])
def test_ctrl_c_in_the_middle_of_an_answer(site: DemoSite, page: str) -> None:
    with started("ask", "--site", site.page(page), "SLOWWORDS 0.2 " + "word " * 200) as process:
        assert read_until(process, b"made up").startswith(b"This answer")
        code, _, err = interrupt(process)
    assert (code, err) == (130, b"")


def test_ctrl_c_while_the_command_is_loaded() -> None:
    code = """
import sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupt())
from chatgptt.cli import run
run()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (130, b"")


@pytest.mark.parametrize("message", ["SLOW 20", "BUSYLONG"])
def test_ctrl_c_before_the_first_word(site: DemoSite, message: str) -> None:
    slow = site.page("slow/?seconds=20") if message == "BUSYLONG" else site.page("wpaicg/")
    with started("ask", "--site", slow, message) as process:
        while not any(seen.method == ("GET" if "seconds" in slow else "POST") for seen in site.requests):
            assert process.poll() is None
        assert interrupt(process) == (130, b"", b"")


def test_ctrl_c_at_the_prompt_of_a_chat(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for("> ")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_end() == 130
    assert "Traceback" not in terminal.seen
    assert terminal.seen.endswith("\n")


def test_ctrl_c_in_an_answer_of_a_chat(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for("> ")
        terminal.type("SLOWWORDS 0.2 " + "word " * 100 + "\r")
        terminal.wait_for("made up")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("stopped.*> ")
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
    assert "Traceback" not in terminal.seen
    assert terminal.seen.endswith("\n")


@pytest.mark.parametrize("flags", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("message", ["LONG 30000", "CUT"])
def test_reader_that_leaves_early(site: DemoSite, flags: tuple[str, ...], message: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "ask", "--site", site.page("wpaicg/"), message, *flags],
        stdout=writing,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_head_takes_the_first_line(site: DemoSite) -> None:
    with started("ask", "--site", site.page("wpaicg/"), "SLOWWORDS 0.02 first\n" + "word " * 100) as process:
        head = subprocess.run(
            ["head", "-1"], stdin=process.stdout, capture_output=True, timeout=PATIENCE, check=True
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        process.wait(PATIENCE)
    assert head.stdout.endswith(b"You wrote: SLOWWORDS 0.02 first\n")


def test_full_disk_is_told(site: DemoSite) -> None:
    full = Path("/dev/full")
    assert full.exists(), "this test needs /dev/full"
    with full.open("wb") as stdout:
        done = subprocess.run(
            [*COMMAND, "ask", "--site", site.page("wpaicg/"), "Hello"],
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: No space left on device")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("flags", [(), ("--no-stream",), ("--json",)], ids=["streamed", "whole", "json"])
def test_a_full_pipe_that_is_non_blocking_loses_nothing(site: DemoSite, flags: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = [*COMMAND, "ask", "--site", site.page("wpaicg/"), "LONG 30000", *flags]
    with subprocess.Popen(command, stdout=writing, stderr=writing) as process:
        os.close(writing)
        with pytest.raises(subprocess.TimeoutExpired):  # nothing is read meanwhile, so that the pipe is full
            process.wait(4.0)
        with open(reading, encoding="utf-8") as pipe:
            out = pipe.read()
        assert process.wait(PATIENCE) == 0
    answer = json.loads(out)["text"] if "--json" in flags else out
    assert answer.split() == [f"w{number}" for number in range(30_000)]


def test_a_message_on_a_non_blocking_stdin_is_waited_for(site: DemoSite) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    command = [*COMMAND, "ask", "--site", site.page("wpaicg/")]
    with subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        for part in (b"first and ", b"last"):
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.7)
            os.write(writing, part)
        os.close(writing)
        out, _ = process.communicate(timeout=PATIENCE)
    assert out.endswith(b"You wrote: first and last\n")


def run_with(redirections: str, *argv: str, stdin: bytes = b"") -> Done:
    """The command as a shell starts it with these redirections, in a pipeline on both sides."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *COMMAND, *argv],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


NO_STDOUT = (
    "error: stdout is closed, so there is no place to write to\nhint: leave it open, or use >/dev/null\n"
)


@pytest.mark.parametrize(
    ("argv", "redirection", "code"),
    [
        (("ask", "Hello"), ">&-", 2),
        (("ask", "Hello"), "1</dev/null", 2),
        (("ask", "--no-stream"), "<&- >&-", 2),
        (("ask", "--json", "Hello"), ">&-", 2),
        (("chat",), ">&-", 2),
        (("inspect",), ">&-", 2),
        (("record", "-o", "never"), ">&-", 2),
        (("health-check",), ">&-", 3),
        (("health-check", "--json"), ">&-", 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_without_a_stdout_nothing_is_sent(
    site: DemoSite, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], redirection: str, code: int
) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", site.page("wpaicg/"))
    assert run_with(redirection, *argv) == Done(code, "", NO_STDOUT)
    assert site.requests == []


@pytest.mark.parametrize(
    "argv", [("demo",), ("replay", "fixtures/aipkit-2.3.20-stream"), ("install-browser", "--check")]
)
def test_what_asks_no_site_says_that_stdout_is_closed_too(argv: tuple[str, ...]) -> None:
    assert run_with(">&-", *argv) == Done(2, "", NO_STDOUT)


def test_check_that_writes_a_file_needs_no_stdout(site: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    done = run_with(">&-", "health-check", "--output", str(file), site.page("wpaicg/"))
    assert done == Done(0, "", "")
    assert "answered" in file.read_text()


@pytest.mark.parametrize(
    ("redirection", "more"),
    [("2>&-", ()), ("2>&-", ("-vv",)), ("2>/dev/full", ("-vv",)), ("2</dev/null", ()), ("<&- 2>&-", ())],
)
def test_without_a_stderr_the_answer_comes(site: DemoSite, redirection: str, more: tuple[str, ...]) -> None:
    done = run_with(redirection, "ask", "--site", site.page("aipkit/"), "Hello", *more, stdin=b"")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("You wrote: Hello\n")


@pytest.mark.parametrize(
    ("argv", "redirection", "code"),
    [
        (("ask", "0"), "2>&-", 2),
        (("ask", "0"), "2>/dev/full", 2),
        (("ask", "--nonsense"), "2>&-", 2),
        (("ask", "Hello"), ">&- 2>&-", 2),
        (("ask", "Hello"), ">/dev/full 2>/dev/full", 1),
        (("chat",), "<&- >&- 2>&-", 2),
        (("health-check",), ">&- 2>&-", 3),
        (("health-check",), ">/dev/full 2>/dev/full", 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_without_a_stderr_the_exit_code_is_the_same(
    site: DemoSite, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], redirection: str, code: int
) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", site.page("wpaicg/"))
    done = run_with(redirection, *argv, stdin=b"")
    assert (done.code, done.err) == (code, "")


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_chat_without_a_stdin_says_so_and_sends_nothing(site: DemoSite, redirection: str) -> None:
    done = run_with(redirection, "chat", "--site", site.page("wpaicg/"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: stdin is closed, so there is no message to read\nhint: ")
    assert site.requests == []


@pytest.mark.parametrize("argv", [("ask", "-"), ("ask",)], ids=" ".join)
def test_ask_without_a_stdin_needs_a_message(site: DemoSite, argv: tuple[str, ...]) -> None:
    done = run_with("<&-", *argv, "--site", site.page("wpaicg/"))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: no message was given, and stdin is closed\nhint: ")


@pytest.mark.parametrize("redirection", ["<&-", "0>/dev/null"])
def test_ask_with_a_message_needs_no_stdin(site: DemoSite, redirection: str) -> None:
    done = run_with(redirection, "ask", "--site", site.page("wpaicg/"), "Hello")
    assert (done.code, done.err) == (0, "")


def test_no_file_of_ours_gets_the_number_of_a_closed_stream(site: DemoSite) -> None:
    """A connection with the number 2 would be sent what a child process complains about."""
    program = (
        "import os, sys, chatgptt.cli, chatgptt.cli.terminal as t\n"
        "t.read_message = lambda argument: os.write(9, ' '.join(map(os.readlink, ("
        "f'/proc/self/fd/{number}' for number in range(3)))).encode()) and 'Hello'\n"
        f"sys.exit(chatgptt.cli.main(['ask', '--site', {site.page('wpaicg/')!r}]))"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 9>&1 1>/dev/null <&- 2>&-', "sh", sys.executable, "-c", program],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"/dev/null /dev/null /dev/null")


@pytest.mark.parametrize("argv", [("--help",), ("ask", "--help"), ("--version",)], ids=" ".join)
def test_full_disk_is_told_of_the_help_too(argv: tuple[str, ...]) -> None:
    assert run_with(">/dev/full", *argv) == Done(1, "", "error: No space left on device\n")
    assert run_with(">&-", *argv) == Done(0, "", "")


@pytest.mark.parametrize("argv", [("demo", "--port", "0"), ("replay", "fixtures/aipkit-2.3.20-stream")])
def test_full_disk_is_no_port_in_use(argv: tuple[str, ...]) -> None:
    assert run_with(">/dev/full", *argv) == Done(1, "", "error: No space left on device\n")


def test_control_characters_reach_a_pipe_as_they_are(run: Run, site: DemoSite) -> None:
    assert "\x1b[31mred\x1b[0m" in run("ask", "--site", site.page("wpaicg/"), "CONTROL").out


def test_control_characters_never_reach_a_terminal(site: DemoSite) -> None:
    with on_terminal("ask", "--site", site.page("wpaicg/"), "--plain", "CONTROL") as terminal:
        assert terminal.wait_for_end() == 0
    assert r"\x1b[31mred\x1b[0m, \x1b]0;a new title\x07bell, \x9b2Jcleared" in terminal.seen
    assert r"\u202ereversed\u202c, \x00nil." in terminal.seen
    assert not set(terminal.seen) & set("\x1b\x07\x08\x00\x9b\u202e")


def test_control_characters_of_errors_and_tables_never_reach_a_terminal(site: DemoSite) -> None:
    argv = ("ask", "--plain", "--site", site.page("wpaicg/"), "--bot", "\x1b[31m", "Hello")
    with on_terminal(*argv) as terminal:
        assert terminal.wait_for_end() == 1
    assert "error: the page has no bot" in terminal.seen
    assert "\x1b" not in terminal.seen


def test_a_pipe_goes_below_the_message_at_a_terminal(site: DemoSite) -> None:
    shell = ("/bin/sh", "-c", 'printf "first\nlast\n" | exec "$@"', "sh", *COMMAND)
    with on_terminal("ask", "--site", site.page("wpaicg/"), "Shorten this:", command=shell) as terminal:
        assert terminal.wait_for_end() == 0
    assert site.messages[0].message == "Shorten this:\n\nfirst\nlast"


def test_message_is_missing_at_a_terminal(site: DemoSite) -> None:
    with on_terminal("ask", "--site", site.page("wpaicg/")) as terminal:
        assert terminal.wait_for_end() == 2
    assert "error: no message was given" in terminal.seen


@pytest.mark.parametrize(
    "argv",
    [
        ("ask", "Hello"),
        ("ask", "QUOTA"),
        ("ask", "-vv", "Hello"),
        ("chat",),
        ("inspect",),
        ("ask", "--json", "QUOTA"),
        ("ask", "--nonsense"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_no_control_sequence_without_a_terminal(site: DemoSite, argv: tuple[str, ...]) -> None:
    env = {**COLOUR_WANTED, "CHATGPTT_SITE": site.page("aipkit/")}
    done = run_process(*argv, stdin=b"one\nQUOTA\n", env=env)
    assert done.out + done.err
    assert not set(done.out + done.err) & set("\x1b\r\x08")


def test_ascii_locale_sends_the_message_whole_and_shows_what_it_can(site: DemoSite) -> None:
    done = run_process("ask", "--site", site.page("wpaicg/"), "naïve ✓", env=ASCII_ONLY)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("You wrote: na?ve ?\n")
    assert site.messages[0].message == "naïve ✓"


@pytest.mark.parametrize("command", ["ask", "chat"])
def test_ascii_locale_reads_utf8_from_stdin(site: DemoSite, command: str) -> None:
    done = run_process(command, "--site", site.page("aipkit/"), stdin="naïve ✓\n".encode(), env=ASCII_ONLY)
    assert done.code == 0
    assert site.messages[0].message == "naïve ✓"


@pytest.mark.parametrize(("argv", "code"), [(("inspect",), 0), (("ask", "--bot", "✓", "Hello"), 1)])
def test_ascii_locale_shows_tables_and_errors(site: DemoSite, argv: tuple[str, ...], code: int) -> None:
    done = run_process(*argv, "--site", site.page("wpaicg/many/"), env=ASCII_ONLY)
    assert done.code == code
    assert "Traceback" not in done.err


def test_escape_leaves_text_and_line_ends_alone() -> None:
    text = "naïve ✓ \U0001f600\tאב\r\nnext\n"
    assert terminal.escape(text) == text
    assert terminal.escape("a\rb\x85\ud800\u2066") == "a\\rb\\x85\\ud800\\u2066"
