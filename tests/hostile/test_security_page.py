"""What SECURITY.md claims is shown by tests that exist, and its limits are the code's."""

from __future__ import annotations

import re
from pathlib import Path

from chatgptt.net.bodies import MAX_BODY_BYTES, PIECE_BYTES
from chatgptt.protocols.page_bounds import MAX_PAGE_BYTES
from chatgptt.protocols.sse import MAX_EVENT_BYTES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()
WORDS = " ".join(TEXT.split())


def test_every_claim_names_tests_that_are_there() -> None:
    _, _, claims = TEXT.partition("## What is trusted")
    points = re.findall(r"(?m)^\* .*(?:\n  .*)*", claims)
    assert len(points) > 10
    for point in points:
        files = re.findall(r"`(tests/[\w/]+\.py)`", point)
        assert files, point
        for file in files:
            assert (ROOT / file).is_file(), file


def test_its_limits_are_the_codes() -> None:
    mb = 2**20
    assert (
        f"Pages end at {MAX_PAGE_BYTES // mb} MB, one event of a stream at {MAX_EVENT_BYTES // mb} MB"
        in WORDS
    )
    assert f"a whole body at {MAX_BODY_BYTES // mb} MB" in WORDS
    assert f"gives out {PIECE_BYTES // 1024} kB at a time" in WORDS
