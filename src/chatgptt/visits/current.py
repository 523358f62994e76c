"""The visit that a client's requests belong to: its cookies in the client's jar, and what becomes of them.

The file of a kept visit is looked at before each call, so a login, a logout and cookies that another process
was given hold for a client that is open. Cookies that the site renews are written to the file, unless it is
another visit's by now.

A visit's cookies go to the hosts that a browser would send them to, and never to a site that a page leads to.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from chatgptt._errors import (
    ChallengeError,
    ChatGpttError,
    InvalidInputError,
    PageError,
    RefusedError,
    TokenRejectedError,
    TransportError,
)
from chatgptt._models import ChatBox, StoredCookie, Tokens
from chatgptt.net.cookies import make_cookie, read_cookie
from chatgptt.net.http import DEFAULT_USER_AGENT
from chatgptt.net.loops import PerLoop, ThreadLock
from chatgptt.protocols.page import Page
from chatgptt.protocols.urls import may_carry_credentials, origin
from chatgptt.state.folder import BusyError, FileState, NotOursError, default_folder, maybe_state
from chatgptt.visits.kept import change_visit, load_visit, path_of_visit
from chatgptt.visits.shared import SharedVisits
from chatgptt.visits.visit import (
    CookieChanges,
    StorageItem,
    Visit,
    changes_between,
    cookies_of,
    has_ended,
    is_carried,
)

if TYPE_CHECKING:
    from chatgptt.net.clients import OwnClients

_log = logging.getLogger("chatgptt.visit")

_changing = ThreadLock()

_CONSENT = "aipkit_chatbot_consent_given_"
"""The entry of local storage that says `true` once a visitor has agreed; a bot's number follows (A7)."""

_LOGIN_PAGE = "/wp-login.php"
_LOGGED_IN = "logged-in"
"""The class of the body that WordPress gives to a page for a member."""
_BEGINNINGS = ("page-id-", "page-template-", "postid-", "wp-child-theme-", "wp-theme-")
_NAMES = ("error404", "wp-custom-logo", "wp-embed-responsive", "wp-singular")
"""Classes of the body that WordPress gives to pages for all."""
"""The class that WordPress gives the body of a member's page."""

_WAYS = {
    "challenge": "pass it {times} in a browser window",
    "consent": "agree {times} in a browser window",
    "login": "log in {times} in a browser window",
}

