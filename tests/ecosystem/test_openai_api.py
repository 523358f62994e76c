"""`chatgptt serve` for the real clients of the OpenAI API, each as a process, with sites of both generations.

A program runs once for each generation, since some take seconds to start. It prints what it saw as one JSON object,
and each test looks at one fact of it.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import faults
import httpx
import pytest
from asking import ECHO
from ecosystem.processes import PATIENCE, endpoint, environment, read_until

from chatgptt.demo import DemoSite

GENERATIONS = ("wpaicg/", "aipkit/")
HELLO = f"{ECHO}Hello"
LATER = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "I am Ada."},
    {"role": "assistant", "content": "Hello Ada."},
    {"role": "user", "content": "Who am I?"},
]

BEGIN = f"""
import asyncio, json, sys
base, later, hello = sys.argv[1], {LATER!r}, [{{"role": "user", "content": "Hello"}}]
def words(text):
    return [{{"role": "user", "content": text}}]
def failing(call):
    try:
        call()
    except Exception as error:
        return [getattr(error, "status_code", None), getattr(error, "code", None)]
"""

OPENAI = """
import openai
client = openai.OpenAI(base_url=base, api_key="none")
create = client.chat.completions.create
def texts(chunks):
    return [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
async def from_async():
    async with openai.AsyncOpenAI(base_url=base, api_key="none") as client:
        stream = await client.chat.completions.create(model="default", messages=hello, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
whole = create(model="default", messages=hello)
with client.responses.stream(model="default", input="Hello") as stream:
    kinds, final = [event.type for event in stream], stream.get_final_response()
usage = list(create(model="default", messages=hello, stream=True, stream_options={"include_usage": True}))[-1]
ignoring = client.chat.completions.with_raw_response.create(model="default", messages=hello, temperature=0.1, seed=1)
create(model="default", messages=later)
print(json.dumps({
    "whole": whole.choices[0].message.content,
    "streamed": texts(create(model="default", messages=hello, stream=True)),
    "async": asyncio.run(from_async()),
    "usage": [whole.usage, usage.choices, usage.usage],
    "models": [model.id for model in client.models.list()],
    "model": client.models.retrieve("gpt-4o").id,
    "stop": create(model="default", messages=words("SLOWWORDS 1000"), stop="is ").choices[0].message.content,
    "ignored": ignoring.headers["x-chatgptt-ignored"],
    "response": client.responses.create(model="default", input="Hello").output_text,
    "response_events": [kinds[0], kinds[-1], final.output_text, final.usage],
    "failure": failing(lambda: create(model="default", messages=words("PROVIDER500"))),
    "failures": {word: failing(lambda: create(model="default", messages=words(word), stream=streams))
        for word in ("MODERATION", "EMPTY", "NONCE", "ERR500", "DROPFIRST", "0")
        for streams in (False, True)},
    "no_model": failing(lambda: create(model="https://site.example/", messages=hello)),
    "image": failing(lambda: create(model="default",
        messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}])),
    "broken": failing(lambda: list(create(model="default", messages=words("MIDERROR"), stream=True))),
    "response_broken": failing(lambda: list(client.responses.create(model="default", input="MIDERROR", stream=True))),
    "quota": failing(lambda: create(model="default", messages=words("QUOTA"))),  # the last: later ones wait
}))
"""

LANGCHAIN = """
from langchain_openai import ChatOpenAI
def add(a: int, b: int) -> int:
    "Adds two numbers."
    return a + b
model = ChatOpenAI(base_url=base, api_key="none", model="default", temperature=0.3)
tools = model.bind_tools([add]).invoke("Hello")
model.invoke(later)
print(json.dumps({
    "whole": model.invoke("Hello").content,
    "streamed": [piece.content for piece in model.stream("Hello")],
    "async": asyncio.run(model.ainvoke("Hello")).content,
    "tools": [tools.content, tools.tool_calls],
    "response": ChatOpenAI(base_url=base, api_key="none", model="default", use_responses_api=True).invoke("Hello").text,
    "failure": failing(lambda: model.invoke("PROVIDER500")),
}))
"""

LITELLM = """
import litellm
litellm.suppress_debug_info = True
def ask(messages, **options):
    return litellm.completion(model="openai/default", api_base=base, api_key="none", messages=messages, **options)
