"""`chatgptt health-check`: which sites, which exit code, what is printed, and how it goes on over time."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from cli.commands import COMMAND, Run, interrupt, on_terminal, read_until, started
from faults import closed_port
from health.samples import CRITICAL, OK

from chatgptt.cli.health_check import HealthOptions
from chatgptt.cli.health_rounds import run_checks
from chatgptt.demo import DemoSite
from chatgptt.health.history import FILE_NAME, History
from chatgptt.sites.named import NamedSite

STATIC = ("health-check", "--strategy", "static")


def state() -> Path:
    from chatgptt.state.folder import default_folder

    return default_folder()


@pytest.mark.parametrize(
    ("page", "options", "code"),
    [
        ("wpaicg/", (), 0),
        ("aipkit/", ("--level", "tokens"), 0),
        ("wpaicg/", ("--warn", "0.000001"), 1),
        ("status/404/", (), 2),
        ("wpaicg/", ("--message", "QUOTA"), 2),
        ("wpaicg/", ("--expect", "^never$"), 2),
        ("scripted/", ("--strategy", "browser"), 3),
    ],
)
def test_the_exit_code_is_the_verdicts(
    page: str, options: tuple[str, ...], code: int, demo: DemoSite, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_BROWSER", "/nowhere/chromium")
    done = run(*STATIC, *options, demo.page(page), "--json")
    assert done.code == code
    assert done.document["verdict"] == ["ok", "warning", "critical", "unknown"][code]


@pytest.mark.parametrize(
    "options",
    [
        ("--bogus",),
        ("--format", "yaml"),
        ("--timeout", "0"),
        ("--timeout", "soon"),
        ("--expect", "("),
        ("--watch", "0"),
        ("--failures", "0"),
        ("--days", "0"),
        ("--ping-url", "no url"),
        ("--sites", "/nowhere/sites.toml"),
        ("--history", "--format", "junit"),
        ("--message", " "),
        ("ftp://x.example/",),
        ("--proxy", "nonsense://x"),
        ("--output", "/nowhere/x", "http://127.0.0.1:9/"),
        ("--output", "", "http://127.0.0.1:9/"),
        ("--output", "/", "http://127.0.0.1:9/"),
        ("--screenshot", "/nowhere/x.png", "http://127.0.0.1:9/"),
        ("--proxy", "nonsense://x", "--ping-url", "http://127.0.0.1:9/"),
    ],
)
def test_a_call_that_cannot_work_is_unknown(options: tuple[str, ...], run: Run) -> None:
    done = run("health-check", *options, "--site", "http://127.0.0.1:9/")
    assert done.code == 3, done
    assert done.err or "UNKNOWN" in done.out


def test_what_was_not_checked_says_why(run: Run) -> None:
    assert "not checked: cannot ask a page over 'ftp'" in run("health-check", "ftp://x.example/").out


def test_an_error_is_one_json_document_where_json_is_asked_for(run: Run) -> None:
    done = run("health-check", "--json", "--expect", "(")
    assert (done.code, done.error["code"]) == (3, "invalid_input")


def test_people_see_a_table_with_the_hint(demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--site", demo.page("wpaicg/nochat/"))
    assert done.out.startswith(f"CRITICAL  {demo.page('wpaicg/nochat/')}\n")
    assert re.search(r"^box +fail +[\d.]+ s  no_chat_box: ", done.out, re.M)
    assert len(done.out.splitlines()) == 12  # each phase is one line, however long
    assert "hint: " in done.out
    assert "\x1b" not in done.out
    assert not re.search(r" $", done.out, re.M)


def test_a_refusal_is_named_once(demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--site", demo.page("aipkit/guests-disabled/"))
    assert re.search(r"^message +fail +[\d.]+ s  refused \(guests_disabled\): ", done.out, re.M)


def test_words_of_a_site_do_not_reach_the_terminal_raw(demo: DemoSite) -> None:
    with on_terminal(*STATIC, "--message", "CONTROL", "--expect", "never", demo.page("wpaicg/")) as terminal:
        assert terminal.wait_for_end() == 2
    assert "\x1b]0;" not in terminal.seen
    assert "\x1b[1;31m" in terminal.seen  # our own colour


def test_several_sites_are_checked_side_by_side_and_the_worst_counts(demo: DemoSite, run: Run) -> None:
    pages = [demo.page(path) for path in ("wpaicg/", "challenge/cloudflare/", "aipkit/")]
    done = run(*STATIC, "--json", *pages)
    reports = json.loads(done.out)
    assert [report["site"] for report in reports] == pages
    assert [report["verdict"] for report in reports] == ["ok", "critical", "ok"]
    assert done.code == 2


def test_a_bad_address_among_good_ones_spoils_nothing(demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--json", demo.page("wpaicg/"), "ftp://user:secret@x.example/")
    assert done.code == 3
    assert [report["verdict"] for report in json.loads(done.out)] == ["ok", "unknown"]
    assert "secret" not in done.out


def test_a_table_of_several_sites_says_the_code_of_a_failure_once(demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--message", "QUOTA", demo.page("wpaicg/"), demo.page("status/404/"))
    refused, failed, *_ = (line for line in done.out.splitlines() if " critical " in line)
    assert "s  message: refused (quota): " in refused
    assert "s  http_error: page: " in failed


def test_several_sites_are_a_live_table_on_a_terminal(demo: DemoSite) -> None:
    with on_terminal(*STATIC, demo.page("wpaicg/"), demo.page("aipkit/")) as terminal:
        assert terminal.wait_for_end() == 0
    assert terminal.seen.count("what was seen") >= 2
    assert "..." in terminal.seen


def screen_of(seen: str) -> list[str]:
    """The lines that a terminal shows at the end, by the control sequences that a live table uses."""
    lines, row, column = [""], 0, 0
    for code, text in re.findall(r"(\x1b\[[?0-9;]*[A-Za-z]|[\r\n])|([^\x1b\r\n]+)", seen):
        if text:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + text + line[column + len(text) :]
            column += len(text)
        elif code == "\r":
            column = 0
        elif code == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif code.endswith("A"):
            row = max(0, row - int(code[2:-1] or 1))
        elif code.endswith("K"):
            lines[row] = ""
    return [line.rstrip() for line in lines]


@pytest.mark.parametrize("option", ["-v", "-vv", "CHATGPTT_LOG=debug"])
def test_what_is_logged_stands_above_a_live_table(
    option: str, demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _, value = option.partition("=")
    if value:
        monkeypatch.setenv(name, value)
    pages = [demo.page(path) for path in ("wpaicg/", "status/503/", "aipkit/", "busy/")]
    with on_terminal(*STATIC, *([] if value else [option]), *pages) as terminal:
        terminal.wait_for_end()
    shown = screen_of(terminal.seen)
    logged = [line for line in shown if "chatgptt." in line]
    assert logged
    assert all(line.startswith("chatgptt.") for line in logged), shown
    assert sum("what was seen" in line for line in shown) == 1, shown
    assert not any(line.endswith("...") for line in shown), shown


def test_what_is_logged_to_a_file_stays_out_of_a_live_table(demo: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "log"
    command = [*COMMAND, *STATIC, "-vv", demo.page("wpaicg/"), demo.page("aipkit/")]
    script = " ".join(map(shlex.quote, command)) + f" 2>{shlex.quote(str(file))}"
    with on_terminal("-c", script, command=("sh",)) as terminal:
        terminal.wait_for_end()
    assert "chatgptt." not in terminal.seen
    assert "chatgptt." in file.read_text()


def test_sites_come_from_a_file(demo: DemoSite, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(
        f"""
        [shop]
        url = "{demo.page("wpaicg/many/")}"
        bot = 5
        expect = "made up"
        warn = 60

        [blog]
        url = "{demo.page("aipkit/")}"
        level = "tokens"
        """
    )
    done = run(*STATIC, "--json", "--sites", str(file), demo.page("wpaicg/"))
    reports = json.loads(done.out)
    assert done.code == 0
    assert len(reports) == 3
    assert "bot 5" in reports[0]["phases"][4]["detail"]
    assert reports[1]["phases"][6]["detail"] == "not part of level tokens"
    assert len(demo.messages) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no sites"),
        ("x = [", "cannot read"),
        ('url = "https://x.example"', "outside of a site's table"),
        ("[a]\nbot = 3", "no url"),
        ("#" * 2_000_000, "too large"),
        ('[a]\nurl = "https://x.example"\nlevle = "page"', "unknown option 'levle'"),
        ('[a]\nurl = "https://x.example"\nwarn = "5"', "warn cannot be '5'"),
        ('[a]\nurl = "https://x.example"\nwarn = true', "warn cannot be True"),
        ('[a]\nurl = "https://x.example"\nproxy = ["http://me:geheim@x:1"]', "proxy cannot be a list"),
        ('[a]\nurl = "https://x.example"\nproxy = {url = "http://me:geheim@x"}', "proxy cannot be a dict"),
        ('[a]\nurl = "https://x.example"\nwarn = "http://me:geheim@x:1"', "warn cannot be 'http://x:1'"),
        ('["https://me:geheim@x.example"]\nbot = 3', "[https://x.example]: no url"),
        ('[a]\nurl = "https://x.example"\n"http://me:geheim@x" = 1', "unknown option 'http://x'"),
        ('[a]\nurl = "https://x.example"\nwarn = -1', "[a]: timeout and warn"),
        ('[a]\nurl = "https://x.example"\nlevel = "deep"', "unknown level 'deep'"),
        ('[a]\nurl = "https://x.example"\nlevel = "http://me:geheim@x"', "unknown level 'http://x'"),
        ('[a]\nurl = "https://x.example"\nstrategy = "magic"', "unknown strategy 'magic'"),
        ('[a]\nurl = "https://x.example"\nstrategy = "http://me:geheim@x"', "unknown strategy 'http://x'"),
    ],
)
def test_mistakes_in_the_file_are_named(text: str, words: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "sites.toml").write_text(text)
    done = run("health-check", "--sites", str(tmp_path / "sites.toml"))
    assert done.code == 3
    assert words in done.err


@pytest.mark.parametrize("form", ["text", "json", "nagios", "prometheus", "junit"])
def test_output_replaces_a_file_in_one_step(form: str, demo: DemoSite, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_text("old")
    with file.open() as reader:
        done = run(*STATIC, "--format", form, "--output", str(file), demo.page("wpaicg/"))
        assert reader.read() == "old"  # who has it open keeps the whole old one
    assert (done.code, done.out) == (0, "")
    assert demo.page("wpaicg/") in file.read_text()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_output_keeps_a_link_and_refuses_a_pipe(demo: DemoSite, run: Run, tmp_path: Path) -> None:
    file, link, pipe = tmp_path / "out", tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(file)
    os.mkfifo(pipe)
    page = demo.page("wpaicg/")
    assert run(*STATIC, "--level", "page", "--output", str(link), page).code == 0
    assert link.is_symlink()
    assert page in file.read_text()
    demo.clear()
    done = run(*STATIC, "--level", "page", "--output", str(pipe), page)
    assert (done.code, done.out) == (3, "")
    assert "no regular file" in done.err
    assert demo.requests == []


def test_junit_output_is_xml(demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--format", "junit", demo.page("never/"))
    assert ElementTree.fromstring(done.out.encode()).find(".//failure") is not None


def test_a_history_is_shown(demo: DemoSite, run: Run) -> None:
    for path in ("wpaicg/", "status/404/"):
        run(*STATIC, demo.page(path))
    done = run("health-check", "--history")
    assert done.code == 0
    assert f"OK        {demo.page('wpaicg/')}" in done.out
    assert "incident" in done.out
    assert "whole check" in done.out
    one = json.loads(run("health-check", "--history", "--json", demo.page("wpaicg/")).out)
    assert [(trend["site"], trend["availability"], trend["checks"]) for trend in one] == [
        (demo.page("wpaicg/"), 1.0, 1)
    ]
    assert demo.requests[-1].path == "/status/404/"


def test_an_empty_history_says_so(run: Run) -> None:
    assert run("health-check", "--history").out == "no checks in the last 30 days\n"


@pytest.mark.parametrize("days", ["1e9", "inf"])
def test_a_history_goes_back_as_far_as_one_likes(days: str, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert run("health-check", "--history", "--days", days, "--report", str(file)).code == 0
    assert "No checks yet" in file.read_text()


def test_a_report_is_written_after_the_check(demo: DemoSite, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert run(*STATIC, "--report", str(file), demo.page("wpaicg/")).code == 0
    text = file.read_text()
    assert demo.page("wpaicg/") in text
    assert "1 check" in text


def test_a_report_is_written_of_the_history_alone(run: Run, tmp_path: Path) -> None:
    History(state()).add([replace(OK, checked_at=time.time() - 60)])
    file = tmp_path / "report.html"
    assert run("health-check", "--history", "--report", str(file)).code == 0
    assert "shop.example" in file.read_text()


# Over time


class Enough(BaseException):
    """The test has seen what it wanted; an Exception would be taken for a fault of the command."""


def watching(rounds: int, form: str = "json", **options: object) -> None:
    """Runs a watch for so many rounds, its waits being none."""
    waits: list[float] = []
    given = NamedSite(strategy="static")

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == rounds:
            raise Enough

    with pytest.raises(Enough):
        run_checks(HealthOptions(given=given, watch=60.0, format=form, **options), sleep)  # type: ignore[arg-type]
    assert all(0 < wait <= 66 for wait in waits)
    assert len(set(waits)) == len(waits)


def test_a_watch_warns_of_a_blip_and_reports_what_lasts(
    demo: DemoSite, capfd: pytest.CaptureFixture[str]
) -> None:
    watching(3, urls=(demo.page("never/"),))
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["verdict"] for line in lines] == ["warning", "critical", "critical"]
    assert len(History(state()).read(demo.page("never/"), 0.0)) == 3


def test_each_round_of_a_watch_begins_with_its_time(
    demo: DemoSite, capfd: pytest.CaptureFixture[str]
) -> None:
    watching(2, form="text", urls=(demo.page("wpaicg/"),))
    out = capfd.readouterr().out
    assert len(re.findall(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\nOK        http", out, re.M)) == 2


def test_a_page_that_is_watched_twice_fails_once_a_round(
    demo: DemoSite, capfd: pytest.CaptureFixture[str]
) -> None:
    watching(2, urls=(demo.page("never/"), demo.page("never/")))
    rounds = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [[report["verdict"] for report in reports] for reports in rounds] == [
        ["warning", "warning"],
        ["critical", "critical"],
    ]


def test_a_watch_forgets_a_failure_that_passed(demo: DemoSite, capfd: pytest.CaptureFixture[str]) -> None:
    watching(4, urls=(demo.page("wpaicg/quota/"),), failures=2)
    verdicts = [json.loads(line)["verdict"] for line in capfd.readouterr().out.splitlines()]
    assert verdicts == ["ok", "ok", "warning", "critical"]


def test_failures_in_a_row_count_over_the_history_too(demo: DemoSite, run: Run) -> None:
    codes = [run(*STATIC, "--failures", "3", demo.page("never/")).code for _ in range(4)]
    assert codes == [1, 1, 2, 2]


def test_a_failure_that_is_to_come_first_says_so(demo: DemoSite, run: Run) -> None:
    assert "(failure 1 of 2 before it counts)" in run(*STATIC, "--failures", "2", demo.page("never/")).out


def test_failures_count_at_once_where_no_history_can_be_kept(demo: DemoSite, run: Run) -> None:
    (state() / FILE_NAME).mkdir(parents=True)
    assert run(*STATIC, "--failures", "2", demo.page("never/")).code == 2


def test_ctrl_c_ends_a_watch_cleanly(demo: DemoSite) -> None:
    with started(*STATIC, "--watch", "3600", "--json", demo.page("wpaicg/")) as process:
        read_until(process, b"\n")
        code, _, err = interrupt(process)
    assert code == 130
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("page", "path"), [("wpaicg/", "/status/404/ping"), ("never/", "/status/404/ping/fail")]
)
def test_a_dead_mans_switch_is_called(page: str, path: str, demo: DemoSite, run: Run) -> None:
    done = run(*STATIC, "--ping-url", demo.page("status/404/ping?x=1"), demo.page(page))
    assert (demo.requests[-1].path, demo.requests[-1].params) == (path, {"x": "1"})
    assert "HTTP 404" in done.err
    assert "ping" not in done.err  # the path is its owner's secret
    assert done.code == (0 if page == "wpaicg/" else 2)


def test_a_switch_that_is_out_of_reach_changes_no_verdict(
    demo: DemoSite, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    options = HealthOptions(urls=(demo.page("wpaicg/"),), ping_url=f"http://127.0.0.1:{closed_port()}/secret")
    assert run_checks(options, sleep) == 0
    assert waits == [1.0, 2.0]


def test_fifty_sites_at_once(demo: DemoSite, run: Run, tmp_path: Path) -> None:
    pages = ["wpaicg/", "aipkit/", "wpaicg/json/", "aipkit/popup/", "never/"]
    tables = [f'[site{n}]\nurl = "{demo.page(pages[n % 5])}?n={n}"\n' for n in range(50)]
    (tmp_path / "sites.toml").write_text("".join(tables))
    done = run(*STATIC, "--json", "--sites", str(tmp_path / "sites.toml"))
    reports = json.loads(done.out)
    assert [report["verdict"] for report in reports] == (["ok"] * 4 + ["critical"]) * 10
    assert len(History(state()).sites()) == 50


def test_a_critical_sample_is_critical_for_nagios(run: Run) -> None:
    History(state()).add([replace(CRITICAL, checked_at=time.time())])
    done = run("health-check", "--history")
    assert done.out.startswith("CRITICAL")
    assert "\x1b" not in done.out


@pytest.fixture
def named_sites(demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "named.toml"
    file.write_text(
        f'[shop]\nurl = "{demo.page("wpaicg/")}"\nlevel = "page"\n'
        f'[blog]\nurl = "{demo.page("aipkit/")}"\nlevel = "page"\n'
    )
    monkeypatch.setenv("CHATGPTT_SITES", str(file))
    return file


def test_without_arguments_all_named_sites_are_checked(named_sites: Path, run: Run) -> None:
    reports = json.loads(run(*STATIC, "--json").out)
    assert [(report["name"], report["verdict"]) for report in reports] == [("shop", "ok"), ("blog", "ok")]


@pytest.mark.parametrize("options", [("blog",), ("--site", "blog"), ("--sites", "FILE", "blog")])
def test_a_name_chooses_a_site(options: tuple[str, ...], named_sites: Path, run: Run) -> None:
    done = run(*STATIC, "--json", *(str(named_sites) if word == "FILE" else word for word in options))
    assert (done.document["name"], done.document["verdict"]) == ("blog", "ok")


@pytest.mark.parametrize("site", ["blog", "unknown", "https://x.example"])
def test_the_environment_chooses_no_site_of_a_file_that_an_option_names(
    site: str, named_sites: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", site)
    reports = json.loads(run(*STATIC, "--json", "--sites", str(named_sites)).out)
    assert [report["name"] for report in reports] == ["shop", "blog"]


def test_a_page_given_by_its_address_has_no_name(named_sites: Path, demo: DemoSite, run: Run) -> None:
    page = demo.page("aipkit/")
    done = run(*STATIC, "--json", "--level", "page", page)
    assert (done.document["site"], done.document["name"]) == (page, None)


def test_names_stand_in_text_history_and_report(
    named_sites: Path, demo: DemoSite, run: Run, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"
    shop = demo.page("wpaicg/")
    assert run(*STATIC, "shop").out.startswith(f"OK        shop ({shop})\n")
    several = run(*STATIC, "--report", str(report)).out
    assert re.search(r"^shop +ok .*\nblog +ok ", several, re.M)
    history = run("health-check", "--history").out
    assert f"OK        shop, {shop} (level page)\n" in history
    assert f"\n\nOK        shop, {shop}" in history  # the sites stand apart
    named = [trend["name"] for trend in json.loads(run("health-check", "--history", "--json").out)]
    assert named == ["blog", "shop"]
    assert f'shop <span class="faint">{shop}</span>' in report.read_text()


def test_a_watch_at_a_terminal_shows_names_and_the_time_of_each_round(named_sites: Path) -> None:
    with on_terminal(*STATIC, "--watch", "3600", "shop", "blog") as terminal:
        terminal.wait_for(r"UTC(.|\n)*shop +\S*ok(.|\n)*blog +\S*ok")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.wait_for_end() == 130
    assert "127.0.0.1" not in terminal.seen


def test_the_report_has_the_hint_in_options(demo: DemoSite, run: Run, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    hint = "allow more time with timeout=, or take bot= for another"
    History(state()).add([replace(CRITICAL, checked_at=time.time(), hint=hint)])
    run("health-check", "--history", "--report", str(report))
    assert "What to do: allow more time with --timeout, or take --bot for another" in report.read_text()


def test_an_option_goes_before_the_file(named_sites: Path, demo: DemoSite, run: Run) -> None:
    assert run(*STATIC, "--level", "full", "blog").code == 0
    assert len(demo.messages) == 1


def test_an_unknown_name_is_unknown(named_sites: Path, run: Run) -> None:
    done = run("health-check", "--json", "shpo")
    assert (done.code, done.error["code"]) == (3, "invalid_input")
    assert "shop, blog" in str(done.error["message"])
