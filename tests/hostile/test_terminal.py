"""A site's words reach a terminal, a monitoring system or a report as words, and JSON as they are."""

from __future__ import annotations

import json
import logging
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import anyio.from_thread
import pytest
from cli.commands import Done, Run, on_terminal, run_process
from faults import NONCE, Answer, Connection, Got, reply, serving
from prometheus_client.parser import text_string_to_metric_families
from wire import aipkit_box, dump, event, failure, json_failure, params, wpaicg_box

from chatgptt.cli import terminal
from chatgptt.cli.record import print_drift
from chatgptt.cli.replay import print_site
from chatgptt.cli.reporting import logging_to_stderr
from chatgptt.recordings import read_case, serve_case

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "clears the screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example/\x1b\\here\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4=\x07",
    "answers back": "\x1b[6n\x1b[c\x1bP$q q\x1b\\",
    "8-bit controls": "\x9b31mred\x9b0m\x9d0;owned\x9c\x90q\x85",
    "overwrites": "good\rbad\b\b\bevil\x7f",
    "bells and pages": "\x07\x0b\x0c\x00\x0e\x0f",
    "right to left": "\u202egnp.exe\u202c \u2067abc\u2069 \u061c\u200e\u200f\u202a\u202b\u202d\u2066\u2068",
    "invisible": "pass\u200bword\u2060\ufeff\u180e\u2063",
    "tags": "".join(chr(0xE0000 + ord(character)) for character in "hidden"),
    "odd line ends": "one\u2028two\u2029three",
    "markup": "[bold]b[/bold] [link=http://evil.example/]l[/link] [/] :bomb: [red",
    "format strings": "%s %d {0} {} $HOME `id` $(id)",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'",
    "output of a plugin": "OK | time=1s;;;0 'a'=1",
}
EVERYTHING = " ".join(HOSTILE.values())

