"""One WordPress installation with the plugin: its pages, its files, and its admin-ajax.php.

Each generation of the plugin is a `Plugin`: what it prints into pages, and how it answers requests.
"""

from __future__ import annotations

import html
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Literal

from starlette.responses import RedirectResponse, Response

from chatgptt.demo.nonces import GUEST
from chatgptt.demo.optimisers import Wrapping
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import HTML, Call, Site, asset, document, is_cached, rest

AJAX = "wp-admin/admin-ajax.php"

ELSEWHERE = f"https://collector.example/{AJAX}"
"""An address on another host, to which the client must never post by itself."""

_COOKIE = "demo_visitor"

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """One page. The defaults are those of a page with one box and nothing wrong.

    Attributes:
        name: its title, if the slug doesn't make one.
        bots: those of the boxes in its content.
        widget: 1.x: the bot of its floating widget.
        params: 1.x: the form of the script that holds the nonce too.
        has_foreign_ajax_url: whether messages are to go to `ELSEWHERE`.
        has_config: 2.x: whether boxes have their `data-config`.
        is_loaded_by_script: 2.x: a script of the page inserts the box. The HTML has none.
        script_after_ms: 1.x, on sites whose nonces come by script: the delay.
        has_false_start: 1.x: the script sets a wrong nonce first.
        until: the first version without it.
    """

    slug: str
    about: str
    _: KW_ONLY
    name: str = ""
    bots: tuple[int, ...] = (0,)
    widget: int | None = None
    nonce: Literal["own", "absent", "empty", "placeholder"] = "own"
    params: Wrapping = "plain"
    cache: Literal["no", "soft", "hard"] = "no"
    look: Literal["plain", "minified", "unclosed", "decoy"] = "plain"
    has_foreign_ajax_url: bool = False
    has_config: bool = True
    is_loaded_by_script: bool = False
    script_after_ms: int = 0
    has_false_start: bool = False
    since: Version = ()
    until: Version = (99,)

    @property
    def title(self) -> str:
        """The title that people read."""
        return self.name or self.slug.replace("-", " ").capitalize() or "Front page"

    def ajax_url(self, home: str) -> str:
        """The address that it names for messages."""
        return ELSEWHERE if self.has_foreign_ajax_url else f"{home}/{AJAX}"


@dataclass(frozen=True, slots=True)
class Setup:
    """The settings of one installation.

    Attributes:
        nonces: `never`: no page has one; `scripted`: only a script on the page gets one.
        has_visitor_cookie: whether a guest's nonce is bound to a cookie that each page sets.
        encoding: of the pages, which say UTF-8 whatever it is.
        message_challenge: the status of the challenge in place of each reply of admin-ajax.php.
    """

    prefix: str
    version: Version
    pages: tuple[Page, ...]
    _: KW_ONLY
    about: str = ""
    nonces: Literal["printed", "never", "scripted"] = "printed"
    has_visitor_cookie: bool = False
    encoding: str = "utf-8"
    message_challenge: int | None = None

    def post_id(self, page: Page) -> int:
        """The id of a page."""
        return 9 + self.pages.index(page)


