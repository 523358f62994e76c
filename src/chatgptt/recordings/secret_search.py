"""The secrets of a recording: the values that a case must not hold. Pure.

Values come from the parameters that hold secrets (nonces, ids), from patterns (keys, addresses, tokens), and
from names (`greeting_message`, `password`). Each text is read as it stands and unwrapped: without the escapes
of HTML, JSON and URLs, and with base64 decoded.

A secret without a form or a name looks like any text, and is not found. So the author of a case reads its
files before publishing them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from urllib.parse import unquote

from chatgptt.protocols.page import maybe_nonce
from chatgptt.protocols.text import unescape
from chatgptt.recordings.body_edits import base64_texts
from chatgptt.recordings.case import Exchange, Recording
from chatgptt.recordings.standins import ID_PREFIX, KEY_PREFIX, SITE, SecretKind, is_stand_in

_IDS: dict[str, SecretKind] = {
    "wpaicg_chat_client_id": "client id",
    "session_id": "session id",
    "conversation_uuid": "conversation id",
    "cache_key": "cache key",
    "thread_id": "thread id",
}
_NONCES = {"_wpnonce", "_ajax_nonce"}

_SAFE_HOSTS = re.compile(
    r"(?:^|\.)(?:w\.org|wordpress\.org|wordpress\.com|w3\.org|schema\.org|gmpg\.org|openai\.com|googleapis\.com|gstatic\.com|"
    r"cloudflare\.com|jsdelivr\.net|cloudflare\.net|aipower\.org|example\.(?:com|org|net))$",
    re.I,
)
"""Hosts that every WordPress page names. They say nothing about the site."""

_MOST_TEXT = 60
"""Characters of one searched value. A longer one is searched in pieces, since it may be escaped anywhere."""

_LEAST = 6
"""Characters of a value at least. A shorter one would be found everywhere."""

_WHOLE: frozenset[SecretKind] = frozenset({"host", "e-mail address"})
"""Kinds whose values are replaced whole, however long: a part of one cannot be recognised."""

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be published."""

    kind: SecretKind
    value: str = field(repr=False)


def find_secrets(recording: Recording) -> list[Secret]:
    """The secrets of a recording, in the order of their first places."""
    found: dict[str, Secret] = {}

    def add(kind: SecretKind, value: str) -> None:
        for piece in (value,) if kind in _WHOLE else _pieces(value):
            if len(piece) >= _LEAST and piece not in found and not is_stand_in(kind, piece):
                found[piece] = Secret(kind, piece)

    names = [name for host in recording.hosts for name in names_of_host(host) if name != SITE]
    names += [name for host in recording.elsewhere for name in names_of_host(host, has_parent=False)]
    found |= {name: Secret("host", name) for name in names}
    for value in recording.credentials:
        if len(value) >= 16 or (len(value) >= 8 and re.search(r"\d", value)):
            add("credential", value)
    for exchange in recording.exchanges:
        for name, value in (*exchange.query, *exchange.fields):
            if name in _NONCES and maybe_nonce(value):
                add("nonce", value)
            elif name in _IDS:
                add(_IDS[name], value)
        for segment in re.findall(r"/([0-9a-f]{16})(?=/)", exchange.path):
            add("id", segment)
        for text in _texts(exchange):
            _search(text, recording, add)
    for text in _call_texts(recording):
        _search(text, recording, add)
    return list(found.values())


def names_of_host(host: str, *, has_parent: bool = True) -> Iterator[str]:
    """A host without `www.`, with its port and without, and its parent domain."""
    name = host.lower().removeprefix("www.")
    yield name
    bare = re.sub(r":\d+$", "", name)
    if re.fullmatch(r"[\d.]+|\[.*\]|localhost", bare):
        return
    yield bare
    parent = bare.partition(".")[2]
    if has_parent and parent.count(".") >= 1 and len(parent.partition(".")[0]) > 3:
        yield parent


def _texts(exchange: Exchange) -> Iterator[str]:
    yield exchange.path
    yield exchange.body.decode("utf-8", "surrogateescape")
    for _, value in (*exchange.headers, *exchange.query, *exchange.fields):
        yield value
    if exchange.by == "browser":  # in a page's own requests a name may show what its value is
        for name, value in (*exchange.query, *exchange.fields):
            yield f"{name}={value}"


def _call_texts(recording: Recording) -> Iterator[str]:
    yield recording.page
    yield recording.rendered.decode("utf-8", "replace")
    yield recording.note
    for ask in recording.asks:
        yield ask.message or ""
        yield ask.text


