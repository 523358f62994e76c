"""Every command and program of docs/scale.md works, and its example."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from pages.blocks import texts_of
from scale.redis_server import RedisServer
from scale.workers import PATIENCE

from chatgptt.demo import DemoSite

ROOT = Path(__file__).parents[2]
URL = re.compile(r"rediss?://:password@redis\.example:6379/0")


@pytest.fixture
def environment(demo: DemoSite, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "questions.jsonl").write_text(
        '{"id": "a", "message": "Hello"}\n{"id": "b", "message": "Bye"}\n'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "CHATGPTT_STATE_DIR": str(tmp_path / "state")}


def adapted(text: str, demo: DemoSite, redis: RedisServer) -> str:
    return URL.sub(redis.url, text).replace("https://site.example/chat", demo.page("wpaicg/"))


@pytest.fixture
def worker_stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def start_worker(command: list[str], folder: Path, environment: dict[str, str], stack: ExitStack) -> None:
    log = folder / "worker.log"
    with log.open("wb") as file:
        worker = subprocess.Popen(
            [*command, "--loglevel", "INFO"], cwd=folder, env=environment, stdout=file, stderr=file
        )
    stack.callback(worker.wait, PATIENCE)
    stack.callback(worker.terminate)
    until = time.monotonic() + PATIENCE
    while b" ready." not in log.read_bytes():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def test_the_unit_starts_a_worker(
    redis: RedisServer, environment: dict[str, str], tmp_path: Path, worker_stack: ExitStack
) -> None:
    (text,) = texts_of("scale.md", "ini")
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(text)
    command = unit["Service"]["ExecStart"].removeprefix("/opt/chatgptt/bin/").split()
    start_worker(command, tmp_path, {**environment, "CHATGPTT_BROKER": redis.url}, worker_stack)


def test_the_commands_and_programs_work_in_their_order(
    demo: DemoSite, redis: RedisServer, environment: dict[str, str], tmp_path: Path, worker_stack: ExitStack
) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    ran = []
    for line in adapted("".join(texts_of("scale.md", "sh")), demo, redis).splitlines():
        words = [
            word.strip("\"'") for word in re.findall(r"""'[^']*'|"[^"]*"|\S+""", line.partition("  #")[0])
        ]
        match words:
            case ["export", setting]:
                name, _, value = setting.partition("=")
                environment[name] = value
            case ["pip", "install", package]:
                assert re.fullmatch(r"\.\[(\w+)\]", package)[1] in extras  # type: ignore[index]
            case ["chatgptt", "login", *_]:
                continue  # a person takes part
            case ["celery", *_, "inspect", "ping"]:
                subprocess.run(words, cwd=tmp_path, env=environment, check=True, timeout=PATIENCE)
            case ["celery", *_]:
                start_worker(words, tmp_path, environment, worker_stack)
            case _:
                subprocess.run(words, cwd=tmp_path, env=environment, check=True, timeout=PATIENCE)
        ran.append(words[0])
    assert {"export", "pip", "celery", "chatgptt"} <= set(ran)
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert {answer["custom_id"] for answer in answers} == {"a", "b"}
    assert texts_of("scale.md", "python")
    for program in texts_of("scale.md", "python"):
        script = adapted(program, demo, redis)
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=PATIENCE)
    example = [sys.executable, str(ROOT / "examples/scale/ask_workers.py"), demo.page("aipkit/")]
    done = subprocess.run(
        example, env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert len(done.stdout.splitlines()) == 2
