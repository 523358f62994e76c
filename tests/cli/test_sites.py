"""Named sites at the command line: the commands that change them, and the others that take a name."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.commands import Run

from chatgptt.demo import DemoSite
from chatgptt.sites.file import read_sites


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the environment, which does not exist yet."""
    path = tmp_path / "named" / "sites.toml"
    path.parent.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("CHATGPTT_SITES", str(path))
    return path


# The commands


def test_a_site_is_added_listed_and_removed(file: Path, site: DemoSite, run: Run) -> None:
    page = site.page("wpaicg/many/")
    done = run("sites", "add", "shop", page, "--bot", "5", "--level", "page")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"page: {page}"
    assert lines[-1] == f"added shop to {file}"
    assert run("sites").out == f"shop  {page}  bot 5  never checked\n"
    assert run("health-check", "shop").code == 0
    assert run("sites").out.startswith(f"shop  {page}  bot 5  ok, 20")
    done = run("sites", "remove", "shop")
    assert (done.code, done.out) == (0, f"removed shop from {file}\n")
    done = run("sites")
    assert (done.code, done.out) == (0, "")
    assert "chatgptt sites add NAME URL" in done.err


def test_each_prints_one_json_document(file: Path, site: DemoSite, run: Run) -> None:
    page = site.page("aipkit/")
    added = run("sites", "add", "shop", page, "--json").document
    boxes = added.pop("boxes")
    assert added == {"file": str(file), "name": "shop", "page": page}
    assert isinstance(boxes, list)
    assert [box["protocol"] for box in boxes] == ["aipkit"]
    run("health-check", "--level", "page", "shop")
    listed = run("sites", "--json").document
    (shown,) = listed["sites"] if isinstance(listed["sites"], list) else []
    assert list(shown) == ["name", "page", "bot", "verdict", "summary", "checked_at"]
    assert (listed["file"], shown["name"], shown["page"], shown["bot"]) == (str(file), "shop", page, None)
    assert shown["verdict"] == "ok"
    assert run("sites", "remove", "shop", "--json").document == {"file": str(file), "name": "shop"}


def test_a_page_without_a_box_is_not_added(file: Path, site: DemoSite, run: Run) -> None:
    page = site.page("wpaicg/nochat/")
    done = run("sites", "add", "shop", page)
    assert (done.code, done.out) == (1, "")
    assert "--no-check" in done.err
    assert not file.exists()
    done = run("sites", "add", "shop", page, "--no-check")
    assert (done.code, done.out) == (0, f"added shop to {file}\n")
    assert [named.url for named in read_sites(file)] == [page]


@pytest.mark.parametrize(
    "words",
    [
        ("a.b", "https://x.example"),
        ("shop", "shop"),
        ("shop", "ftp://x.example"),
        ("shop", "https://x.example", "--timeout", "0"),
        ("shop", "https://x.example", "--expect", "("),
        ("shop", "https://x.example", "--level", "deep"),
    ],
)
def test_what_cannot_work_is_wrong_usage_before_anything_is_asked(
    words: tuple[str, ...], file: Path, run: Run
) -> None:
    assert run("sites", "add", *words).code == 2
    assert not file.exists()


def test_a_name_is_added_once_and_removed_where_it_is(file: Path, run: Run) -> None:
    assert run("sites", "add", "--no-check", "shop", "https://x.example").code == 0
    assert "already" in run("sites", "add", "--no-check", "shop", "https://y.example").err
    done = run("sites", "remove", "shpo")
    assert done.code == 2
    assert "the named sites are: shop" in done.err


def test_an_option_names_another_file(file: Path, tmp_path: Path, run: Run) -> None:
    other = tmp_path / "other.toml"
    assert run("sites", "add", "--no-check", "--sites", str(other), "shop", "https://x.example").code == 0
    assert run("sites", "--sites", str(other), "add", "--no-check", "blog", "https://y.example").code == 0
    assert [named.name for named in read_sites(other)] == ["shop", "blog"]
    assert len(run("sites", "--sites", str(other)).out.splitlines()) == 2
    assert not file.exists()


