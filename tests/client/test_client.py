"""The client: time, cancellation, streams, conversations, what goes along on every hop, and bad input."""

from __future__ import annotations

import asyncio
import json
import math
from base64 import b64encode
from collections.abc import Callable

import anyio
import httpx
import pytest
from asking import ECHO, Options, answer, client_of, failure
from faults import (
    CHUNKED,
    NONCE,
    WPAICG_PAGE,
    Answer,
    Connection,
    Got,
    always,
    chat,
    chunk,
    closed_port,
    reply,
    serving,
    silence,
    silence_after_head,
    silence_after_text,
)
from proxies import http_proxy, socks5_proxy

from chatgptt import (
    AsyncClient,
    ChatGpttError,
    ClosedError,
    InvalidInputError,
    StreamInterruptedError,
    Timeouts,
    TransportError,
)
from chatgptt.demo import DemoSite, serve

SLACK = 5.0  # far above what any machine needs, far below what a hanging call takes


# Time


@pytest.mark.anyio
@pytest.mark.parametrize("fault", [silence, silence_after_head])
@pytest.mark.parametrize("where", ["page", "message"])
async def test_a_call_ends_at_its_deadline_wherever_it_hangs(where: str, fault: Answer) -> None:
    async with serving(chat(page=fault) if where == "page" else chat(message=fault)) as server:
        async with client_of(server.url) as client:
            with anyio.fail_after(0.3 + SLACK), pytest.raises(TransportError) as caught:
                await client.ask("Hello", timeout=0.3)
        assert caught.value.code == "timeout"
        assert "allow more time with timeout=" in caught.value.hint
        assert ("the site may have answered" in caught.value.hint) == (where == "message")
        await server.until_all_closed()


@pytest.mark.anyio
async def test_a_stream_ends_at_its_deadline_with_the_text_so_far() -> None:
    async with serving(chat(message=silence_after_text)) as server:
        with anyio.fail_after(SLACK):
            error = await failure(server.url, timeout=2.0)
        assert isinstance(error, StreamInterruptedError)
        assert error.partial_text == "Hi "
        await server.until_all_closed()


@pytest.mark.anyio
async def test_a_trickle_of_bytes_does_not_put_off_the_deadline() -> None:
    async def trickle(connection: Connection, got: Got) -> None:
        await connection.send(CHUNKED)
        while True:
            await connection.send(chunk(b": alive\n\n"))
            await asyncio.sleep(0.02)

    async with serving(chat(message=trickle)) as server:
        with anyio.fail_after(SLACK):
            assert (await failure(server.url, timeout=0.3)).code == "timeout"


@pytest.mark.anyio
async def test_finer_bounds_end_a_page_and_a_silence_before_the_whole_call() -> None:
    async with serving(chat(page=silence)) as server:
        with anyio.fail_after(SLACK):
            assert (await failure(server.url, timeout=Timeouts(total=60.0, page=0.1))).code == "timeout"
        assert server.counts == (3, 0)
    async with serving(chat(message=silence)) as server:
        with anyio.fail_after(SLACK):
            assert (await failure(server.url, timeout=Timeouts(total=60.0, silence=0.1))).code == "timeout"
        assert server.counts == (1, 1)


@pytest.mark.anyio
@pytest.mark.parametrize("timeout", [math.inf, 1e9, 5])
async def test_any_time_above_zero_will_do(demo: DemoSite, timeout: float) -> None:
    assert (await answer(demo.page("wpaicg/"), timeout=timeout)).text == f"{ECHO}Hello"


# Cancellation


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/", "wpaicg/no-nonce/"])
async def test_a_client_is_as_good_as_new_after_a_cancellation_at_any_point(
    demo: DemoSite, path: str
) -> None:
    before = asyncio.all_tasks()
    async with client_of(demo.page(path)) as client:
        for number in range(30):
            with anyio.move_on_after(number * 0.002):
                await client.ask(f"SLOWWORDS 0.002 {number}", timeout=20.0)
        assert (await client.ask("Hello")).text == f"{ECHO}Hello"
    await anyio.sleep(0.01)
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_leaving_a_stream_early_closes_its_connection(path: str) -> None:
    before = asyncio.all_tasks()
    with serve() as demo:
        async with client_of(demo.page(path)) as client:
            async with client.stream("SLOWWORDS 3600") as stream:
                assert await anext(stream) == "This "
            assert stream.reply is None
            (seen,) = demo.messages
            assert seen.sent_bytes < 6000
    await anyio.sleep(0.01)
    assert asyncio.all_tasks() == before


