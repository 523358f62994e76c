"""The pages of a 2.x site: their bots, and the faults of their configs."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chatgptt.demo.aipkit.boxes import Bot, Version, config, config_attribute, inline_html, popup_html
from chatgptt.demo.wordpress import document

NONCE = "aipkit_frontend_chat_nonce"
"""The one nonce action of all bots and all chat requests."""

ELSEWHERE = "https://collector.example/wp-admin/admin-ajax.php"
"""An address on another host. A config may name one rightfully."""

BOTS: dict[int, Bot] = {
    4: Bot(name="Not streaming", streams=False),
    5: Bot(name="Inline bot"),
    6: Bot(name='Popup "bot" & friends', is_popup=True),
    7: Bot(name="The other inline bot"),
    8: Bot(name="Bot that asks first", needs_consent=True),
    9: Bot(name="Bot with a quota", quota=2),
    10: Bot(name="Draft bot", is_draft=True),
    11: Bot(name="Bot for members", allows_guests=False),
    12: Bot(name="Ada &amp; Zoë&#8217;s “café” 🤖 <i>\"x\"</i> 'y' C:\\ /"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page. The defaults are those of a page with one box and nothing wrong."""

    slug: str
    about: str
    bots: tuple[int, ...] = (5,)
    nonce: Literal["own", "empty"] = "own"
    cache: Literal["no", "soft", "hard"] = "no"
    has_config: bool = True
    has_foreign_ajax_url: bool = False
    has_decoys: bool = False
    is_loaded_by_script: bool = False
    """A script of the page inserts the box. The HTML has none."""
    until: Version = (99,)
    """The first version without it."""

    @property
    def title(self) -> str:
        """The title that people read."""
        return self.slug.replace("-", " ").capitalize() or "Front page"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One installation."""

    prefix: str
    version: Version
    about: str = ""
    pages: tuple[Page, ...]


PAGES = (
    Page(slug="", about="an inline box"),
    Page(slug="json", about="a bot that prefers not to stream", bots=(4,), until=(2, 4, 1)),
    Page(slug="popup", about="a popup", bots=(6,)),
    Page(slug="many", about="two inline boxes, a popup, and one bot twice", bots=(5, 6, 7, 5)),
    Page(slug="decoy", about="a box between things that look like one", has_decoys=True),
    Page(slug="nochat", about="no box at all", bots=()),
    Page(slug="consent", about="a bot that wants the visitor's consent first", bots=(8,)),
    Page(slug="quota", about="two messages for each visitor, then a refusal", bots=(9,)),
    Page(slug="cached", about="a page cache: stale after a day, but it can be bypassed", cache="soft"),
    Page(slug="cached-hard", about="a page cache that nothing bypasses", cache="hard"),
    Page(slug="empty-nonce", about="the config's nonce is empty", nonce="empty"),
    Page(slug="no-config", about="a container without data-config", has_config=False),
    Page(slug="draft", about="a bot that isn't published: it shows, and refuses", bots=(10,)),
    Page(slug="guests-disabled", about="a bot for members only", bots=(11,)),
    Page(slug="elsewhere", about="the config names an ajax URL on another host", has_foreign_ajax_url=True),
    Page(slug="entities", about="a bot whose name needs every kind of escaping", bots=(12,)),
)


def bot_html(setup: Setup, page: Page, bot_id: int, *, home: str, nonce: str, visitor_ip: str) -> str:
    """One box of a page."""
    bot = BOTS[bot_id]
    attribute = config_attribute(
        config(
            bot,
            bot_id,
            version=setup.version,
            ajax_url=ELSEWHERE if page.has_foreign_ajax_url else f"{home}/wp-admin/admin-ajax.php",
            nonce=nonce if page.nonce == "own" else "",
            post_id=post_id_of(setup, page),
            visitor_ip=visitor_ip,
        )
    )
    if bot.is_popup:
        return popup_html(bot, bot_id, attribute)
    return inline_html(bot, bot_id, attribute if page.has_config else None)


def post_id_of(setup: Setup, page: Page) -> int:
    """The id of a page in its site."""
    return 9 + setup.pages.index(page)


def page_html(
    setup: Setup, page: Page, *, home: str, make_nonce: Callable[[str], str], visitor_ip: str
) -> str:
    """The page as its theme and plugins print it."""
    boxes: list[str] = []
    for place, bot_id in enumerate(page.bots):
        # Up to 2.3.23 a bot's second box was left out.
        if setup.version >= (2, 3, 24) or bot_id not in page.bots[:place]:
            boxes.append(
                bot_html(setup, page, bot_id, home=home, nonce=make_nonce(NONCE), visitor_ip=visitor_ip)
            )
    content = "<p>and some text between,</p>\n".join(boxes) or "<p>Nobody to talk to here.</p>"
    if page.is_loaded_by_script:
        content = _LOADED_LATE.replace("AJAX", f"{home}/wp-admin/admin-ajax.php")
    if page.has_decoys:
        content = _BEFORE + content + _AFTER
    return document(
        home=home,
        path=page.slug,
        title=page.title,
        post_id=post_id_of(setup, page),
        content=content,
        head=_head(home),
        footer=_footer(setup.version, home),
    )


def missing_page(setup: Setup, *, home: str, path: str) -> str:
    """The theme's 404 page. In 2.x it holds no nonce."""
    return document(
        home=home,
        path=html.escape(path.strip("/")),
        title="Page not found",
        post_id=None,
        content="<h1>Nothing is here</h1>\n<p>Maybe a search helps.</p>",
        head=_head(home),
        footer=_footer(setup.version, home),
    )


