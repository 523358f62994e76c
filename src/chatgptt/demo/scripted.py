"""Pages whose scripts make the tokens: one page for each way in which real sites do it.

All pages but one belong to a 1.x installation whose HTML never holds a usable nonce: only a browser gets
tokens there. The page with a bot of another site belongs to a 2.x installation.
"""

from __future__ import annotations

import asyncio
import base64
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response

from chatgptt.demo.aipkit.boxes import Bot, config, inline_html
from chatgptt.demo.aipkit.pages import BOTS
from chatgptt.demo.aipkit.pages import NONCE as AIPKIT_NONCE
from chatgptt.demo.aipkit.pages import Setup as AipkitSetup
from chatgptt.demo.aipkit.site import AipkitSite
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, IndexLine, PrefixSite, ajax_json, document
from chatgptt.demo.wpaicg.boxes import Box, box_html
from chatgptt.demo.wpaicg.pages import Page, Setup
from chatgptt.demo.wpaicg.site import WpaicgSite

PLACEHOLDER = "5ca1ab1e00"
"""The first nonce of the placeholder page. It is wrong, and nothing shows that."""

HTML = {"content-type": "text/html; charset=UTF-8"}

_TOOLS = """
function give(nonce) {
	document.querySelectorAll(".wpaicg-chat-shortcode").forEach(function (box) {
		box.setAttribute("data-nonce", nonce);
	});
}
function put(nonce, root) {
	(root || document.getElementById("host")).innerHTML = atob("BOX").replace("NONCE", nonce);
}
function late() {
	return fetch("AJAX?action=demo_late_nonce", { cache: "no-store" })
		.then(function (reply) { return reply.json(); }).then(function (reply) { return reply.data.nonce; });
}
"""
_HANDS = '["mousemove", "touchstart", "wheel", "keydown"]'


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One page: its content, and the script behind it."""

    about: str
    script: str
    has_box: bool = True
    nonce: str = ""
    extra: str = ""


PATTERNS: dict[str, _Pattern] = {
    "nochat": _Pattern("no box, whatever runs", "", has_box=False),
    "fetched": _Pattern("the nonce is fetched", "late().then(give);"),
    "late": _Pattern("the same, after 2 s", "setTimeout(function () { late().then(give); }, 2000);"),
    "delayed": _Pattern(
        "nothing happens until the visitor moves",
        "var done = false; function go() { if (!done) { done = true; late().then(give); } }\n"
        f"{_HANDS}.forEach(function (name) {{ addEventListener(name, go, {{ passive: true }}); }});",
    ),
    "placeholder": _Pattern(
        "a nonce that looks real, replaced by the real one",
        "setTimeout(function () { late().then(give); }, 500);",
        nonce=PLACEHOLDER,
    ),
    "frame": _Pattern(
        "the chat is in a frame",
        "",
        has_box=False,
        extra='<iframe src="HOME/fetched/" title="Chat"></iframe>',
    ),
    "frame-elsewhere": _Pattern(
        "the chat is in a frame from another host",
        "",
        has_box=False,
        extra='<iframe src="ELSEWHERE/fetched/" title="Chat"></iframe>',
    ),
    "shadow-open": _Pattern(
        "the box is in an open shadow root",
        'var root = document.getElementById("host").attachShadow({ mode: "open" });\n'
        "late().then(function (nonce) { put(nonce, root); });",
        has_box=False,
        extra='<div id="host"></div>',
    ),
    "shadow-closed": _Pattern(
        "the box is in a closed shadow root",
        'var root = document.getElementById("host").attachShadow({ mode: "closed" });\n'
        "late().then(function (nonce) { put(nonce, root); });",
        has_box=False,
        extra='<div id="host"></div>',
    ),
    "injected": _Pattern(
        "a script makes box and config",
        "late().then(put);",
        has_box=False,
        extra='<div id="host"></div>',
    ),
    "global": _Pattern(
        "the nonce is in a script's global only",
        "late().then(function (nonce) { window.wpaicgParams = { ajax_url: 'AJAX', search_nonce: nonce }; });",
    ),
    "reply": _Pattern(
        "the nonce is in a reply that a script keeps to itself",
        "late().then(function (nonce) { var kept = nonce; });",
    ),
    "request": _Pattern(
        "the nonce is in a request that the page sends",
        'fetch("HOME/plain/", { cache: "no-store" }).then(function (reply) { return reply.text(); })'
        ".then(function (nonce) { return fetch('AJAX', { method: 'POST', body: new URLSearchParams({"
        " action: 'wpaicg_chatbox_history', _wpnonce: nonce }) }); });",
    ),
    "popup": _Pattern(
        "the box is made when its button is pressed, over which a question lies",
        'var toggle = document.querySelector(".wpaicg_toggle");\n'
        'toggle.addEventListener("click", function () { late().then(put); });',
        has_box=False,
        extra='<div id="host"></div><div class="wpaicg_toggle" style="position:fixed;bottom:9px">Chat</div>'
        '<div style="position:fixed;inset:0" onclick="fetch(\'HOME/agreed/\')">May we?</div>',
    ),
    "busy": _Pattern(
        "the network is never idle, and the page never loaded",
        'setInterval(function () { fetch("HOME/plain/"); }, 50);\n'
        "setTimeout(function () { late().then(give); }, 300);",
        extra='<script async src="HOME/wp-content/plugins/demo/hangs.js"></script>',
    ),
    "error": _Pattern(
        "a script fails before the nonce comes",
        "setTimeout(function () { late().then(give); }, 100); nothing.there();",
    ),
    "never": _Pattern("a box that never gets its nonce", ""),
    "heavy": _Pattern(
        "pictures, fonts and measuring around the nonce",
        'late().then(give); navigator.sendBeacon("HOME/beacon/", "x"); new Image().src = "HOME/pixel.gif";',
        extra='<link rel="stylesheet" href="HOME/heavy.css"><img src="HOME/heavy.png" alt="">'
        '<video src="HOME/heavy.mp4"></video><p style="font-family: heavy">text</p>'
        '<script src="ELSEWHERE/wp-content/elsewhere.js"></script>',
    ),
    "consent": _Pattern(
        "the chat's script waits for the visitor's consent",
        "",
        extra='<script type="text/plain" data-category="functional">wpaicg_start();</script>'
        '<div id="cookie-banner"><button onclick="fetch(\'HOME/agreed/\')">Accept all</button></div>',
    ),
    "challenged": _Pattern(
        "a script goes on to a challenge", 'location.href = "BASE/challenge/body/";', has_box=False
    ),
    "pushy": _Pattern(
        "dialogs, windows, downloads and foreign schemes first",
        'window.open("HOME/fetched/"); location.href = "file:///etc/passwd";\n'
        'location.href = "mailto:a@b.example";\n'
        "setTimeout(function () { alert(1); confirm(2); late().then(give); }, 100);",
    ),
}


def scripted_sites(state: DemoState) -> list[PrefixSite]:
    """Both installations."""
    return [_Scripted(state), _Embedding(state)]


class _Scripted:
    """The 1.x installation."""

    prefix = "browser"

    def __init__(self, state: DemoState) -> None:
        self._inner = WpaicgSite(
            Setup(
                prefix=self.prefix,
                version=(1, 9, 18),
                pages=(Page(slug="", about="the box of the front page has no nonce"),),
                nonces="scripted",
            ),
            state,
        )
        self._nonces = state.nonces(self.prefix)

    @property
    def index_lines(self) -> list[IndexLine]:
        """Its pages."""
        return [IndexLine(f"{self.prefix}/{slug}/", pattern.about) for slug, pattern in PATTERNS.items()]

    async def answer(self, call: Call) -> Response:
        """The reply to a request below the prefix."""
        pattern = PATTERNS.get(call.path.strip("/"))
        if pattern is not None:
            return Response(_page(call, self.prefix, pattern), 200, HTML)
        match call.path:
            case "plain/":
                return Response(
                    self._nonces.make("wpaicg-chatbox", at=call.now), 200, {"content-type": "text/plain"}
                )
            case "wp-content/plugins/demo/hangs.js":
                await asyncio.sleep(3600.0)
            case _:
                pass
        return await self._inner.answer(call)


class _Embedding:
    """A page with a 2.x bot whose config and markup a script fetches, and the bot's own site."""

    prefix = "browser-2x"

    def __init__(self, state: DemoState) -> None:
        self._setup = AipkitSetup(prefix=self.prefix, version=(2, 4, 71), pages=())
        self._inner = AipkitSite(self._setup, state)
        self._nonces = state.nonces(self.prefix)

    @property
    def index_lines(self) -> list[IndexLine]:
        """Its pages."""
        return [IndexLine(f"{self.prefix}/embed/", "2.x: a bot that a script fetches")]

    async def answer(self, call: Call) -> Response:
        """The reply to a request below the prefix."""
        home = f"{call.base}/{self.prefix}"
        match call.path:
            case "embed/":
                pattern = _Pattern("", _EMBED, has_box=False, extra='<div id="host" data-bot-id="5"></div>')
                return Response(_page(call, self.prefix, pattern), 200, HTML)
            case "wp-json/aipkit/v1/chatbots/5/embed-config":
                bot: Bot = BOTS[5]
                found = config(
                    bot,
                    5,
                    version=self._setup.version,
                    ajax_url=f"{home}/wp-admin/admin-ajax.php",
                    nonce=self._nonces.make(AIPKIT_NONCE, at=call.now),
                    post_id=0,
                    visitor_ip="127.0.0.1",
                )
                return ajax_json({"config": found, "html": inline_html(bot, 5, None)})
            case _:
                return await self._inner.answer(call)


