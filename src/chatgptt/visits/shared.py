"""Visits that people have shared with other machines, as a store has them: their files, by site."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from chatgptt.state.folder import NotOursError
from chatgptt.visits.formats import decode, encode
from chatgptt.visits.visit import CookieChanges, Visit


@dataclass(frozen=True, slots=True)
class SharedVisits:
    """Where visits are shared.

    `read` gives the file of a site, and raises an OSError while the place is away. `change` puts what it
    makes of the file in the file's place; None removes it.
    """

    read: Callable[[str], Awaitable[bytes | None]]
    change: Callable[[str, Callable[[bytes | None], bytes | None]], Awaitable[None]]

    async def find(self, site: str) -> Visit | None:
        """The visit to a site.

        Raises:
            NotOursError: for one that a later version has written.
            OSError: while the place is away.
        """
        data = await self.read(site)
        return None if data is None else decode(data, site)

    async def keep(self, visit: Visit) -> None:
        """Shares a visit in place of an earlier one."""
        await self.change(visit.site, lambda _: encode(visit))

    async def check(self, site: str) -> None:
        """Whether a visit can be shared, before a person makes it. It changes nothing."""
        await self.change(site, lambda data: data)

    async def forget(self, site: str) -> bool:
        """Removes the visit to a site; whether there was one."""
        found: list[bytes] = []

        def edit(data: bytes | None) -> None:
            found[:] = [] if data is None else [data]

        await self.change(site, edit)
        return bool(found)

    async def change_cookies(self, known: Visit, changes: CookieChanges) -> None:
        """Changes the cookies of a visit, unless it was removed or replaced meanwhile."""

        def edit(data: bytes | None) -> bytes | None:
            try:
                visit = None if data is None else decode(data, known.site)
            except NotOursError:
                return data
            return encode(visit.with_changes(changes)) if visit and visit.id == known.id else data

        await self.change(known.site, edit)
