from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli.commands import Run, Terminal, on_terminal
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


# At a terminal

PROMPT = r"\x1b\[\?2004h[^\n]*?>[ \x08]"
"""From then on a paste is told from typing; the prompt is drawn again with each line that is typed."""


@contextmanager
def chat(site: DemoSite, *argv: str, page: str = "wpaicg/") -> Iterator[Terminal]:
    """A chat at its first prompt; at the end it is left with Ctrl-D."""
    with on_terminal("chat", "--site", site.page(page), *argv) as terminal:
        terminal.wait_for(PROMPT)
        yield terminal
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0, terminal.seen


def say(terminal: Terminal, keys: str, answer: str = "") -> str:
    """Types, and what is shown up to the next prompt; `answer` has to be in it."""
    terminal.type(keys + "\r")
    return (terminal.wait_for(answer) if answer else "") + terminal.wait_for(PROMPT)


def save(file: Path, page: str, message: str, answer: str) -> Path:
    """A conversation in a file, for /load."""
    messages = [{"role": "user", "content": message}, {"role": "assistant", "content": answer}]
    file.write_text(json.dumps({"page": page, "messages": messages}))
    return file


def asked(site: DemoSite) -> list[str]:
    return [seen.message or "" for seen in site.messages]


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/"])
def test_a_conversation_is_held_at_a_prompt(site: DemoSite, page: str) -> None:
    with chat(site, page=page) as terminal:
        assert "/help" in terminal.seen
        assert "/quit" in terminal.seen
        say(terminal, "I am Ada.", r"You wrote: I am Ada\.\r\n")
        assert "I am Ada." in say(terminal, "HISTORY")
    assert asked(site) == ["I am Ada.", "HISTORY"]


def test_keys_edit_the_line_and_go_back_to_earlier_ones(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "Hello", "You wrote: Hello")
        say(terminal, "\x1b[A\x1b[D\x1b[Dxyz", "You wrote: Helxyzlo")  # up, left, left
    assert asked(site) == ["Hello", "Helxyzlo"]


def test_a_paste_of_several_lines_is_one_message(site: DemoSite) -> None:
    with chat(site) as terminal:
        terminal.type("\x1b[200~one\r\ntwo\nthree\n\x1b[201~")
        say(terminal, "", "You wrote: .*three")
    assert asked(site) == ["one\ntwo\nthree"]


def test_lines_between_quotes_are_one_message(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, '"""\rone\r/two\r"""', "You wrote: .*two")
        say(terminal, '"""/three"""', "You wrote: /three")
        say(terminal, "four\x1b\rfive", "You wrote: four.*five")  # Alt-Enter
        say(terminal, '"""Doc."""\x1b\rend', "You wrote: .*end")
    assert asked(site) == ["one\n/two", "/three", "four\nfive", '"""Doc."""\nend']


def test_ctrl_c_clears_a_half_typed_line(site: DemoSite) -> None:
    with chat(site) as terminal:
        terminal.type("half typed")
        terminal.wait_for("half typed")
        terminal.type("\x03")
        say(terminal, "Hello", "You wrote: Hello")
    assert asked(site) == ["Hello"]


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/"])
def test_ctrl_c_keeps_the_part_of_an_answer_that_came(site: DemoSite, page: str) -> None:
    with chat(site, page=page) as terminal:
        terminal.type("SLOWWORDS 0.2 " + "word " * 200 + "\r")
        terminal.wait_for("made up")
        terminal.type("\x03")
        terminal.wait_for("what came is part of the conversation")
        terminal.wait_for(PROMPT)
        shown = say(terminal, "HISTORY")
    assert "SLOWWORDS" in shown
    assert "This answer is made up" in " ".join(shown.split())


def test_an_answer_that_breaks_off_is_kept_as_far_as_it_came(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "DROP", "error: .*what came is part of the conversation")
        assert "DROP" in say(terminal, "HISTORY")


def test_ctrl_c_ends_a_search_in_the_history_and_not_the_chat(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "Hello", "You wrote: Hello")
        terminal.type("\x12")
        terminal.wait_for("i-search")
        terminal.type("\x03")
        say(terminal, "again", "You wrote: again")
    assert asked(site) == ["Hello", "again"]