async def fail_in_the_middle(client: AsyncClient) -> None:
    async with client.stream("Hello") as stream:
        async for _ in stream:
            raise ZeroDivisionError


@pytest.mark.anyio
async def test_the_server_sees_that_a_stream_was_left() -> None:
    async with serving(chat(message=silence_after_text)) as server, client_of(server.url) as client:
        async with client.stream("Hello") as stream:
            async for piece in stream:
                assert piece == "Hi "
                break
        await server.until_all_closed()
        with pytest.raises(ZeroDivisionError):
            await fail_in_the_middle(client)
        await server.until_all_closed()


@pytest.mark.anyio
async def test_cancelling_a_reader_closes_the_connection() -> None:
    async with serving(chat(message=silence_after_text)) as server, client_of(server.url) as client:
        with anyio.move_on_after(0.2):
            await client.ask("Hello")
        await server.until_all_closed()
        assert server.counts == (1, 1)


# Streams


@pytest.mark.anyio
async def test_pieces_come_as_they_arrive_and_joined_are_the_answer(demo: DemoSite) -> None:
    for path in ("wpaicg/", "aipkit/"):
        async with client_of(demo.page(path)) as client, client.stream("SLOWWORDS 0.005 a b c") as stream:
            pieces = [piece async for piece in stream]
            assert len(pieces) > 5
            assert stream.reply is not None
            assert "".join(pieces) == stream.reply.text == f"{ECHO}SLOWWORDS 0.005 a b c"
            assert 0 < stream.reply.first_text < stream.reply.elapsed
            assert [piece async for piece in stream] == []
            assert (await stream.drain()) is stream.reply


