"""The schedule: all sites beside each other, each at its own pace. The sites are the test's."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from batch.batches import ids, make_reply, make_row, opened, read_lines

from chatgptt import ChatBoxNotFoundError, ChatGpttError, PageError, RateLimitedError, RefusedError, Reply
from chatgptt.batch.rows import Row
from chatgptt.batch.schedule import Ask, Manners, Schedule

pytestmark = pytest.mark.anyio

FAST = Manners(concurrency=2, rate=None)
A, B = "https://a.example", "https://b.example"
Answer = Callable[[Row], Awaitable[Reply | ChatGpttError]]


class Sites:
    """A sender that notes who asked whom, and how many at once."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[str] = []
        self.open: list[str] = []
        self.most: Counter[str] = Counter()
        self._answer = answer
        self._under_way: defaultdict[str, int] = defaultdict(int)

    @asynccontextmanager
    async def __call__(self, origin: str) -> AsyncIterator[Ask]:
        self.open.append(origin)
        yield self._ask
        self.open.remove(origin)

    async def _ask(self, row: Row) -> Reply | ChatGpttError:
        self.asked.append(row.id)
        self._under_way[row.origin] += 1
        self.most[row.origin] = max(self.most[row.origin], self._under_way[row.origin])
        await anyio.lowlevel.checkpoint()
        try:
            return await self._answer(row)
        finally:
            self._under_way[row.origin] -= 1


async def say(row: Row) -> Reply | ChatGpttError:
    return make_reply(f"Answer {row.number}")


def two_sites(count: int) -> list[Row]:
    """All rows of the one come before those of the other."""
    return [make_row(number, A if number <= count else B) for number in range(1, 2 * count + 1)]


async def test_each_row_is_asked_once_and_no_site_by_more_than_it_may(tmp_path: Path) -> None:
    sites = Sites(say)
    with opened(tmp_path / "out", two_sites(20)) as batch:
        await Schedule(batch, sites, Manners(concurrency=3, rate=None)).run()
        assert batch.counts["answered"] == batch.total == 40
    assert sorted(sites.asked) == sorted(row.id for row in two_sites(20))
    assert sites.most == {A: 3, B: 3}
    assert sites.open == []
    texts = {line["id"]: line["text"] for line in read_lines(tmp_path / "out")}
    assert texts == {row.id: f"Answer {row.number}" for row in two_sites(20)}


async def test_a_site_that_waits_does_not_hold_up_another(tmp_path: Path) -> None:
    all_of_b = anyio.Event()

    async def answer(row: Row) -> Reply | ChatGpttError:
        if row.origin == A:
            await all_of_b.wait()
        elif row.number == 40:
            all_of_b.set()
        return await say(row)

    with opened(tmp_path / "out", two_sites(20)) as batch, anyio.fail_after(30):
        await Schedule(batch, Sites(answer), Manners(concurrency=1, rate=None)).run()
        assert batch.counts["answered"] == 40


async def test_a_site_whose_quota_is_used_up_is_left_and_the_others_go_on(tmp_path: Path) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        return RefusedError("used up", reason="quota") if row.number == 3 else await say(row)

    sites = Sites(answer)
    with opened(tmp_path / "out", two_sites(10)) as batch:
        schedule = Schedule(batch, sites, Manners(concurrency=1, rate=None))
        await schedule.run()
        assert batch.counts == {"answered": 12, "error": 1, "new": 7, "asked": 0}
    assert {origin: error.code for origin, error in schedule.left.items()} == {A: "refused"}
    assert "row 4" not in sites.asked
    again = Sites(say)
    with opened(tmp_path / "out", two_sites(10)) as batch:
        await Schedule(batch, again, FAST).run()
    assert again.asked == [f"row {number}" for number in range(4, 11)]


@pytest.mark.parametrize(
    "error",
    [ChatBoxNotFoundError("no box"), PageError("no page", status=404), PageError("log in", status=401)],
    ids=["box", "404", "401"],
)
async def test_the_rows_for_a_box_that_is_not_there_stay_new_and_other_boxes_go_on(
    error: ChatGpttError, tmp_path: Path
) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        return error if row.site == "missing" or row.bot == "7" else await say(row)

    rows = [
        replace(make_row(number), site=site, bot=bot)
        for number, (site, bot) in enumerate(
            [("missing", ""), ("page", "7"), ("missing", ""), ("page", ""), ("page", "7"), ("page", "")], 1
        )
    ]
    sites = Sites(answer)
    with opened(tmp_path / "out", rows) as batch:
        schedule = Schedule(batch, sites, Manners(concurrency=1, rate=None))
        await schedule.run()
        assert batch.counts == {"answered": 2, "error": 2, "new": 2, "asked": 0}
    assert sites.asked == ["row 1", "row 2", "row 4", "row 6"]
    assert schedule.passed_over == {("missing", ""): error, ("page", "7"): error}
    assert schedule.left == {}, "its other boxes were asked"


