"""A person's own visit opens what a program may not: logged in, agreed or checked by hand in a browser's window.

The tests type as a person would, by events of X's keyboard. They wait for what the window's title says and for what
has arrived at the site, never for a time. Visits that need no window come from a file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from cli.commands import Done, Terminal, on_terminal, run_process
from serve.serving import CHAT, chat, endpoint, error_of, text_of
from wordpress.installation import Site, WordPress
from wordpress.screen import Screen, shown
from wordpress.traffic import Counted
from wordpress.visitors import export_login, only_1x, only_2x


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch, no_settings_of_this_machine: None) -> None:
    """Commands use the browser that they find."""
    monkeypatch.delenv("CHATGPTT_BROWSER")


@pytest.fixture
def screen(browser: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    """A display for the windows of commands."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with shown() as screen:
        monkeypatch.setenv("DISPLAY", screen.display)
        yield screen


# What a person does


def log_in_by_hand(screen: Screen) -> None:
    """Fills in WordPress's form as Ada, who then comes to the page that she wanted."""
    screen.focus(screen.wait_for("user_login: 0 letters"))
    screen.type("ada")
    screen.wait_for("user_login: 3 letters")
    screen.press("Tab")
    screen.wait_for("user_pass: 0 letters")
    screen.type("password of ada")
    screen.wait_for("user_pass: 15 letters")
    screen.press("Return")
    screen.wait_for("Members")


def press_button(screen: Screen, name: str) -> None:
    """Presses the button of a wall, which has the focus."""
    screen.focus(screen.wait_for(f"{name}: a button"))
    screen.press("space")


def end_by_enter(terminal: Terminal) -> None:
    """Presses Enter in the terminal; the command says whose visit it keeps."""
    terminal.type("\r")
    assert terminal.wait_for_end() == 0, terminal.seen


# What a program does


def keep_login(wordpress: WordPress, tmp_path: Path, site: Site = "pretty") -> Path:
    """Keeps a login of Ada's that was made elsewhere, with nothing in the site's books; the file of it."""
    file = export_login(wordpress, tmp_path / f"{site}.txt", site)
    done = run_process("login", "--site", wordpress.page("members", site), "--import", str(file))
    assert done.code == 0, done
    wordpress.traffic.clear()
    return file


def ask(page: str, message: str, *options: str) -> Done:
    return run_process("ask", "--json", "--site", page, *options, message)


def text(done: Done) -> object:
    assert done.code == 0, done
    return done.document["text"]


def failure(done: Done) -> tuple[object, str]:
    """The code of an error, and its hint."""
    assert done.code == 1, done
    error = done.document["error"]
    assert isinstance(error, dict)
    return error["code"], error["hint"]


def kept_visits() -> list[Path]:
    return list(Path(os.environ["CHATGPTT_STATE_DIR"]).glob("**/*.visit"))


# In a window


def test_a_member_who_logs_in_by_hand_is_answered_by_every_command(
    wordpress: WordPress, screen: Screen
) -> None:
    page, kind = wordpress.page("members"), wordpress.conditions.generation
    wordpress.set(replace(wordpress.conditions, members_only=True))
    with on_terminal("login", "--site", page) as terminal:
        terminal.wait_for("Press Enter")
        log_in_by_hand(screen)
        end_by_enter(terminal)
    assert "the visit of ada" in terminal.seen
    screen.wait_until_closed()
    wordpress.traffic.clear()
    assert text(ask(page, "By ask")) == f"ada wrote into {kind}: By ask"
    assert text(ask(page, "By a browser", "--strategy", "browser")) == f"ada wrote into {kind}: By a browser"
    checked = run_process("health-check", "--json", "--message", "By check", page)
    assert (checked.code, checked.document["verdict"]) == (0, "ok")
    with endpoint("--site", page) as (_, client, _):
        assert text_of(client.post(CHAT, json=chat("By serve"))) == f"ada wrote into {kind}: By serve"
    messages = ("By ask", "By a browser", "By check", "By serve")
    assert wordpress.traffic.answered() == [(message, "ada") for message in messages]


@only_2x
def test_after_a_consent_by_hand_the_page_is_open_until_logout(wordpress: WordPress, screen: Screen) -> None:
    page = wordpress.page("consent")
    assert failure(ask(page, "Before"))[0] == "no_chat_box"
    with on_terminal("login", "--site", page) as terminal:
        terminal.wait_for("Press Enter")
        press_button(screen, "agree")
        screen.wait_for("Consent")
        end_by_enter(terminal)
    assert text(ask(page, "By ask")) == "A guest wrote into aipkit: By ask"
    assert (
        text(ask(page, "By a browser", "--strategy", "browser")) == "A guest wrote into aipkit: By a browser"
    )
    assert run_process("logout", "--site", page).code == 0
    assert failure(ask(page, "After"))[0] == "no_chat_box"
    assert wordpress.traffic.answered() == [("By ask", ""), ("By a browser", "")]


