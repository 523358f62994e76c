"""Batches as the tests want them: rows of one site, and answers without a site."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from chatgptt import Reply
from chatgptt.batch.batch import Batch, open_batch
from chatgptt.batch.journal import State
from chatgptt.batch.output import OutputForm
from chatgptt.batch.rows import Mistake, Row


def make_row(number: int, origin: str = "https://a.example") -> Row:
    return Row(
        number=number, id=f"row {number}", message=f"Question {number}", site=f"{origin}/chat", origin=origin
    )


def make_reply(text: str) -> Reply:
    return Reply(
        text=text,
        site="https://a.example",
        page="https://a.example/chat",
        protocol="wpaicg",
        bot_id=0,
        tokens_from="html",
        is_streamed=True,
        attempts=1,
        page_requests=1,
        elapsed=0.1,
        first_text=0.1,
    )


ROWS = [make_row(number) for number in range(1, 6)]


def opened(
    path: Path,
    rows: Iterable[Row | Mistake] = ROWS,
    form: OutputForm = "simple",
    retries: Sequence[State] = (),
) -> AbstractContextManager[Batch]:
    return open_batch(path, rows, form, retries=retries, clock=lambda: 1e9)


def answer(batch: Batch, *rows: Row) -> None:
    for row in rows:
        batch.begin(row)
        batch.end(row, make_reply(f"Answer {row.number}"))


def read_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def ids(path: Path) -> list[object]:
    return [line.get("custom_id", line["id"]) for line in read_lines(path)]
