from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from cli.commands import Run, run_process

from chatgptt.demo import DemoSite

MADE_UP = "This answer is made up by the demo, no AI was asked. You wrote: "
REPLY_KEYS = [
    "text",
    "site",
    "page",
    "protocol",
    "bot_id",
    "tokens_from",
    "streamed",
    "attempts",
    "page_requests",
    "elapsed_s",
    "first_text_s",
]
ERROR_KEYS = [
    "code",
    "message",
    "hint",
    "url",
    "status",
    "reason",
    "retry_after_s",
    "partial_text",
    "findings",
]


@pytest.mark.parametrize("page", ["wpaicg/", "wpaicg/json/", "wpaicg/widget/", "aipkit/"])
@pytest.mark.parametrize("flags", [(), ("--no-stream",)], ids=["stream", "no-stream"])
def test_answer_is_all_that_stdout_gets(run: Run, site: DemoSite, page: str, flags: tuple[str, ...]) -> None:
    done = run("ask", "--site", site.page(page), "Hello", *flags)
    assert (done.code, done.out, done.err) == (0, f"{MADE_UP}Hello\n", "")


def test_answer_that_ends_its_line_gets_no_second_one(run: Run, site: DemoSite) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), "two lines\nand an end\n")
    assert done.out == f"{MADE_UP}two lines\nand an end\n"


@pytest.mark.parametrize(("page", "protocol"), [("wpaicg/", "wpaicg"), ("aipkit/", "aipkit")])
def test_json_has_the_keys_of_the_contract(run: Run, site: DemoSite, page: str, protocol: str) -> None:
    document = run("ask", "--json", "--site", site.page(page), "Hello").document
    assert list(document) == REPLY_KEYS
    assert document["text"] == f"{MADE_UP}Hello"
    assert document["site"] == site.page(page).rstrip("/")
    assert document["page"] == site.page(page)
    assert document["protocol"] == protocol
    assert (document["tokens_from"], document["streamed"]) == ("html", True)
    assert (document["attempts"], document["page_requests"]) == (1, 1)
    assert isinstance(document["elapsed_s"], float)
    assert isinstance(document["first_text_s"], float)


def test_json_is_ascii(run: Run, site: DemoSite) -> None:
    done = run("ask", "--json", "--site", site.page("wpaicg/"), "CONTROL \u2713")
    assert done.out.isascii()
    assert "\x1b" not in done.out
    assert "\x1b[31mred" in str(done.document["text"])


@pytest.mark.parametrize("arguments", [(), ("-",)], ids=["pipe", "dash"])
def test_message_comes_from_stdin(run: Run, site: DemoSite, arguments: tuple[str, ...]) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), *arguments, stdin="naïve ✓\nsecond\r\n".encode())
    assert done.code == 0
    assert site.messages[0].message == "naïve ✓\nsecond"


def test_byte_order_mark_and_broken_utf8_on_stdin_do_no_harm(run: Run, site: DemoSite) -> None:
    run("ask", "--site", site.page("wpaicg/"), stdin=b"\xef\xbb\xbfa\xffb\n")
    assert site.messages[0].message == "a\ufffdb"


def test_what_is_piped_in_goes_below_the_argument(run: Run, site: DemoSite) -> None:
    run("ask", "--site", site.page("wpaicg/"), "Shorten this:", stdin="naïve ✓\nsecond\n".encode())
    assert site.messages[0].message == "Shorten this:\n\nnaïve ✓\nsecond"


@pytest.mark.parametrize("stdin", [b"", b" \n\n"])
def test_argument_is_the_message_where_nothing_is_piped_in(run: Run, site: DemoSite, stdin: bytes) -> None:
    run("ask", "--site", site.page("wpaicg/"), "Hello", stdin=stdin)
    assert site.messages[0].message == "Hello"


