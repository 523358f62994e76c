"""What a page's markup says about its scripts: whether they may make a chat box, or wait for consent."""

from __future__ import annotations

import re

from chatgptt.protocols.page import Page

_MAX_CONSENT_CHARACTERS = 2**20
"""How much of a document is searched for scripts that a consent manager holds back; pages have half of it."""

_BOX_SCRIPT = re.compile(
    r"wpaicg-chatbox|wpaicg-chat-shortcode|aipkit_chat_container|aipkit_popup_wrapper|aipkit-chatbot-container"
)
_HELD_BACK = 'script[type^="text/plain" i]'
"""How consent managers hold a script back until the visitor has agreed."""
_MENTIONS_HELD_BACK = re.compile(r"type\s*=\s*[\"']?\s*text/plain", re.I)


def needs_scripts(page: Page) -> bool:
    """Whether a page without a box says that scripts make one: a bot's embed, or a script that names boxes.

    The plugin's own files say nothing in 1.x, which puts them on every page of a site (docs/protocols.md W1);
    2.x loads its own only where a bot is.
    """
    return bool(
        page.select('script[data-bot-id], [id^="aipkit-chatbot-container"], [src*="/dist/js/public-main"]')
        or any(_BOX_SCRIPT.search(script) for script in page.scripts)
    )


def hints_at_chat(page: Page) -> bool:
    """Whether it is worth running a page without a box: its scripts, or a frame in it, may show one."""
    return needs_scripts(page) or bool(page.select("iframe[src]"))


def waits_for_consent(document: str) -> bool:
    """Whether a page's chat script waits until the visitor agrees to something."""
    document = document[:_MAX_CONSENT_CHARACTERS]
    if not _MENTIONS_HELD_BACK.search(document):
        return False
    page = Page(document.encode("utf-8", "replace"), "about:blank")
    return any(
        re.search(r"wpaicg|aipkit|gpt3-ai-content-generator", (node.html or "")[:50_000])
        for node in page.select(_HELD_BACK)
    )
