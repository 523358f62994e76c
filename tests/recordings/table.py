"""Prints the catalogue as a table: each case is replayed through the whole client; what is old or differs is told.

    python tests/recordings/table.py [FOLDER]

Those that need a browser are shown and not replayed: they have a session of their own. Exit code 1 where a case comes
to something else than it says.
"""

from __future__ import annotations

import datetime
import sys
from pathlib import Path

import anyio

from chatgptt.recordings import Case, CaseError, find_cases, read_case
from chatgptt.recordings.client_calls import play

FOLDER = Path(__file__).parents[2] / "fixtures"
OLD_DAYS = 180
"""Half a year: sites have updated their plugin several times by then."""


async def line(folder: Path, today: datetime.date) -> tuple[str, list[str]]:
    """A case's row, and what is wrong with it."""
    try:
        case = read_case(folder)
    except CaseError as error:
        return f"{folder.name:42} {'':>5}  {'':7} {'':9} unreadable", [error.message]
    asks, misses = (case.asks, ()) if case.strategy != "static" else await play(case)
    days = (today - case.recorded).days
    wrong = [f"it was asked for what is not in it: {', '.join(misses)}"] if misses else []
    if asks != case.asks:
        wrong.append(f"it comes to {', '.join(ask.outcome for ask in asks)} now")
    return f"{folder.name:42} {days:5}  {case.protocol or '-':7} {rung_of(case):9} {outcome_of(case)}", wrong


def rung_of(case: Case) -> str:
    """How the tokens came about at first."""
    return next((ask.rung for ask in case.asks if ask.rung), None) or "-"


def outcome_of(case: Case) -> str:
    """What the last call came to."""
    return " ".join(filter(None, (case.asks[-1].outcome, case.asks[-1].reason)))


async def run(folder: Path, today: datetime.date) -> int:
    """Prints the table; the exit code."""
    print(f"{'case':42} {'days':>5}  {'proto':7} {'rung':9} outcome")
    is_wrong = False
    old = []
    for case in find_cases(folder):
        row, wrong = await line(case, today)
        print(row)
        for what in wrong:
            is_wrong = True
            print(f"  {case.name}: {what}")
        if row[43:48].strip().isdecimal() and int(row[43:48]) > OLD_DAYS:
            old.append(case.name)
    for name in old:
        print(
            f"warning: {name} is older than {OLD_DAYS} days; `chatgptt record --check` says whether its site changed"
        )
    return int(is_wrong)


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[1:]]
    sys.exit(
        anyio.run(run, arguments[0] if arguments else FOLDER, datetime.datetime.now(datetime.UTC).date())
    )
