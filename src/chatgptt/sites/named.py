"""What stands under a name: the page's address and how to ask it.

A name stands wherever a page's address does. It has no dot, colon or slash, and an address of a page has at
least one of them, so neither is taken for the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import UnionType
from typing import get_args

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

_CHOICES = {"strategy": get_args(Strategy), "level": get_args(Level)}
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
        given = {part.name: getattr(self, part.name) for part in fields(self)}
        return replace(site, **{name: given[name] for name in given if given[name] not in (None, "")})


def is_name(text: str) -> bool:
    """Whether `text` is a site's name, rather than the address of a page."""
    return bool(text) and text.isprintable() and text == text.strip() and not set(text) & set(".:/")


def read_table(name: str, table: object, where: str) -> NamedSite:
    """The site that a table of the file `where` describes.

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
    options = {key.replace("-", "_"): value for key, value in table.items()}
    numbers = {key: float(value) for key, value in options.items() if isinstance(value, int)}
    return NamedSite(**{**options, **numbers, "name": name, "bot": str(table.get("bot", ""))})


def _check_value(key: str, value: object, where: str) -> None:
    if key not in OPTIONS:
        raise InvalidInputError(
            f"{where}: unknown option {without_credentials(key)!r}",
            hint=f"the options are: {', '.join(OPTIONS)}",
        )
    if not isinstance(value, OPTIONS[key]) or isinstance(value, bool):
        raise InvalidInputError(f"{where}: {key} cannot be {_shown(value)}", hint=_HINT)
    if key in _CHOICES and value not in _CHOICES[key]:
        raise InvalidInputError(
            f"{where}: unknown {key} {_shown(value)}", hint=f"use one of {', '.join(_CHOICES[key])}"
        )
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
    """A wrong value, without a login that may be in it."""
    if isinstance(value, str):
        return repr(without_credentials(value))
    return repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
