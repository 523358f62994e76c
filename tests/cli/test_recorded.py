"""`record`, `replay` and `--replay`: what the library does with cases, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.commands import Run, interrupt, read_until, run_process, started

from chatgptt.demo import DemoSite

CASES = Path(__file__).parents[2] / "fixtures"
STREAM = str(CASES / "wpaicg-answer-history")


@pytest.fixture
def case(run: Run, site: DemoSite, tmp_path: Path) -> str:
    folder = str(tmp_path / "case")
    assert run("record", "--site", site.page("wpaicg/"), "-m", "Hello", "-o", folder).code == 0
    return folder


def test_record_writes_a_case_and_says_what_it_replaced(run: Run, site: DemoSite, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "case"
    done = run(
        "record", "--site", site.page("wpaicg/"), "-m", "Hello", "-o", str(folder), "--note", "the usual"
    )
    assert (done.code, done.out) == (0, f"{folder}: 2 exchanges, answered\n")
    assert "nonce: 2 values in 5 places replaced" in done.err
    assert sorted(path.name for path in folder.iterdir()) == ["01-page.html", "02-answer.sse", "case.toml"]
    assert 'note = "the usual"' in (folder / "case.toml").read_text()


def test_record_prints_one_document(run: Run, site: DemoSite, tmp_path: Path) -> None:
    folder = str(tmp_path / "case")
    done = run("record", "--site", site.page("aipkit/"), "-m", "One", "-m", "Two", "-o", folder, "--json")
    assert (done.code, done.err) == (0, "")
    document = done.document
    assert (document["folder"], document["protocol"], document["boxes"]) == (folder, "aipkit", 1)
    outcomes = document["outcomes"]
    assert isinstance(outcomes, list)
    assert [one["outcome"] for one in outcomes] == ["answered", "answered"]


def test_a_refusal_is_recorded_with_its_reason(run: Run, site: DemoSite, tmp_path: Path) -> None:
    page = site.page("wpaicg/")
    done = run("record", "--site", page, "-m", "QUOTA", "-o", str(tmp_path / "case"))
    assert (done.code, done.out.rpartition(", ")[2]) == (0, "refused (quota)\n")


def test_a_reply_by_hand_takes_the_place_of_the_site_s(run: Run, site: DemoSite, tmp_path: Path) -> None:
    fault, folder = tmp_path / "half.http", tmp_path / "case"
    fault.write_text(
        "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nX-Ending: cut\n\n"
        'data: {"choices":[{"index":0,"delta":{"content":"Half an answer"}}]}\n\n'
    )
    page = site.page("wpaicg/")
    done = run("record", "--site", page, "-m", "Hello", "--fault", str(fault), "-o", str(folder))
    assert (done.code, done.out.rpartition(", ")[2]) == (0, "stream_interrupted\n")
    replayed = run("ask", "--replay", str(folder), "Hello")
    assert (replayed.code, replayed.out) == (1, "Half an answer\n")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "no folder was given"),
        (("--check", "nowhere"), "no case.toml in it"),
        (("-o", "case", "--fault", "nowhere.http", "-m", "Hello"), "nowhere.http"),
        (("--check", "nowhere", "-m", "Hello"), "--check asks what the case asked"),
        (("--check", "nowhere", "-o", "case"), "leave out --output"),
    ],
)
def test_a_call_that_cannot_work_leaves_nothing(
    run: Run,
    site: DemoSite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("record", "--site", site.page("wpaicg/"), *argv)
    assert (done.code in (1, 2), done.out) == (True, "")
    assert words in done.err
    assert list(tmp_path.iterdir()) == []


def test_check_finds_no_drift_at_the_same_site(run: Run, site: DemoSite, case: str) -> None:
    done = run("record", "--check", case, "--site", site.page("wpaicg/"))
    assert (done.code, done.out, done.err) == (0, "nothing has changed\n", "")
    document = run("record", "--check", case, "--site", site.page("wpaicg/"), "--json").document
    assert document == {"folder": case, "drift": []}


def test_check_says_drift_in_words_and_exits_with_1(run: Run, site: DemoSite, case: str) -> None:
    before = {path: path.read_bytes() for path in Path(case).iterdir()}
    done = run("record", "--check", case, "--site", site.page("aipkit/"))
    assert (done.code, done.out.splitlines()[0]) == (
        1,
        "the site speaks another protocol: wpaicg before, aipkit now",
    )
    as_json = run("record", "--check", case, "--site", site.page("aipkit/"), "--json")
    assert (as_json.code, as_json.document["drift"]) == (1, done.out.splitlines())
    assert {path: path.read_bytes() for path in Path(case).iterdir()} == before


def test_check_of_a_site_that_is_gone_fails_as_asking_it_would(run: Run, case: str) -> None:
    done = run("record", "--check", case, "--site", "http://127.0.0.1:1/", "--json", "--timeout", "5")
    assert (done.code, done.error["code"]) == (1, "connect_error")


def test_replay_serves_a_case_until_ctrl_c(run: Run, case: str) -> None:
    with started("replay", case, "--json") as process:
        ready = json.loads(read_until(process, b"}"))
        assert list(ready) == ["url", "page", "messages"]
        assert ready["messages"] == ["Hello"]
        done = run("ask", "--site", ready["page"], "Hello")
        assert (done.code, done.err) == (0, "")
        assert done.out.endswith("You wrote: Hello\n")
        assert run("ask", "--site", ready["page"], "Something else").code == 1
        code, _, err = interrupt(process)
    assert code == 130
    assert b"the recorded case has no reply to POST" in err
    assert b"Traceback" not in err


def test_replay_says_in_words_where_and_what(case: str) -> None:
    with started("replay", case) as process:
        shown = read_until(process, b"Hello\n").decode()
        assert shown.startswith("http://127.0.0.1:")
        assert interrupt(process)[0] == 130


def test_replay_on_a_taken_port_is_a_usage_error(run: Run, site: DemoSite, case: str) -> None:
    done = run("replay", case, "--port", site.url.rpartition(":")[2])
    assert (done.code, done.out) == (2, "")
    assert "cannot listen on 127.0.0.1" in done.err


def test_replay_takes_the_recorded_time_when_told_to(case: str) -> None:
    toml = Path(case) / "case.toml"
    text = toml.read_text()
    assert "delays" in text or "chunks" in text
    with started("replay", case, "--real-time", "--json") as process:
        assert json.loads(read_until(process, b"}"))["messages"] == ["Hello"]
        assert interrupt(process)[0] == 130


@pytest.mark.parametrize("command", ["ask", "inspect", "health-check"])
def test_replay_stands_in_for_a_site_and_leaves_no_trace(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, command: str
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(state))
    done = run(command, "--replay", case, *(["Hello"] if command == "ask" else []))
    assert (done.code, done.err) == (0, "")
    assert not state.exists()


def test_inspect_shows_the_boxes_of_a_case(run: Run, case: str) -> None:
    boxes = run("inspect", "--replay", case, "--json").document["boxes"]
    assert isinstance(boxes, list)
    assert [(box["protocol"], box["kind"]) for box in boxes] == [("wpaicg", "shortcode")]


def test_health_check_sends_the_message_that_was_recorded(run: Run, case: str) -> None:
    document = run("health-check", "--replay", case, "--json").document
    assert (document["verdict"], document["code"]) == ("ok", None)
    phases = document["phases"]
    assert isinstance(phases, list)
    assert [phase["status"] for phase in phases if phase["name"] == "answer"] == ["pass"]


def test_health_check_of_a_case_without_a_message_stops_at_the_tokens(
    run: Run, site: DemoSite, tmp_path: Path
) -> None:
    folder = str(tmp_path / "boxes")
    assert run("record", "--site", site.page("wpaicg/"), "-o", folder).code == 0
    document = run("health-check", "--replay", folder, "--json").document
    assert document["verdict"] == "ok"
    phases = document["phases"]
    assert isinstance(phases, list)
    assert {phase["name"]: phase["status"] for phase in phases}["tokens"] == "pass"
    assert "message" not in {phase["name"] for phase in phases if phase["status"] != "skip"}


def test_health_check_of_a_recorded_failure_is_critical(run: Run) -> None:
    done = run("health-check", "--replay", str(CASES / "wpaicg-refused-quota-json"), "--json")
    assert (done.code, done.document["code"]) == (2, "refused")


def test_another_message_than_the_recorded_is_said_to_be_missing(run: Run, case: str) -> None:
    done = run("ask", "--replay", case, "Goodbye")
    assert done.code == 1
    assert "the recorded case has no reply to POST" in done.err
    assert "message='Goodbye'; recorded: 'Hello'\n" in done.err


@pytest.mark.parametrize(
    "name", ["wpaicg-answer-history", "aipkit-answer-history", "wpaicg-answer-assistant-json"]
)
def test_a_miss_is_the_calls_fault_and_not_the_sites(run: Run, name: str) -> None:
    folder = str(CASES / name)
    error = run("ask", "--replay", folder, "Goodbye", "--json").error
    assert (error["code"], error["status"]) == ("invalid_input", 501)
    assert str(error["message"]).startswith("the recorded case has no reply to POST")
    assert "the site" not in f"{error['message']} {error['hint']}"
    assert "record a case with this request" in str(error["hint"])
    done = run("health-check", "--replay", folder, "--message", "Goodbye", "--json")
    assert (done.code, done.document["verdict"], done.document["code"]) == (3, "unknown", "invalid_input")


def test_a_page_that_a_case_lacks_is_a_miss_too(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "case"
    shutil.copytree(CASES / "wpaicg-answer-history", folder)
    file = folder / "case.toml"
    file.write_text(
        file.read_text().replace('page = "http://site.example/wpaicg/"', 'page = "http://site.example/x/"')
    )
    error = run("inspect", "--replay", str(folder), "--json").error
    assert error["code"] == "invalid_input"
    assert str(error["message"]).startswith("the recorded case has no reply to GET /x/")


def test_the_recorded_bot_is_asked_unless_another_is_named(run: Run, site: DemoSite, tmp_path: Path) -> None:
    folder = str(tmp_path / "case")
    page = site.page("wpaicg/json-and-widget/")
    assert run("record", "--site", page, "--bot", "widget", "-m", "Hello", "-o", folder).code == 0
    assert run("ask", "--replay", folder, "Hello").code == 0
    done = run("ask", "--replay", folder, "--bot", "77", "Hello", "--json")
    assert (done.code, done.error["code"]) == (1, "no_chat_box")


@pytest.mark.parametrize("command", ["ask", "health-check"])
def test_the_recorded_strategy_is_used_unless_another_is_named(run: Run, command: str) -> None:
    # No browser is there: only "auto" would want one.
    case, message = str(CASES / "wpaicg-page-nonce-nowhere"), ["Hello"] if command == "ask" else []
    done = run(command, "--replay", case, *message, "--json")
    assert "tokens_missing" in done.out
    assert "browser_missing" not in done.out
    assert (
        "browser_missing" in run(command, "--replay", case, *message, "--json", "--strategy", "browser").out
    )


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("ask", "--demo", "--replay", STREAM, "Hello"), 2),
        (("health-check", "--replay", STREAM, "http://127.0.0.1:1/"), 3),
        (("health-check", "--replay", STREAM, "--report", "report.html"), 3),
        (("ask", "--replay", "nowhere", "Hello"), 1),
        (("inspect", "--replay", "nowhere"), 1),
        (("health-check", "--replay", "nowhere"), 3),
        (("replay", "nowhere"), 1),
        (("replay",), 2),
    ],
)
def test_what_cannot_be_replayed_is_refused(run: Run, argv: tuple[str, ...], code: int) -> None:
    done = run(*argv)
    assert (done.code, done.out) == (code, "")
    assert done.err


def test_the_installed_script_replays(case: str) -> None:
    done = run_process("ask", "--replay", case, "Hello")
    assert (done.code, done.err) == (0, "")
