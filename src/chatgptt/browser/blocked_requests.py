"""Requests of a page that its tokens don't need. No script is one of them, except those of trackers."""

from __future__ import annotations

from urllib.parse import urlsplit

NOT_LOADED = frozenset({"Image", "Media", "Font", "Stylesheet", "Ping"})
"""Kinds of requests, in the words of Chromium's debugging protocol; a ping is a beacon."""

TRACKERS = (
    "google-analytics.com",
    "doubleclick.net",
    "googlesyndication.com",
    "googleadservices.com",
    "connect.facebook.net",
    "hotjar.com",
    "clarity.ms",
    "mc.yandex.ru",
    "matomo.cloud",
    "quantserve.com",
    "scorecardresearch.com",
    "criteo.com",
    "taboola.com",
    "outbrain.com",
    "mixpanel.com",
    "fullstory.com",
    "nr-data.net",
    "pixel.wp.com",
    "stats.wp.com",
)
"""Services that only measure or advertise. Tag managers are missing here: sites load their own scripts with
them."""


def is_tracker(url: str) -> bool:
    """Whether a request goes to one of `TRACKERS`."""
    host = urlsplit(url).hostname or ""
    return any(host == tracker or host.endswith(f".{tracker}") for tracker in TRACKERS)
