"""A case: one visit to a page, as it went over the wire, and what it amounted to.

On disk it is a folder: `case.toml` says what was asked, what is expected, and of every exchange the request
and the head of the reply; the bodies lie beside it, byte for byte, so that they can be read and compared.
Bodies are cut into chunks by numbers, never by marks of our own in them.

Reading trusts nothing: a body that is missing, a link or a pipe in its place, chunks that do not add up or a
key of the wrong type are an error that names the file. Writing is whole or not at all: a folder is made
beside its place and moved there. Of the case that was there, only the files that it names are deleted.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar, Literal, TypeVar, get_args

import tomlkit
from tomlkit.items import Table

from chatgptt._errors import ChatGpttError, ErrorCode
from chatgptt._models import ChatBox, Kind, Protocol, Rung, Strategy
from chatgptt.state.files import find_place, read_file

__all__ = [
    "Ask",
    "Case",
    "CaseError",
    "Chunk",
    "Ending",
    "Exchange",
    "Framing",
    "Outcome",
    "check_place",
    "files_of",
    "find_cases",
    "read_case",
    "write_case",
]

_FORMAT = 1
_FILE = "case.toml"
_Member = TypeVar("_Member")

Framing = Literal["length", "chunked", "close"]
"""How the reply said where its body ends: by a Content-Length, in chunks, or by closing the connection."""

Ending = Literal["complete", "cut", "reset", "nothing", "awaited"]
"""How the reply ended: whole, closed too early, reset, closed before any byte of it, or not at all: it was
still awaited when the browser had what it came for.
"""

Sender = Literal["client", "browser"]

Outcome = Literal["answered", "found"] | ErrorCode
"""What a call came to: an answer, boxes (where nothing was asked), or an error's code."""

_OUTCOMES: tuple[Outcome, ...] = ("answered", "found", *get_args(ErrorCode))


class CaseError(ChatGpttError):
    """A case that cannot be read, recorded or written; its message says what is wrong with it."""

    default_code: ClassVar[ErrorCode] = "invalid_input"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some bytes of a body and the seconds that passed before they came."""

    size_bytes: int
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request and its reply.

    `path`, `query` and `fields` are what tells the request from others. `status` is 0 where no reply came.
    `by` says who sent it: the client, or the page in the browser. `host` is "" for the page's own site.
    `is_written` marks a reply by hand, which the site never gave.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    chunks: tuple[Chunk, ...] = ()
    framing: Framing = "length"
    ending: Ending = "complete"
    by: Sender = "client"
    host: str = ""
    is_written: bool = False

    def header(self, name: str) -> str:
        """A header's value by its name in lower case; "" where the reply has none."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def action(self) -> str:
        """What WordPress is asked to do; "" where it is just a page or a file."""
        return dict((*self.query, *self.fields)).get("action", "")

    @property
    def media_type(self) -> str:
        """The reply's Content-Type without its parameters, in lower case."""
        return self.header("content-type").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One call and what it came to. Without a message the page's boxes were looked for.

    `text` is the answer, or the part of it that came before a failure. `attempts` counts how often the
    message was sent.
    """

    message: str | None
    outcome: Outcome
    reason: str = ""
    rung: Rung | None = None
    text: str = ""
    is_streamed: bool = False
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A recorded visit, scrubbed.

    `page` is the page's address on the stand-in host `site.example`. `boxes` are those of the page as it was
    served. Where a browser ran it, `rendered` is its document at the end, and `rendered_boxes` are the boxes
    in that: none where the chat is in a frame or a shadow root, which no document shows.
    """

    recorded: datetime.date
    page: str
    asks: tuple[Ask, ...]
    exchanges: tuple[Exchange, ...]
    boxes: tuple[ChatBox, ...] = ()
    bot: str = ""
    strategy: Strategy = "static"
    note: str = ""
    rendered: bytes = field(default=b"", repr=False)
    rendered_boxes: tuple[ChatBox, ...] = ()

    @property
    def messages(self) -> tuple[str, ...]:
        """The recorded messages, in order."""
        return tuple(ask.message for ask in self.asks if ask.message is not None)

    @property
    def protocol(self) -> str:
        """The protocol of the page's boxes, else of the messages; "" where there are none."""
        for box in (*self.boxes, *self.rendered_boxes):
            return box.protocol
        for exchange in self.exchanges:
            if exchange.by == "client":
                for protocol in get_args(Protocol):
                    if exchange.action.startswith(f"{protocol}_"):
                        return str(protocol)
        return ""

    @property
    def plugin_version(self) -> str:
        """The plugin's version as the page tells it, "" where it does not."""
        boxes = (*self.boxes, *self.rendered_boxes)
        return next((box.plugin_version for box in boxes if box.plugin_version), "")

    @property
    def served(self) -> Exchange | None:
        """The reply that was the page: the first good one, else the last; None where none was asked for."""
        path = re.sub(r"^https?://[^/]*", "", self.page)
        pages = [
            exchange
            for exchange in self.exchanges
            if exchange.method == "GET"
            and not exchange.host
            and "action" not in dict(exchange.query)
            and exchange.status // 100 != 3
        ]
        pages = [page for page in pages if _with_query(page) == path] or pages
        return next((page for page in pages if 200 <= page.status < 400), pages[-1] if pages else None)


