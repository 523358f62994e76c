"""What a recording must not tell, found and replaced before anything is written.

Pure: from a recording to a case, or to an error. Three steps, each of which sees everything that was
recorded:

1. `find_secrets` collects values: what the requests are known to carry (nonces, ids, cookies), what a
   pattern knows (keys, addresses, tokens), what a name announces (`greeting_message`, `password`). It reads
   every text as it stands and unwrapped: escapes of HTML, JSON and URLs taken off, base64 decoded.
2. Each value is replaced wherever it occurs, in any escaping, by a stand-in that is the same everywhere.
3. `check` unwraps the result once more and searches it for every value. If one is left, nothing is written.

What is missed by the first step is missed: a secret without a form or a name cannot be told from a text. A
look at the files before they are published stays with whoever records.
"""

from __future__ import annotations

import base64
import datetime
import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from chatgptt._models import ChatBox, Strategy
from chatgptt.protocols.boxes import find_boxes
from chatgptt.protocols.page import Page, maybe_nonce
from chatgptt.protocols.text import unescape
from chatgptt.protocols.urls import origin
from chatgptt.recordings.case import Ask, Case, CaseError, Chunk, Exchange, files_of
from chatgptt.recordings.edits import Edit, apply, base64_texts, cut, sub
from chatgptt.recordings.finder import Word, find_all, tree
from chatgptt.recordings.standins import KEY_PREFIX, SITE, Kind, StandIns, elsewhere, is_stand_in
from chatgptt.recordings.trim import is_needed_script, trim_page, trim_script

__all__ = ["ANEW", "Recording", "ScrubReport", "Secret", "check", "find_secrets", "scrub"]

ANEW = frozenset({"chat_id", "_ts", "user_client_message_id", "nocache"})
"""Parameters that are made up for each request and that nothing refers to; a case has `*` in their place."""

_IDS: dict[str, Kind] = {
    "wpaicg_chat_client_id": "client id",
    "session_id": "session id",
    "conversation_uuid": "conversation id",
    "cache_key": "cache key",
    "thread_id": "thread id",
}
_NONCES = {"_wpnonce", "_ajax_nonce"}

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
"""Headers that the client or a browser acts on, or that tell whose reply it is (docs/protocols.md C1, C4)."""

_SAFE_HOSTS = re.compile(
    r"(?:^|\.)(?:w\.org|wordpress\.org|wordpress\.com|w3\.org|schema\.org|gmpg\.org|openai\.com|googleapis\.com|gstatic\.com|"
    r"cloudflare\.com|jsdelivr\.net|cloudflare\.net|aipower\.org|example\.(?:com|org|net))$",
    re.I,
)
"""Hosts that every WordPress page names; they tell nothing about one."""

_MOST_TEXT = 60
"""Characters of one searched value; longer ones are searched in pieces, as each may be escaped."""

_LEAST = 6
"""Characters below which a value is not searched for: it would be found everywhere."""

_WHOLE: frozenset[Kind] = frozenset({"host", "e-mail address"})
"""Values that are replaced as a whole, however long they are: a part of one cannot be recognised."""

