"""The provider class in the real gpt4free (g4f): its clients and its lists of providers take it as it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
import pytest
from asking import ECHO
from ecosystem.processes import PATIENCE, environment, read_until
from pages.blocks import texts_of
from proxies import http_proxy

from chatgptt.demo import DemoSite

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "gpt4free.py"
PAGE = "https://site.example/chat"

BEGIN = """
import asyncio, json, sys
import g4f.debug
g4f.debug.version_check = False  # it would ask the network
from g4f.client import AsyncClient, Client
from g4f.providers.base_provider import AsyncGeneratorProvider, ProviderModelMixin
from g4f.providers.retry_provider import IterListProvider, RetryProvider, RotatedProvider
from chatgptt import ChatGptt

class There(ChatGptt):
    url = sys.argv[1]

class Mixed(ChatGptt, AsyncGeneratorProvider, ProviderModelMixin):
    url = sys.argv[1]

class Lacking(ChatGptt):
    url = sys.argv[1].rpartition("/")[0].rpartition("/")[0] + "/never/"

def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

def error_of(call):
    try:
        return call()
    except Exception as error:
        return [type(error).__name__, getattr(error, "code", None), str(error)]
"""


@dataclass(frozen=True, slots=True)
class G4f:
    """A Python that has g4f, with a home folder of its own: g4f keeps its usage there."""

    python: Path
    home: Path

    def __call__(self, script: str, page: str) -> object:
        """What a script prints as JSON. Nothing may be said on stderr."""
        done = subprocess.run(
            [self.python, "-c", BEGIN + script, page],
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return json.loads(done.stdout)

    @contextmanager
    def started(self, script: str, page: str) -> Iterator[subprocess.Popen[bytes]]:
        """A script under way, its output on pipes; killed if the block leaves it running."""
        with subprocess.Popen(
            [self.python, "-u", "-c", BEGIN + script, page],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def environment(self) -> dict[str, str]:
        return environment(HOME=str(self.home), PATH=f"{self.python.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def g4f(g4f_python: Path, tmp_path: Path) -> G4f:
    return G4f(g4f_python, tmp_path)


@pytest.fixture(params=["wpaicg/", "aipkit/"])
def page(request: pytest.FixtureRequest, demo: DemoSite) -> str:
    return demo.page(request.param)


FORMS = [
    "There",
    "Mixed",
    "RetryProvider([There])",
    "RetryProvider([There], single_provider_retry=True)",
    "IterListProvider([There, Mixed])",
    "RotatedProvider([There, Mixed])",
]


@pytest.mark.parametrize("form", FORMS)
def test_the_client_answers_whole_and_streamed(form: str, page: str, g4f: G4f) -> None:
    script = f"""
client = Client(provider={form})
whole = client.chat.completions.create("Hello").choices[0].message.content
chunks = list(client.chat.completions.create([{{"role": "user", "content": "Hello"}}], stream=True))
print(json.dumps([whole, text_of(chunks), len(chunks) > 1]))
"""
    assert g4f(script, page) == [f"{ECHO}Hello", f"{ECHO}Hello", True]


@pytest.mark.parametrize("form", FORMS)
def test_the_async_client_answers_whole_and_streamed(form: str, page: str, g4f: G4f) -> None:
    script = f"""
async def main():
    completions = AsyncClient(provider={form}).chat.completions
    whole = (await completions.create("Hello")).choices[0].message.content
    chunks = [chunk async for chunk in completions.stream("Hello", timeout=30, stream_timeout=20)]
    print(json.dumps([whole, text_of(chunks), len(chunks) > 1]))
asyncio.run(main())
"""
    assert g4f(script, page) == [f"{ECHO}Hello", f"{ECHO}Hello", True]


@pytest.mark.parametrize("form", ["There", "RetryProvider([There])"])
def test_the_client_answers_inside_a_running_loop(form: str, page: str, g4f: G4f) -> None:
    script = f"""
