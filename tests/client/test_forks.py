"""A client that was used before its process forked, in children as multiprocessing, gunicorn and Celery make them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from asking import ECHO
from faults import closed_port

from chatgptt.demo import DemoSite

PATIENCE = 60.0
"""Seconds after which something hangs."""

PATHS = pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])

BEGINNING_OF_ALL = """
import asyncio, gc, multiprocessing, os, sys, threading, time
import chatgptt
fork = multiprocessing.get_context("fork")
page = sys.argv[1]

def in_child(work, *arguments):
    child = fork.Process(target=work, args=arguments)
    child.start()
    child.join(30)
    if child.exitcode is None:
        child.kill()
        print("it hung")
    return child.exitcode
"""


def run(code: str, page: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGINNING_OF_ALL + code, page],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def lines(code: str, page: str) -> list[str]:
    done = run(code, page)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


SYNC = """
client = chatgptt.Client(page, state_dir=None, timeout=20)
client.ask("Hello")
"""


@PATHS
def test_a_used_client_answers_in_a_child_and_still_in_the_parent(demo: DemoSite, path: str) -> None:
    code = """
def work():
    print(client.ask("child").text, flush=True)
print(in_child(work), client.ask("parent").text)
"""
    assert lines(SYNC + code, demo.page(path)) == [f"{ECHO}child", f"0 {ECHO}parent"]
    assert len({tuple(seen.fields.get(name, "") for name in VISITOR) for seen in demo.messages}) == 1


VISITOR = ("wpaicg_chat_client_id", "session_id")

LEAVING = {
    "it does nothing": "",
    "it closes the client": "client.close()",
    "it drops the client": "del client; gc.collect()",
    "it asks and closes": "client.ask('Hello'); client.close()",
    "it leaves a stream": "stream.__exit__(None, None, None)",
    "it reads a stream": "refused(stream)",
}


@PATHS
@pytest.mark.parametrize("left", LEAVING)
def test_a_child_ends_and_the_parent_s_answer_goes_on(demo: DemoSite, path: str, left: str) -> None:
    code = f"""
def refused(stream):
    try:
        next(stream)
    except chatgptt.InvalidInputError:
        pass

with client.stream("SLOWWORDS 0.01 a b c") as stream:
    text = next(stream)
    number = os.fork()
    if number == 0:  # as a program does that knows nothing of multiprocessing: its exit handlers run
        {LEAVING[left] or "pass"}
        sys.exit(5)
    text += "".join(stream)
