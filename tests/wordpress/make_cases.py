"""Records cases from a real WordPress into `fixtures/`: its own pages and replies, where the demo only says what it knows.

    python tests/wordpress/make_cases.py             # all of them
    python tests/wordpress/make_cases.py wordpress-nonce-  # those whose name begins so

It needs what `nox -s wordpress` installs; that session's Python has it. A case that is recorded anew differs in its date
and in what Debian has updated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does

from wordpress.installation import Conditions, Site, WordPress, installed

from chatgptt import ask
from chatgptt.recordings import record, write_case

FOLDER = Path(__file__).parents[2] / "fixtures"


def as_it_is(wordpress: WordPress) -> None:
    """Nothing happens before."""


def begin_maintenance(wordpress: WordPress) -> None:
    """The site is being updated."""
    wordpress.begin_maintenance()


def let_caches_age(site: Site, wordpress: WordPress) -> None:
    """A page cache has the page, and the nonce in it is dead."""
    ask("Yesterday", wordpress.chat(site), state_dir=None)
    wordpress.set(Conditions(generation=wordpress.conditions.generation, nonce_life=3600))


@dataclass(frozen=True, slots=True)
class Entry:
    """One case: its name, what the site is like, and what it is about."""

    name: str
    note: str
    conditions: Conditions
    site: Site = "pretty"
    happens_before: Callable[[WordPress], None] = as_it_is


CASES = (
    Entry("wordpress-page-wpaicg", "a page of WordPress with a 1.x box", Conditions()),
    Entry(
        "wordpress-page-aipkit", "the same with a 2.x box", Conditions(generation="aipkit", version="2.4.71")
    ),
    Entry("wordpress-page-plain-permalinks", "pages by number, no rewriting", Conditions(), "plain"),
    Entry(
        "wordpress-nonce-rejected-minus-1",
        "a failed check of an AJAX nonce: 403 and -1",
        Conditions(breaks="refuses with -1"),
    ),
    Entry(
        "wordpress-nonce-rejected-stale-cache",
        "a page cache is older than its nonce: 403 and a bit of HTML, then past the cache",
        Conditions(),
        "cached",
        partial(let_caches_age, "cached"),
    ),
    Entry(
        "wordpress-nonce-rejected-stale-cache-hard",
        "one that heeds no query: the nonce of another page",
        Conditions(),
        "stubborn",
        partial(let_caches_age, "stubborn"),
    ),
    Entry(
        "wordpress-broken-maintenance",
        "503 while it is updated",
        Conditions(),
        happens_before=begin_maintenance,
    ),
    Entry("wordpress-broken-page", "PHP dies on the page", Conditions(breaks="page dies")),
    Entry(
        "wordpress-answer-php-warning",
        "a plugin's warning is printed before the JSON",
        Conditions(streams=False, warns="plugin"),
    ),
    Entry(
        "wordpress-broken-members-only",
        "nobody handles a guest's message: 400 and 0",
        Conditions(members_only=True),
    ),
)


async def make(entry: Entry, wordpress: WordPress) -> list[str]:
    """Records one case; the report's lines."""
    recorded = await record(
        wordpress.chat(entry.site),
        ["Hello"],
        note=f"{entry.note}; recorded from WordPress on Debian",
        ticks=lambda: 0.0,
    )
    write_case(recorded.case, FOLDER / entry.name)
    return recorded.report.lines()


def main(arguments: list[str]) -> None:
    """Makes what the arguments ask for."""
    with installed() as wordpress:
        for entry in CASES:
            if arguments and not entry.name.startswith(tuple(arguments)):
                continue
            wordpress.clear()
            wordpress.set(entry.conditions)
            entry.happens_before(wordpress)
            print(f"{entry.name}: {'; '.join(anyio.run(make, entry, wordpress))}")


if __name__ == "__main__":
    main(sys.argv[1:])
