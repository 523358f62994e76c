"""What WordPress and the plugin change in the text of a visitor, and which turns of a history remain.

The plugin sanitises the history, removes every backslash, and then reads it as JSON. Characters that need a
backslash are garbled by then, and one quotation mark inside a text loses the whole history.
(docs/protocols.md W3)
"""

from __future__ import annotations

import json
import re

from chatgptt.demo.model import Turn


def sanitised(text: str) -> str:
    """WordPress' sanitize_text_field: no tags, no line breaks, no `%xx`, no spaces at the ends."""
    text = re.sub(r"<(?=[^<>]*(?:<|\Z))", "&lt;", text)  # one that no tag follows
    text = re.sub(r"<(script|style)[^>]*?>.*?</\1>", "", text, flags=re.IGNORECASE | re.DOTALL)
    text = re.sub(r"<(?!\s)[^>]*>", "", text)
    text = re.sub(r"[\r\n\t ]+", " ", text).strip()
    without = text
    while (shorter := re.sub(r"%[a-fA-F0-9]{2}", "", without)) != without:
        without = shorter
    return text if without == text else re.sub(" +", " ", without).strip()


def read_history(field: str) -> list[Turn]:
    """The turns that the plugin can read. The list is empty if the field is no JSON array any more."""
    try:
        entries = json.loads(sanitised(field).replace("\\", ""), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return []
    if not isinstance(entries, list):
        return []
    texts = [entry.get("text") if isinstance(entry, dict) else entry for entry in entries]
    return [_turn(text) for text in texts if isinstance(text, str)]


def _turn(text: str) -> Turn:
    if text.startswith("Human: "):
        return Turn("user", text.removeprefix("Human: "))
    return Turn("assistant", text.replace("AI: ", ""))


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON to PHP")