def test_ctrl_c_before_any_answer_keeps_the_conversation_without_the_message(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "I am Ada.")
        terminal.type("SLOW 60\r")
        terminal.wait_for("waiting for the answer")
        terminal.type("\x03")
        terminal.wait_for("stopped\r\n")
        terminal.wait_for(PROMPT)
        shown = say(terminal, "HISTORY")
    assert "I am Ada." in shown
    assert "SLOW 60" not in shown


def test_a_failed_answer_ends_nothing(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "QUOTA", "error: .*hint: ")
        say(terminal, "Hello", "You wrote: Hello")


def test_an_unknown_word_with_a_slash_is_never_sent(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "/rest", "there is no command /rest, and nothing was sent")
        say(terminal, "/imagine a cat\x1b\rand a dog", "there is no command /imagine")
        say(terminal, "!multi", "there is no command !multi")
        say(terminal, "/etc/hosts is what?", "You wrote")
        say(terminal, " /imagine", "You wrote")
    assert asked(site) == ["/etc/hosts is what?", "/imagine"]


def test_help_lists_every_command_in_short_lines(site: DemoSite, tmp_path: Path) -> None:
    with chat(site) as terminal:
        shown = say(terminal, "/help")
        assert all(len(line) < 80 for line in shown[shown.index("this list") :].splitlines())
        for word in re.findall(r"/[a-z]+", shown):
            assert (
                "there is no command" not in say(terminal, f"{word} {tmp_path}/x")
                if word != "/quit"
                else True
            )
    assert {"/retry", "/save", "/load", "/site", "/bot", "/system", "/reset", "/show"} <= set(shown.split())


def test_reset_begins_anew(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "I am Ada.")
        say(terminal, "/reset", "a new conversation")
        assert "Ada" not in say(terminal, "HISTORY")


def test_retry_asks_the_last_message_again_and_replaces_its_answer(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "/retry", "there is no message to ask again")
        say(terminal, "one", "You wrote: one")
        say(terminal, "two", "You wrote: two")
        say(terminal, "/retry", "You wrote: two")
        assert say(terminal, "HISTORY").rpartition("\x1b[2K")[2].count('"two"') == 1
        say(terminal, "QUOTA", "error")
        say(terminal, "/retry", "error")
        shown = say(terminal, "/show")
    assert asked(site)[:4] == ["one", "two", "two", "HISTORY"]
    assert shown.count("Message") == 3


@pytest.mark.parametrize("message", ["DROP", "SLOWWORDS 0.2" + " word" * 200])
def test_a_retry_that_breaks_off_leaves_the_answer_before(
    site: DemoSite, tmp_path: Path, message: str
) -> None:
    saved = save(tmp_path / "talk.json", site.page("wpaicg/"), message, "the old answer")
    with chat(site) as terminal:
        say(terminal, f"/load {saved}", "the old answer.*going on after 1 message")
        terminal.type("/retry\r")
        if message != "DROP":
            terminal.wait_for("made up")
            terminal.type("\x03")
        assert "what came is part" not in terminal.wait_for("the answer before stays")
        terminal.wait_for(PROMPT)
        assert "the old answer" in say(terminal, "/show")
    assert asked(site) == [message]


def test_system_shows_and_changes_and_clears_the_instructions(site: DemoSite) -> None:
    with chat(site, "--system", "Be long.") as terminal:
        say(terminal, "one")
        say(terminal, "/system", r"Be long\.\r\n")
        say(terminal, "/system Be brief.", "these instructions")
        say(terminal, "two")
        say(terminal, "/system -", "no instructions")
        say(terminal, "three")
    assert asked(site)[2] == "three"
    assert "Be long." in asked(site)[0]
    assert "Be brief." in asked(site)[1]
    assert "Be long." not in asked(site)[1]


def test_another_site_gets_nothing_of_the_conversation(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "I am Ada.")
        say(terminal, f"/site {site.page('aipkit/')}", "aipkit/")
        assert "Ada" not in say(terminal, "HISTORY")
        say(terminal, f"/site {site.page('wpaicg/nochat/')}", "error: the page has no chat box")
        say(terminal, "/site", "aipkit/")
        say(terminal, "Hello", "You wrote: Hello")
    assert site.messages[-1].path.startswith("/aipkit/")


