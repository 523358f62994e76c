"""What arrived at the site: the requests that nginx saw, and the messages that the plugin answered."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import ProxyHandler, build_opener

_PATIENCE = 30.0
"""Seconds within which nginx has to write down a request that it answered."""

_MESSAGES = ("wpaicg_chat_shortcode_message", "wpaicg_chatbox_message", "aipkit_cache_sse_message")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it arrived. `cache` is HIT, MISS or BYPASS where a page cache stands in front."""

    port: int
    method: str
    target: str
    action: str
    status: int
    connection: int
    cache: str
    encoding: str
    referer: str
    cookies: str
    agent: str

    @property
    def is_ajax(self) -> bool:
        return urlsplit(self.target).path.endswith("/wp-admin/admin-ajax.php")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How often what arrived. A message is the POST that carries it; answered are those that would be billed."""

    pages: int = 0
    messages: int = 0
    answered: int = 0
    nonces: int = 0


class Traffic:
    """The site's books.

    Args:
        requests: nginx's log, one JSON object a line.
        answered: what the plugin has answered, likewise.
        address: one of nginx's own addresses.
    """

    def __init__(self, requests: Path, answered: Path, address: str) -> None:
        self._requests = requests
        self._answered = answered
        self._mark = f"{address}mark/"
        self._offset = 0

    def clear(self) -> None:
        """Forgets what has arrived until now."""
        self._up_to_now()
        self._offset = self._requests.stat().st_size
        self._answered.write_bytes(b"")

    def seen(self) -> list[Seen]:
        """All requests since the last `clear`, in the order in which they were done with."""
        records = [json.loads(line) for line in self._up_to_now().splitlines()]
        return [_read(record) for record in records if "/mark/" not in record["target"]]

    def answered(self) -> list[tuple[str, str]]:
        """The messages that were answered, each with the name of its user, "" for a guest."""
        records = [json.loads(line) for line in self._answered.read_text().splitlines()]
        return [(record["message"], record["user"]) for record in records]

    def doubles(self) -> list[str]:
        """Messages that were answered more than once. Each test sends different ones."""
        return [message for (message, _), count in Counter(self.answered()).items() if count > 1]

    def counted(self) -> Counted:
        seen = self.seen()
        return Counted(
            pages=sum(not request.is_ajax for request in seen),
            messages=sum(request.action in _MESSAGES for request in seen),
            answered=len(self.answered()),
            nonces=sum(request.action == "aipkit_get_frontend_chat_nonce" for request in seen),
        )

    def _up_to_now(self) -> str:
        """nginx's log up to a request made now: its one worker has then logged all that it answered before."""
        mark = f"{self._mark}{secrets.token_hex(8)}"
        build_opener(ProxyHandler({})).open(mark, timeout=_PATIENCE).close()
        give_up = time.monotonic() + _PATIENCE
        while True:
            with self._requests.open("rb") as file:
                file.seek(self._offset)
                log = file.read()
            if urlsplit(mark).path.encode() in log:
                return log.decode()
            if time.monotonic() > give_up:
                raise RuntimeError("nginx does not log what it answers")
            time.sleep(0.005)


def _read(record: dict[str, str]) -> Seen:
    fields = parse_qs(urlsplit(record["target"]).query) | parse_qs(record["body"])
    return Seen(
        port=int(record["port"] or 0),
        method=record["method"],
        target=record["target"],
        action=fields.get("action", [""])[0],
        status=int(record["status"]),
        connection=int(record["connection"]),
        cache=record["cache"],
        encoding=record["encoding"],
        referer=record["referer"],
        cookies=record["cookies"],
        agent=record["agent"],
    )