_LOOK = 5.0
"""Seconds between two looks at a store for a visit that others share: each is a request to Redis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
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
        self._shared = shared
        self._caller = caller or Caller()
        self._is_wanted = is_wanted
        self._next_look = 0.0
        self._looking = PerLoop(anyio.Lock)
        self._clock = clock
        self._state: FileState | None = None
        self._visit: Visit | None = None
        self._written: Visit | None = None
        """The visit as it is where it is kept, as far as this process knows."""
        self._is_unwritten = False
        if clients is not None:
            clients.add_rules(self._choose, self._note_reply)
            self._take(visit)
            self.refresh()

    @property
    def is_in_use(self) -> bool:
        """Whether there is a visit."""
        return self._visit is not None

    @property
    def is_member(self) -> bool:
        """Whether it is the visit of somebody who logged in."""
        return self._visit is not None and self._visit.is_member

    @property
    def user_agent(self) -> str:
        """The caller's, else that of the visit's browser, which a site may have let in, else a desktop's."""
        of_visit = "" if self._visit is None else self._visit.user_agent
        return self._caller.user_agent or of_visit or DEFAULT_USER_AGENT

    @property
    def storage(self) -> tuple[StorageItem, ...]:
        """The local storage of the site."""
        return () if self._visit is None else self._visit.storage

    def has_agreed(self, box: ChatBox) -> bool:
        """Whether the person has agreed to what a box asks for (docs/protocols.md A7)."""
        wanted = f"{_CONSENT}{box.bot_id}"
        return any(item.name == wanted and item.value == "true" for item in self.storage)

    # Whose requests these are

    @property
    def name(self) -> str:
        """The visitor, by a name that tokens are kept under; "" for a guest."""
        if self._visit is None:
            return self._caller.login
        return hashlib.sha256(f"{self._caller.login} {self._visit.id}".encode()).hexdigest()[:16]

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
        if found != self._written:
            self._take(found)

    def refresh(self) -> None:
        """Takes what is kept of the site in the folder by now.

        Raises:
            InvalidInputError: for a visit that cannot be used.
        """
        if self._folder is None:
            return
        state = maybe_state(path_of_visit(self._folder, self._site))
        if state != self._state:
            kept = None if state is None else load_visit(self._folder, self._site)
            self._state = state
            self._take(kept)

    def _take(self, visit: Visit | None) -> None:
        """Puts the cookies of a visit into the jar, those of another one out of it."""
        assert self._clients is not None
        jar = self._clients.cookies
        with _changing:
            old, self._visit, self._written = self._visit, visit, visit
            if (old and old.id) != (visit and visit.id):
                jar.clear()
            elif old is not None and visit is not None:
                changes = changes_between(old.cookies, visit.cookies, now=self._clock())
                for domain, path, name in changes.removed:
                    jar.discard(domain, path, name)
            for cookie in visit.cookies if visit is not None else ():
                jar.set_cookie(make_cookie(cookie))

    # What is sent, and what comes back

    def _choose(self, url: str, pairs: list[str]) -> list[str]:
        """The cookies of a request that a browser would send as well.

        Raises:
            RefusedError: where the login has ended: the request would be a guest's.
        """
        if self._visit is None:
            return pairs
        self.refuse_ended()
        if not may_carry_credentials(url, self._page):
            return []
        carried = {f"{cookie.name}={cookie.value}" for cookie in self._cookies() if is_carried(cookie, url)}
        return [pair for pair in pairs if pair in carried]

    async def _note_reply(self, url: str) -> None:
        if may_carry_credentials(url, self._page):
            await self.keep_cookies()

    def _cookies(self) -> list[StoredCookie]:
        assert self._clients is not None
        return [read_cookie(cookie) for cookie in self._clients.cookies]

    async def keep_cookies(self) -> None:
        """Keeps what the site has changed of the visit's cookies."""
        visit, written = self._visit, self._written
        if visit is None or written is None:
            return
        cookies = cookies_of(self._site, self._cookies())
        changes = changes_between(visit.cookies, cookies, now=self._clock())
        if not changes:
            return
        self._visit = visit = visit.with_changes(changes)
        try:
            await self._write(written, changes_between(written.cookies, cookies, now=self._clock()))
        except (NotOursError, BusyError, OSError, InvalidInputError) as error:
            # The next change is written together with this one.
            level = logging.DEBUG if self._is_unwritten else logging.WARNING
            self._is_unwritten = True
            why = str(error) or "another process holds the lock"
            _log.log(level, "the cookies that %s renewed are not kept with the visit: %s", self._site, why)
            return
        with _changing:
            if self._written is written:  # else another visit was taken meanwhile
                self._written = visit

    async def _write(self, known: Visit, changes: CookieChanges) -> None:
        if self._folder is not None and self._state is not None:
            await anyio.to_thread.run_sync(change_visit, self._folder, known, changes)
        elif self._shared is not None:
            await self._shared.change_cookies(known, changes)

    async def settle(self, tokens: Tokens) -> Tokens:
        """Tokens that a browser got. With a visit, their cookies are kept with it, and nowhere else."""
        if self._visit is None or self._clients is None:
            return tokens
        for cookie in tokens.cookies:
            self._clients.cookies.set_cookie(make_cookie(cookie))
        await self.keep_cookies()
        return replace(tokens, cookies=())

    # What a person can do

    @property
    def _command(self) -> str:
        share = "--share " if self._shared is not None else ""
        command = f"chatgptt login {share}--site {shlex.quote(self._page)}"
        if self._shared is not None or self._folder in (None, default_folder()):
            return command
        return f"CHATGPTT_STATE_DIR={shlex.quote(str(self._folder))} {command}"

    @property
    def _may_help(self) -> bool:
        return self._visit is not None or self._folder is not None or self._shared is not None

    def hint(self, way: str) -> str:
        """What a person can do about a challenge, a question for consent or a login; "" for nothing."""
        if not self._may_help:
            return ""
        times = "once" if self._visit is None else "again"
        if self._folder is None and self._shared is None:
            return f"{_WAYS[way].format(times=times)}, and export its cookies to the file of the visit"
        where = "; no visit is shared with this machine" if self._shared and self._visit is None else ""
        return f"{_WAYS[way].format(times=times)}: {self._command}{where}"

    def explain(self, error: ChatGpttError, *, is_page: bool) -> ChatGpttError:
        """The error with the hint that a person's visit would help, or the error of a login that has ended.

        `is_page` says that the page was asked for, and not the message endpoint.
        """
        if "in a browser window" in error.hint:  # from `hint`
            return error
        way = _way_past(error, is_page=is_page)
        if self.is_member and _may_be_ended(error, is_page=is_page):
            return self._ended(f"the site refuses the visitor of the kept login: {error.message}", error)
        if isinstance(error, TokenRejectedError) and self.is_member:
            way = "login"
        hint = self.hint(way) if way else ""
        joint = "; " if way == "login" else "; or "  # before a login the hint says only what is wrong
        error.hint = joint.join(filter(None, (error.hint, hint)))
        return error

    def advice_for(self, page: Page) -> str:
        """The hint for a page, mostly one without a chat box: how to log in, where it asks for that.

        Raises:
            RefusedError: where the login has ended.
        """
        is_asked = _asks_for_login(page)
        if self.is_shown_as_guest(page) or (
            self.is_member and is_asked and _LOGGED_IN not in _body_classes(page)
        ):
            raise self._ended(f"the site shows {page.url} as to a visitor who is not logged in")
        return self.hint("login") if is_asked or self.is_in_use else ""

    def is_shown_as_guest(self, page: Page) -> bool:
        """Whether a page is a guest's, and the visit a member's: then its tokens are not the visit's."""
        classes = _body_classes(page)
        is_wordpress = any(name.startswith(_BEGINNINGS) or name in _NAMES for name in classes)
        is_guests = _LOGGED_IN not in classes and (is_wordpress or bool(page.select("form#loginform")))
        return self.is_member and is_guests

    def refuse_ended(self) -> None:
        """Refuses to go on as a guest.

        Raises:
            RefusedError: where there was a login, and its time is over or the site took it back.
        """
        if self._visit is not None and has_ended(self._visit, self._clock()):
            raise self._ended(f"the login that is kept for {self._site} has ended; nothing was sent")

    def _ended(self, message: str, cause: ChatGpttError | None = None) -> RefusedError:
        error = RefusedError(message, reason="guests_disabled", is_certain=True, hint=self.hint("login"))
        error.url = self._page
        if cause is not None:
            error.url, error.status, error.findings = cause.url, cause.status, cause.findings
        return error


def _body_classes(page: Page) -> list[str]:
    return [name for body in page.select("body") for name in (body.attributes.get("class") or "").split()]


def _asks_for_login(page: Page) -> bool:
    """Whether a page is WordPress's login, or has a form of some login."""
    path = urlsplit(page.url).path
    return path.endswith(_LOGIN_PAGE) or bool(page.select('form#loginform, input[type="password" i]'))


def _way_past(error: ChatGpttError, *, is_page: bool) -> str:
    match error:
        case ChallengeError():
            return "challenge"
        case RefusedError(reason="consent_required"):
            return "consent"
        case RefusedError(reason="guests_disabled"):
            return "login"
        case PageError(status=401 | 403, is_block=False) if is_page or error.status == 403:
            return "login"
        case _:
            return ""


def _may_be_ended(error: ChatGpttError, *, is_page: bool) -> bool:
    """Whether a reply is what WordPress and its plugins give to visitors who are not logged in."""
    if not isinstance(error, PageError) or error.is_block or error.status is None:
        return False
    return (is_page and error.status in (401, 403)) or (
        300 <= error.status < 400 and _LOGIN_PAGE in error.message
    )
