"""What `chatgptt record` does, as functions that return instead of print, without an event loop."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from chatgptt._models import Strategy
from chatgptt.recordings.case import Case, CaseError
from chatgptt.recordings.case_folder import check_place, read_case, write_case
from chatgptt.recordings.drift import find_drift
from chatgptt.recordings.faults import faults_of, read_fault
from chatgptt.recordings.recorder import Recorded, record


def record_case(
    folder: Path,
    site: str,
    messages: Sequence[str],
    *,
    faults: Sequence[Path] = (),
    bot: str = "",
    note: str = "",
    proxy: str = "",
    timeout: float = 240.0,
    strategy: Strategy = "static",
) -> Recorded:
    """Records a visit and writes it to a folder. A fault `-` lets the site answer that request itself.

    Raises:
        CaseError: where a hand-written reply was not needed: the case would not be about what it says.
        ChatGpttError: see `record`, `read_fault` and `write_case`.
    """
    check_place(folder)  # before a site is asked for nothing
    replies = [None if str(file) == "-" else read_fault(file) for file in faults]
    call = partial(record, site, messages, faults=replies, bot=bot or None, note=note)
    recorded = anyio.run(partial(call, proxy=proxy or None, timeout=timeout, strategy=strategy))
    written = sum(one.is_written for one in recorded.case.exchanges)
    if written < sum(reply is not None for reply in replies):
        raise CaseError(
            f"only {written} of the hand-written replies took the place of the site's; nothing was written",
            hint="give a --fault for each request of a --message (2.x makes two), or '-' to ask the site",
        )
    write_case(recorded.case, folder)
    return recorded


def check_case(folder: Path, site: str, *, proxy: str = "", timeout: float = 240.0) -> list[str]:
    """What has changed at a site since a case of it was recorded, a sentence each. Nothing is written.

    Where replies of the case were written by hand, the site is not asked for them now either.

    Raises:
        ChatGpttError: see `read_case` and `record`.
    """
    case = read_case(folder)
    call = partial(
        record, site, case.messages, bot=case.bot or None, strategy=case.strategy, faults=faults_of(case)
    )
    return find_drift(case, anyio.run(partial(call, proxy=proxy or None, timeout=timeout)).case)


def as_dict(folder: Path, recorded: Recorded) -> dict[str, object]:
    """A recorded case as the command line's `--json` prints it."""
    case: Case = recorded.case
    report = recorded.report
    return {
        "folder": str(folder),
        "page": case.page,
        "protocol": case.protocol or None,
        "plugin_version": case.plugin_version or None,
        "boxes": len(case.boxes),
        "exchanges": len(case.exchanges),
        "outcomes": [
            {"outcome": ask.outcome, "reason": ask.reason or None, "rung": ask.rung} for ask in case.asks
        ],
        "scrubbed": {
            kind: {"values": values, "places": report.places[kind]}
            for kind, values in sorted(report.values.items())
        },
        "removed": dict(sorted(report.removed.items())),
        "headers_dropped": report.headers,
    }
