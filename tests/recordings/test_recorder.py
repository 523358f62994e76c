"""Recording: what a case holds of a visit, hand-written replies, and what is no case."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from chatgptt import BrowserError, InvalidInputError
from chatgptt.cli.recordings import as_dict, check_case, record_case
from chatgptt.demo import DemoSite
from chatgptt.recordings import CaseError, read_case, read_fault, record, serve_case, write_case
from chatgptt.recordings.client_calls import play
from chatgptt.recordings.drift import find_drift
from chatgptt.recordings.faults import faults_of

pytestmark = pytest.mark.anyio


async def test_a_case_holds_the_exchanges_in_order_with_the_outcome(demo: DemoSite) -> None:
    case = (await record(demo.page("aipkit/"), ["Hello"], note="first")).case
    assert [(one.method, one.status, one.media_type) for one in case.exchanges] == [
        ("GET", 200, "text/html"),
        ("POST", 200, "application/json"),
        ("GET", 200, "text/event-stream"),
    ]
    (ask,) = case.asks
    assert (ask.outcome, ask.rung, ask.attempts, ask.is_streamed) == ("answered", "html", 1, True)
    assert (case.protocol, case.plugin_version, case.note) == ("aipkit", "2.4.71", "first")
    assert case.recorded == datetime.datetime.now(datetime.UTC).date()
    assert case.exchanges[2].framing == "chunked"
    assert len(case.exchanges[2].chunks) > 10
    assert case.exchanges[2].chunks[0].size_bytes == 4099


async def test_what_follows_the_end_of_an_answer_is_recorded_too(demo: DemoSite) -> None:
    case = (await record(demo.page("wpaicg/"), ["GARBAGE"])).case
    body = case.exchanges[-1].body
    assert body.index(b"[DONE]") < body.index(b"critical error")
    refused = (await record(demo.page("wpaicg/"), ["BANIP"])).case
    assert refused.asks[0].reason == "banned_ip"
    assert b"[DONE]" in refused.exchanges[-1].body


async def test_chunks_are_those_of_the_site(demo: DemoSite) -> None:
    case = (await record(demo.page("wpaicg/"), ["CHUNKS 7"])).case
    sizes = [chunk.size_bytes for chunk in case.exchanges[-1].chunks]
    assert max(sizes) <= 11  # of 7 bytes, but where the time in them has its stand-in of the same length
    assert sum(sizes) == len(case.exchanges[-1].body)


async def test_what_a_reply_waits_for_is_recorded_on_a_grid(demo: DemoSite) -> None:
    """The seconds handed in are those of the case, in tenths, and their sum is kept."""
    times = [0.0]

    def ticks() -> float:
        times[0] += 0.04
        return times[0]

    case = (await record(demo.page("wpaicg/"), ["Hello"], ticks=ticks)).case
    delays = [chunk.delay for chunk in case.exchanges[-1].chunks]
    assert {0.0, 0.1} == set(delays)
    assert sum(delays) == pytest.approx(0.04 * len(delays), abs=0.1)


async def test_a_conversation_is_recorded_with_all_its_messages(demo: DemoSite) -> None:
    case = (await record(demo.page("wpaicg/"), ["I am Ada.", "HISTORY"])).case
    assert case.messages == ("I am Ada.", "HISTORY")
    assert [ask.rung for ask in case.asks] == ["html", "cache"]
    assert "I am Ada." in case.asks[1].text
    assert (await play(case)) == (case.asks, ())


async def test_without_a_message_nothing_is_asked(demo: DemoSite) -> None:
    case = (await record(demo.page("wpaicg/many/"))).case
    assert demo.messages == []
    assert len(case.boxes) == 4
    assert [(ask.outcome, ask.rung) for ask in case.asks] == [("found", "html")]


async def test_a_hand_written_reply_stands_in_for_the_site_s(demo: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "reply.http"
    file.write_text(
        "HTTP/1.1 200 OK\nContent-Type: text/event-stream\nX-Ending: cut\n\n"
        'data: {"choices":[{"index":0,"delta":{"content":"Half"}}]}\n\n'
        'data: {"choices":[{"index":0,"delta":{"content":" an"}}]}\n\n'
    )
    case = (await record(demo.page("wpaicg/"), ["Hello"], faults=[read_fault(file)])).case
    assert demo.messages == []
    assert (case.asks[0].outcome, case.asks[0].text) == ("stream_interrupted", "Half an")
    assert (case.exchanges[-1].ending, len(case.exchanges[-1].chunks)) == ("cut", 2)


@pytest.mark.parametrize("ending", ["reset", "nothing", "complete"])
async def test_a_hand_written_reply_ends_as_it_says(demo: DemoSite, tmp_path: Path, ending: str) -> None:
    file = tmp_path / "reply.http"
    file.write_bytes(f"HTTP/1.1 500 Oh\r\ncontent-type: text/html\r\nx-ending: {ending}\r\n\r\n<p>".encode())
    case = (await record(demo.page("aipkit/"), ["Hello"], faults=[None, read_fault(file)])).case
    assert case.asks[0].outcome == ("http_error" if ending == "complete" else "connect_error")
    assert case.exchanges[-1].ending == ending
    assert case.exchanges[-2].status == 200


async def test_a_hand_written_reply_is_none_of_the_site_s_changes(demo: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "reply.http"
    file.write_text(
        'HTTP/1.1 200 OK\nContent-Type: application/json\n\n{"status":"error","msg":"Gone away."}'
    )
    case = (await record(demo.page("aipkit/"), ["Hello"], faults=[None, read_fault(file)])).case
    assert [exchange.is_written for exchange in case.exchanges] == [False, False, True]
    write_case(case, tmp_path / "case")
    assert faults_of(read_case(tmp_path / "case")) == faults_of(case) != [None, None]
    again = (await record(demo.page("aipkit/"), ["Hello"], faults=faults_of(case))).case
    assert find_drift(case, again) == []
    answered = (await record(demo.page("aipkit/"), ["Hello"])).case
    assert find_drift(case, answered) != []


async def test_a_page_that_needs_a_browser_makes_no_case_where_there_is_none(demo: DemoSite) -> None:
    with pytest.raises(BrowserError) as caught:
        await record(demo.page("browser/fetched/"), ["Hello"], strategy="auto")
    assert caught.value.code == "browser_missing"


@pytest.mark.parametrize(
    ("text", "words"),
    [("hello", "status line"), ("HTTP/1.1 200 OK\nx-ending: bang\n\n", "'bang'"), ("", "status line")],
)
async def test_a_file_that_is_no_reply_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "reply.http").write_text(text)
    with pytest.raises(CaseError, match=words):
        read_fault(tmp_path / "reply.http")
    with pytest.raises(CaseError, match="cannot be read"):
        read_fault(tmp_path / "missing")


async def test_a_site_that_nobody_reaches_makes_no_case() -> None:
    with pytest.raises(CaseError, match="could not be recorded"):
        await record("http://127.0.0.1:9/", ["Hello"])


async def test_wrong_input_is_said_before_anything_is_sent(demo: DemoSite) -> None:
    for site, message in (("ftp://127.0.0.1/", "Hello"), (demo.page("wpaicg/"), " ")):
        with pytest.raises(InvalidInputError):
            await record(site, [message])
    assert demo.messages == []


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"<!doctype html><div class='wpaicg-chatbox' data-bot-id=0>" + b"word " * 300_000


class EndlessSite(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/html"}, stream=Endless())


async def test_a_case_of_megabytes_is_none() -> None:
    with pytest.raises(CaseError, match=r"would have .* bytes; nothing was written"):
        await record("https://shop.example/", transport=EndlessSite())


class Https(httpx.AsyncBaseTransport):
    """A site on https, of which the demo is the inside."""

    def __init__(self, demo: DemoSite) -> None:
        self._demo = httpx.URL(demo.url)
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_with(scheme="http", host=self._demo.host, port=self._demo.port)
        inside = httpx.Request(request.method, url, headers=request.headers, stream=request.stream)
        return await self._inner.handle_async_request(inside)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def test_an_https_site_stays_one_when_its_replay_is_recorded(demo: DemoSite) -> None:
    page = "https://www.garden-shop.net/wpaicg/"
    case = (await record(page, ["Hello"], transport=Https(demo), ticks=lambda: 0.0)).case
    assert case.page == "https://site.example/wpaicg/"
    assert {box.ajax_url for box in case.boxes} == {"https://site.example/wpaicg/wp-admin/admin-ajax.php"}
    with serve_case(case) as site:
        assert site.page.startswith("http://127.0.0.1:")
        again = (await record(site.page, ["Hello"], ticks=lambda: 0.0)).case
    assert replace(again, recorded=case.recorded) == case


# As commands, which bring an event loop of their own


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_a_recorded_case_is_read_as_it_was_written(demo: DemoSite, tmp_path: Path) -> None:
    folder = tmp_path / "fixtures" / "mine"
    recorded = record_case(folder, demo.page("wpaicg/"), ["CONTROL"], bot="0", note='a "quoted"\nnote')
    assert read_case(folder) == recorded.case
    told = as_dict(folder, recorded)
    assert (told["protocol"], told["exchanges"], told["boxes"]) == ("wpaicg", 2, 1)
    assert check_case(folder, demo.page("wpaicg/")) == []
    again = record_case(folder, demo.page("wpaicg/json/"), [])
    assert read_case(folder) == again.case
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_a_folder_with_something_else_in_it_is_left_alone(demo: DemoSite, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(CaseError, match="holds no case; nothing was written"):
        record_case(tmp_path, demo.page("wpaicg/"), [])
    (tmp_path / "file").write_text("")
    asked = len(demo.requests)
    with pytest.raises(CaseError, match="file is no folder that may be written to"):
        record_case(tmp_path / "file" / "case", demo.page("wpaicg/"), [])
    with pytest.raises(CaseError, match="cannot be written"):
        record_case(tmp_path / ("a" * 300), demo.page("wpaicg/"), [])
    assert len(demo.requests) == asked  # said before the site is troubled
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_case_is_replaced_by_whatever_name_its_folder_is_given(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "case"
    (tmp_path / "link").symlink_to(folder)
    record_case(folder, demo.page("wpaicg/"), ["Hello"])
    monkeypatch.chdir(folder)
    for name, page in ((Path(), "wpaicg/json/"), (tmp_path / "link", "aipkit/")):
        again = record_case(name, demo.page(page), [])
        assert read_case(folder) == again.case
    assert sorted(path.name for path in tmp_path.iterdir()) == ["case", "link"]


def test_a_case_that_cannot_be_replaced_is_still_there(
    demo: DemoSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "case"
    before = record_case(folder, demo.page("wpaicg/"), ["Hello"]).case
    rename = Path.rename

    def fail_for_what_was_made(path: Path, target: Path) -> Path:
        if path.name == "made":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_for_what_was_made)
    with pytest.raises(CaseError, match="cannot be written"):
        write_case(replace(before, note="another"), folder)
    assert read_case(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["case"]


@pytest.mark.parametrize(("messages", "faults"), [((), 1), (("Hello",), 2)])
def test_a_reply_by_hand_that_no_request_came_for_makes_no_case(
    demo: DemoSite, tmp_path: Path, messages: tuple[str, ...], faults: int
) -> None:
    file = tmp_path / "down.http"
    file.write_text("HTTP/1.1 500 Down\n\n")
    with pytest.raises(CaseError, match="of the hand-written replies took the place"):
        record_case(tmp_path / "case", demo.page("wpaicg/"), messages, faults=[file] * faults)
    assert not (tmp_path / "case").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("format = 1", "format = 2", "another version"),
        ('outcome = "answered"', 'outcome = "great"', "'outcome' cannot be 'great'"),
        ("bot_id = 0", "bot_id = true", "'bot_id' has to be a int"),
        ('body = "01-page.html"', 'body = "../01-page.html"', "is no file of the case"),
        ('body = "01-page.html"', 'body = "99-page.html"', "No such file"),
        ("status = 200", "status = 99999", "is no status"),
        ("chunks = [", "chunks = [1, ", "do not add up"),
        ('action = "wpaicg_chat_shortcode_message"', "action = 1", "has to hold texts"),
        ("[[ask]]", "[ask]", "'ask' has to be a list"),
        ("format = 1", "format = ", "cannot be read"),
    ],
)
def test_a_case_that_does_not_hold_together_is_an_error_that_says_where(
    demo: DemoSite, tmp_path: Path, old: str, new: str, words: str
) -> None:
    record_case(tmp_path / "case", demo.page("wpaicg/"), ["Hello"])
    file = tmp_path / "case" / "case.toml"
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(CaseError, match=words) as caught:
        read_case(tmp_path / "case")
    assert "case.toml" in caught.value.message


def test_a_folder_without_a_case_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="holds no case"):
        read_case(tmp_path)
    (tmp_path / "case.toml").write_text("format = 1")
    with pytest.raises(CaseError, match="holds no case"):
        read_case(tmp_path / "case.toml")


async def test_a_note_with_every_character_is_read_back(demo: DemoSite, tmp_path: Path) -> None:
    case = replace(
        (await record(demo.page("wpaicg/"))).case, note="\x00\x1f\x7f\"'\\\n\té😀\u2028 [x] # = '''"
    )
    write_case(case, tmp_path / "case")
    assert read_case(tmp_path / "case") == case
