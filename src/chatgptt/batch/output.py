"""The output: a line for each row that has ended, appended and flushed when it ends.

It has OpenAI's batch output form, or a simple one with what is known of the reply. A last line that was torn
by a full disk or a power cut is cut off: its row counts as one whose answer was lost.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from chatgptt._errors import ChatGpttError
from chatgptt._models import Reply
from chatgptt.batch.journal import State
from chatgptt.batch.rows import Row
from chatgptt.serve.chat import ChatShape
from chatgptt.state.files import replacing

OutputForm = Literal["openai", "simple"]

LOST: Mapping[str, object] = {
    "code": "ambiguous",
    "message": "the batch ended before the answer came; the message may have reached the site",
    "hint": "--retry-ambiguous asks it again",
    "ambiguous": True,
}
"""In place of an error: what is known of a row that was asked when its batch was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What a line of the output says of its row, and where it begins."""

    row_id: str
    state: State
    code: str
    offset: int


class Output:
    """The file of the answers.

    Raises:
        OSError: where it cannot be written.
    """

    def __init__(self, path: Path, form: OutputForm) -> None:
        self._path = path
        self._form: OutputForm = form
        self._file = path.open("ab", buffering=0)
        self._mend_end()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def add(self, row: Row, result: Reply | Mapping[str, object], now: float) -> None:
        """Appends a row's answer, or the document of its error; the system has it when this returns."""
        is_simple = self._form == "simple"
        document = _as_simple(row, result) if is_simple else _as_openai(row, result, int(now))
        self._append(json.dumps(document).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        size_bytes = self._path.stat().st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:  # of a full disk; the next line must not be joined to a part of this one
            self._file.truncate(size_bytes)
            raise

    def lines(self) -> Iterator[Line]:
        """What each line says, in the order of the file. The id is "" where another program wrote it."""
        offset = 0
        with self._path.open("rb") as file:
            for line in file:
                yield _read_line(line, offset)
                offset += len(line)

    def keep(self, offsets: Iterable[int]) -> None:
        """Replaces the file by one with the lines that begin at these offsets, in this order."""
        with replacing(self._path) as new:
            with self._path.open("rb") as old:
                for offset in offsets:
                    old.seek(offset)
                    new.write(old.readline())
            self._file.close()  # Windows replaces no open file
        self._file = self._path.open("ab", buffering=0)

    def _mend_end(self) -> None:
        """Ends a last line that lacks only its end; cuts off one that was torn."""
        whole, last = 0, b""
        with self._path.open("rb") as file:
            for last in file:
                whole += len(last) if last.endswith(b"\n") else 0
        if last and not last.endswith(b"\n"):
            if _read_line(last, whole).row_id:
                self._append(b"\n")
            else:
                self._file.truncate(whole)


def _as_openai(row: Row, result: Reply | Mapping[str, object], created: int) -> dict[str, object]:
    line: dict[str, object] = {"id": f"batch_req_{row.number}", "custom_id": row.id}
    if not isinstance(result, Reply):
        return {**line, "response": None, "error": result}
    shape = ChatShape(id=f"chatcmpl-{row.number}", model=row.model or "chatgptt", created=created)
    response = {"status_code": 200, "request_id": f"req_{row.number}", "body": shape.whole(result.text)}
    return {**line, "response": response, "error": None}


def _as_simple(row: Row, result: Reply | Mapping[str, object]) -> dict[str, object]:
    if isinstance(result, Reply):
        return {"id": row.id, **result.as_dict(), "error": None}
    return {"id": row.id, "text": None, "error": result}


def as_document(error: ChatGpttError) -> dict[str, object]:
    """What the output says of an error."""
    return {**error.as_dict(), "ambiguous": error.is_ambiguous}


def _read_line(line: bytes, offset: int) -> Line:
    try:
        document = json.loads(line)
        row_id = document["custom_id"] if "custom_id" in document else document["id"]
        error = document["error"]
        code = error["code"] if error else ""
        state: State = "answered" if not error else "ambiguous" if error["ambiguous"] else "error"
    except (ValueError, TypeError, KeyError, RecursionError):
        return Line(row_id="", state="error", code="", offset=offset)
    return Line(row_id=str(row_id), state=state, code=str(code), offset=offset)