@pytest.mark.parametrize("arguments", [(), ("-",), ("What is this?",)], ids=["pipe", "dash", "argument"])
@pytest.mark.parametrize(
    ("data", "size"), [(b"\x89PNG\r\n\x1a\n\0\0", "10"), (b"\0" * 300_000, "more than 200000")]
)
def test_what_is_no_text_is_refused_with_its_size(
    run: Run, site: DemoSite, arguments: tuple[str, ...], data: bytes, size: str
) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), *arguments, stdin=data)
    assert (done.code, done.out, site.requests) == (2, "", [])
    assert done.err.startswith(f"error: stdin holds {size} bytes that are no text\nhint: ")


def test_system_becomes_part_of_the_message(run: Run, site: DemoSite) -> None:
    run("ask", "--site", site.page("wpaicg/"), "--system", "Answer in French.", "Hello")
    assert site.messages[0].message == "System: Answer in French.\nUser: Hello\nAssistant:"


def test_bot_is_chosen_by_number_and_kind(run: Run, site: DemoSite) -> None:
    page = site.page("wpaicg/many/")
    boxes = run("inspect", "--json", "--site", page).document["boxes"]
    assert isinstance(boxes, list)
    for box in boxes:
        document = run("ask", "--json", "--site", page, "--bot", str(box["bot_id"]), "Hello").document
        assert document["bot_id"] == box["bot_id"]
    assert run("ask", "--site", page, "--bot", "widget", "Hello").code == 0
    assert site.messages[-1].fields["action"] == "wpaicg_chatbox_message"


def test_demo_answers_without_a_site(run: Run, state_dir: Path) -> None:
    done = run("ask", "--demo", "Hello")
    assert (done.code, done.out, done.err) == (0, f"{MADE_UP}Hello\n", "")
    assert not state_dir.exists()


def test_verbose_shows_waits_with_their_reasons(run: Run, site: DemoSite) -> None:
    done = run("ask", "-v", "--site", site.page("wpaicg/"), "BUSY")
    assert done.code == 0
    assert "You wrote: BUSY" in done.out
    first, second, summary = done.err.splitlines()
    assert "before attempt 2 of 3" in first
    assert "before attempt 3 of 3" in second
    assert "HTTP 429" in first
    assert "tokens from html" in summary
    assert "message sent: 3 x" in summary


@pytest.mark.parametrize(("level", "is_found_told"), [("info", False), ("debug", True), ("loud", False)])
def test_log_variable_says_what_is_done(
    run: Run, site: DemoSite, monkeypatch: pytest.MonkeyPatch, level: str, is_found_told: bool
) -> None:
    monkeypatch.setenv("CHATGPTT_LOG", level)
    done = run("ask", "--site", site.page("wpaicg/empty-nonce/"), "Hello")
    assert done.out == f"{MADE_UP}Hello\n"
    assert ("answered by bot 0" in done.err) == (level != "loud")
    assert ("shows no usable nonce" in done.err) == is_found_told


def test_twice_verbose_is_debug(run: Run, site: DemoSite) -> None:
    assert "shows no usable nonce" in run("ask", "-vv", "--site", site.page("wpaicg/empty-nonce/"), "x").err


def test_log_is_quiet_again_in_the_next_call(run: Run, site: DemoSite) -> None:
    page = site.page("wpaicg/")
    assert run("ask", "-v", "--site", page, "x").err.count("answered by") == 1
    assert run("ask", "-v", "--site", page, "x").err.count("answered by") == 1
    assert run("ask", "--site", page, "x").err == ""