def _with_query(exchange: Exchange) -> str:
    query = "&".join(f"{name}={value}" for name, value in exchange.query)
    return f"{exchange.path}?{query}" if query else exchange.path


def find_cases(folder: Path) -> list[Path]:
    """The folders of all cases in `folder`, by name."""
    return sorted(path.parent for path in folder.glob(f"*/{_FILE}"))


# Reading


def read_case(folder: Path) -> Case:
    """The case in `folder`.

    Raises:
        CaseError: where there is none, or it does not hold together.
    """
    told = _read_told(folder)
    try:
        return _read(told, folder)
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise CaseError(
            f"{folder / _FILE} is no case: {error}", hint="record the case again, or mend the file"
        ) from error


def _read_told(folder: Path) -> _Table:
    """What the file of a case says."""
    file = folder / _FILE
    try:
        return _Table(tomllib.loads(_checked(read_file(file, 4 * _MAX_TEXT_CHARACTERS).decode())))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CaseError(
            f"{folder} holds no case: there is no {_FILE} in it", hint="name a folder that `record` has made"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CaseError(f"{file} cannot be read: {error}", hint="record the case again") from error


_MAX_TEXT_CHARACTERS = 2**19
"""The catalogue's longest is 12 kB; Python's reader of TOML takes 2 s for a megabyte."""

_MAX_BODIES_BYTES = 2**24
"""Of all bodies together, each as often as it is named. A recorded case has a megabyte at most."""

_LONG_KEY = re.compile(
    r"(?<![\w-])(?:[\w-]++|\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+')"
    r"(?:[ \t]*+\.[ \t]*+(?:[\w-]++|\"(?:[^\"\\\n]|\\.)*+\"|'[^'\n]*+')){100}"
)
"""Python's reader of TOML takes time and memory by the square of a dotted key: 40 kB take 1.5 GB."""


def _checked(text: str) -> str:
    if len(text) > _MAX_TEXT_CHARACTERS or _LONG_KEY.search(text):
        raise ValueError("it is larger or deeper than any case")
    return text


class _Table:
    """A table of TOML, whose members are taken by type."""

    def __init__(self, members: Mapping[str, object]) -> None:
        self._members = members

    def take(self, name: str, kind: type[_Member], default: _Member | None = None) -> _Member:
        value = self._members.get(name, default)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise TypeError(f"{name!r} has to be a {kind.__name__}, not {value!r:.60}")
        return value

    def word(self, name: str, known: Iterable[_Member], default: str | None = None) -> _Member:
        value = self.take(name, str, default)
        for one in known:
            if one == value:
                return one
        raise ValueError(f"{name!r} cannot be {value!r:.60}")

    def has(self, name: str) -> bool:
        return name in self._members

    def tables(self, name: str) -> list[_Table]:
        found = []
        for member in self.take(name, list, []):
            if not isinstance(member, dict):
                raise TypeError(f"{name!r} has to be a list of tables")
            found.append(_Table(member))
        return found

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        members = self.take(name, dict, {})
        if not all(isinstance(value, str) for value in members.values()):
            raise TypeError(f"{name!r} has to hold texts")
        return tuple(members.items())


def _read(told: _Table, folder: Path) -> Case:
    if told.take("format", int) != _FORMAT:
        raise ValueError("it is in a format of another version")
    asks = told.tables("ask")
    if not asks:
        raise ValueError("nothing was asked in it")
    bodies = _Bodies(folder)
    return Case(
        recorded=told.take("recorded", datetime.date),
        page=told.take("page", str),
        bot=told.take("bot", str, ""),
        strategy=told.word("strategy", get_args(Strategy), "static"),
        note=told.take("note", str, ""),
        asks=tuple(_read_ask(ask) for ask in asks),
        boxes=tuple(_read_box(box) for box in told.tables("box")),
        exchanges=tuple(_read_exchange(exchange, bodies) for exchange in told.tables("exchange")),
        rendered=bodies.read(told.take("rendered", str, "")),
        rendered_boxes=tuple(_read_box(box) for box in told.tables("rendered_box")),
    )


def _read_ask(told: _Table) -> Ask:
    message = told.take("message", str, "")
    return Ask(
        message=message or None,
        outcome=told.word("outcome", _OUTCOMES),
        reason=told.take("reason", str, ""),
        rung=told.word("rung", get_args(Rung)) if told.has("rung") else None,
        text=told.take("text", str, ""),
        is_streamed=told.take("is_streamed", bool, False),
        attempts=told.take("attempts", int, 0),
    )


def _read_box(told: _Table) -> ChatBox:
    post_id = told.take("post_id", int, -1)
    return ChatBox(
        protocol=told.word("protocol", get_args(Protocol)),
        kind=told.word("kind", get_args(Kind)),
        bot_id=told.take("bot_id", int),
        post_id=None if post_id < 0 else post_id,
        ajax_url=told.take("ajax_url", str),
        nonce=told.take("nonce", str, "") or None,
        found_by=told.word("found_by", get_args(Rung), "html"),
        name=told.take("name", str, ""),
        page_url=told.take("page_url", str, ""),
        is_streaming=told.take("is_streaming", bool, True),
        memory_limit=told.take("memory_limit", int, 100),
        consent=told.take("consent", str, ""),
        origin=told.take("origin", str, ""),
        image_triggers=tuple(map(str, told.take("image_triggers", list, []))),
        plugin_version=told.take("plugin_version", str, ""),
    )


def _read_exchange(told: _Table, bodies: _Bodies) -> Exchange:
    file = told.take("body", str, "")
    body = bodies.read(file)
    delays = told.take("delays", list, [])
    sizes = told.take("chunks", list, [len(body)] if body else [])
    delays = [*delays, *([0.0] * (len(sizes) - len(delays)))]
    chunks = tuple(
        Chunk(size_bytes=int(size), delay=float(delay)) for size, delay in zip(sizes, delays, strict=True)
    )
    if sum(chunk.size_bytes for chunk in chunks) != len(body) or any(one.size_bytes < 0 for one in chunks):
        raise ValueError(f"the chunks of {file or 'an empty body'} do not add up to its {len(body)} bytes")
    status = told.take("status", int)
    if status and not 100 <= status <= 599:
        raise ValueError(f"{status} is no status")
    return Exchange(
        method=told.take("method", str),
        path=told.take("path", str),
        query=told.pairs("query"),
        fields=told.pairs("fields"),
        status=status,
        headers=told.pairs("headers"),
        body=body,
        chunks=chunks,
        framing=told.word("framing", get_args(Framing), "length"),
        ending=told.word("ending", get_args(Ending), "complete"),
        by=told.word("by", get_args(Sender), "client"),
        host=told.take("host", str, ""),
        is_written=told.take("is_written", bool, False),
    )


class _Bodies:
    """The bodies of one case, which a stranger may have made: each in its folder, all of a bounded size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left_bytes = _MAX_BODIES_BYTES

    def read(self, name: str) -> bytes:
        """The bytes of a body; none where it has no name."""
        if not name:
            return b""
        if not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"{name!r:.60} is no file of the case")
        body = read_file(self._folder / name, self._left_bytes)
        self._left_bytes -= len(body)
        return body


# Writing


def write_case(case: Case, folder: Path) -> None:
    """Writes a case to `folder`, in the place of the one that may be there.

    Raises:
        CaseError: where the folder holds anything else, or cannot be written.
    """
    check_place(folder)
    try:
        place = find_place(folder)  # "." has no name, and a link stays one
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
        made, aside = beside / "made", beside / "replaced"
        try:
            made.mkdir(0o755)
            for name, data in files_of(case).items():
                (made / name).write_bytes(data)
            _put(made, place, aside, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            with contextlib.suppress(OSError):
                beside.rmdir()
    except OSError as error:
        raise CaseError(f"{folder} cannot be written: {error}", hint="name another folder") from error


def _put(made: Path, place: Path, aside: Path, folder: Path) -> None:
    """Moves a folder to its place. What was there goes aside, and back where that fails."""
    if place.exists():
        place.rename(aside)
    try:
        old = _names_in(aside, folder)  # once more, since recording took a while
        made.rename(place)
    except BaseException:
        if aside.exists() and not place.exists():
            aside.rename(place)
        raise
    with contextlib.suppress(OSError):  # the new case is in its place all the same
        for name in old:
            (aside / name).unlink()
        aside.rmdir()


def _names_in(place: Path, folder: Path) -> frozenset[str]:
    """The names of the files of the case in `place`, none where that is empty or missing.

    Raises:
        CaseError: where anything else is in it; it calls the place `folder`.
        OSError: where it cannot be read.
    """
    try:
        there = set(os.listdir(place))
    except FileNotFoundError:
        there = set()
    except NotADirectoryError:
        there = {""}
    if not there:
        return frozenset()
    if _FILE not in there:
        raise CaseError(f"{folder} is there and holds no case; nothing was written", hint="name a new folder")
    try:
        read_case(place)
        told = _read_told(place)
    except CaseError as error:
        raise CaseError(
            f"{folder} holds no case that can be read, so it is not replaced: {error.message}",
            hint="name a new folder, or delete that one yourself",
        ) from error
    names = {_FILE, told.take("rendered", str, "")}
    names |= {exchange.take("body", str, "") for exchange in told.tables("exchange")}
    if others := there - names:
        raise CaseError(
            f"{folder} holds {min(others)!r}, which is no part of its case; nothing was written",
            hint="name a new folder, or move that file",
        )
    return frozenset(names & there)


def check_place(folder: Path) -> None:
    """Whether a case may be written to `folder`, as far as that can be told without writing.

    Raises:
        CaseError: where the folder holds anything but a case, or cannot be made.
    """
    try:
        place = find_place(folder)
        above = next(one for one in place.parents if one.exists())
        is_open = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
        if is_open:
            _names_in(place, folder)
    except OSError as error:
        raise CaseError(
            f"{folder} cannot be written: {error.strerror}", hint="name another folder"
        ) from error
    if not is_open:
        raise CaseError(
            f"{folder} cannot be written: {above} is no folder that may be written to",
            hint="name another folder",
        )


def files_of(case: Case) -> dict[str, bytes]:
    """What a case is on disk: the bytes of each file by its name."""
    bodies: dict[str, bytes] = {}
    exchanges = []
    for number, exchange in enumerate(case.exchanges, 1):
        name = f"{number:02}-{_role(exchange)}.{_suffix(exchange)}"
        if exchange.body:
            bodies[name] = exchange.body
        exchanges.append(_exchange_table(exchange, name if exchange.body else ""))
    if case.rendered:
        bodies["rendered.html"] = case.rendered
    document = tomlkit.document()
    document.add(tomlkit.comment("Recorded by `chatgptt record` and scrubbed; see docs/fixtures.md."))
    document.update(
        _table(
            {
                "format": _FORMAT,
                "recorded": case.recorded,
                "page": case.page,
                "note": case.note,
                "protocol": case.protocol,
                "plugin_version": case.plugin_version,
                "strategy": case.strategy,
                "bot": case.bot,
                "rendered": "rendered.html" if case.rendered else "",
            }
        )
    )
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
    return {_FILE: tomlkit.dumps(document).encode(), **bodies}


def _ask_table(ask: Ask) -> dict[str, object]:
    table = asdict(ask)
    return table if ask.is_streamed else {name: table[name] for name in table if name != "is_streamed"}


def _box_table(box: ChatBox) -> dict[str, object]:
    """A box without what is as it is by default."""
    default = replace(
        box,
        name="",
        page_url="",
        is_streaming=True,
        memory_limit=100,
        consent="",
        origin="",
        image_triggers=(),
    )
    always = {"protocol", "kind", "bot_id", "post_id", "ajax_url", "nonce", "found_by", "plugin_version"}
    return {
        one.name: getattr(box, one.name)
        for one in fields(box)
        if one.name in always or getattr(box, one.name) != getattr(default, one.name)
    }


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
    """What an exchange is, as the beginning of its file's name."""
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


def _suffix(exchange: Exchange) -> str:
    kinds = {
        "text/html": "html",
        "application/json": "json",
        "text/event-stream": "sse",
        "text/javascript": "js",
        "application/javascript": "js",
        "text/plain": "txt",
    }
    return kinds.get(exchange.media_type, "bin")


def _table(values: Mapping[str, object]) -> Table:
    """A table without what is empty, a line for each value."""
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
