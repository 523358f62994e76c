"""The pages of a 2.x site: their bots, and the faults of their configs."""

from __future__ import annotations

from starlette.responses import Response

from chatgptt.demo.aipkit.boxes import BOTS, config, config_attribute, inline_html, popup_html
from chatgptt.demo.aipkit.messages import NONCE, answer_action
from chatgptt.demo.installation import AJAX, MakeNonce, Page, Plugin, Setup, hidden_decoys
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Call, ajax_text

PAGES = (
    Page("", "an inline box", bots=(5,)),
    Page("json", "a bot that prefers not to stream", bots=(4,), until=(2, 4, 1)),
    Page("popup", "a popup", bots=(6,)),
    Page("many", "two inline boxes, a popup, and one bot twice", bots=(5, 6, 7, 5)),
    Page("decoy", "a box between things that look like one", bots=(5,), look="decoy"),
    Page("nochat", "no box at all", bots=()),
    Page("consent", "a bot that wants the visitor's consent first", bots=(8,)),
    Page("quota", "two messages for each visitor, then a refusal", bots=(9,)),
    Page("cached", "a page cache: stale after a day, but it can be bypassed", bots=(5,), cache="soft"),
    Page("cached-hard", "a page cache that nothing bypasses", bots=(5,), cache="hard"),
    Page("empty-nonce", "the config's nonce is empty", bots=(5,), nonce="empty"),
    Page("no-config", "a container without data-config", bots=(5,), has_config=False),
    Page("draft", "a bot that isn't published: it shows, and refuses", bots=(10,)),
    Page("guests-disabled", "a bot for members only", bots=(11,)),
    Page("elsewhere", "the config names an ajax URL on another host", bots=(5,), has_foreign_ajax_url=True),
    Page("entities", "a bot whose name needs every kind of escaping", bots=(12,)),
)


def _boxes(setup: Setup, page: Page, home: str, make_nonce: MakeNonce) -> list[str]:
    if page.is_loaded_by_script:
        return [_LOADED_LATE.replace("AJAX", f"{home}/{AJAX}")]
    # Up to 2.3.23 a bot's second box was left out.
    bots = page.bots if setup.version >= (2, 3, 24) else tuple(dict.fromkeys(page.bots))
    return [_box(setup, page, bot_id, home, make_nonce(NONCE)) for bot_id in bots]


def _box(setup: Setup, page: Page, bot_id: int, home: str, nonce: str) -> str:
    attribute = config_attribute(
        config(
            bot_id,
            version=setup.version,
            ajax_url=page.ajax_url(home),
            nonce=nonce if page.nonce == "own" else "",
            post_id=setup.post_id(page),
        )
    )
    if BOTS[bot_id].is_popup:
        return popup_html(bot_id, attribute)
    return inline_html(bot_id, attribute if page.has_config else None)


async def _answer(call: Call, setup: Setup, state: DemoState, user: str) -> Response | None:
    """The reply of admin-ajax.php, which also gives the box of a page that loads it by script."""
    if call.path != AJAX:
        return None
    if call.request.get("action") == "demo_late_box":
        for page in setup.pages:
            if page.is_loaded_by_script:
                nonce = state.nonces(setup.prefix).make(NONCE, at=call.logged.at)
                return ajax_text(_box(setup, page, page.bots[0], call.home, nonce), 200)
    return await answer_action(call, setup, state)


_HEAD = (
    "<link rel='stylesheet' id='aipkit-public-main-css-css' href='{home}/wp-content/plugins/"
    "gpt3-ai-content-generator/dist/css/public-main.bundle.css?ver=1700000000' media='all' />\n"
)


def _footer(setup: Setup, page: Page | None, home: str, make_nonce: MakeNonce) -> str:
    plugin = f"{home}/wp-content/plugins/gpt3-ai-content-generator/dist/js"
    version = ".".join(map(str, setup.version))
    action = ""
    if setup.version >= (2, 3, 41):
        action = 'window.aipkit_getChatNonceAction = "aipkit_get_frontend_chat_nonce";'
    return (
        "<script id='aipkit-public-main-js-extra'>var aipkit_chat_config_global = {\"text\":{}};</script>\n"
        f"<script id='aipkit-public-main-js-before'>{action}</script>\n"
        f"<script src='{plugin}/public-main.bundle.js?ver={version}' id='aipkit-public-main-js'></script>\n"
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
_DECOYS = (
    hidden_decoys(_FAKE)
    + '<div class="aipkit_chat_container" id="aipkit_chat_container_98" data-config="{broken"></div>\n'
    '<div class="slider" data-config=\'{"botId":97,"ajaxUrl":"https://collector.example/","nonce":"1111111111"}\'></div>\n'
    "<p>[wpaicg_chatgpt id=3]</p>\n",
    '<p><a rel="nofollow" class="comment-reply-link" href="#respond" data-postid="996">Reply</a></p>\n'
    '<div class="aipkit_ai_form" data-config=\'{"formId":1,"nonce":"2222222222"}\'></div>\n',
)

AIPKIT = Plugin(
    generation="2.x",
    namespaces=("aipkit/v1",),
    head=_HEAD,
    decoys=_DECOYS,
    boxes=_boxes,
    footer=_footer,
    answer=_answer,
)
