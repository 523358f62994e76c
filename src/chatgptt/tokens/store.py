"""The memory of sites: who we are to each, its tokens, and when it wants no message.

A site here is an origin, as for a browser's storage. It counts its quota by the visitor's ids: the first
process that writes them decides them for all others.

Stores differ in one method alone, `exchange`, which reads and writes a site's record where it is shared. All
else works on the record in memory. So where the place of sharing fails, memory serves, and nothing changes
but that others don't share it.
"""

from __future__ import annotations

import random
import secrets
import string
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from chatgptt._models import Tokens, VisitorIds
from chatgptt.net.loops import PerLoop, ThreadLock
from chatgptt.tokens.records import MAX_PAUSE, MAX_SKEW, Change, Lease, SiteRecord, apply, merge

if TYPE_CHECKING:
    from chatgptt.visits.shared import SharedVisits

MAX_AGE = 12 * 3600.0
"""Seconds. A nonce lives 12 to 24 hours (docs/protocols.md C2); past the sure half it is not worth trying."""

MEMORY = 24 * 3600.0
"""Seconds after which the cheap rungs are tried again on a site that needed a browser."""

_WORTH_A_WRITE = 1.0
"""Seconds by which a pause has to grow. Many messages at once meet the same 429."""

_dice = random.SystemRandom()
_changing = ThreadLock()


