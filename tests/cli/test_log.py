"""The log of conversations: what is kept, and going on with it."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from cli.commands import Run, on_terminal
from cli.test_ask import MADE_UP

from chatgptt.demo import DemoSite
from chatgptt.state.conversations import FILE_NAME, Conversations
from chatgptt.state.transcript import Transcript


def ask_at_terminal(site: DemoSite, *argv: str, code: int = 0) -> str:
    with on_terminal("ask", "--plain", *argv) as terminal:
        assert terminal.wait_for_end() == code, terminal.seen
    return terminal.seen


def ids(run: Run) -> list[int]:
    return [kept["id"] for kept in json.loads(run("log", "--json").out)]


@pytest.fixture
def two(run: Run, site: DemoSite, state_dir: Path) -> DemoSite:
    """A site with which two conversations are kept, of bots of two generations."""
    log = Conversations(state_dir)
    for page, message in (("wpaicg/", "I am Ada."), ("aipkit/", "Ich heiße GÖDEL.")):
        log.keep(Transcript(page=site.page(page)).with_exchange(message, f"{MADE_UP}{message}"))
    return site


@pytest.mark.parametrize("page", ["wpaicg/", "aipkit/"])
def test_ask_goes_on_with_what_was_asked_at_a_terminal(site: DemoSite, page: str) -> None:
    ask_at_terminal(site, "--site", site.page(page), "I am Ada.")
    shown = ask_at_terminal(site, "-c", "HISTORY")
    assert f"going on with conversation 1 with {site.page(page)}: I am Ada." in shown
    assert shown.index("going on") < shown.index("You wrote: I am Ada.")
    assert ask_at_terminal(site, "-c", "HISTORY").count("I am Ada.") >= 2


def test_a_pipe_keeps_nothing_unless_it_goes_on(run: Run, two: DemoSite) -> None:
    run("ask", "--site", two.page("wpaicg/"), "in a pipe")
    assert ids(run) == [2, 1]
    assert run("ask", "-c", "--site", two.page("wpaicg/"), "Hello").out == f"{MADE_UP}Hello\n"
    assert ids(run) == [1, 2]
    assert "I am Ada." in run("chat", "-c", stdin=b"HISTORY\n").out
    assert "in a pipe" not in run("log", "export", "1").out


def test_the_environment_does_not_send_it_to_another_site(
    run: Run, two: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", two.page("wpaicg/"))
    run("ask", "-c", "Hello")
    assert [seen.path.split("/")[1] for seen in two.messages] == ["aipkit"] * len(two.messages)


def test_another_site_on_the_command_line_has_its_own_last_conversation(run: Run, two: DemoSite) -> None:
    assert "GÖDEL" not in run("ask", "-c", "--site", two.page("wpaicg/"), "HISTORY").out
    done = run("ask", "-c", "--site", two.page("wpaicg/many/"), "HISTORY")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        f"error: there is no conversation with {two.page('wpaicg/many/')} to go on with"
    )


def test_a_name_that_leads_elsewhere_now_is_not_gone_on_with(
    run: Run, site: DemoSite, state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = tmp_path / "sites.toml"
    names.write_text(f'[shop]\nurl = "{site.page("aipkit/")}"\n')
    monkeypatch.setenv("CHATGPTT_SITES", str(names))
    held = Transcript(page=site.page("wpaicg/"), name="shop")
    Conversations(state_dir).keep(held.with_exchange("secret", "answer"))
    done = run("ask", "-c", "Hello")
    assert (done.code, done.out, site.requests) == (2, "", [])
    assert "the conversation was held with" in done.err


def test_chat_goes_on_with_the_last_conversation(two: DemoSite) -> None:
    with on_terminal("chat", "-c") as terminal:
        terminal.wait_for("going on with conversation 2")
        terminal.wait_for("> ")
        terminal.type("HISTORY\r")
        terminal.wait_for("GÖDEL")
        terminal.wait_for("> ")
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    assert "kept: chatgptt chat -c goes on with it" in terminal.seen


def test_a_search_in_vain_says_so(run: Run, two: DemoSite) -> None:
    assert run("log", "search", "zzz").err == "no conversation holds these words\n"


def test_nothing_is_kept_where_the_environment_says_so(
    run: Run, site: DemoSite, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_LOG_CONVERSATIONS", "0")
    ask_at_terminal(site, "--site", site.page("wpaicg/"), "Hello")
    with on_terminal("chat", "--site", site.page("wpaicg/")) as terminal:
        terminal.wait_for("> ")
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    assert not {FILE_NAME, "typed"} & {path.name for path in state_dir.iterdir()}
    assert "no conversation is kept" in run("log").err


@pytest.mark.parametrize("argv", [("ask", "Hello"), ("ask", "-c", "Hello")])
def test_the_demo_keeps_nothing(argv: tuple[str, ...], state_dir: Path) -> None:
    with on_terminal(*argv, "--demo") as terminal:
        assert terminal.wait_for_end() == (2 if "-c" in argv else 0)
    assert not state_dir.exists()


def test_the_file_is_for_its_owner_and_holds_no_token(site: DemoSite, state_dir: Path) -> None:
    ask_at_terminal(site, "--site", site.page("wpaicg/"), "Hello")
    assert stat.S_IMODE((state_dir / FILE_NAME).stat().st_mode) == 0o600
    database = sqlite3.connect(state_dir / FILE_NAME)
    text = "\n".join(database.iterdump())
    database.close()
    fields = site.messages[0].fields
    for name in ("_wpnonce", "wpaicg_chat_client_id"):
        assert fields[name] not in text


def test_log_lists_the_newest_first(run: Run, two: DemoSite) -> None:
    first, second = run("log").out.splitlines()
    assert first.split()[0] == "2"
    assert first.endswith("1 message  Ich heiße GÖDEL.")
    assert two.page("wpaicg/") in second
    assert len(run("log", "-n", "1").out.splitlines()) == 1


@pytest.mark.parametrize(("words", "found"), [("gödel", [2]), ("ADA", [1]), ("made up", [2, 1]), ("%", [])])
def test_log_search(run: Run, two: DemoSite, words: str, found: list[int]) -> None:
    listed = json.loads(run("log", "search", "--json", words).out)
    assert [kept["id"] for kept in listed] == found


def test_log_show_and_export(run: Run, two: DemoSite, tmp_path: Path) -> None:
    assert "Ich heiße GÖDEL." in run("log", "show").out
    assert "I am Ada." in run("log", "show", "1").out
    document = json.loads(run("log", "export", "1", "--format", "json").out)
    assert [message["content"] for message in document["messages"]] == ["I am Ada.", f"{MADE_UP}I am Ada."]
    file = tmp_path / "all.md"
    assert run("log", "export", "1", "2", "-o", str(file)).code == 0
    assert file.read_text().count("## Answer") == 2
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_log_remove_leaves_no_trace_in_the_file(run: Run, two: DemoSite, state_dir: Path) -> None:
    assert run("log", "remove", "1").out == "removed 1\n"
    assert b"Ada" not in (state_dir / FILE_NAME).read_bytes()
    assert run("log", "remove", "1").err.startswith("error: there is no conversation 1\nhint: ")
    assert run("log", "remove").code == 2
    assert run("log", "remove", "--all").out == "removed 1\n"
    assert run("log", "show").code == 2


def test_a_conversation_that_was_removed_meanwhile_is_kept_anew(state_dir: Path) -> None:
    log = Conversations(state_dir)
    kept = log.keep(Transcript(page="http://site.example/").with_exchange("one", "1"))
    log.remove(None)
    again = log.keep(kept.with_exchange("two", "2"))
    assert again.id not in (None, kept.id)
    assert [said.message for said in (log.read(again.id or 0) or kept).exchanges] == ["one", "two"]
