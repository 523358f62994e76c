"""The store in Redis: what lies in it, and what happens while Redis is away."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
import trustme
from asking import client_of
from scale.redis_server import PASSWORD, RedisServer, redis_server
from scale.traffic import page_reads, visitors

from chatgptt import InvalidInputError, RedisStore
from chatgptt.demo import DemoSite
from chatgptt.protocols.urls import origin
from chatgptt.tokens import redis_store

GENERATIONS = ["wpaicg/", "aipkit/"]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
def database(redis: RedisServer) -> Iterator[redis_py.Redis]:
    """What lies in the shared server, which is empty before the test."""
    with redis_py.Redis.from_url(redis.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_store, "_PAUSE", 0.0)


@pytest.mark.anyio
@pytest.mark.parametrize("path", GENERATIONS)
async def test_machines_that_share_it_are_one_visitor_and_read_a_page_once(
    redis: RedisServer, database: redis_py.Redis, demo: DemoSite, path: str
) -> None:
    sources = []
    for _ in range(3):
        async with client_of(demo.page(path), store=redis.url) as client:
            sources.append((await client.ask("Hello")).tokens_from)
    assert sources == ["html", "cache", "cache"]
    assert visitors(demo) == 1


@pytest.mark.anyio
async def test_ids_stay_and_all_else_expires_with_the_last_nonce(
    redis: RedisServer, database: redis_py.Redis, demo: DemoSite
) -> None:
    async with client_of(demo.page("wpaicg/"), store=redis.url) as client:
        await client.ask("Hello")
    site = origin(demo.page("wpaicg/"))
    assert sorted(database.keys()) == [
        f"chatgptt:{site}:record".encode(),
        f"chatgptt:{site}:visitor".encode(),
    ]
    assert database.ttl(f"chatgptt:{site}:visitor") == -1
    assert 23 * 3600 < database.ttl(f"chatgptt:{site}:record") <= 24 * 3600


@pytest.mark.anyio
async def test_ids_outlive_a_redis_that_lost_its_data(
    redis: RedisServer, database: redis_py.Redis, demo: DemoSite
) -> None:
    async with client_of(demo.page("wpaicg/"), store=redis.url) as client:
        await client.ask("Hello")
        database.flushall()
        await client.ask("Hello")
    async with client_of(demo.page("wpaicg/"), store=redis.url) as another:
        assert (await another.ask("Hello")).tokens_from == "cache"
    assert visitors(demo) == 1


@pytest.mark.anyio
async def test_damage_costs_no_answer(redis: RedisServer, database: redis_py.Redis, demo: DemoSite) -> None:
    site = origin(demo.page("wpaicg/"))
    for value in (b"", b"\xff", b"{}", b"[1]"):
        database.set(f"chatgptt:{site}:record", value)
        async with client_of(demo.page("wpaicg/"), store=redis.url) as client:
            assert (await client.ask("Hello")).text
    assert visitors(demo) == 1


@pytest.mark.anyio
async def test_while_it_is_away_memory_serves_and_that_is_said_once(
    own_redis: RedisServer, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chatgptt.store")
    async with client_of(demo.page("wpaicg/"), store=own_redis.url) as client:
        await client.ask("a")
        own_redis.stop()
        assert [(await client.ask("b")).tokens_from for _ in range(3)] == ["cache"] * 3
        own_redis.start()
        assert (await client.ask("c")).tokens_from == "cache"
    async with client_of(demo.page("wpaicg/"), store=own_redis.url) as another:
        assert (await another.ask("d")).tokens_from == "cache"
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]
    assert f"127.0.0.1:{own_redis.port}" in caplog.messages[0]
    assert PASSWORD not in caplog.text
    assert visitors(demo) == 1


@pytest.mark.anyio
async def test_one_that_was_never_there_costs_no_answer(
    demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(demo.page("wpaicg/"), store=f"redis://:{PASSWORD}@127.0.0.1:9/0") as client:
        assert [(await client.ask("a")).tokens_from for _ in range(2)] == ["html", "cache"]
    assert len(caplog.messages) == 1
    assert PASSWORD not in caplog.text


@pytest.mark.anyio
async def test_a_wrong_password_is_told_without_the_password(
    redis: RedisServer, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    url = redis.url.replace(PASSWORD, "a-wrong-one")
    async with client_of(demo.page("wpaicg/"), store=url) as client:
        assert (await client.ask("a")).text
    (line,) = caplog.messages
    assert "a-wrong-one" not in line
    assert "working on from memory" in line


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{PASSWORD}@127.0.0.1/",
        f"redis:{PASSWORD}",
        f"redis://host:{PASSWORD}",
        f"redis://host/0?{PASSWORD}=1",
        f"rediss://host/0?ssl_cert_reqs={PASSWORD}",
        f"redis://:{PASSWORD}@host/0?protocol=9",
        f"redis://:{PASSWORD}@host/0?decode_responses=true",
        f"redis://:{PASSWORD}@host/0?encoding=utf-16",
        f"redis://host/0?encoding={PASSWORD}",
        f"redis://:{PASSWORD}@[::1/0",
        PASSWORD,
    ],
)
def test_an_address_that_is_none_is_refused_without_its_words(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RedisStore(url)
    assert PASSWORD not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert caught.value.__suppress_context__


@pytest.mark.anyio
async def test_a_connection_by_tls_is_checked(
    demo: DemoSite, tmp_path: Path, authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    with redis_server(tmp_path, authority) as server:
        for _ in range(2):
            async with client_of(demo.page("wpaicg/"), store=server.url) as client:
                await client.ask("Hello")
        assert (page_reads(demo, "wpaicg/"), caplog.messages) == (1, [])
    (tmp_path / "other").mkdir()
    with redis_server(tmp_path / "other", trustme.CA()) as stranger:
        async with client_of(demo.page("wpaicg/"), store=stranger.url) as client:
            await client.ask("Hello")
    assert "certificate verify failed" in caplog.text


def test_its_repr_has_its_place_and_no_password() -> None:
    assert repr(RedisStore(f"redis://:{PASSWORD}@127.0.0.1:1234/0")) == "RedisStore(127.0.0.1:1234)"


def test_the_command_line_shares_it_by_its_environment(
    redis: RedisServer, database: redis_py.Redis, demo: DemoSite, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "chatgptt", "ask", "Hello", "--site", demo.page("wpaicg/")]
    env = {**os.environ, "CHATGPTT_STORE": redis.url}
    for _ in range(2):
        subprocess.run(command, env=env, check=True, timeout=60, stdout=subprocess.PIPE)
    assert visitors(demo) == 1
    assert page_reads(demo, "wpaicg/") == 1
    assert database.dbsize() == 2


def test_without_redis_py_the_error_says_how_to_get_it() -> None:
    script = (
        "import sys; sys.modules['redis'] = None\n"
        "from chatgptt import Client, InvalidInputError\n"
        "try: Client('http://127.0.0.1:9', store='redis://127.0.0.1')\n"
        "except InvalidInputError as error: print(error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "pip install 'chatgptt[redis]'\n"
