from __future__ import annotations

import json

import pytest
from cli.commands import Run, on_terminal
from cli.test_ask import ERROR_KEYS, MADE_UP, REPLY_KEYS

from chatgptt.demo import DemoSite


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/"])
def test_each_line_of_a_pipe_is_a_message_with_its_history(run: Run, site: DemoSite, page: str) -> None:
    done = run("chat", "--site", site.page(page), stdin=b"I am Ada.\n\n  \nHISTORY\n")
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first == f"{MADE_UP}I am Ada."
    turns = [text for _, text in json.loads(second)]
    assert turns[-3:] == ["I am Ada.", f"{MADE_UP}I am Ada.", "HISTORY"]


def test_reset_forgets(run: Run, site: DemoSite) -> None:
    done = run("chat", "--site", site.page("wpaicg/"), stdin=b"I am Ada.\n/reset\nHISTORY\n")
    assert "Ada" not in done.out.splitlines()[1]
    assert len(site.messages) == 2


@pytest.mark.parametrize("word", ["/quit", "/exit"])
def test_quit_ends(run: Run, site: DemoSite, word: str) -> None:
    done = run("chat", "--site", site.page("wpaicg/"), stdin=f"one\n{word}\ntwo\n".encode())
    assert done.code == 0
    assert [seen.message for seen in site.messages] == ["one"]


def test_line_with_an_unknown_slash_is_a_message(run: Run, site: DemoSite) -> None:
    run("chat", "--site", site.page("wpaicg/"), stdin=b"/etc/hosts is what?\n/help\n")
    assert [seen.message for seen in site.messages] == ["/etc/hosts is what?"]


def test_system_is_part_of_the_conversation(run: Run, site: DemoSite) -> None:
    run("chat", "--site", site.page("wpaicg/"), "--system", "Be brief.", stdin=b"one\ntwo\n")
    assert all("Be brief." in str(seen.message) for seen in site.messages)


def test_failed_message_ends_nothing_but_shows_in_the_exit_code(run: Run, site: DemoSite) -> None:
    done = run("chat", "--site", site.page("wpaicg/"), stdin=b"one\nQUOTA\n0\nHISTORY\n")
    assert done.code == 1
    first, second = done.out.splitlines()
    assert first == f"{MADE_UP}one"
    assert "QUOTA" not in second
    assert done.err.count("error: ") == 2


def test_json_is_one_document_of_all_answers(run: Run, site: DemoSite) -> None:
    done = run("chat", "--json", "--site", site.page("wpaicg/"), stdin=b"one\nQUOTA\n")
    assert (done.code, done.err) == (1, "")
    reply, failure = json.loads(done.out)
    assert list(reply) == REPLY_KEYS
    assert list(failure["error"]) == ERROR_KEYS


def test_nothing_said_is_nothing_asked(run: Run, site: DemoSite) -> None:
    done = run("chat", "--site", site.page("wpaicg/"))
    assert (done.code, done.out, site.requests) == (0, "", [])


def test_terminal_has_a_prompt_and_arrow_keys(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        assert "/quit" in terminal.wait_for("> ")
        terminal.type("Hello\r")
        terminal.wait_for("You wrote: Hello\r\n.*> ")
        terminal.type("\x1b[A\x1b[D\x1b[Dxyz\r")  # up, left, left
        terminal.wait_for("You wrote: Helxyzlo\r\n.*> ")
        terminal.type("/help\r")
        terminal.wait_for("Ctrl-D ends\r\n.*> ")
        terminal.type("/reset\r")
        terminal.wait_for("a new conversation\r\n.*> ")
        terminal.type("QUOTA\r")
        terminal.wait_for("error: .*hint: .*> ")
        terminal.type("CONTROL\r")
        shown = terminal.wait_for(r"nil\.\r\n")
        assert r"\x1b[31mred\x1b[0m" in shown
        assert "\x1b[31m" not in shown
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
        assert terminal.seen.endswith("\r\n")
    assert [seen.message for seen in site.messages][:2] == ["Hello", "Helxyzlo"]


def test_quit_at_a_terminal(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for("> ")
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    assert site.requests == []
