"""Which recorded reply answers a request of a replay. Pure.

Requests are the same if their method, host, path, query and fields are the same, without the values that a
client makes anew each time. Replies to the same request come in the recorded order, and then the last one
again and again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from chatgptt.recordings.case import Case, Exchange

Pairs = tuple[tuple[str, str], ...]
RequestKey = tuple[str, str, str, frozenset[tuple[str, str]], frozenset[tuple[str, str]]]

_MADE_ANEW = frozenset(
    {
        "chat_id",
        "_ts",
        "user_client_message_id",
        "nocache",
        "wpaicg_chat_client_id",
        "session_id",
        "conversation_uuid",
    }
)
"""Parameters that differ with every client. Their presence counts, their value does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """A request that a replay got. `host` is "" for the page's own site."""

    method: str
    host: str
    target: str
    fields: Pairs
    headers: Mapping[str, str]

    @property
    def is_by_page(self) -> bool:
        """Whether a browser sent it for a page."""
        return "sec-fetch-mode" in self.headers

    @property
    def path(self) -> str:
        """The path of the target."""
        return urlsplit(self.target).path

    @property
    def query(self) -> Pairs:
        """The pairs of the query."""
        return tuple(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def key(self) -> RequestKey:
        """A key that is the same for requests that are the same."""
        return _key(self.method, self.host, self.path, self.query, self.fields)

    def __str__(self) -> str:
        return _describe(self.method, self.host, self.path, dict((*self.query, *self.fields)))


class RecordedReplies:
    """The exchanges of a case by their request. `localise` puts the replay's addresses into a text."""

    def __init__(self, case: Case, localise: Callable[[str], str]) -> None:
        self._exchanges: dict[RequestKey, list[Exchange]] = {}
        self._turns: dict[RequestKey, int] = {}
        for one in case.exchanges:
            query, fields = (
                tuple((name, localise(value)) for name, value in pairs) for pairs in (one.query, one.fields)
            )
            key = _key(one.method, one.host, one.path, query, fields)
            self._exchanges.setdefault(key, []).append(one)

    def rewind(self) -> None:
        """Begins the recorded order again."""
        self._turns.clear()

    def find(self, request: ReplayRequest) -> Exchange | None:
        """The next reply to this request; None where the case has none."""
        key = request.key
        if request.is_by_page and key not in self._exchanges:
            key = self._find_similar(request)
        exchanges = self._exchanges.get(key)
        if exchanges is None:
            return None
        turn = self._turns.get(key, 0)
        self._turns[key] = turn + 1
        return exchanges[min(turn, len(exchanges) - 1)]

    def _find_similar(self, request: ReplayRequest) -> RequestKey:
        """The key of a page's request with the same names and action: scripts send random values."""
        form = _form(request.query, request.fields)
        for key, (one, *_) in self._exchanges.items():
            if one.by == "browser" and key[:3] == request.key[:3] and _form(one.query, one.fields) == form:
                return key
        return request.key


def request_key(exchange: Exchange) -> RequestKey:
    """A key that is the same for exchanges whose requests are the same."""
    return _key(exchange.method, exchange.host, exchange.path, exchange.query, exchange.fields)


def _key(method: str, host: str, path: str, query: Pairs, fields: Pairs) -> RequestKey:
    path = re.sub(r"/[0-9a-f]{16}(?=/)", "/*", path)
    return method, host, path, _comparable(query), _comparable(fields)


def _comparable(pairs: Pairs) -> frozenset[tuple[str, str]]:
    # Of several values by one name a case keeps the last.
    return frozenset((name, "*" if name in _MADE_ANEW else value) for name, value in dict(pairs).items())


def _form(query: Pairs, fields: Pairs) -> tuple[set[str], set[str], str | None]:
    return set(dict(query)), set(dict(fields)), dict((*query, *fields)).get("action")


def explain_miss(request: ReplayRequest, case: Case) -> str:
    """The text for a request that the case has no reply to: the recorded requests, and the difference."""
    recorded = dict.fromkeys(
        _describe(one.method, one.host, one.path, dict((*one.query, *one.fields))) for one in case.exchanges
    )
    return (
        f"the recorded case has no reply to {request}. It answers only what was recorded:\n"
        + "".join(f"  {line}\n" for line in recorded)
        + _difference(request, case)
    )


def recorded_messages(request: ReplayRequest, case: Case) -> str:
    """The recorded messages, for a request with another message; else ""."""
    message = dict(request.fields).get("message")
    if message is None or message in case.messages:
        return ""
    return f"; recorded: {', '.join(f'{one!r:.80}' for one in case.messages) or 'no message'}"


def _describe(method: str, host: str, path: str, values: Mapping[str, str]) -> str:
    words = f"{method} //{host}{path}" if host else f"{method} {path}"
    if values.get("action"):
        words += f" action={values['action']}"
    return f"{words} message={values['message']!r:.80}" if "message" in values else words


def _difference(request: ReplayRequest, case: Case) -> str:
    """The names that differ from a recorded request with the same path and action."""
    sent = dict((*request.query, *request.fields))
    for one in case.exchanges:
        recorded = dict((*one.query, *one.fields))
        is_same_place = (one.method, one.host, one.path) == (request.method, request.host, request.path)
        if is_same_place and recorded.get("action") == sent.get("action"):
            names = [
                name
                for name in sorted(recorded.keys() | sent.keys())
                if recorded.get(name) != sent.get(name)
                and (name not in _MADE_ANEW or (name in recorded) != (name in sent))
            ]
            return f"What differs from a recorded request: {', '.join(names)}\n"
    return ""


def read_fields(content_type: str, body: str) -> Pairs:
    """The fields of a request's body: url-encoded, in parts or in JSON.

    Another text is a field without a name.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind.endswith("json") or kind == "text/plain":
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return tuple((_as_text(name), _as_text(member)) for name, member in value.items())
        return (("", body),) if body else ()
    if "multipart/form-data" in content_type:
        return tuple(_read_parts(body))
    return tuple(parse_qsl(body, keep_blank_values=True))


def _read_parts(body: str) -> Iterator[tuple[str, str]]:
    *parts, _ = body.split("\r\n--")
    for part in parts:
        head, blank, value = part.partition("\r\n\r\n")
        name = re.search(r'[; ]name="([^"]*)"', head)
        if blank and name is not None:
            yield name[1], value


def _as_text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()  # JSON may hold halves of surrogate pairs
