"""The visit that a client's requests belong to: whether there is one, by now, and what a person can do.

The file of a kept visit is looked at before each call, so a login, a logout and cookies that another process
was given hold for a client that is open. What a visit needs is imported once there is one: most clients have
none.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import anyio

from chatgptt._errors import ChatGpttError, InvalidInputError, RefusedError, TransportError
from chatgptt._models import ChatBox, Tokens
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.loops import PerLoop, ThreadLock
from chatgptt.protocols.urls import origin
from chatgptt.state.folder import FileState, NotOursError, maybe_state
from chatgptt.visits import path_of_visit

if TYPE_CHECKING:
    from chatgptt.net.clients import OwnClients
    from chatgptt.protocols.page import Page
    from chatgptt.visits.advice import Way
    from chatgptt.visits.carried import CarriedVisit
    from chatgptt.visits.shared import SharedVisits
    from chatgptt.visits.visit import StorageItem, Visit

_log = logging.getLogger("chatgptt.visit")

_changing = ThreadLock()

_CONSENT = "aipkit_chatbot_consent_given_"
"""The entry of local storage that says `true` once a visitor has agreed; a bot's number follows (A7)."""

_LOOK = 5.0
"""Seconds between two looks at a store for a visit that others share: each is a request to Redis."""


class Caller(NamedTuple):
    """What the caller says of the visitor: a name for a login of the caller's own, a user agent, or ""."""

    login: str = ""
    user_agent: str = ""


