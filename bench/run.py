"""Prints one table: every figure beside what it is measured against, in one run on one machine.

    python bench/run.py [pages] [decoding] [starts] [requests] [answers] [latency] [health] [crowd] [batch]
                        [serve]

Figures are medians. Whether a target is met is shown and no more: a slow or busy machine fails nothing.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable

from batch import rows_of_batch
from health import rows_of_health
from network import rows_of_answers, rows_of_crowd, rows_of_latency, rows_of_requests
from reading import rows_of_decoding, rows_of_pages
from serve import rows_of_serve
from starting import rows_of_starts
from table import Row, print_table

PARTS: dict[str, Callable[[], list[Row]]] = {
    "pages": rows_of_pages,
    "requests": rows_of_requests,
    "answers": rows_of_answers,
    "latency": rows_of_latency,
    "decoding": rows_of_decoding,
    "health": rows_of_health,
    "starts": rows_of_starts,
    "serve": rows_of_serve,
    "crowd": rows_of_crowd,
    "batch": rows_of_batch,
}


def main(names: list[str]) -> int:
    """Measures the parts named, all where none is."""
    unknown = set(names) - PARTS.keys()
    if unknown:
        sys.stderr.write(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}\n")
        return 2
    rows = []
    for name in names or PARTS:
        sys.stderr.write(f"{name} ...\n")
        rows += PARTS[name]()
    print_table(f"Python {platform.python_version()}, {platform.machine()}", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