async def main():
    await asyncio.sleep(0)
    completions = Client(provider={form}).chat.completions
    whole = completions.create("Hello").choices[0].message.content
    print(json.dumps([whole, text_of(completions.stream("Hello"))]))
asyncio.run(main())
"""
    assert g4f(script, page) == [f"{ECHO}Hello", f"{ECHO}Hello"]


@pytest.mark.parametrize("form", ["There", "Mixed"])
def test_the_client_lists_the_models(form: str, page: str, demo: DemoSite, g4f: G4f) -> None:
    script = f"""
models = Client(provider={form}, api_key="x").models
print(json.dumps([models.get_all(), models.get_vision(), models.get_image(), models.get_video()]))
"""
    assert g4f(script, page) == [["gpt-4", "gpt-4o", "gpt-4o-mini"], [], [], []]
    assert demo.requests == []


def test_any_model_is_asked_for_and_named_in_the_answer(page: str, g4f: G4f) -> None:
    script = """
answer = Client(provider=RetryProvider([There])).chat.completions.create("Hello", model="claude-9")
print(json.dumps([answer.choices[0].message.content, answer.model, answer.provider]))
"""
    assert g4f(script, page) == [f"{ECHO}Hello", "claude-9", "There"]


def test_the_client_cuts_at_a_stop_word_and_after_so_many_pieces(page: str, g4f: G4f) -> None:
    script = """
completions = Client(provider=There).chat.completions
stopped = completions.create("Hello", stop="demo").choices[0]
cut = completions.create("SLOWWORDS 0.05 a b", max_tokens=1, stream=True)
print(json.dumps([stopped.message.content, stopped.finish_reason,
    text_of(completions.create("Hello", stop=["demo"], stream=True)), len(text_of(cut)) < 30]))
"""
    begin = "This answer is made up by the "
    assert g4f(script, page) == [begin, "stop", begin, True]


def test_the_async_client_cuts_at_a_stop_word_and_after_so_many_pieces(page: str, g4f: G4f) -> None:
    script = """
async def main():
    completions = AsyncClient(provider=There).chat.completions
    stopped = (await completions.create("Hello", stop="demo")).choices[0]
    streamed = [chunk async for chunk in completions.create("Hello", stop=["demo"], stream=True)]
    cut = [chunk async for chunk in completions.create("SLOWWORDS 0.05 a b", max_tokens=1, stream=True)]
    print(json.dumps([stopped.message.content, stopped.finish_reason, text_of(streamed), len(text_of(cut)) < 30]))
asyncio.run(main())
"""
    begin = "This answer is made up by the "
    assert g4f(script, page) == [begin, "stop", begin, True]


def test_a_timeout_bounds_the_whole_call(page: str, g4f: G4f) -> None:
    script = """
create = Client(provider=There).chat.completions.create
print(json.dumps([error_of(lambda: create("SLOWWORDS 30", timeout=1.0))[:2],
    error_of(lambda: text_of(create("SLOWWORDS 30", timeout=1.0, stream=True)))[:2]]))
"""
    assert g4f(script, page) == [["StreamInterruptedError", "stream_interrupted"]] * 2


def test_a_stream_timeout_bounds_the_wait_for_each_piece(page: str, g4f: G4f) -> None:
    script = """
async def main():
    try:
        async for chunk in AsyncClient(provider=There).chat.completions.stream("SLOWWORDS 60", stream_timeout=1):
            pass
    except TimeoutError as error:
        print(json.dumps(str(error)))
asyncio.run(main())
"""
    assert g4f(script, page) == "The operation timed out after 1 seconds"


@pytest.mark.anyio
@pytest.mark.parametrize("client", ["Client", "AsyncClient"])
@pytest.mark.parametrize("proxies", ["{!r}", "dict(all={!r})"])
async def test_the_client_s_proxy_takes_page_and_message(
    client: str, proxies: str, demo: DemoSite, g4f: G4f
) -> None:
    async with http_proxy() as proxy:
        script = f"""
