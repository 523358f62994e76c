"""What is kept of checks, and what it says together."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from asking import client_of
from health.samples import CRITICAL, NOON, OK, UNKNOWN, WARNING

from chatgptt import ChatGptt, Client
from chatgptt.demo import DemoSite
from chatgptt.health.check_with_history import _informed
from chatgptt.health.history import FILE_NAME, History, Remembered
from chatgptt.health.report import HealthReport
from chatgptt.health.trends import percentile, read_trend

SITE = OK.site


def at(minutes: float, report: HealthReport = OK, **changes: object) -> HealthReport:
    moved = replace(report, site=SITE, checked_at=NOON + 60 * minutes)
    return replace(moved, **changes)  # type: ignore[arg-type]


def kept(folder: Path, *reports: HealthReport) -> History:
    history = History(folder)
    history.add(reports)
    return history


def test_what_is_added_is_read_again(tmp_path: Path) -> None:
    (check,) = kept(tmp_path, at(0, WARNING)).read(SITE, NOON)
    assert (check.verdict, check.code, check.level, check.elapsed) == ("warning", "slow", "full", 9.0)
    assert (check.protocol, check.rung) == ("wpaicg", "html")
    assert check.phases["answer"].status == "warn"
    assert check.phases["answer"].elapsed == 8.0


def test_availability_leaves_out_what_could_not_be_checked(tmp_path: Path) -> None:
    history = kept(tmp_path, at(0), at(1, CRITICAL), at(2, UNKNOWN), at(3, WARNING), at(4))
    trend = read_trend(history.read(SITE, 0.0))
    assert trend.availability == 0.75
    assert (trend.checks, trend.verdict) == (5, "ok")


def test_incidents_last_until_the_page_works_again(tmp_path: Path) -> None:
    history = kept(
        tmp_path,
        at(0),
        at(1, CRITICAL),
        at(2, CRITICAL),
        at(3, UNKNOWN),
        at(4),
        at(5, CRITICAL),
        at(6, UNKNOWN),
    )
    first, second = read_trend(history.read(SITE, 0.0)).incidents
    assert (first.began_at, first.ended_at, first.checks) == (NOON + 60, NOON + 240, 2)
    assert (second.began_at, second.ended_at, second.code) == (NOON + 300, None, "http_error")


def test_changes_of_protocol_and_rung_are_noticed(tmp_path: Path) -> None:
    history = kept(
        tmp_path,
        at(0),
        at(1, CRITICAL, protocol=None, rung=None),
        at(2),
        at(3, protocol="aipkit"),
        at(4, protocol="aipkit", rung="browser"),
    )
    changes = read_trend(history.read(SITE, 0.0)).changes
    assert [(change.what, change.before, change.after) for change in changes] == [
        ("protocol", "wpaicg", "aipkit"),
        ("rung", "html", "browser"),
    ]


def test_times_are_of_checks_that_passed(tmp_path: Path) -> None:
    history = kept(
        tmp_path, *(at(n, elapsed=float(n)) for n in range(1, 102)), at(200, CRITICAL, elapsed=900.0)
    )
    trend = read_trend(history.read(SITE, 0.0))
    assert (trend.median, trend.p95) == (51.0, 96.0)
    page = next(times for times in trend.phases if times.name == "page")
    assert page.checks == 101


def test_a_percentile_lies_between_the_values() -> None:
    assert percentile([3.0], 0.95) == 3.0
    assert percentile([1.0, 2.0], 0.5) == 1.5
    assert percentile([4.0, 1.0, 3.0, 2.0, 5.0], 0.5) == 3.0


def test_nothing_is_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chatgptt.health.history.MOST", 3)
    history = kept(tmp_path, at(0), at(1), at(2))
    history.add([at(3)])
    history.add([at(4)])
    assert [check.checked_at for check in history.read(SITE, 0.0)] == [NOON + 60 * n for n in (2, 3, 4)]


@pytest.mark.parametrize("days", [365, 3650, -365])
def test_a_clock_that_jumps_deletes_no_history(tmp_path: Path, days: int) -> None:
    day = 1440.0
    history = kept(tmp_path, *(at(-day * 30 * month) for month in range(14, 0, -1)))
    history.add([at(day * days)])
    history.add([at(0)])  # the clock is right again
    assert len(history.read(SITE, 0.0)) == 16
    assert len(history.read(SITE, 0.0, NOON)) == (15 if days > 0 else 16)
    assert history.is_working(SITE)


def test_failures_in_a_row_are_counted_since_the_page_last_worked(tmp_path: Path) -> None:
    history = kept(tmp_path, at(0, CRITICAL), at(1), at(2, CRITICAL), at(3, UNKNOWN), at(4, CRITICAL))
    assert history.failures_in_a_row(SITE, "full") == 2
    assert history.failures_in_a_row("https://other.example/", "full") == 0


def test_checks_of_another_level_do_not_interrupt_a_row_of_failures(tmp_path: Path) -> None:
    history = kept(tmp_path, at(0, CRITICAL), at(1, level="tokens"), at(2, CRITICAL), at(3, level="tokens"))
    assert history.failures_in_a_row(SITE, "full") == 2
    assert history.failures_in_a_row(SITE, "tokens") == 0


def test_only_the_last_full_verdict_makes_a_site_working(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert not history.is_working("shop.example")
    history.add([at(0)])
    assert history.is_working("shop.example")
    assert history.is_working("https://shop.example/chat?lang=en")
    assert not history.is_working("https://shop.example/chat")
    assert not history.is_working("https://shop.example.org")
    assert not history.is_working("no url")
    history.add([at(1, CRITICAL)])
    assert not history.is_working("shop.example")
    history.add([at(2, level="tokens"), at(3, UNKNOWN)])
    assert not history.is_working("shop.example")
    history.add([at(4, WARNING)])
    assert history.is_working("shop.example")


def test_only_its_owner_reads_the_history(tmp_path: Path) -> None:
    kept(tmp_path / "state", at(0))
    assert (tmp_path / "state" / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_a_damaged_history_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.WARNING):
        history = kept(tmp_path, at(0))
    assert len(history.read(SITE, 0.0)) == 1
    assert (tmp_path / f"{FILE_NAME}.damaged").exists()
    assert "damaged" in caplog.text


def test_the_history_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    kept(tmp_path, at(0))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    assert kept(tmp_path, at(1)).read(SITE, 0.0) == []
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_folder_that_cannot_be_used_is_said_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    history = kept(tmp_path / "file" / "state", at(0))
    history.add([at(1)])
    assert history.read(SITE, 0.0) == []
    assert len(caplog.records) == 1


def test_rows_that_nobody_wrote_are_passed_over(tmp_path: Path) -> None:
    history = kept(tmp_path, at(0), at(1), at(2))
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE checks SET verdict = 'great' WHERE id = 1")
        database.execute('UPDATE checks SET phases = \'{"dns": [1, 2], "page": 3, "x": []}\' WHERE id = 2')
        database.execute("UPDATE checks SET phases = 'no JSON' WHERE id = 3")
    database.close()
    assert [check.phases for check in history.read(SITE, 0.0)] == [{}, {}]


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(place: int) -> None:
        for minute in range(10):
            kept(tmp_path, at(place * 10 + minute))

    threads = [threading.Thread(target=write, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(History(tmp_path).read(SITE, 0.0)) == 80


def test_processes_with_many_threads_lose_nothing_either(tmp_path: Path) -> None:
    write = (
        "import sys, threading\n"
        "from pathlib import Path\n"
        "from health.samples import OK\n"
        "from chatgptt.health.history import History\n"
        "def write():\n"
        "    for _ in range(10):\n"
        "        History(Path(sys.argv[1])).add([OK])\n"
        "threads = [threading.Thread(target=write) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    processes = [
        subprocess.Popen([sys.executable, "-c", write, str(tmp_path)], env=environment) for _ in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(History(tmp_path).read(SITE, 0.0)) == 240
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_words_that_no_database_holds_are_kept_as_well_as_can_be(tmp_path: Path) -> None:
    (check,) = kept(tmp_path, at(0, CRITICAL, summary="bad \ud800 words")).read(SITE, 0.0)
    assert check.summary == "bad ? words"


def test_a_history_is_read_where_it_cannot_be_written(tmp_path: Path) -> None:
    kept(tmp_path, at(0))
    (tmp_path / FILE_NAME).chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        assert len(History(tmp_path).read(SITE, 0.0)) == 1
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.anyio
async def test_a_clients_checks_are_kept_and_the_provider_knows(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path))

    class Here(ChatGptt):
        url = demo.page("wpaicg/")

    def is_working() -> bool:
        return Here.working

    assert not is_working()
    async with client_of(demo.page("wpaicg/"), state_dir=tmp_path) as client:
        await client.health_check("tokens")
        assert not is_working()
        await client.health_check()
        assert is_working()
        assert Here().working
        assert not ChatGptt.working
        await client.health_check(message="QUOTA")
        assert not is_working()


@pytest.mark.anyio
async def test_a_provider_of_a_named_site_knows_the_checks_of_its_page(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("CHATGPTT_SITES", str(tmp_path / "sites.toml"))

    class Shop(ChatGptt):
        url = "shop"

    def is_working() -> bool:
        return Shop.working

    assert not is_working()
    (tmp_path / "sites.toml").write_text(f'[shop]\nurl = "{demo.page("wpaicg/")}"\n')
    assert not is_working()
    async with client_of("shop", state_dir=tmp_path) as client:
        await client.health_check()
    assert is_working()
    (tmp_path / "sites.toml").write_text(f'[shop]\nurl = "{demo.page("aipkit/")}"\n')
    assert not is_working()


@pytest.mark.anyio
async def test_a_page_that_fails_keeps_the_protocol_it_last_spoke(demo: DemoSite, tmp_path: Path) -> None:
    page = demo.page("wpaicg/nochat/")
    async with client_of(page, state_dir=tmp_path, strategy="static") as client:
        assert (await client.health_check("page")).protocol is None
        History(tmp_path).add([replace(OK, site=page, protocol="aipkit")])
        assert (await client.health_check("page")).protocol == "aipkit"


def test_a_browser_that_was_not_needed_before_is_a_warning() -> None:
    by_browser = replace(OK, rung="browser")
    warned = _informed(by_browser, Remembered(static_rung="html"))
    assert (warned.verdict, warned.code, warned.failing) == (
        "warning",
        "browser_needed",
        warned.phase("tokens"),
    )
    assert "html used to do" in warned.summary
    assert _informed(by_browser, Remembered()) is by_browser
    failed = replace(CRITICAL, protocol="wpaicg", rung="browser")
    assert _informed(failed, Remembered(static_rung="script")).code == "http_error"


def test_a_rung_is_remembered_for_as_long_as_it_is_news(tmp_path: Path) -> None:
    history = kept(tmp_path, at(0), at(1, rung="browser"), at(2, CRITICAL))
    assert history.recall(SITE, NOON) == Remembered(static_rung="html", protocol="wpaicg")
    assert history.recall(SITE, NOON + 1) == Remembered(protocol="wpaicg")
    assert history.recall("https://other.example/", 0.0) == Remembered()


def test_a_client_without_state_keeps_no_history(demo: DemoSite, tmp_path: Path) -> None:
    with Client(demo.page("wpaicg/"), state_dir=None) as client:
        assert client.health_check().verdict == "ok"
    assert list(tmp_path.iterdir()) == []