ask(later)
print(json.dumps({
    "whole": ask(hello).choices[0].message.content,
    "streamed": [chunk.choices[0].delta.content or "" for chunk in ask(hello, stream=True)],
    "failure": failing(lambda: ask(words("PROVIDER500"))),
}))
"""

PYDANTIC_AI = """
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
provider = OpenAIProvider(base_url=base, api_key="none")
agent = Agent(OpenAIChatModel("default", provider=provider))
async def stream():
    async with agent.run_stream("Hello") as run:
        return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
briefly = Agent(OpenAIChatModel("default", provider=provider), instructions="Be brief.")
first = agent.run_sync("I am Ada.")
briefly.run_sync("Who am I?", message_history=first.all_messages())
print(json.dumps({
    "whole": agent.run_sync("Hello").output,
    "streamed": asyncio.run(stream()),
    "response": Agent(OpenAIResponsesModel("default", provider=provider)).run_sync("Hello").output,
    "failure": [*failing(lambda: agent.run_sync("PROVIDER500"))[:1], None],
}))
"""

LLAMA_INDEX = """
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
model = OpenAILike(model="default", api_base=base, api_key="none", is_chat_model=True, max_retries=0)
model.chat([ChatMessage(**message) for message in later])
print(json.dumps({
    "whole": model.complete("Hello").text,
    "streamed": [piece.delta or "" for piece in model.stream_complete("Hello")],
    "failure": failing(lambda: model.complete("PROVIDER500")),
}))
"""

NODE_BEGIN = f"""
const base = process.argv[1], later = {json.dumps(LATER)}, hello = [{{ role: 'user', content: 'Hello' }}]
const words = text => [{{ role: 'user', content: text }}]
const failing = async call => {{
  try {{ await call() }} catch (error) {{ return [error.status ?? error.statusCode ?? null, error.code ?? null] }}
}}
const pieces = async (stream, read) => {{
  const texts = []
  for await (const piece of stream) texts.push(read(piece) ?? '')
  return texts
}}
"""

OPENAI_NODE = """
import OpenAI from 'openai'
const client = new OpenAI({ baseURL: base, apiKey: 'none' })
const create = (messages, stream = false) => client.chat.completions.create({ model: 'default', messages, stream })
await create(later)
console.log(JSON.stringify({
  whole: (await create(hello)).choices[0].message.content,
  streamed: await pieces(await create(hello, true), chunk => chunk.choices[0]?.delta?.content),
  response: (await client.responses.create({ model: 'default', input: 'Hello' })).output_text,
  failure: await failing(() => create(words('PROVIDER500'))),
  broken: await failing(async () => pieces(await create(words('MIDERROR'), true), chunk => chunk)),
}))
"""

AI_SDK = """
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, streamText } from 'ai'
const model = createOpenAICompatible({ name: 'chatgptt', baseURL: base })('default')
const usual = createOpenAI({ baseURL: base, apiKey: 'none' })('default')  // by the call for responses
await generateText({ model, system: later[0].content, messages: later.slice(1) })
console.log(JSON.stringify({
  whole: (await generateText({ model, prompt: 'Hello' })).text,
  streamed: await pieces(streamText({ model, prompt: 'Hello' }).textStream, piece => piece),
  response: (await generateText({ model: usual, prompt: 'Hello' })).text,
  response_streamed: await pieces(streamText({ model: usual, prompt: 'Hello' }).textStream, piece => piece),
  failure: await failing(() => generateText({ model, prompt: 'PROVIDER500', maxRetries: 0 })),
}))
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program saw, and which messages reached the site's AI meanwhile."""

    facts: dict[str, object]
    heard: list[str]
    histories: list[str]


