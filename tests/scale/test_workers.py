"""Workers that take questions from a queue: what they give, and what is left of a question whose worker dies."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio.from_thread
import anyio.to_thread
import pytest
import redis as redis_py
import trustme
from asking import ECHO
from celery.result import AsyncResult
from scale.redis_server import PASSWORD, RedisServer, redis_server
from scale.workers import PATIENCE, Pool, pool

from chatgptt import Reply
from chatgptt.batch import workers
from chatgptt.batch.documents import read_document
from chatgptt.batch.queue import TASK, begun_key, make_app
from chatgptt.batch.rows import Row
from chatgptt.batch.workers import Workers
from chatgptt.demo import DemoSite

GENERATIONS = ["wpaicg/", "aipkit/"]


@pytest.fixture(scope="module")
def one_pool(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with pool("one", tmp_path_factory.mktemp("pools"), redis.url) as running:
        yield running


def row_for(demo: DemoSite) -> Row:
    return Row(number=1, id="1", message="Hello", site=demo.page("wpaicg/"), origin=demo.url)


def wait_for(what: Callable[[], bool], batch: subprocess.Popen[bytes] | None = None) -> None:
    until = time.monotonic() + PATIENCE
    while not what():
        assert batch is None or batch.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize("path", GENERATIONS)
def test_the_task_gives_the_reply_as_json(
    one_pool: Pool, redis: RedisServer, demo: DemoSite, path: str
) -> None:
    app = make_app(redis.url)
    task = app.send_task(TASK, kwargs={"message": "Hello", "site": demo.page(path), "system": "Be brief."})
    reply = task.get(timeout=PATIENCE)
    assert json.loads(json.dumps(reply)) == reply
    assert str(read_document(reply)).startswith(ECHO)
    assert reply["page"] == demo.page(path)


@pytest.mark.parametrize(
    ("message", "code", "is_ambiguous"), [("ERR500", "http_error", True), ("BANWORD", "refused", False)]
)
def test_the_task_gives_the_error_as_json(
    one_pool: Pool, redis: RedisServer, demo: DemoSite, message: str, code: str, is_ambiguous: bool
) -> None:
    task = make_app(redis.url).send_task(TASK, kwargs={"message": message, "site": demo.page("wpaicg/")})
    document = task.get(timeout=PATIENCE)
    assert (document["code"], document["ambiguous"]) == (code, is_ambiguous)


def test_a_task_that_was_begun_asks_nothing_when_it_comes_a_second_time(
    one_pool: Pool, redis: RedisServer, demo: DemoSite
) -> None:
    app = make_app(redis.url)
    arguments = {"message": "Hello", "site": demo.page("wpaicg/")}
    first: AsyncResult = app.send_task(TASK, kwargs=arguments)
    answer = first.get(timeout=PATIENCE)
    app.send_task(TASK, kwargs=arguments, task_id=first.id)
    assert app.send_task(TASK, kwargs=arguments).get(timeout=PATIENCE)  # the one behind it
    assert app.AsyncResult(first.id).result == answer
    assert len(demo.messages) == 2
    assert f"{first.id} was begun by one@" in one_pool.log.read_text()
    assert app.backend.client.get(begun_key(first.id)).decode().startswith("one@")


def test_the_queue_may_be_reached_by_tls(tmp_path: Path, authority: trustme.CA) -> None:
    with redis_server(tmp_path, authority) as server:
        Workers(server.url, timeout=1.0)  # it looks whether there is a Redis


@pytest.mark.anyio
async def test_a_row_that_redis_lost_is_sent_again(
    one_pool: Pool, redis: RedisServer, demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_MISSING", 1.0)
    async with Workers(redis.url, timeout=20.0) as asking, asking.open_origin(demo.url) as ask:
        send = asking._app.send_task
        sent = []

        def lose_the_first(*arguments: object, **options: object) -> None:
            sent.append(options["task_id"])
            if len(sent) > 1:
                send(*arguments, **options)

        monkeypatch.setattr(asking._app, "send_task", lose_the_first)
        assert isinstance(await ask(row_for(demo)), Reply)
    assert len(set(sent)) == 1
    assert len(demo.messages) == 1


def test_a_batch_says_of_a_row_whose_worker_was_killed_that_it_is_ambiguous(
    redis: RedisServer, demo: DemoSite, tmp_path: Path
) -> None:
    (tmp_path / "in.txt").write_text("SLOW 60\n")
    with pool("other", tmp_path, redis.url.replace("/0", "/1")) as running:
        command = [sys.executable, "-m", "chatgptt", "batch", "in.txt", "-o", "out", "--format", "simple"]
        command += ["--site", demo.page("wpaicg/"), "--broker", redis.url.replace("/0", "/1")]
        batch = subprocess.Popen(command, cwd=tmp_path)
        while not demo.messages:
            assert batch.poll() is None
        running.kill_children()
        assert batch.wait(PATIENCE) == 3
    (line,) = (tmp_path / "out").read_text().splitlines()
    assert json.loads(line)["error"]["ambiguous"]
    assert len(demo.messages) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--broker", f"redis://:{PASSWORD}@127.0.0.1:9/0"), "there is no Redis"),
        (("--broker", f"redis://:{PASSWORD}@127.0.0.1:9/0", "--strategy", "static"), "by themselves"),
    ],
)
def test_a_batch_that_cannot_have_workers_says_so_without_the_password(
    tmp_path: Path, demo: DemoSite, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "in.txt").write_text("Hello\n")
    command = [
        sys.executable,
        "-m",
        "chatgptt",
        "batch",
        "in.txt",
        "-o",
        "out",
        "--site",
        demo.page("wpaicg/"),
    ]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert PASSWORD not in done.stderr
    assert not (tmp_path / "out").exists() or not (tmp_path / "out").read_text()


def test_a_row_that_ctrl_c_gave_up_is_not_asked_when_a_worker_comes(
    redis: RedisServer, demo: DemoSite, tmp_path: Path
) -> None:
    broker = redis.url.replace("/0", "/2")
    (tmp_path / "in.txt").write_text("a\nb\n")
    command = [sys.executable, "-m", "chatgptt", "batch", "in.txt", "-o", "out", "--rate", "none"]
    command += ["--site", demo.page("wpaicg/"), "--broker", broker]
    log = tmp_path / "log"
    with log.open("wb") as file, redis_py.Redis.from_url(broker) as database:
        batch = subprocess.Popen(command, cwd=tmp_path, stderr=file)
        wait_for(lambda: database.llen("chatgptt") == 2, batch)
        batch.send_signal(signal.SIGINT)
        wait_for(lambda: "finishing the messages" in log.read_text(), batch)
        batch.send_signal(signal.SIGINT)
        assert batch.wait(PATIENCE) == 130, log.read_text()
    with pool("late", tmp_path, broker) as late:
        subprocess.run([*command, "--retry-ambiguous"], cwd=tmp_path, check=True, timeout=PATIENCE)
        words = "begun by its batch, which gave it up: its message is not sent"
        wait_for(lambda: late.log.read_text().count(words) == 2)
    assert Counter(seen.message for seen in demo.messages) == {"a": 1, "b": 1}


@pytest.mark.anyio
async def test_a_row_that_is_cancelled_while_it_is_sent_is_kept_from_the_workers(
    redis: RedisServer, demo: DemoSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    may_go_on = threading.Event()
    with anyio.CancelScope() as scope:
        async with Workers(redis.url, timeout=20.0) as asking, asking.open_origin(demo.url) as ask:

            def send(*arguments: object, **options: object) -> None:
                sent.append(options["task_id"])
                anyio.from_thread.run_sync(scope.cancel)
                may_go_on.wait(PATIENCE)

            monkeypatch.setattr(asking._app, "send_task", send)
            await ask(row_for(demo))
    may_go_on.set()
    (task_id,) = sent
    with redis_py.Redis.from_url(redis.url) as database:
        assert database.get(begun_key(str(task_id))) == b"its batch, which gave it up"


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[redis_py.Redis]:
    """A server that the test may change."""
    with redis_server(tmp_path) as server, redis_py.Redis.from_url(server.url) as connection:
        yield connection


def url_of(database: redis_py.Redis) -> str:
    return f"redis://:{PASSWORD}@127.0.0.1:{database.get_connection_kwargs()['port']}/0"


async def wait_beside(what: Callable[[], bool]) -> None:
    await anyio.to_thread.run_sync(wait_for, what)


@pytest.mark.anyio
async def test_a_redis_that_takes_no_rows_is_said_once_and_waited_for(
    own_redis: redis_py.Redis,
    demo: DemoSite,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own_redis.config_set("maxmemory", "1000")
    async with Workers(url_of(own_redis), timeout=20.0) as asking, anyio.create_task_group() as tasks:
        send, tries = asking._app.send_task, []

        def count(*arguments: object, **options: object) -> None:
            tries.append(options["task_id"])
            send(*arguments, **options)

        monkeypatch.setattr(asking._app, "send_task", count)
        tasks.start_soon(asking._ask, row_for(demo))
        await wait_beside(lambda: len(tries) >= 4)
        own_redis.config_set("maxmemory", "0")
        await wait_beside(lambda: bool(own_redis.llen("chatgptt")))
        tasks.cancel_scope.cancel()
    assert caplog.messages == ["Redis cannot take rows, waiting for it: OutOfMemoryError"]


@pytest.mark.anyio
async def test_a_redis_that_refuses_to_be_read_is_waited_for(
    own_redis: redis_py.Redis, demo: DemoSite, caplog: pytest.LogCaptureFixture
) -> None:
    async with Workers(url_of(own_redis), timeout=20.0), anyio.create_task_group() as tasks:
        own_redis.acl_setuser("default", enabled=True, reset=False, commands=["-llen"])
        await wait_beside(lambda: "Redis cannot be read" in caplog.text)
        tasks.cancel_scope.cancel()
    assert caplog.messages == ["Redis cannot be read, waiting for it: NoPermissionError"]


@pytest.mark.anyio
async def test_rows_that_no_worker_takes_are_warned_of_once(
    redis: RedisServer, demo: DemoSite, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_IDLE", 0.2)
    broker = redis.url.replace("/0", "/3")
    async with Workers(broker, timeout=20.0) as asking, anyio.create_task_group() as tasks:
        tasks.start_soon(asking._ask, row_for(demo))
        await wait_beside(lambda: asking._idle > 1.0)
        tasks.cancel_scope.cancel()
    assert caplog.messages == [
        "no worker has taken a row for 0.2 s: start one with celery -A chatgptt.celery worker"
    ]