def _pieces(value: str) -> list[str]:
    """A long text in pieces that are short enough to be searched in any escaping."""
    count = max(1, len(value) // _MOST_TEXT)
    size = -(-len(value) // count)
    return [value[start : start + size] for start in range(0, len(value), size)]


def unwrapped(text: str) -> list[str]:
    """The text as it stands, and with the escapes of HTML, JSON and URLs taken off, and base64 decoded."""
    views: dict[str, None] = {text: None}
    level = [text]
    for _ in range(3):
        above, level = level, []
        for view in above:
            for plain in _unwrapped_once(view):
                if plain not in views:
                    views[plain] = None
                    level.append(plain)
    return list(views)


def _unwrapped_once(text: str) -> Iterator[str]:
    if "&" in text:
        yield unescape(text)
    if "\\" in text:
        yield re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", _json_character, text)
    if re.search(r"%[0-9A-Fa-f]{2}", text):
        yield unquote(text, errors="surrogateescape")
    for *_, plain in base64_texts(text.encode("utf-8", "replace")):
        yield plain.decode("utf-8", "replace")


def _json_character(found: re.Match[str]) -> str:
    if found[1] is not None:
        return chr(int(found[1], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(found[2], found[2])


_END = r"(?![A-Za-z0-9])"
_START = r"(?<![A-Za-z0-9])"
_KEY = re.compile(rf"(?<![A-Za-z0-9_-]){KEY_PREFIX.pattern}[A-Za-z0-9._-]{{12,}}")
_JWT = re.compile(
    r"(?<![\w-])(?=[\w-]{11,}+\.[\w-]{8,}+\.[\w-]{4})[\w-]*?\b(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,})"
)
_OTHER_KEYS = re.compile(
    rf"{_START}(?:\d{{8,10}}:AA[\w-]{{32,}}|[0-9a-f]{{32}}-us\d{{1,2}}|SK[0-9a-f]{{32}}|AC[0-9a-f]{{32}}){_END}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]+-----END [A-Z ]*PRIVATE KEY-----"
)
_SECRET_NAME = (
    r"(?:api[_-]?key|apikey|secret|passw(?:or)?d|passwd|pwd|(?:access|auth|refresh|bearer|csrf|session|id)[_-]?token|"
    r"private[_-]?key|client[_-]?secret|session[_-]?id|phpsessid|license[_-]?key|connection[_-]?string)"
)
_NAMED = re.compile(_SECRET_NAME + r"""["']?\s*[:=]\s*["']([^"'\\<>]{6,200})["']""", re.I)
_NAMED_BARE = re.compile(
    _SECRET_NAME + r"""["']?\s*[:=]\s*((?=[^\s"'<>&,;{}()\\]{0,200}\d)[^\s"'<>&,;{}()\\]{6,200})""", re.I
)
_NAMED_FIELD = re.compile(
    rf"""name=["']?(?=\w*{_SECRET_NAME})[\w-]*+["']?[^<>]{{0,200}}?value=["']([^"']{{6,200}})["']""", re.I
)
_BEARER = re.compile(r"\b(?:Bearer|Basic)\s+([A-Za-z0-9._~+/=-]{8,})")
_LOGIN = re.compile(r"//([^\s/\"'<>@:]{1,80}:[^\s/\"'<>@]{1,80})@[\w.-]")
_COOKIE = re.compile(
    r"(?:(?:wordpress_(?:logged_in|sec)_|wp-settings-|woocommerce_)\w{1,200}+|PHPSESSID)=([^\s;\"'&]{6,})"
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,24}")
_UUID = re.compile(r"(?<![\w-])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![\w-])")
_CACHE_KEY = r"aipkit_sse_[A-Za-z0-9]{32}(?![A-Za-z0-9])"  # random letters, at times without any digit (A3)
_ID = re.compile(
    rf"(?<![\w-])(?:{_CACHE_KEY}|"
    rf"{ID_PREFIX.pattern}(?=[A-Za-z0-9.]*\d)[A-Za-z0-9.]{{8,}})"
)
_IPV4 = re.compile(r"(?<![\w.=-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.-])")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4}){1,6}(?![\w:])")
_PHONE = re.compile(
    r"(?<=tel:)\+?[\d ()./-]{7,24}\d"
    r"|(?<![\w+])\+[1-9]\d{0,2}[ (./-]{1,2}\d[\d ()./-]{5,20}\d"
    r"|(?<![\w+])\+[1-9]\d{9,14}(?!\w)"
)
_HOST = re.compile(
    r"(?:https?:|[\"'=(])//(?:[^\s/\"'<>@]*@)?(?![\w.-]*@)((?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,24})"
)
_NONCE = re.compile(rf"{_START}(?=[0-9]*[a-f])[0-9a-f]{{10}}{_END}")
_NAMED_NONCE = re.compile(r"""nonce["']?\s*(?:[:=]|value=)\s*["']?([0-9a-f]{10})(?![0-9A-Za-z])""", re.I)
_NONCE_TAG = re.compile(r"<[a-z](?=[^<>]{0,4000}nonce)[^<>]{0,8000}+>", re.I)
_TEN_DIGITS = re.compile(rf"{_START}([0-9a-f]{{10}}){_END}")
_TIME = re.compile(r"(?<!\d)(1[5-9]\d{8})(?:\d{3})?(?!\d)")
_HEX_TOKEN = re.compile(rf"{_START}(?:[0-9a-f]{{64}}|[0-9a-f]{{40}}|[0-9a-f]{{32}}){_END}")
_TOKEN = re.compile(r"(?<![A-Za-z0-9_+/=-])[A-Za-z0-9_]{24,}(?![A-Za-z0-9_+/=-])")
_PROMPT = re.compile(
    r"""["'](?:greeting_message|system_prompt|system_instruction|instructions|prompt)["']\s*:\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)\"""",
    re.I | re.S,
)
_FOLDER = re.compile(  # in the words of PHP's messages
    r"""\bin (?:<b>)?((?:/|[A-Za-z]:[\\/])[^<>\s"':*?]{1,200}?)(?<!\\)(?=[\\/]{1,2}"""
    r"""(?:wp-(?:content|includes|admin)[\\/]|[^\\/<>\s"':]{1,80}\.php(?:</b>)?(?: on line |:\d)))"""
)
_PATTERNS: tuple[tuple[SecretKind, tuple[re.Pattern[str], ...]], ...] = (
    ("key", (_KEY, _OTHER_KEYS)),
    ("token", (_JWT,)),
    ("credential", (_NAMED, _NAMED_BARE, _NAMED_FIELD, _BEARER, _LOGIN, _COOKIE)),
    ("e-mail address", (_EMAIL,)),
    ("id", (_UUID, _ID)),
    ("network address", (_IPV4, _IPV6)),
    ("folder", (_FOLDER,)),
    ("phone number", (_PHONE,)),
    ("nonce", (_NAMED_NONCE, _NONCE)),
    ("token", (_HEX_TOKEN,)),
)
"""A pattern's value is its group, else all of it. What a kind finds first keeps that kind."""


def _search(text: str, recording: Recording, add: Callable[[SecretKind, str], None]) -> None:
    for view in unwrapped(text):
        _search_view(view, recording, add)


def _search_view(view: str, recording: Recording, add: Callable[[SecretKind, str], None]) -> None:
    for found in _PROMPT.finditer(view):
        add("prompt", _json_text(found[1]))
    for kind, patterns in _PATTERNS:
        for match in chain.from_iterable(pattern.finditer(view) for pattern in patterns):
            value = match[match.lastindex or 0]
            is_nonce = maybe_nonce(value) is not None
            if kind == "nonce" and not is_nonce:
                continue
            if kind == "credential" and is_nonce:
                continue  # a nonce by another name
            add(kind, value)
    for tag in _NONCE_TAG.finditer(view):
        for match in _TEN_DIGITS.finditer(tag[0]):
            if maybe_nonce(match[1]) and not _is_recent(match[1], recording):
                add("nonce", match[1])
    for match in _HOST.finditer(view):
        if not _SAFE_HOSTS.search(match[1]):
            add("host", match[1].lower().removeprefix("www."))
    for match in _TIME.finditer(view):
        if _is_recent(match[1], recording):
            add("time", match[0])
    for match in _TOKEN.finditer(view):
        is_base64 = view.endswith("base64,", 0, match.start()) or any(base64_texts(match[0].encode()))
        is_mixed = re.search(r"[a-z]", match[0]) and re.search(r"[A-Z]", match[0])
        if is_mixed and len(re.findall(r"\d", match[0])) >= 3 and not is_base64:
            add("token", match[0])


def _is_recent(digits: str, recording: Recording) -> bool:
    return digits.isdecimal() and abs(int(digits) - recording.recorded_at) < 2 * _DAY


def _json_text(literal: str) -> str:
    try:
        return str(json.loads(f'"{literal}"', strict=False))
    except ValueError:
        return literal