class Store(ABC):
    """What is remembered of sites; `FileStore`, `MemoryStore` and `RedisStore` say where it is shared.

    A site is an origin, `https://site.example`. A key names one page, bot and visitor of it. No method fails:
    what cannot be shared is remembered in this process.

    Args:
        clock: Unix time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._sites: dict[str, SiteRecord] = {}
        self._one_at_a_time = PerLoop(anyio.Lock)
        self._looks: PerLoop[dict[str, anyio.Event]] = PerLoop(dict)

    @abstractmethod
    async def exchange(self, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        """The record of a site as all share it, after the change, which is written there.

        Args:
            site: the site.
            ours: what this process knows; it is shared where nothing is yet.
            change: what is to be changed. An empty one only reads.
        """

    @property
    def visits(self) -> SharedVisits | None:
        """The visits that people have shared here; None where none can be."""
        return None

    async def close(self) -> None:  # noqa: B027 - most stores open nothing that lasts
        """Closes the connections of the event loop that is running."""

    # Who we are

    async def visitor(self, site: str) -> VisitorIds:
        """Our ids at a site, made on the first call ever and never changed."""
        known = self._sites.get(site)
        if known is None:
            async with self._one_at_a_time.get():
                known = self._sites.get(site) or await self._merge(site, Change())
        return known.visitor

    # Tokens

    async def find(self, site: str, key: str, rejected: frozenset[str] = frozenset()) -> Tokens | None:
        """Tokens under `key` that are younger than `MAX_AGE` and not among the rejected, else None."""
        known = self._sites.get(site)
        if known is None or self._usable(known, key, rejected) is None:
            known = await self._merge(site, Change())  # another process may have acquired some
        return self._usable(known, key, rejected)

    async def put(self, site: str, key: str, tokens: Tokens, *, is_lesson: bool = True) -> None:
        """Keeps tokens under `key`, and with `is_lesson` whether it took a browser to get them."""
        learned: dict[str, float | None] = {}
        known = self._sites.get(site)
        if is_lesson and tokens.rung == "browser":
            learned = {key: self._clock()}
        elif is_lesson and (known is None or key in known.needs_browser):
            learned = {key: None}
        await self._merge(site, Change(added={key: tokens}, needs_browser=learned))

    async def drop(self, site: str, key: str, nonce: str) -> None:
        """Forgets the tokens under `key` if they still hold this rejected nonce."""
        known = self._sites.get(site)
        if known is not None and (key not in known.tokens or known.tokens[key].nonce != nonce):
            return
        await self._merge(site, Change(dropped=(key, nonce)))

    async def lease(self, site: str, key: str, seconds: float) -> str | None:
        """The right to acquire tokens under `key`, for some seconds; None where another has it.

        It is handed back to `release`. Where its holder dies, it ends with its time.
        """
        known = await self._merge(site, Change())  # most who ask wait for another one: they write nothing
        if key in known.leases and known.leases[key].until > self._clock():
            return None
        lease = Lease(holder=secrets.token_hex(8), until=self._clock() + seconds)
        known = await self._merge(site, Change(lease=(key, lease)))
        return lease.holder if key in known.leases and known.leases[key].holder == lease.holder else None

    async def release(self, site: str, key: str, lease: str) -> None:
        """Ends what `lease` gave, unless another has it by now."""
        await self._merge(site, Change(lease=(key, Lease(holder=lease, until=0.0))))

    # What a site wants

    async def cool(self, site: str, seconds: float) -> None:
        """Holds the next message to a site back for some seconds, an hour at most; it shortens no hold."""
        until = self._clock() + min(seconds, MAX_PAUSE)
        known = self._sites.get(site)
        if known is None or until - known.cool_until > _WORTH_A_WRITE:
            await self._merge(site, Change(cool_until=until))

    async def cool_until(self, site: str) -> float:
        """The Unix time from which a message may be sent to a site, 0.0 where nothing holds it back."""
        if site in self._sites:
            await self._look(site)
        else:
            await self.visitor(site)
        until = self._sites[site].cool_until
        return until if 0.0 < until - self._clock() <= MAX_PAUSE else 0.0

    async def needs_browser(self, site: str, key: str) -> bool:
        """Whether a browser was needed for `key` not longer than `MEMORY` ago."""
        known = self._sites.get(site) or await self._merge(site, Change())
        since = known.needs_browser.get(key)
        return since is not None and 0.0 <= self._clock() - since < MEMORY

    async def needed_browser(self, site: str, key: str) -> bool:
        """Whether a browser was needed for `key` when its page was last read, however long ago."""
        known = self._sites.get(site) or await self._merge(site, Change())
        return key in known.needs_browser

    def _usable(self, record: SiteRecord, key: str, rejected: frozenset[str]) -> Tokens | None:
        tokens = record.tokens.get(key)
        if tokens is None or tokens.nonce in rejected:
            return None
        # A clock that was set back would make old tokens look new for ever.
        age = self._clock() - tokens.acquired_at
        return tokens if -MAX_SKEW <= age < MAX_AGE else None

    async def _look(self, site: str) -> None:
        """Reads what is shared of a site. Messages that leave at once look once."""
        looks = self._looks.get()
        if site in looks:
            await looks[site].wait()
            return
        looks[site] = anyio.Event()
        try:
            await self._merge(site, Change())
        finally:
            looks.pop(site).set()

    async def _merge(self, site: str, change: Change) -> SiteRecord:
        """What is known of a site after an exchange, in memory too."""
        known = self._sites.get(site)
        merged = await self.exchange(site, known or SiteRecord(visitor=_new_visitor()), change)
        if merged is known and change.is_empty:
            return merged
        with _changing:
            newer = self._sites.get(site)
            if newer is not None and newer is not known:  # another task merged meanwhile
                merged = merge(newer, merged)
            merged = self._sites[site] = apply(merged, change, self._clock())
        return merged


class MemoryStore(Store):
    """A store of this process. Clients that are given the same one share it.

    Args:
        clock: Unix time in seconds.
    """

    async def exchange(self, site: str, ours: SiteRecord, change: Change) -> SiteRecord:
        """What this process knows."""
        return ours


def _new_visitor() -> VisitorIds:
    alphabet = string.ascii_letters + string.digits
    return VisitorIds(client_id="".join(_dice.choices(alphabet, k=10)), session_id=str(uuid.uuid4()))
