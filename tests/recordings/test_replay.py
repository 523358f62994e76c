"""A replayed case: what it answers, in which pieces, and what it says to everything else."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from recordings.catalogue import FOLDER

import chatgptt
from chatgptt import AsyncClient, ChatGpttError, Client
from chatgptt.net.reach import REPLAY_PORTS
from chatgptt.recordings import Ask, Case, Chunk, Exchange, read_case, serve_case, write_case
from chatgptt.recordings.matching import read_fields
from chatgptt.recordings.replay import REPLAYED

STREAM = FOLDER / "wpaicg-page-shortcode"
AJAX = "/wp-admin/admin-ajax.php"


def case_of(*exchanges: Exchange, page: str = "https://site.example/") -> Case:
    return replace(
        read_case(STREAM),
        page=page,
        asks=(Ask(message=None, outcome="found"),),
        boxes=(),
        exchanges=exchanges,
    )


def got(body: bytes, *sizes: int, kind: str = "text/html", **more: object) -> Exchange:
    chunks = tuple(Chunk(size_bytes=size) for size in sizes or (len(body),))
    exchange = Exchange(
        method="GET", path="/", status=200, headers=(("content-type", kind),), body=body, chunks=chunks
    )
    return replace(exchange, **more)  # type: ignore[arg-type]


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False)


def pieces_of(url: str) -> list[bytes]:
    with httpx.stream("GET", url, trust_env=False) as reply:
        return list(reply.iter_raw())


def test_the_client_gets_the_recorded_answer() -> None:
    case = read_case(STREAM)
    with serve_case(case) as site:
        reply = chatgptt.ask(site.messages[0], site.page, state_dir=None)
        assert reply.text == case.asks[0].text
        assert site.misses == []
        assert site.requests == [
            "GET /wpaicg/",
            "POST /wpaicg/wp-admin/admin-ajax.php action=wpaicg_chat_shortcode_message message='Hello'",
        ]


def test_another_message_is_answered_with_what_there_is_instead() -> None:
    with serve_case(read_case(STREAM)) as site, Client(site.page, state_dir=None) as client:
        with pytest.raises(ChatGpttError, match=r"^the recorded case has no reply to POST") as caught:
            client.ask("What else?")
        assert "It answers only what was recorded" in caught.value.message
        assert "message='Hello'" in caught.value.message
        assert (caught.value.code, caught.value.status) == ("invalid_input", 501)
        assert "site itself is failing" not in caught.value.hint
        (miss,) = site.misses
        assert "message='What else?'" in miss
        reply = fetch(f"{site.url}/wpaicg/elsewhere/")
        assert reply.status_code == 501
        assert "no reply to GET /wpaicg/elsewhere/" in reply.text
        assert "  GET /wpaicg/\n" in reply.text


def test_the_root_leads_to_the_recorded_page() -> None:
    with serve_case(read_case(STREAM)) as site:
        reply = fetch(f"{site.url}/")
        assert (reply.status_code, reply.headers["location"]) == (302, site.page)
        assert site.misses == site.page_misses == []
        assert (
            fetch(f"{site.url}/?x=1").status_code
            == httpx.post(f"{site.url}/", trust_env=False).status_code
            == 501
        )


def test_the_root_is_the_recorded_one_where_there_is_one() -> None:
    with serve_case(case_of(got(b"the root"), page="https://site.example/chat/")) as site:
        assert fetch(f"{site.url}/").text == "the root"


def test_a_miss_names_the_field_that_differs() -> None:
    case = read_case(STREAM)
    fields = dict(case.exchanges[1].fields) | {"chat_id": "17", "wpaicg_chat_client_id": "anybody123"}
    with serve_case(case) as site:
        fields["url"] = site.here(fields["url"])
        url = f"{site.url}/wpaicg{AJAX}"
        assert httpx.post(url, data=fields, trust_env=False).status_code == 200
        reply = httpx.post(url, data=fields | {"_wpnonce": "0a1b2c3d4f", "post_id": "8"}, trust_env=False)
        assert reply.status_code == 501
        assert "What differs from a recorded request: _wpnonce, post_id" in reply.text
        del fields["chat_id"]
        assert "chat_id" in httpx.post(url, data=fields, trust_env=False).text


def test_replies_to_the_same_request_come_in_order_and_the_last_one_for_ever() -> None:
    with serve_case(case_of(got(b"first"), got(b"second"))) as site:
        assert [fetch(site.page).text for _ in range(3)] == ["first", "second", "second"]
        site.rewind()
        assert fetch(site.page).text == "first"


def test_a_made_up_address_past_caches_is_known_for_one() -> None:
    cached = got(b"old")
    fresh = got(b"new", query=(("nocache", "*"),))
    missing = got(b"404", path="/0123456789abcdef/", query=(("nocache", "*"),), status=404)
    with serve_case(case_of(cached, fresh, missing)) as site:
        assert fetch(site.page).text == "old"
        assert fetch(f"{site.page}?nocache=aaaabbbbcccc").text == "new"
        assert fetch(f"{site.url}/fedcba9876543210/?nocache=aaaabbbbcccc").status_code == 404


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"https://site.example/a", b"http://HOST/a"),
        (b"https:\\/\\/site.example\\/a", b"http:\\/\\/HOST\\/a"),
        (b"?u=https%3A%2F%2Fsite.example%2Fa", b"?u=http%3A%2F%2FPERCENT%2Fa"),
        (b"//site.example/", b"//HOST/"),
        (
            b"https://cdn.site.example/ https://other-1.example/",
            b"https://cdn.site.example/ https://other-1.example/",
        ),
        (b"mail@site.example", b"mail@site.example"),
    ],
)
def test_addresses_of_the_site_are_this_server_s_however_they_are_escaped(
    text: bytes, expected: bytes
) -> None:
    with serve_case(case_of(got(text))) as site:
        host = site.url.removeprefix("http://").encode()
        assert fetch(site.page).content == expected.replace(b"HOST", host).replace(
            b"PERCENT", host.replace(b":", b"%3A")
        )


def test_chunks_go_out_one_by_one_as_they_were_cut() -> None:
    body = "data: a\n\ndata: 😀\n\n".encode()
    sizes = (3, 6, 8, len(body) - 17)
    with serve_case(case_of(got(body, *sizes, kind="text/event-stream", framing="chunked"))) as site:
        assert [len(piece) for piece in pieces_of(site.page)] == list(sizes)


def test_a_chunk_in_which_an_address_changes_grows_and_the_others_stay() -> None:
    body = b"one https://site.example/ two three"
    with serve_case(case_of(got(body, 4, 22, 9, framing="chunked"))) as site:
        assert pieces_of(site.page) == [b"one ", f"{site.url}/ ".encode(), b"two three"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize(
    ("ending", "error"),
    [("cut", httpx.RemoteProtocolError), ("reset", httpx.ReadError), ("nothing", httpx.RemoteProtocolError)],
)
def test_a_reply_breaks_off_as_it_did(framing: str, ending: str, error: type[Exception]) -> None:
    with (
        serve_case(case_of(got(b"some words", framing=framing, ending=ending))) as site,
        pytest.raises(error),
    ):
        fetch(site.page)


def test_a_body_that_ends_with_its_connection_is_whole() -> None:
    with serve_case(case_of(got(b"words", framing="close"))) as site:
        reply = fetch(site.page)
        assert reply.text == "words"
        assert "content-length" not in reply.headers


def test_statuses_headers_and_redirects_are_the_recorded_ones() -> None:
    moved = got(b"", path="/old", status=301, headers=(("location", "https://site.example/?a=1"),))
    odd = got(
        b"{}",
        query=(("a", "1"),),
        status=520,
        headers=(("content-type", "application/json"), ("cf-mitigated", "challenge")),
    )
    with serve_case(case_of(moved, odd)) as site:
        reply = httpx.get(f"{site.url}/old", follow_redirects=True, trust_env=False)
        assert (reply.status_code, reply.headers["cf-mitigated"]) == (520, "challenge")
        assert reply.headers[REPLAYED] == "https"
        assert str(reply.url) == f"{site.url}/?a=1"


def listening() -> tuple[socket.socket, int]:
    """A server of this machine that has nothing to do with a replay."""
    hidden = socket.create_server(("127.0.0.1", 0))
    hidden.setblocking(False)
    return hidden, int(hidden.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "93.184.216.34", "elsewhere.example"])
@pytest.mark.parametrize("name", ["x-other", REPLAY_PORTS, f"x-other: a\r\n{REPLAY_PORTS}"])
def test_a_replay_leads_to_its_own_ports_alone_whatever_the_case_says(host: str, name: str) -> None:
    hidden, port = listening()
    target = f"http://{host}:{port}/"
    moved = got(b"", status=302, headers=((name, f"{port} {port}"), ("location", target)))
    with hidden, serve_case(case_of(moved)) as site:
        with pytest.raises(ChatGpttError, match="no part of the replayed case") as caught:
            chatgptt.ask("Hello", site.page, strategy="static", state_dir=None)
        assert caught.value.code == "http_error"
        with pytest.raises(BlockingIOError):
            hidden.accept()


def test_what_is_no_http_gets_no_answer_and_harms_nobody() -> None:
    with serve_case(case_of(got(b"words"))) as site:
        port = int(site.url.rpartition(":")[2])
        for data in (
            b"",
            b"\x16\x03\x01 nonsense\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 99999999\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100) == b""
        assert fetch(site.page).text == "words"


def test_a_form_in_parts_is_read_as_scripts_send_it() -> None:
    exchange = got(b"yes", method="POST", path=AJAX, fields=(("action", "x"), ("message", "a b\nc")))
    with serve_case(case_of(exchange)) as site:
        form = {"action": (None, "x"), "message": (None, "a b\nc")}
        assert httpx.post(f"{site.url}{AJAX}", files=form, trust_env=False).text == "yes"


@pytest.mark.parametrize(
    ("kind", "body", "fields"),
    [
        ("application/x-www-form-urlencoded;charset=UTF-8", "a=1&b=x%20y", (("a", "1"), ("b", "x y"))),
        ("application/json", '{"a": 1, "b": ["x"], "c": "d"}', (("a", "1"), ("b", '["x"]'), ("c", "d"))),
        ("application/json", "[1, 2]", (("", "[1, 2]"),)),
        ("application/json", r'{"a": "\ud83d", "\ud83d": 1}', (("a", "?"), ("?", "1"))),
        ("text/plain;charset=UTF-8", "just words", (("", "just words"),)),
        ("application/vnd.api+json", "", ()),
    ],
)
def test_the_fields_of_a_body_are_read_by_its_kind(
    kind: str, body: str, fields: tuple[tuple[str, str], ...]
) -> None:
    assert read_fields(kind, body) == fields


# What a page in a browser asks for

BY_PAGE = {"sec-fetch-mode": "cors"}
FRAME = "elsewhere-1.example"


def test_another_host_is_a_port_of_its_own_under_another_name() -> None:
    page = got(b'<iframe src="https://elsewhere-1.example/chat/">')
    frame = got(b"https://site.example/ https:\\/\\/elsewhere-1.example\\/", path="/chat/", host=FRAME)
    with serve_case(case_of(page, frame)) as site:
        there = fetch(site.page).text.split('"')[1].removesuffix("/chat/")
        assert there.startswith("http://localhost:")
        assert fetch(f"{there}/chat/").text == f"{site.url}/ {there}/".replace(
            f"{there}/", f"{there}/".replace("/", "\\/")
        )
        assert fetch(f"{site.url}/chat/").status_code == 501
        assert fetch(f"{there}/").status_code == 501
        assert site.misses == ["GET /chat/", f"GET //{FRAME}/"]
        assert (
            site.there(f"at {there}/chat/ and {site.url}/")
            == f"at http://{FRAME}/chat/ and http://site.example/"
        )


def test_a_miss_of_a_page_is_noted_apart_from_those_of_the_client() -> None:
    with serve_case(case_of(got(b"page"))) as site:
        assert httpx.get(f"{site.url}/stats", headers=BY_PAGE, trust_env=False).status_code == 501
        assert (site.misses, site.page_misses) == ([], ["GET /stats"])


def test_a_page_s_request_is_known_by_its_names_where_its_values_are_made_up() -> None:
    poll = got(b"poll", path="/poll", query=(("_", "1700000000000"), ("action", "beat")), by="browser")
    with serve_case(case_of(got(b"page"), poll)) as site:

        def ask(query: str, **headers: str) -> int:
            return httpx.get(f"{site.url}/poll?{query}", headers=headers, trust_env=False).status_code

        assert ask("_=1764000000123&action=beat", **BY_PAGE) == 200
        assert ask("_=1764000000123&action=other", **BY_PAGE) == 501
        assert ask("_=1764000000123&action=beat&more=1", **BY_PAGE) == 501
        assert ask("_=1764000000123&action=beat") == 501  # the client makes nothing up


def test_of_several_values_by_one_name_the_last_one_counts(tmp_path: Path) -> None:
    query = (("include[]", "2"), ("", "x"))
    listed = got(b"list", path="/wp-json/", query=query, fields=(("", "words"),), by="browser")
    write_case(case_of(got(b"page"), listed), tmp_path / "case")
    with serve_case(read_case(tmp_path / "case")) as site:
        reply = httpx.request(
            "GET",
            f"{site.url}/wp-json/?include[]=1&include[]=2&=x",
            content="words",
            headers={"content-type": "text/plain"},
            trust_env=False,
        )
        assert reply.text == "list"


def test_a_page_may_send_across_hosts_what_it_sent_when_it_was_recorded() -> None:
    headers = {
        **BY_PAGE,
        "origin": "http://127.0.0.1:1",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    with serve_case(case_of(got(b"page"))) as site:
        reply = httpx.options(f"{site.url}/api", headers=headers, trust_env=False)
        assert reply.status_code == 204
        assert reply.headers["access-control-allow-origin"] == "http://127.0.0.1:1"
        assert reply.headers["access-control-allow-methods"] == "POST"
        assert site.page_misses == []


def test_a_reply_that_never_came_never_comes() -> None:
    hanging = got(b"", path="/hangs.js", status=0, ending="awaited", by="browser")
    with serve_case(case_of(got(b"page"), hanging)) as site:
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{site.url}/hangs.js", timeout=httpx.Timeout(10.0, read=0.5), trust_env=False)
        assert fetch(site.page).text == "page"


def test_delays_are_kept_when_asked_for() -> None:
    """Seen from outside: a reader whose patience is shorter than a recorded delay loses it, in real time alone."""
    slow = got(b"onetwo", framing="chunked", chunks=(Chunk(size_bytes=3), Chunk(size_bytes=3, delay=3.0)))
    impatient = httpx.Timeout(10.0, read=0.5)
    with serve_case(case_of(slow)) as site:
        assert httpx.get(site.page, timeout=impatient, trust_env=False).text == "onetwo"
    with serve_case(case_of(slow), is_real_time=True) as site, pytest.raises(httpx.ReadTimeout):
        httpx.get(site.page, timeout=impatient, trust_env=False)


@pytest.mark.anyio
async def test_many_clients_are_served_at_once() -> None:
    case = read_case(FOLDER / "aipkit-page-inline")
    texts: list[str] = []
    with serve_case(case) as site:

        async def ask() -> None:
            async with AsyncClient(site.page, state_dir=None) as client:
                texts.append((await client.ask("Hello")).text)

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(ask)
        assert site.misses == []
    assert texts == [case.asks[0].text] * 30


def test_a_taken_port_is_an_error() -> None:
    case = case_of(got(b"words"))
    with (
        serve_case(case) as site,
        pytest.raises(OSError, match="in use"),
        serve_case(case, port=int(site.url[-5:].lstrip(":"))),
    ):
        pass


def test_the_plugin_serves_a_case_to_a_user_s_own_suite_and_fails_it_for_a_miss(tmp_path: Path) -> None:
    shutil.copytree(STREAM, tmp_path / "cases" / "stream")
    (tmp_path / "test_mine.py").write_text(
        """
import chatgptt, pytest

def test_it_answers(chat_site):
    site = chat_site("cases/stream")
    assert chatgptt.ask("Hello", site.page, state_dir=None).text.endswith("You wrote: Hello")

def test_it_misses(chat_site):
    site = chat_site("cases/stream")
    with pytest.raises(chatgptt.ChatGpttError):
        chatgptt.ask("Goodbye", site.page, state_dir=None)

def test_it_misses_and_says_so(chat_site):
    site = chat_site("cases/stream")
    with pytest.raises(chatgptt.ChatGpttError):
        chatgptt.ask("Goodbye", site.page, state_dir=None)
    assert site.misses
    site.misses.clear()

def test_two_at_once(chat_site):
    one, two = chat_site("cases/stream"), chat_site("cases/stream")
    assert one.url != two.url
"""
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-rE",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "4 passed, 1 error" in done.stdout, done.stdout + done.stderr
    assert "not in the recorded case: POST /wpaicg/wp-admin/admin-ajax.php" in done.stdout
    assert json.dumps("Goodbye")[1:-1] in done.stdout
