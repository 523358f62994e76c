"""Which recorded reply answers a request of a replay. Pure.

Requests are the same if their method, host, path, query and fields are the same, without the values that a
client makes anew each time. Replies to the same request come in the recorded order, and then the last one
again and again.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

from chatgptt.recordings.case import Case, Exchange, Sender

Pairs = tuple[tuple[str, str], ...]
RequestKey = tuple[str, str, str, frozenset[tuple[str, str]], frozenset[tuple[str, str]]]

MADE_ANEW = frozenset({"chat_id", "_ts", "user_client_message_id", "nocache"})
"""Parameters that are made for each request and that nothing refers to. A case has `*` as their value."""

_OWN_TO_CLIENT = MADE_ANEW | {"wpaicg_chat_client_id", "session_id", "conversation_uuid"}
"""Parameters that differ with every client. Their presence counts, their value does not."""


def exchange_of(
    method: str, host: str, target: str, content_type: str, body: bytes, *, by: Sender = "client"
) -> Exchange:
    """The exchange of a request whose reply is still to come; of several values by one name it has the last.

    Args:
        method: the request's.
        host: with its port.
        target: path and query.
        content_type: that of the request's own body.
        body: the request's.
        by: who sent it.
    """
    parts = urlsplit(target)
    fields = read_fields(content_type, body.decode("utf-8", "replace"))
    return Exchange(
        method=method,
        host=host,
        path=parts.path or "/",
        query=tuple(dict(parse_qsl(parts.query, keep_blank_values=True)).items()),
        fields=tuple(dict(fields).items()),
        status=0,
        ending="nothing",
        by=by,
    )


class RecordedReplies:
    """The exchanges of a case by their request. `localise` puts the replay's addresses into a text."""

    def __init__(self, case: Case, localise: Callable[[str], str]) -> None:
        self._exchanges: dict[RequestKey, list[Exchange]] = {}
        self._turns: Counter[RequestKey] = Counter()
        for one in case.exchanges:
            query, fields = (
                tuple((name, localise(value)) for name, value in pairs) for pairs in (one.query, one.fields)
            )
            key = request_key(replace(one, query=query, fields=fields))
            self._exchanges.setdefault(key, []).append(one)

    def rewind(self) -> None:
        """Begins the recorded order again."""
        self._turns.clear()

    def find(self, request: Exchange) -> Exchange | None:
        """The next exchange with this request; None where the case has none."""
        key = request_key(request)
        if request.by == "browser" and key not in self._exchanges:
            key = self._find_similar(request)
        exchanges = self._exchanges.get(key)
        if exchanges is None:
            return None
        self._turns[key] += 1
        return exchanges[min(self._turns[key], len(exchanges)) - 1]

    def _find_similar(self, request: Exchange) -> RequestKey:
        """The key of a page's request with the same names and action: scripts send random values."""
        wanted = request_key(request)
        for key, (one, *_) in self._exchanges.items():
            if one.by == "browser" and key[:3] == wanted[:3] and _form(one) == _form(request):
                return key
        return wanted


def request_key(exchange: Exchange) -> RequestKey:
    """A key that is the same for exchanges whose requests are the same."""
    path = re.sub(r"/[0-9a-f]{16}(?=/)", "/*", exchange.path)
    query, fields = (frozenset(_comparable(pairs).items()) for pairs in (exchange.query, exchange.fields))
    return exchange.method, exchange.host, path, query, fields


def _comparable(pairs: Pairs) -> dict[str, str]:
    """The pairs, without the values that a client makes anew each time."""
    return {name: "*" if name in _OWN_TO_CLIENT else value for name, value in pairs}


def _form(exchange: Exchange) -> tuple[object, ...]:
    return set(dict(exchange.query)), set(dict(exchange.fields)), exchange.action


def describe(request: Exchange) -> str:
    """A request in words."""
    words = f"{request.method} {'//' if request.host else ''}{request.host}{request.path}"
    if request.action:
        words += f" action={request.action}"
    values = dict((*request.query, *request.fields))
    return f"{words} message={values['message']!r:.80}" if "message" in values else words


def explain_miss(request: Exchange, case: Case) -> str:
    """The text for a request that the case has no reply to: the recorded requests, and the difference."""
    recorded = "".join(f"  {line}\n" for line in dict.fromkeys(map(describe, case.exchanges)))
    return (
        f"the recorded case has no reply to {describe(request)}. It answers only what was recorded:\n"
        f"{recorded}{_difference(request, case)}"
    )


def recorded_messages(request: Exchange, case: Case) -> str:
    """The recorded messages, for a request with another message; else ""."""
    message = dict(request.fields).get("message")
    if message is None or message in case.messages:
        return ""
    return f"; recorded: {', '.join(f'{one!r:.80}' for one in case.messages) or 'no message'}"


def _difference(request: Exchange, case: Case) -> str:
    """The names that differ from a recorded request with the same path and action."""

    def place(exchange: Exchange) -> tuple[str, ...]:
        return exchange.method, exchange.host, exchange.path, exchange.action

    for one in case.exchanges:
        if place(one) == place(request):
            sent, recorded = (_comparable((*some.query, *some.fields)) for some in (request, one))
            names = sorted({name for name, _ in sent.items() ^ recorded.items()})
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
