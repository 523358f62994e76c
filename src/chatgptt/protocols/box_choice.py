"""The boxes of a page, whichever protocol they speak, and the choice among them."""

from __future__ import annotations

from chatgptt._errors import ChatBoxNotFoundError
from chatgptt._models import ChatBox
from chatgptt.protocols.generations import PROTOCOLS
from chatgptt.protocols.page import Page

NO_BOX_HINT = "check in a browser that the page shows the chat; give the URL of the page that does"

_PREFERENCE = ("shortcode", "inline", "popup", "widget")
"""A box that was put on this page on purpose comes before one that floats on every page."""


def find_boxes(page: Page, endpoint: str = "") -> tuple[ChatBox, ...]:
    """Every chat box of the page's own site. No box is of both generations, so their order does not matter.

    A box that names another site is listed only where the caller names the `endpoint` for messages.
    """
    return tuple(box for protocol in PROTOCOLS.values() for box in protocol.find_boxes(page, endpoint))


def foreign_sites(page: Page) -> tuple[str, ...]:
    """Other sites whose boxes the page shows, or embeds by their snippet; nothing is ever posted there."""
    return tuple(
        dict.fromkeys(site for protocol in PROTOCOLS.values() for site in protocol.foreign_sites(page))
    )


def box_elsewhere(sites: tuple[str, ...], url: str) -> ChatBoxNotFoundError:
    """The error for a page whose box belongs to another site, or to several: the caller has to name it."""
    where = " and ".join(site[:200] for site in sites[:3])
    return ChatBoxNotFoundError(
        f"the chat box on this page belongs to another site, {where}; nothing was sent there",
        hint=f"to ask it, give the address of a page of {sites[0][:200]} that shows the chat",
        url=url,
    )


def choose_box(boxes: tuple[ChatBox, ...], bot: str | None, url: str) -> ChatBox:
    """The box to ask: the wanted bot, else one placed on this page rather than one that floats on all.

    `bot` is an id, a name in any case, or a kind of box; None or "" leaves the choice to the page.

    Raises:
        ChatBoxNotFoundError: where there is no box, or none for the wanted bot.
    """
    if not boxes:
        raise ChatBoxNotFoundError(
            "the page has no chat box of the AI Power plugin", hint=NO_BOX_HINT, url=url
        )
    wanted = (bot or "").strip().casefold()
    matches = list(boxes)
    if wanted:
        matches = (
            [box for box in boxes if str(box.bot_id) == wanted]
            or [box for box in boxes if box.name.casefold() == wanted]
            or [box for box in boxes if box.kind == wanted]
        )
    if matches:
        return min(matches, key=lambda box: _PREFERENCE.index(box.kind))
    there = ", ".join(f"{box.bot_id} ({box.name or box.kind})" for box in boxes[:10])
    raise ChatBoxNotFoundError(
        f"the page has no bot {(bot or '')[:80]!r}; it has: {there}",
        hint="choose one of these by its number, name or kind",
        url=url,
    )
