"""The pages of a 1.x site: their boxes, the places of their nonces, and their faults."""

from __future__ import annotations

from starlette.responses import Response

from chatgptt.demo.installation import AJAX, MakeNonce, Page, Plugin, Setup, hidden_decoys
from chatgptt.demo.optimisers import COMBINED, params_html, params_script
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, ajax_json
from chatgptt.demo.wpaicg.boxes import Box, BoxKind, box_html, widget_html
from chatgptt.demo.wpaicg.messages import BOTS, NONCE, answer_message

PAGES = (
    Page("", "one box in the content, which streams"),
    Page("json", "a box whose bot doesn't stream", bots=(4,)),
    Page("custom", "a box with a bot of its own", bots=(5,)),
    Page("widget", "the floating widget and no box in the content", bots=(), widget=0),
    Page("json-and-widget", "a box in the content and the widget", bots=(4,), widget=0),
    Page("many", "three boxes and the widget", bots=(4, 5, 0), widget=0),
    Page("decoy", "a box between things that look like one", bots=(4,), look="decoy"),
    Page("nochat", "no box at all", bots=()),
    Page("unclosed", "boxes inside each other: a </div> is missing", bots=(4, 5), widget=0, look="unclosed"),
    Page("minified", "attributes unquoted and in another order", bots=(5,), widget=0, look="minified"),
    Page("assistant", "an assistant, with threads and named events", bots=(7,), since=(1, 8, 95)),
    Page("assistant-json", "an assistant that doesn't stream", bots=(8,), since=(1, 8, 95)),
    Page("quota", "two messages for each visitor, then a refusal", bots=(9,)),
    Page("google", "the page says stream, the server doesn't", bots=(10,)),
    Page("widget-streams", "the page says no stream, the server streams", bots=(), widget=11),
    Page("cached", "a page cache: stale after a day, but it can be bypassed", cache="soft"),
    Page("cached-hard", "a page cache that nothing bypasses", cache="hard"),
    Page("empty-nonce", "the box's nonce is empty, the script has it", nonce="empty"),
    Page("placeholder", "the box's nonce is zeros, the script has it", nonce="placeholder"),
    Page("wrapped-datauri", "only the script has it, as a data: URI", nonce="absent", params="datauri"),
    Page("wrapped-type", "the same, with a foreign type", nonce="absent", params="type"),
    Page("wrapped-litespeed", "the same, in data-src", nonce="absent", params="litespeed"),
    Page("wrapped-delayed", "the same, percent-encoded in data-pmsrc", nonce="absent", params="delayed"),
    Page("wrapped-minified", "the same, keys unquoted", nonce="absent", params="minified"),
    Page("wrapped-combined", "the same, moved to another file", nonce="absent", params="combined"),
    Page("no-nonce", "no nonce here, but on every other page", nonce="absent", params="none"),
    Page("elsewhere", "the script names an ajax URL on another host", has_foreign_ajax_url=True),
)


def _params(setup: Setup, ajax_url: str, nonce: str) -> dict[str, object]:
    """The content of `wpaicgParams`, on every page of a site, chat or not."""
    return {
        "ajax_url": ajax_url,
        **({"search_nonce": nonce} if setup.nonces == "printed" else {}),
        "logged_in": "0",
        "languages": {"source": "Source", "no_result": "Nothing found"},
        **({"katex_enabled": "0"} if setup.version >= (1, 9, 11) else {}),
    }


def _boxes(setup: Setup, page: Page, home: str, make_nonce: MakeNonce) -> list[str]:
    is_closed = page.look != "unclosed"
    return [
        box_html(
            _box("shortcode", bot, setup, page, home, make_nonce),
            setup.version,
            minified=page.look == "minified",
            closed=is_closed,
        )
        for bot in page.bots
    ]


def _box(kind: BoxKind, bot: int, setup: Setup, page: Page, home: str, make_nonce: MakeNonce) -> Box:
    nonces = {"own": make_nonce(NONCE), "absent": None, "empty": "", "placeholder": "0000000000"}
    return Box(
        kind=kind,
        bot=bot,
        nonce=nonces[page.nonce] if setup.nonces == "printed" else "",
        post_id=str(setup.post_id(page)),
        url=f"{home}/{page.slug}".rstrip("/"),
        streams=BOTS[bot].page_streams,
        is_assistant=BOTS[bot].is_assistant,
        image_nonce=make_nonce("wpaicg-img-nonce"),
    )


def _footer(setup: Setup, page: Page | None, home: str, make_nonce: MakeNonce) -> str:
    ajax_url = f"{home}/{AJAX}" if page is None else page.ajax_url(home)
    params = _params(setup, ajax_url, make_nonce(NONCE))
    if page is None:
        return params_html(params, "plain", home=home) + _scripts(setup, home)
    widget = ""
    if page.widget is not None:
        widget = widget_html(
            _box("widget", page.widget, setup, page, home, make_nonce),
            setup.version,
            number=100_000 + setup.post_id(page) * 7919,
            minified=page.look == "minified",
        )
    return widget + params_html(params, page.params, home=home) + _scripts(setup, home) + _late(page)


async def _answer(call: Call, setup: Setup, state: DemoState, user: str) -> Response | None:
    """The reply of admin-ajax.php, which also gives late nonces, and the file of an optimiser."""
    nonce = state.nonces(setup.prefix).make(NONCE, at=call.logged.at, user=user)
    if call.path == COMBINED:
        script = params_script(_params(setup, f"{call.home}/{AJAX}", nonce))
        text = f"/* combined */\n(function(){{window.demoTheme={{}}}})();\n{script}\n"
        return Response(text, 200, {"content-type": "text/javascript; charset=UTF-8"})
    if call.path != AJAX:
        return None
    if setup.nonces == "scripted" and call.request.get("action") == "demo_late_nonce":
        return ajax_json({"success": True, "data": {"nonce": nonce}})
    return await answer_message(call, setup, state, user=user)


_HEAD = (
    "<link rel='stylesheet' id='wp-ai-content-generator-css' "
    "href='{home}/wp-content/plugins/gpt3-ai-content-generator/public"
    "/css/wp-ai-content-generator-public.css?ver={version}' media='all' />\n"
    "<script src='{home}/wp-content/plugins/gpt3-ai-content-generator/public"
    "/js/wp-ai-content-generator-public.js?ver={version}' id='wp-ai-content-generator-js'></script>\n"
)


def _scripts(setup: Setup, home: str) -> str:
    names = {"wpaicg-init": "wpaicg-init", "wpaicg-chat": "wpaicg-chat-script"}
    if setup.version >= (1, 8, 95):
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
_DECOYS = (
    hidden_decoys(_FAKE)
    + '<div class="wpaicg-chat-shortcode-preview" data-nonce="1111111111" data-post-id="997"></div>\n'
    '<div class="slider" data-config=\'{"botId":98,"nonce":"2222222222"}\'></div>\n'
    f'<script>var otherParams = {{"ajax_url":"HOME/{AJAX}","search_nonce":"3333333333"}};</script>\n',
    '<p><a rel="nofollow" class="comment-reply-link" href="#respond" data-commentid="1" '
    'data-postid="996">Reply</a></p>\n'
    '<p><button class="wishlist" data-post-id="995" data-nonce="4444444444">Remember</button></p>\n',
)

WPAICG = Plugin(generation="1.x", head=_HEAD, decoys=_DECOYS, boxes=_boxes, footer=_footer, answer=_answer)
