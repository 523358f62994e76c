"""A page to check: how it is reached and what is done there."""

from __future__ import annotations

from dataclasses import dataclass, field

from chatgptt._models import Strategy
from chatgptt.health.check import DEFAULT_MESSAGE, Plan
from chatgptt.sites.named import NamedSite

_CERT_DAYS = 14.0
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPage:
    """One page to check. `name` is None for a page that was given by its address."""

    url: str = field(repr=False)
    plan: Plan
    name: str | None = None
    bot: str = ""
    strategy: Strategy = "auto"
    proxy: str = field(default="", repr=False)


def checked_page_of(named: NamedSite) -> CheckedPage:
    """The check of a named site, or of options without a name.

    Raises:
        InvalidInputError: for what cannot work.
    """
    return CheckedPage(
        url=named.url,
        plan=plan_of(named),
        name=named.name or None,
        bot=named.bot,
        strategy=named.strategy or "auto",
        proxy=named.proxy,
    )


def plan_of(named: NamedSite, *, timeout: float | None = None) -> Plan:
    """What a check of it does; `timeout` in place of its own.

    Raises:
        InvalidInputError: for what cannot work.
    """
    seconds = named.timeout if timeout is None else timeout
    return Plan(
        level="full" if named.level is None else named.level,
        message=DEFAULT_MESSAGE if named.message is None else named.message,
        expect=named.expect,
        warn=named.warn,
        cert_days=_CERT_DAYS if named.cert_days is None else named.cert_days,
        timeout=_TIMEOUT if seconds is None else seconds,
    )
