"""What every store promises, over all three: two stores that share a place are two processes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from scale.redis_server import RedisServer

from chatgptt import FileStore, MemoryStore, RedisStore, Store
from chatgptt._models import ChatBox, Tokens

pytestmark = pytest.mark.anyio
NOW = 1_750_000_000.0
HOUR = 3600.0
OLD, NEW = "aaaaaaaaa1", "bbbbbbbbb2"
_numbers = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def site() -> str:
    """A site that no other test has in the Redis that they share."""
    return f"https://site-{next(_numbers)}.example"


@pytest.fixture(params=["memory", "file", "redis"])
async def opened(
    request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer, clock: Clock
) -> AsyncIterator[Callable[[], Store]]:
    """Opens the place again, as another process would; in memory there is one place and one process."""
    memory = MemoryStore(clock)
    kinds: dict[str, Callable[[], Store]] = {
        "memory": lambda: memory,
        "file": lambda: FileStore(tmp_path / "stores", clock),
        "redis": lambda: RedisStore(redis.url, clock),
    }
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(kinds[request.param]())
        return stores[-1]

    yield open_one
    for store in stores:
        await store.close()


@pytest.fixture
async def two(opened: Callable[[], Store]) -> tuple[Store, Store]:
    return opened(), opened()


Stores = tuple[Store, Store]


def tokens(site: str, nonce: str = OLD, at: float = NOW) -> Tokens:
    url = f"{site}/wp-admin/admin-ajax.php"
    box = ChatBox(
        protocol="wpaicg", kind="shortcode", bot_id=0, post_id=7, ajax_url=url, nonce=nonce, found_by="html"
    )
    return Tokens(box=box, nonce=nonce, page=f"{site}/", rung="html", acquired_at=at)


async def test_the_first_ids_win_and_never_change(
    opened: Callable[[], Store], site: str, clock: Clock
) -> None:
    stores, found = [opened() for _ in range(10)], set()

    async def ask(store: Store) -> None:
        found.add(await store.visitor(site))

    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(ask, store)
    clock.now += 10 * 365 * 24 * HOUR
    assert {await store.visitor(site) for store in [*stores, opened()]} == found
    assert len(found) == 1


async def test_sites_have_ids_of_their_own(two: Stores, site: str) -> None:
    assert await two[0].visitor(site) != await two[1].visitor(f"{site}:8443")


async def test_what_one_keeps_the_other_finds(two: Stores, site: str) -> None:
    one, other = two
    assert await other.find(site, "key") is None
    await one.put(site, "key", tokens(site))
    assert await other.find(site, "key") == tokens(site)
    assert await other.find(site, "another key") is None
    assert await other.find(site, "key", frozenset({OLD})) is None


async def test_tokens_are_given_no_longer_than_a_nonce_surely_lives(
    two: Stores, site: str, clock: Clock
) -> None:
    await two[0].put(site, "key", tokens(site))
    clock.now += 12 * HOUR
    assert [await store.find(site, "key") for store in two] == [None, None]


async def test_dropping_spares_tokens_that_took_the_place_of_the_rejected_ones(
    two: Stores, site: str
) -> None:
    one, other = two
    await one.put(site, "key", tokens(site, OLD))
    await other.put(site, "key", tokens(site, NEW))
    await one.drop(site, "key", OLD)
    assert await one.find(site, "key") == tokens(site, NEW)
    await one.drop(site, "key", NEW)
    await other.cool_until(site)  # as before every message
    assert await other.find(site, "key") is None


async def test_one_learns_from_the_other_that_a_page_needs_a_browser(two: Stores, site: str) -> None:
    one, other = two
    await one.put(site, "key", replace(tokens(site), rung="browser"))
    assert await other.needs_browser(site, "key")
    assert await other.needed_browser(site, "key")
    assert not await other.needs_browser(site, "another key")


async def test_a_site_that_wants_no_message_is_left_alone_by_both(
    two: Stores, site: str, clock: Clock
) -> None:
    one, other = two
    assert [await store.cool_until(site) for store in two] == [0.0, 0.0]
    await one.cool(site, 30.0)
    assert [await store.cool_until(site) for store in two] == [NOW + 30, NOW + 30]
    await other.cool(site, 10.0)
    assert [await store.cool_until(site) for store in two] == [NOW + 30, NOW + 30]
    assert await other.cool_until(f"{site}:8443") == 0.0
    clock.now += 30
    assert [await store.cool_until(site) for store in two] == [0.0, 0.0]


async def test_no_word_of_a_site_holds_messages_back_for_more_than_an_hour(two: Stores, site: str) -> None:
    await two[0].cool(site, 1e9)
    assert [await store.cool_until(site) for store in two] == [NOW + HOUR, NOW + HOUR]


async def test_of_many_that_ask_for_a_lease_one_gets_it(opened: Callable[[], Store], site: str) -> None:
    stores, leases = [opened() for _ in range(10)], []

    async def ask(store: Store) -> None:
        leases.append(await store.lease(site, "key", 30.0))

    async with anyio.create_task_group() as tasks:
        for store in stores:
            tasks.start_soon(ask, store)
    (lease,) = [lease for lease in leases if lease is not None]
    assert await stores[0].lease(site, "another key", 30.0) is not None
    await stores[0].release(site, "key", "of somebody else")
    assert await stores[1].lease(site, "key", 30.0) is None
    await stores[2].release(site, "key", lease)
    assert await stores[3].lease(site, "key", 30.0) is not None


async def test_a_lease_ends_with_its_time_and_its_late_release_hurts_nobody(
    two: Stores, site: str, clock: Clock
) -> None:
    one, other = two
    late = await one.lease(site, "key", 30.0)
    clock.now += 30
    assert late is not None
    assert await other.lease(site, "key", 30.0) is not None
    await one.release(site, "key", late)
    assert await one.lease(site, "key", 30.0) is None
