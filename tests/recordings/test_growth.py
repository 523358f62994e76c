"""Scrubbing takes time by the size of a recording: what is quadratic would not end within this test's patience."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from recordings.grown import CASES

PATIENCE = 60.0
"""Seconds. Linear ones take one or two; a quadratic one takes half a megabyte many minutes."""


@pytest.mark.parametrize("name", CASES)
def test_a_large_input_comes_to_an_end(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recordings.grown", name],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
