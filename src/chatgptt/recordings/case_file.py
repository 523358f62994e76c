"""The files of a case as bytes: `case.toml`, and the bodies of the replies beside it. Pure.

`case.toml` holds the calls, the boxes, and of every exchange the request and the head of the reply. Chunks
are numbers in it, and the bodies hold no marks: people can read and compare them.

Reading trusts nothing: chunks that do not add up, or a key of the wrong type, are an error.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from itertools import zip_longest
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import tomlkit
from tomlkit.items import Table

from chatgptt._models import ChatBox
from chatgptt.recordings.case import Ask, Case, Chunk, Exchange

CASE_FILE = "case.toml"
_FORMAT = 1
_RENDERED_FILE = "rendered.html"
_Value = TypeVar("_Value")

MAX_TEXT_CHARACTERS = 2**19
"""The longest case.toml of the catalogue is 12 kB; Python's reader of TOML takes 2 s for a megabyte."""

_LONG_KEY = re.compile(
    r"(?<![\w-])(?:[\w-]++|\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+')"
    r"(?:[ \t]*+\.[ \t]*+(?:[\w-]++|\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+')){100}"
)
"""Python's reader of TOML takes time and memory by the square of a dotted key's length: 40 kB take 1.5 GB."""


def parse_toml(text: str) -> Mapping[str, object]:
    """The table of a `case.toml`.

    Raises:
        ValueError: where the text is no TOML, or larger or deeper than a case.
    """
    if len(text) > MAX_TEXT_CHARACTERS or _LONG_KEY.search(text):
        raise ValueError("it is larger or deeper than any case")
    return tomllib.loads(text)


def parse_case(table: Mapping[str, object], read_body: Callable[[str], bytes]) -> Case:
    """The case of a `case.toml`; `read_body` gives the bytes of a body by its file name.

    Raises:
        TypeError, ValueError: where the table holds no case.
        OSError: from `read_body`.
    """
    if table.get("format") != _FORMAT:
        raise ValueError("it is in a format of another version")
    if not table.get("ask"):
        raise ValueError("nothing was asked in it")
    exchanges = tuple(_parse_exchange(one, read_body) for one in _tables(table, "exchange"))
    return _build(
        Case,
        table,
        asks=tuple(_build(Ask, one) for one in _tables(table, "ask")),
        boxes=tuple(_build(ChatBox, one) for one in _tables(table, "box")),
        exchanges=exchanges,
        rendered=_read_body(table, "rendered", read_body),
        rendered_boxes=tuple(_build(ChatBox, one) for one in _tables(table, "rendered_box")),
    )


def _parse_exchange(table: Mapping[str, object], read_body: Callable[[str], bytes]) -> Exchange:
    body = _read_body(table, "body", read_body)
    exchange = _build(Exchange, table, body=body, chunks=_parse_chunks(table, len(body)))
    if exchange.status and not 100 <= exchange.status <= 599:
        raise ValueError(f"{exchange.status} is no status")
    return exchange


def _read_body(table: Mapping[str, object], name: str, read_body: Callable[[str], bytes]) -> bytes:
    file = table.get(name, "")
    return read_body(_checked(name, file, str)) if file else b""


def _parse_chunks(table: Mapping[str, object], size_bytes: int) -> tuple[Chunk, ...]:
    sizes = _checked("chunks", table.get("chunks", [size_bytes] if size_bytes else []), list)
    delays = _checked("delays", table.get("delays", []), list)
    pairs = zip_longest(sizes, delays, fillvalue=0.0)
    chunks = tuple(Chunk(size_bytes=int(size), delay=float(delay)) for size, delay in pairs)
    if sum(chunk.size_bytes for chunk in chunks) != size_bytes or any(one.size_bytes < 0 for one in chunks):
        file = table.get("body", "an empty body")
        raise ValueError(f"the chunks of {file} do not add up to its {size_bytes} bytes")
    return chunks


def _tables(table: Mapping[str, object], name: str) -> list[dict[str, object]]:
    return [_checked(name, one, dict) for one in _checked(name, table.get(name, []), list)]


def _build(make: Callable[..., _Value], table: Mapping[str, object], **known: object) -> _Value:
    """A value whose other fields the table has by their names. What may be None may be missing."""
    for name, hint in get_type_hints(make).items():
        if name not in known and name in table:
            known[name] = _parse_field(name, table[name], hint)
        elif name not in known and NoneType in get_args(hint):
            known[name] = None
    return make(**known)