def test_another_bot_of_the_page_begins_anew(site: DemoSite) -> None:
    with chat(site, page="wpaicg/many/") as terminal:
        say(terminal, "I am Ada.")
        assert re.search(r"\* \d+  shortcode\r\n.*  0  widget\r\n", say(terminal, "/bot"), re.S)
        say(terminal, "/bot widget", "bot")
        assert "Ada" not in say(terminal, "HISTORY")
        say(terminal, "/bot 77", "the page has no bot")


def test_save_and_load(site: DemoSite, tmp_path: Path) -> None:
    saved, text = tmp_path / "talk.json", tmp_path / "talk.md"
    with chat(site) as terminal:
        say(terminal, "/save", "needs the name of a file")
        say(terminal, "I am Ada.")
        say(terminal, f'/save "{saved}"', "saved")
        say(terminal, f"/save {text}", "saved")
        say(terminal, "/reset")
        say(terminal, f"/load {text}", "is no saved conversation")
        say(terminal, f"/load {tmp_path / 'none.json'}", "cannot read")
        say(terminal, f"/load '{saved}'", "going on")
        assert "Ada" in say(terminal, "HISTORY")
        say(terminal, f"/site {site.page('aipkit/')}")
        say(terminal, f"/load {saved}", "error: .*was held with")
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert "I am Ada." in text.read_text()


def test_what_was_typed_is_there_in_the_next_run_unless_it_is_not_to_be_kept(
    site: DemoSite, state_dir: Path
) -> None:
    with chat(site) as terminal:
        say(terminal, "first run")
    assert stat.S_IMODE((state_dir / "typed").stat().st_mode) == 0o600
    with chat(site, "--no-history") as terminal:
        say(terminal, "second run")
    with chat(site) as terminal:
        say(terminal, "\x1b[A", "You wrote: first run")
    assert "second run" not in (state_dir / "typed").read_text()


def test_a_wrong_page_is_told_before_anything_is_typed(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/nochat/")) as terminal:
        assert terminal.wait_for_end() == 1
    assert "error: the page has no chat box" in terminal.seen
    assert "> " not in terminal.seen


def test_the_page_is_read_once_for_the_start_and_the_first_message(site: DemoSite) -> None:
    with chat(site) as terminal:
        say(terminal, "Hello")
    assert [seen.method for seen in site.requests] == ["GET", "POST"]


def test_what_acts_on_a_terminal_is_shown_instead(site: DemoSite) -> None:
    with chat(site) as terminal:
        shown = say(terminal, "CONTROL", "nil")
    assert r"\x1b[31mred\x1b[0m" in shown
    assert "\x1b[31m" not in shown


def test_plain_shows_answers_as_they_came_and_reads_as_ever(site: DemoSite) -> None:
    with chat(site, "--plain") as terminal:
        say(terminal, "some **bold** words", r"2004lThis answer[^\x1b]*: some \*\*bold\*\* words\r\n")
        say(terminal, "\x1b[A", r"You wrote: some \*\*bold\*\* words\r\n")  # up
        say(terminal, "\x1b[200~one\ntwo\x1b[201~", "You wrote: .*two")
    assert asked(site) == ["some **bold** words", "some **bold** words", "one\ntwo"]


def test_a_terminal_that_can_only_print_gets_no_control_sequence(site: DemoSite) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/"), term="dumb") as terminal:
        terminal.wait_for("> ")
        terminal.type("some **bold** words\n")
        terminal.wait_for(r"You wrote: some \*\*bold\*\* words\r\n> ")
        terminal.type('"""one\ntwo"""\n')
        terminal.wait_for(r"You wrote: one\r\ntwo\r\n> ")
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
    assert "\x1b" not in terminal.seen
    assert "> \r\nkept: " in terminal.seen


@pytest.mark.parametrize("word", ["/quit", "/exit", "/bye", "exit", "quit"])
def test_quit_at_a_terminal(site: DemoSite, word: str) -> None:
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(f"{word}\r")
        assert terminal.wait_for_end() == 0
    assert site.messages == []
