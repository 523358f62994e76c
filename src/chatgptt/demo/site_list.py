"""The sites of the demo."""

from __future__ import annotations

from chatgptt.demo.aipkit.pages import AIPKIT
from chatgptt.demo.aipkit.pages import PAGES as AIPKIT_PAGES
from chatgptt.demo.fault_pages import busy_at_first, fault_sites, huge_with_box, slow
from chatgptt.demo.installation import Page, Setup, build_installation
from chatgptt.demo.scripted import scripted_sites
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import Site
from chatgptt.demo.wpaicg.pages import PAGES as WPAICG_PAGES
from chatgptt.demo.wpaicg.pages import WPAICG

_1X = (1, 9, 18)
_2X = (2, 4, 71)
_FRONT = Page("", "one box")
_JSON = Page("json", "one box, which doesn't stream", bots=(4,))
_WIDGET = Page("widget", "the floating widget", bots=(), widget=0)
_LATIN = Page("", "one box", name="Café naïveté")
_SCRIPTED = (
    Page("", "after 0.3 s", script_after_ms=300),
    Page("late", "after 2 s", script_after_ms=2000),
    Page("flicker", "a wrong one first", script_after_ms=500, has_false_start=True),
)
_SCRIPTED_2X = Page("", "after 0.3 s", bots=(5,), is_loaded_by_script=True)

_OF_1X = (
    Setup("wpaicg", _1X, WPAICG_PAGES),
    Setup("wpaicg-1.8.79", (1, 8, 79), WPAICG_PAGES, about="streams by GET too, and JSON follows"),
    Setup("wpaicg-1.8.90", (1, 8, 90), WPAICG_PAGES, about="a rejected nonce is JSON with 200"),
    Setup("wpaicg-1.8.95", (1, 8, 95), WPAICG_PAGES, about="the first assistants"),
    Setup("wpaicg-1.8.98", (1, 8, 98), WPAICG_PAGES, about="older markup"),
    Setup("never", _1X, (_FRONT, _JSON, _WIDGET), about="no nonce anywhere", nonces="never"),
    Setup("scripted", _1X, _SCRIPTED, about="nonces come by script", nonces="scripted"),
    Setup(
        "cookies", _1X, (_FRONT, _JSON), about="a guest's nonce is bound to a cookie", has_visitor_cookie=True
    ),
    Setup("latin1", _1X, (_LATIN,), about="bytes that are no UTF-8", encoding="latin-1"),
    *(
        Setup(
            prefix,
            _1X,
            (_FRONT,),
            about=f"a challenge answers each message with {status}",
            message_challenge=status,
        )
        for prefix, status in (("challenge/message", 403), ("challenge/message-429", 429))
    ),
)
_OF_2X = (
    Setup("aipkit", _2X, AIPKIT_PAGES),
    Setup("aipkit-2.3.20", (2, 3, 20), AIPKIT_PAGES, about="no nonce refresh"),
    Setup("aipkit-2.3.43", (2, 3, 43), AIPKIT_PAGES, about="nonce refresh"),
    Setup("scripted-aipkit", _2X, (_SCRIPTED_2X,), about="boxes come by script"),
)
_BUSY = Setup("status/503", _1X, (_FRONT,), about="503 with Retry-After: 1 twice")
_SLOW = Setup("slow", _1X, (_FRONT,), about="waits for the seconds in ?seconds=")
_HUGE = Setup("huge-with-box", _1X, (_FRONT,), about="256 MB follow the box")


def build_sites(state: DemoState) -> list[Site]:
    """All of them, in the order of the index page."""
    return [
        *(build_installation(setup, WPAICG, state) for setup in _OF_1X),
        *(build_installation(setup, AIPKIT, state) for setup in _OF_2X),
        busy_at_first(build_installation(_BUSY, WPAICG, state), state),
        slow(build_installation(_SLOW, WPAICG, state)),
        huge_with_box(build_installation(_HUGE, WPAICG, state)),
        *fault_sites(),
        *scripted_sites(state),
    ]
