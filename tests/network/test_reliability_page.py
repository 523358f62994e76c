"""The figures of docs/reliability.md are those of the tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hostile.test_addresses import PRIVATE, SPELLINGS
from hostile.test_bombs import PLACES
from hostile.weighed import CASES
from network.fault_proxy import RETRY_AFTER
from network.test_deadlines import TABLE
from network.test_fault_table import CELLS

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "reliability.md").read_text().split())


def test_it_counts_the_cells_of_the_fault_table() -> None:
    cells = Counter((cell.protocol, cell.place) for cell in CELLS)
    first, second = (
        [cells[protocol, place] for place in ("page", "endpoint", "message", "stream")]
        for protocol in ("1.x", "2.x")
    )
    in_json = f"{first[2]}, and {cells['1.x JSON', 'message']} of a bot that answers in JSON"
    assert f"; {len(CELLS)} cells, see below" in TEXT
    assert f"| 1.x | {first[0]} | {first[1]} | {in_json} | {first[3]} |" in TEXT
    assert f"| 2.x | {' | '.join(map(str, second))} |" in TEXT
    assert (len(RETRY_AFTER), "thirteen forms of Retry-After" in TEXT) == (13, True)


def test_it_counts_the_cells_that_double_a_message() -> None:
    in_doubt = [cell for cell in CELLS if cell.is_in_doubt]
    doubling = [cell for cell in in_doubt if cell.sees[-1] > 1]
    assert (len(in_doubt), len(doubling)) == (15, 8)
    assert "of 15 cells with `retry_ambiguous=True` eight do" in TEXT


def test_it_counts_places_and_inputs() -> None:
    assert f"{len(TABLE)} places where a call can hang" in TEXT
    assert f"{len(CASES)} inputs of up to" in TEXT
    assert f"at {len(PLACES)} places" in TEXT
    assert f"private addresses in {len(SPELLINGS) + len(PRIVATE)} spellings" in TEXT
