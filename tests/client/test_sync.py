"""The sync face: the same answers, whatever loop or thread the caller is in."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asking import ECHO, QUICK

import chatgptt
from chatgptt import ChatGpttError, Client, ClosedError, InvalidInputError, ReplyStream
from chatgptt.demo import DemoSite


def client_of(page: str) -> Client:
    return Client(page, state_dir=None, retry=QUICK, timeout=30.0)


def portals() -> list[str]:
    return [
        thread.name
        for thread in threading.enumerate()
        if "chatgptt" in thread.name and not {"demo", "browser"} & set(thread.name.split("-"))
    ]


def test_it_answers_streams_converses_and_finds_boxes(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client:
        assert client.page == demo.page("wpaicg/")
        assert client.ask("Hello").text == f"{ECHO}Hello"
        with client.stream("Hello", system="Be brief.") as stream:
            assert isinstance(stream, ReplyStream)
            pieces = list(stream)
            assert list(stream) == []
        assert stream.reply is not None
        assert "".join(pieces) == stream.reply.text
        talk = client.conversation(system="Be brief.")
        talk.ask("one")
        with talk.stream("two") as stream:
            assert "".join(stream).endswith("User: two\nAssistant:")
        assert [turn["role"] for turn in talk.messages] == ["user", "assistant"] * 2
        talk.reset()
        assert talk.messages == []
        (box,) = client.find_boxes()
        assert box.bot_id == 0
    assert portals() == []


def test_ask_is_one_call(demo: DemoSite) -> None:
    assert chatgptt.ask("Hello", demo.page("aipkit/many/"), bot=7, system="Be brief.").bot_id == 7
    assert chatgptt.ask("Hello", demo.page("aipkit/many/")).tokens_from == "html"
    assert chatgptt.ask("Hello", demo.page("aipkit/many/")).tokens_from == "cache"
    assert portals() == []


@pytest.mark.anyio
async def test_it_works_in_a_running_event_loop(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client:
        assert client.ask("Hello").text == f"{ECHO}Hello"
        with client.stream("Hello") as stream:
            assert "".join(stream) == f"{ECHO}Hello"
    assert chatgptt.ask("Hello", demo.page("wpaicg/")).text == f"{ECHO}Hello"


def test_threads_share_a_client_and_one_page_request(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client, ThreadPoolExecutor(16) as pool:
        replies = list(pool.map(lambda number: client.ask(f"message {number}").text, range(40)))
        assert portals() == ["chatgptt"]
    assert replies == [f"{ECHO}message {number}" for number in range(40)]
    assert sum(seen.method == "GET" for seen in demo.requests) == 1


def test_errors_come_out_as_they_are(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client:
        with pytest.raises(chatgptt.RefusedError) as caught:
            client.ask("QUOTA")
        assert caught.value.reason == "quota"
        with pytest.raises(InvalidInputError):
            client.ask("")
        with pytest.raises(chatgptt.StreamInterruptedError) as broken, client.stream("DROP") as stream:
            list(stream)
        assert broken.value.partial_text.startswith("w0 ")
        with pytest.raises(ZeroDivisionError), client.stream("Hello"):
            raise ZeroDivisionError


def test_a_closed_client_asks_nothing(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    talk, stream = client.conversation(), client.stream("Hello")
    client.close()
    client.close()
    for call in (lambda: client.ask("Hello"), client.find_boxes, lambda: talk.ask("Hello"), stream.__enter__):
        with pytest.raises(ClosedError, match="the client is closed"):
            call()
    assert demo.requests == []


def test_a_stream_that_was_left_early_harms_nothing(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client:
        for _ in range(3):
            with client.stream("SLOWWORDS 3600") as stream:
                assert next(stream) == "This "
        assert client.ask("Hello").text == f"{ECHO}Hello"


def test_closing_ends_what_another_thread_waits_for(demo: DemoSite) -> None:
    client = client_of(demo.page("wpaicg/"))
    ended = threading.Event()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            with client.stream("SLOWWORDS 3600") as stream:
                next(stream)
                started.set()
                next(stream)
        except BaseException as error:  # noqa: BLE001 - what it is, is the question
            errors.append(error)
        ended.set()

    started = threading.Event()
    thread = threading.Thread(target=wait)
    thread.start()
    assert started.wait(10)
    client.close()
    assert ended.wait(10)
    thread.join()
    assert len(errors) == 1


def test_a_second_thread_that_reads_a_stream_gets_an_error_and_the_first_all_of_it(demo: DemoSite) -> None:
    with client_of(demo.page("wpaicg/")) as client, client.stream("SLOWWORDS 0.1 a b") as stream:
        next(stream)
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(list, stream)
            while not stream._stream._is_busy:
                time.sleep(0.001)
            with pytest.raises(InvalidInputError, match="another task is reading this stream"):
                next(stream)
            assert first.result()
    assert stream.reply is not None
    assert stream.reply.text.endswith("".join(first.result()))


def test_what_a_client_made_keeps_it(demo: DemoSite) -> None:
    talk = client_of(demo.page("wpaicg/")).conversation()
    stream = client_of(demo.page("wpaicg/")).stream("Hello")
    gc.collect()
    assert talk.ask("Hello").text == f"{ECHO}Hello"
    with stream:
        assert "".join(stream) == f"{ECHO}Hello"
    talk._client.close()
    stream._client.close()


def ask_for_ever(client: Client) -> None:
    client.ask("SLOWWORDS 3600")


def stream_for_ever(client: Client) -> None:
    with client.stream("SLOWWORDS 3600") as stream:
        list(stream)


def test_an_interrupt_ends_a_stream_and_leaves_the_client_usable(demo: DemoSite) -> None:
    main = threading.main_thread().ident
    assert main is not None
    with client_of(demo.page("wpaicg/")) as client:
        for call in (ask_for_ever, stream_for_ever):
            timer = threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGINT))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                call(client)
            timer.join()
            assert client.ask("Hello").text == f"{ECHO}Hello"


@pytest.mark.parametrize("left", ["client", "stream", "nothing used"])
def test_a_client_that_was_never_closed_does_not_hold_up_the_end(
    demo: DemoSite, tmp_path: Path, left: str
) -> None:
    code = {
        "client": "print(client.ask('Hello').text)",
        "stream": "stream = client.stream('SLOWWORDS 3600'); stream.__enter__(); print(next(stream))",
        "nothing used": "print('made')",
    }[left]
    script = f"import chatgptt\nclient = chatgptt.Client({demo.page('wpaicg/')!r}, state_dir=None)\n{code}\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_client_that_nobody_holds_ends_its_thread(demo: DemoSite) -> None:
    script = (
        "import chatgptt, gc, threading, time\n"
        f"client = chatgptt.Client({demo.page('wpaicg/')!r}, state_dir=None)\n"
        "client.ask('Hello'); before = threading.active_count()\n"
        "del client; gc.collect(); end = time.monotonic() + 10\n"
        "while threading.active_count() == before and time.monotonic() < end: time.sleep(0.01)\n"
        "print(before, threading.active_count())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True
    )
    before, after = map(int, done.stdout.split())
    assert after < before


def test_sync_errors_are_the_tree_s(demo: DemoSite) -> None:
    with pytest.raises(ChatGpttError):
        chatgptt.ask("Hello", demo.page("wpaicg/nochat/"), strategy="static")


INTERRUPTED = """
import faulthandler, random, signal
from chatgptt._loop_thread import LoopThread

