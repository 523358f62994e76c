"""What a check does: how far it goes, what it sends, and what it minds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import get_args

from chatgptt._arguments import check_kind
from chatgptt._errors import InvalidInputError
from chatgptt._models import Level
from chatgptt.health.expectation import check_pattern
from chatgptt.protocols.prompt import check_message
from chatgptt.sites.named import NamedSite

DEFAULT_MESSAGE = "Please answer with the single word OK."
"""It is short and asks for a short answer, since the site pays for both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a check does.

    Attributes:
        level: `page` (up to the chat box), `tokens`, or `full` (a message and its answer).
        message: what is sent at level `full`.
        expect: a regular expression that the answer has to match somewhere, None for any answer.
        warn: seconds beyond which a check that passes is a warning, None for never.
        cert_days: days of a certificate's life below which it is a warning.
        timeout: seconds for the whole check.

    Raises:
        InvalidInputError: for what cannot work.
    """

    level: Level = "full"
    message: str = DEFAULT_MESSAGE
    expect: str | None = None
    warn: float | None = None
    cert_days: float = 14.0
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise InvalidInputError(
                f"unknown level {self.level!r}", hint=f"use one of {', '.join(get_args(Level))}"
            )
        check_kind("message", self.message, str, wanted="text")
        check_kind("expect", self.expect, str, None, wanted="a regular expression")
        for name in ("warn", "cert_days", "timeout"):
            kinds = (int, float, None) if name == "warn" else (int, float)
            check_kind(name, getattr(self, name), *kinds, wanted="a number")
        check_message(self.message)
        if self.expect is not None:
            check_pattern(self.expect)
        if not self.timeout > 0 or not (self.warn is None or self.warn > 0) or not self.cert_days >= 0:
            raise InvalidInputError(
                "timeout and warn need seconds above 0, cert_days no less than 0", hint="mend the number"
            )


def plan_of(named: NamedSite) -> Plan:
    """The plan for a named site, or for options without a name.

    Raises:
        InvalidInputError: for what cannot work.
    """
    own = {part.name: getattr(named, part.name) for part in fields(Plan)}
    return Plan(**{name: value for name, value in own.items() if value is not None})
