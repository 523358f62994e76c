"""What a browser rung needs of its client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chatgptt._models import StoredCookie
from chatgptt.browser.shared import BrowserOptions
from chatgptt.browser.visitor import VisitorIdentity
from chatgptt.net.reach import Reach
from chatgptt.net.retry import RetryPolicy
from chatgptt.visits.current import CurrentVisit


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserSetup:
    """See the module.

    Attributes:
        options: how the browser is run; None takes the defaults.
        folder: where the client keeps its state; None for nowhere.
        identity_for: the visitor of a page, by the page's URL.
        policy: how often and how patiently a visit that fails for a passing reason is repeated.
        cookies_for: the visitor's cookies of a page's site.
        reach_of: where a page's site may lead.
        clock: Unix time in seconds.
        sleep: waits that many seconds.
        visit: whose cookies those that the browser gets are.
    """

    identity_for: Callable[[str], VisitorIdentity]
    policy: RetryPolicy
    cookies_for: Callable[[str], tuple[StoredCookie, ...]]
    reach_of: Callable[[str], Reach]
    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    options: BrowserOptions | None = None
    folder: Path | None = None
    visit: CurrentVisit = field(default_factory=CurrentVisit)
