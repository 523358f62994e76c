"""The rows of an input, in one of four forms, each checked before anything is sent.

    {"custom_id": "a", "body": {"model": "gpt-4o", "messages": [...]}}             OpenAI's batch form
    {"id": "a", "message": "Hello", "system": "...", "site": "shop", "bot": 5}     simple JSON lines
    Hello                                                                          text, a line a message
    id,message                                                                     CSV with a header

Reading goes on after a mistake, so that a file is mended in one go. Nothing here opens a file or knows a
site: lines come in, and a function says where a site is.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from chatgptt._conversation import read_question
from chatgptt._errors import InvalidInputError
from chatgptt._models import MessageInput
from chatgptt.protocols.text import without_surrogates
from chatgptt.sites.named import is_name

InputForm = Literal["json", "text", "csv"]

MAX_LINE_BYTES = 2_000_000
"""The longest message as JSON, whose escapes take six bytes for one, and some more."""

_KEYS = ("id", "message", "messages", "system", "site", "bot")
"""Those of a simple row. A key that is misspelt would be lost without a word."""

_SURPLUS = None
"""The key of what a record of a table has behind its last column. No JSON object has such a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message to ask. Rates and pauses are those of its `origin`, which several sites may share."""

    number: int
    """The line of the input that it begins on."""
    id: str
    message: MessageInput
    system: str = ""
    site: str
    origin: str
    bot: str = ""
    model: str = ""
    """As OpenAI's form names it; it is repeated in the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What is wrong with a line."""

    number: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How an input is read, and what holds for a row that does not say it.

    `origin_of` gives the origin of a site's page; it raises InvalidInputError for one that cannot be asked.
    """

    form: InputForm
    column: str = "message"
    site: str
    bot: str = ""
    system: str = ""
    origin_of: Callable[[str], str]


def take_beginning(lines: Iterator[bytes]) -> list[bytes]:
    """Takes the lines up to the first one with text."""
    beginning: list[bytes] = []
    for line in lines:
        beginning.append(line)
        if line.removeprefix(codecs.BOM_UTF8).strip():
            break
    return beginning


def guess_form(beginning: list[bytes], column: str) -> InputForm:
    """The form of an input: CSV where a column is named, JSON where the first text is JSON's, else text.

    A JSON array is no input, but as JSON its lines are mistakes, and none of them is sent as a text.
    """
    if column:
        return "csv"
    first = b"".join(beginning).removeprefix(codecs.BOM_UTF8).lstrip()
    return "json" if re.match(rb"\{|\[\s*(\{|\Z)", first) else "text"


def read_rows(lines: Iterable[bytes], reading: Reading) -> Iterator[Row | Mistake]:
    """Each row, or what is wrong with it, in the order of the input. Lines without text are left out.

    Args:
        lines: those of the input with their ends; one above `MAX_LINE_BYTES` may come in pieces.
        reading: how they are read.

    Raises:
        InvalidInputError: where nothing behind a line can be read.
    """
    for number, record in _read_records(lines, reading):
        try:
            row = _read_record(number, record, reading)
            read_question(row.message, row.system)
            yield row
        except InvalidInputError as error:
            yield Mistake(number=number, why=error.message)


# Lines


def _read_records(lines: Iterable[bytes], reading: Reading) -> Iterator[tuple[int, object]]:
    texts = _decode(lines)
    if reading.form == "csv":
        yield from _read_csv(texts, reading.column)
        return
    for number, text in enumerate(texts, 1):
        if text.strip():
            yield number, {"message": text.rstrip("\r\n")} if reading.form == "text" else _read_json(text)


def _decode(lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise _unreadable(number, f"it is longer than {MAX_LINE_BYTES:,} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _unreadable(number, "it is not UTF-8") from error


def _read_json(text: str) -> object:
    """The value of a line, or text where it is not JSON, which no row can be."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_csv(texts: Iterator[str], column: str) -> Iterator[tuple[int, object]]:
    csv.field_size_limit(MAX_LINE_BYTES)  # of the whole process; csv's own is below the longest message
    table = csv.DictReader(texts, restkey=_SURPLUS, strict=True)
    number = 0
    try:
        names, number = list(table.fieldnames or ()), table.line_num
        if column not in names:
            shown = ", ".join(name[:40] for name in names[:20])
            raise InvalidInputError(
                f"the table has no column {column[:80]!r}; its columns are: {shown}",
                hint="name the messages' column with --column",
            )
        for record in table:
            row = {key: record[key] for key in (_SURPLUS, "id", "system", "site", "bot") if key in record}
            yield number + 1, {**row, "message": record[column] or ""}
            number = table.line_num
    except csv.Error as error:
        raise _unreadable(number + 1, str(error)) from error


def _unreadable(number: int, why: str) -> InvalidInputError:
    return InvalidInputError(
        f"line {number} of the input cannot be read: {why}", hint="give UTF-8, a line or a CSV record a row"
    )


# Records


def _read_record(number: int, record: object, reading: Reading) -> Row:
    if not isinstance(record, dict):
        raise InvalidInputError("it is no JSON object; JSON lines are wanted, an object on each line")
    if _SURPLUS in record:
        raise InvalidInputError("it has more fields than the table has columns")
    if "custom_id" in record or "body" in record:
        return _read_request(number, record, reading)
    unknown = [key for key in record if key not in _KEYS]
    if unknown:
        raise InvalidInputError(f"its key {unknown[0][:80]!r} is unknown; a row has {', '.join(_KEYS)}")
    if "message" in record and "messages" in record:
        raise InvalidInputError("it has both message and messages")
    message = record.get("message", record.get("messages"))
    site = _text(record, "site") or reading.site
    return Row(
        number=number,
        id=_text(record, "id") or str(number),
        message=_message(message),
        system=_text(record, "system") or reading.system,
        site=site,
        origin=reading.origin_of(site),
        bot=_text(record, "bot") or reading.bot,
    )


def _read_request(number: int, record: Mapping[str, object], reading: Reading) -> Row:
    """A line of OpenAI's form; a model that is the name of a site chooses the site."""
    body = record.get("body")
    if not isinstance(body, dict):
        raise InvalidInputError("it has no body")
    if not str(record.get("url", "/v1/chat/completions")).endswith("/chat/completions"):
        raise InvalidInputError("its url is another than /v1/chat/completions")
    model = _text(body, "model")
    name = model.removeprefix("chatgptt/")
    site, origin = reading.site, ""
    if is_name(name):
        try:
            site, origin = name, reading.origin_of(name)
        except InvalidInputError:  # any other model: the site chooses its model itself
            site = reading.site
    return Row(
        number=number,
        id=_text(record, "custom_id") or str(number),
        message=_message(body.get("messages")),
        system=reading.system,
        site=site,
        origin=origin or reading.origin_of(site),
        bot=reading.bot,
        model=model,
    )


def _message(value: object) -> MessageInput:
    if not isinstance(value, str | list):
        raise InvalidInputError("it has no message")
    return value


def _text(record: Mapping[str, object], key: str) -> str:
    """The text under a key, "" where there is none; numbers stand for their digits."""
    value = record.get(key)
    if value is None:
        return ""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise InvalidInputError(f"its {key} is no text")
    return without_surrogates(str(value))
