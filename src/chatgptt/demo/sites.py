"""The sites of the demo."""

from __future__ import annotations

from chatgptt.demo.aipkit.pages import PAGES as AIPKIT_PAGES
from chatgptt.demo.aipkit.pages import Page as AipkitPage
from chatgptt.demo.aipkit.pages import Setup as AipkitSetup
from chatgptt.demo.aipkit.site import AipkitSite
from chatgptt.demo.fault_pages import busy_at_first, fault_sites, huge_with_box, slow
from chatgptt.demo.scripted import scripted_sites
from chatgptt.demo.state import DemoState
from chatgptt.demo.wordpress import PrefixSite
from chatgptt.demo.wpaicg.pages import PAGES as WPAICG_PAGES
from chatgptt.demo.wpaicg.pages import Page as WpaicgPage
from chatgptt.demo.wpaicg.pages import Setup as WpaicgSetup
from chatgptt.demo.wpaicg.site import WpaicgSite

LATEST = (1, 9, 18)
FRONT = WpaicgPage(slug="", about="one box")
JSON = WpaicgPage(slug="json", about="one box, which doesn't stream", bots=(4,))
WIDGET = WpaicgPage(slug="widget", about="the floating widget", bots=(), widget=0)

WPAICG = (
    WpaicgSetup(prefix="wpaicg", version=LATEST, pages=WPAICG_PAGES),
    WpaicgSetup(
        prefix="wpaicg-1.8.79",
        version=(1, 8, 79),
        about="streams by GET too, and JSON follows",
        pages=WPAICG_PAGES,
    ),
    WpaicgSetup(
        prefix="wpaicg-1.8.90",
        version=(1, 8, 90),
        about="a rejected nonce is JSON with 200",
        pages=WPAICG_PAGES,
    ),
    WpaicgSetup(prefix="wpaicg-1.8.95", version=(1, 8, 95), about="the first assistants", pages=WPAICG_PAGES),
    WpaicgSetup(prefix="wpaicg-1.8.98", version=(1, 8, 98), about="older markup", pages=WPAICG_PAGES),
    WpaicgSetup(
        prefix="never", version=LATEST, about="no nonce anywhere", pages=(FRONT, JSON, WIDGET), nonces="never"
    ),
    WpaicgSetup(
        prefix="scripted",
        version=LATEST,
        about="nonces come by script",
        pages=(
            WpaicgPage(slug="", about="after 0.3 s", script_after_ms=300),
            WpaicgPage(slug="late", about="after 2 s", script_after_ms=2000),
            WpaicgPage(slug="flicker", about="a wrong one first", script_after_ms=500, has_false_start=True),
        ),
        nonces="scripted",
    ),
    WpaicgSetup(
        prefix="cookies",
        version=LATEST,
        about="a guest's nonce is bound to a cookie",
        pages=(FRONT, JSON),
        has_visitor_cookie=True,
    ),
    WpaicgSetup(
        prefix="latin1",
        version=LATEST,
        about="bytes that are no UTF-8",
        pages=(WpaicgPage(slug="", name="Café naïveté", about="one box"),),
        encoding="latin-1",
    ),
    WpaicgSetup(
        prefix="challenge/message",
        version=LATEST,
        about="a challenge answers each message with 403",
        pages=(FRONT,),
        message_challenge=403,
    ),
    WpaicgSetup(
        prefix="challenge/message-429",
        version=LATEST,
        about="a challenge answers each message with 429",
        pages=(FRONT,),
        message_challenge=429,
    ),
)
BUSY = WpaicgSetup(prefix="status/503", version=LATEST, about="503 with Retry-After: 1 twice", pages=(FRONT,))
SLOW = WpaicgSetup(prefix="slow", version=LATEST, about="waits as many ?seconds= as told", pages=(FRONT,))
HUGE = WpaicgSetup(prefix="huge-with-box", version=LATEST, about="256 MB follow the box", pages=(FRONT,))

AIPKIT = (
    AipkitSetup(prefix="aipkit", version=(2, 4, 71), pages=AIPKIT_PAGES),
    AipkitSetup(prefix="aipkit-2.3.20", version=(2, 3, 20), about="no nonce refresh", pages=AIPKIT_PAGES),
    AipkitSetup(prefix="aipkit-2.3.43", version=(2, 3, 43), about="nonce refresh", pages=AIPKIT_PAGES),
    AipkitSetup(
        prefix="scripted-aipkit",
        version=(2, 4, 71),
        about="boxes come by script",
        pages=(AipkitPage(slug="", about="after 0.3 s", is_loaded_by_script=True),),
    ),
)


def build_sites(state: DemoState) -> list[PrefixSite]:
    """All of them, in the order of the index page."""
    return [
        *(WpaicgSite(setup, state) for setup in WPAICG),
        *(AipkitSite(setup, state) for setup in AIPKIT),
        busy_at_first(WpaicgSite(BUSY, state), state),
        slow(WpaicgSite(SLOW, state)),
        huge_with_box(WpaicgSite(HUGE, state)),
        *fault_sites(),
        *scripted_sites(state),
    ]