DANGEROUS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
OWN_COLOURS = re.compile(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[[12]?[KA]|\r(?=[\r\n\x1b])|\r\Z")
"""What rich writes itself: colours, its cursor, and lines of a live table that are drawn anew."""

FINE = "Grüße, 漢字, عربي, हिन्दी, 👩\u200d💻, می\u200cخواهم\n\tcode()"


def assert_safe(shown: str) -> None:
    """Nothing in what a terminal got acts on it, other than our own colours and line ends."""
    rest = OWN_COLOURS.sub("", shown).replace("\r\n", "\n")
    found = DANGEROUS.search(rest.replace("\r", "\x00"))
    assert found is None, (found, rest[max(0, found.start() - 40) : found.start() + 10])


# A site that says the worst in each place


def answering(words: str, generation: str = "2.x", *, page: str = "", how: str = "answer") -> Answer:
    """A site whose page has a box of that name, and whose answer or refusal has those words."""
    html = page or (
        aipkit_box(ajaxUrl="/wp-admin/admin-ajax.php", headerName=words, nonce=NONCE)
        if generation == "2.x"
        else wpaicg_box(data_nonce=NONCE)
    )

    async def answer(connection: Connection, got: Got) -> bool:
        body = got.body.decode()
        if "aipkit_frontend_chat_stream" in got.target:
            frames = (
                event({"delta": words}) + event({"finished": True}, "done")
                if how == "answer"
                else failure(words)
            )
            await connection.send(reply(frames, kind="text/event-stream"))
        elif "aipkit_cache_sse_message" in body:
            key = {"success": True, "data": {"cache_key": "aipkit_sse_1"}}
            await connection.send(reply(dump(key), kind="application/json"))
        elif got.is_message:
            said = dump({"status": "success", "data": words}) if how == "answer" else json_failure(words)
            await connection.send(reply(said, kind="application/json"))
        else:
            title = words.encode("utf-8", "replace").decode()
            await connection.send(reply(f"<!doctype html><title>{title}</title><body>{html}"))
        return True

    return answer


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The site's page, served in a thread of its own."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(answer)) as server,
    ):
        yield server.url


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHATGPTT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


def shown_on_terminal(*argv: str) -> tuple[int, str]:
    with on_terminal(*argv) as terminal:
        code = terminal.wait_for_end()
        return code, terminal.seen


# Escaping


@pytest.mark.parametrize("name", HOSTILE)
def test_what_acts_on_a_terminal_is_shown_instead(name: str) -> None:
    shown = terminal.escape(HOSTILE[name])
    assert DANGEROUS.search(shown) is None
    assert "\r" not in shown
    if DANGEROUS.search(HOSTILE[name]) is None and "\r" not in HOSTILE[name]:
        assert shown == HOSTILE[name]


def test_writing_of_all_scripts_is_left_alone() -> None:
    assert terminal.escape(FINE) == FINE


def test_words_on_one_line_look_like_no_line_of_ours() -> None:
    assert terminal.on_one_line("no\r\nhint: run this\tnow\x1b") == "no\\r\\nhint: run this now\\x1b"


# Answers


@pytest.mark.parametrize("generation", ["1.x", "2.x"])
def test_an_answer_on_a_terminal(generation: str) -> None:
    with served(answering(f"{EVERYTHING}\n{FINE}", generation)) as page:
        code, shown = shown_on_terminal("ask", "--plain", "--site", page, "-v", "Hello")
    assert code == 0
    assert_safe(shown)
    assert "[bold]b[/bold] [link=http://evil.example/]l[/link] [/] :bomb: [red" in shown
    assert FINE.replace("\n", "\r\n") in shown
    assert "\\x1b[31mred\\x1b[0m" in shown
    assert "\\x1b]8;;http://evil.example/\\x1b\\here" in shown


def test_an_answer_in_markdown_on_a_terminal() -> None:
    entities = "&#x1b;[2J &#x9b;31m &#x202e; [link](http://evil.example/&#x1b;\x1b) ![](x\x07) `\x1b` <b\x1b>"
    with served(answering(f"{EVERYTHING}\n\n{entities}\n```\n{EVERYTHING}\n```\n| {EVERYTHING} |")) as page:
        code, shown = shown_on_terminal("ask", "--site", page, "Hello")
    assert code == 0
    assert_safe(shown)
    assert shown.count("\\x1b[31mred\\x1b[0m") >= 2


@pytest.mark.parametrize("generation", ["1.x", "2.x"])
def test_an_answer_in_json_is_untouched(run: Run, generation: str) -> None:
    with served(answering(f"{EVERYTHING}\n{FINE}", generation)) as page:
        done = run("ask", "--json", "--site", page, "Hello")
    assert done.document["text"] == f"{EVERYTHING}\n{FINE}"
    assert done.out.isascii()


def test_an_answer_in_a_pipe_is_untouched() -> None:
    with served(answering(f"{EVERYTHING}\n{FINE}")) as page:
        done = run_process("ask", "--site", page, "Hello", env={"PYTHONUTF8": "1"})
    assert done.out == f"{EVERYTHING}\n{FINE}\n"


def test_half_a_character_reaches_nobody(run: Run) -> None:
    with served(answering("a\ud83db\udc00c", "1.x")) as page:
        assert run("ask", "--json", "--site", page, "Hello").document["text"] == "a\ufffdb\ufffdc"


# Errors


@pytest.mark.parametrize("generation", ["1.x", "2.x"])
def test_a_refusals_words_on_a_terminal(generation: str) -> None:
    words = f"{EVERYTHING}\nhint: run this"
    with served(answering(words, generation, how="refusal")) as page:
        code, shown = shown_on_terminal("ask", "--site", page, "-vv", "Hello")
    assert code == 1
    assert_safe(shown)
    assert "[bold]b[/bold]" in shown
    assert "\\x1b[31mred\\x1b[0m" in shown
    assert not re.search(r"^hint: run this", shown, re.M)


@pytest.mark.parametrize("generation", ["1.x", "2.x"])
def test_a_refusals_words_in_json_are_untouched(run: Run, generation: str) -> None:
    words = EVERYTHING.replace("&amp;", "&").replace("\x00", "")
    with served(answering(words, generation, how="refusal")) as page:
        message = run("ask", "--json", "--site", page, "Hello").error["message"]
    assert isinstance(message, str)
    for name in ("colour", "link", "right to left", "tags", "markup"):
        assert HOSTILE[name] in message, name


def test_what_a_page_without_a_box_says_of_itself() -> None:
    page_title = EVERYTHING.replace("<", "")
    with served(answering(page_title, page="<p>")) as page:
        code, shown = shown_on_terminal("ask", "--site", page, "--strategy", "static", "Hello")
    assert code == 1
    assert_safe(shown)


@pytest.mark.parametrize(
    "header", ["Content-Type", "Location", "Retry-After", "Server", "Set-Cookie", "Content-Encoding"]
)
def test_headers_in_errors_and_logs(run: Run, header: str) -> None:
    value = "text/\x1b[2J\x9b31m\x07[bold]"

    async def answer(connection: Connection, got: Got) -> bool:
        status = {"Location": 302, "Retry-After": 429}.get(header, 200)
        head = f"HTTP/1.1 {status} X\r\n{header}: {value}\r\nContent-Length: 4\r\n\r\nabcd"
        await connection.send(head.encode("latin-1"))
        return True

    with served(answer) as page:
        done = run("ask", "--site", page, "--strategy", "static", "--timeout", "5", "-vv", "Hello")
    assert done.code == 1
    assert_safe(done.err)


# Tables


def test_a_bots_name_on_a_terminal() -> None:
    name = f"{EVERYTHING[:3000]}\n99  Fake bot  aipkit"
    page_of = aipkit_box(ajaxUrl="/wp-admin/admin-ajax.php", headerName=name)
    with served(answering("", page=page_of)) as page:
        code, shown = shown_on_terminal("inspect", "--site", page)
    assert code == 0
    assert_safe(shown)
    assert not re.search(r"^\W*99  Fake bot", shown, re.M)


FAKE = "Bot\r\nhint: run this\n  html: run this\x0b\x85\u2028hint: run this"


@pytest.mark.parametrize(
    "argv",
    [
        ("inspect",),
        ("ask", "--bot", "none", "Hello"),
        ("health-check", "--level", "page"),
        ("health-check", "--bot", "none"),
    ],
    ids=["inspect", "no such bot", "a page's check", "a check without a bot"],
)
def test_a_line_end_in_a_bots_name_makes_no_line(argv: tuple[str, ...]) -> None:
    page_of = "".join(
        aipkit_box(ajaxUrl="/wp-admin/admin-ajax.php", headerName=name, botId=bot, nonce=NONCE)
        for bot, name in ((5, FAKE), (6, FAKE[::-1] + FAKE))
    )
    with served(answering("", page=page_of)) as page:
        _, shown = shown_on_terminal(*argv, "--strategy", "static", "-vv", "--site", page)
    assert "run this" in shown
    assert not re.search(r"^ {0,4}(hint|html): run this", shown, re.M)


@pytest.mark.parametrize("is_terminal", [False, True])
def test_what_is_logged_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    with logging_to_stderr(logging.DEBUG):
        logging.getLogger("chatgptt.tokens").info("the bot is called %s", FAKE)
    assert capsys.readouterr().err == (
        "chatgptt.tokens: the bot is called Bot\\r\\nhint: run this\\n  html: run this\\x0b\\x85\\u2028hint: run this\n"
    )


def test_what_was_recorded_and_what_changed_is_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_drift(Path("case"), [f"the bot is called {FAKE}"], as_json=False)
    case = read_case(Path("fixtures/aipkit-2.3.20-stream"))
    with serve_case(replace(case, asks=(replace(case.asks[0], message=FAKE),))) as site:
        print_site(site, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("hint: run this") == 4
    assert not re.search(r"^ *(hint|html): run this", shown, re.M)


def test_a_bots_name_in_json_is_untouched(run: Run) -> None:
    for name, words in HOSTILE.items():
        page_of = aipkit_box(ajaxUrl="/wp-admin/admin-ajax.php", headerName=words.replace("&amp;", "&"))
        with served(answering("", page=page_of)) as page:
            boxes = run("inspect", "--json", "--site", page).document["boxes"]
        assert isinstance(boxes, list)
        expected = " ".join(words.replace("&amp;", "&").split())
        assert " ".join(boxes[0]["name"].split()) == expected, name


def test_a_foreign_endpoints_address_on_a_terminal() -> None:
    url = "http://evil.example/\x1b[2J\u202e/wp-admin/admin-ajax.php"
    page_of = wpaicg_box(data_nonce="") + f"<script>{params(nonce='', ajax_url=url)}</script>"
    with served(answering("", page=page_of)) as page:
        code, shown = shown_on_terminal("ask", "--site", page, "--strategy", "static", "Hello")
    assert code == 1
    assert "evil.example" in shown
    assert_safe(shown)


# Reports


def check(run: Run, page: str, *argv: str) -> Done:
    return run("health-check", "--strategy", "static", "--expect", "never", *argv, page)


FORMS = ["text", "json", "nagios", "prometheus", "junit"]


@pytest.fixture
def site() -> Iterator[str]:
    with served(answering(f"{EVERYTHING}\nhint: run this")) as page:
        yield f"{page}/?a=\"b|c\\d'e"


@pytest.fixture
def refusing() -> Iterator[str]:
    with served(answering(f"{EVERYTHING}\nhint: run this", how="refusal")) as page:
        yield f"{page}/"


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_check_on_a_terminal(request: pytest.FixtureRequest, which: str) -> None:
    page: str = request.getfixturevalue(which)
    code, shown = shown_on_terminal("health-check", "--strategy", "static", "--expect", "never", page, page)
    assert code == 2
    assert_safe(shown)
    assert not re.search(r"^hint: run this", shown, re.M)


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_check_for_nagios_is_one_line_and_its_own_figures(
    run: Run, request: pytest.FixtureRequest, which: str
) -> None:
    done = check(run, request.getfixturevalue(which), "--format", "nagios")
    first, *details = done.out.splitlines()
    assert done.code == 2
    assert first.count("|") == 1
    assert not any("|" in line for line in details)
    assert all(character.isprintable() or character == "\n" for character in done.out)
    labels = re.findall(r"([\w']+)=", first.partition("|")[2])
    assert labels[:3] == ["time", "tcp", "page"]
    assert "a" not in labels


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_check_for_prometheus_is_read_by_its_parser(
    run: Run, request: pytest.FixtureRequest, which: str
) -> None:
    page: str = request.getfixturevalue(which)
    families = {
        family.name: family
        for family in text_string_to_metric_families(check(run, page, "--format", "prometheus").out)
    }
    assert {name.partition("_")[0] for name in families} == {"chatgptt"}
    (up,) = families["chatgptt_up"].samples
    assert up.labels["site"].startswith("http://127.0.0.1:")
    assert set(up.labels) == {"site", "protocol", "name"}


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_check_for_junit_is_xml(run: Run, request: pytest.FixtureRequest, which: str) -> None:
    done = check(run, request.getfixturevalue(which), "--format", "junit")
    root = ElementTree.fromstring(done.out.encode())
    assert {element.tag for element in root.iter()} <= {
        "testsuites",
        "testsuite",
        "testcase",
        "failure",
        "error",
        "skipped",
        "system-out",
    }
    assert len(root.findall(".//testcase")) == 9


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_check_in_json_has_the_words(run: Run, request: pytest.FixtureRequest, which: str) -> None:
    done = check(run, request.getfixturevalue(which), "--json")
    assert done.out.isascii()
    assert "[bold]b[/bold]" in str(json.loads(done.out)) or which == "site"


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(f"{tag} {name}" for name, _ in attrs)}


@pytest.mark.parametrize("which", ["site", "refusing"])
def test_a_report_in_html_has_no_element_of_a_site(
    run: Run, request: pytest.FixtureRequest, tmp_path: Path, which: str
) -> None:
    file = tmp_path / "report.html"
    check(run, request.getfixturevalue(which), "--report", str(file))
    text = file.read_text()
    parser = _Elements()
    parser.feed(text)
    assert "script" not in parser.found
    assert not any("onerror" in name or name == "img" for name in parser.found)
    assert DANGEROUS.search(text) is None
