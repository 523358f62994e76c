"""Makes the pictures of README and docs/ from the real commands: `nox -s pictures`, or some by their names.

    python docs/pictures/make.py [--into FOLDER] [NAME ...]

The commands ask demo sites on this machine. Times and ports differ from run to run, the words do not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ladder
import report_page
from recorded import Recorder

HERE = Path(__file__).parent
COLUMNS = 92
SITES = {
    "shop": "wpaicg/",
    "blog": "aipkit/",
    "members": "aipkit/guests-disabled/",
    "guarded": "challenge/cloudflare/",
}


@contextmanager
def demo(port: int = 0) -> Iterator[str]:
    """A demo site in a process of its own; its address."""
    command = [sys.executable, "-m", "chatgptt", "demo", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().partition("/ ")[0]
        finally:
            process.terminate()


def environment(folder: Path) -> dict[str, str]:
    """The variables of the commands: nothing of this machine's settings, all state in the folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATGPTT_")}
    scripts = str(Path(sys.executable).parent)
    return kept | {
        "PATH": os.pathsep.join((scripts, os.environ["PATH"])),
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "CHATGPTT_STATE_DIR": str(folder / "state"),
    }


@contextmanager
def recorder() -> Iterator[tuple[Recorder, Path]]:
    """A terminal where pages of the demo have the names of `SITES`; its folder."""
    with tempfile.TemporaryDirectory() as name, demo() as url:
        folder = Path(name)
        env = environment(folder)
        for site, path in SITES.items():
            add = ["chatgptt", "sites", "add", "--no-check", site, f"{url}/{path}"]
            subprocess.run(add, env=env, stdout=subprocess.DEVNULL, check=True)
        yield Recorder(folder, env, COLUMNS), folder


def ask(into: Path) -> None:
    """Questions, and an answer to what went wrong."""
    with recorder() as (terminal, _):
        terminal.run('chatgptt ask --demo "Hello"')
        terminal.run('chatgptt ask --site members "Hello"')
        terminal.run("chatgptt health-check --level tokens shop blog guarded")
        (into / "ask.svg").write_text(terminal.svg("chatgptt"), encoding="utf-8")


def phases(into: Path) -> None:
    """The table of a health check, of a page that works and of one that does not."""
    with recorder() as (terminal, _):
        terminal.run("chatgptt health-check shop")
        terminal.run("chatgptt health-check guarded")
        (into / "phases.svg").write_text(terminal.svg("chatgptt health-check"), encoding="utf-8")


def batch(into: Path) -> None:
    """The bar of a batch on its way."""
    with recorder() as (terminal, folder):
        questions = "".join(f"SLOWWORDS 0.05 Question {number}\n" for number in range(1, 41))
        (folder / "questions.txt").write_text(questions, encoding="utf-8")
        command = "chatgptt batch questions.txt -o answers.jsonl --site shop --rate none"
        terminal.run(command, until=r"[1-4]\d/40 .*/min 0:")
        (into / "batch.svg").write_text(terminal.svg("chatgptt batch"), encoding="utf-8")


def draw_ladder(into: Path) -> None:
    """The rungs of the ladder."""
    (into / "ladder.svg").write_text(ladder.svg(), encoding="utf-8")


def report_pages(into: Path) -> None:
    """The report page of health checks, light and dark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report_page.draw(report_page.make_page(folder, environment(folder), demo), into)


PICTURES: dict[str, Callable[[Path], None]] = {
    "ask": ask,
    "phases": phases,
    "batch": batch,
    "ladder": draw_ladder,
    "report": report_pages,
}


def main() -> None:
    """Makes the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--into", type=Path, default=HERE)
    options = parser.parse_args()
    os.environ["PATH"] = environment(HERE)["PATH"]
    for name in options.names or PICTURES:
        PICTURES[name](options.into)


if __name__ == "__main__":
    main()
