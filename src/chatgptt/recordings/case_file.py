"""The files of a case as bytes: `case.toml`, and the bodies of the replies beside it. Pure.

`case.toml` holds the calls, the boxes, and of every exchange the request and the head of the reply. Chunks
are numbers in it, and the bodies hold no marks: people can read and compare them.

Reading trusts nothing: chunks that do not add up, or a key of the wrong type, are an error.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from typing import TypeVar, get_args

import tomlkit
from tomlkit.items import Table

from chatgptt._models import BoxKind, ChatBox, PluginGeneration, Rung, Strategy
from chatgptt.recordings.case import OUTCOMES, Ask, Case, Chunk, Exchange, Framing, ReplyEnding, Sender

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


class TomlTable:
    """A table of TOML. Each value is taken with its type."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def take(self, name: str, kind: type[_Value], default: _Value | None = None) -> _Value:
        """A value of this type. Without a default it has to be there."""
        value = self._values.get(name, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{name!r} has to be a {kind.__name__}, not {value!r:.60}")
        return value

    def choose(self, name: str, choices: Iterable[_Value], default: str | None = None) -> _Value:
        """The choice that equals a text."""
        value = self.take(name, str, default)
        for choice in choices:
            if choice == value:
                return choice
        raise ValueError(f"{name!r} cannot be {value!r:.60}")

    def has(self, name: str) -> bool:
        """Whether the table has a value of this name."""
        return name in self._values

    def tables(self, name: str) -> list[TomlTable]:
        """A list of tables; empty where there is none."""
        found = []
        for value in self.take(name, list, []):
            if not isinstance(value, dict):
                raise TypeError(f"{name!r} has to be a list of tables")
            found.append(TomlTable(value))
        return found

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """The pairs of a table of texts; none where there is none."""
        values = self.take(name, dict, {})
        if not all(isinstance(value, str) for value in values.values()):
            raise TypeError(f"{name!r} has to hold texts")
        return tuple(values.items())


def parse_toml(text: str) -> TomlTable:
    """The table of a `case.toml`.

    Raises:
        ValueError: where the text is no TOML, or larger or deeper than a case.
    """
    if len(text) > MAX_TEXT_CHARACTERS or _LONG_KEY.search(text):
        raise ValueError("it is larger or deeper than any case")
    return TomlTable(tomllib.loads(text))


def parse_case(table: TomlTable, read_body: Callable[[str], bytes]) -> Case:
    """The case of a `case.toml`; `read_body` gives the bytes of a body by its file name.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: where the table holds no case.
        OSError: from `read_body`.
    """
    if table.take("format", int) != _FORMAT:
        raise ValueError("it is in a format of another version")
    asks = table.tables("ask")
    if not asks:
        raise ValueError("nothing was asked in it")
    rendered = table.take("rendered", str, "")
    return Case(
        recorded=table.take("recorded", datetime.date),
        page=table.take("page", str),
        bot=table.take("bot", str, ""),
        strategy=table.choose("strategy", get_args(Strategy), "static"),
        note=table.take("note", str, ""),
        asks=tuple(_parse_ask(ask) for ask in asks),
        boxes=tuple(_parse_box(box) for box in table.tables("box")),
        exchanges=tuple(_parse_exchange(exchange, read_body) for exchange in table.tables("exchange")),
        rendered=read_body(rendered) if rendered else b"",
        rendered_boxes=tuple(_parse_box(box) for box in table.tables("rendered_box")),
    )


def _parse_ask(table: TomlTable) -> Ask:
    return Ask(
        message=table.take("message", str, "") or None,
        outcome=table.choose("outcome", OUTCOMES),
        reason=table.take("reason", str, ""),
        rung=table.choose("rung", get_args(Rung)) if table.has("rung") else None,
        text=table.take("text", str, ""),
        is_streamed=table.take("is_streamed", bool, False),
        attempts=table.take("attempts", int, 0),
    )


def _parse_box(table: TomlTable) -> ChatBox:
    post_id = table.take("post_id", int, -1)
    return ChatBox(
        protocol=table.choose("protocol", get_args(PluginGeneration)),
        kind=table.choose("kind", get_args(BoxKind)),
        bot_id=table.take("bot_id", int),
        post_id=None if post_id < 0 else post_id,
        ajax_url=table.take("ajax_url", str),
        nonce=table.take("nonce", str, "") or None,
        found_by=table.choose("found_by", get_args(Rung), "html"),
        name=table.take("name", str, ""),
        page_url=table.take("page_url", str, ""),
        is_streaming=table.take("is_streaming", bool, True),
        memory_limit=table.take("memory_limit", int, 100),
        consent=table.take("consent", str, ""),
        origin=table.take("origin", str, ""),
        image_triggers=tuple(map(str, table.take("image_triggers", list, []))),
        plugin_version=table.take("plugin_version", str, ""),
    )


def _parse_exchange(table: TomlTable, read_body: Callable[[str], bytes]) -> Exchange:
    file = table.take("body", str, "")
    body = read_body(file) if file else b""
    status = table.take("status", int)
    if status and not 100 <= status <= 599:
        raise ValueError(f"{status} is no status")
    return Exchange(
        method=table.take("method", str),
        path=table.take("path", str),
        query=table.pairs("query"),
        fields=table.pairs("fields"),
        status=status,
        headers=table.pairs("headers"),
        body=body,
        chunks=_parse_chunks(table, len(body), file),
        framing=table.choose("framing", get_args(Framing), "length"),
        ending=table.choose("ending", get_args(ReplyEnding), "complete"),
        by=table.choose("by", get_args(Sender), "client"),
        host=table.take("host", str, ""),
        is_written=table.take("is_written", bool, False),
    )


def _parse_chunks(table: TomlTable, size_bytes: int, file: str) -> tuple[Chunk, ...]:
    sizes = table.take("chunks", list, [size_bytes] if size_bytes else [])
    delays = table.take("delays", list, [])
    delays = [*delays, *([0.0] * (len(sizes) - len(delays)))]
    chunks = tuple(
        Chunk(size_bytes=int(size), delay=float(delay)) for size, delay in zip(sizes, delays, strict=True)
    )
    if sum(chunk.size_bytes for chunk in chunks) != size_bytes or any(one.size_bytes < 0 for one in chunks):
        raise ValueError(f"the chunks of {file or 'an empty body'} do not add up to its {size_bytes} bytes")
    return chunks


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
        ("ask", [_ask_table(ask) for ask in case.asks]),
        ("box", [_box_table(box) for box in case.boxes]),
        ("rendered_box", [_box_table(box) for box in case.rendered_boxes]),
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


def _ask_table(ask: Ask) -> dict[str, object]:
    return {**asdict(ask), "is_streamed": ask.is_streamed or None}


def _box_table(box: ChatBox) -> dict[str, object]:
    """A box without the values that are the default."""
    values = {one.name: getattr(box, one.name) for one in fields(box) if one.compare}
    defaults = {one.name: one.default for one in fields(box)}
    return {name: value for name, value in values.items() if value != defaults[name]}


def _exchange_table(exchange: Exchange, name: str) -> dict[str, object]:
    sizes = [chunk.size_bytes for chunk in exchange.chunks]
    delays = [chunk.delay for chunk in exchange.chunks]
    return {
        "by": "" if exchange.by == "client" else exchange.by,
        "method": exchange.method,
        "host": exchange.host,
        "path": exchange.path,
        "query": dict(exchange.query),
        "fields": dict(exchange.fields),
        "status": exchange.status,
        "headers": dict(exchange.headers),
        "body": name,
        "framing": "" if exchange.framing == "length" else exchange.framing,
        "ending": "" if exchange.ending == "complete" else exchange.ending,
        "chunks": sizes if len(sizes) != 1 else [],
        "delays": delays if any(delays) else [],
        "is_written": exchange.is_written or None,
    }


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
