"""What stands under a name: the page's address and how to ask it.

A name stands wherever a page's address does. It has no dot, colon or slash, and an address of a page has at
least one of them, so neither is taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import TypeVar, get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import Level, Strategy
from chatgptt.protocols.urls import without_credentials

OPTIONS: Mapping[str, type | UnionType] = {
    "url": str,
    "bot": str | int,
    "strategy": str,
    "proxy": str,
    "timeout": int | float,
    "level": str,
    "message": str,
    "expect": str,
    "warn": int | float,
    "cert-days": int | float,
}
"""The keys of a site's table, with the types of their values."""

_Choice = TypeVar("_Choice", bound=str)

_STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_LEVELS: tuple[Level, ...] = get_args(Level)
_HINT = 'give each site a table: [name], then url = "https://..." and its options'


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSite:
    """One table of the file, or the options of a call, which have no name. None or "" leaves a key out.

    The keys up to `timeout` say how the page is asked, the others what a health check does there.
    """

    name: str = ""
    url: str = field(default="", repr=False)
    bot: str = ""
    strategy: Strategy | None = None
    proxy: str = field(default="", repr=False)
    timeout: float | None = None
    level: Level | None = None
    message: str | None = None
    expect: str | None = None
    warn: float | None = None
    cert_days: float | None = None

    def over(self, site: NamedSite) -> NamedSite:
        """The site with these options in place of its own."""
        return NamedSite(
            name=site.name,
            url=site.url,
            bot=self.bot or site.bot,
            strategy=site.strategy if self.strategy is None else self.strategy,
            proxy=self.proxy or site.proxy,
            timeout=site.timeout if self.timeout is None else self.timeout,
            level=site.level if self.level is None else self.level,
            message=site.message if self.message is None else self.message,
            expect=site.expect if self.expect is None else self.expect,
            warn=site.warn if self.warn is None else self.warn,
            cert_days=site.cert_days if self.cert_days is None else self.cert_days,
        )


def is_name(text: str) -> bool:
    """Whether `text` is a site's name, rather than the address of a page."""
    return bool(text) and text.isprintable() and text == text.strip() and not set(text) & set(".:/")


def read_table(name: str, table: object, where: str) -> NamedSite:
    """The site that a table describes.

    Args:
        name: the table's.
        table: what stands under it.
        where: the file, for errors.

    Raises:
        InvalidInputError: for every mistake in it, with the key.
    """
    shown = without_credentials(name)
    if not isinstance(table, dict):
        raise InvalidInputError(f"{where}: {shown} stands outside of a site's table", hint=_HINT)
    where = f"{where}, [{shown}]"
    for key, value in table.items():
        _check_value(key, value, where)
    if not table.get("url"):
        raise InvalidInputError(f"{where}: no url", hint=_HINT)
    if not is_name(name):
        raise InvalidInputError(
            f"{where}: this cannot be the name of a site",
            hint="a name is printable text without a dot, colon or slash",
        )
    if is_name(table["url"]):
        raise InvalidInputError(
            f"{where}: url is no address of a page", hint='write it whole: url = "https://host/path"'
        )
    return _build(name, table, where)


def _check_value(key: str, value: object, where: str) -> None:
    if key not in OPTIONS:
        raise InvalidInputError(
            f"{where}: unknown option {without_credentials(key)!r}",
            hint=f"the options are: {', '.join(OPTIONS)}",
        )
    if not isinstance(value, OPTIONS[key]) or isinstance(value, bool):
        raise InvalidInputError(f"{where}: {key} cannot be {_shown(value)}", hint=_HINT)
    if (
        isinstance(value, int | float)
        and key != "bot"
        and not (value >= 0 if key == "cert-days" else value > 0)
    ):
        raise InvalidInputError(
            f"{where}: timeout and warn need seconds above 0, cert-days no less than 0",
            hint=f"mend {key}",
        )


def _shown(value: object) -> str:
    """A value of the wrong type, without a login that may be in it."""
    if isinstance(value, str):
        return repr(without_credentials(value))
    return repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def _build(name: str, table: Mapping[str, str | int | float], where: str) -> NamedSite:
    numbers = {key: float(value) for key, value in table.items() if not isinstance(value, str)}
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    return NamedSite(
        name=name,
        url=texts["url"],
        bot=str(table.get("bot", "")),
        strategy=_one_of(_STRATEGIES, "strategy", texts, where),
        proxy=texts.get("proxy", ""),
        timeout=numbers.get("timeout"),
        level=_one_of(_LEVELS, "level", texts, where),
        message=texts.get("message"),
        expect=texts.get("expect"),
        warn=numbers.get("warn"),
        cert_days=numbers.get("cert-days"),
    )


def _one_of(choices: tuple[_Choice, ...], key: str, texts: Mapping[str, str], where: str) -> _Choice | None:
    if key not in texts:
        return None
    found = next((choice for choice in choices if choice == texts[key]), None)
    if found is None:
        raise InvalidInputError(
            f"{where}: unknown {key} {without_credentials(texts[key])!r}",
            hint=f"use one of {', '.join(choices)}",
        )
    return found
