"""What a script starts in the background ignores SIGINT, and still everything ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

DEMO_OF_THE_BENCH = """
import sys
sys.path.insert(0, "bench")
from servers import demo_process
with demo_process() as url:
    print(url)
"""


def run_in_background(*argv: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *argv],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        timeout=120,
        check=False,
    )


def test_the_demo_of_the_measurements_ends() -> None:
    done = run_in_background("-c", DEMO_OF_THE_BENCH)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"http://127.0.0.1:")


def test_the_tests_of_ctrl_c_pass() -> None:
    done = run_in_background(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/cli/test_streams.py", "-k", "ctrl_c_before"
    )
    assert done.returncode == 0, done.stdout.decode()