_EMBED = """
fetch("HOME/wp-json/aipkit/v1/chatbots/5/embed-config").then(function (reply) { return reply.json(); })
	.then(function (bot) {
		document.getElementById("host").innerHTML = bot.html;
		var box = document.querySelector(".aipkit_chat_container");
		box.setAttribute("data-config", JSON.stringify(bot.config));
	});
"""


def _page(call: Call, prefix: str, pattern: _Pattern) -> str:
    home = f"{call.base}/{prefix}"
    box = _box(home, pattern.nonce)
    script = f"<script>{_TOOLS}</script>\n<script>{pattern.script}</script>\n"
    text = document(
        home=home,
        path=call.path.strip("/"),
        title="Scripted",
        post_id=77,
        content=(box if pattern.has_box else "") + pattern.extra,
        head="",
        footer=script if pattern.script else "",
    )
    parts = urlsplit(call.base)
    host = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    names = {
        "AJAX": f"{home}/wp-admin/admin-ajax.php",
        "ELSEWHERE": f"{parts.scheme}://{host}:{parts.port}/{prefix}",
        "HOME": home,
        "BASE": call.base,
        "BOX": base64.b64encode(_box(home, "NONCE").encode()).decode(),
    }
    for name, value in names.items():
        text = text.replace(name, value)
    return text


def _box(home: str, nonce: str) -> str:
    box = Box(
        kind="shortcode",
        bot=0,
        nonce=nonce,
        post_id="77",
        url=f"{home}/scripted",
        streams=True,
        is_assistant=False,
        image_nonce="0000000000",
    )
    return box_html(box, (1, 9, 18))
