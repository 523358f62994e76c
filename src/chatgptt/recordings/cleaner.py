"""Cleaning: puts stand-ins for secrets, in any escaping, and leaves out what a case does not need. Pure."""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from urllib.parse import urlsplit

from chatgptt.recordings.body_edits import BETWEEN, Edit, apply, base64_texts, cut, sub
from chatgptt.recordings.case import Chunk, Exchange, Recording
from chatgptt.recordings.finder import Word, find_all, tree
from chatgptt.recordings.matching import MADE_ANEW
from chatgptt.recordings.secret_search import Secret, names_of_host
from chatgptt.recordings.standins import SITE, SecretKind, StandIns, elsewhere
from chatgptt.recordings.trim import is_needed_script, trim_page, trim_script

_KEPT_HEADERS = frozenset(
    {
        "access-control-allow-credentials",
        "access-control-allow-origin",
        "cache-control",
        "cf-mitigated",
        "content-security-policy",
        "content-type",
        "location",
        "pragma",
        "retry-after",
        "sg-captcha",
        "www-authenticate",
        "x-accel-buffering",
        "x-amzn-waf-action",
        "x-cache",
        "x-frame-options",
        "x-robots-tag",
        "x-vercel-mitigated",
    }
)
"""Headers that the client or a browser acts on, or that show who replies (docs/protocols.md C1, C4)."""


