"""No test about recorded cases leaves this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from recordings.guard import guarded


@pytest.fixture(autouse=True)
def only_this_machine() -> Iterator[None]:
    with guarded() as escapes:
        yield
    assert not escapes, f"it tried to leave this machine: {escapes}"