Run = Callable[[str, str], Ran]
PYTHON = {"openai": OPENAI, "langchain": LANGCHAIN, "litellm": LITELLM, "pydantic-ai": PYDANTIC_AI}
NODE = {"openai-node": OPENAI_NODE, "ai-sdk": AI_SDK}
PROGRAMS = (*PYTHON, "llama-index", *NODE)
EACH = pytest.mark.parametrize(
    ("program", "generation"), [(program, each) for program in PROGRAMS for each in GENERATIONS]
)
OPENAI_OF_EACH = pytest.mark.parametrize(
    ("program", "generation"), [("openai", each) for each in GENERATIONS]
)


def output_of(command: list[str], folder: Path | None = None) -> str:
    env = environment(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_TELEMETRY="False")
    done = subprocess.run(
        command, capture_output=True, text=True, env=env, cwd=folder, timeout=3 * PATIENCE, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="session")
def run(
    running_demo: DemoSite, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Run]:
    """Runs a program once for a generation, and remembers what it saw."""
    known: dict[tuple[str, str], Ran] = {}
    with ExitStack() as stack:
        urls = {
            each: stack.enter_context(endpoint(running_demo.page(each), tmp_path_factory.mktemp("state")))
            for each in GENERATIONS
        }

        def run_once(program: str, generation: str) -> Ran:
            if (program, generation) not in known:
                running_demo.clear()
                printed = output_of(*_command(program, urls[generation], request))
                messages = [request for request in running_demo.messages if request.message]
                known[program, generation] = Ran(
                    json.loads(printed.splitlines()[-1]),
                    [str(each.message) for each in messages],
                    [each.fields.get("wpaicg_chat_history", "") for each in messages],
                )
            return known[program, generation]

        yield run_once


def _command(program: str, url: str, request: pytest.FixtureRequest) -> tuple[list[str], Path | None]:
    if program in NODE:
        folder: Path = request.getfixturevalue("node_folder")
        return ["node", "--input-type=module", "-e", NODE_BEGIN + NODE[program], url], folder
    name, script = ("openai", PYTHON[program]) if program in PYTHON else ("llama_index", LLAMA_INDEX)
    python: Path = request.getfixturevalue(f"{name}_python")
    return [str(python), "-c", BEGIN + script, url], None


# Every program


@EACH
def test_an_answer_comes_whole(program: str, generation: str, run: Run) -> None:
    assert run(program, generation).facts["whole"] == HELLO


@EACH
def test_an_answer_streams(program: str, generation: str, run: Run) -> None:
    streamed = run(program, generation).facts["streamed"]
    assert isinstance(streamed, list)
    assert "".join(streamed) == HELLO
    assert len([piece for piece in streamed if piece]) > 1


@EACH
def test_earlier_messages_reach_the_site(program: str, generation: str, run: Run) -> None:
    ran = run(program, generation)
    assert any(
        "I am Ada." in told and "Who am I?" in told
        for told in map("".join, zip(ran.heard, ran.histories, strict=True))
    )


@EACH
def test_a_failing_message_is_sent_once(program: str, generation: str, run: Run) -> None:
    ran = run(program, generation)
    failure = ran.facts["failure"]
    assert isinstance(failure, list)
    assert failure[0] == 502
    assert ran.heard.count("PROVIDER500") == 1


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("program", ["openai", "langchain", "pydantic-ai", "openai-node", "ai-sdk"])
def test_the_call_for_responses_works(program: str, generation: str, run: Run) -> None:
    assert run(program, generation).facts["response"] == HELLO


# Some programs