class Cleaner:
    """Replaces the secrets of one recording, and counts what it does."""

    def __init__(self, recording: Recording, secrets: Iterable[Secret]) -> None:
        self.places: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.dropped = 0
        self._scheme = urlsplit(recording.page).scheme.encode()
        self._by_name: dict[str, tuple[SecretKind, bytes]] = {}
        self._is_run = recording.is_run
        self._keeps_scripts = recording.keeps_scripts
        served = {
            name: elsewhere(number)
            for number, host in enumerate(recording.elsewhere, 1)
            for name in names_of_host(host, has_parent=False)
        }
        served |= {name: SITE for host in recording.hosts for name in names_of_host(host)}
        stand_ins = StandIns()
        given = {
            secret: served.get(secret.value) or stand_ins.for_value(secret.kind, secret.value)
            for secret in secrets
        }
        words: dict[str, list[Word]] = {_PLAIN: [], _FOREIGN_HOST: [], _OWN_HOST: []}
        for number, secret in enumerate(given):
            name = f"s{number}"
            self._by_name[name] = (secret.kind, given[secret].encode())
            beginning = (
                _PLAIN if secret.kind != "host" else _OWN_HOST if secret.value in served else _FOREIGN_HOST
            )
            words[beginning].append(any_escaping(secret, name))
        self._plain, *self._hosts = (
            re.compile((beginning + tree(some)).encode("latin-1")) if some else None
            for beginning, some in words.items()
        )

    def clean_exchange(self, exchange: Exchange) -> Exchange:
        """The exchange without secrets, and without what a case does not need."""
        headers = tuple(
            (name, self.clean_text(value))
            for name, value in exchange.headers
            if name in _KEPT_HEADERS or (name == "expires" and "1984" in value)
        )
        self.dropped += len(exchange.headers) - len(headers)
        body, chunks = self._clean_body(exchange)
        return replace(
            exchange,
            host=self.clean_text(exchange.host),
            path=self.clean_text(exchange.path),
            query=self._clean_pairs(exchange.query),
            fields=self._clean_pairs(exchange.fields),
            headers=headers,
            body=body,
            chunks=chunks,
        )

    def _clean_pairs(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
        return tuple((name, "*" if name in MADE_ANEW else self.clean_text(value)) for name, value in pairs)

    def _clean_body(self, exchange: Exchange) -> tuple[bytes, tuple[Chunk, ...]]:
        body, chunks = exchange.body, exchange.chunks
        if exchange.method == "GET" and exchange.media_type in ("text/html", "application/xhtml+xml"):
            return _in_one(self.clean_page(body, is_run=self._is_run), chunks)
        if exchange.media_type.endswith("javascript"):
            if self._is_run:
                return _in_one(self._clean_loaded(exchange), chunks)
            body = self._clean(body)[0]
            edits = trim_script(body)
            self.removed["parts of scripts"] += len(edits)
            return _in_one(apply(body, edits), chunks)
        if exchange.fields:
            edits = sub(_LOG, lambda found: found[1] + b"1", body)
            body, chunks = apply(body, edits), cut(chunks, edits)
        body, edits = self._clean(body)
        return body, cut(chunks, edits)

    def _clean_loaded(self, exchange: Exchange) -> bytes:
        """A script for a page that runs: whole, or empty."""
        if self._keeps_scripts or is_needed_script(exchange.path, exchange.body):
            return self._clean(exchange.body)[0]
        self.removed["scripts"] += bool(exchange.body)
        return b""

    def clean_page(self, page: bytes, *, is_run: bool = False) -> bytes:
        """A page, cleaned and trimmed."""
        page = self._clean(page)[0]
        return apply(page, trim_page(page, self.removed, is_run=is_run))

    def clean_text(self, text: str) -> str:
        """A text without secrets: a URL, a field, an answer."""
        return self._clean(text.encode("utf-8", "surrogatepass"))[0].decode("utf-8", "replace")

    def _clean(self, data: bytes) -> tuple[bytes, list[Edit]]:
        edits = []
        searched = [(pattern, data.lower()) for pattern in self._hosts if pattern is not None]
        if self._plain is not None:
            searched.append((self._plain, data))
        for found in find_all(searched):
            assert found.lastgroup is not None
            kind, stand_in = self._by_name[found.lastgroup]
            start, end = found.span()
            edits.append(Edit(start, end, self._with_scheme(data[start:end], stand_in)))
            self.places[kind] += 1
        ends = [edit.end for edit in edits]
        for start, end, head, code, text in base64_texts(data):
            clean = self._clean(text)[0]
            next_edit = bisect_right(ends, start)
            is_edited = next_edit < len(ends) and edits[next_edit].start < end
            if clean != text and not is_edited:
                padded = base64.b64encode(clean)
                bare = not code.endswith((b"=", b"D", b"d"))
                edits.append(Edit(start, end, head + (padded.rstrip(b"=") if bare else padded)))
        return apply(data, edits), edits

    def _with_scheme(self, found: bytes, stand_in: bytes) -> bytes:
        """The stand-in, with the page's scheme if the address had one: a replay has one scheme."""
        before = _ADDRESS.match(found)
        return stand_in if before is None else self._scheme + before["between"] + stand_in


_LOG = re.compile(rb'("log":"?)\d{1,7}(?="?[,}])')
"""The number of a log entry, which each JSON reply of 1.x holds (docs/protocols.md W4)."""

_ADDRESS = re.compile(rb"https?(?P<between>" + BETWEEN + rb")", re.I)


def _in_one(body: bytes, chunks: tuple[Chunk, ...]) -> tuple[bytes, tuple[Chunk, ...]]:
    """A body in one chunk. Where the network cut a page means nothing."""
    delay = sum(chunk.delay for chunk in chunks)
    return body, (Chunk(size_bytes=len(body), delay=delay),) if body else ()


_PLAIN = ""
_FOREIGN_HOST = r"(?:www\.)?"
_OWN_HOST = f"(?:https?{BETWEEN.decode()})?{_FOREIGN_HOST}"
"""The text that may precede a value. Hosts are searched in lower case."""


def any_escaping(secret: Secret, name: str) -> Word:
    """A word that matches a value in any escaping."""
    end = f"(?P<{name}>)"
    if secret.kind == "host":
        end += "(?![0-9])" if secret.value[-1:].isdecimal() else "(?![a-z0-9-])"
    value = secret.value.lower() if secret.kind == "host" else secret.value
    return Word(tuple(_character(character).decode("latin-1") for character in value), end)


@lru_cache(maxsize=1024)
def _character(character: str) -> bytes:
    """One character, plain or escaped for HTML, JSON or a URL."""
    plain = re.escape(character.encode("utf-8", "surrogateescape"))
    if character.isascii() and character.isalnum():
        return plain
    code = ord(character)
    forms = [plain, rb"&#0{0,7}%d;" % code, rb"&#[xX]0{0,7}(?i:%x);" % code]
    utf16 = character.encode("utf-16-be", "surrogatepass")
    forms.append(
        b"".join(rb"\\u(?i:%02x%02x)" % (utf16[at], utf16[at + 1]) for at in range(0, len(utf16), 2))
    )
    forms.append(b"".join(rb"%%(?i:%02x)" % byte for byte in character.encode("utf-8", "surrogateescape")))
    forms += _SHORT_FORMS.get(character, [])
    return rb"(?:%b)" % b"|".join(forms)


_SHORT_FORMS = {
    " ": [rb"\+", rb"&nbsp;"],
    "/": [rb"\\/"],
    '"': [rb"&quot;", rb'\\"', rb"\\&quot;"],
    "'": [rb"&apos;"],
    "&": [rb"&amp;"],
    "<": [rb"&lt;"],
    ">": [rb"&gt;"],
    "\\": [rb"\\\\"],
    "\n": [rb"\\n", rb"\r\n", rb"\\r\\n", rb"<br ?/?>"],
    "\t": [rb"\\t"],
}