def test_json_and_verbose_may_stand_before_the_command(file: Path, site: DemoSite, run: Run) -> None:
    page = site.page("wpaicg/")
    done = run("sites", "-vv", "add", "shop", page)
    assert done.code == 0
    assert "GET" in done.err
    assert run("sites", "--json", "add", "--no-check", "blog", page).document["name"] == "blog"
    assert run("sites", "--json", "add", "--no-check", "blog", page).error["code"] == "invalid_input"
    assert run("sites", "--json", "remove", "blog").document == {"file": str(file), "name": "blog"}


def test_a_login_is_in_the_file_and_in_no_output(file: Path, run: Run) -> None:
    address = "https://me:geheim@x.example/"
    shown = [run("sites", "add", "--no-check", "shop", address, "--proxy", "http://me:geheim@p.example")]
    shown += [run("sites"), run("sites", "--json"), run("sites", "remove", "shop", "--json")]
    assert all(done.code == 0 for done in shown)
    assert not any("geheim" in done.out + done.err for done in shown)


# The other commands


@pytest.fixture
def named(file: Path, site: DemoSite) -> str:
    """A site's name."""
    file.write_text(f'[shop]\nurl = "{site.page("wpaicg/many/")}"\nbot = "5"\nstrategy = "static"\n')
    return "shop"


def test_ask_takes_a_name(named: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("ask", "--json", "--site", named, "Hello").document["bot_id"] == 5
    assert run("ask", "--json", "--site", named, "--bot", "0", "Hello").document["bot_id"] == 0
    monkeypatch.setenv("CHATGPTT_SITE", named)
    assert run("ask", "--json", "Hello").document["bot_id"] == 5


def test_an_option_goes_before_the_environment(
    named: str, site: DemoSite, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", named)
    page = site.page("aipkit/")
    assert run("ask", "--json", "--site", page, "Hello").document["page"] == page


def test_the_file_goes_before_the_defaults_and_options_before_the_file(
    file: Path, site: DemoSite, run: Run
) -> None:
    file.write_text(f'[shop]\nurl = "{site.page("wpaicg/")}"\ntimeout = 0.00001\n')
    assert run("ask", "--json", "--site", "shop", "Hello").error["code"] == "timeout"
    assert run("ask", "--site", "shop", "--timeout", "60", "Hello").code == 0


def test_all_commands_of_a_page_take_a_name(named: str, site: DemoSite, tmp_path: Path, run: Run) -> None:
    page = site.page("wpaicg/many/")
    assert run("inspect", "--json", "--site", named).document["page"] == page
    assert "made up by the demo" in run("chat", "--site", named, stdin=b"Hello\n").out
    case = tmp_path / "case"
    assert run("record", "--site", named, "-m", "Hello", "-o", str(case)).code == 0
    assert run("record", "--site", named, "--check", str(case)).code == 0


def test_names_come_from_another_file(named: str, file: Path, tmp_path: Path, run: Run) -> None:
    other = file.rename(tmp_path / "other.toml")
    assert run("ask", "--sites", str(other), "--site", named, "Hello").code == 0
    done = run("ask", "--site", named, "Hello")
    assert done.code == 2
    assert str(file) in done.err


def test_an_unknown_name_is_wrong_usage_that_lists_the_known(named: str, run: Run) -> None:
    done = run("ask", "--json", "--site", "shpo", "Hello")
    assert (done.code, done.error["code"]) == (2, "invalid_input")
    assert "the named sites are: shop" in str(done.error["message"])


def test_a_demo_needs_no_name(named: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", "unknown")
    assert run("ask", "--demo", "Hello").code == 0
    assert run("inspect", "--demo").code == 0
