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

from chatgptt.demo.aipkit.boxes import config, inline_html
from chatgptt.demo.aipkit.messages import NONCE as AIPKIT_NONCE
from chatgptt.demo.aipkit.pages import AIPKIT
from chatgptt.demo.installation import AJAX, Page, Setup, build_installation
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import HTML, Call, Site, ajax_json, document
from chatgptt.demo.wpaicg.boxes import Box, box_html
from chatgptt.demo.wpaicg.messages import NONCE
from chatgptt.demo.wpaicg.pages import WPAICG

PLACEHOLDER = "5ca1ab1e00"
"""The first nonce of the placeholder page. It is wrong, and nothing shows that."""


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


_HOST = '<div id="host"></div>'


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One page: its content, in which MARKUP is a box with that nonce, and the script behind it."""

    about: str
    script: str
    content: str = "MARKUP"
    nonce: str = ""


_PATTERNS: dict[str, _Pattern] = {
    "nochat": _Pattern("no box, whatever runs", "", content=""),
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
        "the chat is in a frame", "", content='<iframe src="HOME/fetched/" title="Chat"></iframe>'
    ),
    "frame-elsewhere": _Pattern(
        "the chat is in a frame from another host",
        "",
        content='<iframe src="ELSEWHERE/fetched/" title="Chat"></iframe>',
    ),
    "shadow-open": _Pattern(
        "the box is in an open shadow root",
        'var root = document.getElementById("host").attachShadow({ mode: "open" });\n'
        "late().then(function (nonce) { put(nonce, root); });",
        content=_HOST,
    ),
    "shadow-closed": _Pattern(
        "the box is in a closed shadow root",
        'var root = document.getElementById("host").attachShadow({ mode: "closed" });\n'
        "late().then(function (nonce) { put(nonce, root); });",
        content=_HOST,
    ),
    "injected": _Pattern("a script makes box and config", "late().then(put);", content=_HOST),
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
        content=f'{_HOST}<div class="wpaicg_toggle" style="position:fixed;bottom:9px">Chat</div>'
        '<div style="position:fixed;inset:0" onclick="fetch(\'HOME/agreed/\')">May we?</div>',
    ),
    "busy": _Pattern(
        "the network is never idle, and the page never loaded",
        'setInterval(function () { fetch("HOME/plain/"); }, 50);\n'
        "setTimeout(function () { late().then(give); }, 300);",
        content='MARKUP<script async src="HOME/wp-content/plugins/demo/hangs.js"></script>',
    ),
    "error": _Pattern(
        "a script fails before the nonce comes",
        "setTimeout(function () { late().then(give); }, 100); nothing.there();",
    ),
    "never": _Pattern("a box that never gets its nonce", ""),
    "heavy": _Pattern(
        "pictures, fonts and measuring around the nonce",
        'late().then(give); navigator.sendBeacon("HOME/beacon/", "x"); new Image().src = "HOME/pixel.gif";',
        content='MARKUP<link rel="stylesheet" href="HOME/heavy.css"><img src="HOME/heavy.png" alt="">'
        '<video src="HOME/heavy.mp4"></video><p style="font-family: heavy">text</p>'
        '<script src="ELSEWHERE/wp-content/elsewhere.js"></script>',
    ),
    "consent": _Pattern(
        "the chat's script waits for the visitor's consent",
        "",
        content='MARKUP<script type="text/plain" data-category="functional">wpaicg_start();</script>'
        '<div id="cookie-banner"><button onclick="fetch(\'HOME/agreed/\')">Accept all</button></div>',
    ),
    "challenged": _Pattern(
        "a script goes on to a challenge", 'location.href = "BASE/challenge/body/";', content=""
    ),
    "pushy": _Pattern(
        "dialogs, windows, downloads and foreign schemes first",
        'window.open("HOME/fetched/"); location.href = "file:///etc/passwd";\n'
        'location.href = "mailto:a@b.example";\n'
        "setTimeout(function () { alert(1); confirm(2); late().then(give); }, 100);",
    ),
}


def scripted_sites(state: DemoState) -> list[Site]:
    """Both installations."""
    return [_scripted(state), _embedding(state)]


def _scripted(state: DemoState) -> Site:
    """The 1.x installation."""
    front = Page("", "the box of the front page has no nonce")
    inner = build_installation(Setup("browser", (1, 9, 18), (front,), nonces="scripted"), WPAICG, state)
    nonces = state.nonces(inner.prefix)

    async def answer(call: Call) -> Response:
        pattern = _PATTERNS.get(call.path.strip("/"))
        if pattern is not None:
            return Response(_page(call, pattern), 200, HTML)
        if call.path == "plain/":
            return Response(nonces.make(NONCE, at=call.logged.at), 200, {"content-type": "text/plain"})
        if call.path == "wp-content/plugins/demo/hangs.js":
            await asyncio.sleep(3600.0)
        return await inner.answer(call)

    pages = {f"{inner.prefix}/{slug}/": pattern.about for slug, pattern in _PATTERNS.items()}
    return Site(inner.prefix, pages, answer, "1.x, what only a browser finds")


def _embedding(state: DemoState) -> Site:
    """A page with a 2.x bot whose config and markup a script fetches, and the bot's own site."""
    setup = Setup("browser-2x", (2, 4, 71), ())
    inner = build_installation(setup, AIPKIT, state)
    nonces = state.nonces(inner.prefix)
    page = _Pattern("", _EMBED, content='<div id="host" data-bot-id="5"></div>')

    async def answer(call: Call) -> Response:
        if call.path == "embed/":
            return Response(_page(call, page), 200, HTML)
        if call.path != "wp-json/aipkit/v1/chatbots/5/embed-config":
            return await inner.answer(call)
        nonce, ajax_url = nonces.make(AIPKIT_NONCE, at=call.logged.at), f"{call.home}/{AJAX}"
        found = config(5, version=setup.version, ajax_url=ajax_url, nonce=nonce, post_id=0)
        return ajax_json({"config": found, "html": inline_html(5, None)})

    return Site(inner.prefix, {"browser-2x/embed/": "2.x: a bot that a script fetches"}, answer)


_EMBED = """
fetch("HOME/wp-json/aipkit/v1/chatbots/5/embed-config").then(function (reply) { return reply.json(); })
	.then(function (bot) {
		document.getElementById("host").innerHTML = bot.html;
		var box = document.querySelector(".aipkit_chat_container");
		box.setAttribute("data-config", JSON.stringify(bot.config));
	});
"""


def _page(call: Call, pattern: _Pattern) -> str:
    script = f"<script>{_TOOLS}</script>\n<script>{pattern.script}</script>\n"
    text = document(
        home=call.home,
        path=call.path.strip("/"),
        title="Scripted",
        post_id=77,
        content=pattern.content,
        footer=script if pattern.script else "",
    )
    parts = urlsplit(call.base)
    host = "127.0.0.1" if parts.hostname == "localhost" else "localhost"
    names = {
        "MARKUP": _box(call.home, pattern.nonce),
        "AJAX": f"{call.home}/{AJAX}",
        "ELSEWHERE": call.home.replace(parts.hostname or "", host),
        "HOME": call.home,
        "BASE": call.base,
        "BOX": base64.b64encode(_box(call.home, "NONCE").encode()).decode(),
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
