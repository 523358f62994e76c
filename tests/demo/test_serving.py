from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlencode

import httpx
import pytest
from demo.visitors import Wpaicg

from chatgptt.demo import DemoSite, run, serve
from chatgptt.demo.model import WORDS
from chatgptt.demo.stream import Pieces, after, shaped


def test_nothing_is_left_when_the_block_ends(client: httpx.Client) -> None:
    before = threading.active_count()
    with serve() as site:
        assert client.get(site.page("wpaicg/")).status_code == 200
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        client.get(site.page("wpaicg/"))


def test_a_streaming_visitor_does_not_hold_up_the_end(client: httpx.Client) -> None:
    with contextlib.ExitStack() as visits:
        with serve() as site:
            visitor = Wpaicg(site, client)
            fields = visitor.fields("SLOWWORDS 3600")
            stream = visits.enter_context(client.stream("POST", visitor.ajax, data=fields))
            pieces = stream.iter_bytes()
            assert next(pieces).startswith(b"data: ")
        with pytest.raises(httpx.TransportError):
            list(pieces)


def test_an_error_in_the_block_comes_out_and_the_demo_ends(client: httpx.Client) -> None:
    with pytest.raises(ZeroDivisionError), serve() as site:
        raise ZeroDivisionError
    with pytest.raises(httpx.ConnectError):
        client.get(site.url)


def test_a_pace_changes_no_byte(client: httpx.Client) -> None:
    with serve(pace=0.001, clock=lambda: 0.0) as paced, serve(clock=lambda: 0.0) as site:
        assert Wpaicg(paced, client).send("Hello").content == Wpaicg(site, client).send("Hello").content


def test_demos_run_side_by_side(client: httpx.Client) -> None:
    with serve() as one, serve() as other:
        assert one.url != other.url
        client.get(one.page("wpaicg/"))
        assert (len(one.requests), len(other.requests)) == (1, 0)


def test_a_taken_port_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"), serve(port):
            pass


def test_the_address_may_be_of_another_family(client: httpx.Client) -> None:
    with serve(host="::1") as site:
        assert site.url.startswith("http://[::1]:")
        assert client.get(site.page("/wpaicg/")).status_code == 200


def test_ctrl_c_ends_the_foreground_server() -> None:
    found: list[DemoSite] = []

    def interrupt(site: DemoSite) -> None:
        found.append(site)
        main = threading.main_thread().ident
        assert main is not None
        threading.Timer(0.05, signal.pthread_kill, (main, signal.SIGINT)).start()

    with pytest.raises(KeyboardInterrupt):
        run(port=0, on_ready=interrupt)
    with pytest.raises(httpx.ConnectError), httpx.Client(trust_env=False) as client:
        client.get(found[0].url)


def test_the_log_tells_what_arrived_in_order(site: DemoSite, client: httpx.Client) -> None:
    client.get(site.page("nowhere/"), params={"a": "1", "b": ""}, headers={"X-Two": "x"})
    client.post(site.page("wpaicg/wp-admin/admin-ajax.php"), data={"action": "x"}, files={"f": b"1"})
    first, second = site.requests
    assert (first.method, first.path, first.params, first.status) == (
        "GET",
        "/nowhere/",
        {"a": "1", "b": ""},
        404,
    )
    assert first.headers["x-two"] == "x"
    assert first.at == second.at
    assert second.fields == {"action": "x", "f": "[file upload]"}
    assert (second.status, second.sent_bytes) == (400, 1)


def test_repeated_headers_are_one(site: DemoSite, client: httpx.Client) -> None:
    client.get(site.url, headers=[("X-Two", "a"), ("X-Two", "b")])
    assert site.requests[0].headers["x-two"] == "a, b"


