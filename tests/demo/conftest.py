from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from demo.visitors import browser

from chatgptt.demo import DemoSite, serve

MIDNIGHT = 1_750_032_000.0
"""2025-06-16 00:00 UTC, a border of two half-days; the tests start just behind it."""


@pytest.fixture
def site() -> Iterator[DemoSite]:
    """A demo whose clock stands still until it is advanced."""
    with serve(clock=lambda: MIDNIGHT + 60.0) as running:
        yield running


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with browser() as made:
        yield made
