from __future__ import annotations

import json
import socket
import subprocess
import sys

import httpx
import pytest
from cli.commands import PATIENCE, Run, interrupt, read_until, started


def test_demo_says_where_it_is_and_ends_with_ctrl_c() -> None:
    with started("demo", "--port", "0", "--json") as process:
        url = json.loads(read_until(process, b"}\n"))["url"]
        assert httpx.get(f"{url}/wpaicg/", trust_env=False).status_code == 200
        code, out, err = interrupt(process)
    assert (code, out, err) == (130, b"", b"")


def test_demo_names_a_command_to_try() -> None:
    with started("demo", "--port", "0") as process:
        assert b"  chatgptt ask --site http://127.0.0.1:" in read_until(process, b"Hello\n")
        assert interrupt(process)[0] == 130


def test_the_demo_says_each_request_without_its_secrets() -> None:
    with started("demo", "--port", "0", "--json", "-vv") as process:
        url = json.loads(read_until(process, b"}\n"))["url"]
        httpx.get(f"{url}/wpaicg/?key=secret", headers={"cookie": "name=secret"}, trust_env=False)
        first = read_until(process, b"\n", process.stderr)
        httpx.post(f"{url}/nowhere/", content=b"secret", trust_env=False)
        second = read_until(process, b"\n", process.stderr)
        assert interrupt(process)[0] == 130
    assert first + second == b"chatgptt.demo: GET /wpaicg/: 200\nchatgptt.demo: POST /nowhere/: 404\n"


def test_taken_port_is_told(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("demo", "--port", port)
        as_json = run("demo", "--json", "--port", port)
    assert (done.code, done.out) == (2, "")
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use\nhint: " in done.err
    assert (as_json.code, as_json.error["code"]) == (2, "invalid_input")


def test_address_of_another_machine_is_told(run: Run) -> None:
    assert "cannot listen on 192.0.2.1, port 0" in run("demo", "--host", "192.0.2.1", "--port", "0").err


@pytest.mark.parametrize(
    "argv", [["demo"], ["ask", "--demo", "Hello"], ["chat", "--demo"], ["inspect", "--demo"]]
)
@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_demo_without_its_extra_says_how_to_get_it(argv: list[str], package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None; from chatgptt.cli import main; sys.exit(main({argv!r}))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"error: the demo site needs the package {package}" in done.stderr
    assert "pip install 'chatgptt[demo]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_module_that_is_missing_for_another_reason_is_a_bug_and_shown() -> None:
    script = "import sys; sys.modules['chatgptt.demo'] = None; from chatgptt.cli import main; sys.exit(main(['demo']))"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert "ModuleNotFoundError" in done.stderr