def test_messages_are_the_requests_that_asked_the_ai(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    visitor.send("Hello")
    visitor.send("QUOTA")
    visitor.send("PROVIDER500")
    assert [seen.message for seen in site.messages] == ["Hello", "PROVIDER500"]


def test_clearing_forgets_the_log_and_the_visitors(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/quota/")
    texts = [visitor.send("Hello").text for _ in range(3)]
    assert "tokenLimitReached" in texts[2]
    site.clear()
    assert site.requests == []
    assert "tokenLimitReached" not in visitor.send("Hello").text


def test_the_clock_of_the_demo_dates_its_replies(site: DemoSite, client: httpx.Client) -> None:
    site.advance(86_400.0)
    assert client.get(site.url).headers["date"] == "Tue, 17 Jun 2025 00:01:00 GMT"
    assert site.requests[0].at == 1_750_118_460.0


def test_the_index_lists_every_page_and_every_page_is_there(site: DemoSite, client: httpx.Client) -> None:
    index = client.get(site.url).text
    paths = [line.split('"')[1] for line in index.splitlines() if line.startswith('<li><a href="')]
    assert len(paths) > 100
    assert all(f"<code>{word}</code>" in index for word in WORDS)
    odd = (
        "/status/",
        "/challenge/",
        "/huge",
        "/loop/",
        "/moved/",
        "/slow/",
        "/pdf/",
        "/json-page/",
        "/deep/",
    )
    for path in paths:
        if not path.startswith(odd):
            reply = client.get(site.page(path))
            assert reply.status_code == 200, path
            assert reply.headers["content-type"] == "text/html; charset=UTF-8"
            assert 'class="entry-content"' in reply.text


def test_the_index_begins_with_a_command_and_folds_the_rest(site: DemoSite, client: httpx.Client) -> None:
    first, _, folded = client.get(site.url).text.partition("<details>")
    assert f"chatgptt ask --site {site.url}/wpaicg/ Hello" in first
    assert first.count("<li>") == 4
    titles = re.findall(r"<summary>(.*?) <span", folded)
    assert "<code>/wpaicg-1.8.90/</code> 1.x, 1.8.90: a rejected nonce is JSON with 200" in titles
    assert len(titles) < 20
    assert "<details open" not in folded


def test_paths_outside_are_not_found(site: DemoSite, client: httpx.Client) -> None:
    assert client.get(site.page("nowhere")).status_code == 404
    assert client.get(site.page("wpaicg")).headers["location"] == site.page("wpaicg/")
    assert client.get(site.page("wpaicg/json")).headers["location"] == site.page("wpaicg/json/")
    assert client.get(site.page("aipkit/popup")).headers["location"] == site.page("aipkit/popup/")


def test_a_body_may_come_in_pieces_and_be_too_big(site: DemoSite, client: httpx.Client) -> None:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    reply = client.post(
        site.page("wpaicg/wp-admin/admin-ajax.php"), content=iter([b"a=1&", b"b=2"]), headers=kind
    )
    assert reply.status_code == 400
    assert site.requests[0].fields == {"a": "1", "b": "2"}
    reply = client.post(site.url, content=b"x" * 70_000_000, headers={"content-type": "text/plain"})
    assert reply.status_code == 413


def test_a_client_that_leaves_in_its_request_leaves_no_line(site: DemoSite, client: httpx.Client) -> None:
    port = int(site.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as leaver:
        leaver.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
    client.get(site.url)
    assert [seen.method for seen in site.requests] == ["GET"]


def test_a_thousand_streams_at_once(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    port = int(site.url.rpartition(":")[2])
    body = urlencode(visitor.fields("SLOWWORDS 0.01")).encode()
    head = (
        "POST /wpaicg/wp-admin/admin-ajax.php HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head.encode() + body)
        try:
            return await reader.read()
        finally:
            writer.close()

    async def ask_all() -> list[bytes]:
        return await asyncio.gather(*(ask() for _ in range(1000)))

    replies = asyncio.run(ask_all())
    assert sum(b"data: [DONE]" in reply for reply in replies) == 1000
    assert len(site.messages) == 1000


@pytest.mark.parametrize(
    "wrap",
    [
        lambda pieces: shaped(pieces, "CRLF", None),
        lambda pieces: shaped(pieces, "CHUNKS", 2.0),
        lambda pieces: after(b"first", pieces),
    ],
    ids=["line ends", "chunks", "after"],
)
def test_a_reply_that_is_closed_has_ended_what_it_is_made_of(wrap: Callable[[Pieces], Pieces]) -> None:
    is_ended = False

    async def make() -> Pieces:
        nonlocal is_ended
        try:
            while True:
                yield b"text\n"
        finally:
            is_ended = True

    async def read_and_close() -> bool:
        pieces = wrap(make())
        for _ in range(2):
            await anext(pieces)
        await pieces.aclose()
        return is_ended

    assert asyncio.run(read_and_close())