def interrupt(*_):
    raise KeyboardInterrupt

async def answer():
    return 1

faulthandler.dump_traceback_later(120, exit=True)
signal.signal(signal.SIGALRM, interrupt)
loop, interrupts = LoopThread(), 0
loop.run(answer)  # its thread has begun
for _ in range(1500):
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 2e-3))
            for _ in range(60):
                assert loop.run(answer) == 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupts += 1
assert loop.run(answer) == 1
loop.stop()
print(interrupts > 100)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no interval timer")
def test_an_interrupt_comes_out_as_itself_wherever_it_strikes() -> None:
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=180)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")


OPENING = """
import faulthandler, random, signal, sys, time
import chatgptt

def interrupt(*_):
    raise KeyboardInterrupt

faulthandler.dump_traceback_later(120, exit=True)
signal.signal(signal.SIGALRM, interrupt)
interrupts = 0
with chatgptt.Client(sys.argv[1], state_dir=None) as client:
    talk = client.conversation()
    talk.ask("Hello")
    took = 0.005
    while interrupts < 20:
        began = time.monotonic()
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.5, 1.2) * took)
                with talk.stream("Hello"):
                    signal.setitimer(signal.ITIMER_REAL, 0)
                    took = time.monotonic() - began
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupts += 1
    print(talk.ask("Still there?"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="it has no interval timer")
def test_an_interrupt_while_an_answer_opens_leaves_the_conversation_free(demo: DemoSite) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", OPENING, demo.page("wpaicg/")], capture_output=True, text=True, timeout=180
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "You wrote: Still there?" in ran.stdout
