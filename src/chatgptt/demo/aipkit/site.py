"""One installation with AI Power 2.x: its pages, its files, and its admin-ajax.php."""

from __future__ import annotations

from functools import partial

from starlette.responses import RedirectResponse, Response

from chatgptt.demo.aipkit.messages import answer_action
from chatgptt.demo.aipkit.pages import NONCE, Setup, bot_html, missing_page, page_html
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, IndexLine, ajax_text, asset, is_cached, rest

VISITOR_IP = "127.0.0.1"
"""Old versions print the visitor's address in the page. Here all visitors have this one."""


class AipkitSite:
    """Answers below `setup.prefix`."""

    def __init__(self, setup: Setup, state: DemoState) -> None:
        self.prefix = setup.prefix
        self._setup = setup
        self._state = state
        self._nonces = state.nonces(setup.prefix)
        self._pages = {page.slug: page for page in setup.pages if setup.version < page.until}

    @property
    def index_lines(self) -> list[IndexLine]:
        """Its pages."""
        version = ".".join(map(str, self._setup.version))
        about = f"2.x, {version}: {self._setup.about}".removesuffix(": ")
        return [
            IndexLine(f"{self.prefix}/{slug}/" if slug else f"{self.prefix}/", f"{about}: {page.about}")
            for slug, page in self._pages.items()
        ]

    async def answer(self, call: Call) -> Response:
        """The reply to a request below the prefix."""
        home = f"{call.base}/{self.prefix}"
        if call.path == "wp-admin/admin-ajax.php":
            if call.request.get("action") == "demo_late_box":
                return self._late_box(call, home)
            return await answer_action(call, self._setup, self._state)
        if call.path.startswith("wp-json"):
            return rest(call, ["aipkit/v1"])
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
        page = self._pages.get(call.path.removesuffix("/"))
        if page is None:
            return Response(missing_page(self._setup, home=home, path=call.path), 404, headers)
        at = call.now
        if is_cached(page.cache, call):
            at = self._state.started_at
            headers |= {"age": str(int(call.now - at)), "x-cache": "HIT"}
        make = partial(self._nonces.make, at=at)
        return Response(
            page_html(self._setup, page, home=home, make_nonce=make, visitor_ip=VISITOR_IP), 200, headers
        )

    def _late_box(self, call: Call, home: str) -> Response:
        """The box of a page that loads it by script."""
        page = next((page for page in self._pages.values() if page.is_loaded_by_script), None)
        if page is None:
            return ajax_text("0", 400)
        nonce = self._nonces.make(NONCE, at=call.now)
        return ajax_text(
            bot_html(self._setup, page, page.bots[0], home=home, nonce=nonce, visitor_ip=VISITOR_IP), 200
        )