def test_site_comes_from_the_environment(run: Run, site: DemoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGPTT_SITE", site.page("aipkit/"))
    assert run("ask", "--json", "Hello").document["protocol"] == "aipkit"
    assert run("ask", "--json", "--site", site.page("wpaicg/"), "x").document["protocol"] == "wpaicg"


@pytest.mark.parametrize(("page", "requests"), [("wpaicg/", 1), ("aipkit/", 2)])
def test_second_process_needs_no_page(site: DemoSite, state_dir: Path, page: str, requests: int) -> None:
    argv = ("ask", "--json", "--site", site.page(page), "Hello")
    assert run_process(*argv).document["tokens_from"] == "html"
    before = len(site.requests)
    document = run_process(*argv).document
    assert (document["tokens_from"], document["page_requests"]) == ("cache", 0)
    assert len(site.requests) - before == requests
    assert len({(seen.fields | seen.params).get("wpaicg_chat_client_id") for seen in site.messages}) == 1
    assert any(state_dir.rglob("*.json"))


# Failures


def test_error_goes_to_stderr_with_its_hint(run: Run, site: DemoSite) -> None:
    done = run("ask", "--site", site.page("wpaicg/nochat/"), "Hello")
    assert (done.code, done.out) == (1, "")
    first, finding, *_, hint = done.err.splitlines()
    assert first == "error: the page has no chat box of the AI Power plugin"
    assert finding.startswith("  html: ")
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("page", "message", "code", "reason"),
    [
        ("wpaicg/nochat/", "Hello", "no_chat_box", None),
        ("never/", "Hello", "browser_missing", None),
        ("wpaicg/", "QUOTA", "refused", "quota"),
        ("aipkit/", "BANWORD", "refused", "banned_words"),
        ("wpaicg/", "PROVIDER500", "provider_error", None),
        ("aipkit/", "NONCE", "token_rejected", None),
        ("wpaicg/", "BUSYLONG", "rate_limited", None),
        ("wpaicg/", "EMPTY", "empty_answer", None),
        ("status/404/", "Hello", "http_error", None),
        ("challenge/message/", "Hello", "challenge", None),
    ],
)
def test_json_error_has_the_keys_of_the_contract(
    run: Run, site: DemoSite, page: str, message: str, code: str, reason: str | None
) -> None:
    done = run("ask", "--json", "--site", site.page(page), message)
    assert (done.code, done.err) == (1, "")
    assert list(done.error) == ERROR_KEYS
    assert (done.error["code"], done.error["reason"]) == (code, reason)
    assert done.error["message"]
    assert done.error["hint"]
    assert str(done.error["url"]).startswith(site.url)
    assert done.error["retry_after_s"] == (7200.0 if code == "rate_limited" else None)
    findings = done.error["findings"]
    assert isinstance(findings, list)
    assert all(list(finding) == ["rung", "saw"] for finding in findings)


def test_tokens_that_no_rung_found_are_told_as_a_list(run: Run, site: DemoSite) -> None:
    page = site.page("never/")
    done = run("ask", "--strategy", "static", "--site", page, "Hello")
    first, *findings, hint = done.err.splitlines()
    assert done.code == 1
    assert first == (
        f"error: Required authentication tokens not found in page HTML: {page} shows a chat box, but no rung "
        "found its tokens"
    )
    assert [line.partition(": ")[0] for line in findings] == ["  html", "  script", *["  endpoint"] * 3]
    assert hint.startswith("hint: ")
    done = run("ask", "--json", "--strategy", "static", "--site", page, "Hello")
    told = done.error["findings"]
    assert isinstance(told, list)
    assert [f"  {one['rung']}: {one['saw']}" for one in told] == findings


def test_a_hint_is_in_words_of_the_command_line(run: Run, site: DemoSite) -> None:
    argv = ("--strategy", "static", "--timeout", "0.3", "--site", site.page("slow/?seconds=20"))
    assert run("ask", *argv, "Hello").err.endswith("hint: allow more time with --timeout\n")
    assert run("ask", "--json", *argv, "Hello").error["hint"] == "allow more time with --timeout"
    done = run("health-check", "--json", *argv)
    assert done.document["hint"] == "allow more time with --timeout"


@pytest.mark.parametrize("flags", [(), ("--no-stream",)], ids=["stream", "no-stream"])
def test_text_before_a_failure_is_printed(run: Run, site: DemoSite, flags: tuple[str, ...]) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), "CUT", *flags)
    assert done.code == 1
    assert done.out == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 \n"
    assert done.err.startswith("error: the answer broke off")


def test_text_before_a_failure_is_in_the_json_error(run: Run, site: DemoSite) -> None:
    error = run("ask", "--json", "--site", site.page("aipkit/"), "DROP").error
    assert error["code"] == "stream_interrupted"
    assert error["partial_text"] == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 "


