"""`login` and `logout`: what is imported, checked and removed, and what a machine without a window says."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cli.commands import Run
from visits.samples import cookies_txt, login_value, storage_state

from chatgptt.demo import DemoSite
from chatgptt.visits import path_of_visit
from chatgptt.visits.kept import find_visit, keep_visit
from chatgptt.visits.visit import Visit

SECRET = "h4sh"
"""The end of a login cookie's value."""


@pytest.fixture
def cookies(tmp_path: Path) -> Path:
    """The cookies of a member of the demo's site, and of another site."""
    file = tmp_path / "cookies.txt"
    rows = (
        ("127.0.0.1", "FALSE", "/", "FALSE", "0", "wordpress_logged_in_1f2e", login_value("ada")),
        ("other.example", "FALSE", "/", "TRUE", "0", "elsewhere", "1"),
    )
    file.write_bytes(cookies_txt(*rows))
    return file


def kept(state_dir: Path, page: str) -> Visit | None:
    return find_visit(state_dir, page.partition("/wpaicg")[0])


def test_a_file_is_imported_checked_and_removed(
    run: Run, site: DemoSite, cookies: Path, state_dir: Path
) -> None:
    page = site.page("wpaicg/")
    done = run("login", "--site", page, "--import", str(cookies))
    assert done.code == 0, done
    assert "the visit of ada, whose login ends in 23 hours, made less than a minute ago in a file" in done.out
    visit = kept(state_dir, page)
    assert visit is not None
    assert [one.name for one in visit.cookies] == ["wordpress_logged_in_1f2e"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in state_dir.iterdir()} == {0o600}

    done = run("login", "--site", page, "--check")
    assert done.code == 0, done
    assert "the visit of ada" in done.out
    assert done.out.endswith("the page shows a chat box with tokens\n")
    assert "cookie" in site.requests[-1].headers

    done = run("logout", "--site", page)
    assert (done.code, kept(state_dir, page)) == (0, None)
    assert done.out.startswith("removed the visit to http://127.0.0.1")
    done = run("logout", "--site", page)
    assert (done.code, done.out[:12]) == (0, "no visit to ")
    run("ask", "--site", page, "Hello")
    assert "wordpress_logged_in" not in site.requests[-1].headers.get("cookie", "")


def test_a_storage_state_is_imported(run: Run, site: DemoSite, tmp_path: Path, state_dir: Path) -> None:
    page = site.page("wpaicg/")
    origin = page.partition("/wpaicg")[0]
    entries = [{"name": "k", "value": "v"}]
    file = tmp_path / "storage_state.json"
    file.write_bytes(storage_state(origins=[{"origin": origin, "localStorage": entries}]))
    done = run("login", "--site", page, "--import", str(file), "--json")
    assert done.code == 0
    assert isinstance(done.document["visit"], dict)
    assert done.document["visit"]["local_storage"] == 1
    visit = kept(state_dir, page)
    assert visit is not None
    assert [(item.origin, item.name, item.value) for item in visit.storage] == [(origin, "k", "v")]