MakeNonce = Callable[[str], str]
"""The nonce for an action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plugin:
    """One generation of the plugin.

    Attributes:
        namespaces: what it adds to the REST API.
        head: what it prints into the head of each page, with `{home}` and `{version}`.
        decoys: things that look like a box, for before the content and behind it, with `HOME`.
        boxes: the boxes in the content of a page of the site at an address.
        footer: what it prints at the end of a page, or of the theme's 404 page.
        answer: the reply to a request for something of the plugin's own; None for everything else. Nonces
            are made for the user.
    """

    generation: str
    namespaces: tuple[str, ...] = ()
    head: str
    decoys: tuple[str, str]
    boxes: Callable[[Setup, Page, str, MakeNonce], list[str]]
    footer: Callable[[Setup, Page | None, str, MakeNonce], str]
    answer: Callable[[Call, Setup, DemoState, str], Awaitable[Response | None]]


def build_installation(setup: Setup, plugin: Plugin, state: DemoState) -> Site:
    """The site with these settings."""
    version = ".".join(map(str, setup.version))
    about = f"{plugin.generation}, {version}: {setup.about}".removesuffix(": ")
    installation = _Installation(setup, plugin, state)
    pages = {
        f"{setup.prefix}/{slug}/".replace("//", "/"): page.about for slug, page in installation.pages.items()
    }
    return Site(setup.prefix, pages, installation.answer, about)


class _Installation:
    def __init__(self, setup: Setup, plugin: Plugin, state: DemoState) -> None:
        self.pages = {page.slug: page for page in setup.pages if page.since <= setup.version < page.until}
        self._setup = setup
        self._plugin = plugin
        self._state = state
        self._nonces = state.nonces(setup.prefix)

    async def answer(self, call: Call) -> Response:
        user = call.cookies.get(_COOKIE, GUEST) if self._setup.has_visitor_cookie else GUEST
        if (own := await self._plugin.answer(call, self._setup, self._state, user)) is not None:
            return own
        if call.path.startswith("wp-json"):
            return rest(call, self._plugin.namespaces)
        if call.path.startswith(("wp-content/", "wp-includes/")):
            return asset(call.path)
        if call.path in self.pages and call.path:
            return RedirectResponse(f"{call.home}/{call.path}/", 301)
        return self._answer_page(call, user)

    def _answer_page(self, call: Call, user: str) -> Response:
        link = f'<{call.home}/wp-json/>; rel="https://api.w.org/"'
        headers = {**HTML, "link": link}
        if self._setup.has_visitor_cookie and user == GUEST:
            user = secrets.token_hex(8)
            headers["set-cookie"] = f"{_COOKIE}={user}; Path=/{self._setup.prefix}/; HttpOnly; SameSite=Lax"
        page = self.pages.get(call.path.removesuffix("/"))
        at = call.logged.at
        if page is not None and is_cached(page.cache, call):
            at = self._state.started_at
            headers |= {"age": str(int(call.logged.at - at)), "x-cache": "HIT"}
        text = self._print(page, call, partial(self._nonces.make, at=at, user=user))
        body = text.encode(self._setup.encoding, "xmlcharrefreplace")
        return Response(body, 404 if page is None else 200, headers)

    def _print(self, page: Page | None, call: Call, make_nonce: MakeNonce) -> str:
        """A page as WordPress and the plugin print it; None is the theme's 404 page."""
        setup, plugin, home = self._setup, self._plugin, call.home
        path, title, content = html.escape(call.path.strip("/")), "Page not found", _MISSING
        if page is not None:
            path, title = page.slug, page.title
            boxes = plugin.boxes(setup, page, home, make_nonce)
            content = "<p>and some text between,</p>\n".join(boxes) or "<p>Nobody to talk to here.</p>"
            if page.look == "decoy":
                before, after = plugin.decoys
                content = before.replace("HOME", home) + content + after
        return document(
            home=home,
            path=path,
            title=title,
            post_id=None if page is None else setup.post_id(page),
            content=content,
            head=plugin.head.format(home=home, version=".".join(map(str, setup.version))),
            footer=plugin.footer(setup, page, home, make_nonce),
            # Elsewhere the theme's own end tags would close the boxes.
            is_bare=page is not None and page.look == "unclosed",
            # Any login will do: the demo has no members of its own.
            is_member=any(name.startswith("wordpress_logged_in_") for name in call.cookies),
        )


_MISSING = "<h1>Nothing is here</h1>\n<p>Maybe a search helps.</p>"


def hidden_decoys(fake: str) -> str:
    """A decoy in each place where no element counts. `fake` has places for a nonce and a digit."""
    return (
        '<p><button class="like" data-nonce="aaaaaaaaaa" data-post-id="991">Like</button></p>\n'
        f"<!-- an old box: {fake.format('bbbbbbbbbb', 2)} -->\n"
        f"<textarea readonly>{fake.format('cccccccccc', 3)}</textarea>\n"
        f"<template>{fake.format('dddddddddd', 4)}</template>\n"
        f'<script type="text/template">{fake.format("eeeeeeeeee", 5)}</script>\n'
        f"<noscript>{fake.format('ffffffffff', 6)}</noscript>\n"
        '<div class="gallery" data-config="{broken"></div>\n'
    )
