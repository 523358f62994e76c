"""Runs what a page shows, in its order, as a reader would: in one folder, with one environment, against the demo site.

A page names `https://site.example/chat`; the demo's page takes its place. Commands that serve are started on a free port
and run until the page ends. Nothing reaches another machine.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from cli.commands import read_until
from pages.blocks import Block, commands_of, outputs_of

from chatgptt.demo import DemoSite

PATIENCE = 120.0
"""Seconds after which a command that has not ended is a failure."""

_READING = re.compile(r"chatgptt (ask -(?!\S)|chat\b)")
"""A command that finds a message on stdin; to all others it is empty."""

_ENDPOINT = "http://127.0.0.1:8780"

_SERVING = re.compile(r"(\w+=\S+ )*chatgptt (serve|demo|replay)\b")

_NOT_HERE = {
    r"(\.venv/bin/)?pip |pipx |uv |git |npm |python3? -m venv ": "it installs something",
    r"\. \.venv/bin/activate": "the tests run in an environment",
    r"docker |podman |systemctl |sudo |apt(-get)? ": "it changes this machine",
    r"(\.venv/bin/)?nox\b": "it runs these tests",
    r"chatgptt install-browser(?! --check)": "it may download a browser",
    r"chatgptt login\b": "a person takes part",
}
"""What begins a command that no test runs, and why."""

_CURL = f"""#!{sys.executable}
import shlex, sys
sys.path.append({str(Path(__file__).parents[1])!r})
from serve.serving import curl
response = curl(shlex.join(["curl", *sys.argv[1:]]))
print(response.text)
sys.exit(response.is_error)
"""
"""Stands in for curl, which not every machine has, and fails where the answer is an error."""

_PYTHON = """
import ast, asyncio, inspect, sys
name = sys.argv.pop()
code = compile(open(name).read(), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
done = eval(code, {"__name__": "__main__"})
if inspect.iscoroutine(done):
    asyncio.run(done)
"""
"""Runs a program that may have `await` outside of a function."""


def why_not(command: str) -> str | None:
    """Why no test runs a command; None where one does."""
    return next((why for start, why in _NOT_HERE.items() if re.match(start, command)), None)


class Session:
    """A folder and an environment for the blocks of one page. Used in a `with` block.

    Args:
        folder: an empty folder; it becomes the working directory and the home.
        demo: the site that is asked.
    """

    def __init__(self, folder: Path, demo: DemoSite) -> None:
        self.folder = folder
        self._code = 0
        self._printed = ""
        self._servers = ExitStack()
        self._places = {
            "https://site.example/chat": demo.page("wpaicg/"),
            "https://site.example/about": demo.page("wpaicg/nochat/"),
            "https://site.example": demo.url,
            "https://ping.example": demo.url,
            "http://127.0.0.1:8765": demo.url,
            "/var/lib/node_exporter": str(folder),
            ".venv/bin/": "",
            "/opt/chatgptt/bin/": "",
        }
        self.env = {
            **os.environ,
            "HOME": str(folder),
            "PATH": os.pathsep.join(
                [str(folder / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "CHATGPTT_SITE": demo.page("wpaicg/"),
            "CHATGPTT_STATE_DIR": str(folder / "state"),
            "HTTPS_PROXY": "http://127.0.0.1:9",  # a page of the web that a block names is not reached
        }

    def __enter__(self) -> Session:
        curl = self.folder / "bin" / "curl"
        curl.parent.mkdir(parents=True)
        curl.write_text(_CURL)
        curl.chmod(0o755)
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def here(self, text: str) -> str:
        """Text of a page with the addresses of this session."""
        wanted = sorted(self._places, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, wanted)), lambda found: self._places[found[0]], text)

    def run(self, block: Block) -> None:
        """Runs a block as its language and its comments say."""
        for kind, words in block.comments:
            if kind == "before":
                self._succeed(block, words)
        file = block.find("file")
        if file is not None:
            path = self.folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.here(block.text))
        elif block.is_run_elsewhere:
            return
        elif block.find("output") is not None:
            self._compare(block, block.text)
        elif block.language == "python":
            self._run_program(block)
        elif block.language == "sh":
            for command in commands_of(block):
                self._succeed(block, command)
        elif block.language == "console":
            self._run_console(block)

    def run_command(self, command: str) -> subprocess.CompletedProcess[str]:
        """Runs a shell command of a page."""
        return subprocess.run(
            self.here(command),
            shell=True,
            cwd=self.folder,
            env=self.env,
            input="Hello\n" if _READING.search(command) else "",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _run_console(self, block: Block) -> None:
        for command, shown in zip(commands_of(block), outputs_of(block), strict=True):
            if why_not(command) is not None:
                continue
            if shown.strip():
                self._do(command)
                self._compare(block, shown)
            else:
                self._succeed(block, command)

    def _succeed(self, block: Block, command: str) -> None:
        if why_not(command) is None:
            self._do(command)
            assert self._code == 0, f"{block.place}: {command!r} exits with {self._code}: {self._printed}"

    def _do(self, command: str) -> None:
        """Runs a command of any kind; `_code` and `_printed` have its end."""
        setting = re.fullmatch(r"export (\w+)=(\S+)", command)
        if setting:
            self.env[setting[1]] = self.here(setting[2])
            self._code, self._printed = 0, ""
        elif _SERVING.match(command):
            self._start(command)
        else:
            done = self.run_command(command.replace("$?", str(self._code)))
            self._code, self._printed = done.returncode, done.stdout + done.stderr

    def _start(self, command: str) -> None:
        """Starts a command that serves, and waits until it says where."""
        bare = re.sub(r" +# .*| --port \d+", "", self.here(command))
        process = self._servers.enter_context(
            subprocess.Popen(
                f"exec env {bare} --port 0",
                shell=True,
                cwd=self.folder,
                env=self.env,
                stdout=subprocess.PIPE,
            )
        )
        self._servers.callback(process.wait, PATIENCE)
        self._servers.callback(process.terminate)
        printed = read_until(process, b"\n").decode()
        self._code, self._printed = 0, printed
        if " serve" in bare:
            address = re.match(r"(http://[\w.]+:\d+)/v1", printed)
            assert address, printed
            self._places[_ENDPOINT] = address[1].replace("0.0.0.0", "127.0.0.1")

    def _run_program(self, block: Block) -> None:
        program = self.folder / "program.py"
        program.write_text(self.here(block.text))
        done = subprocess.run(
            [sys.executable, "-c", _PYTHON, str(program)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), f"{block.place}: {done}"
        self._code, self._printed = 0, done.stdout

    def _compare(self, block: Block, shown: str) -> None:
        shown = self.here(shown)
        assert is_like(self._printed, shown), f"{block.place} shows\n{shown}\nand prints:\n{self._printed}"


def is_like(printed: str, shown: str) -> bool:
    """Whether output is that of a page.

    `...` stands for anything, a time, a port or a date for any other, and spaces may differ in number.
    """
    parts = re.split(r"(\.\.\.|127\.0\.0\.1:\d+|\d{4}-\d\d-\d\d[T ][\d:]+|\d+\.\d+|\s+)", shown.strip())
    return re.fullmatch("".join(map(_pattern_of, parts)), printed.strip(), re.S) is not None


def _pattern_of(part: str) -> str:
    if part == "...":
        return ".*?"
    if part.isspace():
        return r"\s+"
    return re.sub(r"\d+", r"\\d+", re.escape(part)) if re.match(r"\d+[.-]\d", part) else re.escape(part)
