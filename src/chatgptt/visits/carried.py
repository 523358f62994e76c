"""A visit that a client's requests carry: its cookies in the client's jar, and what becomes of them.

They go to the hosts that a browser would send them to, and never to a site that a page leads to. Those that
the site renews are written to where the visit is kept, unless another visit is there by now.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio.to_thread

from chatgptt._errors import InvalidInputError, RefusedError
from chatgptt._models import StoredCookie, Tokens
from chatgptt.net.cookies import VisitorsCookies, make_cookie, read_cookie
from chatgptt.protocols.urls import may_carry_credentials
from chatgptt.state.folder import BusyError, NotOursError
from chatgptt.visits.kept import change_visit
from chatgptt.visits.shared import SharedVisits
from chatgptt.visits.visit import CookieChanges, Visit, changes_between, cookies_of, has_ended, is_carried

if TYPE_CHECKING:
    from chatgptt.net.clients import OwnClients

_log = logging.getLogger("chatgptt.visit")


class CarriedVisit:
    """A visit while a client carries it.

    Args:
        visit: as it is kept.
        clients: they send its cookies.
        page: the client's.
        folder: where the visit is kept, None for not in a folder.
        shared: the store where it is kept if not in a folder; None for none.
        ended: makes the error of an ended login from its message.
        clock: Unix time in seconds.

    Attributes:
        visit: as it is now.
        written: as it is where it is kept, as far as this process knows.
    """

    def __init__(
        self,
        visit: Visit,
        clients: OwnClients,
        *,
        page: str,
        folder: Path | None,
        shared: SharedVisits | None,
        ended: Callable[[str], RefusedError],
        clock: Callable[[], float],
    ) -> None:
        self.visit = self.written = visit
        self._clients = clients
        self._page = page
        self._folder = folder
        self._shared = shared
        self._ended = ended
        self._clock = clock
        self._is_unwritten = False

    def choose(self, url: str, pairs: list[str]) -> list[str]:
        """See CookieChoice.

        Raises:
            RefusedError: where the login has ended: the request would be a guest's.
        """
        self.refuse_ended()
        if not may_carry_credentials(url, self._page):
            return []
        carried = {f"{cookie.name}={cookie.value}" for cookie in self._cookies() if is_carried(cookie, url)}
        return [pair for pair in pairs if pair in carried]

    async def note(self, url: str) -> None:
        """See CookieChoice."""
        if may_carry_credentials(url, self._page):
            await self._keep_cookies()

    def refuse_ended(self) -> None:
        """See CurrentVisit."""
        if has_ended(self.visit, self._clock()):
            raise self._ended(f"the login that is kept for {self.visit.site} has ended; nothing was sent")

    async def settle(self, tokens: Tokens) -> Tokens:
        """See CurrentVisit."""
        for cookie in tokens.cookies:
            self._clients.cookies.set_cookie(make_cookie(cookie))
        await self._keep_cookies()
        return replace(tokens, cookies=())

    def _cookies(self) -> list[StoredCookie]:
        return [read_cookie(cookie) for cookie in self._clients.cookies]

    async def _keep_cookies(self) -> None:
        """Keeps what the site has changed of the visit's cookies."""
        site, cookies = self.visit.site, cookies_of(self.visit.site, self._cookies())
        changes = changes_between(self.visit.cookies, cookies, now=self._clock())
        if not changes:
            return
        written = self.written
        self.visit = changed = self.visit.with_changes(changes)
        try:
            await self._write(written, changes_between(written.cookies, cookies, now=self._clock()))
        except (NotOursError, BusyError, OSError, InvalidInputError) as error:
            # The next change is written together with this one.
            level = logging.DEBUG if self._is_unwritten else logging.WARNING
            self._is_unwritten = True
            why = str(error) or "another process holds the lock"
            _log.log(level, "the cookies that %s renewed are not kept with the visit: %s", site, why)
            return
        if self.written is written:  # else a later change was written first
            self.written = changed

    async def _write(self, known: Visit, changes: CookieChanges) -> None:
        if self._folder is not None:
            await anyio.to_thread.run_sync(change_visit, self._folder, known, changes)
        elif self._shared is not None:
            await self._shared.change_cookies(known, changes)


def change_jar(jar: VisitorsCookies, old: Visit | None, new: Visit | None, now: float) -> None:
    """Puts the cookies of the new visit into a jar, and takes out what belongs to the old one alone."""
    if (old and old.id) != (new and new.id):
        jar.clear()
    elif old is not None and new is not None:
        for domain, path, name in changes_between(old.cookies, new.cookies, now=now).removed:
            jar.discard(domain, path, name)
    for cookie in new.cookies if new is not None else ():
        jar.set_cookie(make_cookie(cookie))
