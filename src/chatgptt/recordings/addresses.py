"""The addresses in a body, however escaped, changed into those of a replay. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from chatgptt.recordings.body_edits import Edit, apply, base64_texts, sub

BETWEEN = rb"(?::|%3[Aa]|&#0?58;|\\u003[aA])(?:\\?/|(?:%5[Cc])?%2[Ff]|&#0?47;|\\u002[fF]){2}"
"""`://` in every escaping: plain, JSON, HTML, URL."""


@lru_cache(maxsize=16)
def _address_pattern(hosts: tuple[str, ...]) -> re.Pattern[bytes]:
    names = b"|".join(re.escape(host).encode() for host in hosts)
    before = rb"(?:https?(?P<between>" + BETWEEN + rb")|(?<![\w.@-]))"
    return re.compile(before + rb"(?P<host>" + names + rb")(?![\w-]|\.\w)")


def move_addresses(data: bytes, hosts: Mapping[str, str]) -> tuple[bytes, list[Edit]]:
    """The data with the URL of each host in place of its addresses, and the edits that were made."""

    def move(found: re.Match[bytes]) -> bytes:
        between, host = found["between"], urlsplit(hosts[found["host"].decode()]).netloc.encode()
        if between is None:
            return host
        return b"http" + between + (host.replace(b":", b"%3A") if between.startswith(b"%") else host)

    edits = sub(_address_pattern(tuple(hosts)), move, data)
    for start, end, head, _, text in base64_texts(data):
        moved = move_addresses(text, hosts)[0]
        if moved != text:
            edits.append(Edit(start, end, head + base64.b64encode(moved)))
    return apply(data, edits), edits
