"""Every command and program of docs/llm.md works, and the programs of docs/serve.md."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from ecosystem.processes import endpoint, environment
from pages.blocks import texts_of

from chatgptt.demo import DemoSite

PAGE = "https://site.example/chat"
LLM_COMMANDS = [
    line
    for snippet in texts_of("llm.md", "sh")
    for line in snippet.splitlines()
    if not re.match("(pip|llm) install ", line)
]


@pytest.fixture
def llm_environment(llm_python: Path, demo: DemoSite, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sites.toml").write_text(f'[shop]\nurl = "{demo.page("aipkit/")}"\n')
    return environment(
        PATH=f"{llm_python.parent}{os.pathsep}{os.environ['PATH']}",
        LLM_USER_PATH=str(tmp_path / "llm"),
        CHATGPTT_SITES=str(tmp_path / "sites.toml"),
        CHATGPTT_SITE=demo.page("wpaicg/"),
    )


def test_the_commands_for_llm_work(llm_environment: dict[str, str], demo: DemoSite) -> None:
    assert len(LLM_COMMANDS) == 12
    for command in LLM_COMMANDS:
        done = subprocess.run(
            command.replace(PAGE, demo.page("wpaicg/")),
            shell=True,
            input="Hello\nexit\n" if command.startswith("llm chat") else "",
            env=llm_environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (command, done)
        assert done.stdout.strip(), command


@pytest.mark.parametrize("program", texts_of("llm.md", "python"))
def test_the_programs_for_llm_work(program: str, llm_python: Path, llm_environment: dict[str, str]) -> None:
    done = subprocess.run(
        [llm_python, "-c", program],
        env=llm_environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "made up by the demo" in done.stdout


@pytest.mark.parametrize("program", texts_of("serve.md", "python"))
def test_the_programs_of_python_for_the_endpoint_work(
    program: str, demo: DemoSite, tmp_path: Path, openai_python: Path
) -> None:
    asks_the_demo([str(openai_python), "-c", program], demo, tmp_path)


def test_the_program_of_node_for_the_endpoint_works(
    demo: DemoSite, tmp_path: Path, node_folder: Path
) -> None:
    (program,) = texts_of("serve.md", "js")
    asks_the_demo(["node", "--input-type=module", "-e", program], demo, tmp_path, node_folder)


def asks_the_demo(command: list[str], demo: DemoSite, state: Path, folder: Path | None = None) -> None:
    """Runs a program that asks the endpoint, and sees that it prints an answer of the demo."""
    with endpoint(demo.page("aipkit/"), state) as url:
        done = subprocess.run(
            [word.replace("http://127.0.0.1:8780/v1", url) for word in command],
            env=environment(),
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
    assert (done.returncode, "made up by the demo" in done.stdout) == (0, True), done