def _parse_field(name: str, value: object, hint: object) -> object:
    """The value of a field, which has to have the field's type."""
    kinds = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    choices = [choice for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if choices:
        if value not in choices:
            raise ValueError(f"{name!r} cannot be {value!r:.60}")
        return value
    if hint == tuple[tuple[str, str], ...]:
        pairs = _checked(name, value, dict)
        if not all(isinstance(one, str) for one in pairs.values()):
            raise TypeError(f"{name!r} has to hold texts")
        return tuple(pairs.items())
    if hint == tuple[str, ...]:
        return tuple(map(str, _checked(name, value, list)))
    kind = kinds[0]
    assert isinstance(kind, type)
    return _checked(name, value, kind)


def _checked(name: str, value: object, kind: type[_Value]) -> _Value:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{name!r} has to be a {kind.__name__}, not {value!r:.60}")
    return value


def files_of(case: Case) -> dict[str, bytes]:
    """The files of a case: the bytes of each by its name."""
    bodies: dict[str, bytes] = {}
    exchanges = []
    for number, exchange in enumerate(case.exchanges, 1):
        name = f"{number:02}-{_role(exchange)}.{_SUFFIXES.get(exchange.media_type, 'bin')}"
        if exchange.body:
            bodies[name] = exchange.body
        exchanges.append(_exchange_table(exchange, name if exchange.body else ""))
    if case.rendered:
        bodies[_RENDERED_FILE] = case.rendered
    document = tomlkit.document()
    document.add(tomlkit.comment("Recorded by `chatgptt record` and scrubbed; see docs/fixtures.md."))
    document.update(_table(_case_table(case)))
    for name, tables in (
        ("ask", [{**asdict(ask), "is_streamed": ask.is_streamed or None} for ask in case.asks]),
        ("box", [_fields_of(box) for box in case.boxes]),
        ("rendered_box", [_fields_of(box) for box in case.rendered_boxes]),
        ("exchange", exchanges),
    ):
        if tables:
            document.add(tomlkit.nl())
            document.add(name, tomlkit.aot())
            document[name].extend(map(_table, tables))
    return {CASE_FILE: tomlkit.dumps(document).encode(), **bodies}


def _case_table(case: Case) -> dict[str, object]:
    return {
        "format": _FORMAT,
        "recorded": case.recorded,
        "page": case.page,
        "note": case.note,
        "protocol": case.protocol,
        "plugin_version": case.plugin_version,
        "strategy": case.strategy,
        "bot": case.bot,
        "rendered": _RENDERED_FILE if case.rendered else "",
    }


def _fields_of(value: ChatBox | Exchange) -> dict[str, object]:
    """The fields by their name, without those that have their default."""
    kept = {one.name: getattr(value, one.name) for one in fields(value) if one.compare}
    defaults = {one.name: one.default for one in fields(value)}
    return {name: found for name, found in kept.items() if found != defaults[name]}


def _exchange_table(exchange: Exchange, name: str) -> dict[str, object]:
    sizes = [chunk.size_bytes for chunk in exchange.chunks]
    delays = [chunk.delay for chunk in exchange.chunks]
    pairs = {part: dict(getattr(exchange, part)) for part in ("query", "fields", "headers")}
    own = {"body": name, "chunks": sizes if len(sizes) != 1 else [], "delays": delays if any(delays) else []}
    return {**_fields_of(exchange), **pairs, **own}


def _role(exchange: Exchange) -> str:
    """The role of an exchange in the visit, with which its file's name begins."""
    match exchange.action:
        case "" if exchange.media_type.endswith("javascript"):
            return "script"
        case "" if exchange.by == "browser" and exchange.media_type != "text/html":
            return "reply"
        case "":
            return "page"
        case "wpaicg_chat_shortcode_message" | "wpaicg_chatbox_message" | "aipkit_frontend_chat_stream":
            return "answer"
        case "aipkit_cache_sse_message":
            return "upload"
        case "aipkit_get_frontend_chat_nonce":
            return "nonce"
        case _:
            return "reply"


_SUFFIXES = {
    "text/html": "html",
    "application/json": "json",
    "text/event-stream": "sse",
    "text/javascript": "js",
    "application/javascript": "js",
    "text/plain": "txt",
}
"""The suffix of a body's file by its media type."""


def _table(values: Mapping[str, object]) -> Table:
    """A table with a line for each value that is not empty."""
    table = tomlkit.table()
    for name, value in values.items():
        if value is None or value in ("", [], {}, ()):
            continue
        if isinstance(value, dict):
            inline = tomlkit.inline_table()
            inline.update(value)
            table.add(name, inline)
        else:
            table.add(name, tomlkit.item(value))
    return table
