"""Reads recorded pages and replies of real sites, and compares what comes out with what is documented.

    python tests/check_recordings.py FOLDER

FOLDER holds one folder for each version of the plugin, named `wpaicg-1.9.18` or `aipkit-2.4.71`, with
`replies/KIND/body`, `replies/KIND/meta.json` (status, headers, method, note) and perhaps `pages/NAME.html`.
Each reply is read whole, byte by byte, and with something behind it. Exits with 1 where anything differs.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from readings import Outcome, one_by_one, outcome_of, read

from chatgptt._errors import ChatGpttError
from chatgptt._models import ReplyHead
from chatgptt.protocols import aipkit
from chatgptt.protocols.box_choice import find_boxes
from chatgptt.protocols.page import Page

SITE = "https://chat.example/"
TRAIL = b"\n\n<p>There has been a critical error on this website.</p>\n"

# What a reply amounts to by its kind: an error's code with its reason, or "text".
KINDS = {
    "wpaicg": {
        "action-unknown": "unreadable_answer stale",
        "embedding-not-set-up": "provider_error",
        "json-history": "text",
        "json-success": "text",
        "message-empty": "refused other",
        "nonce-rejected": "token_rejected stale",
        "provider-err429-json": "provider_error",
        "provider-err429-stream": "provider_error",
        "provider-err500-json": "provider_error",
        "provider-err500-stream": "provider_error",
        "provider-errkey-json": "provider_error",
        "provider-errkey-stream": "provider_error",
        "quota-limited": "refused quota",
        "quota-limited-stream": "refused quota",
        "stream-cut": "stream_interrupted with text",
        "stream-success": "text",
        "widget-success": "text",
        "word-banned-json": "refused banned_words",
        "word-banned-stream": "refused banned_words",
    },
    "aipkit": {
        "action-unknown": "unreadable_answer stale",
        "bot-unknown": "refused other",
        "cache-empty": "refused other",
        "cache-nonce-rejected": "token_rejected stale",
        "cache-success": "text",
        "guests-disabled": "refused guests_disabled",
        "nonce-refresh": "text",
        "plain-message": "text",
        "provider-err429": "provider_error",
        "provider-err500": "provider_error",
        "provider-errkey": "provider_error",
        "quota": "refused quota",
        "stream-cut": "stream_interrupted with text",
        "stream-history": "text",
        "stream-key-unknown": "token_rejected key-lost",
        "stream-nonce-rejected": "token_rejected stale",
        "stream-success": "text",
        "word-banned": "refused banned_words",
    },
}

# Where a version differs from its generation.
EXCEPTIONS = {
    ("aipkit-2.3.20", "nonce-refresh"): "none",  # the action came with 2.3.41
    ("aipkit-2.3.20", "word-banned"): "text",  # its filter let the word pass
    ("aipkit-2.4.71", "plain-message"): "unreadable_answer stale",  # the action went with 2.4.1
}

# The kinds of box on a page by its name, in document order.
PAGES = {
    "wpaicg": {
        "home": "shortcode",
        "json": "shortcode",
        "decoy": "shortcode",
        "json-and-widget": "shortcode widget",
        "many": "shortcode shortcode shortcode",
        "widget-only": "widget",
        "nochat": "",
    },
    "aipkit": {"home": "inline", "decoy": "inline", "many": "inline popup", "popup": "popup", "nochat": ""},
}


@dataclass(frozen=True)
class Row:
    """One comparison of the table."""

    version: str
    what: str
    expected: str
    seen: str

    @property
    def is_good(self) -> bool:
        return self.seen == self.expected


def in_short(outcome: Outcome) -> str:
    """An outcome as the tables above write it."""
    if not outcome.code:
        return "text" if outcome.text.strip() else "no text"
    marks = [
        outcome.code,
        outcome.reason,
        "stale" if outcome.is_stale else "",
        "key-lost" if outcome.is_key_lost else "",
    ]
    return " ".join([*filter(None, marks), *(["with text"] if outcome.partial_text else [])])


def read_step(kind: str, head: ReplyHead, body: bytes) -> Outcome | None:
    """2.x: what the first step or the nonce action gives; None for kinds that are read as a stream."""
    text = body.decode("utf-8", "replace")
    if kind == "nonce-refresh":
        return Outcome(
            text=aipkit.maybe_fresh_nonce(head, text) or "",
            code="" if aipkit.maybe_fresh_nonce(head, text) else "none",
        )
    if not kind.startswith("cache-"):
        return None
    try:
        return Outcome(text=aipkit.read_cache_key(head, text))
    except ChatGpttError as error:
        return outcome_of(error)


def check_reply(version: str, folder: Path) -> Row:
    """Reads one reply in every way."""
    protocol, kind = version.partition("-")[0], folder.name
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    body = (folder / "body").read_bytes()
    head = ReplyHead(
        status=meta["status"],
        headers={name.lower(): value for name, value in meta["headers"].items()},
        url=f"{SITE}wp-admin/admin-ajax.php",
    )
    expected = EXCEPTIONS.get((version, kind)) or KINDS.get(protocol, {}).get(kind, "a kind in the table")
    step = read_step(kind, head, body) if protocol == "aipkit" else None
    if step is not None:
        return Row(version, kind, expected, in_short(step))
    whole = read(protocol, head, [body])
    seen = in_short(whole)
    if read(protocol, head, one_by_one(body)) != whole:
        seen += "; byte by byte it differs"
    is_text = body.strip() in (b"0", b"-1") or head.status == 403  # there, what follows is part of the text
    if not is_text and replace(read(protocol, head, [body + TRAIL]), message=whole.message) != whole:
        seen += "; with more behind it it differs"
    return Row(version, kind, expected, seen)


def check_page(version: str, file: Path) -> Row:
    """Finds the boxes of one page."""
    expected = PAGES.get(version.partition("-")[0], {}).get(file.stem, "a page in the table")
    page = Page(file.read_bytes(), SITE)
    boxes = find_boxes(page)
    seen = " ".join(box.kind for box in boxes)
    if any(box.nonce is None for box in boxes):
        seen += "; without nonce"
    if any(box.ajax_url != f"{SITE}wp-admin/admin-ajax.php" for box in boxes):
        seen += "; another ajax URL"
    if boxes and page.plugin_version != version.partition("-")[2]:  # 2.x marks no other pages
        seen += f"; version {page.plugin_version!r}"
    return Row(version, f"page {file.stem}", expected, seen)


def main(arguments: list[str]) -> int:
    """Prints the table; 0 where all is as documented."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    rows = [
        row
        for folder in sorted(Path(arguments[0]).iterdir())
        for row in [
            *(check_reply(folder.name, reply) for reply in sorted(folder.glob("replies/*"))),
            *(check_page(folder.name, page) for page in sorted(folder.glob("pages/*.html"))),
        ]
    ]
    for row in rows:
        mark = "ok" if row.is_good else f"DIFFERS, expected {row.expected}"
        print(f"{row.version:15} {row.what:24} {row.seen:34} {mark}")
    differing = sum(not row.is_good for row in rows)
    print(f"{len(rows)} read, {differing} differ")
    return 1 if differing or not rows else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