@pytest.mark.anyio
async def test_a_stream_is_read_in_its_block_and_opened_once(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        stream = client.stream("LONG 3000")
        with pytest.raises(ClosedError, match="in its block"):
            await anext(stream)
        assert demo.requests == []
        async with stream:
            await anext(stream)
        with pytest.raises(ClosedError, match="in its block"):
            await stream.drain()
        with pytest.raises(ClosedError, match="opened once"):
            async with stream:
                pass
        async with client.stream("Hello") as stream:
            await stream.drain()
        assert [piece async for piece in stream] == []
    assert len(demo.messages) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_a_second_task_that_reads_a_stream_gets_an_error_and_the_first_all_of_it(
    demo: DemoSite, path: str
) -> None:
    async with client_of(demo.page(path)) as client, client.stream("SLOWWORDS 0.1 a b") as stream:
        text = await anext(stream)
        first = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        for second in (stream.__anext__, stream.drain):
            with pytest.raises(InvalidInputError, match="another task is reading this stream") as caught:
                await second()
            assert caught.value.hint
        text += await first + "".join([piece async for piece in stream])
    assert stream.reply is not None
    assert stream.reply.text == text
    assert len({seen.message for seen in demo.messages}) == 1


@pytest.mark.anyio
async def test_a_stream_that_failed_has_no_answer_to_drain(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client, client.stream("DROP") as stream:
        with pytest.raises(StreamInterruptedError):
            await stream.drain()
        with pytest.raises(InvalidInputError, match="failed before"):
            await stream.drain()


@pytest.mark.anyio
async def test_what_keeps_the_first_piece_from_coming_is_raised_at_the_block_s_beginning(
    demo: DemoSite,
) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        with pytest.raises(ChatGpttError, match="token limit"):
            async with client.stream("QUOTA"):
                raise AssertionError


# Conversations


def said(text: str) -> list[list[str]]:
    turns: list[list[str]] = json.loads(text)
    return [turn for turn in turns if "Answer as the demo" not in turn[1]]


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["wpaicg/", "wpaicg/json/", "wpaicg-1.8.98/", "aipkit/", "wpaicg/assistant/"]
)
async def test_a_conversation_s_messages_know_the_earlier_ones(demo: DemoSite, path: str) -> None:
    async with client_of(demo.page(path)) as client:
        talk = client.conversation()
        first = await talk.ask('I am "Ada" \\o/ 100%41 <b>')
        history = await talk.ask("HISTORY")
        turns = said(history.text)
        assert [role for role, _ in turns] == ["user", "assistant", "user"]
        assert '"Ada"' in turns[0][1].replace("&quot;", '"')
        assert turns[2] == ["user", "HISTORY"]
        assert talk.messages == [
            {"role": "user", "content": 'I am "Ada" \\o/ 100%41 <b>'},
            {"role": "assistant", "content": first.text},
            {"role": "user", "content": "HISTORY"},
            {"role": "assistant", "content": history.text},
        ]
        talk.reset()
        assert talk.messages == []
        assert said((await talk.ask("HISTORY")).text) == [["user", "HISTORY"]]
        assert said((await client.ask("HISTORY")).text) == [["user", "HISTORY"]]


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_what_was_said_elsewhere_can_be_added_to_a_conversation(demo: DemoSite, path: str) -> None:
    async with client_of(demo.page(path)) as client:
        talk = client.conversation()
        await talk.ask("one")
        talk.add("two", "a part of an ans")
        text = (await talk.ask("HISTORY")).text
        assert text.index("one") < text.index("two") < text.index("a part of an ans") < text.index("HISTORY")
        for wrong in ((" ", "answer"), ("message", None)):
            with pytest.raises(InvalidInputError):
                talk.add(*wrong)
        assert len(talk.messages) == 6


@pytest.mark.anyio
async def test_tokens_can_be_had_before_the_first_message(demo: DemoSite) -> None:
    async with client_of(demo.page("aipkit/")) as client:
        box = await client.prepare()
        assert (await client.ask("Hello")).tokens_from == "cache"
        assert box.protocol == "aipkit"
    assert [seen.method for seen in demo.requests].count("GET") == 2  # the page, and the stream of the answer


@pytest.mark.anyio
async def test_an_assistant_s_thread_goes_on_in_a_conversation_and_not_beyond(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/assistant/")) as client:
        talk = client.conversation()
        first, second = [(await talk.ask("THREAD")).text.split() for _ in range(2)]
        assert first[0] == second[0]
        assert (first[2], second[2]) == ("1", "3")
        talk.reset()
        assert (await talk.ask("THREAD")).text.split()[0] != first[0]


@pytest.mark.anyio
async def test_a_message_whose_answer_failed_is_no_part_of_the_conversation(demo: DemoSite) -> None:
    for path in ("wpaicg/", "aipkit/"):
        async with client_of(demo.page(path)) as client:
            talk = client.conversation()
            await talk.ask("one")
            for message in ("QUOTA", "DROP"):
                with pytest.raises(ChatGpttError):
                    await talk.ask(message)
            async with talk.stream("LONG 3000") as stream:
                await anext(stream)
            assert [turn["content"] for turn in talk.messages] == ["one", f"{ECHO}one"]
            await talk.ask("two")
            assert len(talk.messages) == 4


@pytest.mark.anyio
async def test_a_conversation_takes_one_message_at_a_time(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        talk = client.conversation()
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(talk.ask, f"message {number}")
        histories = [len(json.loads(seen.fields["wpaicg_chat_history"])) for seen in demo.messages]
        assert histories == [0, 2, 4, 6, 8]


@pytest.mark.anyio
async def test_a_message_that_waits_for_its_turn_ends_at_its_deadline(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        talk = client.conversation()
        async with talk.stream("SLOWWORDS 3600") as stream:
            await anext(stream)
            with anyio.fail_after(SLACK), pytest.raises(TransportError, match="an earlier message") as caught:
                await talk.ask("Hello", timeout=0.1)
            assert caught.value.code == "timeout"
        assert (await talk.ask("Hello")).text == f"{ECHO}Hello"


@pytest.mark.anyio
async def test_a_system_prompt_is_part_of_every_message_that_goes_alone(demo: DemoSite) -> None:
    folded = "System: Be brief.\nUser: Hello\nAssistant:"
    for path in ("wpaicg/", "aipkit/"):
        async with client_of(demo.page(path)) as client:
            demo.clear()
            await client.ask("Hello", system="Be brief.")
            await client.ask("Hello", system="  ")
            talk = client.conversation(system="Be brief.")
            await talk.ask("Hello")
            await talk.ask("Hello")
            assert [seen.message for seen in demo.messages] == [
                folded,
                "Hello",
                folded,
                folded if path == "wpaicg/" else "Hello",
            ]


@pytest.mark.anyio
async def test_earlier_messages_are_history_in_1x_and_part_of_the_prompt_in_2x(demo: DemoSite) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "Who am I?"},
    ]
    async with client_of(demo.page("wpaicg/")) as client:
        await client.ask(messages)
        await client.ask(messages[1:])
        await client.ask(messages[:3])
    async with client_of(demo.page("aipkit/")) as client:
        await client.ask(messages)
    one, two, three, four = demo.messages
    assert one.message == "System: Be brief.\nUser: Who am I?\nAssistant:"
    assert [entry["text"] for entry in json.loads(one.fields["wpaicg_chat_history"])] == [
        "Human: I am Ada.",
        "AI: Hello Ada.",
    ]
    assert two.message == "Who am I?"
    assert three.message == "System: Be brief.\nUser: I am Ada.\nAssistant: Hello Ada.\nAssistant:"
    assert json.loads(three.fields["wpaicg_chat_history"]) == []
    assert (
        four.message
        == "System: Be brief.\nUser: I am Ada.\nAssistant: Hello Ada.\nUser: Who am I?\nAssistant:"
    )


# What goes along


@pytest.mark.anyio
@pytest.mark.parametrize(
    "path", ["wpaicg/no-nonce/", "aipkit/empty-nonce/", "wpaicg/wrapped-combined/", "moved/"]
)
async def test_every_hop_carries_the_same_headers(demo: DemoSite, path: str) -> None:
    page = demo.page(path)
    await answer(page, headers={"X-Own": "1", "Accept-Language": "fr"}, user_agent="Mine/1.0")
    for seen in demo.requests:
        assert seen.headers["x-own"] == "1"
        assert seen.headers["accept-language"] == "fr"
        assert seen.headers["user-agent"] == "Mine/1.0"
        if seen.method == "POST":
            assert seen.headers["origin"] == demo.url
            assert seen.headers["accept"] == "application/json"
        if seen.message is not None:
            assert seen.headers["referer"] == (demo.page("wpaicg/") if path == "moved/" else page)
    demo.clear()
    await answer(page)
    assert all("Chrome/" in seen.headers["user-agent"] for seen in demo.requests)


@pytest.mark.anyio
async def test_a_login_in_the_url_is_sent_on_every_hop_and_stays_out_of_everything_else(
    demo: DemoSite,
) -> None:
    page = demo.page("aipkit/empty-nonce/").replace("//", "//ada:p%40ss@")
    async with client_of(page) as client:
        reply = await client.ask("Hello")
        assert client.page == reply.page == demo.page("aipkit/empty-nonce/")
    login = f"Basic {b64encode(b'ada:p@ss').decode()}"
    assert [seen.headers.get("authorization") for seen in demo.requests] == [login] * 4
    assert all("ada" not in seen.headers.get("referer", "") for seen in demo.requests)


@pytest.mark.anyio
async def test_nothing_that_we_were_given_follows_a_redirect_to_another_site() -> None:
    async with serving(chat()) as other:
        moved = always(reply("", status=302, headers={"Location": f"{other.url}/chat/"}))
        async with serving(moved) as server:
            result = await answer(
                server.url.replace("//", "//ada:secret@"), headers={"Cookie": "a=b", "X-Own": "1"}
            )
            assert "authorization" in server.got[0].headers
    assert (result.page, result.site) == (f"{other.url}/chat/", other.url)
    assert len(other.got) == 2
    for got in other.got:
        assert not {"authorization", "cookie"} & got.headers.keys()
        assert "x-own" not in got.headers


@pytest.mark.anyio
async def test_a_message_is_not_sent_elsewhere_by_a_redirect(demo: DemoSite) -> None:
    for status in (301, 302, 307, 308):
        there = reply("", status=status, headers={"Location": demo.page("wpaicg/wp-admin/admin-ajax.php")})
        async with serving(chat(message=always(there))) as server:
            error = await failure(server.url)
            assert (error.code, error.status) == ("http_error", status)
            assert "message endpoint redirects to" in error.message
            assert server.counts == (1, 1)
    assert demo.requests == []


@pytest.mark.anyio
@pytest.mark.parametrize("location", ["ftp://a.test/", "mailto:a@b.test", "http://a\x7fb/", "//"])
async def test_a_redirect_that_leads_nowhere_is_an_error_of_the_page(location: str) -> None:
    async with serving(always(reply("", status=302, headers={"Location": location}))) as server:
        assert (await failure(server.url)).code in ("http_error", "connect_error")


@pytest.mark.anyio
async def test_the_place_that_a_page_was_moved_to_is_blamed_for_its_own_failures() -> None:
    there = f"http://127.0.0.1:{closed_port()}/"
    async with serving(always(reply("", status=302, headers={"Location": there}))) as server:
        error = await failure(server.url)
    assert (error.code, error.url) == ("connect_error", there)
    assert there.rstrip("/") in error.message


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/no-nonce/", "aipkit/empty-nonce/"])
async def test_all_hops_go_through_the_proxy(demo: DemoSite, path: str) -> None:
    async with http_proxy() as http, http_proxy(login="ada:s3cret") as guarded, socks5_proxy() as socks:
        for proxy in (http, guarded, socks):
            demo.clear()
            assert (await answer(demo.page(path), proxy=proxy.url)).text == f"{ECHO}Hello"
            if proxy is not socks:
                assert len(proxy.targets) == len(demo.requests)
            else:  # one tunnel serves many requests
                assert {f"http://{target}" for target in proxy.targets} == {demo.url}
        demo.clear()
        error = await failure(demo.page(path), proxy=guarded.url.replace("s3cret", "wr0ng"))
        assert demo.requests == []
        assert "wr0ng" not in f"{error} {error.hint}"


@pytest.mark.anyio
async def test_a_proxy_that_is_not_there_or_says_no_is_a_failure_before_anything_was_sent(
    demo: DemoSite,
) -> None:
    async with http_proxy(login="ada:s3cret") as proxy:
        error = await failure("https://127.0.0.1:9/", proxy=proxy.url.replace("s3cret", "wr0ng"))
        assert isinstance(error, TransportError)
        assert (error.code, error.is_sent, proxy.denied) == ("connect_error", False, 3)
        gone = proxy.url
    error = await failure(demo.page("wpaicg/"), proxy=gone)
    assert isinstance(error, TransportError)
    assert (error.code, error.is_sent) == ("connect_error", False)
    assert demo.requests == []


@pytest.mark.anyio
async def test_the_environments_proxy_is_that_of_the_moment_at_which_the_client_was_made(
    demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    async with http_proxy() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with client_of(demo.page("wpaicg/")) as client:
            monkeypatch.delenv("http_proxy")
            assert (await client.ask("Hello")).text == f"{ECHO}Hello"
            assert len(proxy.targets) == len(demo.requests) == 2
    monkeypatch.setenv("http_proxy", proxy.url)
    async with client_of(demo.page("wpaicg/")) as client:
        monkeypatch.delenv("http_proxy")
        with pytest.raises(TransportError, match="through the proxy"):
            await client.ask("Hello")


@pytest.mark.anyio
async def test_a_client_that_is_handed_in_is_used_with_its_own_settings_and_not_closed(
    demo: DemoSite,
) -> None:
    async with httpx.AsyncClient(
        headers={"x-theirs": "1"}, auth=("ada", "x"), cookies={"a": "b"}, trust_env=False
    ) as http:
        await answer(demo.page("wpaicg/"), http_client=http)
        assert not http.is_closed
        assert all(seen.headers["x-theirs"] == "1" for seen in demo.requests)
        assert all(seen.headers["authorization"].startswith("Basic ") for seen in demo.requests)
        assert all(seen.headers["cookie"] == "a=b" for seen in demo.requests)
    async with client_of(demo.page("wpaicg/"), http_client=http) as client:
        with pytest.raises(InvalidInputError, match="closed"):
            await client.ask("Hello")


# Bad input


GOOD = "http://127.0.0.1:9/"
BAD_CLIENTS: dict[str, tuple[str, Options]] = {
    "no URL": ("", {}),
    "blank URL": ("  ", {}),
    "ftp": ("ftp://site.example/", {}),
    "mail": ("mailto:a@site.example", {}),
    "no host": ("http:///chat", {}),
    "port 0": ("http://site.example:0/", {}),
    "a port that is none": ("http://site.example:chat/", {}),
    "white space": ("http://site.example/a b", {}),
    "half an address": ("http://[::1/", {}),
    "timeout 0": (GOOD, {"timeout": 0.0}),
    "timeout below 0": (GOOD, {"timeout": -1.0}),
    "timeout that is no number": (GOOD, {"timeout": math.nan}),
    "a finer timeout of 0": (GOOD, {"timeout": Timeouts(page=0.0)}),
    "a proxy of an unknown kind": (GOOD, {"proxy": "gopher://127.0.0.1:1"}),
    "a proxy that is no URL": (GOOD, {"proxy": "nonsense"}),
    "a header with a line break": (GOOD, {"headers": {"X-Own": "a\r\nb: c"}}),
    "a header beyond ASCII": (GOOD, {"headers": {"X-Own": "é"}}),
    "a header without a name": (GOOD, {"headers": {"": "x"}}),
    "a header with a blank in its name": (GOOD, {"headers": {"a b": "x"}}),
    "a user agent with a line break": (GOOD, {"user_agent": "a\nb"}),
}
BAD_MESSAGES: dict[str, object] = {
    "empty": "",
    "blank": " \n\t ",
    "0": "0",
    "0 with blanks": " 0\n",
    "over 200 kB": "é" * 100_001,
    "no messages": [],
    "no user turn": [{"role": "system", "content": "x"}, {"role": "assistant", "content": "y"}],
    "a blank user turn": [{"role": "system", "content": "x"}, {"role": "user", "content": " "}],
    "a last user turn of 0": [{"role": "user", "content": "x"}, {"role": "user", "content": "0"}],
    "an unknown role": [{"role": "robot", "content": "x"}],
    "no content": [{"role": "user"}],
    "an image": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    "bytes": b"Hello",
    "a number": 5,
    "a list of texts": ["Hello"],
    "only a call of tools": [{"role": "user", "content": None}],
}


@pytest.mark.anyio
async def test_a_history_of_a_program_with_tools_is_sent(demo: DemoSite) -> None:
    messages: list[dict[str, object]] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "2 + 2?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function"}]},
        {"role": "tool", "tool_call_id": "1", "name": "sum", "content": "4"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "And now?"},
    ]
    for path in ("wpaicg/", "aipkit/"):
        async with client_of(demo.page(path)) as client:
            await client.ask(messages)
    one, two = demo.messages
    assert one.message == "System: Be brief.\nUser: And now?\nAssistant:"
    assert [entry["text"] for entry in json.loads(one.fields["wpaicg_chat_history"])] == [
        "Human: 2 + 2?",
        "Human: Tool: sum: 4",
    ]
    assert two.message == ("System: Be brief.\nUser: 2 + 2?\nTool: sum: 4\nUser: And now?\nAssistant:")


