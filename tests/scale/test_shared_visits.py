"""A visit that a person shares: workers on other machines ask as that person, and nothing is shared unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
import redis as redis_py
import wire
from cli.commands import Run
from faults import WPAICG_PAGE, Connection, Got, Server, closed_port, reply, serving, stream_reply
from scale.redis_server import RedisServer
from visits.samples import cookie, cookies_txt, visit

from chatgptt import AsyncClient, ChatGpttError, InvalidInputError, RefusedError, TransportError
from chatgptt.state.folder import default_folder
from chatgptt.tokens.redis_store import RedisStore
from chatgptt.visits import current
from chatgptt.visits.formats import encode
from chatgptt.visits.kept import forget_visit, keep_visit

pytestmark = pytest.mark.anyio

OK = stream_reply(wire.chunks("Hi ", "there") + wire.FINISH + wire.DONE)


@pytest.fixture
def database(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis_py.Redis]:
    monkeypatch.setenv("CHATGPTT_STORE", redis.url)
    monkeypatch.setattr(current, "_LOOK", 0.0)
    with redis_py.Redis.from_url(redis.url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    return Run(capfd, monkeypatch)


@pytest.fixture
async def site() -> AsyncIterator[Server]:
    """A site for members, which renews a cookie with each page."""

    async def answer(connection: Connection, got: Got) -> bool:
        is_member = "member=yes" in got.headers.get("cookie", "")
        page = reply(WPAICG_PAGE.format(nonce="ada0000001"), headers={"Set-Cookie": "fresh=r3newed; Path=/"})
        if got.is_message:
            await connection.send(OK)
        else:
            await connection.send(page if is_member else reply("Members only", status=403))
        return True

    async with serving(answer) as server:
        yield server


def worker(site: Server, tmp_path: Path, redis: RedisServer, name: str = "worker") -> AsyncClient:
    """A client on another machine."""
    return AsyncClient(site.url, state_dir=tmp_path / name, store=redis.url, strategy="static")


async def import_visit(run: Run, site: Server, tmp_path: Path, *more: str) -> None:
    file = tmp_path / "cookies.txt"
    file.write_bytes(cookies_txt(("127.0.0.1", "FALSE", "/", "FALSE", "0", "member", "yes")))
    done = await anyio.to_thread.run_sync(
        partial(run, "login", "--site", site.url, "--import", str(file), *more)
    )
    assert done.code == 0, done


async def test_a_shared_visit_is_every_machines_until_it_is_removed(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    assert 0 < database.ttl(f"chatgptt:{site.url}:visit") <= 30 * 24 * 3600
    async with worker(site, tmp_path, redis) as client:
        assert (await client.ask("Hello")).text == "Hi there"
        data = database.get(f"chatgptt:{site.url}:visit")
        assert isinstance(data, bytes)
        assert b"r3newed" in data
        async with worker(site, tmp_path, redis, "another") as other:
            assert (await other.ask("Hello")).tokens_from == "cache"
        assert "fresh=r3newed" in site.got[-1].headers["cookie"]
        record = database.get(f"chatgptt:{site.url}:record")
        assert isinstance(record, bytes)
        assert b"r3newed" not in record
        await anyio.to_thread.run_sync(partial(run, "logout", "--site", site.url))
        assert database.get(f"chatgptt:{site.url}:visit") == b"removed"
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    assert caught.value.status == 403


async def test_a_visit_that_is_not_shared_is_in_no_key_and_workers_say_so(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path)
    async with AsyncClient(site.url, strategy="static") as client:
        assert (await client.ask("Hello")).text == "Hi there"
    assert {key.rpartition(b":")[2] for key in database.scan_iter()} == {b"record", b"visitor"}
    record = database.get(f"chatgptt:{site.url}:record")
    assert isinstance(record, bytes)
    assert b"ada0000001" in record
    assert b"r3newed" not in record
    async with worker(site, tmp_path, redis) as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    assert "no visit is shared with this machine" in caught.value.hint
    assert f"chatgptt login --share --site {site.url}/" in caught.value.hint


async def test_a_machine_goes_on_with_the_visit_while_redis_is_away(
    run: Run, tmp_path: Path, site: Server, database: redis_py.Redis, redis: RedisServer
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    store = RedisStore(redis.url)
    async with AsyncClient(site.url, state_dir=tmp_path / "worker", store=store) as client:
        assert (await client.ask("Hello")).text == "Hi there"
        database.config_set("requirepass", "another-one")
        await store.close()
        try:
            assert (await client.ask("Hello")).text == "Hi there"
        finally:
            database.config_set("requirepass", redis.url.partition("://:")[2].partition("@")[0])
    assert "member=yes" in site.got[-1].headers["cookie"]
    await store.close()


async def test_the_use_of_a_shared_visit_keeps_it_alive(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    key = f"chatgptt:{site.url}:visit"
    database.expire(key, 600)
    async with worker(site, tmp_path, redis) as client:
        await client.prepare()
    assert database.ttl(key) > 600


async def test_without_an_answer_of_redis_a_new_client_sends_nothing(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    database.config_set("requirepass", "another-one")
    try:
        async with AsyncClient(
            site.url, state_dir=tmp_path / "worker", store=redis.url, visit=True
        ) as client:
            for call in (client.ask("Hello"), client.prepare(), client.find_boxes()):
                with pytest.raises(TransportError, match="not known whose"):
                    await call
            report = await client.health_check()
            assert report.verdict == "unknown"
            assert "not known whose" in report.summary
    finally:
        database.config_set("requirepass", redis.url.partition("://:")[2].partition("@")[0])
    assert site.got == []


async def test_a_visit_in_the_folder_comes_before_a_shared_one(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    keep_visit(tmp_path / "worker", visit(cookie("member", "no", "127.0.0.1"), site=site.url))
    async with worker(site, tmp_path, redis) as client:
        with pytest.raises(ChatGpttError) as caught:
            await client.ask("Hello")
    assert not isinstance(caught.value, RefusedError)
    assert "member=no" in site.got[-1].headers["cookie"]


async def test_a_shared_visit_is_named_by_a_check_and_by_its_removal(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    await import_visit(run, site, tmp_path, "--share")
    forget_visit(default_folder(), site.url)

    def say(*argv: str) -> str:
        return run(*argv, "--site", site.url).out

    for shown in ("shared for http://127.0.0.1", "no visit is kept"):
        assert (await anyio.to_thread.run_sync(say, "login", "--check")).startswith(shown)
        removed = await anyio.to_thread.run_sync(say, "logout")
        assert removed.startswith("removed the visit" if shown.startswith("shared") else "no visit to")


async def test_a_shared_visit_that_is_damaged_is_told_and_nothing_is_sent(
    run: Run, redis: RedisServer, database: redis_py.Redis, site: Server, tmp_path: Path
) -> None:
    ours = visit(cookie("member", "yes", "127.0.0.1"), site=site.url)
    database.set(f"chatgptt:{site.url}:visit", encode(ours).replace(b'"yes"', b'"yes\\r\\nx: s3cret"'))
    async with worker(site, tmp_path, redis) as client:
        with pytest.raises(InvalidInputError, match="it is damaged") as caught:
            await client.ask("Hello")
    assert "s3cret" not in caught.value.message
    assert site.got == []
    done = await anyio.to_thread.run_sync(partial(run, "login", "--check", "--site", site.url))
    assert "the shared visit cannot be used: it is damaged" in done.err


async def test_a_store_that_is_away_is_told_before_the_window_opens(
    run: Run, site: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATGPTT_STORE", f"redis://127.0.0.1:{closed_port()}/0")
    done = await anyio.to_thread.run_sync(partial(run, "login", "--share", "--site", site.url))
    assert done.code == 2
    assert "cannot be shared" in done.err
    assert site.got == []


async def test_sharing_without_a_store_is_wrong_usage(
    run: Run, site: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CHATGPTT_STORE", raising=False)
    done = await anyio.to_thread.run_sync(partial(run, "login", "--share", "--site", site.url))
    assert done.code == 2
    assert "CHATGPTT_STORE" in done.err