deadline = time.monotonic() + 30
while (done := os.waitpid(number, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
    time.sleep(0.01)
print(os.waitstatus_to_exitcode(done[1]) if done[0] else os.kill(number, 9), text == stream.reply.text)
print(client.ask("Hello").text)
"""
    assert lines(SYNC + code, demo.page(path)) == ["5 True", f"{ECHO}Hello"]


@PATHS
def test_an_async_client_answers_in_a_child_whether_its_loop_goes_on_or_not(
    demo: DemoSite, path: str
) -> None:
    code = """
client = chatgptt.AsyncClient(page, state_dir=None, timeout=20)
async def ask(message):
    print((await client.ask(message)).text, flush=True)
def work(message):
    asyncio.run(ask(message))
def go_on():
    loop.run_until_complete(ask("the same loop"))
async def main():
    await ask("parent")
    print(in_child(work, "within"), flush=True)
    await ask("parent")
asyncio.run(main())
print(in_child(work, "after"), flush=True)
loop = asyncio.new_event_loop()
loop.run_until_complete(ask("parent"))
print(in_child(work, "beside"), flush=True)
loop.run_until_complete(ask("parent"))
loop.run_until_complete(client.close())
loop.close()
"""
    parent = f"{ECHO}parent"
    found = lines(code, demo.page(path))
    assert found == [
        parent, f"{ECHO}within", "0", parent, f"{ECHO}after", "0", parent, f"{ECHO}beside", "0", parent,
    ]  # fmt: skip


def test_a_child_of_a_running_coroutine_is_told_that_it_has_no_loop(demo: DemoSite) -> None:
    code = """
client = chatgptt.AsyncClient(page, state_dir=None, timeout=20)
async def main():
    await client.ask("parent")
    child = os.fork()
    if not child:
        try:
            await client.ask("child")
        except chatgptt.InvalidInputError as error:
            print(error.message, flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print((await client.ask("parent")).text, flush=True)
asyncio.run(main())
"""
    assert lines(code, demo.page("aipkit/")) == ["no event loop is running here", f"{ECHO}parent"]


@PATHS
def test_a_conversation_goes_on_in_a_child_apart_from_the_parent_s(demo: DemoSite, path: str) -> None:
    code = """
talk = client.conversation()
talk.ask("one")
def work():
    talk.ask("two")
    print(len(talk.messages), flush=True)
print(in_child(work), len(talk.messages))
"""
    assert lines(SYNC + code, demo.page(path)) == ["4", "0 2"]


def test_a_closed_client_is_closed_in_a_child(demo: DemoSite) -> None:
    code = """
client.close()
def work():
    try:
        client.ask("Hello")
    except chatgptt.InvalidInputError as error:
        print(error, flush=True)
print(in_child(work))
"""
    assert lines(SYNC + code, demo.page("wpaicg/")) == ["the client is closed", "0"]


@PATHS
def test_children_answer_whatever_the_parent_s_threads_are_doing_when_it_forks(
    demo: DemoSite, path: str
) -> None:
    code = """
stop = threading.Event()
def keep_asking():
    while not stop.is_set():
        client.ask("parent")
threads = [threading.Thread(target=keep_asking) for _ in range(4)]
for thread in threads:
    thread.start()
def work():
    client.ask("child")
print([in_child(work) for _ in range(12)])
stop.set()
for thread in threads:
    thread.join()
"""
    with_state = SYNC.replace("state_dir=None", "state_dir=os.environ['CHATGPTT_STATE_DIR']")
    assert lines(with_state + code, demo.page(path)) == [str([0] * 12)]
    assert sum(seen.message == "child" for seen in demo.messages) == 12


# Programs that fork


@contextmanager
def running(*command: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program, ended at the end with all that it started."""
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield program
        program.terminate()
        assert program.wait(PATIENCE) == 0, (folder / "log").read_text()
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)
            program.wait()


SERVER = """
import os, chatgptt
client = chatgptt.Client(os.environ["PAGE"], state_dir=None, timeout=20)
client.ask("before the fork")

def app(environ, start_response):
    text = client.ask(environ["QUERY_STRING"]).text
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {text}".encode()]
"""


def fetch(url: str) -> str:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_gunicorn_s_workers_use_the_client_of_the_preloaded_application(
    demo: DemoSite, tmp_path: Path
) -> None:
    (tmp_path / "shop.py").write_text(SERVER)
    port = closed_port()
    command = ("gunicorn", "--preload", "--workers", "2", "--bind", f"127.0.0.1:{port}", "shop:app")
    with running(*command, folder=tmp_path, PAGE=demo.page("wpaicg/")) as master:
        answers = [fetch(f"http://127.0.0.1:{port}/?question{number}") for number in range(6)]
        assert str(master.pid) not in {answer.split(" ")[0] for answer in answers}
    assert [answer.partition(" ")[2] for answer in answers] == [f"{ECHO}question{n}" for n in range(6)]


TASKS = """
import os, chatgptt
from celery import Celery
app = Celery("shop", broker="filesystem://", backend="file://" + os.environ["RESULTS"])
app.conf.broker_transport_options = {
    "data_folder_in": os.environ["QUEUE"], "data_folder_out": os.environ["QUEUE"], "control_folder": os.environ["CONTROL"],
}
client = chatgptt.Client(os.environ["PAGE"], state_dir=None, timeout=20)
client.ask("before the fork")

@app.task
def ask(message):
    return client.ask(message).text
"""

ASKING = """
import shop
results = [shop.ask.delay(f"question{number}") for number in range(4)]
for result in results:
    print(result.get(timeout=50, interval=0.05))
"""


def test_celery_s_prefork_workers_use_the_client_of_their_module(demo: DemoSite, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(TASKS)
    environment = {"PAGE": demo.page("aipkit/")}
    for name in ("RESULTS", "QUEUE", "CONTROL"):
        (tmp_path / name.lower()).mkdir()
        environment[name] = str(tmp_path / name.lower())
    worker = (
        "celery",
        "--app",
        "shop",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "2",
        "--loglevel",
        "INFO",
    )
    with running(*worker, folder=tmp_path, **environment):
        done = subprocess.run(
            [sys.executable, "-c", ASKING],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.stdout.splitlines() == [f"{ECHO}question{number}" for number in range(4)], done.stderr
