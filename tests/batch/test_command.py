"""`chatgptt batch` against the demo site of both generations: what is asked, written, said and left behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from asking import ECHO
from batch.batches import ids, opened, read_lines
from cli.commands import PATIENCE, Run, interrupt, on_terminal, read_until, run_process, started
from faults import always, chat, reply, serving

from chatgptt.cli.batch import read_rate
from chatgptt.cli.batch_progress import showing_progress
from chatgptt.demo import DemoSite, serve

SITES = ("wpaicg/", "aipkit/")


def write(path: Path, messages: Sequence[str], demo: DemoSite) -> Path:
    """Rows for both generations in turn."""
    rows = [
        {"id": f"row {number}", "message": message, "site": demo.page(SITES[number % 2])}
        for number, message in enumerate(messages)
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def command(source: Path, output: Path, *more: str) -> tuple[str, ...]:
    return ("batch", str(source), "-o", str(output), "--rate", "none", "--format", "simple", *more)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def asked_of(demo: DemoSite) -> Counter[str]:
    return Counter(request.message or "" for request in demo.messages)


def errors_of(output: Path) -> dict[object, object]:
    """The code of each row that failed."""
    return {
        line["id"]: line["error"]["code"] for line in read_lines(output) if isinstance(line["error"], dict)
    }


# Answers


def test_all_rows_are_answered(demo: DemoSite, tmp_path: Path, output: Path, run: Run) -> None:
    messages = [f"Question {number}" for number in range(20)]
    done = run(*command(write(tmp_path / "in", messages, demo), output))
    assert done.code == 0
    assert done.out.startswith(f"answered: 20 of 20, in {output}, after ")
    assert done.err == ""
    assert {line["id"]: line["text"] for line in read_lines(output)} == {
        f"row {number}": ECHO + message for number, message in enumerate(messages)
    }
    assert asked_of(demo) == Counter(messages)
    pages = [
        request.path for request in demo.requests if request.method == "GET" and "/wp-" not in request.path
    ]
    assert sorted(pages) == ["/aipkit/", "/wpaicg/"], "the page of each site is read once"


@pytest.mark.parametrize("site", SITES)
def test_openai_s_form_goes_in_and_comes_out(site: str, demo: DemoSite, output: Path, run: Run) -> None:
    request = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
    }
    done = run("batch", "-", "-o", str(output), "--site", demo.page(site), stdin=json.dumps(request).encode())
    assert done.code == 0
    (line,) = read_lines(output)
    assert (line["custom_id"], line["error"]) == ("a", None)
    body = line["response"]["body"]  # type: ignore[index]
    assert (body["model"], body["choices"][0]["message"]["content"]) == ("gpt-4o", f"{ECHO}Hello")


def test_text_and_tables_are_read(demo: DemoSite, tmp_path: Path, run: Run) -> None:
    page = ("--site", demo.page("wpaicg/many/"), "--system", "S", "--bot", "5")
    first, second = tmp_path / "first", tmp_path / "second"
    (tmp_path / "in.txt").write_text("One\nTwo\n")
    assert run(*command(tmp_path / "in.txt", first, *page)).code == 0
    (tmp_path / "in.csv").write_text('id,q\nx,"Three, and\nfour"\n')
    assert run(*command(tmp_path / "in.csv", second, *page, "--column", "q")).code == 0
    lines = read_lines(first) + read_lines(second)
    assert sorted(str(line["id"]) for line in lines) == ["1", "2", "x"]
    assert all("System: S\nUser: " in str(line["text"]) and line["bot_id"] == 5 for line in lines)


def test_empty_lines_in_front_change_nothing(demo: DemoSite, tmp_path: Path, output: Path, run: Run) -> None:
    (tmp_path / "in").write_text('\n\n{"id": "a", "message": "Hello"}\n')
    assert run(*command(tmp_path / "in", output, "--site", demo.page("wpaicg/"))).code == 0
    assert asked_of(demo) == {"Hello": 1}


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/min", 10.0),
        ("2/s", 120.0),
        ("0.5/s", 30.0),
        ("600/h", 10.0),
        ("none", None),
        ("0/s", 0.0),
        ("5", 0.0),
    ],
)
def test_a_rate_has_a_unit(text: str, rate: float | None) -> None:
    assert read_rate(text) == rate


def test_the_rate_holds(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", ["One", "Two"], demo)
    with started(*command(source, output, "--rate", "1/h")) as process:
        wait_until(lambda: len(read_lines(output)) == 1 if output.exists() else False)
        code, out, _ = interrupt(process)
    assert code == 130
    assert b"answered: 1 of 2" in out
    assert b"not asked: 1" in out


def test_the_order_is_that_of_the_input_where_that_is_wanted(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    source = write(tmp_path / "in", ["SLOW 0.5", "One", "Two", "Three"], demo)
    assert run(*command(source, output, "--ordered")).code == 0
    assert ids(output) == ["row 0", "row 1", "row 2", "row 3"]


# Failures


def test_failures_are_counted_by_their_codes(demo: DemoSite, tmp_path: Path, output: Path, run: Run) -> None:
    source = write(
        tmp_path / "in", ["Hello", "PROVIDER500", "DROPFIRST", "EMPTY", "RESET", "PROVIDER500 again"], demo
    )
    done = run(*command(source, output, "--json"))
    assert done.code == 1
    document = done.document
    assert document.pop("elapsed_s")
    assert document == {
        "output": str(output),
        "rows": 6,
        "answered": 1,
        "failed": 3,
        "ambiguous": 2,
        "not_asked": 0,
        "errors": {"provider_error": 2, "connect_error": 1, "empty_answer": 1, "stream_interrupted": 1},
        "left": [],
    }
    words = run(*command(source, output))
    assert words.code == 1
    assert words.out.splitlines()[1:] == [
        "failed: 3 (--retry-errors asks them again)",
        "ambiguous: 2 (the sites may have answered them; --retry-ambiguous asks them again)",
        "errors: provider_error 2, connect_error 1, empty_answer 1, stream_interrupted 1",
    ]
    assert asked_of(demo).most_common(1)[0][1] == 1, "a second run asks none of them again"


def test_rows_that_failed_are_asked_again_where_that_is_wanted(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    source = write(tmp_path / "in", ["Hello", "ERR502ONCE x", "PROVIDER500"], demo)
    failed = {"row 1": "http_error", "row 2": "provider_error"}
    assert run(*command(source, output)).code == 1
    assert errors_of(output) == failed
    assert run(*command(source, output, "--retry-errors")).code == 1
    assert errors_of(output) == failed
    assert asked_of(demo) == {"Hello": 1, "PROVIDER500": 2}
    assert run(*command(source, output, "--retry-ambiguous")).code == 1
    assert errors_of(output) == {"row 2": "provider_error"}
    assert asked_of(demo) == {"Hello": 1, "PROVIDER500": 2, "ERR502ONCE x": 1}
    assert sorted(map(str, ids(output))) == ["row 0", "row 1", "row 2"]


def test_where_none_is_answered_the_exit_code_is_3(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    assert run(*command(write(tmp_path / "in", ["PROVIDER500", "EMPTY"], demo), output)).code == 3


def test_a_site_with_a_challenge_is_left_and_another_goes_on(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    with serve() as other:
        source = tmp_path / "in"
        wall = [{"message": "x", "site": demo.page("challenge/message/")}] * 5
        good = [{"message": f"Question {number}", "site": other.page("aipkit/")} for number in range(5)]
        source.write_text("".join(f"{json.dumps(row)}\n" for row in wall + good))
        done = run(*command(source, output, "--json", "--concurrency", "1"))
        assert len(other.messages) == 5
    assert done.code == 1
    assert (done.document["answered"], done.document["failed"], done.document["not_asked"]) == (5, 1, 4)
    left = done.document["left"]
    assert isinstance(left, list)
    assert [(site["site"], site["code"]) for site in left] == [(demo.url, "challenge")]
    assert sum(request.method == "POST" for request in demo.requests) == 1


@pytest.mark.parametrize("path", ["", "status/404/"])
def test_a_page_without_a_chat_box_is_read_once_and_its_other_rows_are_not_asked(
    path: str, demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    rows = [{"id": str(number), "message": "Hello"} for number in range(5)]
    rows.append({"id": "other", "message": "Hello", "site": demo.page("wpaicg/")})
    source = tmp_path / "in"
    source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    options = ("--site", demo.page(path), "--strategy", "static", "--concurrency", "1", "--json")
    done = run(*command(source, output, *options))
    assert done.code == 1
    keys = ("answered", "failed", "not_asked")
    assert [done.document[key] for key in keys] == [1, 1, 4]
    assert done.document["left"] == [], "the site's other page was asked"
    assert [request.path for request in demo.requests].count(f"/{path}") == 1


def test_the_summary_names_each_missing_box_whose_rows_were_not_asked(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    page = demo.page("wpaicg/many/")
    rows = [
        {"site": demo.page("status/404/").replace("://", "://ada:secret@")},
        {"site": page, "bot": "nobody"},
        {"site": page, "bot": "5"},
    ]
    source = tmp_path / "in"
    source.write_text("".join(f"{json.dumps({'message': 'Hello', **row})}\n" for row in rows * 2))
    done = run(*command(source, output, "--strategy", "static", "--concurrency", "1"))
    assert done.code == 1
    assert "not asked: 2 (run it again to go on)" in done.out
    assert f"stopped asking {demo.page('status/404/')}: " in done.out
    assert f"stopped asking bot nobody of {page}: the page has no bot 'nobody'" in done.out
    assert f"left {demo.url}" not in done.out
    assert "secret" not in done.out


def test_a_quota_leaves_the_site_and_its_rows_for_another_day(
    demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    source = write(tmp_path / "in", ["Hello", "QUOTA", "One", "Two"], demo)
    done = run(*command(source, output, "--concurrency", "1"))
    assert done.code == 1
    assert "not asked: 2 (run it again to go on)" in done.out
    assert f"left {demo.url}: " in done.out


@pytest.mark.anyio
async def test_after_a_429_that_names_no_time_nothing_leaves_before_the_pause_is_over(
    tmp_path: Path, output: Path
) -> None:
    (tmp_path / "in").write_text("Hello\n")
    async with serving(chat(message=always(reply("Later.", status=429)))) as server:
        with started(*command(tmp_path / "in", output, "--site", server.url)) as process:
            with anyio.fail_after(PATIENCE):
                while not server.counts[1]:  # noqa: ASYNC110 - the site only counts
                    await anyio.sleep(0.01)
            code, out, _ = await anyio.to_thread.run_sync(interrupt, process)
        assert server.counts == (1, 1)
    assert code == 130
    assert b"not asked: 1" in out


# What is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"message": "Hi"}\n{"message": " "}\n', "line 2: the message is empty"),
        ('{"message": "Hi"}\n\n{"message": "Hi", "site": "nobody"}\n', "line 3: unknown site 'nobody'"),
        ('{"id": 1, "message": "Hi"}\n{"id": "1", "message": "Ho"}\n', "line 2: its id '1' is that of line 1"),
        (f'{{"message": "{"x" * 200_001}"}}\n', "line 1: the message is 200001 bytes long"),
        ("{oops\n", "line 1: it is no JSON object"),
        ('[{"id": 1, "message": "Hi"},\n{"id": 2, "message": "Ho"}]\n', "line 1: it is no JSON object; JSON lines"),
        ('[\n{"id": 1, "message": "Hi"}\n]\n', "line 1: it is no JSON object; JSON lines are wanted"),
        ("", "the input has no rows"),
    ],
)  # fmt: skip
def test_a_wrong_input_is_wrong_usage_and_nothing_is_sent(
    text: str, words: str, demo: DemoSite, tmp_path: Path, output: Path, run: Run
) -> None:
    (tmp_path / "in").write_text(text)
    done = run(*command(tmp_path / "in", output, "--site", demo.page("wpaicg/")))
    assert done.code == 2
    assert words in done.err
    assert demo.requests == []
    assert {path.name for path in tmp_path.iterdir()} <= {"in", "state-of-the-environment"}


@pytest.mark.parametrize(
    "words",
    [
        ("--rate", "fast"),
        ("--rate", "0/min"),
        ("--rate", "1.2.3/s"),
        ("--concurrency", "0"),
        ("--proxy", "ftp://x"),
        ("--site", "ftp://x"),
        ("--format", "xml"),
    ],
)
def test_wrong_options_are_wrong_usage(
    words: tuple[str, str], tmp_path: Path, output: Path, run: Run
) -> None:
    (tmp_path / "in").write_text("Hello\n")
    assert run("batch", str(tmp_path / "in"), "-o", str(output), *words).code == 2
    assert not output.exists()


def test_an_input_that_is_not_there_is_wrong_usage(tmp_path: Path, output: Path, run: Run) -> None:
    done = run(*command(tmp_path / "nothing", output))
    assert done.code == 2
    assert "cannot read" in done.err


def test_the_input_is_never_the_output(demo: DemoSite, tmp_path: Path, run: Run) -> None:
    source = write(tmp_path / "in", ["Hello"], demo)
    before = source.read_bytes()
    assert run(*command(source, source)).code == 2
    assert source.read_bytes() == before


# The end of a batch


def test_after_kill_9_a_batch_goes_on_and_doubles_nothing(
    demo: DemoSite, tmp_path: Path, output: Path
) -> None:
    """Two slow rows hold up both workers, so the batch cannot end before it is killed."""
    messages = [f"Question {number}" for number in range(40)]
    messages[10], messages[20] = "SLOW 600", "SLOW 601"
    source = write(tmp_path / "in", messages, demo)
    with started(*command(source, output)) as process:
        wait_until(lambda: {"SLOW 600", "SLOW 601"} <= asked_of(demo).keys())
        process.kill()
    assert process.returncode == -9
    done = run_process(*command(source, output))
    assert done.code == 1, done
    assert Counter(map(str, ids(output))) == Counter(f"row {number}" for number in range(40))
    assert errors_of(output) == {"row 10": "ambiguous", "row 20": "ambiguous"}
    assert asked_of(demo) == Counter(messages)


def test_killed_at_any_moment_it_loses_and_doubles_nothing(
    demo: DemoSite, tmp_path: Path, output: Path
) -> None:
    messages = [f"Question {number}" for number in range(80)]
    source = write(tmp_path / "in", messages, demo)
    for kill_at in (1, 40):
        with started(*command(source, output, "--concurrency", "4")) as process:
            wait_until(lambda at=kill_at: len(demo.messages) >= at or process.poll() is not None)  # type: ignore[misc]
            process.kill()
    done = run_process(*command(source, output))
    assert done.code in (0, 1), done
    assert Counter(map(str, ids(output))) == Counter(f"row {number}" for number in range(80))
    assert set(errors_of(output).values()) <= {"ambiguous"}
    assert asked_of(demo) <= Counter(messages), "no message came twice"
    answered = [line for line in read_lines(output) if line["error"] is None]
    assert len(answered) >= 80 - 8


def test_ctrl_c_finishes_what_is_under_way(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", [f"SLOW 1 {number}" for number in range(200)], demo)
    with started(*command(source, output)) as process:
        wait_until(lambda: len(demo.messages) >= 2)
        code, out, err = interrupt(process)
    assert code == 130
    assert b"finishing the messages under way" in err
    answered = len(read_lines(output))
    assert errors_of(output) == {}
    assert f"answered: {answered} of 200".encode() in out
    assert f"not asked: {200 - answered}".encode() in out
    assert asked_of(demo).total() == answered


def test_a_second_ctrl_c_cancels(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", ["SLOW 600", "SLOW 601", "Hello"], demo)
    with started(*command(source, output)) as process:
        wait_until(lambda: len(demo.messages) == 2)
        process.send_signal(2)
        read_until(process, b"finishing", process.stderr)
        code, out, err = interrupt(process)
    assert code == 130
    assert b"Traceback" not in err
    assert b"ambiguous: 2" in out
    assert errors_of(output) == {"row 0": "ambiguous", "row 1": "ambiguous"}


def run_limited(limit: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """The command under a limit of the shell's; one for the size of files stands for a full disk."""
    limited = ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh", sys.executable, "-m", "chatgptt", *argv]
    # Coverage would write its own files under the limit.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    return subprocess.run(
        limited, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment
    )


