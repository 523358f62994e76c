"""Keys that no line is read from: those of an answer, and Ctrl-C at an empty prompt."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest
from cli.commands import on_terminal, read_until, started
from cli.test_chat import PROMPT, asked, chat, say

from chatgptt.cli.typing_ahead import as_draft
from chatgptt.demo import DemoSite

AS_BEFORE = (True, True)
"""The modes of a terminal that shows what is typed, and gives whole lines."""


@pytest.fixture
def demo() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A demo in a process of its own, and its address: a stopped process answers when it is continued."""
    with started("demo", "--port", "0", "--json") as process:
        yield process, json.loads(read_until(process, b"}\n"))["url"]


def test_keys_of_an_answer_are_not_shown_in_it_and_wait_at_the_prompt(
    demo: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, url = demo
    with on_terminal("chat", "--site", f"{url}/wpaicg/") as terminal:
        terminal.wait_for(PROMPT)
        process.send_signal(signal.SIGSTOP)
        terminal.type("one\r")
        terminal.wait_for("waiting for the answer")
        keys = "\rtwox\x7f\x1b[D\r\x04three\r\r"
        terminal.type(keys)
        terminal.wait_for_unread_keys(len(keys))
        process.send_signal(signal.SIGCONT)
        shown = terminal.wait_for(r"You wrote: one\r\n") + terminal.wait_for(PROMPT)
        assert "tw" not in shown
        terminal.wait_for("two.*three")  # nothing of it is sent before another Enter
        say(terminal, "", "You wrote: two.*three")
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
        assert terminal.modes == AS_BEFORE


def test_keys_are_hidden_again_after_a_stop(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("SLOWWORDS 0.2 " + "word " * 400 + "\r")
        terminal.wait_for("made up")
        assert terminal.modes == (False, False)
        terminal.process.send_signal(signal.SIGSTOP)
        terminal.set_modes_of_a_shell()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait_for_modes((False, False))
        assert terminal.seen.count("\x1b[?2004h") == 1  # in the answer, and not at the next prompt
        terminal.type("\x03")
        terminal.wait_for("stopped.*" + PROMPT)
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
        assert terminal.modes == AS_BEFORE


@pytest.mark.parametrize(
    ("typed", "draft"),
    [
        ("next\r", "next"),
        ("\r\n\x04\x1a", ""),
        ("naïve ✓ 漢字 👩\u200d🔬", "naïve ✓ 漢字 👩\u200d🔬"),
        ("\x7fab\x7fc\b\bd", "d"),
        ("\x1b[1;5Ca\x1bOAb\x1b[3~c\x1b", "abc"),
        ("one\r\n\ttwo", "one\n\n\ttwo"),
    ],
)
def test_a_draft_is_the_text_of_what_was_typed(typed: str, draft: str) -> None:
    assert as_draft(typed) == draft


def test_lines_typed_at_once_are_one_message_and_a_draft(site: DemoSite) -> None:
    with chat(site) as terminal:
        terminal.type("one\rtwo\r")  # as a paste does where the terminal does not mark it
        terminal.wait_for(r"You wrote: one\r\n")
        terminal.wait_for(r"> [^\n]*two")
        terminal.type("\x03")
        say(terminal, "three", "You wrote: three")
    assert asked(site) == ["one", "three"]


def test_ctrl_c_at_an_empty_prompt_says_how_to_end_and_ends_the_second_time(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("\x03")
        terminal.wait_for("Ctrl-D or /bye ends.*" + PROMPT)
        say(terminal, "Hello", "You wrote: Hello")
        terminal.type("\x03")
        terminal.wait_for("Ctrl-D or /bye ends.*" + PROMPT)
        terminal.type("\x03")
        assert terminal.wait_for_end() == 130
        assert terminal.modes == AS_BEFORE
    assert terminal.seen.endswith("\n")


@pytest.mark.parametrize("ending", ["/quit\r", "\x04"])
def test_the_terminal_shows_keys_again_after_an_answer_that_was_stopped(site: DemoSite, ending: str) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("SLOWWORDS 0.2 " + "word " * 200 + "\r")
        terminal.wait_for("made up")
        terminal.type("\x03")
        terminal.wait_for("stopped.*" + PROMPT)
        terminal.type(ending)
        assert terminal.wait_for_end() == 0
        assert terminal.modes == AS_BEFORE


@pytest.mark.parametrize(
    ("page", "code"), [("wpaicg/nochat/", 1), ("slow/?seconds=60", 130)], ids=["error", "Ctrl-C"]
)
def test_the_terminal_shows_keys_again_after_a_page_that_cannot_be_asked(
    site: DemoSite, page: str, code: int
) -> None:
    with on_terminal("chat", "--site", site.page(page)) as terminal:
        if code == 130:
            terminal.wait_for("reading the page")
            terminal.type("\x03")
        assert terminal.wait_for_end() == code
        assert terminal.modes == AS_BEFORE
