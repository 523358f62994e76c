"""ask_many: each row once with its answer or its error, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest
from asking import ECHO, QUICK, client_of
from faults import chat, reply, serving

from chatgptt import ChallengeError, ChatGpttError, Client, InvalidInputError, PageError, Reply
from chatgptt._many import Pace, ask_many
from chatgptt.demo import DemoSite


def text(result: Reply | ChatGpttError) -> str:
    return result.text if isinstance(result, Reply) else result.code


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
async def test_each_row_comes_once_with_its_answer_or_error(path: str, demo: DemoSite) -> None:
    rows = [f"Question {number}" for number in range(20)] + ["PROVIDER500", " "]
    async with client_of(demo.page(path)) as client:
        results = {row: text(result) async for row, result in client.ask_many(rows, concurrency=4)}
    assert results == {
        **{row: ECHO + row for row in rows[:20]},
        "PROVIDER500": "provider_error",
        " ": "invalid_input",
    }
    assert len(demo.messages) == 21


@pytest.mark.anyio
async def test_a_row_may_be_messages_or_name_system_and_bot(demo: DemoSite) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "message": "Hello", "system": "Be brief."},
        {"id": 2, "message": [{"role": "user", "content": "Hi"}], "bot": 5},
        {"id": 3, "message": "Hello", "bot": "nobody"},
        {"id": 4, "text": "Hello"},
    ]
    async with client_of(demo.page("wpaicg/many/")) as client:
        results = {row["id"]: result async for row, result in client.ask_many(rows)}
    first, second = results[1], results[2]
    assert isinstance(first, Reply)
    assert "System: Be brief." in first.text
    assert isinstance(second, Reply)
    assert (second.text, second.bot_id) == (f"{ECHO}Hi", 5)
    assert (text(results[3]), text(results[4])) == ("no_chat_box", "invalid_input")


@pytest.mark.anyio
async def test_rows_are_taken_as_they_are_needed(demo: DemoSite) -> None:
    taken = []

    def rows() -> Iterator[str]:
        for number in range(100):
            taken.append(number)
            yield f"Question {number}"

    async with client_of(demo.page("wpaicg/")) as client:
        answers = client.ask_many(rows(), concurrency=2)
        async for _ in answers:
            break
        await answers.aclose()
    assert len(taken) == 2


@pytest.mark.anyio
async def test_no_more_are_under_way_than_wanted(demo: DemoSite) -> None:
    async with client_of(demo.page("wpaicg/")) as client:
        async for row, _ in client.ask_many((f"Question {number}" for number in range(9)), concurrency=1):
            assert demo.messages[-1].message == row


@pytest.mark.anyio
async def test_after_a_challenge_nothing_more_is_sent() -> None:
    wall = reply("<title>Just a moment...</title>", status=403, headers={"cf-mitigated": "challenge"})

    async def challenge(connection: object, got: object) -> bool:
        await connection.send(wall)  # type: ignore[attr-defined]
        return True

    async with serving(chat(message=challenge)) as server, client_of(server.url) as client:
        results = [result async for _, result in client.ask_many(["a", "b", "c", "d"], concurrency=1)]
    assert [text(result) for result in results] == ["challenge"] * 4
    assert isinstance(results[-1], ChallengeError)
    assert server.counts == (1, 1)


@pytest.mark.anyio
async def test_a_box_that_is_not_there_is_looked_for_once_and_the_others_are_asked(demo: DemoSite) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "message": "Hello", "bot": "nobody"},
        {"id": 2, "message": "Hello", "bot": "nobody"},
        {"id": 3, "message": "Hello", "bot": 5},
        {"id": 4, "message": "Hello"},
    ]
    async with client_of(demo.page("wpaicg/many/")) as client:
        results = {row["id"]: result async for row, result in client.ask_many(rows, concurrency=1)}
    assert results[2] is results[1]
    assert [text(results[number]) for number in (1, 3, 4)] == [
        "no_chat_box",
        f"{ECHO}Hello",
        f"{ECHO}Hello",
    ]


@pytest.mark.anyio
async def test_a_row_that_waits_for_its_turn_is_not_asked_once_its_box_is_missing() -> None:
    now, asked = 0.0, []
    waits, others_wait, is_missing = 0, anyio.Event(), anyio.Event()

    async def sleep(seconds: float) -> None:
        nonlocal now, waits
        waits += 1
        if waits == 5:
            others_wait.set()
        await is_missing.wait()
        now += seconds

    async def ask(row: str) -> Reply:
        asked.append(row)
        await others_wait.wait()
        is_missing.set()
        raise PageError("no page", status=404)

    rows = [f"Question {number}" for number in range(10)]
    pace = Pace(120.0, clock=lambda: now, sleep=sleep)
    with anyio.fail_after(30):
        answers = ask_many(rows, ask, pace, bot_of=lambda _: "", concurrency=6)
        results = {row: text(result) async for row, result in answers}
    assert asked == rows[:1]
    assert results == dict.fromkeys(rows, "http_error")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("concurrency", "rate"), [(0, None), (1.5, None), (True, None), (2, 0), (2, -1.0), (2, "10/min")]
)
async def test_numbers_with_which_no_message_can_be_sent_are_refused(
    concurrency: int, rate: float | None
) -> None:
    async with client_of("https://site.example") as client:
        with pytest.raises(InvalidInputError):
            client.ask_many(["Hello"], concurrency=concurrency, rate=rate)


def test_the_sync_client_does_the_same(demo: DemoSite) -> None:
    rows = [f"Question {number}" for number in range(10)]
    with Client(demo.page("wpaicg/"), state_dir=None, retry=QUICK) as client:
        results = {row: text(result) for row, result in client.ask_many(rows, concurrency=3)}
        assert results == {row: ECHO + row for row in rows}
        next(client.ask_many(rows))
        assert client.ask("Hello").text == f"{ECHO}Hello"
    with pytest.raises(InvalidInputError, match="closed"):
        next(client.ask_many(rows))


def test_the_sync_client_may_be_closed_in_the_middle(demo: DemoSite) -> None:
    client = Client(demo.page("wpaicg/"), state_dir=None, retry=QUICK)
    answers = client.ask_many(["SLOW 60", "Hello"])
    assert next(answers)[0] == "Hello"
    client.close()
    with pytest.raises(InvalidInputError, match="closed"):
        next(answers)


def test_a_source_that_fails_says_so(demo: DemoSite) -> None:
    def rows() -> Iterator[str]:
        yield "Hello"
        raise KeyError("of the caller")

    client = Client(demo.page("wpaicg/"), state_dir=None, retry=QUICK)
    with client, pytest.raises(KeyError, match="of the caller"):
        list(client.ask_many(rows(), concurrency=1))