answer = {client}(provider=There, proxies={proxies.format(proxy.url)}).chat.completions.create("Hello")
async def awaited():
    return await answer
if {client} is AsyncClient:
    answer = asyncio.run(awaited())
print(json.dumps(answer.choices[0].message.content))
"""
        answer = await anyio.to_thread.run_sync(g4f, script, demo.page("wpaicg/"))
        assert answer == f"{ECHO}Hello"
        assert len(proxy.targets) == len(demo.requests) == 2


def test_a_list_goes_on_to_the_next_provider(demo: DemoSite, g4f: G4f) -> None:
    script = """
answers = []
for kind in (IterListProvider, RotatedProvider, RetryProvider):
    client = Client(provider=kind([Lacking, There], shuffle=False))
    answer = client.chat.completions.create("Hello", strategy="static")
    answers.append([answer.provider, answer.choices[0].message.content])
print(json.dumps([answers, There.live > 0 > Lacking.live, ChatGptt.live]))
"""
    assert g4f(script, demo.page("wpaicg/")) == [[["There", f"{ECHO}Hello"]] * 3, True, 0]


def test_an_error_comes_out_as_it_is(demo: DemoSite, g4f: G4f) -> None:
    script = """
create = Client(provider=There).chat.completions.create
listed = Client(provider=RetryProvider([Lacking])).chat.completions.create
nowhere = Client(provider=There, proxies=sys.argv[1]).chat.completions.create
async def main():
    return await AsyncClient(provider=There).chat.completions.create("QUOTA")
print(json.dumps([
    error_of(lambda: create("QUOTA"))[:2],
    error_of(lambda: asyncio.run(main()))[:2],
    error_of(lambda: listed("Hello", strategy="static"))[:2],
    error_of(lambda: create([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "image_url"}]}])),
    error_of(lambda: create("Hello", image=b"x")),
]))
"""
    assert g4f(script, demo.page("wpaicg/")) == [
        ["RefusedError", "refused"],
        ["RefusedError", "refused"],
        ["TokensNotFoundError", "tokens_missing"],
        ["InvalidInputError", "invalid_input", "messages[1].content[0] is of the type 'image_url', not text"],
        ["InvalidInputError", "invalid_input", "media[0] cannot be sent"],
    ]


def test_a_program_s_whole_history_is_one_prompt(page: str, demo: DemoSite, g4f: G4f) -> None:
    script = """
