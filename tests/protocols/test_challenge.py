from __future__ import annotations

import pytest

from chatgptt._models import ReplyHead
from chatgptt.protocols.walls import maybe_wall


def maybe_challenge(headers: dict[str, str], body: str = "") -> str | None:
    head = ReplyHead(status=200, headers=headers, url="https://site.example/")
    wall = maybe_wall(head, body)
    return wall.what if wall is not None and wall.kind == "challenge" else None


@pytest.mark.parametrize(
    ("headers", "vendor"),
    [
        ({"cf-mitigated": "challenge"}, "Cloudflare"),
        ({"x-amzn-waf-action": "challenge"}, "AWS WAF"),
        ({"x-amzn-waf-action": "captcha"}, "AWS WAF"),
        ({"x-vercel-mitigated": "challenge"}, "Vercel"),
        ({"sg-captcha": "Challenge"}, "SiteGround"),
    ],
    ids=["cloudflare", "aws challenge", "aws captcha", "vercel", "siteground"],
)
def test_a_documented_header_is_proof(headers: dict[str, str], vendor: str) -> None:
    assert (
        maybe_challenge(headers) == f"{vendor} (header {next(iter(headers))}: {next(iter(headers.values()))})"
    )


BODIES = [
    pytest.param("<script>window._cf_chl_opt={cvId:'3'}</script>", "Cloudflare", id="cloudflare's options"),
    pytest.param("<title>Just a moment...</title>", "Cloudflare", id="cloudflare's title"),
    pytest.param('<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1?ray=8"></script>', "Cloudflare", id="cloudflare's page"),
    pytest.param('<form id="challenge-form" action="/">', "Cloudflare", id="cloudflare's form"),
    pytest.param("<title>You are being redirected...</title><script>sucuri_cloudproxy_js=''</script>", "Sucuri", id="sucuri"),
    pytest.param("<TITLE>DDOS-GUARD</TITLE>", "DDoS-Guard", id="ddos-guard's title"),
    pytest.param('<script src="/.well-known/ddos-guard/js-challenge/index.js">', "DDoS-Guard", id="ddos-guard's script"),
    pytest.param("Request unsuccessful. Incapsula incident ID: 7-8", "Imperva", id="imperva's words"),
    pytest.param('<iframe src="/_Incapsula_Resource?SWCNGEEC=1">', "Imperva", id="imperva's frame"),
    pytest.param('{"url":"https://geo.captcha-delivery.com/captcha/?x"}', "DataDome", id="datadome in JSON"),
    pytest.param('<meta http-equiv="refresh" content="0;/.well-known/sgcaptcha/?r=%2F">', "SiteGround", id="siteground"),
    pytest.param("<title>Vercel Security Checkpoint</title>", "Vercel", id="vercel"),
    pytest.param("<script>window.gokuProps = {}</script>", "AWS WAF", id="aws"),
    pytest.param('<script id="anubis_challenge" type="application/json">', "Anubis", id="anubis"),
    pytest.param('<div id="px-captcha"></div>', "HUMAN", id="human"),
    pytest.param("<title>Bot Verification</title>", "a shield", id="a host's shield"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "vendor"), BODIES)
def test_marks_in_the_body_tell_the_vendor(body: str, vendor: str) -> None:
    seen = maybe_challenge({}, f"<html>\n{body}")
    assert seen is not None
    assert seen.startswith(f"{vendor} (the body holds ")


def test_a_header_comes_before_the_body() -> None:
    seen = maybe_challenge({"cf-mitigated": "challenge"}, "sucuri_cloudproxy_js")
    assert seen == "Cloudflare (header cf-mitigated: challenge)"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, ""),
        ({"server": "cloudflare", "cf-ray": "8-FRA", "set-cookie": "cf_clearance=x"}, "<p>Hello"),
        ({}, "<script>a.src='/cdn-cgi/challenge-platform/scripts/jsd/main.js'</script><p>Hello"),
        ({}, "<script src='/cdn-cgi/challenge-platform/h/g/scripts/jsd/8/main.js'></script>"),
        ({}, "<script src='https://challenges.cloudflare.com/turnstile/v0/api.js'></script>"),
        ({}, "<script src='/_Incapsula_Resource?SWJIYLWA=7'></script><p>Hello"),
        ({"x-iinfo": "8", "x-cdn": "Imperva"}, "<p>Hello"),
        ({"x-datadome": "protected", "x-sucuri-id": "8", "server": "ddos-guard"}, "<p>Hello"),
        ({"content-security-policy": "script-src captcha-delivery.com"}, "<p>Hello"),
        ({"x-vercel-mitigated": "deny"}, "<p>Forbidden"),
        ({"x-amzn-waf-action": "block"}, "<p>Forbidden"),
        ({}, "<title>Attention Required! | Cloudflare</title><h1>Sorry, you have been blocked</h1>"),
        ({}, "<title>Access Denied - Sucuri Website Firewall</title>"),
        ({}, "<p>Just a moment... we check your browser</p>"),
    ],
    ids=["nothing", "cloudflare's headers", "cloudflare's script", "cloudflare's other script", "turnstile", "imperva's script",
    "imperva's headers", "others' headers", "a policy", "vercel's block", "aws' block", "cloudflare's block", "sucuri's block", "words"],
)  # fmt: skip
def test_what_ordinary_and_blocked_pages_have_is_no_challenge(headers: dict[str, str], body: str) -> None:
    assert maybe_challenge(headers, body) is None
