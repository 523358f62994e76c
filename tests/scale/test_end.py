"""2,000 rows, two machines, and all that may break: each row ends once, and no site is asked anything twice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from scale.redis_server import redis_server
from scale.traffic import page_reads, visitors
from scale.workers import pool

from chatgptt.demo import DemoSite

ROWS = 2000
PAGES = ("wpaicg/", "wpaicg/json/", "aipkit/")
FAULTS = (
    "ERR500",
    "CUT",
    "DROP",
    "DROPFIRST",
    "RESET",
    "EMPTY",
    "MIDERROR",
    "PROVIDER500",
    "BANWORD",
    "BUSY",
)
PATIENCE = 900.0
AT_ONCE = 8


def message(number: int) -> str:
    """Each tenth row meets a fault; the text of each row is its own."""
    fault = FAULTS[number // 10 % len(FAULTS)] if number % 10 == 0 else "Question"
    return f"{fault} row {number}"


class Batch:
    """A batch by workers, which can be killed and run again."""

    def __init__(self, folder: Path, demo: DemoSite, broker: str) -> None:
        self.output, self.log, self._folder = folder / "out.jsonl", folder / "batch.log", folder
        rows = [
            {"id": str(number), "message": message(number), "site": demo.page(PAGES[number % len(PAGES)])}
            for number in range(ROWS)
        ]
        (folder / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        self._command = [sys.executable, "-m", "chatgptt", "batch", "in.jsonl", "-o", str(self.output)]
        self._command += ["--format", "simple", "--broker", broker, "--timeout", "40"]
        self._command += ["--concurrency", str(AT_ONCE), "--rate", "none"]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)

    def wait(self) -> int:
        return self.process.wait(PATIENCE)

    def wait_for(self, what: Callable[[], bool]) -> None:
        until = time.monotonic() + PATIENCE
        while not what():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def wait_for_lines(self, number: int) -> None:
        self.wait_for(lambda: self.output.exists() and self.output.read_bytes().count(b"\n") >= number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)

    def ends(self) -> dict[str, str]:
        """How each row ended, by its id."""
        lines = [json.loads(line) for line in self.output.read_text().splitlines()]
        assert len({line["id"] for line in lines}) == len(lines)
        return {
            line["id"]: "answer"
            if line["error"] is None
            else "ambiguous"
            if line["error"]["ambiguous"]
            else line["error"]["code"]
            for line in lines
        }


def test_every_row_ends_once_whatever_breaks_and_no_message_is_doubled(
    demo: DemoSite, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(tmp_path))
        one, other = (stack.enter_context(pool(name, tmp_path, redis.url)) for name in ("one", "other"))
        batch = Batch(tmp_path, demo, redis.url)
        batch.start()
        stack.callback(batch.kill)
        batch.wait_for_lines(200)
        one.kill()
        one.start()
        batch.wait_for_lines(500)
        redis.stop()
        batch.wait_for(lambda: "Redis cannot be read" in batch.log.read_text())
        redis.start()
        batch.wait_for_lines(800)
        batch.kill()
        batch.start()
        batch.wait_for_lines(1200)
        other.kill()
        other.start()
        code = batch.wait()
    ends = batch.ends()
    assert code == 1, batch.log.read_text()
    assert ends.keys() == {str(number) for number in range(ROWS)}
    asked = Counter(seen.message for seen in demo.messages)
    assert {text: count for text, count in asked.items() if count > 1} == {}
    answered = [number for number, end in ends.items() if end == "answer"]
    assert all(message(int(number)) in asked for number in answered)
    lost = [
        number
        for number, end in ends.items()
        if message(int(number)).startswith("Question") and end != "answer"
    ]
    assert {ends[number] for number in lost} <= {"ambiguous"}
    assert len(lost) <= 3 * AT_ONCE  # those under way at each of the three kills
    assert visitors(demo) == 1
    assert {page: page_reads(demo, page) for page in PAGES} == dict.fromkeys(PAGES, 1)
