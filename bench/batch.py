"""`chatgptt batch` beside a naive script under `xargs -P`, and its memory as the input grows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from servers import demo_process
from table import Row

__all__ = ["rows_of_batch"]

AT_ONCE = 8
NAIVE_QUESTIONS = 32
"""Fewer, since each starts a Python of its own."""
FEW, MANY = 400, 4_000

NAIVE = r"""
import json, re, sys, httpx
site = sys.argv[1]
with httpx.Client() as client:
    page = client.get(site).text
    nonce, post, bot = (re.search(f'data-{x}="([^"]*)"', page)[1] for x in ("nonce", "post-id", "bot-id"))
    fields = {"action": "wpaicg_chat_shortcode_message", "_wpnonce": nonce, "post_id": post, "bot_id": bot,
              "message": sys.argv[2], "url": site, "wpaicg_chat_client_id": "naive"}
    reply = client.post(f"{site}wp-admin/admin-ajax.php", data=fields)
text = ""
for line in reply.text.splitlines():
    if line.startswith("data: {"):
        text += json.loads(line[6:])["choices"][0]["delta"].get("content", "")
assert sys.argv[2] in text, reply.text
print(json.dumps({"message": sys.argv[2], "text": text}))
"""

MEASURED = """
import pathlib, sys
from chatgptt.cli import main
code = main(sys.argv[1:])
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], file=sys.stderr)
sys.exit(code)
"""


def rows_of_batch() -> list[Row]:
    """Questions a second, and the peak memory of a short and a long input."""
    with demo_process() as url, tempfile.TemporaryDirectory() as name:
        site, folder = f"{url}/wpaicg/", Path(name)
        naive = NAIVE_QUESTIONS / _seconds_of_xargs(site, folder)
        seconds, few = _run_batch(site, folder, FEW)
        ours = FEW / seconds
        _, many = _run_batch(site, folder, MANY)
    return [
        Row(
            what=f"batch: questions a second, {AT_ONCE} at once",
            figure=f"{ours:.0f}",
            reference=f"{naive:.1f} xargs -P {AT_ONCE} on a naive script",
            ratio=ours / naive,
            target="at least 1 x",
            is_met=ours >= naive,
        ),
        Row(
            what=f"batch: peak memory of {MANY:,} questions",
            figure=f"{many / 1e6:.1f} MB",
            reference=f"{few / 1e6:.1f} MB for {FEW}",
            ratio=many / few,
            target="at most 1.1 x",
            is_met=many <= 1.1 * few,
        ),
    ]


def _seconds_of_xargs(site: str, folder: Path) -> float:
    (folder / "naive.py").write_text(NAIVE)
    questions = "".join(f"Question {number}\n" for number in range(NAIVE_QUESTIONS))
    command = [
        "xargs",
        "-P",
        str(AT_ONCE),
        "-d",
        "\n",
        "-n",
        "1",
        sys.executable,
        str(folder / "naive.py"),
        site,
    ]
    start = perf_counter()
    done = subprocess.run(command, input=questions, check=True, capture_output=True, text=True)
    assert done.stdout.count("\n") == NAIVE_QUESTIONS
    return perf_counter() - start


def _run_batch(site: str, folder: Path, count: int) -> tuple[float, int]:
    """Seconds, and the peak of the memory in bytes."""
    source, output = folder / f"{count}.txt", folder / f"{count}.jsonl"
    source.write_text("".join(f"Question {number}\n" for number in range(count)))
    batch = ["batch", str(source), "-o", str(output), "--site", site, "--rate", "none"]
    command = [sys.executable, "-c", MEASURED, *batch, "--concurrency", str(AT_ONCE)]
    env = {**os.environ, "CHATGPTT_STATE_DIR": str(folder / "state")}
    start = perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    return perf_counter() - start, int(done.stderr.split()[-1]) * 1024
