"""Every figure beside what it is measured against, in one run on one machine.

    python bench/run.py [PART ...]

Without a part it measures all, and writes `docs/performance.md` with its drawing. Figures are medians.
Whether a target is met is shown and no more: a slow or busy machine fails nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from answers import rows_of_answers
from batch import rows_of_batch
from browser import rows_of_browser
from crowds import measure_crowds, rows_of_crowds
from health import rows_of_health
from network import rows_of_latency, rows_of_requests
from reading import rows_of_decoding, rows_of_pages
from report import machine, write_report
from serve import rows_of_serve
from starting import rows_of_starts
from table import Row, print_table

PARTS: dict[str, Callable[[], list[Row]]] = {
    "starts": rows_of_starts,
    "answers": rows_of_answers,
    "requests": rows_of_requests,
    "latency": rows_of_latency,
    "pages": rows_of_pages,
    "decoding": rows_of_decoding,
    "browser": rows_of_browser,
    "health": rows_of_health,
    "serve": rows_of_serve,
    "batch": rows_of_batch,
}


def main(names: list[str]) -> int:
    """Measures the parts named, all where none is."""
    unknown = set(names) - {*PARTS, "crowds"}
    if unknown:
        sys.stderr.write(
            f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}, crowds\n"
        )
        return 2
    rows = []
    for name, rows_of in PARTS.items():
        if not names or name in names:
            sys.stderr.write(f"{name} ...\n")
            rows += rows_of()
    crowds = measure_crowds() if not names or "crowds" in names else []
    if crowds:
        rows += rows_of_crowds(crowds)
    print_table(machine(), rows)
    if not names:
        write_report(rows, crowds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