@OPENAI_OF_EACH
def test_openai_finds_all_that_it_asks_for(program: str, generation: str, run: Run) -> None:
    facts = run(program, generation).facts
    assert facts["async"] == HELLO
    assert facts["usage"] == [None, [], None]
    assert facts["models"] == ["default", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"]
    assert facts["model"] == "gpt-4o"
    assert facts["stop"] == "Th"
    assert facts["ignored"] == "seed, temperature"
    assert facts["response_events"] == ["response.created", "response.completed", HELLO, None]


@OPENAI_OF_EACH
def test_openai_gets_each_error(program: str, generation: str, run: Run) -> None:
    facts = run(program, generation).facts
    assert facts["failure"] == [502, "provider_error"]
    assert facts["failures"] == {
        "MODERATION": [403, "refused"],
        "EMPTY": [502, "empty_answer"],
        "NONCE": [502, "token_rejected"],
        "ERR500": [502, "http_error"],
        "DROPFIRST": [502, "connect_error"],
        "0": [400, "invalid_input"],
    }
    assert facts["quota"] == [429, "refused"]
    assert facts["no_model"] == [404, "model_not_found"]
    assert facts["image"] == [400, "invalid_input"]
    assert facts["broken"] == facts["response_broken"] == [None, "provider_error"]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_langchain_s_tools_do_no_harm(generation: str, run: Run) -> None:
    facts = run("langchain", generation).facts
    assert (facts["tools"], facts["async"]) == ([HELLO, []], HELLO)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_openai_node_gets_an_error_after_some_text(generation: str, run: Run) -> None:
    assert run("openai-node", generation).facts["broken"] == [None, "provider_error"]


@pytest.mark.parametrize("generation", GENERATIONS)
def test_the_ai_sdk_streams_responses(generation: str, run: Run) -> None:
    streamed = run("ai-sdk", generation).facts["response_streamed"]
    assert isinstance(streamed, list)
    assert ("".join(streamed), len(streamed) > 1) == (HELLO, True)


# Many clients, and one that goes away

CROWD = """
import openai
async def main():
    async with openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
        async def ask():
            stream = await client.chat.completions.create(model="default", messages=words("SLOW 1"), stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        print(json.dumps(await asyncio.gather(*[ask() for _ in range(200)])))
asyncio.run(main())
"""

BUSY = """
import openai
create = openai.OpenAI(base_url=base, api_key="none").chat.completions.create
print(json.dumps([failing(lambda: create(model="default", messages=words(text))) for text in ("BUSYLONG", "Hello")]))
"""

LEAVING = """
import openai
client = openai.OpenAI(base_url=base, api_key="none", max_retries=0)
if sys.argv[2] == "streamed":
    for chunk in client.chat.completions.create(model="default", messages=hello, stream=True):
        print(chunk.choices[0].delta.content, flush=True)
else:
    client.chat.completions.create(model="default", messages=hello)
"""


@pytest.mark.parametrize("generation", GENERATIONS)
def test_two_hundred_streams_at_once_are_answered(
    generation: str, demo: DemoSite, tmp_path: Path, openai_python: Path
) -> None:
    with endpoint(demo.page(generation), tmp_path, "--concurrency", "200") as url:
        answers = json.loads(output_of([str(openai_python), "-c", BEGIN + CROWD, url]))
    assert answers == [f"{ECHO}SLOW 1"] * 200


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_busy_site_is_left_alone(
    generation: str, demo: DemoSite, tmp_path: Path, openai_python: Path
) -> None:
    with endpoint(demo.page(generation), tmp_path) as url:
        printed = output_of([str(openai_python), "-c", BEGIN + BUSY, url])
    assert json.loads(printed) == [[429, "rate_limited"]] * 2
    assert demo.messages == []


@pytest.mark.anyio
@pytest.mark.parametrize("way", ["streamed", "whole"])
async def test_a_client_that_is_killed_cancels_its_question(
    way: str, tmp_path: Path, openai_python: Path
) -> None:
    async with faults.serving(faults.chat(message=faults.silence_after_text)) as site:
        with endpoint(site.url, tmp_path, "--concurrency", "1", "--queue", "0") as url:
            command = [str(openai_python), "-c", BEGIN + LEAVING, url, way]
            with subprocess.Popen(  # noqa: ASYNC220 - it takes no time that anyone waits for
                command, stdout=subprocess.PIPE, env=environment()
            ) as process:
                try:
                    if way == "streamed":
                        await anyio.to_thread.run_sync(read_until, process, b"Hi")
                    with anyio.fail_after(PATIENCE):
                        while not site.counts[1]:  # noqa: ASYNC110 - a server counts
                            await anyio.sleep(0.01)
                finally:
                    process.send_signal(signal.SIGKILL)
            await site.until_all_closed()
            async with httpx.AsyncClient(trust_env=False) as client:
                assert (await client.get(url.removesuffix("/v1") + "/health")).status_code == 200
