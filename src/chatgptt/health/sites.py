"""The sites to check, from a TOML file: a table a site, with its options.

    [shop]
    url = "https://shop.example/chat"
    bot = "3"
    expect = "OK"
    warn = 5

A key that nobody knows is an error: a mistyped option would silently check something else.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import get_args

from chatgptt._errors import InvalidInputError
from chatgptt._models import Strategy
from chatgptt.health.check import Plan
from chatgptt.health.report import Level
from chatgptt.protocols.urls import without_credentials

__all__ = ["Site", "read_sites"]

MAX_FILE_BYTES = 2**20

_OPTIONS: dict[str, type | UnionType] = {
    "url": str,
    "bot": str | int,
    "strategy": str,
    "proxy": str,
    "level": str,
    "message": str,
    "expect": str,
    "warn": int | float,
    "cert-days": int | float,
    "timeout": int | float,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One page to check: how to reach it, and what to do there."""

    url: str = field(repr=False)
    plan: Plan
    bot: str = ""
    strategy: Strategy = "auto"
    proxy: str = field(default="", repr=False)


def read_sites(path: Path, defaults: Site) -> list[Site]:
    """The sites of a TOML file, in its order.

    Args:
        path: the file.
        defaults: what a table does not say, except for the URL.

    Raises:
        InvalidInputError: for a file that cannot be read or holds no sites, and for every mistake in it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ValueError("it is too large for a list of sites")
        tables = tomllib.loads(data.decode())
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"cannot read the sites in {path}: {error}", hint=_HINT) from error
    if not tables:
        raise InvalidInputError(f"{path} holds no sites", hint=_HINT)
    return [_read_site(name, table, defaults, path) for name, table in tables.items()]


def _read_site(name: str, table: object, defaults: Site, path: Path) -> Site:
    name = without_credentials(name)
    where = f"{path}, [{name}]"
    if not isinstance(table, dict):
        raise InvalidInputError(f"{path}: {name} stands outside of a site's table", hint=_HINT)
    for key, value in table.items():
        if key not in _OPTIONS:
            raise InvalidInputError(
                f"{where}: unknown option {without_credentials(key)!r}",
                hint=f"the options are: {', '.join(_OPTIONS)}",
            )
        if not isinstance(value, _OPTIONS[key]) or isinstance(value, bool):
            raise InvalidInputError(f"{where}: {key} cannot be {_shown(value)}", hint=_HINT)
    if not table.get("url"):
        raise InvalidInputError(f"{where}: no url", hint=_HINT)
    try:
        return _merge(table, defaults)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error.message}", hint=error.hint) from error


def _shown(value: object) -> str:
    """A value of the wrong type, without a login that may be in it."""
    if isinstance(value, str):
        return repr(without_credentials(value))
    return repr(value) if isinstance(value, int | float) else f"a {type(value).__name__}"


def _merge(table: dict[str, str | int | float], defaults: Site) -> Site:
    given = {key.replace("-", "_"): value for key, value in table.items()}
    strategy = str(given.get("strategy", defaults.strategy))
    known = next((name for name in _STRATEGIES if name == strategy), None)
    if known is None:
        raise InvalidInputError(
            f"unknown strategy {without_credentials(str(strategy))!r}",
            hint=f"use one of {', '.join(_STRATEGIES)}",
        )
    level = str(given.pop("level", defaults.plan.level))
    known_level = next((name for name in _LEVELS if name == level), None)
    if known_level is None:
        raise InvalidInputError(
            f"unknown level {without_credentials(str(level))!r}", hint=f"use one of {', '.join(_LEVELS)}"
        )
    numbers = {key: float(value) for key, value in given.items() if not isinstance(value, str)}
    texts = {key: value for key, value in given.items() if isinstance(value, str)}
    plan = defaults.plan
    return Site(
        url=str(given["url"]),
        bot=str(given.get("bot", defaults.bot)),
        proxy=str(given.get("proxy", defaults.proxy)),
        strategy=known,
        plan=Plan(
            level=known_level,
            message=texts.get("message", plan.message),
            expect=texts.get("expect", plan.expect),
            warn=numbers.get("warn", plan.warn),
            cert_days=numbers.get("cert_days", plan.cert_days),
            timeout=numbers.get("timeout", plan.timeout),
        ),
    )


_STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_LEVELS: tuple[Level, ...] = get_args(Level)
_HINT = 'give each site a table: [name], then url = "https://..." and its options'