@only_2x
def test_a_consent_that_only_the_browser_remembers_is_kept_too(wordpress: WordPress, screen: Screen) -> None:
    """It is an entry of local storage (docs/protocols.md A7). The page asks in a dialog, which the person answers."""
    page = wordpress.chat()
    wordpress.set(replace(wordpress.conditions, asks_for_consent=True))
    before = ask(page, "Before")
    assert failure(before)[0] == "refused"
    assert before.error["reason"] == "consent_required"
    assert f"agree once in a browser window: chatgptt login --site {page}" in failure(before)[1]
    with on_terminal("login", "--site", page) as terminal:
        terminal.wait_for("Press Enter")
        press_button(screen, "consent")
        screen.wait_for("consent: asked")
        screen.press_until("consent: given", "Return")
        end_by_enter(terminal)
    assert text(ask(page, "By ask")) == "A guest wrote into aipkit: By ask"
    assert run_process("logout", "--site", page).code == 0
    assert failure(ask(page, "After"))[0] == "refused"
    assert wordpress.traffic.answered() == [("By ask", "")]


@only_1x
def test_after_a_check_by_hand_the_page_is_open_until_logout(wordpress: WordPress, screen: Screen) -> None:
    """The cookie is good for one user agent alone. The window is closed as windows are."""
    page = wordpress.page("checked")
    code, hint = failure(ask(page, "Before"))
    assert code == "challenge"
    assert f"chatgptt login --site {page}" in hint
    with on_terminal("login", "--site", page) as terminal:
        terminal.wait_for("close the window")
        press_button(screen, "human")
        screen.wait_for("Checked")
        screen.press("ctrl+w")
        assert terminal.wait_for_end() == 0, terminal.seen
    wordpress.traffic.clear()
    assert text(ask(page, "By ask")) == "A guest wrote into wpaicg: By ask"
    assert (
        text(ask(page, "By a browser", "--strategy", "browser")) == "A guest wrote into wpaicg: By a browser"
    )
    assert len({request.agent for request in wordpress.traffic.seen()}) == 1
    assert run_process("logout", "--site", page).code == 0
    assert failure(ask(page, "After"))[0] == "challenge"
    assert wordpress.traffic.answered() == [("By ask", ""), ("By a browser", "")]


@only_1x
def test_ctrl_c_keeps_nothing_and_closes_the_window(wordpress: WordPress, screen: Screen) -> None:
    with on_terminal("login", "--site", wordpress.page("members")) as terminal:
        terminal.wait_for("Press Enter")
        log_in_by_hand(screen)
        terminal.type("\x03")
        assert terminal.wait_for_end() == 130, terminal.seen
    screen.wait_until_closed()
    assert kept_visits() == []


# From a file


def test_check_says_whose_visit_is_kept_and_what_the_page_shows(wordpress: WordPress, tmp_path: Path) -> None:
    page = wordpress.page("members")
    check = ("login", "--check", "--json", "--site", page)
    code, hint = failure(run_process(*check))
    assert code == "no_chat_box"
    assert f"chatgptt login --site {page}" in hint
    keep_login(wordpress, tmp_path)
    document = run_process(*check).document
    visit = document["visit"]
    assert isinstance(visit, dict)
    assert (visit["site"], visit["user"], visit["source"]) == (wordpress.url("pretty", ""), "ada", "file")
    assert document["boxes"] == 2
    wordpress.end_sessions("ada")
    code, hint = failure(run_process(*check))
    assert code == "refused"
    assert f"log in again in a browser window: chatgptt login --site {page}" in hint
    assert wordpress.traffic.counted().messages == 0


def test_after_logout_the_page_refuses_again(wordpress: WordPress, tmp_path: Path) -> None:
    page = wordpress.page("members")
    keep_login(wordpress, tmp_path)
    assert text(ask(page, "Before")) == f"ada wrote into {wordpress.conditions.generation}: Before"
    assert run_process("logout", "--site", page).code == 0
    assert kept_visits() == []
    code, hint = failure(ask(page, "After"))
    assert code == "no_chat_box"
    assert f"log in once in a browser window: chatgptt login --site {page}" in hint
    assert wordpress.traffic.answered() == [("Before", "ada")]


@pytest.mark.parametrize("had_tokens", [True, False])
def test_a_session_that_ended_is_told_and_the_message_sent_once_at_most(
    had_tokens: bool, wordpress: WordPress, tmp_path: Path
) -> None:
    page = wordpress.page("members")
    keep_login(wordpress, tmp_path)
    if had_tokens:
        text(ask(page, "Before"))
    wordpress.end_sessions("ada")
    wordpress.traffic.clear()
    code, hint = failure(ask(page, "After"))
    assert code == "refused"
    assert f"log in again in a browser window: chatgptt login --site {page}" in hint
    assert wordpress.traffic.counted().messages == int(had_tokens)
    checked = run_process("health-check", "--json", page)
    assert (checked.code, checked.document["code"]) == (2, "refused")
    with endpoint("--site", page) as (_, client, _):
        assert error_of(client.post(CHAT, json=chat("By serve"))) == (403, "refused")
    assert wordpress.traffic.counted().messages == int(had_tokens)
    assert wordpress.traffic.answered() == []


