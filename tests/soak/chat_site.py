"""The site of a soak run: the demo, in a process of its own.

    python -m soak.chat_site

prints its address. Each line of input is a request for the counts since the last one; the reply is one line
of JSON. The demo then forgets its visitors, and its clock goes on by a day: the client's nonces are rejected
from then on. The process ends with its input.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from soak.questions import read_number

from chatgptt.demo import DemoSite, LoggedRequest, serve

_DAY = 86_400.0


@dataclass(slots=True, kw_only=True)
class Counts:
    """The counts of one question: how often it was sent, how often its nonce was rejected, how often the AI got it."""

    sent: int = 0
    rejected: int = 0
    asked: int = 0


def count(requests: Iterable[LoggedRequest]) -> dict[int, Counts]:
    """The counts of each question by its number."""
    counts: dict[int, Counts] = {}
    for request in requests:
        if text := request.fields.get("message"):
            counted = counts.setdefault(read_number(text), Counts())
            counted.sent += 1
            counted.rejected += request.status == 403
        if request.message is not None:
            counts.setdefault(read_number(request.message), Counts()).asked += 1
    return counts


def report(site: DemoSite) -> str:
    """The counts as one line."""
    counts = count(site.requests)
    site.clear()
    site.advance(_DAY)
    return json.dumps({number: dataclasses.asdict(counted) for number, counted in counts.items()})


class SiteProcess:
    """The site as the process of the client has it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.url = self._output.readline().strip()

    def take_counts(self) -> dict[int, Counts]:
        """The counts since the last call."""
        print(file=self._input, flush=True)
        return {
            int(number): Counts(**counted) for number, counted in json.loads(self._output.readline()).items()
        }


@contextmanager
def site_process() -> Iterator[SiteProcess]:
    """Starts the site, and ends it with the block."""
    command = [sys.executable, "-m", "soak.chat_site"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield SiteProcess(process)


if __name__ == "__main__":
    with serve() as demo:
        print(demo.url, flush=True)
        for _ in sys.stdin:
            print(report(demo), flush=True)