def test_nobody_listens(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = run("ask", "--json", "--timeout", "1", "--site", f"http://127.0.0.1:{port}/", "Hello")
    assert (done.code, done.error["code"]) == (1, "connect_error")


def test_proxy_is_used_and_its_password_kept(run: Run, site: DemoSite) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    proxy = f"http://me:hunter2@127.0.0.1:{port}"
    done = run("ask", "--timeout", "1", "--proxy", proxy, "--site", site.page("wpaicg/"), "Hello")
    assert done.code == 1
    assert "hunter2" not in done.err
    assert site.requests == []


# Wrong usage


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("",), "the message is empty"),
        (("  \n",), "the message is empty"),
        (("0",), 'the message "0" counts as empty'),
        (("x" * 100_001 + "é" * 50_000,), "over the limit of 200000"),
        (("--site", "ftp://site.example/", "Hello"), "cannot ask a page over 'ftp'"),
        (("--site", "http://", "Hello"), "names no host"),
        (("--timeout", "0", "Hello"), "leaves no time"),
        (("--timeout", "-1", "Hello"), "leaves no time"),
        (("--timeout", "nan", "Hello"), "leaves no time"),
        (("--proxy", "nonsense", "Hello"), "cannot use the proxy"),
    ],
)
def test_wrong_input_is_told_before_anything_is_sent(
    run: Run, site: DemoSite, argv: tuple[str, ...], told: str
) -> None:
    where = () if "--site" in argv else ("--site", site.page("wpaicg/"))
    done = run("ask", *where, *argv)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert told in done.err
    assert "\nhint: " in done.err
    assert site.requests == []
    as_json = run("ask", "--json", *where, *argv)
    assert (as_json.code, as_json.err) == (2, "")
    assert list(as_json.error) == ERROR_KEYS
    assert as_json.error["code"] == "invalid_input"


def test_empty_argument_is_an_empty_message_though_stdin_has_one(run: Run) -> None:
    assert "the message is empty" in run("ask", "", stdin=b"from stdin").err


def test_empty_stdin_is_an_empty_message(run: Run, site: DemoSite) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), stdin=b"\n\n")
    assert (done.code, done.out) == (2, "")


@pytest.mark.parametrize(("size_bytes", "code"), [(200_000, 0), (200_001, 2), (2_000_000, 2)])
def test_size_of_stdin_has_a_limit(run: Run, site: DemoSite, size_bytes: int, code: int) -> None:
    done = run("ask", "--site", site.page("wpaicg/"), stdin=b"x" * size_bytes + b"\n")
    assert done.code == code
    if code:
        assert "longer than the limit of 200000 bytes" in done.err


def test_unknown_bot_names_those_that_are_there(run: Run, site: DemoSite) -> None:
    done = run("ask", "--site", site.page("wpaicg/many/"), "--bot", "77", "Hello")
    assert (done.code, done.out) == (1, "")
    assert "the page has no bot '77'; it has: " in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ("ask", "--strategy", "magic", "Hello"),
        ("ask", "--timeout", "soon", "Hello"),
        ("ask", "--no-such-option"),
        ("ask", "one", "two"),
        ("no-such-command",),
        ("demo", "--port", "99999"),
    ],
)
def test_wrong_options_are_usage_errors(run: Run, argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert (done.code, done.out) == (2, "")
    assert "Usage: chatgptt" in done.err


@pytest.mark.parametrize(
    "argv", [("--help",), ("ask", "-h"), ("chat", "-h"), ("inspect", "-h"), ("demo", "-h")]
)
def test_help(run: Run, argv: tuple[str, ...]) -> None:
    done = run(*argv)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Usage: chatgptt")


def test_version(run: Run) -> None:
    done = run("--version")
    assert (done.code, done.out.split()[0]) == (0, "chatgptt")


def test_installed_script_is_the_same_command(site: DemoSite) -> None:
    script = shutil.which("chatgptt", path=str(Path(sys.executable).parent))
    assert script is not None
    done = subprocess.run(
        [script, "ask", "--site", site.page("wpaicg/"), "Hello"], capture_output=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{MADE_UP}Hello\n", b"")
