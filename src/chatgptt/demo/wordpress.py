"""The parts of a reply that come from WordPress: the frame of a page, headers, PHP's JSON.

The markup is the demo's own, in the order and with the attributes that sites have.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from starlette.responses import Response

from chatgptt.demo.state import LoggedRequest

HTML = {"content-type": "text/html; charset=UTF-8"}
AJAX_HEADERS = {
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
    "expires": "Wed, 11 Jan 1984 05:00:00 GMT",
    "cache-control": "no-cache, must-revalidate, max-age=0",
    "referrer-policy": "strict-origin-when-cross-origin",
    "x-frame-options": "SAMEORIGIN",
}
JSON_HEADERS = {**AJAX_HEADERS, "content-type": "application/json; charset=UTF-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as a site gets it.

    Attributes:
        logged: the request, in the log. The site notes in it which message the AI gets.
        base: scheme and host of the request.
        home: the address of the site, without a slash at the end.
        path: below `home`, without a slash in front.
    """

    logged: LoggedRequest
    base: str
    home: str
    path: str
    cookies: Mapping[str, str]

    @property
    def request(self) -> dict[str, str]:
        """PHP's $_REQUEST: the query, overridden by the body."""
        return {**self.logged.params, **self.logged.fields}


@dataclass(frozen=True, slots=True)
class Site:
    """A site of the demo, whose paths begin with a prefix.

    For the index, `pages` says by their paths what they show, and `about` what they have in common.
    """

    prefix: str
    pages: Mapping[str, str]
    answer: Callable[[Call], Awaitable[Response]]
    about: str = ""


def php_json(value: object, *, unescaped_unicode: bool = False) -> str:
    r"""`value` as PHP's json_encode writes it: no spaces, `\/`, and `\uXXXX` unless told otherwise."""
    text = json.dumps(value, ensure_ascii=not unescaped_unicode, separators=(",", ":"))
    # Half an emoji has no UTF-8; as an escape it can travel.
    text = re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)
    return text.replace("/", "\\/")


def slashed(text: str) -> str:
    """PHP's addslashes, which WordPress applies to every field before a plugin reads it."""
    return re.sub(r"""(['"\\])""", r"\\\1", text)


def ajax_json(value: object, status: int = 200, *, before: str = "") -> Response:
    """A reply of admin-ajax.php in JSON, behind the text `before`."""
    return Response(before + php_json(value), status, JSON_HEADERS)


def ajax_text(body: str, status: int) -> Response:
    """A reply of admin-ajax.php in text or HTML."""
    return Response(body, status, {**AJAX_HEADERS, **HTML})


def not_an_action() -> Response:
    """The reply of admin-ajax.php to an action that no plugin has registered."""
    return ajax_text("0", 400)


def critical_error() -> Response:
    """The page of WordPress after a fatal error of PHP."""
    body = (
        '<!DOCTYPE html>\n<html lang="en-US">\n<head>\n<meta charset="utf-8">\n'
        "<title>WordPress &rsaquo; Error</title>\n</head>\n"
        '<body id="error-page">\n<div class="wp-die-message">'
        "<p>There has been a critical error on this website.</p></div>\n</body>\n</html>\n"
    )
    return ajax_text(body, 500)


def is_cached(cache: Literal["no", "soft", "hard"], call: Call) -> bool:
    """Whether a page cache answers. A soft one passes queries and `Cache-Control: no-cache` on."""
    if cache == "soft":
        return not call.logged.params and "no-cache" not in call.logged.headers.get("cache-control", "")
    return cache == "hard"


def rest(call: Call, namespaces: tuple[str, ...]) -> Response:
    """The REST API: its list of namespaces, and an error for every other route."""
    kind = {"content-type": "application/json; charset=UTF-8"}
    if call.path.strip("/") == "wp-json":
        listed = ["oembed/1.0", "wp/v2", *namespaces]
        found = {"name": "Demo", "url": call.base, "namespaces": listed, "routes": {}}
        return Response(php_json(found), 200, kind)
    message = "No route was found matching the URL and request method."
    missing = {"code": "rest_no_route", "message": message, "data": {"status": 404}}
    return Response(php_json(missing), 404, kind)


def asset(path: str) -> Response:
    """A script or style of a theme or plugin. It is empty: the demo's pages need none."""
    kind = "text/css" if path.endswith(".css") else "text/javascript"
    return Response("/* nothing here */\n", 200, {"content-type": f"{kind}; charset=UTF-8"})


def document(
    *,
    home: str,
    path: str,
    title: str,
    post_id: int | None,
    content: str,
    head: str = "",
    footer: str,
    is_bare: bool = False,
    is_member: bool = False,
) -> str:
    """A page of a site: `content` in the article, `head` and `footer` as plugins print them there.

    `post_id` None stands for the theme's 404 page. A bare page is a template for landing pages: nothing
    stands around its content. A member's page says so in its body's classes.
    """
    title = html.escape(title)
    body_class, article = "error404 wp-embed-responsive no-js", content
    if post_id is not None:
        body_class = f"{'' if path else 'home '}page-template-default page page-id-{post_id} singular no-js"
        article = _ARTICLE.format(post_id=post_id, title=title, content=content)
    bare = f'<div class="entry-content">\n{content}\n</div>\n'
    if is_member:
        body_class = f"logged-in {body_class}"
    return _DOCUMENT.format(
        home=home,
        url=f"{home}/{path}/" if path else f"{home}/",
        title=title,
        head=head,
        body_class=body_class,
        body=bare if is_bare else _THEME.format(home=home, article=article),
        footer=footer,
    )


_DOCUMENT = """<!doctype html>
<html lang="en-US">
<head>
	<meta charset="UTF-8" />
	<meta name="viewport" content="width=device-width, initial-scale=1" />
	<title>{title} &#8211; Demo</title>
<link rel="alternate" type="application/rss+xml" title="Demo &raquo; Feed" href="{home}/feed/" />
<link rel='stylesheet' id='demo-style-css' href='{home}/wp-content/themes/demo/style.css' media='all' />
{head}<script src='{home}/wp-includes/js/jquery/jquery.min.js?ver=3.6.1' id='jquery-core-js'></script>
<link rel="https://api.w.org/" href="{home}/wp-json/" />
<meta name="generator" content="WordPress 6.1.9" />
<link rel="canonical" href="{url}" />
</head>
<body class="{body_class}">
{body}{footer}<script id='demo-theme-js-after'>document.body.classList.remove("no-js");</script>
</body>
</html>
"""
_THEME = """<div id="page" class="site">
	<a class="skip-link screen-reader-text" href="#content">To the content</a>
	<header id="masthead" class="site-header"><p class="site-title"><a href="{home}/">Demo</a></p></header>
	<div id="content" class="site-content">
		<main id="main" class="site-main">
{article}
		</main>
	</div>
	<aside class="widget-area">
		<form role="search" method="get" action="{home}/"><input type="search" name="s" value="" /></form>
	</aside>
	<footer id="colophon" class="site-footer"><p>Everything here is made up.</p></footer>
</div>
"""
_ARTICLE = """<article id="post-{post_id}" class="post-{post_id} page type-page status-publish hentry">
<header class="entry-header"><h1 class="entry-title">{title}</h1></header>
<div class="entry-content">
{content}
</div>
</article>"""