def test_an_output_without_room_ends_the_batch_which_goes_on_later(
    demo: DemoSite, tmp_path: Path, output: Path
) -> None:
    source = write(tmp_path / "in", [f"BIG 500000 {number}" for number in range(8)], demo)
    done = run_limited("-f 4096", *command(source, output))  # 2 MB, more than the journal takes
    assert (done.returncode, done.stdout) == (1, "")
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr
    assert 1 <= len(read_lines(output)) < 8
    assert run_process(*command(source, output)).code == 1
    assert Counter(map(str, ids(output))) == Counter(f"row {number}" for number in range(8))
    assert set(errors_of(output).values()) == {"ambiguous"}
    assert max(asked_of(demo).values()) == 1


def test_without_room_for_the_journal_nothing_is_sent(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", [f"Question {number} {'x' * 2000}" for number in range(99)], demo)
    done = run_limited("-f 64", *command(source, output))
    assert (done.returncode, done.stdout, demo.requests) == (1, "", [])
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_more_sites_are_asked_than_a_shell_lets_files_be_open(tmp_path: Path, output: Path) -> None:
    with serve(host="0.0.0.0") as demo:
        port = demo.url.rpartition(":")[2]
        sites = [f"http://127.0.0.{number}:{port}/wpaicg/" for number in range(1, 41)]
        (tmp_path / "in").write_text(
            "".join(f"{json.dumps({'message': f'SLOW 1 {site}', 'site': site})}\n" for site in sites)
        )
        done = run_limited("-S -n 40", *command(tmp_path / "in", output))
    assert done.returncode == 0, done


# Progress


def test_a_bar_is_drawn_at_a_terminal(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", ["Hello", "PROVIDER500", "SLOW 0.5", "Bye"], demo)
    with on_terminal(*command(source, output)) as terminal:
        terminal.wait_for("4/4")
        terminal.wait_for("answered: 3 of 4")
        assert terminal.wait_for_end() == 1
    assert "failed: 1" in terminal.seen


def test_elsewhere_there_is_a_line_now_and_then(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines = ""
    with opened(tmp_path / "out") as batch, showing_progress(batch, line_every=0.01):
        end = time.monotonic() + PATIENCE
        while lines.count("\n") < 2 and time.monotonic() < end:
            lines += capfd.readouterr().err
    assert re.fullmatch(r"(0 of 5 done, 0 failed, 0/min, time left: unknown\n){2,}", lines)


def test_rich_is_loaded_at_a_terminal_alone(demo: DemoSite, tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in", ["Hello"], demo)
    script = "import sys; from chatgptt.cli import main; main(sys.argv[1:]); sys.exit('rich' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script, *command(source, output)], timeout=PATIENCE, check=False
    )
    assert done.returncode == 0
