"""One installation with AI Power 1.x: its pages, its files, and its admin-ajax.php."""

from __future__ import annotations

import secrets
from functools import partial

from starlette.responses import RedirectResponse, Response

from chatgptt.demo.nonces import GUEST
from chatgptt.demo.optimisers import COMBINED, params_script
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, IndexLine, ajax_json, asset, is_cached, rest
from chatgptt.demo.wpaicg.messages import answer_message
from chatgptt.demo.wpaicg.pages import NONCE, Setup, missing_page, page_html, site_params

COOKIE = "demo_visitor"


class WpaicgSite:
    """Answers below `setup.prefix`."""

    def __init__(self, setup: Setup, state: DemoState) -> None:
        self.prefix = setup.prefix
        self._setup = setup
        self._state = state
        self._nonces = state.nonces(setup.prefix)
        self._pages = {page.slug: page for page in setup.pages if setup.version >= page.since}

    @property
    def index_lines(self) -> list[IndexLine]:
        """Its pages."""
        version = ".".join(map(str, self._setup.version))
        about = f"1.x, {version}: {self._setup.about}".removesuffix(": ")
        return [
            IndexLine(f"{self.prefix}/{slug}/" if slug else f"{self.prefix}/", f"{about}: {page.about}")
            for slug, page in self._pages.items()
        ]

    async def answer(self, call: Call) -> Response:
        """The reply to a request below the prefix."""
        home = f"{call.base}/{self.prefix}"
        if call.path == "wp-admin/admin-ajax.php":
            return await self._ajax(call)
        if call.path == COMBINED:
            params = site_params(
                self._setup,
                ajax_url=f"{home}/wp-admin/admin-ajax.php",
                nonce=self._nonces.make(NONCE, at=call.now),
            )
            script = f"/* combined */\n(function(){{window.demoTheme={{}}}})();\n{params_script(params)}\n"
            return Response(script, 200, {"content-type": "text/javascript; charset=UTF-8"})
        if call.path.startswith("wp-json"):
            return rest(call, [])
        if call.path.startswith(("wp-content/", "wp-includes/")):
            return asset(call.path)
        if call.path in self._pages and call.path:
            return RedirectResponse(f"{home}/{call.path}/", 301)
        return self._page(call, home)

    def _page(self, call: Call, home: str) -> Response:
        headers = {
            "content-type": "text/html; charset=UTF-8",
            "link": f'<{home}/wp-json/>; rel="https://api.w.org/"',
        }
        user = self._user(call)
        cookie = user if user != GUEST else secrets.token_hex(8)
        if self._setup.has_visitor_cookie and user == GUEST:
            headers["set-cookie"] = f"{COOKIE}={cookie}; Path=/{self.prefix}/; HttpOnly; SameSite=Lax"
            user = cookie
        page = (
            self._pages.get(call.path.removesuffix("/")) if call.path.endswith("/") or not call.path else None
        )
        at = call.now
        if page is not None and is_cached(page.cache, call):
            at = self._state.started_at
            headers |= {"age": str(int(call.now - at)), "x-cache": "HIT"}
        make = partial(self._make, at=at, user=user)
        if page is None:
            text = missing_page(self._setup, home=home, path=call.path, make_nonce=make)
        else:
            text = page_html(self._setup, page, home=home, make_nonce=make)
        body = text.encode(self._setup.encoding, "xmlcharrefreplace")
        return Response(body, 404 if page is None else 200, headers)

    async def _ajax(self, call: Call) -> Response:
        user = self._user(call)
        if self._setup.nonces == "scripted" and call.request.get("action") == "demo_late_nonce":
            return ajax_json({"success": True, "data": {"nonce": self._make(NONCE, at=call.now, user=user)}})
        return await answer_message(call, self._setup, self._state, user=user)

    def _make(self, action: str, *, at: float, user: str) -> str:
        return self._nonces.make(action, at=at, user=user)

    def _user(self, call: Call) -> str:
        """The user of a nonce: one for all guests, except where a cookie tells them apart."""
        if not self._setup.has_visitor_cookie:
            return GUEST
        return call.cookies.get(COOKIE, GUEST)