@only_1x
def test_two_sites_in_one_folder_never_get_each_others_cookies(wordpress: WordPress, tmp_path: Path) -> None:
    """They share a host, which is all that a browser looks at. Each site's cookies are named after its address."""
    sites: tuple[Site, Site] = ("pretty", "gzip")
    for site in sites:
        keep_login(wordpress, tmp_path, site)
    for site in sites:
        assert text(ask(wordpress.page("members", site), f"To {site}")) == f"ada wrote into wpaicg: To {site}"
    names = {
        site: set(re.findall(r"wordpress_logged_in_\w+", (tmp_path / f"{site}.txt").read_text()))
        for site in sites
    }
    assert names["pretty"] != names["gzip"]
    for request in wordpress.traffic.seen():
        site = next(site for site in sites if f":{request.port}/" in wordpress.url(site))
        assert set(re.findall(r"wordpress_logged_in_\w+", request.cookies)) == names[site]
    assert run_process("logout", "--site", wordpress.page("members", "pretty")).code == 0
    wordpress.traffic.clear()
    assert failure(ask(wordpress.page("members", "pretty"), "After"))[0] == "no_chat_box"
    assert [request.cookies for request in wordpress.traffic.seen() if "logged_in" in request.cookies] == []
    assert text(ask(wordpress.page("members", "gzip"), "Still")) == "ada wrote into wpaicg: Still"


@only_1x
@pytest.mark.parametrize("mode", [0o644, 0o666])
def test_a_visit_that_others_may_read_is_made_private_and_one_that_they_may_write_is_not_used(
    mode: int, wordpress: WordPress, tmp_path: Path
) -> None:
    page = wordpress.page("members")
    keep_login(wordpress, tmp_path)
    (file,) = kept_visits()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(mode)
    done = ask(page, "Hello")
    if mode == 0o644:
        assert text(done) == "ada wrote into wpaicg: Hello"
        assert file.stat().st_mode & 0o777 == 0o600
    else:
        assert (done.code, done.error["code"]) == (2, "invalid_input")
        assert "can be written by others" in str(done.error["message"])
        assert wordpress.traffic.counted() == Counted()


# What comes out of it


def secrets_in(file: Path) -> list[str]:
    """What lets somebody in as Ada: of each cookie of hers, the two parts that only her browser and the site know."""
    values = re.findall(r"\sada%7C\d+%7C(\w+)%7C(\w+)", file.read_text())
    assert values
    return [part for value in values for part in value]


def read_all(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files below a folder, those in archives too."""
    for path in folder.rglob("*"):
        if path.suffix == ".zip":
            with ZipFile(path) as archive:
                yield from ((f"{path}/{name}", archive.read(name)) for name in archive.namelist())
        elif path.is_file():
            yield str(path), path.read_bytes()


@only_1x
def test_nothing_that_a_command_prints_or_writes_has_the_logins_cookies(
    wordpress: WordPress, tmp_path: Path, browser: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, out = wordpress.page("members"), tmp_path / "out"
    out.mkdir()
    monkeypatch.setenv("CHATGPTT_LOG", "debug")
    secrets = secrets_in(keep_login(wordpress, tmp_path))
    shown = [
        run_process("login", "--check", "--json", "-vv", "--site", page),
        run_process("inspect", "--json", "-vv", "--site", page),
        ask(page, "One", "-vv"),
        ask(page, "Two", "-vv", "--strategy", "browser"),
        run_process(
            "health-check", "-vv", "--json", "--message", "Three", "--report", str(out / "report.html"), page
        ),
        run_process("record", "-vv", "--site", page, "-m", "Four", "-o", str(out / "case")),
    ]
    assert [done.code for done in shown] == [0] * len(shown), shown
    wordpress.end_sessions("ada")
    failed = (str(out / "trace.zip"), str(out / "screen.png"))
    shown += [
        ask(page, "Five", "-vv", "--strategy", "browser", "--trace", failed[0], "--screenshot", failed[1]),
        run_process("health-check", "-vv", "--json", page),
    ]
    printed = [(str(done), f"{done.out}{done.err}".encode()) for done in shown]
    kept = [
        (name, data)
        for name, data in read_all(Path(os.environ["CHATGPTT_STATE_DIR"]))
        if not name.endswith(".visit")
    ]
    written = list(read_all(out))
    assert {"report.html", "trace.network", "02-page.html"} <= {Path(name).name for name, _ in written}
    (visit,) = kept_visits()
    assert all(secret.encode() in visit.read_bytes() for secret in secrets)
    for name, data in (*printed, *kept, *written):
        for secret in secrets:
            assert secret.encode() not in data, name
