"""Builds the Containerfile and asks the demo site in it, with podman, docker or buildah; leaves no image behind.

Exits with 77, which test runners know as "skipped", where none of them works or the base image cannot be had.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGE = "localhost/chatgptt-test"
PATIENCE = 1800.0
"""Seconds for one step: the build downloads some 200 MB."""


def can(*command: str) -> bool:
    """Whether a command succeeds."""
    return subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False).returncode == 0


def output_of(*command: str) -> str:
    """What a command prints; its stderr goes to ours.

    Raises:
        RuntimeError: where it fails.
    """
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} exits with {done.returncode}: {done.stdout}")
    return done.stdout


def find_builder() -> str | None:
    """The first that is installed and works: docker's client may be there without its daemon."""
    names = ("podman", "docker", "buildah")
    return next((name for name in names if shutil.which(name) and can(name, "info")), None)


@contextmanager
def built(builder: str) -> Iterator[tuple[str, ...]]:
    """Builds the image; gives the beginning of a command that runs a program in it, as its user."""
    build = "bud" if builder == "buildah" else "build"
    subprocess.run(
        [builder, build, "--tag", IMAGE, "--file", str(ROOT / "Containerfile"), str(ROOT)],
        timeout=PATIENCE,
        check=True,
    )
    try:
        if builder != "buildah":
            yield (builder, "run", "--rm", "--entrypoint", "env", IMAGE)
            return
        container = output_of("buildah", "from", IMAGE).strip()
        try:
            yield ("buildah", "run", container, "--", "env")
        finally:
            subprocess.run(["buildah", "rm", container], timeout=PATIENCE, check=True)
    finally:
        subprocess.run([builder, "rmi", "--force", IMAGE], timeout=PATIENCE, check=True)


def check(run: tuple[str, ...]) -> None:
    """Asks with and without the browser, and looks whose the state folder is."""
    assert "Hello" in output_of(*run, "chatgptt", "ask", "--demo", "Hello")
    answer = output_of(*run, "chatgptt", "ask", "--demo", "--strategy", "browser", "--json", "Hello")
    assert json.loads(answer)["tokens_from"] == "browser", answer
    state = output_of(*run, "sh", "-c", 'id -u; stat --format "%u %a" "$CHATGPTT_STATE_DIR"').split()
    assert state == ["1000", "1000", "700"], state


def main() -> int:
    """Builds and checks; the exit code."""
    builder = find_builder()
    if builder is None:
        print("no image was built: neither podman nor docker nor buildah works here")
        return 77
    base = re.findall(r"^FROM (\S+)", (ROOT / "Containerfile").read_text(), re.M)[0]
    if not can(builder, "pull", base):
        print(f"no image was built: {builder} cannot get {base}")
        return 77
    with built(builder) as run:
        check(run)
    return 0


if __name__ == "__main__":
    sys.exit(main())
