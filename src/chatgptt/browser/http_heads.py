"""Heads of HTTP/1.1 messages, as they pass through the gate or come to a replay."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from dataclasses import dataclass
from urllib.parse import urlsplit

MOST_HEAD_BYTES = 2**20
"""Chromium's own bound for an address is 2 MB; servers' bounds for a whole head are far below this one."""
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The head of a request; `lines` are its headers."""

    method: str
    target: str
    lines: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where it goes."""
        return f"https://{self.target}/" if self.method == "CONNECT" else self.target

    @property
    def place(self) -> tuple[str, int]:
        """The host and port that it goes to."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 80

    def header(self, name: str) -> str:
        """The value of the header with this lower-case name; "" where there is none."""
        start = f"{name}:"
        return next((line[len(start) :].strip() for line in self.lines if line.lower().startswith(start)), "")

    def for_site(self) -> bytes:
        """The head as a browser without a proxy sends it."""
        target = f"/{self.target.partition('://')[2].partition('/')[2]}"
        lines = [re.sub(r"(?i)^proxy-(?=connection:)", "", line) for line in self._without_login()]
        return self._encode(target, lines)

    def for_proxy(self, user: str, password: str) -> bytes:
        """The head with the login of an HTTP proxy, if it has one, instead of the gate's."""
        login = [f"Proxy-Authorization: {basic_credentials(user, password)}"] if user else []
        return self._encode(self.target, [*self._without_login(), *login])

    def _without_login(self) -> list[str]:
        return [line for line in self.lines if not line.lower().startswith("proxy-authorization:")]

    def _encode(self, target: str, lines: list[str]) -> bytes:
        return "\r\n".join([f"{self.method} {target} HTTP/1.1", *lines, "", ""]).encode("latin-1")


async def read_request_head(reader: asyncio.StreamReader) -> RequestHead:
    """The head of the next request on a connection.

    Raises:
        EOFError: where none comes.
        ValueError: where it is no head of a request.
    """
    text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = text.removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    return RequestHead(method, target, tuple(lines))


async def read_reply_head(reader: asyncio.StreamReader) -> bytes:
    """The beginning of a reply, with its whole head; the whole reply where it has no head."""
    data = b""
    while not re.search(rb"\r?\n\r?\n", data) and len(data) < MOST_HEAD_BYTES:
        more = await reader.read(_CHUNK_BYTES)
        if not more:
            break
        data += more
    return data


def parse_reply_head(reply: bytes) -> tuple[int, dict[str, str]]:
    """The status of a reply, 0 where it has none, and its headers; of several by one name the first."""
    first, *lines = re.split(rb"\r?\n\r?\n", reply, maxsplit=1)[0].decode("latin-1").splitlines() or [""]
    pairs = [line.partition(":")[::2] for line in reversed(lines)]
    status = re.match(r"HTTP/\d\.\d (\d{3})", first)
    return int(status[1]) if status else 0, {name.strip().lower(): value.strip() for name, value in pairs}


def basic_credentials(user: str, password: str) -> str:
    """The value of an `Authorization` header (RFC 7617)."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