_DAY = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """What was recorded, as it went over the wire. It stays in memory.

    `hosts` are those of the page's site that were talked to, the page's own first, with their port if they
    have one. `elsewhere` are the others, from which the page loaded things in the browser; an exchange names
    the one that it went to. `credentials` are cookies and logins. `recorded_at` is in Unix seconds. With
    `keeps_scripts`, scripts that seem to have nothing to do with the chat are kept too.
    """

    page: str
    asks: tuple[Ask, ...]
    exchanges: tuple[Exchange, ...]
    recorded_at: float
    hosts: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()
    credentials: tuple[str, ...] = ()
    bot: str = ""
    strategy: Strategy = "static"
    note: str = ""
    rendered: bytes = b""
    keeps_scripts: bool = False

    @property
    def is_run(self) -> bool:
        """Whether a browser ran the page."""
        return any(exchange.by == "browser" for exchange in self.exchanges)


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must not be told."""

    kind: Kind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrubReport:
    """What was replaced and what was left out.

    Attributes:
        values: how many different values of each kind were found.
        places: how often they were replaced.
        removed: how many parts of pages were left out, by kind.
        headers: how many headers of replies were dropped.
    """

    values: Counter[str]
    places: Counter[str]
    removed: Counter[str]
    headers: int

    def lines(self) -> list[str]:
        """The report in words, one fact a line."""
        found = [
            f"{kind}: {_counted(number, 'value')} in {_counted(self.places[kind], 'place')} replaced"
            for kind, number in sorted(self.values.items())
        ]
        found += [
            f"{what}: {_counted(number, 'place')} taken out" for what, number in sorted(self.removed.items())
        ]
        return [*found, f"headers: {self.headers} dropped"]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def scrub(recording: Recording) -> tuple[Case, ScrubReport]:
    """The recording as a case that can be shown to anybody, and what was done to it.

    Raises:
        CaseError: where a value would be left, or the page would not show the same boxes any more.
    """
    secrets = find_secrets(recording)
    cleaner = _Cleaner(recording, secrets)
    exchanges = tuple(cleaner.clean_exchange(exchange) for exchange in recording.exchanges)
    case = Case(
        recorded=datetime.datetime.fromtimestamp(recording.recorded_at, datetime.UTC).date(),
        page=cleaner.clean_text(recording.page),
        asks=tuple(_clean_ask(ask, cleaner) for ask in recording.asks),
        exchanges=exchanges,
        bot=cleaner.clean_text(recording.bot),
        strategy=recording.strategy,
        note=cleaner.clean_text(recording.note),
        rendered=cleaner.clean_page(recording.rendered),
    )
    case = replace(case, boxes=boxes_of(case), rendered_boxes=rendered_boxes_of(case))
    before = boxes_of(
        Case(recorded=case.recorded, page=recording.page, asks=case.asks, exchanges=recording.exchanges)
    )
    if [_plain(box, cleaner) for box in before] != [_plain(box, cleaner) for box in case.boxes]:
        raise CaseError(
            "scrubbing would change which chat boxes the page shows; nothing was written",
            hint="tell the project, with the markup of the boxes",
        )
    check(case, secrets)
    report = ScrubReport(
        values=Counter(secret.kind for secret in secrets),
        places=cleaner.places,
        removed=cleaner.removed,
        headers=cleaner.dropped,
    )
    return case, report


def boxes_of(case: Case) -> tuple[ChatBox, ...]:
    """The boxes that the case's page shows as it was served, by extraction alone."""
    served = case.served
    if served is None or served.status >= 400 or served.media_type not in ("", "text/html", "text/plain"):
        return ()
    return tuple(find_boxes(Page(served.body, f"{origin(case.page)}{served.path}")))


def rendered_boxes_of(case: Case) -> tuple[ChatBox, ...]:
    """The boxes of the page's document as the browser left it, by extraction alone."""
    return tuple(find_boxes(Page(case.rendered, case.page))) if case.rendered else ()


def _plain(box: ChatBox, cleaner: _Cleaner) -> tuple[object, ...]:
    """What of a box scrubbing may not change, its texts cleaned on both sides."""
    texts = (box.ajax_url, box.nonce or "", box.name, box.page_url, box.consent)
    return (
        *(cleaner.clean_text(text) for text in texts),
        (box.protocol, box.kind, box.bot_id, box.post_id, box.is_streaming, box.memory_limit),
        (box.image_triggers, box.plugin_version),
    )


def _clean_ask(ask: Ask, cleaner: _Cleaner) -> Ask:
    message = None if ask.message is None else cleaner.clean_text(ask.message)
    return replace(ask, message=message, text=cleaner.clean_text(ask.text))


# Finding


