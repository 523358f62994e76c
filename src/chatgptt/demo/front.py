"""Replies that do not come from the plugin: those of the web server, of PHP, and of a bot protection."""

from __future__ import annotations

from starlette.responses import Response

from chatgptt.demo.model import ParsedMessage
from chatgptt.demo.state import VisitorMemory
from chatgptt.demo.stream import Hangup, Pieces, Stream
from chatgptt.demo.wordpress import HTML, critical_error

PHP_WARNING = (
    "<br />\n<b>Warning</b>:  Undefined variable $demo in "
    "<b>/srv/www/wp-content/plugins/made-up/made-up.php</b> on line <b>12</b><br />\n"
)
"""A warning of another plugin, which PHP prints before the reply where it displays errors."""


def plain_page(status: int, title: str, text: str, *, retry_after: str | None = None) -> Response:
    """A page of the web server itself, with a header Retry-After or without."""
    body = (
        f"<html>\n<head><title>{title}</title></head>\n<body>\n<center><h1>{title}</h1></center>\n"
        f"<p>{text}</p>\n</body>\n</html>\n"
    )
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return Response(body, status, {"content-type": "text/html", **headers})


def challenge(status: int, *, is_marked: bool = True) -> Response:
    """An interstitial of a bot protection. With `is_marked` its headers name it too."""
    body = (
        '<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title>'
        '<meta http-equiv="refresh" content="360"></head><body>'
        '<noscript><div class="h2">Enable JavaScript and cookies to continue</div></noscript>'
        '<script>window._cf_chl_opt={cvId:"3",cType:"managed"};</script>'
        '<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1?ray=demo"></script>'
        "</body></html>"
    )
    headers = {**HTML, "cache-control": "private, max-age=0, no-store"}
    if is_marked:
        headers |= {"server": "cloudflare", "cf-ray": "demo-000", "cf-mitigated": "challenge"}
    return Response(body, status, headers)


def reply_before_plugin(message: ParsedMessage, memory: VisitorMemory) -> Response | None:
    """The reply to a scripted word that does not reach the plugin; None for every other message."""
    match message.word:
        case "BUSY":
            if memory.is_among_first(2, "BUSY", message.text):
                return plain_page(429, "429 Too Many Requests", "Later.", retry_after="1")
        case "BUSYLONG":
            return plain_page(429, "429 Too Many Requests", "Much later.", retry_after="7200")
        case "ERR502ONCE":
            if memory.is_among_first(1, "ERR502ONCE", message.text):
                return plain_page(502, "502 Bad Gateway", "The server behind this one said nothing.")
        case "ERR500":
            return critical_error()
        case "DROPFIRST":
            return Stream(_nothing(), headers={})
        case _:
            pass
    return None


async def _nothing() -> Pieces:
    yield Hangup.CLOSE
