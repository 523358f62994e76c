"""Visits that people have shared with other machines, as a store has them: their files, by site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from chatgptt.state.folder import NotOursError
from chatgptt.visits.formats import decode, encode
from chatgptt.visits.visit import CookieChanges, Visit

_REMOVED = b"removed"
"""In the place of a visit that its person removed. A visit that a store lost is not removed."""


@dataclass(frozen=True, slots=True)
class SharedVisits:
    """Where visits are shared.

    `read` gives the file of a site, and raises an OSError while the place is away. `change` puts what it
    makes of the file in the file's place; None leaves none there.
    """

    read: Callable[[str], Awaitable[bytes | None]]
    change: Callable[[str, Callable[[bytes | None], bytes | None]], Awaitable[None]]

    async def find(self, site: str, known: Visit | None = None) -> Visit | None:
        """The visit to a site. A member's that is `known` from before, and was lost since, has no cookies.

        Raises:
            NotOursError: for one that a later version has written, or that is damaged.
            OSError: while the place is away.
        """
        data = await self.read(site)
        if data == _REMOVED:
            return None
        visit = None if data is None else decode(data, site)
        if data is not None and visit is None:
            raise NotOursError("is damaged")
        is_lost = visit is None and known is not None and known.is_member
        return replace(known, cookies=()) if is_lost and known is not None else visit

    async def keep(self, visit: Visit) -> None:
        """Shares a visit in place of an earlier one."""
        await self.change(visit.site, lambda _: encode(visit))

    async def check(self, site: str) -> None:
        """Whether a visit can be shared, before a person makes it. It changes nothing."""
        await self.change(site, lambda data: data)

    async def forget(self, site: str) -> bool:
        """Removes the visit to a site, and leaves word of that; whether there was one."""
        was_there = False

        def edit(data: bytes | None) -> bytes | None:
            nonlocal was_there
            was_there = data not in (None, _REMOVED)
            return data and _REMOVED

        await self.change(site, edit)
        return was_there

    async def change_cookies(self, known: Visit, changes: CookieChanges) -> None:
        """Changes the cookies of a visit, unless it was removed or replaced meanwhile."""

        def edit(data: bytes | None) -> bytes | None:
            try:
                visit = None if data is None else decode(data, known.site)
            except NotOursError:
                return data
            return encode(visit.with_changes(changes)) if visit and visit.id == known.id else data

        await self.change(known.site, edit)
