"""Reports for the tests of what is made of them."""

from __future__ import annotations

from dataclasses import replace

from chatgptt import InvalidInputError
from chatgptt.health.report import PHASES, HealthReport, Phase, not_checked

NOON = 1_750_075_200.0
"""2025-06-16 12:00 UTC."""

_PASSED = tuple(
    Phase(name=name, status="pass", elapsed=0.01 * place, detail=f"{name} is fine")
    for place, name in enumerate(PHASES)
)
OK = HealthReport(
    site="https://shop.example/chat?lang=en",
    verdict="ok",
    code=None,
    summary="answered, in 0.42 s",
    hint="",
    checked_at=NOON,
    elapsed=0.42,
    phases=_PASSED,
    protocol="wpaicg",
    rung="html",
    certificate_expires_at=NOON + 20 * 86_400.0,
)
WARNING = replace(
    OK,
    site="https://slow.example/",
    verdict="warning",
    code="slow",
    summary="answer: fine; the check took 9.00 s, more than 5 s",
    hint="the site is slow",
    elapsed=9.0,
    phases=(
        *_PASSED[:8],
        replace(_PASSED[8], status="warn", code="slow", hint="the site is slow", elapsed=8.0),
    ),
)
HOSTILE = "it's <b>|'=\x1b[31m\x00\n% \u202e{\\\"} é 漢"
CRITICAL = HealthReport(
    site="http://a'b=c.example/",
    verdict="critical",
    code="http_error",
    summary=f"page: {HOSTILE}",
    hint=HOSTILE,
    checked_at=NOON,
    elapsed=0.02,
    phases=(
        Phase(name="dns", status="skip", detail="127.0.0.1 is an address"),
        *_PASSED[1:3],
        Phase(name="page", status="fail", elapsed=0.01, detail=HOSTILE, code="http_error", hint=HOSTILE),
        *(Phase(name=name, status="skip", detail="not reached") for name in PHASES[4:]),
    ),
)
UNKNOWN = replace(
    CRITICAL,
    site="https://script.example/",
    verdict="unknown",
    code="browser_missing",
    summary="tokens: no browser",
    phases=(
        *_PASSED[:5],
        Phase(
            name="tokens",
            status="fail",
            elapsed=0.01,
            detail="no browser",
            code="browser_missing",
            hint="get one",
        ),
        *(Phase(name=name, status="skip", detail="not reached") for name in PHASES[6:]),
    ),
)
NOT_CHECKED = not_checked(
    "ftp://x", InvalidInputError("cannot ask", hint="use https"), checked_at=NOON, level="full"
)

ALL = (OK, WARNING, CRITICAL, UNKNOWN, NOT_CHECKED)