@pytest.mark.parametrize("case", BAD_CLIENTS)
def test_a_client_that_cannot_work_is_not_made(case: str) -> None:
    url, options = BAD_CLIENTS[case]
    with pytest.raises(InvalidInputError) as caught:
        client_of(url, **options)
    assert caught.value.code == "invalid_input"
    assert caught.value.hint
    assert isinstance(caught.value, ValueError)


def test_an_unknown_strategy_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError) as caught:
        AsyncClient(GOOD, strategy="magic")  # type: ignore[arg-type]
    assert caught.value.hint == "use one of auto, static, browser"


@pytest.mark.anyio
@pytest.mark.parametrize("case", BAD_MESSAGES)
async def test_a_message_that_cannot_be_sent_is_refused_before_anything_is(demo: DemoSite, case: str) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        talk = client.conversation()
        for call in (client.ask, client.stream, talk.ask, talk.stream):
            with pytest.raises(InvalidInputError) as caught:  # noqa: PT012 - some fail when called, some when awaited
                pending = call(BAD_MESSAGES[case])  # type: ignore[arg-type]
                if asyncio.iscoroutine(pending):
                    await pending
            assert caught.value.hint
    assert demo.requests == []


@pytest.mark.anyio
async def test_a_conversation_takes_a_single_message(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        two = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
        with pytest.raises(InvalidInputError, match="one message at a time"):
            client.conversation().stream(two)  # type: ignore[arg-type]
        for bad in (0, -1, math.nan):
            with pytest.raises(InvalidInputError, match="leaves no time"):
                await client.ask("Hello", timeout=bad)
            with pytest.raises(InvalidInputError, match="leaves no time"):
                await client.find_boxes(timeout=bad)
    assert demo.requests == []


@pytest.mark.anyio
async def test_a_closed_client_asks_nothing(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    await client.close()
    await client.close()
    calls: list[Callable[[], object]] = [
        lambda: client.ask("a"),
        client.find_boxes,
        lambda: client.conversation().ask("a"),
    ]
    for call in calls:
        with pytest.raises(ClosedError, match="the client is closed"):
            await call()  # type: ignore[misc]
    assert demo.requests == []


@pytest.mark.anyio
async def test_a_message_of_200_kb_arrives(demo: DemoSite) -> None:
    text = "é" * 100_000
    for path in ("wpaicg/", "aipkit/"):
        assert (await answer(demo.page(path), text)).text == f"{ECHO}{text}"


@pytest.mark.anyio
async def test_half_an_emoji_in_a_message_does_no_harm(demo: DemoSite) -> None:
    for path in ("wpaicg/", "aipkit/"):
        assert "ab" in (await answer(demo.page(path), "ab \ud83d")).text


# Odd pages


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("text/html; charset=latin-1", WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("text/html; charset=nonsense", WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("text/html", b'<meta charset="utf-16">' + WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("text/plain", WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("", WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("text/plain", b"not a page", "http_error"),
        ("image/png", b"\x89PNG", "http_error"),
        ("text/html", b"\xff\xfe" + WPAICG_PAGE.format(nonce=NONCE).encode(), "Hi there"),
        ("text/html", b"", "no_chat_box"),
        ("text/html", b"<title>Just a moment...</title><script>window._cf_chl_opt={}</script>", "challenge"),
    ],
    ids=range(10),
)
async def test_a_page_is_told_from_what_is_none(kind: str, body: bytes, expected: str) -> None:
    async with serving(chat(page=always(reply(body, kind=kind)))) as server:
        async with client_of(server.url, strategy="static") as client:
            try:
                told = (await client.ask("Hello")).text
            except ChatGpttError as error:
                told = error.code
        assert told == expected


@pytest.mark.anyio
async def test_a_body_that_cannot_be_unpacked_is_a_failed_connection() -> None:
    async with serving(
        chat(message=always(reply(b"nonsense", headers={"Content-Encoding": "gzip"})))
    ) as server:
        assert (await failure(server.url)).code == "connect_error"
        assert server.counts == (1, 1)


@pytest.mark.anyio
async def test_the_reply_says_how_it_came_about(demo: DemoSite) -> None:
    reply = await answer(demo.page("wpaicg/json/"))
    assert str(reply) == reply.text
    assert reply.as_dict() == {
        "text": f"{ECHO}Hello",
        "site": demo.page("wpaicg"),
        "page": demo.page("wpaicg/json/"),
        "protocol": "wpaicg",
        "bot_id": 4,
        "tokens_from": "html",
        "streamed": False,
        "attempts": 1,
        "page_requests": 1,
        "elapsed_s": round(reply.elapsed, 4),
        "first_text_s": round(reply.first_text, 4),
    }


@pytest.mark.anyio
async def test_frames_that_could_not_be_read_are_logged(
    demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    await answer(demo.page("wpaicg/"), "SPLITLINE")
    assert "1 frames of the answer could not be read" in caplog.text
