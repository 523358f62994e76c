"""What the site of a soak run counts, and how the other process gets to know it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.request import ProxyHandler, build_opener

__all__ = ["PATH", "Counts", "Tally", "read_tally", "write_tally"]

PATH = "/tally"


@dataclass(slots=True, kw_only=True)
class Counts:
    """What became of one question: `tries` to hand it in, each of which is in one of the other counts."""

    tries: int = 0
    taken: int = 0
    put_off: int = 0
    rejected: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the site counted since it was last asked.

    `most` messages were under way at once, `unfetched` were handed in and their answers never asked for,
    `connections` are open now.
    """

    most: int
    unfetched: int
    connections: int
    questions: Mapping[int, Counts]


def write_tally(tally: Tally) -> str:
    """A tally as it goes over the wire."""
    return json.dumps(dataclasses.asdict(tally))


def read_tally(url: str) -> Tally:
    """Asks the site; what it tells it then forgets."""
    with build_opener(ProxyHandler({})).open(f"{url}{PATH}") as reply:
        found = json.load(reply)
    counts = {int(number): Counts(**counted) for number, counted in found.pop("questions").items()}
    return Tally(**found, questions=counts)
