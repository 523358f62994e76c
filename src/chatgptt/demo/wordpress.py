"""The parts of a reply that come from WordPress: the frame of a page, headers, PHP's JSON.

The markup is the demo's own, in the order and with the attributes that sites have.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from starlette.responses import Response

from chatgptt.demo.request_log import LogEntry

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
    """A request as a site gets it."""

    method: str
    base: str
    """Scheme and host of the request."""
    path: str
    """Below the site's prefix, without a slash in front."""
    params: Mapping[str, str]
    fields: Mapping[str, str]
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    now: float
    entry: LogEntry
    """Its log entry, which notes the message that the AI gets."""

    @property
    def request(self) -> dict[str, str]:
        """PHP's $_REQUEST: the query, overridden by the body."""
        return {**self.params, **self.fields}


@dataclass(frozen=True, slots=True)
class IndexLine:
    """One line of the index page."""

    path: str
    about: str


class PrefixSite(Protocol):
    """A site of the demo: it answers all requests below its prefix."""

    @property
    def prefix(self) -> str:
        """Without a slash at either end."""
        ...

    @property
    def index_lines(self) -> list[IndexLine]:
        """Its pages."""
        ...

    def answer(self, call: Call, /) -> Awaitable[Response]:
        """The reply to a request below the prefix."""
        ...


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
    body = before + php_json(value)
    return Response(body, status, JSON_HEADERS)


def ajax_text(body: str, status: int) -> Response:
    """A reply of admin-ajax.php in text or HTML."""
    return Response(body, status, {**AJAX_HEADERS, "content-type": "text/html; charset=UTF-8"})


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
        return not call.params and "no-cache" not in call.headers.get("cache-control", "")
    return cache == "hard"


def rest(call: Call, namespaces: list[str]) -> Response:
    """The REST API: its list of namespaces, and an error for every other route."""
    if call.path.strip("/") == "wp-json":
        found: object = {
            "name": "Demo",
            "url": call.base,
            "namespaces": ["oembed/1.0", "wp/v2", *namespaces],
            "routes": {},
        }
        return Response(php_json(found), 200, {"content-type": "application/json; charset=UTF-8"})
    missing = {
        "code": "rest_no_route",
        "message": "No route was found matching the URL and request method.",
        "data": {"status": 404},
    }
    return Response(php_json(missing), 404, {"content-type": "application/json; charset=UTF-8"})


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
    head: str,
    footer: str,
    is_bare: bool = False,
) -> str:
    """A page of a site: `content` in the article, `head` and `footer` as plugins print them there.

    `post_id` None stands for the theme's 404 page. A bare page is a template for landing pages: nothing
    stands around its content.
    """
    url = f"{home}/{path}/" if path else f"{home}/"
    if post_id is None:
        body_class, article = "error404 wp-embed-responsive no-js", content
    else:
        body_class = f"{'' if path else 'home '}page-template-default page page-id-{post_id} singular no-js"
        article = (
            f'<article id="post-{post_id}" class="post-{post_id} page type-page status-publish hentry">\n'
            f'<header class="entry-header"><h1 class="entry-title">{html.escape(title)}</h1></header>\n'
            f'<div class="entry-content">\n{content}\n</div>\n</article>'
        )
    body = f'<div class="entry-content">\n{content}\n</div>\n' if is_bare else _framed(home, article)
    return f"""<!doctype html>
<html lang="en-US">
<head>
	<meta charset="UTF-8" />
	<meta name="viewport" content="width=device-width, initial-scale=1" />
	<title>{html.escape(title)} &#8211; Demo</title>
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


def _framed(home: str, article: str) -> str:
    return f"""<div id="page" class="site">
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
