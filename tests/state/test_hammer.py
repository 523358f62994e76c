"""Fifty processes work in one state folder while some of them are killed, and nothing comes of it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import selectors
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from state.hammering import SITES, SLOTS, key_of, tokens_of, turn_of

from chatgptt.tokens.file_store import FileStore

SECONDS = float(os.environ.get("HAMMER_SECONDS", "60"))
"""How long; a shorter run, for the impatient, sees the same with fewer deaths."""

KILLS_PER_SECOND = 3.0
"""Each costs a fifth of a second of one core, which a new process takes to start."""

PATIENCE = 120.0
"""Seconds in which all processes have to be at work: far more than they need."""

LOOKS_PER_SECOND = 20.0
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
"""Measuring what they cover would slow them down threefold, and ends nowhere when they are killed."""
SCRIPT = Path(__file__).with_name("hammering.py")


@dataclass
class Seen:
    """What the processes said, and what was found in the files meanwhile."""

    visitors: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: {site: set() for site in SITES})
    kept: dict[tuple[str, int], int] = field(default_factory=dict)
    """The last turn that a slot has kept at a site."""
    warnings: list[str] = field(default_factory=list)
    busy: int = 0
    """How often a process went on without the disk, since it waited in vain for the lock."""
    torn: list[str] = field(default_factory=list)
    kills: int = 0
    lines: int = 0
    looks: int = 0
    most_leftovers: int = 0

    def hear(self, line: bytes) -> None:
        said = json.loads(line)
        self.lines += 1
        if said.get("level") == "INFO":
            self.busy += 1
        elif "log" in said:
            self.warnings.append(said["log"])
        elif "turn" in said:
            self.kept[said["site"], said["slot"]] = said["turn"]
        else:
            self.visitors[said["site"]].add((said["client_id"], said["session_id"]))

    def look(self, folder: Path) -> None:
        """Reads every file as anybody may at any moment."""
        self.looks += 1
        names = os.listdir(folder) if folder.exists() else []
        self.most_leftovers = max(self.most_leftovers, sum(name.endswith(".new") for name in names))
        for name in names:
            if name.endswith(".json"):
                data = (folder / name).read_bytes()
                try:
                    record = json.loads(data)
                    self.visitors[record["site"]].add((record["client_id"], record["session_id"]))
                except (ValueError, KeyError):
                    self.torn.append(f"{name}: {data[:80]!r} ... {data[-80:]!r}")


class Crowd:
    """One process for each slot, replaced when it is killed."""

    def __init__(self, folder: Path, seen: Seen) -> None:
        self._folder = folder
        self._seen = seen
        self._selector = selectors.DefaultSelector()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self.at_work: set[int] = set()
        """Slots whose process has said something."""
        self._started = 0
        for slot in range(SLOTS):
            self._start(slot)

    def _start(self, slot: int) -> None:
        # The number of all starts so far, in the thousands: a slot's turns only ever grow.
        self._started += 1
        argv = [sys.executable, str(SCRIPT), str(self._folder), str(slot), str(self._started * 1000)]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=UNMEASURED)
        self._running[slot] = process
        assert process.stdout is not None
        self._selector.register(process.stdout, selectors.EVENT_READ, slot)

    def listen(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            process = self._running[key.data]
            assert process.stdout is not None
            data = process.stdout.read1(65536)  # type: ignore[attr-defined]
            assert data, f"the process of slot {key.data} ended by itself: {process.wait()}"
            while not data.endswith(b"\n"):
                data += process.stdout.read1(65536)  # type: ignore[attr-defined]
            self.at_work.add(key.data)
            for line in data.splitlines():
                self._seen.hear(line)

    def replace(self, slot: int) -> None:
        self.kill(slot)
        self._start(slot)

    def kill(self, slot: int) -> None:
        process = self._running.pop(slot)
        self.at_work.discard(slot)
        assert process.stdout is not None
        self._selector.unregister(process.stdout)
        process.kill()
        with process:
            *whole, _ = process.stdout.read().split(b"\n")
        self._seen.kills += 1
        for line in whole:
            self._seen.hear(line)

    def end(self) -> None:
        for slot in list(self._running):
            self.kill(slot)
        self._selector.close()


@contextmanager
def crowd_in(folder: Path, seen: Seen) -> Iterator[Crowd]:
    crowd = Crowd(folder, seen)
    try:
        yield crowd
    finally:
        crowd.end()


def hammer(folder: Path, seconds: float, seed: int) -> Seen:
    dice = random.Random(seed)
    seen = Seen()
    with crowd_in(folder, seen) as crowd:
        patient_until = time.monotonic() + PATIENCE
        while len(crowd.at_work) < SLOTS:
            assert time.monotonic() < patient_until, f"only {len(crowd.at_work)} processes are at work"
            crowd.listen(0.1)
        now = time.monotonic()
        end, next_kill, next_look = now + seconds, now, now
        while now < end:
            crowd.listen(0.01)
            now = time.monotonic()
            if now >= next_kill and crowd.at_work:
                next_kill = now + dice.expovariate(KILLS_PER_SECOND)
                crowd.replace(dice.choice(sorted(crowd.at_work)))
            if now >= next_look:
                next_look = now + 1 / LOOKS_PER_SECOND
                seen.look(folder)
    return seen


@dataclass(frozen=True)
class Record:
    """What a site's file says in the end."""

    visitor: tuple[str, str]
    turns: dict[str, int]


def records_in(folder: Path) -> dict[str, Record]:
    records = {}
    for file in folder.glob("*.json"):
        record = json.loads(file.read_bytes())
        turns = {key: turn_of(tokens["nonce"]) for key, tokens in record["tokens"].items()}
        records[record["site"]] = Record((record["client_id"], record["session_id"]), turns)
    return records


@pytest.mark.anyio
async def test_nothing_is_lost_or_torn_or_left_by_fifty_processes_that_may_die_at_any_moment(
    tmp_path: Path,
) -> None:
    seed = random.randrange(10**6)
    folder = tmp_path / "state"
    seen = hammer(folder, SECONDS, seed)
    print(
        f"seed {seed}: {seen.kills} killed, {seen.lines} promises, {seen.busy} waits in vain, "
        f"{seen.looks} looks at every file, at most {seen.most_leftovers} files left by the dead"
    )
    assert seen.lines > SLOTS
    assert seen.warnings == []
    assert seen.torn == []
    # Every process got the same id for a site, and the id stays.
    records = records_in(folder)
    assert seen.visitors == {site: {records[site].visitor} for site in SITES}
    # What was kept is there, or what the same slot kept when it died before it could say so.
    lost = [
        (site, slot, turn)
        for (site, slot), turn in seen.kept.items()
        if records[site].turns.get(key_of(slot), 0) < turn
    ]
    assert lost == []
    # No lock is left: a fresh process gets it at once.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(descriptor)
    # One leftover a site at most, gone with the next who keeps something there.
    assert seen.most_leftovers <= len(SITES)
    assert len(os.listdir(folder)) <= 2 * len(SITES)
    for site in SITES:
        store = FileStore(folder, time.time)
        visitor = await store.visitor(site)
        await store.put(site, key_of(0), tokens_of(site, "a009999999", time.time()))
        assert {(visitor.client_id, visitor.session_id)} == seen.visitors[site]
    assert len(os.listdir(folder)) == len(SITES)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)