def _head(home: str) -> str:
    plugin = f"{home}/wp-content/plugins/gpt3-ai-content-generator"
    return (
        "<link rel='stylesheet' id='aipkit-public-main-css-css' "
        f"href='{plugin}/dist/css/public-main.bundle.css?ver=1700000000' media='all' />\n"
    )


def _footer(version: Version, home: str) -> str:
    plugin = f"{home}/wp-content/plugins/gpt3-ai-content-generator/dist/js"
    ver = ".".join(map(str, version))
    action = ""
    if version >= (2, 3, 41):
        action = 'window.aipkit_getChatNonceAction = "aipkit_get_frontend_chat_nonce";'
    return (
        "<script id='aipkit-public-main-js-extra'>var aipkit_chat_config_global = {\"text\":{}};</script>\n"
        f"<script id='aipkit-public-main-js-before'>{action}</script>\n"
        f"<script src='{plugin}/public-main.bundle.js?ver={ver}' id='aipkit-public-main-js'></script>\n"
    )


_LOADED_LATE = """<div id="demo-late-box"></div>
<script>
setTimeout(function () {
	fetch("AJAX?action=demo_late_box", { cache: "no-store" })
		.then(function (reply) { return reply.text(); })
		.then(function (box) { document.getElementById("demo-late-box").innerHTML = box; });
}, 300);
</script>
"""

_FAKE = (
    '<div class="aipkit_chat_container" id="aipkit_chat_container_9{1}" data-bot-id="9{1}" '
    "data-config='{{&quot;botId&quot;:9{1},&quot;nonce&quot;:&quot;{0}&quot;}}'></div>"
)
_BEFORE = (
    '<p><button class="like" data-nonce="aaaaaaaaaa" data-post-id="991">Like</button></p>\n'
    '<div class="gallery" data-config="{broken"></div>\n'
    '<div class="aipkit_chat_container" id="aipkit_chat_container_98" data-config="{broken"></div>\n'
    '<div class="slider" data-config=\'{"botId":97,"ajaxUrl":"https://collector.example/","nonce":"1111111111"}\'></div>\n'
    f"<!-- an old box: {_FAKE.format('bbbbbbbbbb', 2)} -->\n"
    f"<textarea readonly>{_FAKE.format('cccccccccc', 3)}</textarea>\n"
    f"<template>{_FAKE.format('dddddddddd', 4)}</template>\n"
    f'<script type="text/template">{_FAKE.format("eeeeeeeeee", 5)}</script>\n'
    f"<noscript>{_FAKE.format('ffffffffff', 6)}</noscript>\n"
    "<p>[wpaicg_chatgpt id=3]</p>\n"
)
_AFTER = (
    '<p><a rel="nofollow" class="comment-reply-link" href="#respond" data-postid="996">Reply</a></p>\n'
    '<div class="aipkit_ai_form" data-config=\'{"formId":1,"nonce":"2222222222"}\'></div>\n'
)
