"""People with an account at the site, as they log in with a browser."""

from __future__ import annotations

import html
import re
from http.cookiejar import MozillaCookieJar
from pathlib import Path

import anyio
import httpx
import pytest
from wordpress.installation import Site, WordPress

only_1x = pytest.mark.parametrize("generation", ["wpaicg"])
only_2x = pytest.mark.parametrize("generation", ["aipkit"])


async def log_in(wordpress: WordPress, http: httpx.AsyncClient, site: Site = "pretty") -> None:
    """Fills in WordPress's own form as Ada; the cookies are then in the client's jar."""
    address = wordpress.url(site, "/wp-login.php")
    await http.get(address)  # sets the cookie by which WordPress sees that cookies work
    fields = {"log": "ada", "pwd": "password of ada", "wp-submit": "Log In", "testcookie": "1"}
    reply = await http.post(address, data=fields)
    assert reply.status_code == 302, reply.text
    assert any(name.startswith("wordpress_logged_in_") for name in http.cookies)


def export_login(wordpress: WordPress, file: Path, site: Site = "pretty") -> Path:
    """Ada's cookies in a file, after a login elsewhere: a `cookies.txt`, as extensions of browsers write it."""
    jar = MozillaCookieJar(file)

    async def log_in_elsewhere() -> None:
        async with httpx.AsyncClient() as http:
            await log_in(wordpress, http, site)
            for cookie in http.cookies.jar:
                jar.set_cookie(cookie)

    anyio.run(log_in_elsewhere)
    jar.save(ignore_discard=True)
    return file


async def log_out(wordpress: WordPress, http: httpx.AsyncClient, site: Site = "pretty") -> None:
    """Follows the link in Ada's own page: her session ends at the site."""
    page = await http.get(wordpress.chat(site))
    link = re.search(r"""href=["']([^"']*wp-login\.php\?action=logout[^"']*)["']""", page.text)
    assert link, page.text
    async with httpx.AsyncClient(cookies=http.cookies) as elsewhere:  # this jar would lose them at once
        reply = await elsewhere.get(html.unescape(link[1]))
    assert reply.status_code == 302, reply.text