def test_a_named_site_has_the_visit_of_its_page(
    run: Run, site: DemoSite, cookies: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CHATGPTT_SITES", str(tmp_path / "sites.toml"))
    assert run("sites", "add", "club", site.page("wpaicg/")).code == 0
    assert run("login", "--site", "club", "--import", str(cookies)).code == 0
    assert "the visit of ada" in run("login", "--site", site.page("wpaicg/"), "--check").out
    assert "removed" in run("logout", "--site", "club").out


def test_no_value_of_a_cookie_is_printed_however_much_is_told(
    run: Run, site: DemoSite, cookies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_LOG", "debug")
    page = site.page("wpaicg/")
    for argv in (
        ("login", "--import", str(cookies)),
        ("login", "--check"),
        ("login", "--check", "--json"),
        ("ask", "Hello"),
        ("ask", "ERR500"),
        ("inspect", "--json"),
        ("health-check", "--json"),
        ("logout",),
    ):
        done = run(*argv, "-vv", "--site", page) if argv[0] != "health-check" else run(*argv, "-vv", page)
        assert SECRET not in done.out + done.err
        assert SECRET in "".join(seen.headers.get("cookie", "") for seen in site.requests) or argv[1:] == (
            "--import",
            str(cookies),
        )


@pytest.mark.parametrize("content", ["<html>", "a\tb", "{", "127.0.0.2\tFALSE\t/\tFALSE\t0\ta\ts3cret"])
def test_a_file_that_holds_nothing_of_the_site_is_wrong_usage_and_changes_nothing(
    content: str, run: Run, site: DemoSite, cookies: Path, tmp_path: Path, state_dir: Path
) -> None:
    page = site.page("wpaicg/")
    run("login", "--site", page, "--import", str(cookies))
    file = tmp_path / "wrong"
    file.write_text(content)
    done = run("login", "--site", page, "--import", str(file))
    assert done.code == 2
    assert "hint: " in done.err
    assert "s3cret" not in done.err
    assert kept(state_dir, page) is not None


def test_a_login_that_has_ended_is_not_imported(
    run: Run, site: DemoSite, tmp_path: Path, state_dir: Path
) -> None:
    file = tmp_path / "cookies.txt"
    value = login_value("ada", 1_700_000_000)
    file.write_bytes(cookies_txt(("127.0.0.1", "FALSE", "/", "FALSE", "0", "wordpress_logged_in_1", value)))
    done = run("login", "--site", site.page("wpaicg/"), "--import", str(file))
    assert (done.code, kept(state_dir, site.page("wpaicg/"))) == (2, None)
    assert "has ended" in done.err


def test_a_check_fails_where_the_page_shows_no_box(run: Run, site: DemoSite) -> None:
    done = run("login", "--check", "--site", site.page("wpaicg/nochat/"), "--strategy", "static")
    assert (done.code, done.out) == (1, "no visit is kept\n")
    assert "no chat box" in done.err


def test_a_check_in_json_that_fails_has_the_visit_beside_the_error(
    run: Run, site: DemoSite, cookies: Path
) -> None:
    page = site.page("wpaicg/nochat/")
    run("login", "--site", page, "--import", str(cookies))
    done = run("login", "--check", "--json", "--site", page, "--strategy", "static")
    assert (done.code, done.document["page"], done.document["boxes"]) == (1, page, 0)
    assert isinstance(done.document["visit"], dict)
    assert isinstance(done.document["error"], dict)
    assert (done.document["visit"]["user"], done.document["error"]["code"]) == ("ada", "no_chat_box")


@pytest.mark.parametrize("more", [("--import", "cookies.txt"), ("--share",)])
def test_a_check_keeps_nothing_so_other_options_are_wrong_usage(
    more: tuple[str, ...], run: Run, site: DemoSite
) -> None:
    done = run("login", "--check", "--site", site.page("wpaicg/"), *more)
    assert (done.code, done.out) == (2, "")
    assert "--check keeps nothing" in done.err


def test_a_visit_without_a_login_does_not_take_a_members_place(
    run: Run, site: DemoSite, cookies: Path, tmp_path: Path, state_dir: Path
) -> None:
    page, file = site.page("wpaicg/"), tmp_path / "guest.txt"
    file.write_bytes(cookies_txt(("127.0.0.1", "FALSE", "/", "FALSE", "0", "a", "b")))
    run("login", "--site", page, "--import", str(cookies))
    before = kept(state_dir, page)
    done = run("login", "--site", page, "--import", str(file))
    assert (done.code, kept(state_dir, page)) == (2, before)
    assert "the one of 'ada'" in done.err
    assert "chatgptt logout" in done.err
    run("logout", "--site", page)
    assert run("login", "--site", page, "--import", str(file)).code == 0


def test_a_check_of_a_file_that_others_can_write_says_what_helps(
    run: Run, site: DemoSite, cookies: Path, state_dir: Path
) -> None:
    page = site.page("wpaicg/")
    run("login", "--site", page, "--import", str(cookies))
    visit = kept(state_dir, page)
    assert visit is not None
    path_of_visit(state_dir, visit.site).chmod(0o666)
    done = run("login", "--check", "--site", page)
    assert done.code == 2
    assert "chatgptt logout" in done.err
    keep_visit(state_dir, visit)
    assert run("login", "--check", "--site", page).code == 0


# Without a window


def test_a_machine_without_a_display_says_two_ways(
    run: Run, site: DemoSite, monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    done = run("login", "--site", site.page("wpaicg/"))
    assert done.code == 1
    assert "ssh -X" in done.err
    assert f"chatgptt login --site {site.page('wpaicg/')} --import FILE" in " ".join(done.err.split())
    assert kept(state_dir, site.page("wpaicg/")) is None


def test_a_headless_shell_has_no_window_to_show(
    run: Run, site: DemoSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shell = tmp_path / "chromium-headless-shell"
    shell.write_text("#!/bin/sh\n")
    shell.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(shell))
    monkeypatch.setenv("DISPLAY", ":0")
    done = run("login", "--site", site.page("wpaicg/"), "--json")
    assert (done.code, done.error["code"]) == (1, "browser_missing")
    assert "--import FILE" in str(done.error["hint"])
    assert "headless shell" in str(done.error["hint"])


def test_a_folder_that_cannot_be_used_is_told_before_a_person_begins(
    run: Run, site: DemoSite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "file"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    done = run("login", "--site", site.page("wpaicg/"))
    assert done.code == 2
    assert f"the visit in {tmp_path / 'file'} cannot be used" in done.err