def find_secrets(recording: Recording) -> list[Secret]:
    """Every value of the recording that must not be told, in the order in which they appear."""
    found: dict[str, Secret] = {}

    def add(kind: Kind, value: str) -> None:
        for piece in (value,) if kind in _WHOLE else _pieces(value):
            if len(piece) >= _LEAST and piece not in found and not is_stand_in(kind, piece):
                found[piece] = Secret(kind, piece)

    for host in recording.hosts:
        for name in _names(host):
            if name != SITE:
                found.setdefault(name, Secret("host", name))
    for host in recording.elsewhere:
        for name in _names(host, has_parent=False):
            found.setdefault(name, Secret("host", name))
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
        for text in (exchange.path, *_texts(exchange)):
            for view in unwrapped(text):
                _search(view, recording, add)
    for text in (recording.page, recording.rendered.decode("utf-8", "replace"), *_asked(recording)):
        for view in unwrapped(text):
            _search(view, recording, add)
    return list(found.values())


def _names(host: str, *, has_parent: bool = True) -> Iterator[str]:
    """A host with its port and without, less its `www.`, and the domain that it belongs to."""
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
    yield exchange.body.decode("utf-8", "surrogateescape")
    for _, value in (*exchange.headers, *exchange.query, *exchange.fields):
        yield value
    if exchange.by == "browser":  # a page's own requests, where a name may tell what its value is
        for name, value in (*exchange.query, *exchange.fields):
            yield f"{name}={value}"


def _asked(recording: Recording) -> Iterator[str]:
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
    for *_, plain in base64_texts(text.encode("utf-8", "surrogateescape" if _is_bytes(text) else "replace")):
        yield plain.decode("utf-8", "replace")


def _is_bytes(text: str) -> bool:
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


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
    r"(?:aipkit_sse_|aipkit-msg-|trigger-|chatcmpl-|cmpl-|resp_|msg_|thread_|run_|step_|asst_|req_|call_|gen-|fp_|vs_|"
    r"file-)(?=[A-Za-z0-9.]*\d)[A-Za-z0-9.]{8,})"
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
_PATTERNS: tuple[tuple[Kind, re.Pattern[str], int], ...] = (
    ("key", _KEY, 0),
    ("key", _OTHER_KEYS, 0),
    ("token", _JWT, 1),
    ("credential", _NAMED, 1),
    ("credential", _NAMED_BARE, 1),
    ("credential", _NAMED_FIELD, 1),
    ("credential", _BEARER, 1),
    ("credential", _LOGIN, 1),
    ("credential", _COOKIE, 1),
    ("e-mail address", _EMAIL, 0),
    ("id", _UUID, 0),
    ("id", _ID, 0),
    ("network address", _IPV4, 0),
    ("network address", _IPV6, 0),
    ("folder", _FOLDER, 1),
    ("phone number", _PHONE, 0),
    ("nonce", _NAMED_NONCE, 1),
    ("nonce", _NONCE, 0),
    ("token", _HEX_TOKEN, 0),
)


def _search(view: str, recording: Recording, add: Callable[[Kind, str], None]) -> None:
    for found in _PROMPT.finditer(view):
        add("prompt", _json_text(found[1]))
    for kind, pattern, group in _PATTERNS:
        for match in pattern.finditer(view):
            value = match[group]
            if kind == "nonce" and maybe_nonce(value) is None:
                continue
            if kind == "credential" and maybe_nonce(value):
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
        text = json.loads(f'"{literal}"', strict=False)
    except ValueError:
        return literal
    return text if isinstance(text, str) else literal


# Replacing