class CurrentVisit:
    """The visit of a client to its page's site; without arguments there is none, and never will be.

    Args:
        page: the client's.
        clients: they send its cookies.
        folder: of the kept visit; None where only `visit` counts.
        visit: one that is not kept.
        shared: where a visit is looked for that is not in the folder.
        is_wanted: whether a call fails where the store of shared visits has never answered.
        caller: what the caller says of the visitor.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        page: str = "",
        clients: OwnClients | None = None,
        *,
        folder: Path | None = None,
        visit: Visit | None = None,
        shared: SharedVisits | None = None,
        is_wanted: bool = False,
        caller: Caller | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._page = page
        self._site = origin(page)
        self._clients = clients
        self._folder = folder
        self._path = folder and path_of_visit(folder, self._site)
        self._shared = shared
        self._caller = caller or Caller()
        self._is_wanted = is_wanted
        self._next_look = 0.0
        self._looking = PerLoop(anyio.Lock)
        self._clock = clock
        self._state: FileState | None = None
        self._carried: CarriedVisit | None = None
        if visit is not None:
            self._take(visit)
        self.refresh()

    @property
    def _visit(self) -> Visit | None:
        carried = self._carried  # once: another event loop may take it away
        return None if carried is None else carried.visit

    @property
    def is_in_use(self) -> bool:
        """Whether there is a visit."""
        return self._carried is not None

    @property
    def is_member(self) -> bool:
        """Whether it is the visit of somebody who logged in."""
        visit = self._visit
        return visit is not None and visit.is_member

    @property
    def user_agent(self) -> str:
        """The caller's, else that of the visit's browser, which a site may have let in, else a desktop's."""
        visit = self._visit
        of_visit = "" if visit is None else visit.user_agent
        return self._caller.user_agent or of_visit or DEFAULT_USER_AGENT

    @property
    def storage(self) -> tuple[StorageItem, ...]:
        """The local storage of the site."""
        visit = self._visit
        return () if visit is None else visit.storage

    def has_agreed(self, box: ChatBox) -> bool:
        """Whether the person has agreed to what a box asks for (docs/protocols.md A7)."""
        wanted = f"{_CONSENT}{box.bot_id}"
        return any(item.name == wanted and item.value == "true" for item in self.storage)

    # Whose requests these are

    @property
    def name(self) -> str:
        """The visitor, by a name that tokens are kept under; "" for a guest."""
        visit = self._visit
        if visit is None:
            return self._caller.login
        return hashlib.sha256(f"{self._caller.login} {visit.id}".encode()).hexdigest()[:16]

    def is_still(self, name: str) -> bool:
        """Whether a call that was sent under `name` is still of the same visitor."""
        return self._clients is None or name == self.name

    async def look(self) -> None:
        """Takes what is kept of the site by now, in the folder or else in the store.

        Calls that come while the store is asked wait for what it says.

        Raises:
            InvalidInputError: for a visit that cannot be used.
            TransportError: where the store has never said whose visit it is, and a visit is wanted.
        """
        self.refresh()
        if self._shared is None or self._state is not None or time.monotonic() < self._next_look:
            return
        async with self._looking.get():
            if time.monotonic() >= self._next_look:
                await self._look_at(self._shared)

    async def _look_at(self, shared: SharedVisits) -> None:
        try:
            found = await shared.find(self._site, self._visit)
        except NotOursError as error:
            raise InvalidInputError(
                f"the visit to {self._site} in the store cannot be used: it {error}",
                hint="update chatgptt, or chatgptt logout",
            ) from error
        except OSError as error:
            if not self._next_look and self._is_wanted:  # to go on would be to go on as a guest
                raise TransportError(
                    f"{error}, so it is not known whose the message is",
                    code="connect_error",
                    hint="see that Redis runs, and check CHATGPTT_STORE",
                    url=self._page,
                ) from error
            _log.info("%s; going on as before", error)
            return
        self._next_look = time.monotonic() + _LOOK
        carried = self._carried
        if found != (None if carried is None else carried.written):
            self._take(found)

    def refresh(self) -> None:
        """Takes what is kept of the site in the folder by now.

        Raises:
            InvalidInputError: for a visit that cannot be used.
        """
        if self._folder is None or self._path is None:
            return
        state = maybe_state(self._path)
        if state == self._state:
            return
        kept = None
        if state is not None:
            from chatgptt.visits.kept import load_visit

            kept = load_visit(self._folder, self._site)
        self._state = state
        self._take(kept)

    def _take(self, visit: Visit | None) -> None:
        """Carries another visit, or none: its cookies go into the jar, those of the old one out of it."""
        assert self._clients is not None
        if visit is None and self._carried is None:
            return
        from chatgptt.visits.carried import change_jar

        with _changing:
            change_jar(self._clients.cookies, self._visit, visit, self._clock())
            carried = None if visit is None else self._carry(visit, self._clients)
            # In one step: to another event loop, a member must not look like a guest meanwhile.
            self._carried = self._clients.cookie_choice = carried

    def _carry(self, visit: Visit, clients: OwnClients) -> CarriedVisit:
        from chatgptt.visits.carried import CarriedVisit

        return CarriedVisit(
            visit,
            clients,
            page=self._page,
            folder=None if self._state is None else self._folder,
            shared=self._shared,
            ended=self._ended,
            clock=self._clock,
        )

    async def settle(self, tokens: Tokens) -> Tokens:
        """Tokens that a browser got. With a visit, their cookies are kept with it, and nowhere else."""
        carried = self._carried
        return tokens if carried is None else await carried.settle(tokens)

    # What a person can do

    def hint(self, way: Way) -> str:
        """What a person can do about a challenge, a question for consent or a login; "" for nothing."""
        from chatgptt.visits.advice import advise

        return advise(
            way, self._page, folder=self._folder, is_shared=self._shared is not None, is_again=self.is_in_use
        )

    def explain(self, error: ChatGpttError, *, is_page: bool) -> ChatGpttError:
        """The error with the hint that a person's visit would help, or the error of a login that has ended.

        `is_page` says that the page was asked for, and not the message endpoint.
        """
        from chatgptt.visits.advice import may_be_ended, way_past

        if "in a browser window" in error.hint:  # from `hint`
            return error
        if self.is_member and may_be_ended(error, is_page=is_page):
            return self._ended(f"the site refuses the visitor of the kept login: {error.message}", error)
        way = way_past(error, is_page=is_page, is_member=self.is_member)
        hint = self.hint(way) if way else ""
        joint = "; " if way == "login" else "; or "  # before a login the hint says only what is wrong
        error.hint = joint.join(filter(None, (error.hint, hint)))
        return error

    def advice_for(self, page: Page) -> str:
        """The hint for a page, mostly one without a chat box: how to log in, where it asks for that.

        Raises:
            RefusedError: where the login has ended.
        """
        from chatgptt.visits.advice import asks_for_login, is_for_member

        is_asked = asks_for_login(page)
        if self.is_shown_as_guest(page) or (self.is_member and is_asked and not is_for_member(page)):
            raise self._ended(f"the site shows {page.url} as to a visitor who is not logged in")
        return self.hint("login") if is_asked or self.is_in_use else ""

    def is_shown_as_guest(self, page: Page) -> bool:
        """Whether a page is a guest's, and the visit a member's: then its tokens are not the visit's."""
        if not self.is_member:
            return False
        from chatgptt.visits.advice import is_for_guest

        return is_for_guest(page)

    def refuse_ended(self) -> None:
        """Refuses to go on as a guest.

        Raises:
            RefusedError: where there was a login, and its time is over or the site took it back.
        """
        carried = self._carried
        if carried is not None:
            carried.refuse_ended()

    def _ended(self, message: str, cause: ChatGpttError | None = None) -> RefusedError:
        error = RefusedError(message, reason="guests_disabled", is_certain=True, hint=self.hint("login"))
        error.url = self._page
        if cause is not None:
            error.url, error.status, error.findings = cause.url, cause.status, cause.findings
        return error
