"""Recognises the challenge of a bot protection.

A documented header is proof. A mark in the body is proof only in a reply that is no chat page and no answer:
sites behind such services load some of the same scripts on ordinary pages (docs/protocols.md C4).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEADERS: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("cf-mitigated", re.compile("challenge"), "Cloudflare"),
    ("x-amzn-waf-action", re.compile("challenge|captcha"), "AWS WAF"),
    ("x-vercel-mitigated", re.compile("challenge"), "Vercel"),
    ("sg-captcha", re.compile("challenge"), "SiteGround"),
)

_BODIES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "Cloudflare",
        re.compile(
            r"window\._cf_chl_opt|/cdn-cgi/challenge-platform/\S{0,80}?/orchestrate/|id=\"challenge-form\""
        ),
    ),
    ("Sucuri", re.compile(r"sucuri_cloudproxy_js")),
    ("DDoS-Guard", re.compile(r"check\.ddos-guard\.net|/\.well-known/ddos-guard/")),
    ("DDoS-Guard", re.compile(r"<title>\s*ddos-guard", re.I)),
    ("Imperva", re.compile(r"_Incapsula_Resource\?(?:SWCNGEEC|CWUDNSAI)|Incapsula incident ID")),
    ("DataDome", re.compile(r"captcha-delivery\.com")),
    ("SiteGround", re.compile(r"/\.well-known/sgcaptcha/")),
    ("Vercel", re.compile(r"<title>\s*Vercel Security Checkpoint")),
    ("AWS WAF", re.compile(r"awsWafCookieDomainList|window\.gokuProps")),
    ("Anubis", re.compile(r"/\.within\.website/x/cmd/anubis/|id=\"anubis_challenge\"")),
    ("HUMAN", re.compile(r"id=\"px-captcha\"|window\._pxAppId\b")),
    ("a shield", re.compile(r"<title>\s*(?:Bot Verification|Checking your browser|DDoS protection)", re.I)),
    ("Cloudflare", re.compile(r"<title>\s*Just a moment\.\.\.", re.I)),
)


def maybe_challenge(headers: Mapping[str, str], body: str = "") -> str | None:
    """The vendor and its mark, as `"Cloudflare (header cf-mitigated: challenge)"`; None for no challenge.

    A page that only blocks is no challenge: it offers no check to pass.

    Args:
        headers: with lower-case names.
        body: the beginning of a reply that is neither a chat page nor an answer.
    """
    for name, value, vendor in _HEADERS:
        seen = headers.get(name, "")
        if value.search(seen.lower()):
            return f"{vendor} (header {name}: {seen[:40]})"
    for vendor, mark in _BODIES:
        found = mark.search(body)
        if found:
            return f"{vendor} (the body holds {' '.join(found[0].split())[:60]!r})"
    return None
