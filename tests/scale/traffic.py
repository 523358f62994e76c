"""What a site saw: how many visitors, and how often its pages were read."""

from __future__ import annotations

from chatgptt.demo import DemoSite


def visitors(demo: DemoSite) -> int:
    """The visitors that the messages came from, by the id of either generation."""
    names = ("wpaicg_chat_client_id", "session_id")
    ids = {
        name: {
            value
            for seen in demo.requests
            if (value := seen.fields.get(name, "") or seen.params.get(name, ""))
        }
        for name in names
    }
    return max(len(found) for found in ids.values())


def page_reads(demo: DemoSite, page: str) -> int:
    """How often a page was requested."""
    return len([seen for seen in demo.requests if seen.method == "GET" and seen.path == f"/{page}"])
