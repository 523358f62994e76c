"""`chatgptt serve` as a process: what it prints, what it serves, and how it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cli.commands import PATIENCE, interrupt, read_until, run_process, started
from serve.serving import CHAT, chat, curl, endpoint, error_of, text_of

from chatgptt.demo import DemoSite


@pytest.mark.parametrize("path", ["wpaicg/", "aipkit/"])
def test_it_serves_a_page_until_ctrl_c(path: str, demo: DemoSite) -> None:
    with endpoint("--site", demo.page(path)) as (process, client, models):
        assert models == ["default", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"]
        assert text_of(client.post(CHAT, json=chat(stream=True))).endswith("You wrote: Hello")
        assert interrupt(process) == (130, b"", b"")


def test_sigterm_ends_it(demo: DemoSite) -> None:
    with endpoint("--site", demo.page("wpaicg/")) as (process, _, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == -signal.SIGTERM


def test_an_answer_under_way_does_not_keep_it(demo: DemoSite) -> None:
    body = chat("SLOWWORDS 1000", stream=True)
    with (
        endpoint("--site", demo.page("wpaicg/")) as (process, client, _),
        client.stream("POST", CHAT, json=body) as response,
    ):
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        process.send_signal(signal.SIGTERM)
        last = [line for line in lines if line][-1]
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "ending"
        assert process.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_under_way_at_its_end_is_not_to_be_repeated(
    number: signal.Signals, demo: DemoSite
) -> None:
    with (
        ThreadPoolExecutor(1) as threads,
        endpoint("--site", demo.page("wpaicg/")) as (process, client, _),
    ):
        asked = threads.submit(client.post, CHAT, json=chat("SLOW 1000"))
        end = time.monotonic() + PATIENCE
        while not demo.messages and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(number)
        assert error_of(asked.result(PATIENCE)) == (503, "ending")


def test_it_says_what_to_try(demo: DemoSite) -> None:
    with started("serve", "--port", "0", "--site", demo.page("wpaicg/")) as process:
        said = read_until(process, b"your-program\n").decode()
        (line,) = [line for line in said.splitlines() if line.startswith("  curl ")]
        assert (
            f"  OPENAI_BASE_URL={line.split()[1].removesuffix('/chat/completions')} OPENAI_API_KEY=" in said
        )
        assert text_of(curl(line)).endswith("You wrote: Hello")


@pytest.mark.parametrize("name", ["it's", 'the \\"best\\"'])
def test_what_it_says_to_try_works_for_any_name(name: str, demo: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(f'["{name}"]\nurl = "{demo.page("wpaicg/")}"\n')
    with started("serve", "--port", "0", "--sites", str(file)) as process:
        said = read_until(process, b"your-program\n").decode()
        (line,) = [line for line in said.splitlines() if line.startswith("  curl ")]
        assert text_of(curl(line)).endswith("You wrote: Hello")


def test_it_names_the_key_by_its_variable_alone(demo: DemoSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATGPTT_API_KEY", "made-up-key")
    with started("serve", "--port", "0", "--site", demo.page("wpaicg/")) as process:
        said = read_until(process, b"your-program\n").decode()
        assert "made-up-key" not in said
        assert said.count("$CHATGPTT_API_KEY") == 2


def test_without_a_site_the_named_ones_are_the_models(demo: DemoSite, tmp_path: Path) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(
        f'[one]\nurl = "{demo.page("wpaicg/")}"\n[two]\nurl = "{demo.page("aipkit/many/")}"\nbot = 6\n'
    )
    with endpoint("--sites", str(file)) as (_, client, models):
        assert models == ["one", "two"]
        assert client.post(CHAT, json=chat() | {"model": "two"}).status_code == 200
        assert {request.fields["bot_id"] for request in demo.requests if request.fields} == {"6"}
    with endpoint("--sites", str(file), "--site", "two", "--bot", "7") as (_, client, models):
        assert models == ["two", "default", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"]
        demo.clear()
        assert client.post(CHAT, json=chat()).status_code == 200
        assert {request.fields["bot_id"] for request in demo.requests if request.fields} == {"7"}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--host", "0.0.0.0"], "without an API key"),
        (["--host", "", "--api-key", "made-up"], "address to listen on is empty"),
        (["--allow-origin", "*"], "not the origin of a page"),
        (["--allow-host", ""], "not a name of a machine"),
        (["--api-key", "a b"], "API key cannot be sent"),
        (["--site", "nobody"], "unknown site 'nobody'"),
        (["--site", "ftp://site.example/"], "ftp"),
        (["--concurrency", "0"], "concurrency"),
    ],
)
def test_what_cannot_work_is_wrong_usage(argv: list[str], words: str) -> None:
    done = run_process("serve", "--port", "0", *argv)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_a_file_without_sites_serves_no_other(tmp_path: Path) -> None:
    (tmp_path / "sites.toml").touch()
    done = run_process("serve", "--port", "0", "--sites", str(tmp_path / "sites.toml"))
    assert done.code == 2
    assert "holds no sites" in done.err


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_process("serve", "--port", port, "--site", "http://127.0.0.1:9/")
    assert done.code == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in done.err


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_without_its_extra_it_says_how_to_get_it(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from chatgptt.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert f"the endpoint needs the package {package}" in done.stderr
    assert "pip install 'chatgptt[serve]'" in done.stderr


def test_a_question_loads_nothing_of_it() -> None:
    script = "import sys; from chatgptt.cli import ask, app; import chatgptt; chatgptt.Client; "
    script += "print([name for name in sys.modules if name.startswith(('chatgptt.serve', 'starlette'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