class _Cleaner:
    """Replaces the secrets of one recording, wherever they are."""

    def __init__(self, recording: Recording, secrets: Iterable[Secret]) -> None:
        self.places: Counter[str] = Counter()
        self.removed: Counter[str] = Counter()
        self.dropped = 0
        self._scheme = urlsplit(recording.page).scheme.encode()
        self._by_name: dict[str, tuple[Kind, bytes]] = {}
        self._is_run = recording.is_run
        self._keeps_scripts = recording.keeps_scripts
        served = {
            name: elsewhere(number)
            for number, host in enumerate(recording.elsewhere, 1)
            for name in _names(host, has_parent=False)
        }
        served |= {name: SITE for host in recording.hosts for name in _names(host)}
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
            words[beginning].append(_any_escaping(secret, name))
        self._plain, *self._hosts = (
            re.compile((beginning + tree(some)).encode("latin-1")) if some else None
            for beginning, some in words.items()
        )

    def clean_exchange(self, exchange: Exchange) -> Exchange:
        """The exchange, without secrets and without what a fixture has no use for."""
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
        return tuple((name, "*" if name in ANEW else self.clean_text(value)) for name, value in pairs)

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
        """A script as a page has to get it: whole, or none of it."""
        if self._keeps_scripts or is_needed_script(exchange.path, exchange.body):
            return self._clean(exchange.body)[0]
        self.removed["scripts"] += bool(exchange.body)
        return b""

    def clean_page(self, page: bytes, *, is_run: bool = False) -> bytes:
        """A page, cleaned and trimmed."""
        page = self._clean(page)[0]
        return apply(page, trim_page(page, self.removed, is_run=is_run))

    def clean_text(self, text: str) -> str:
        """A text of ours: a URL, a field, an answer."""
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
        """An address of the site takes the page's scheme, since a replayed case has only one."""
        before = _ADDRESS.match(found)
        return stand_in if before is None else self._scheme + before["between"] + stand_in


_LOG = re.compile(rb'("log":"?)\d{1,7}(?="?[,}])')
"""1.x numbers its log entries, and says so in each JSON reply (docs/protocols.md W4)."""

_BETWEEN = rb"(?::|%3[Aa]|&#0?58;|\\u003[aA])(?:\\?/|%2[Ff]|&#0?47;|\\u002[fF]){2}"
_ADDRESS = re.compile(rb"https?(?P<between>" + _BETWEEN + rb")", re.I)


def _in_one(body: bytes, chunks: tuple[Chunk, ...]) -> tuple[bytes, tuple[Chunk, ...]]:
    """A body that nobody reads in pieces, in one chunk: where the network cut a page means nothing."""
    delay = sum(chunk.delay for chunk in chunks)
    return body, (Chunk(size_bytes=len(body), delay=delay),) if body else ()


_PLAIN = ""
_FOREIGN_HOST = r"(?:www\.)?"
_OWN_HOST = f"(?:https?{_BETWEEN.decode()})?{_FOREIGN_HOST}"
"""Text that may precede a value. Hosts are searched in lower case."""


def _any_escaping(secret: Secret, name: str) -> Word:
    """A value however its characters are escaped."""
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


# Checking


def check(case: Case, secrets: Iterable[Secret]) -> None:
    """Searches everything that would be written for every value, in every escaping.

    Raises:
        CaseError: naming file and kind of what is left, never the value.
    """
    wanted = {secret.value.lower(): secret.kind for secret in secrets if secret.kind != "time"}
    if not wanted:
        return
    coded = {
        code.decode(): secret.kind
        for secret in secrets
        if secret.kind != "time"
        for code in _in_base64(secret.value)
    }
    in_views, in_data = (
        re.compile(tree([Word(tuple(map(re.escape, value))) for value in some])) for some in (wanted, coded)
    )
    left: dict[str, None] = {}
    for name, data in files_of(case).items():
        text = data.decode("utf-8", "surrogateescape")
        found = {wanted[match[0]] for view in unwrapped(text) for match in in_views.finditer(view.lower())}
        found |= {coded[match[0]] for match in in_data.finditer(text)}
        left |= dict.fromkeys(f"a {kind} in {name}" for kind in sorted(found))
    if left:
        raise CaseError(
            f"scrubbing would leave {', '.join(left)}; nothing was written",
            hint="tell the project in what form the value stands there, without the value",
        )


def _in_base64(value: str) -> Iterator[bytes]:
    """The characters that a value has in base64 at each of its three alignments, whatever is around it."""
    data = value.encode("utf-8", "surrogatepass")
    for before in range(3):
        code = base64.b64encode(b"\0" * before + data)
        whole = (before + len(data)) * 8 // 6
        yield code[-(-before * 8 // 6) : whole]
