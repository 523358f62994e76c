from __future__ import annotations

import re

import pytest
from cli.commands import Run, on_terminal

from chatgptt.cli.app import _Commands
from chatgptt.demo import DemoSite


@pytest.mark.parametrize("command", _Commands.names)
def test_each_command_has_examples_and_types_in_words(run: Run, command: str) -> None:
    shown = run(command, "--help").out
    assert re.search(rf"^ *Examples:\n +chatgptt {command}|^ *Examples:\n.* chatgptt {command}", shown, re.M)
    assert not re.search("range>|INTEGER|FLOAT|[<>]=|--host TEXT", shown, re.I), shown


def test_no_line_of_the_list_of_commands_is_cut_off(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in run("--help").out.partition("Commands:")[2].partition("Exit codes:")[0]


def test_all_environment_variables_are_listed_once(run: Run) -> None:
    shown = run("--help").out
    for name in ("SITE", "SITES", "STATE_DIR", "LOG_CONVERSATIONS", "STORE", "API_KEY", "BROWSER", "LOG"):
        assert len(re.findall(rf"^ +CHATGPTT_{name} ", shown, re.M)) == 1, name


def test_wrong_usage_is_told_as_other_errors_are(run: Run) -> None:
    done = run("ask", "--no-such-option")
    first, hint = done.err.splitlines()
    assert (done.code, first[:7], hint[:6]) == (2, "error: ", "hint: ")
    assert "chatgptt ask --help" in hint


def test_wrong_usage_is_a_document_with_json(run: Run) -> None:
    done = run("ask", "--json", "--no-such-option")
    assert (done.code, done.err, done.error["code"]) == (2, "", "invalid_input")
    assert run("health-check", "--no-such-option", "--json").code == 3
    assert run("ask", "--no-such-option", "--", "--json").out == ""


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("demo", "--port", "x"), "'x' is no whole number"),
        (("demo", "--port", "70000"), "70000 is more than 65535"),
        (("log", "-n", "0"), "0 is less than 1"),
        (("log", "show", "one"), "'one' is no whole number"),
        (("ask", "--timeout", "soon", "Hello"), "'soon' is no number"),
    ],
)
def test_a_number_that_is_none_is_told_in_words(run: Run, argv: tuple[str, ...], words: str) -> None:
    done = run(*argv)
    assert (done.code, done.out) == (2, "")
    assert words in done.err.splitlines()[0]


def test_json_has_letters_at_a_terminal_and_is_still_json(site: DemoSite) -> None:
    with on_terminal(
        "ask", "--json", "--plain", "--site", site.page("wpaicg/"), "CONTROL naïve ✓"
    ) as terminal:
        assert terminal.wait_for_end() == 0
    assert "\x1b" not in terminal.seen
    assert "\\u202e" in terminal.seen
    with on_terminal("ask", "--json", "--plain", "--site", site.page("wpaicg/"), "naïve ✓") as terminal:
        assert terminal.wait_for_end() == 0
    assert "naïve ✓" in terminal.seen
