"""What docs/serve.md shows works, as far as it needs no other program; tests/ecosystem runs the rest."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import httpx
import pytest
from cli.commands import PATIENCE, read_until
from serve.serving import curl, error_of, serving

from chatgptt.demo import DemoSite
from chatgptt.serve.failures import Failure, ServeCode

DOCS = Path(__file__).parents[2] / "docs" / "serve.md"
PAGE, BASE = "https://site.example/chat", "http://127.0.0.1:8780"


def snippets(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", DOCS.read_text(), re.M | re.S)


COMMANDS = [line for snippet in snippets("sh") for line in snippet.splitlines()]


def serves(command: str, demo: DemoSite, **environment: str) -> None:
    """Runs a command that serves, on a free port, until it answers."""
    words = shlex.split(command.replace(PAGE, demo.page("wpaicg/")))
    given = [word for word in words if re.match(r"[A-Z_]+=", word)]
    assert words[len(given) : len(given) + 2] == ["chatgptt", "serve"]
    argv = [sys.executable, "-m", *words[len(given) :], "--port", "0", "--json"]
    env = {**os.environ, **dict(word.split("=", 1) for word in given), **environment}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) as process:
        try:
            document = json.loads(read_until(process, b"}\n"))
            url = document["url"].removesuffix("/v1").replace("0.0.0.0", "127.0.0.1")
            assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "ok"}
        finally:
            process.kill()


def test_the_requests_get_answers(demo: DemoSite) -> None:
    commands = [command for command in COMMANDS if command.startswith("curl ")]
    assert len(commands) == 5
    with serving(demo.page("wpaicg/")) as endpoint:
        url = str(endpoint.base_url).rstrip("/")
        for command in commands:
            assert curl(command.replace(BASE, url)).status_code == 200, command


def test_the_commands_serve(demo: DemoSite) -> None:
    commands = [command for command in COMMANDS if "chatgptt serve" in command]
    assert len(commands) == 2
    for command in commands:
        serves(command, demo)


def test_every_command_is_known() -> None:
    for command in COMMANDS:
        assert re.match(r"curl |pip install 'chatgptt\[serve\]'|(\w+=\S+ )?chatgptt serve|\w+=\S+$", command)


def test_the_unit_serves(demo: DemoSite, tmp_path: Path) -> None:
    (text,) = snippets("ini")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string(text)
    (tmp_path / "sites.toml").write_text(f'[shop]\nurl = "{demo.page("wpaicg/")}"\n')
    serves(unit["Service"]["ExecStart"], demo, CHATGPTT_SITES=str(tmp_path / "sites.toml"))
    for name in re.findall(r"^Environment=(\w+)=", text, re.M):
        assert name in ("CHATGPTT_STATE_DIR", "CHATGPTT_SITES")


def test_the_container_serves_and_knows_that_it_does(demo: DemoSite) -> None:
    (text,) = snippets("dockerfile")
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    entry = shlex.join(json.loads(lines["ENTRYPOINT"]))
    serves(entry, demo, CHATGPTT_API_KEY="made-up", CHATGPTT_SITE=demo.page("wpaicg/"))
    program, *check = json.loads(lines["HEALTHCHECK"].removeprefix("CMD "))
    assert program == "python"
    with serving(demo.page("wpaicg/")) as endpoint:
        here = [word.replace(BASE, str(endpoint.base_url).rstrip("/")) for word in check]
        assert subprocess.run([sys.executable, *here], timeout=PATIENCE, check=False).returncode == 0
    assert (
        subprocess.run([sys.executable, *here], capture_output=True, timeout=PATIENCE, check=False).returncode
        == 1
    )


def test_open_webui_finds_the_models_at_its_address(demo: DemoSite) -> None:
    (text,) = [snippet for snippet in snippets("sh") if "OPENAI_API_BASE_URL" in snippet]
    settings = dict(line.split("=", 1) for line in text.splitlines())
    with serving(demo.page("wpaicg/")) as endpoint:
        path = settings["OPENAI_API_BASE_URL"].removeprefix(BASE) + "/models"
        headers = {"authorization": f"Bearer {settings['OPENAI_API_KEY']}"}
        assert endpoint.get(path, headers=headers).json()["object"] == "list"
        assert error_of(endpoint.get("/v1/unknown"))[0] == 404


@pytest.mark.parametrize(
    "code",
    [
        "invalid_api_key",
        "forbidden",
        "model_not_found",
        "not_found",
        "method_not_allowed",
        "too_large",
        "busy",
        "ending",
    ],
)
def test_the_table_names_every_code_of_its_own(code: ServeCode) -> None:
    assert code in {name for union in get_args(ServeCode) for name in get_args(union)}
    assert f"(`{code}`)" in DOCS.read_text()
    assert Failure(status=400, code=code, message="").as_dict()
