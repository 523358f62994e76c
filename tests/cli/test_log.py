"""The log of conversations: what is kept, and going on with it."""

from __future__ import annotations

import json
import sqlite3
import stat
from pathlib import Path

import pytest
from cli.commands import Run, on_terminal
from cli.test_ask import MADE_UP
from cli.test_chat import PROMPT
from rich.cells import cell_len

from chatgptt.demo import DemoSite
from chatgptt.state import typed
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


def test_chat_that_goes_on_shows_the_last_message_with_its_answer(site: DemoSite, state_dir: Path) -> None:
    held = Transcript(page=site.page("wpaicg/")).with_exchange("first", "1st").with_exchange("a\nb", "2nd")
    Conversations(state_dir).keep(held)
    with on_terminal("chat", "-c", "--plain") as terminal:
        terminal.wait_for(r"> a\r\n> b\r\n\r\n2nd\r\n.*" + PROMPT)
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    assert "1st" not in terminal.seen


def test_chat_loads_a_conversation_of_the_log(run: Run, two: DemoSite) -> None:
    with on_terminal("chat", "--site", two.page("wpaicg/")) as terminal:
        for keys, shown in (
            ("/load 3", "there is no conversation 3"),
            ("/load 2", f"2 was held with {two.page('aipkit/')}.*/site {two.page('aipkit/')}"),
            ("/load 1", r"You wrote: I am Ada\..*going on after 1 message\r"),
            ("Hello", "You wrote: Hello"),
        ):
            terminal.wait_for(PROMPT)
            terminal.type(f"{keys}\r")
            terminal.wait_for(shown)
        terminal.wait_for(PROMPT)
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    assert ids(run) == [1, 2]
    assert "I am Ada." in (two.messages[-1].message or "") + json.dumps(two.messages[-1].fields)


def test_chat_goes_to_the_bot_of_the_conversation_that_it_loads(site: DemoSite, state_dir: Path) -> None:
    page = site.page("wpaicg/many/")
    Conversations(state_dir).keep(Transcript(page=page, bot="widget").with_exchange("one", "1"))
    with on_terminal("chat", "--site", page) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/load 1\r")
        terminal.wait_for(r"bot 0.*going on after 1 message\r")
        terminal.wait_for(PROMPT)
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0


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
    assert run("log", "list", "-n", "1").out == f"{first}\n"
    assert run("log", "list", "--json").out == run("log", "--json").out


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


def test_log_remove_all_removes_what_was_typed_and_damaged_copies_too(
    run: Run, two: DemoSite, state_dir: Path
) -> None:
    damaged = state_dir / f"{FILE_NAME}.damaged"
    for path in (state_dir / typed.FILE_NAME, damaged):
        path.write_text("+secret\n")
    run("log", "remove", "1")
    assert damaged.exists()
    run("log", "remove", "--all")
    assert [path.name for path in state_dir.iterdir()] == [FILE_NAME]
    assert run("log", "remove", "--all").out == "removed 0\n"


def test_what_was_typed_loses_its_oldest_lines(tmp_path: Path) -> None:
    lines = [f"\n# 2026-01-01 00:00:00\n+line {number}\n+of two\n" for number in range(30_000)]
    path = tmp_path / typed.FILE_NAME
    path.write_text("".join(lines))
    assert path.stat().st_size > typed.MOST_BYTES
    assert typed.make_typed(tmp_path) == path
    kept = path.read_text()
    assert typed.MOST_BYTES // 2 - 100 < len(kept) <= typed.MOST_BYTES // 2
    assert "".join(lines).endswith(kept)
    assert kept.startswith("\n# ")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert typed.make_typed(tmp_path).read_text() == kept


def test_rows_end_at_the_edge_of_the_terminal(site: DemoSite, state_dir: Path) -> None:
    log = Conversations(state_dir)
    for message in ("漢字" * 20, "word " * 20, "short"):
        log.keep(Transcript(page=site.page("wpaicg/many/")).with_exchange(message, "1"))
    with on_terminal("log", columns=80) as terminal:
        assert terminal.wait_for_end() == 0
    short, words, wide = terminal.seen.splitlines()
    assert short.endswith("short")
    assert (cell_len(words), words[-1]) == (80, "…")
    assert (cell_len(wide) in (79, 80), wide[-1]) == (True, "…")


@pytest.mark.parametrize(
    "argv", [("show",), ("show", "1"), ("export",), ("remove", "1")], ids=lambda argv: " ".join(argv)
)
def test_an_empty_log_says_so(run: Run, state_dir: Path, argv: tuple[str, ...]) -> None:
    for _ in range(2):
        done = run("log", *argv)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: no conversation is kept\nhint: ")
        state_dir.mkdir(exist_ok=True)
        (state_dir / FILE_NAME).touch()


COMMANDS = [(), ("list",), ("search", "x"), ("show",), ("export",), ("remove", "1"), ("remove", "--all")]


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: " ".join(argv))
def test_a_log_that_cannot_be_used_is_an_error(run: Run, state_dir: Path, argv: tuple[str, ...]) -> None:
    (state_dir / FILE_NAME).mkdir(parents=True)
    done = run("log", *argv)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: the log of conversations ")
    assert "cannot be used: it is no file\nhint: " in done.err
    assert run("log", *argv, "--json").error["code"] == "invalid_input"


@pytest.mark.parametrize("argv", COMMANDS, ids=lambda argv: " ".join(argv))
def test_a_damaged_log_is_kept_beside_a_new_one(run: Run, state_dir: Path, argv: tuple[str, ...]) -> None:
    state_dir.mkdir()
    (state_dir / FILE_NAME).write_text("no database" * 1000)
    assert "was damaged; it is now" in run("log", *argv).err
    assert "was damaged" not in run("log", *argv).err


def test_a_conversation_that_was_removed_meanwhile_is_kept_anew(state_dir: Path) -> None:
    log = Conversations(state_dir)
    kept = log.keep(Transcript(page="http://site.example/").with_exchange("one", "1"))
    log.remove(None)
    again = log.keep(kept.with_exchange("two", "2"))
    assert again.id not in (None, kept.id)
    assert [said.message for said in (log.read(again.id or 0) or kept).exchanges] == ["one", "two"]
