"""A batch on disk: what is known after it was killed at any moment, and which outputs are refused."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from batch.batches import ROWS, answer, ids, make_reply, make_row, opened, read_lines

from chatgptt import ChatGpttError, InvalidInputError, ProviderError, TransportError
from chatgptt.batch.rows import Mistake, Row
from chatgptt.serve.chat import ChatShape


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def next_numbers(path: Path) -> list[int]:
    """The rows that a run would ask."""
    with opened(path) as batch:
        found, reached = [], 0
        while (row := batch.journal.next_new("https://a.example", reached)) is not None:
            found.append(reached := row.number)
    return found


def ambiguous() -> ChatGpttError:
    error = TransportError("no answer", code="timeout", is_sent=True)
    error.is_ambiguous = True
    return error


def test_a_batch_goes_on_with_the_rest(path: Path) -> None:
    assert next_numbers(path) == [1, 2, 3, 4, 5]
    with opened(path) as batch:
        answer(batch, *ROWS[:2])
    assert next_numbers(path) == [3, 4, 5]
    assert ids(path) == ["row 1", "row 2"]


def test_a_row_comes_back_as_it_went_in(path: Path) -> None:
    turns = [{"role": "user", "content": "Hi \ud83d"}]
    row = Row(
        number=3, id="a", message=turns, system="S", site="shop", origin="https://s", bot="5", model="m"
    )
    with opened(path, [row]) as batch:
        assert batch.journal.next_new("https://s", 0) == row


def test_a_row_that_was_asked_when_its_batch_was_killed_is_ambiguous(path: Path) -> None:
    with opened(path) as batch:
        batch.begin(ROWS[1])
    assert next_numbers(path) == [1, 3, 4, 5]
    (line,) = read_lines(path)
    assert line["id"] == "row 2"
    assert isinstance(line["error"], dict)
    assert (line["error"]["code"], line["error"]["ambiguous"]) == ("ambiguous", True)


def test_rows_under_way_are_found_without_reading_the_others(path: Path) -> None:
    with opened(path):
        pass
    with closing(sqlite3.connect(f"{path}.journal")) as journal:
        plan = journal.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM rows WHERE state = 'asked' ORDER BY number LIMIT 1"
        ).fetchall()
    assert "USING INDEX under_way" in str(plan)


def test_a_row_whose_answer_was_written_just_before_is_answered(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
        batch.journal.set("row 1", "asked")
    with opened(path) as batch:
        assert batch.counts == {"answered": 1, "new": 4}
    assert ids(path) == ["row 1"]


def test_a_row_that_the_site_did_not_take_is_asked_again(path: Path) -> None:
    with opened(path) as batch:
        batch.begin(ROWS[0])
        batch.put_back(ROWS[0])
    assert next_numbers(path) == [1, 2, 3, 4, 5]


def test_failed_and_ambiguous_rows_are_asked_again_where_that_is_wanted(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
        for row, error in ((ROWS[1], ProviderError("down")), (ROWS[2], ambiguous())):
            batch.begin(row)
            batch.end(row, error)
        assert batch.counts == {"answered": 1, "error": 1, "ambiguous": 1, "new": 2, "asked": 0}
        assert batch.journal.codes() == {"provider_error": 1, "timeout": 1}
    assert next_numbers(path) == [4, 5]
    with opened(path, retries=["error"]):
        pass
    assert ids(path) == ["row 1", "row 3"]
    assert next_numbers(path) == [2, 4, 5]
    with opened(path, retries=["ambiguous"]):
        pass
    assert ids(path) == ["row 1"]
    assert next_numbers(path) == [2, 3, 4, 5]


def test_a_retry_that_was_killed_before_the_old_line_went_leaves_one_line(path: Path) -> None:
    with opened(path) as batch:
        batch.begin(ROWS[0])
        batch.end(ROWS[0], ProviderError("down"))
        batch.journal.reopen("error")
    with opened(path) as batch:
        answer(batch, ROWS[0])
    assert ids(path) == ["row 1"]


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_torn_last_line_makes_its_row_ambiguous(path: Path, kept: int) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
        whole = path.read_bytes()
        batch.begin(ROWS[1])
        path.write_bytes(whole + whole.replace(b"row 1", b"row 2")[:kept])
    assert next_numbers(path) == [3, 4, 5]
    first, second = read_lines(path)
    assert first["text"] == "Answer 1"
    assert (second["id"], second["text"]) == ("row 2", None)


def test_a_last_line_without_its_end_is_whole(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
    path.write_bytes(path.read_bytes().rstrip())
    with opened(path) as batch:
        answer(batch, ROWS[1])
    assert ids(path) == ["row 1", "row 2"]


def test_the_lines_are_sorted_into_the_order_of_the_input(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, *(ROWS[place] for place in (2, 0, 4, 1)))
        batch.sort()
    assert ids(path) == ["row 1", "row 2", "row 3", "row 5"]


def test_the_lines_have_openai_s_form(path: Path) -> None:
    with opened(path, form="openai") as batch:
        answer(batch, ROWS[0])
        batch.begin(ROWS[1])
        batch.end(ROWS[1], ProviderError("down"))
    good, bad = read_lines(path)
    body = ChatShape(id="chatcmpl-1", model="chatgptt", created=10**9).whole("Answer 1")
    assert good == {
        "id": "batch_req_1",
        "custom_id": "row 1",
        "response": {"status_code": 200, "request_id": "req_1", "body": body},
        "error": None,
    }
    assert (bad["custom_id"], bad["response"]) == ("row 2", None)
    assert bad["error"] == {**ProviderError("down").as_dict(), "ambiguous": False}
    with opened(path, form="openai") as batch:
        assert batch.counts == {"answered": 1, "error": 1, "new": 3}


def test_the_simple_form_has_what_is_known_of_the_reply(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
    assert read_lines(path) == [{"id": "row 1", **make_reply("Answer 1").as_dict(), "error": None}]


# What is refused


def refused(path: Path, rows: list[Row] = ROWS, words: str = "") -> None:
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(InvalidInputError, match=words), opened(path, rows):
        pass
    assert (path.read_bytes() if path.exists() else None) == before


def test_an_output_of_another_input_is_refused(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
    refused(path, ROWS[:4], "another input")
    refused(path, [*ROWS[:4], make_row(6)], "another input")
    with pytest.raises(InvalidInputError, match="other options"), opened(path, form="openai"):
        pass
    assert next_numbers(path) == [2, 3, 4, 5]


def test_a_file_that_no_batch_wrote_is_refused(path: Path) -> None:
    path.write_text("mine\n")
    refused(path, words="no batch wrote it")
    assert not path.with_name("answers.jsonl.journal").exists()


def test_foreign_lines_and_a_lost_output_are_refused(path: Path) -> None:
    with opened(path) as batch:
        answer(batch, ROWS[0])
    written = path.read_text()
    path.write_text(f'{written}{{"id": "other", "text": "x", "error": null}}\n')
    refused(path, words="line 2 of .* is of no row")
    path.unlink()
    with pytest.raises(InvalidInputError, match="is gone"), opened(path):
        pass


def test_an_output_that_another_batch_is_writing_is_refused(path: Path) -> None:
    with opened(path) as batch:
        refused(path, words="another batch is writing it")
        answer(batch, ROWS[0])
    assert ids(path) == ["row 1"]


def test_a_journal_that_is_none_is_refused(path: Path) -> None:
    path.with_name("answers.jsonl.journal").write_text("mine, and much longer than what a header takes\n" * 9)
    refused(path, words="cannot use")


def test_mistakes_are_listed_and_nothing_is_left_behind(path: Path, tmp_path: Path) -> None:
    rows: list[Row | Mistake] = [*ROWS, make_row(6), Mistake(number=7, why="it is no JSON object")]
    rows += [Row(number=8, id="row 2", message="x", site="s", origin="o")]
    rows += [Mistake(number=number, why="x") for number in range(9, 30)]
    with pytest.raises(InvalidInputError) as caught, opened(path, rows):
        pass
    assert "cannot be asked: 23" in caught.value.message
    first, second, *rest = caught.value.findings
    assert (first.rung, first.saw) == ("line 7", "it is no JSON object")
    assert (second.rung, second.saw) == ("line 8", "its id 'row 2' is that of line 2")
    assert len(rest) == 8
    assert list(tmp_path.iterdir()) == []


def test_an_input_without_rows_is_refused(path: Path) -> None:
    refused(path, [], "no rows")


def test_the_memory_does_not_grow_with_the_rows(path: Path) -> None:
    def rows() -> Iterator[Row]:
        for number in range(1, 5_001):
            yield Row(number=number, id=f"row {number}", message="x" * 200, site="s", origin="o")

    tracemalloc.start()
    try:
        with opened(path, rows()) as batch:
            answer(batch, make_row(1))
        with opened(path, rows()) as batch:
            batch.sort()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 500_000
    assert json.loads(path.read_text())["id"] == "row 1"
