"""What every command prints with `--json` is as its schema says, when all is well and when it is not."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.commands import Run, read_until, started
from schemas.schemas import check
from serve.serving import chat, serving

from chatgptt._errors import ChatGpttError, PageError, RefusedError
from chatgptt.batch.documents import as_document
from chatgptt.demo import DemoSite
from chatgptt.state.conversations import Conversations
from chatgptt.state.folder import default_folder
from chatgptt.state.transcript import Transcript

FIXTURES = Path(__file__).parents[2] / "fixtures"
STATIC = ("--strategy", "static")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


@pytest.fixture
def printed(run: Run) -> Callable[..., object]:
    """Runs a command with `--json`, which has to exit with this code; its document."""

    def document(*argv: str, code: int = 0, stdin: bytes = b"") -> object:
        done = run(*argv, "--json", stdin=stdin)
        assert done.code == code, done
        return json.loads(done.out)

    return document


Printed = Callable[..., object]


@pytest.mark.parametrize("page", ["wpaicg/", "wpaicg/json/", "aipkit/"])
def test_ask(page: str, demo: DemoSite, printed: Printed) -> None:
    check("ask", printed("ask", "--site", demo.page(page), "Hello"))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("wpaicg/", "QUOTA"),
        ("wpaicg/", "CUT"),
        ("wpaicg/", "BUSYLONG"),
        ("wpaicg/", "PROVIDER500"),
        ("wpaicg/", "EMPTY"),
        ("wpaicg/nochat/", "Hello"),
        ("never/", "Hello"),
        ("status/404/", "Hello"),
        ("challenge/cloudflare/", "Hello"),
    ],
)
def test_an_error(page: str, message: str, demo: DemoSite, printed: Printed) -> None:
    check("error", printed("ask", *STATIC, "--site", demo.page(page), message, code=1))


def test_an_error_of_the_call(demo: DemoSite, printed: Printed) -> None:
    check("error", printed("ask", "--site", demo.page("wpaicg/"), " ", code=2))
    check("error", printed("health-check", "--expect", "(", code=3))
    check("error", printed("ask", "--bogus", code=2))


def test_chat(demo: DemoSite, printed: Printed) -> None:
    said = b"Hello\nQUOTA\nBye\n"
    check("chat", printed("chat", "--site", demo.page("wpaicg/"), stdin=said, code=1))


@pytest.mark.parametrize("page", ["wpaicg/many/", "aipkit/", "never/"])
def test_inspect(page: str, demo: DemoSite, printed: Printed) -> None:
    check("inspect", printed("inspect", "--site", demo.page(page)))


def test_the_log(demo: DemoSite, printed: Printed) -> None:
    check("conversations", printed("log"))
    log = Conversations(default_folder())
    for name, bot, system in (("", "", ""), ("shop", "5", "Be brief.")):
        transcript = Transcript(page=demo.page("wpaicg/"), name=name, bot=bot, system=system)
        log.keep(transcript.with_exchange("I am Ada.", "Hello Ada.").with_exchange("Who?", "Ada."))
    check("conversations", printed("log"))
    check("conversations", printed("log", "search", "ada"))
    check("conversation", printed("log", "show"))
    check("conversation", printed("log", "export", "1"))
    check("conversations", printed("log", "export", "1", "2"))
    check("error", printed("log", "show", "9", code=2))
    check("log-remove", printed("log", "remove", "1"))


BATCH = ("--rate", "none")


def test_batch(demo: DemoSite, tmp_path: Path, printed: Printed) -> None:
    source = tmp_path / "rows.txt"
    source.write_text("Hello\nEMPTY\nCUT\nDROPFIRST\nPROVIDER500\n")
    for form, schema in (("openai", "batch-row"), ("simple", "batch-row-simple")):
        output = tmp_path / f"{form}.jsonl"
        call = ("batch", str(source), "-o", str(output), "--format", form, *BATCH)
        check("batch", printed(*call, "--site", demo.page("wpaicg/"), code=1))
        lines = [json.loads(line) for line in output.read_text().splitlines()]
        assert len(lines) == 5
        assert {bool(line["error"]) for line in lines} == {True, False}
        for line in lines:
            check(schema, line)


def test_a_batch_whose_site_was_left(demo: DemoSite, tmp_path: Path, printed: Printed) -> None:
    source = tmp_path / "rows.txt"
    source.write_text("QUOTA\nHello\n")
    call = ("batch", str(source), "-o", str(tmp_path / "answers.jsonl"), "--concurrency", "1", *BATCH)
    document = printed(*call, "--site", demo.page("wpaicg/"), code=3)
    check("batch", document)
    assert isinstance(document, dict)
    assert document["left"]


@pytest.mark.parametrize(
    ("page", "options", "code"),
    [
        ("wpaicg/", (), 0),
        ("wpaicg/many/", ("--warn", "0.000001"), 1),
        ("wpaicg/", ("--message", "QUOTA"), 2),
        ("status/404/", (), 2),
        ("scripted/", ("--strategy", "browser"), 3),
    ],
)
def test_health_check(
    page: str, options: tuple[str, ...], code: int, demo: DemoSite, printed: Printed
) -> None:
    check("health-report", printed("health-check", *STATIC, *options, demo.page(page), code=code))


def test_health_checks_and_their_history(demo: DemoSite, printed: Printed) -> None:
    check("health-history", printed("health-check", "--history"))
    pages = [demo.page("wpaicg/"), demo.page("status/404/"), "ftp://site.example/"]
    check("health-reports", printed("health-check", *STATIC, *pages, code=2))
    printed("health-check", *STATIC, "--message", "QUOTA", demo.page("wpaicg/"), code=2)
    printed("health-check", *STATIC, demo.page("wpaicg/"))
    history = printed("health-check", "--history")
    check("health-history", history)
    assert isinstance(history, list)
    assert [bool(page["incidents"]) for page in history] == [True, True]


def test_sites(demo: DemoSite, printed: Printed) -> None:
    check("sites", printed("sites"))
    check("sites-add", printed("sites", "add", "shop", demo.page("wpaicg/many/"), "--bot", "5"))
    check("sites-add", printed("sites", "add", "blog", demo.page("aipkit/"), "--no-check"))
    check("error", printed("sites", "add", *STATIC, "none", demo.page("wpaicg/nochat/"), code=1))
    check("health-report", printed("health-check", "blog"))
    check("sites", printed("sites"))
    check("sites-remove", printed("sites", "remove", "shop"))
    check("error", printed("sites", "remove", "shop", code=2))


@pytest.mark.parametrize("messages", [(), ("Hello", "QUOTA")])
def test_record(messages: tuple[str, ...], demo: DemoSite, tmp_path: Path, printed: Printed) -> None:
    folder = str(tmp_path / "case")
    asked = [word for message in messages for word in ("-m", message)]
    check("record", printed("record", "--site", demo.page("wpaicg/"), *asked, "-o", folder))
    check("record-check", printed("record", "--site", demo.page("wpaicg/"), "--check", folder))
    check("record-check", printed("record", "--site", demo.page("aipkit/"), "--check", folder, code=1))
    check("error", printed("record", "--site", demo.page("wpaicg/"), "-o", __file__, code=1))


def test_recorded_cases() -> None:
    cases = sorted(FIXTURES.glob("*/case.toml"))
    assert cases
    for case in cases:
        check("case", json.loads(json.dumps(tomllib.loads(case.read_text()), default=str)))


@pytest.mark.parametrize(
    ("schema", "argv"),
    [
        ("demo", ("demo", "--port", "0")),
        ("replay", ("replay", str(FIXTURES / "wpaicg-answer-history"))),
        ("serve", ("serve", "--port", "0", "--site", "http://127.0.0.1:9/")),
    ],
)
def test_a_server_says_where_it_is(schema: str, argv: tuple[str, ...]) -> None:
    with started(*argv, "--json") as process:
        check(schema, json.loads(read_until(process, b"}\n")))


def test_a_server_that_cannot_start(printed: Printed) -> None:
    check("error", printed("demo", "--host", "192.0.2.1", code=2))


def test_the_health_of_serve(demo: DemoSite) -> None:
    for page, status in (("wpaicg/", 200), ("wpaicg/nochat/", 503)):
        with serving(demo.page(page)) as endpoint:
            check("serve-health", endpoint.get("/health").json())
            pages = endpoint.get("/health?level=page")
            assert pages.status_code == status
            check("serve-health", pages.json())


def test_errors_of_serve(demo: DemoSite) -> None:
    with serving(demo.page("wpaicg/")) as endpoint:
        for response in (
            endpoint.get("/v1/models/unknown"),
            endpoint.get("/v1/chat/completions"),
            endpoint.post("/v1/chat/completions", json={}),
            endpoint.post("/v1/chat/completions", json=chat("QUOTA")),
            endpoint.post("/v1/chat/completions", json=chat("PROVIDER500")),
        ):
            assert response.is_error
            check("serve-error", response.json())


def test_login_and_logout(demo: DemoSite, printed: Printed, tmp_path: Path) -> None:
    page = ("--site", demo.page("wpaicg/"))
    check("login-check", printed("login", "--check", *page))
    for name, value in (("a", "b"), ("wordpress_logged_in_1f2e", "ada%7C2000000000%7Ct%7Ch")):
        file = tmp_path / "cookies.txt"
        file.write_text(f"127.0.0.1\tFALSE\t/\tFALSE\t0\t{name}\t{value}\n")
        check("login", printed("login", "--import", str(file), *page))
        check("login-check", printed("login", "--check", *page))
    check("login-check", printed("login", "--check", "--site", demo.page("wpaicg/nochat/"), code=1))
    for _ in range(2):
        check("logout", printed("logout", *page))


def test_install_browser(printed: Printed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check("error", printed("install-browser", "--check", code=1))
    browser = tmp_path / "chromium"
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    monkeypatch.setenv("CHATGPTT_BROWSER", str(browser))
    check("install-browser", printed("install-browser", "--check"))


@pytest.mark.parametrize(
    "error", [PageError("blocked", is_block=True), RefusedError("used up", reason="quota", retry_after=3.5)]
)
def test_the_result_of_a_task(error: ChatGpttError, demo: DemoSite, printed: Printed) -> None:
    check("task", as_document(error))
    check("task", printed("ask", "--site", demo.page("wpaicg/"), "Hello"))
