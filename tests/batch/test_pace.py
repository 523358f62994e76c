"""The pace of a site: its rate, its pauses, and when it is left. Time is the test's."""

from __future__ import annotations

import pytest
from batch.batches import make_reply

from chatgptt import (
    AnswerError,
    ChallengeError,
    ChatGpttError,
    PageError,
    ProviderError,
    RateLimitedError,
    RefusedError,
    TransportError,
)
from chatgptt._many import Pace

pytestmark = pytest.mark.anyio


class Time:
    """A clock that only its own sleep moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def pace(self, rate: float | None = None) -> Pace:
        return Pace(rate, clock=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def test_messages_leave_at_the_rate() -> None:
    time = Time()
    pace = time.pace(rate=30.0)
    left = []
    for _ in range(4):
        assert await pace.take_turn()
        left.append(time.now - 1000.0)
    assert left == [0.0, 2.0, 4.0, 6.0]
    time.now += 100.0
    for _ in range(2):
        await pace.take_turn()
    assert time.now == 1108.0, "what was not sent in time is not made up for"


async def test_without_a_rate_nothing_waits() -> None:
    time = Time()
    pace = time.pace()
    for _ in range(100):
        assert await pace.take_turn()
    assert time.now == 1000.0


async def test_after_a_429_all_messages_wait_as_long_as_it_says() -> None:
    time = Time()
    pace = time.pace()
    assert pace.judge(RateLimitedError("busy", retry_after=7.0))
    assert await pace.take_turn()
    assert time.now == 1007.0


async def test_pauses_grow_until_an_answer_comes() -> None:
    time = Time()
    pace = time.pace()
    waits = []
    for _ in range(3):
        before = time.now
        assert pace.judge(RateLimitedError("busy"))
        assert pace.judge(RateLimitedError("busy")), "a second message that left before counts once"
        assert await pace.take_turn()
        waits.append(time.now - before)
    assert waits == [30.0, 60.0, 120.0]
    pace.judge(make_reply("Hi"))
    pace.judge(RateLimitedError("busy"))
    assert await pace.take_turn()
    assert time.now == 1240.0


@pytest.mark.parametrize(("retry_after", "times"), [(None, 4), (1.0, 4), (601.0, 1)])
async def test_a_site_that_has_to_be_waited_for_too_long_is_left(
    retry_after: float | None, times: int
) -> None:
    pace = Time().pace()
    for _ in range(times):
        assert await pace.take_turn()
        assert pace.judge(RateLimitedError("busy", retry_after=retry_after)), "its row was not taken"
    assert not await pace.take_turn()
    assert pace.left is not None
    assert pace.left.code == "rate_limited"


@pytest.mark.parametrize(
    ("error", "is_left"),
    [
        (ChallengeError("wall"), True),
        (PageError("firewall", status=403, is_block=True), True),
        (RefusedError("used up", reason="quota"), True),
        (RefusedError("banned", reason="banned_ip"), True),
        (RefusedError("log in", reason="guests_disabled"), True),
        (RefusedError("agree", reason="consent_required"), True),
        (RefusedError("mind your language", reason="banned_words"), False),
        (RefusedError("flagged", reason="moderation"), False),
        (RefusedError("no", reason="other"), False),
        (PageError("sorry", status=500), False),
        (TransportError("reset"), False),
        (ProviderError("down"), False),
        (AnswerError("empty"), False),
    ],
)
async def test_a_site_is_left_where_it_would_say_the_same_to_all(error: ChatGpttError, is_left: bool) -> None:
    pace = Time().pace()
    assert not pace.judge(error), "its row has ended"
    assert await pace.take_turn() != is_left
    assert pace.left is (error if is_left else None)


async def test_nothing_leaves_once_it_is_stopped() -> None:
    assert not await Time().pace().take_turn(lambda: True)
