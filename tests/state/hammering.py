"""One of the processes of test_hammer: keeps tokens and asks who we are, over and over, until it is killed.

    python hammering.py FOLDER SLOT SEED

It prints a JSON line for everything that it was told or that it has kept, only once that is so, and in one
write: a line that the test reads is a promise of the store.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from pathlib import Path

import anyio

from chatgptt._models import ChatBox, Tokens
from chatgptt.tokens.file_store import FileStore

SITES = tuple(f"https://site{number}.example" for number in range(6))
SLOTS = 50
"""As many as a site's file holds keys: each process has its own at each site."""


PAUSE = 0.5
"""Seconds at most between two turns: so many processes do not wait for two cores alone."""


def key_of(slot: int) -> str:
    return f"key of {slot}"


def nonce_of(slot: int, turn: int) -> str:
    return f"a{slot:02d}{turn:07d}"


def turn_of(nonce: str) -> int:
    return int(nonce[3:])


def tokens_of(site: str, nonce: str, at: float) -> Tokens:
    ajax_url = f"{site}/wp-admin/admin-ajax.php"
    box = ChatBox(
        protocol="wpaicg",
        kind="shortcode",
        bot_id=0,
        post_id=7,
        ajax_url=ajax_url,
        nonce=nonce,
        found_by="html",
    )
    return Tokens(box=box, nonce=nonce, page=f"{site}/", rung="html", acquired_at=at)


def say(**line: object) -> None:
    os.write(1, f"{json.dumps(line)}\n".encode())


class Telling(logging.Handler):
    """Prints what the store logs: it may have had to go on without the disk, and then it promised nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        say(log=record.getMessage(), level=record.levelname)


async def hammer(folder: Path, slot: int, dice: random.Random, turn: int, log: Telling) -> None:
    """`turn` is the first number to be used, above all that the slot has used before."""
    while True:
        store = FileStore(folder, time.time)
        for _ in range(dice.randint(1, 6)):
            site = dice.choice(SITES)
            visitor = await store.visitor(site)
            say(site=site, client_id=visitor.client_id, session_id=visitor.session_id)
            turn += 1
            before = log.count
            await store.put(site, key_of(slot), tokens_of(site, nonce_of(slot, turn), time.time()))
            if log.count == before:
                say(site=site, slot=slot, turn=turn)
            await store.drop(site, key_of(slot), nonce_of(slot, turn - 1))  # of old ones: nothing may go
            await store.find(site, key_of(dice.randrange(SLOTS)))
            await anyio.sleep(dice.uniform(0.0, PAUSE))


if __name__ == "__main__":
    where, which, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    told = Telling()
    logging.getLogger("chatgptt").addHandler(told)
    logging.getLogger("chatgptt").setLevel(logging.INFO)
    anyio.run(hammer, where, which, random.Random(first), first, told)
