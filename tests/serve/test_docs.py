"""What docs/serve.md shows beside commands works. tests/pages runs the commands, tests/ecosystem the programs."""

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
from pages.blocks import ROOT, texts_of
from serve.serving import error_of, serving

from chatgptt.demo import DemoSite
from chatgptt.serve.failures import Failure, ServeCode

DOCS = ROOT / "docs" / "serve.md"
BASE = "http://127.0.0.1:8780"


def serves(command: str, **environment: str) -> None:
    """Runs a command that serves, on a free port, until it answers."""
    words = shlex.split(command)
    assert words[:2] == ["chatgptt", "serve"]
    argv = [sys.executable, "-m", *words, "--port", "0", "--json"]
    env = {**os.environ, **environment}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) as process:
        try:
            document = json.loads(read_until(process, b"}\n"))
            url = document["url"].removesuffix("/v1").replace("0.0.0.0", "127.0.0.1")
            assert httpx.get(f"{url}/health", trust_env=False).json() == {"status": "ok"}
        finally:
            process.kill()


def test_the_unit_serves(demo: DemoSite, tmp_path: Path) -> None:
    (text,) = texts_of("serve.md", "ini")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.read_string(text)
    (tmp_path / "sites.toml").write_text(f'[shop]\nurl = "{demo.page("wpaicg/")}"\n')
    serves(
        unit["Service"]["ExecStart"].removeprefix("/opt/chatgptt/bin/"),
        CHATGPTT_SITES=str(tmp_path / "sites.toml"),
    )
    for name in re.findall(r"^Environment=(\w+)=", text, re.M):
        assert name in ("CHATGPTT_STATE_DIR", "CHATGPTT_SITES")


def test_the_container_serves_and_knows_that_it_does(demo: DemoSite) -> None:
    (text,) = texts_of("serve.md", "dockerfile")
    lines = dict(line.split(" ", 1) for line in text.splitlines())
    entry = shlex.join(json.loads(lines["ENTRYPOINT"]))
    serves(entry, CHATGPTT_API_KEY="made-up", CHATGPTT_SITE=demo.page("wpaicg/"))
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
    (text,) = [snippet for snippet in texts_of("serve.md", "sh") if "OPENAI_API_BASE_URL" in snippet]
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
