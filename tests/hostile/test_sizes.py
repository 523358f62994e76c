"""Large hostile inputs: no reader takes more memory than five times its input and a constant, nor more time than is
linear."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile.weighed import CASES

MEMORY_FACTOR = 5
MEMORY_BYTES = 80 * 2**20
"""What the tree of a small page of nothing but attributes may take (53 MB), and 100,000 values of JSON. A text with one
wide character takes Python four bytes for each, and is there twice while JSON is read: 8 MB take 98 to 105 MB."""

MAX_SECONDS = 20.0
"""Of processor time. The slowest take 3 to 5 on a slow machine; what is quadratic in 8 MB takes minutes to days."""


@pytest.fixture(scope="module")
def scales() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "hostile.weighed"],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.parametrize("name", CASES)
def test_what_it_takes_is_bounded(name: str, scales: subprocess.Popen[str]) -> None:
    assert scales.stdin is not None
    assert scales.stdout is not None
    scales.stdin.write(f"{name}\n")
    scales.stdin.flush()
    found = json.loads(scales.stdout.readline())
    size_bytes, peak_bytes = found["size_bytes"], found["peak_bytes"]
    print(
        f"{size_bytes / 2**20:.2f} MB: {peak_bytes / 2**20:.1f} MB more, {found['seconds']:.2f} s, {found['end']}"
    )
    assert peak_bytes <= MEMORY_FACTOR * size_bytes + MEMORY_BYTES
    assert found["seconds"] <= MAX_SECONDS
