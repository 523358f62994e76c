"""What many questions to many sites cost: `PYTHONPATH=tests python bench/machines.py [SITES] [QUESTIONS]`.

Each site is an address of loopback, and answers after two seconds. The questions go through `chatgptt batch
--broker` and one pool of threads. Printed is what each process took for a question; the plan in docs/scale.md
is made of these figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis
from scale.redis_server import redis_server

SECONDS = 2
THREADS = 100
TICKS = os.sysconf("SC_CLK_TCK")

SITES = """
import asyncio, socket, sys, time, uvicorn
from chatgptt.demo.app import Demo
from chatgptt.demo.state import DemoState

sockets = [socket.create_server((sys.argv[1], 0))]
port = sockets[0].getsockname()[1]
sockets += [socket.create_server((address, port)) for address in sys.argv[2:]]
server = uvicorn.Server(uvicorn.Config(Demo(DemoState(time.time)), log_level="error", lifespan="off"))
print(port, "ready.", flush=True)
server.run(sockets)
"""


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this Python that says when it is ready."""
    with (
        log.open("wb") as file,
        subprocess.Popen([sys.executable, *command], stdout=file, stderr=file) as process,
    ):
        try:
            while b" ready." not in log.read_bytes():
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
            yield process
        finally:
            process.terminate()


def cost_of(pid: int) -> tuple[float, float]:
    """Seconds of processor time, and the largest memory in MB."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    peak = Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS, int(peak[0]) / 1000 if peak else 0.0


def main(sites: int, questions: int) -> None:
    """Measures it once and prints the figures."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(redis_server(folder))
        os.environ.update(CHATGPTT_BROKER=server.url, CHATGPTT_STATE_DIR=str(folder))
        addresses = [f"127.1.{number // 250}.{number % 250 + 1}" for number in range(sites)]
        stack.enter_context(running(["-c", SITES, *addresses], folder / "sites.log"))
        port = (folder / "sites.log").read_text().split()[0]
        pool = ["--pool", "threads", "--concurrency", str(THREADS), "--loglevel", "INFO"]
        command = ["-m", "celery", "-A", "chatgptt.celery", "worker", *pool]
        worker = stack.enter_context(running(command, folder / "worker.log"))
        rows = [
            {
                "message": f"SLOW {SECONDS} {number}",
                "site": f"http://{addresses[number % sites]}:{port}/wpaicg/",
            }
            for number in range(questions)
        ]
        (folder / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        began = time.monotonic()
        command = ["-m", "chatgptt", "batch", str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl")]
        batch = subprocess.Popen([sys.executable, *command, "--rate", "none", "--format", "simple"])
        batch_cost = (0.0, 0.0)
        while batch.poll() is None:
            batch_cost = max(batch_cost, cost_of(batch.pid))
            time.sleep(0.2)
        seconds = time.monotonic() - began
        print(f"{questions} questions, {sites} sites, {seconds:.0f} s: {questions / seconds:.0f} a second")
        for name, (cpu, memory) in {"batch": batch_cost, f"{THREADS} threads": cost_of(worker.pid)}.items():
            print(f"{name}: {1000 * cpu / questions:.1f} ms a question, {memory:.0f} MB")
        size = sum(path.stat().st_size for path in folder.glob("out.jsonl*"))
        print(f"output and journal: {size / questions:.0f} bytes a question")
        print_redis(server.url, questions)


def print_redis(url: str, questions: int) -> None:
    """What Redis took."""
    with redis.Redis.from_url(url) as database:
        memory, cpu = database.info("memory"), database.info("cpu")
        record = database.memory_usage(next(database.scan_iter("chatgptt:http*:record"))) or 0
        spent = cpu["used_cpu_user"] + cpu["used_cpu_sys"]
    peak = memory["used_memory_peak"] / 1e6
    print(f"Redis: {1000 * spent / questions:.1f} ms a question, {peak:.0f} MB, {record} bytes a site")


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:] or ("1000", "4000")))