Client(provider=There).chat.completions.create([
    {"role": "developer", "name": "ops", "content": "Be brief."},
    {"role": "user", "content": [{"type": "input_text", "text": "Sum 2 and 2."}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "sum:0", "type": "function", "function": {"name": "sum", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "sum:0", "content": "4"},
    {"role": "function", "name": "double", "content": "8"},
    {"role": "user", "content": "Hello"},
])
print(1)
"""
    g4f(script, page)
    assert demo.messages[-1].message == (
        "System: ops: Be brief.\nUser: Sum 2 and 2.\nTool: sum: 4\nFunction: double: 8\nUser: Hello\nAssistant:"
    )


def test_chat_completion_and_tools_want_a_check_first(page: str, g4f: G4f) -> None:
    script = """
from chatgptt import Client as Checking
create = g4f.ChatCompletion.create
tools = [{"type": "function", "function": {"name": "sum", "parameters": {"type": "object", "properties": {}}}}]
def ask():
    return create("gpt-4o", [{"role": "user", "content": "Hello"}], provider=There)
def ask_with_tools():
    return Client(provider=There).chat.completions.create("Hello", tools=tools).choices[0].message.content
before = [There.working, error_of(ask)[0], error_of(ask_with_tools)[0],
    create("gpt-4o", [{"role": "user", "content": "Hello"}], provider=There, ignore_working=True)]
with Checking(There.url) as client:
    client.health_check()
print(json.dumps([before, There.working, ask(), "Hello" in ask_with_tools()]))
"""
    unchecked = [False, "ProviderNotWorkingError", "ProviderNotWorkingError", f"{ECHO}Hello"]
    assert g4f(script, page) == [unchecked, True, f"{ECHO}Hello", True]


@pytest.mark.parametrize("form", ["There", "Mixed"])
def test_chat_completion_streams_and_is_awaited(form: str, page: str, g4f: G4f) -> None:
    script = f"""
arguments = dict(model="gpt-4o", messages=[{{"role": "user", "content": "Hello"}}], provider={form}, ignore_working=True)
pieces = list(g4f.ChatCompletion.create(stream=True, **arguments))
async def main():
    return await g4f.ChatCompletion.create_async(**arguments)
print(json.dumps(["".join(map(str, pieces)), len(pieces) > 1, asyncio.run(main())]))
"""
    assert g4f(script, page) == [f"{ECHO}Hello", True, f"{ECHO}Hello"]


def test_the_mixin_form_is_one_of_g4f_s_own_kind(page: str, g4f: G4f) -> None:
    script = """
names = set(Mixed.get_parameters(as_json=True))
print(json.dumps([issubclass(Mixed, AsyncGeneratorProvider), Mixed.get_dict() == {**There.get_dict(), "name": "Mixed"},
    {"model", "messages", "timeout"} <= names, Mixed.get_model("auto"), error_of(lambda: Mixed.get_model("x"))[0]]))
"""
    assert g4f(script, page) == [True, True, True, "gpt-4o", "InvalidInputError"]


def interrupt(process: subprocess.Popen[bytes]) -> bytes:
    """What a process says to Ctrl-C. A signal just before the loop's wait ends no wait: a person presses again."""
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        try:
            return process.communicate(timeout=PATIENCE / 5)[1]
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError("it goes on")


@pytest.mark.parametrize(
    "script",
    [
        "for chunk in Client(provider=There).chat.completions.stream('SLOWWORDS 60'): print(chunk.choices[0].delta.content)",
        """
async def main():
    async for chunk in AsyncClient(provider=There).chat.completions.stream("SLOWWORDS 60"):
        print(chunk.choices[0].delta.content)
asyncio.run(main())
""",
    ],
    ids=["sync", "async"],
)
def test_ctrl_c_ends_a_stream_at_once(script: str, page: str, g4f: G4f) -> None:
    with g4f.started(script, page) as process:
        read_until(process, b" ")
        err = interrupt(process)
    assert process.returncode == -signal.SIGINT
    assert err.rstrip().endswith(b"KeyboardInterrupt")


# docs/gpt4free.md and its example


def test_the_example_works(g4f: G4f) -> None:
    done = subprocess.run(
        [g4f.python, EXAMPLE],
        capture_output=True,
        text=True,
        env=g4f.environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{ECHO}Hello", f"MyChat: {ECHO}Hello"]


COMMANDS = [line for text in texts_of("gpt4free.md", "sh") for line in text.splitlines()]


def test_the_documented_commands_work(demo: DemoSite, g4f: G4f) -> None:
    assert COMMANDS
    env = {**g4f.environment(), "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # all is installed
    for command in COMMANDS:
        done = subprocess.run(
            command.replace(PAGE, demo.page("wpaicg/")).replace("install .", "install chatgptt"),
            shell=True,
            env=env,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, (command, done)


@pytest.mark.parametrize("snippet", texts_of("gpt4free.md", "python"))
def test_a_documented_program_works(snippet: str, page: str, g4f: G4f) -> None:
    quiet = "import g4f.debug; g4f.debug.version_check = False\n"
    done = subprocess.run(
        [g4f.python, "-c", quiet + snippet.replace(PAGE, page)],
        capture_output=True,
        text=True,
        env=g4f.environment(),
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert ECHO in done.stdout
