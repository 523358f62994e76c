"""As whom the browser visits a page, and what else a tab is opened with.

The visitor is the same as in all other requests of the client. A tab that is prepared serves a visit whose
options are equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from chatgptt.browser.http_heads import basic_credentials
from chatgptt.net.proxies import Proxies, Proxy
from chatgptt.visits.current import CurrentVisit

if TYPE_CHECKING:
    from chatgptt.visits.visit import StorageItem


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitorIdentity:
    """A visitor.

    Attributes:
        user_agent: the user agent of every request.
        headers: more headers, with lower-case names. They go to the page's own origin only, since they may
            hold credentials.
        proxy: what the connections go through.
        storage: the local storage of origins.
    """

    user_agent: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    proxy: Proxy | None = None
    storage: tuple[StorageItem, ...] = field(default=(), repr=False)

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Names and values of the cookies that the caller gave as a header."""
        pairs = dict(self.headers).get("cookie", "").split(";")
        parted = [pair.strip().partition("=") for pair in pairs if pair.strip()]
        return [(name, value) for name, _, value in parted]


@dataclass(frozen=True, slots=True, kw_only=True)
class TabOptions:
    """What a tab is opened for. A trace and a picture of a failed visit are written; None keeps none."""

    identity: VisitorIdentity
    trace: Path | None = None
    screenshot: Path | None = None
    is_recorded: bool = False


def identity_for(
    page: str,
    *,
    headers: Mapping[str, str],
    auth: tuple[str, str] | None,
    proxy: str | None,
    visit: CurrentVisit,
) -> VisitorIdentity:
    """The visitor of `page`: with the client's own headers, login and visit, and httpx's proxy.

    The headers have lower-case names; a user agent among them counts. A proxy of None heeds the environment.
    """
    own = dict(headers)
    if auth is not None:
        own.setdefault("authorization", basic_credentials(*auth))
    agent = own.pop("user-agent", visit.user_agent)
    return VisitorIdentity(
        user_agent=agent,
        headers=tuple(sorted(own.items())),
        proxy=Proxies(proxy).find(page),
        storage=visit.storage,
    )
