"""The pages of a 1.x site: their boxes, the places of their nonces, and their faults."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chatgptt.demo.optimisers import Wrapping, params_html
from chatgptt.demo.wordpress import document
from chatgptt.demo.wpaicg.boxes import Box, BoxKind, Version, box_html, widget_html

NONCE = "wpaicg-chatbox"
"""The one action of all boxes and of the script."""

ELSEWHERE = "https://collector.example/wp-admin/admin-ajax.php"
"""An address on another host, to which the client must never post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bot:
    """A bot: its settings on the server, and the values that its page shows."""

    name: str
    page_streams: bool = True
    server_streams: bool = True
    is_assistant: bool = False
    is_google: bool = False
    quota: int | None = None
    """Messages for each visitor; None is no limit."""


BOTS: dict[int, Bot] = {
    0: Bot(name="the default bot"),
    4: Bot(name="a bot that doesn't stream", page_streams=False, server_streams=False),
    5: Bot(name="a custom bot"),
    7: Bot(name="an assistant", is_assistant=True),
    8: Bot(
        name="an assistant that doesn't stream", is_assistant=True, page_streams=False, server_streams=False
    ),
    9: Bot(name="a bot with a quota", quota=2),
    10: Bot(name="a Google bot", server_streams=False, is_google=True),
    11: Bot(name="a widget's bot whose page is wrong about it", page_streams=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. The defaults are those of a page with one box and nothing wrong."""

    slug: str
    about: str
    name: str = ""
    """Its title, if the slug doesn't make one."""
    bots: tuple[int, ...] = (0,)
    """The shortcodes in its content."""
    widget: int | None = None
    """The bot of its floating widget."""
    nonce: Literal["own", "absent", "empty", "placeholder"] = "own"
    params: Wrapping = "plain"
    cache: Literal["no", "soft", "hard"] = "no"
    look: Literal["plain", "minified", "unclosed", "decoy"] = "plain"
    has_foreign_ajax_url: bool = False
    script_after_ms: int = 0
    """On sites whose nonces come by script: the delay."""
    has_false_start: bool = False
    """The script sets a wrong nonce first."""
    since: Version = ()

    @property
    def title(self) -> str:
        """The title that people read."""
        return self.name or self.slug.replace("-", " ").capitalize() or "Front page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One installation."""

    prefix: str
    version: Version
    about: str = ""
    pages: tuple[Page, ...]
    nonces: Literal["printed", "never", "scripted"] = "printed"
    """`never`: no page has one; `scripted`: only a script on the page gets one."""
    has_visitor_cookie: bool = False
    """The guest's nonce is bound to a cookie that each page sets."""
    encoding: str = "utf-8"
    """Of the pages, which say UTF-8 whatever it is."""
    message_challenge: int | None = None
    """The status of the challenge that comes in place of a reply of admin-ajax.php."""


PAGES = (
    Page(slug="", about="one box in the content, which streams"),
    Page(slug="json", about="a box whose bot doesn't stream", bots=(4,)),
    Page(slug="custom", about="a box with a bot of its own", bots=(5,)),
    Page(slug="widget", about="the floating widget and no box in the content", bots=(), widget=0),
    Page(slug="json-and-widget", about="a box in the content and the widget", bots=(4,), widget=0),
    Page(slug="many", about="three boxes and the widget", bots=(4, 5, 0), widget=0),
    Page(slug="decoy", about="a box between things that look like one", bots=(4,), look="decoy"),
    Page(slug="nochat", about="no box at all", bots=()),
    Page(
        slug="unclosed",
        about="boxes inside each other: a </div> is missing",
        bots=(4, 5),
        widget=0,
        look="unclosed",
    ),
    Page(
        slug="minified",
        about="attributes unquoted and in another order",
        bots=(5,),
        widget=0,
        look="minified",
    ),
    Page(slug="assistant", about="an assistant, with threads and named events", bots=(7,), since=(1, 8, 95)),
    Page(slug="assistant-json", about="an assistant that doesn't stream", bots=(8,), since=(1, 8, 95)),
    Page(slug="quota", about="two messages for each visitor, then a refusal", bots=(9,)),
    Page(slug="google", about="the page says stream, the server doesn't", bots=(10,)),
    Page(slug="widget-streams", about="the page says no stream, the server streams", bots=(), widget=11),
    Page(slug="cached", about="a page cache: stale after a day, but it can be bypassed", cache="soft"),
    Page(slug="cached-hard", about="a page cache that nothing bypasses", cache="hard"),
    Page(slug="empty-nonce", about="the box's nonce is empty, the script has it", nonce="empty"),
    Page(slug="placeholder", about="the box's nonce is zeros, the script has it", nonce="placeholder"),
    Page(
        slug="wrapped-datauri",
        about="only the script has it, as a data: URI",
        nonce="absent",
        params="datauri",
    ),
    Page(slug="wrapped-type", about="the same, with a foreign type", nonce="absent", params="type"),
    Page(slug="wrapped-litespeed", about="the same, in data-src", nonce="absent", params="litespeed"),
    Page(
        slug="wrapped-delayed",
        about="the same, percent-encoded in data-pmsrc",
        nonce="absent",
        params="delayed",
    ),
    Page(slug="wrapped-minified", about="the same, keys unquoted", nonce="absent", params="minified"),
    Page(slug="wrapped-combined", about="the same, moved to another file", nonce="absent", params="combined"),
    Page(slug="no-nonce", about="no nonce here, but on every other page", nonce="absent", params="none"),
    Page(slug="elsewhere", about="the script names an ajax URL on another host", has_foreign_ajax_url=True),
)


def site_params(setup: Setup, *, ajax_url: str, nonce: str) -> dict[str, object]:
    """The content of `wpaicgParams`, on every page of a site, chat or not."""
    found: dict[str, object] = {"ajax_url": ajax_url}
    if setup.nonces == "printed":
        found["search_nonce"] = nonce
    found |= {"logged_in": "0", "languages": {"source": "Source", "no_result": "Nothing found"}}
    if setup.version >= (1, 9, 11):
        found["katex_enabled"] = "0"
    return found


def page_html(setup: Setup, page: Page, *, home: str, make_nonce: Callable[[str], str]) -> str:
    """The page as its theme and plugins print it."""
    post_id = 9 + setup.pages.index(page)
    nonce = make_nonce(NONCE)
    own = {"own": nonce, "absent": None, "empty": "", "placeholder": "0000000000"}[page.nonce]

    def box(kind: BoxKind, bot: int) -> Box:
        return Box(
            kind=kind,
            bot=bot,
            nonce=own if setup.nonces == "printed" else "",
            post_id=str(post_id),
            url=f"{home}/{page.slug}".rstrip("/"),
            streams=BOTS[bot].page_streams,
            is_assistant=BOTS[bot].is_assistant,
            image_nonce=make_nonce("wpaicg-img-nonce"),
        )

    minified = page.look == "minified"
    boxes = [
        box_html(box("shortcode", bot), setup.version, minified=minified, closed=page.look != "unclosed")
        for bot in page.bots
    ]
    content = "<p>and some text between,</p>\n".join(boxes) or "<p>Nobody to talk to here.</p>"
    if page.look == "decoy":
        content = _decoys_before(home) + content + _decoys_after()
    widget = ""
    if page.widget is not None:
        widget = widget_html(
            box("widget", page.widget), setup.version, number=100_000 + post_id * 7919, minified=minified
        )
    ajax_url = ELSEWHERE if page.has_foreign_ajax_url else f"{home}/wp-admin/admin-ajax.php"
    params = site_params(setup, ajax_url=ajax_url, nonce=nonce)
    return document(
        home=home,
        path=page.slug,
        title=page.title,
        post_id=post_id,
        content=content,
        head=_head(setup.version, home),
        is_bare=page.look == "unclosed",  # elsewhere the theme's own end tags would close them
        footer=widget
        + params_html(params, page.params, home=home)
        + _scripts(setup.version, home)
        + _late(page),
    )


def missing_page(setup: Setup, *, home: str, path: str, make_nonce: Callable[[str], str]) -> str:
    """The theme's 404 page. Like every page it has the plugin's script in its footer."""
    params = site_params(setup, ajax_url=f"{home}/wp-admin/admin-ajax.php", nonce=make_nonce(NONCE))
    return document(
        home=home,
        path=html.escape(path.strip("/")),
        title="Page not found",
        post_id=None,
        content="<h1>Nothing is here</h1>\n<p>Maybe a search helps.</p>",
        head=_head(setup.version, home),
        footer=params_html(params, "plain", home=home) + _scripts(setup.version, home),
    )


def _head(version: Version, home: str) -> str:
    plugin = f"{home}/wp-content/plugins/gpt3-ai-content-generator/public"
    ver = ".".join(map(str, version))
    return (
        f"<link rel='stylesheet' id='wp-ai-content-generator-css' "
        f"href='{plugin}/css/wp-ai-content-generator-public.css?ver={ver}' media='all' />\n"
        f"<script src='{plugin}/js/wp-ai-content-generator-public.js?ver={ver}' "
        "id='wp-ai-content-generator-js'></script>\n"
    )


def _scripts(version: Version, home: str) -> str:
    names = {"wpaicg-init": "wpaicg-init", "wpaicg-chat": "wpaicg-chat-script"}
    if version >= (1, 8, 95):
        names["marked"] = "wpaicg-markdown-script"
    names["recorder"] = "wpaicg-chat-recorder"
    plugin = f"{home}/wp-content/plugins/gpt3-ai-content-generator/public/js"
    return "".join(
        f"<script src='{plugin}/{file}.js' id='{id_}-js'></script>\n" for file, id_ in names.items()
    )


def _late(page: Page) -> str:
    """The script that gets the nonce, on sites whose nonces come by script."""
    if not page.script_after_ms:
        return ""
    wrong = 'give("0123456789");' if page.has_false_start else ""
    return f"""<script id="demo-late-nonce-js">
(function () {{
	function give(nonce) {{
		wpaicgParams.search_nonce = nonce;
		document.querySelectorAll(".wpaicg-chat-shortcode, .wpaicg-chatbox").forEach(function (box) {{
			box.setAttribute("data-nonce", nonce);
		}});
	}}
	{wrong}
	setTimeout(function () {{
		fetch(wpaicgParams.ajax_url + "?action=demo_late_nonce", {{ cache: "no-store" }})
			.then(function (reply) {{ return reply.json(); }})
			.then(function (reply) {{ give(reply.data.nonce); }});
	}}, {page.script_after_ms});
}})();
</script>
"""


_FAKE = (
    '<div class="wpaicg-chat-shortcode" data-nonce="{0}" data-post-id="99{1}" data-bot-id="9{1}" '
    'data-openai_stream_nav="1" data-type="shortcode"></div>'
)


def _decoys_before(home: str) -> str:
    return (
        '<p><button class="like" data-nonce="aaaaaaaaaa" data-post-id="991">Like</button></p>\n'
        f"<!-- an old box: {_FAKE.format('bbbbbbbbbb', 2)} -->\n"
        f"<textarea readonly>{_FAKE.format('cccccccccc', 3)}</textarea>\n"
        f"<template>{_FAKE.format('dddddddddd', 4)}</template>\n"
        f'<script type="text/template">{_FAKE.format("eeeeeeeeee", 5)}</script>\n'
        f"<noscript>{_FAKE.format('ffffffffff', 6)}</noscript>\n"
        '<div class="wpaicg-chat-shortcode-preview" data-nonce="1111111111" data-post-id="997"></div>\n'
        '<div class="gallery" data-config="{broken"></div>\n'
        '<div class="slider" data-config=\'{"botId":98,"nonce":"2222222222"}\'></div>\n'
        f'<script>var otherParams = {{"ajax_url":"{home}/wp-admin/admin-ajax.php",'
        '"search_nonce":"3333333333"};</script>\n'
    )


def _decoys_after() -> str:
    return (
        '<p><a rel="nofollow" class="comment-reply-link" href="#respond" data-commentid="1" '
        'data-postid="996">Reply</a></p>\n'
        '<p><button class="wishlist" data-post-id="995" data-nonce="4444444444">Remember</button></p>\n'
    )