async def test_a_row_that_waits_for_its_turn_is_not_asked_once_its_box_is_missing(tmp_path: Path) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        return PageError("no page", status=404) if row.site == "missing" else await say(row)

    rows = [replace(make_row(number), site="missing" if number < 10 else "page") for number in range(1, 13)]
    sites = Sites(answer)
    with opened(tmp_path / "out", rows) as batch, anyio.fail_after(30):
        schedule = Schedule(batch, sites, Manners(concurrency=5, rate=600.0))
        await schedule.run()
        assert batch.counts == {"answered": 3, "error": 1, "new": 8, "asked": 0}
    assert sorted(sites.asked) == ["row 1", "row 10", "row 11", "row 12"]
    assert list(schedule.passed_over) == [("missing", "")]


async def test_a_row_that_the_site_did_not_take_is_not_asked_again_once_its_box_is_missing(
    tmp_path: Path,
) -> None:
    is_missing = anyio.Event()

    async def answer(row: Row) -> Reply | ChatGpttError:
        match row.number:
            case 1:
                return ChatBoxNotFoundError("no box")
            case 2:
                await is_missing.wait()
                return RateLimitedError("busy", retry_after=0.01)
            case _:
                is_missing.set()
                return await say(row)

    rows = [replace(make_row(number), bot="5" if number == 3 else "") for number in (1, 2, 3)]
    sites = Sites(answer)
    with opened(tmp_path / "out", rows) as batch, anyio.fail_after(30):
        schedule = Schedule(batch, sites, FAST)
        await schedule.run()
        assert batch.counts == {"answered": 1, "error": 1, "new": 1, "asked": 0}
    assert sites.asked == ["row 1", "row 2", "row 3"]
    assert list(schedule.passed_over) == [(f"{A}/chat", "")]


async def test_a_missing_box_whose_rows_have_all_ended_is_not_passed_over(tmp_path: Path) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        return ChatBoxNotFoundError("no box")

    with opened(tmp_path / "out", [make_row(1)]) as batch:
        schedule = Schedule(batch, Sites(answer), FAST)
        await schedule.run()
    assert schedule.passed_over == {}


async def test_a_row_that_the_site_did_not_take_is_asked_after_the_pause(tmp_path: Path) -> None:
    busy = Counter[str]()

    async def answer(row: Row) -> Reply | ChatGpttError:
        busy[row.id] += 1
        if row.number == 2 and busy[row.id] == 1:
            return RateLimitedError("busy", retry_after=0.05)
        return await say(row)

    with opened(tmp_path / "out", [make_row(number) for number in (1, 2, 3)]) as batch:
        await Schedule(batch, Sites(answer), FAST).run()
        assert batch.counts["answered"] == 3
    assert busy == {"row 1": 1, "row 2": 2, "row 3": 1}


async def test_a_row_that_a_site_to_be_left_did_not_take_stays_new(tmp_path: Path) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        return RateLimitedError("nothing was sent", retry_after=3600.0)

    with opened(tmp_path / "out", two_sites(3)[:3]) as batch:
        schedule = Schedule(batch, Sites(answer), FAST)
        await schedule.run()
        assert batch.counts == {"new": 3, "asked": 0}
    assert schedule.left[A].code == "rate_limited"


async def test_a_stop_finishes_what_is_under_way_also_while_the_rate_waits(tmp_path: Path) -> None:
    with opened(tmp_path / "out", two_sites(5)) as batch, anyio.fail_after(30):

        async def answer(row: Row) -> Reply | ChatGpttError:
            schedule.stop()
            return await say(row)

        schedule = Schedule(batch, Sites(answer), Manners(concurrency=2, rate=0.1))
        await schedule.run()
        assert batch.counts == {"answered": 2, "new": 8, "asked": 0}


async def test_what_is_cancelled_is_ambiguous(tmp_path: Path) -> None:
    under_way = anyio.Event()

    async def answer(row: Row) -> Reply | ChatGpttError:
        if row.number == 3:
            under_way.set()
            await anyio.sleep_forever()
        return await say(row)

    with opened(tmp_path / "out", two_sites(5)[:5]) as batch, anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Schedule(batch, Sites(answer), Manners(concurrency=1, rate=None)).run)
            await under_way.wait()
            tasks.cancel_scope.cancel()
        assert batch.counts == {"answered": 2, "ambiguous": 1, "new": 2, "asked": 0}
    assert ids(tmp_path / "out") == ["row 1", "row 2", "row 3"]


async def test_an_error_of_the_disk_comes_out_as_it_is(tmp_path: Path) -> None:
    async def answer(row: Row) -> Reply | ChatGpttError:
        raise OSError("no space")

    with opened(tmp_path / "out") as batch, pytest.raises(OSError, match="no space"):
        await Schedule(batch, Sites(answer), FAST).run()
