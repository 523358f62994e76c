"""Many streams at once in one process, beside bare httpx and aiohttp."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from servers import quick_site
from table import Row, shown_time

COUNTS = {
    "chatgptt": (100, 400, 1_000, 2_500, 5_000),
    "aiohttp": (100, 400, 1_000, 2_500, 5_000),
    "httpx": (100, 400, 1_000),
}
"""How many streams. The time of httpx's pool grows with their square: 2,500 would take minutes."""

MOST = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """What some streams took at once: processor seconds of all, and bytes of each at the peak."""

    name: str
    count: int
    answered: int
    processor: float
    stream_bytes: float


def measure_crowds() -> list[Crowd]:
    """Each in a process of its own."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited by site and client
    return [_measure(name, count) for name, counts in COUNTS.items() for count in counts]


def _measure(name: str, count: int) -> Crowd:
    with quick_site(together=count) as page:
        command = [sys.executable, str(Path(__file__).with_name("crowd.py")), name, page, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    taken = json.loads(done.stdout)
    return Crowd(
        name=name,
        count=count,
        answered=int(taken["answered"]),
        processor=taken["processor"],
        stream_bytes=taken["bytes"],
    )


def rows_of_crowds(crowds: list[Crowd]) -> list[Row]:
    """5,000 streams beside aiohttp, and the most that httpx was asked for."""
    rows = []
    found = {(crowd.name, crowd.count): crowd for crowd in crowds}
    ours = found["chatgptt", MOST]
    rows.append(
        Row(
            what=f"{MOST:,} streams at once: complete",
            figure=f"{ours.answered:,}",
            reference=f"{found['aiohttp', MOST].answered:,} aiohttp",
            target=f"{MOST:,}",
            is_met=ours.answered == MOST,
        )
    )
    for peer, count in (("aiohttp", MOST), ("httpx", 1_000)):
        ours, theirs = found["chatgptt", count], found[peer, count]
        rows += [
            Row(
                what=f"{count:,} streams at once: memory of each",
                figure=f"{ours.stream_bytes / 1000:.0f} kB",
                reference=f"{theirs.stream_bytes / 1000:.0f} kB {peer}, bytes alone",
                ratio=ours.stream_bytes / theirs.stream_bytes,
                target="at most 50 kB",
                is_met=ours.stream_bytes <= 50_000,
            ),
            Row(
                what=f"{count:,} streams at once: processor time of each",
                figure=shown_time(ours.processor / count),
                reference=f"{shown_time(theirs.processor / count)} {peer}, bytes alone",
                ratio=ours.processor / theirs.processor,
            ),
        ]
    return rows
