"""The history of checks: whatever is wrong with its file, the check is made, and that is said once."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asking import client_of
from cli.commands import Done, Run
from health.samples import CRITICAL, NOON, OK
from state.places import (
    DAMAGE,
    IS_ROOT,
    NO_FILES,
    damage,
    give_away,
    in_place_of,
    prints_of,
    run_limited,
    take_back,
)

from chatgptt import AsyncClient
from chatgptt._models import Level
from chatgptt.cli import health_rounds
from chatgptt.cli.health_check import HealthOptions
from chatgptt.cli.health_rounds import run_checks
from chatgptt.demo import DemoSite
from chatgptt.health.history import _SCHEMA, FILE_NAME, History, Remembered
from chatgptt.health.html_report import report_page
from chatgptt.health.report import HealthReport
from chatgptt.health.trends import current_trends, group_by_scope, read_trend
from chatgptt.sites.named import NamedSite

YEAR = 365 * 86_400.0
SITE = OK.site
CHECK = ("health-check", "--strategy", "static", "--level", "page", "--json")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "place" / "state"
    folder.parent.mkdir()
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(folder))
    yield folder
    for path in (folder, folder / FILE_NAME):
        take_back(path)


def assert_checked(done: Done) -> None:
    assert done.code == 0, done
    assert done.document["verdict"] == "ok"


def at(minutes: float, report: HealthReport = OK, **changes: object) -> HealthReport:
    moved = replace(report, site=SITE, checked_at=NOON + 60 * minutes)
    return replace(moved, **changes)  # type: ignore[arg-type]


# The folder, for checks and tokens together


@pytest.mark.parametrize("trouble", ["a file", "somebody else's"])
def test_a_folder_that_cannot_be_used_is_said_once_for_tokens_and_checks_of_all_sites(
    trouble: str, state: Path, demo: DemoSite, run: Run
) -> None:
    if trouble == "a file":
        state.write_text("mine")
    else:
        state.mkdir()
        state.chmod(0o777)
        give_away(state)
    done = run(
        "health-check", "--json", demo.page("wpaicg/"), demo.page("aipkit/"), demo.page("wpaicg/json/")
    )
    assert done.code == 0
    assert [report["verdict"] for report in json.loads(done.out)] == ["ok"] * 3
    (line,) = done.err.splitlines()
    assert str(state) in line
    assert "CHATGPTT_STATE_DIR" in line


def test_a_watch_says_it_once(state: Path, demo: DemoSite, capfd: pytest.CaptureFixture[str]) -> None:
    state.write_text("mine")
    rounds = watched(4, urls=(demo.page("wpaicg/"), demo.page("aipkit/")), level="page")
    assert rounds == 4
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.anyio
async def test_a_client_that_goes_on_checking_says_it_once(
    tmp_path: Path, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE_NAME).mkdir()
    async with client_of(demo.page("wpaicg/"), state_dir=tmp_path) as client:
        for _ in range(3):
            assert (await client.health_check("page")).verdict == "ok"
    assert len(caplog.messages) == 1


@pytest.mark.anyio
async def test_a_folder_that_is_deleted_between_two_checks_is_made_again(
    tmp_path: Path, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    async with client_of(demo.page("wpaicg/"), state_dir=state) as client:
        await client.health_check("page")
        shutil.rmtree(state)
        await client.health_check("page")
    assert len(History(state).read(demo.page("wpaicg/"), 0.0)) == 1
    assert caplog.messages == []


# The file


@pytest.mark.parametrize("what", NO_FILES)
def test_what_is_no_history_of_ours_is_left_alone_and_said_once(
    what: str, state: Path, demo: DemoSite, run: Run
) -> None:
    run(*CHECK, demo.page("wpaicg/"))
    in_place_of(what)(state / FILE_NAME)
    before = prints_of(state) if IS_ROOT or what != "somebody else's file" else []
    for _ in range(2):
        done = run(*CHECK, demo.page("wpaicg/"))
        assert_checked(done)
        (line,) = done.err.splitlines()
        assert FILE_NAME in line
    if before:
        assert prints_of(state) == before
    assert run("health-check", "--history").out == "no checks in the last 30 days\n"


def test_a_later_versions_history_is_left_alone_and_said_once(state: Path, demo: DemoSite, run: Run) -> None:
    run(*CHECK, demo.page("wpaicg/"))
    with sqlite3.connect(state / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = prints_of(state)
    done = run(*CHECK, demo.page("wpaicg/"), demo.page("wpaicg/json/"))
    assert done.code == 0
    (line,) = done.err.splitlines()
    assert "later version" in line
    assert prints_of(state) == before


@pytest.mark.parametrize("data", [data for name, data in DAMAGE.items() if name not in ("empty", "a byte")])
def test_a_damaged_history_is_put_aside_and_that_is_said(
    data: bytes | None, state: Path, demo: DemoSite, run: Run
) -> None:
    History(state).add([at(minute) for minute in range(200)])
    damage(state / FILE_NAME, data)
    damaged = (state / FILE_NAME).read_bytes()
    done = run(*CHECK, demo.page("wpaicg/"))
    assert_checked(done)
    (line,) = done.err.splitlines()
    assert "damaged" in line
    assert (state / f"{FILE_NAME}.damaged").read_bytes() == damaged
    assert len(History(state).read(demo.page("wpaicg/"), 0.0)) == 1


@pytest.mark.parametrize("file_bytes", [0, 1, 4096, 10_000])
def test_a_full_disk_costs_the_history_and_no_check(file_bytes: int, state: Path, demo: DemoSite) -> None:
    History(state).add([OK])
    before = (state / FILE_NAME).read_bytes()
    done = run_limited(*CHECK, demo.page("wpaicg/"), file_bytes=file_bytes)
    assert_checked(done)
    assert len(done.err.splitlines()) == 1
    assert (state / FILE_NAME).read_bytes() == before
    assert len(History(state).read(SITE, 0.0)) == 1


def test_words_that_are_no_text_spoil_no_other_row(tmp_path: Path) -> None:
    History(tmp_path).add([at(0), at(1)])
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE checks SET summary = CAST(X'ff41' AS TEXT) WHERE id = 1")
    database.close()
    assert [check.summary for check in History(tmp_path).read(SITE, 0.0)] == ["\ufffdA", OK.summary]


def test_only_its_owner_reads_what_is_kept_of_checks(state: Path, demo: DemoSite, run: Run) -> None:
    run("health-check", demo.page("wpaicg/"))
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert state.stat().st_mode & 0o777 == 0o700


# The clock


def test_after_the_clock_was_set_back_the_last_check_is_the_one_made_last(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add([at(0)])
    history.add([replace(at(0, CRITICAL), checked_at=NOON - YEAR)])
    assert history.failures_in_a_row(SITE, "full") == 1
    assert not history.is_working(SITE)
    history.add([replace(at(0), checked_at=NOON - YEAR + 60, protocol="aipkit")])
    assert history.is_working(SITE)
    assert history.recall(SITE, 0.0).protocol == "aipkit"


def test_checks_from_the_future_are_not_shown(state: Path, run: Run) -> None:
    History(state).add([replace(CRITICAL, site=SITE, checked_at=4e9)])
    assert run("health-check", "--history").out == "no checks in the last 30 days\n"


# Like is compared with like


def test_a_trend_is_of_one_level_and_one_bot(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(
        [at(0), at(1, CRITICAL, level="tokens"), at(2, CRITICAL, bot="5"), at(3), at(4, level="page")]
    )
    trends = [read_trend(checks) for checks in group_by_scope(history.read(SITE, 0.0))]
    assert [(trend.scope, trend.checks, trend.availability) for trend in trends] == [
        ("level full", 2, 1.0),
        ("level full, bot 5", 1, 0.0),
        ("level tokens", 1, 0.0),
        ("level page", 1, 1.0),
    ]
    assert [len(trend.incidents) for trend in trends] == [0, 1, 1, 0]
    assert [(trend.as_dict()["level"], trend.as_dict()["bot"]) for trend in trends[:2]] == [
        ("full", ""),
        ("full", "5"),
    ]


def test_failures_and_rungs_are_those_of_the_same_bot(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add([at(0, CRITICAL, bot="5"), at(1, bot="6", rung="script"), at(2, CRITICAL, bot="5")])
    assert history.failures_in_a_row(SITE, "full", "5") == 2
    assert history.failures_in_a_row(SITE, "full", "6") == 0
    assert history.failures_in_a_row(SITE, "full") == 0
    assert history.recall(SITE, 0.0, "6").static_rung == "script"
    assert history.recall(SITE, 0.0, "5") == Remembered(protocol="wpaicg")


def test_an_earlier_trend_counts_until_a_later_check_went_as_far(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add([at(0, CRITICAL, level="page"), at(1, CRITICAL), at(2, level="tokens")])
    trends = [read_trend(checks) for checks in group_by_scope(history.read(SITE, 0.0))]
    assert [trend.scope for trend in current_trends(trends)] == ["level full", "level tokens"]
    page = report_page([history.read(SITE, 0.0)], since=0.0, until=NOON + 600)
    assert "The site does not work" in page
    assert page.count("<section>") == 3
    history.add([at(3)])
    page = report_page([history.read(SITE, 0.0)], since=0.0, until=NOON + 600)
    assert "The site works" in page


def test_the_command_counts_and_shows_each_bot_by_itself(state: Path, demo: DemoSite, run: Run) -> None:
    page = demo.page("wpaicg/many/")
    for bot in ("5", "4", "5"):
        run("health-check", "--strategy", "static", "--bot", bot, page)
    trends = json.loads(run("health-check", "--history", "--json").out)
    assert [(trend["bot"], trend["checks"]) for trend in trends] == [("4", 1), ("5", 2)]
    assert f"{page} (level full, bot 5)" in run("health-check", "--history").out
    codes = [
        run(
            "health-check",
            "--strategy",
            "static",
            "--failures",
            "2",
            "--message",
            "ERR500",
            "--bot",
            bot,
            page,
        ).code
        for bot in ("5", "4", "5")
    ]
    assert codes == [1, 1, 2]


@pytest.mark.parametrize(("version", "lacking"), [(1, ("bot", "hint")), (2, ("hint",))])
def test_a_history_of_an_earlier_format_is_read_and_gone_on_with(
    version: int, lacking: tuple[str, ...], tmp_path: Path
) -> None:
    old = f"{_SCHEMA.tables}PRAGMA user_version = {version};"
    for column in lacking:
        old = old.replace(f"    {column} TEXT NOT NULL DEFAULT '',\n", "")
    path = tmp_path / FILE_NAME
    with sqlite3.connect(path) as database:
        database.executescript(old)
        database.execute(
            "INSERT INTO checks (site, checked_at, level, verdict, code, summary, elapsed, phases)"
            f" VALUES ('{SITE}', {NOON}, 'full', 'ok', NULL, 'fine', 1.0, '{{}}')"
        )
    database.close()
    before = path.read_bytes()
    (check,) = History(tmp_path).read(SITE, 0.0)
    assert (check.bot, check.summary, check.hint) == ("", "fine", "")
    assert History(tmp_path).is_working(SITE)
    assert path.read_bytes() == before
    for minute in (1, 2):
        History(tmp_path).add([at(minute, bot="5", hint="wait")])
    kept = [(check.bot, check.hint) for check in History(tmp_path).read(SITE, 0.0)]
    assert kept == [("", ""), ("5", "wait"), ("5", "wait")]


# What a check's own files and faults cost


class Enough(BaseException):
    """The test has seen what it wanted."""


def watched(rounds: int, level: Level | None = None, **options: object) -> int:
    """Runs a watch for so many rounds without waiting; how many there were."""
    from chatgptt.cli.reporting import logging_to_stderr

    waits = 0
    given = NamedSite(strategy="static", level=level)

    async def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == rounds:
            raise Enough

    with pytest.raises(Enough), logging_to_stderr(30):
        run_checks(HealthOptions(given=given, watch=60.0, **options), sleep)  # type: ignore[arg-type]
    return waits


def test_a_watch_goes_on_where_its_files_cannot_be_written_and_says_so_once(
    tmp_path: Path, demo: DemoSite, capfd: pytest.CaptureFixture[str]
) -> None:
    output, report = tmp_path / "out" / "chat.prom", tmp_path / "report.html"
    output.parent.mkdir()
    rounds = 0

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            shutil.rmtree(output.parent)
        if rounds == 4:
            output.parent.mkdir()
        if rounds == 5:
            raise Enough

    options = HealthOptions(
        given=NamedSite(strategy="static", level="page"),
        watch=60.0,
        urls=(demo.page("wpaicg/"),),
        output=output,
        report=report,
    )
    with pytest.raises(Enough):
        run_checks(options, sleep)
    assert "wpaicg" in output.read_text()  # the last round could be written again
    err = capfd.readouterr().err
    assert err.count("cannot write") == 1
    assert str(output) in err


@pytest.mark.parametrize("option", ["--output", "--report"])
@pytest.mark.parametrize("place", ["nowhere/file", "."])
def test_a_file_that_can_never_be_written_is_refused_before_anything_is_asked(
    option: str, place: str, tmp_path: Path, demo: DemoSite, run: Run
) -> None:
    done = run("health-check", option, str(tmp_path / place), "--watch", "60", demo.page("wpaicg/"))
    assert (done.code, done.out) == (3, "")
    assert "cannot write" in done.err
    assert demo.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "no url",
        "ftp://ping.example/",
        "http://",
        "http://ping.example:99999/secret-path",
        "http://[::1/secret-path",
        "http://xn--/secret-path",
        "http://ping\x00.example/secret-path",
        "http://ping.example/secret-path\udc80",
        f"http://ping.example/secret-path{'a' * 70_000}",
    ],
)
def test_a_bad_url_to_ping_is_refused_before_anything_is_asked(url: str, demo: DemoSite, run: Run) -> None:
    done = run("health-check", "--ping-url", url, demo.page("wpaicg/"))
    assert (done.code, done.out) == (3, "")
    assert "secret-path" not in done.err
    assert demo.requests == []


class Broken(AsyncClient):
    """A client with a fault that nobody foresaw."""

    async def health_check(self, *args: object, **options: object) -> HealthReport:
        raise KeyError("p4ssword")


@pytest.mark.parametrize("form", ["text", "json", "nagios", "prometheus", "junit"])
def test_a_fault_of_the_program_is_unknown(
    form: str, state: Path, demo: DemoSite, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_rounds, "AsyncClient", Broken)
    done = run("health-check", "-vv", "--format", form, demo.page("wpaicg/"))
    assert done.code == 3
    assert "KeyError" in done.out or form == "prometheus"
    assert "chatgptt_up{" not in done.out
    assert "raise KeyError" in done.err
    assert "p4ssword" not in done.err.replace('raise KeyError("p4ssword")', "")


def test_a_fault_beyond_the_sites_is_unknown_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(names: object, options: object) -> None:
        raise ZeroDivisionError("p4ssword")

    monkeypatch.setattr(health_rounds, "progress", fail)
    done = run("health-check", "http://127.0.0.1:9/")
    assert (done.code, done.out) == (3, "")
    assert "ZeroDivisionError" in done.err
    assert "p4ssword" not in done.err
