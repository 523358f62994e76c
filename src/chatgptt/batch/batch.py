"""A batch on disk: the journal and the output, brought to agree when it is opened.

The output is written before the journal: a row that is `asked` and has a line has ended. One without a line
was under way when its batch was killed, and becomes ambiguous.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from chatgptt._errors import ChatGpttError, InvalidInputError
from chatgptt._models import Reply
from chatgptt.batch.journal import Journal, State
from chatgptt.batch.output import LOST, Output, OutputForm, as_document
from chatgptt.batch.rows import Mistake, Row
from chatgptt.state.files import check_file, find_place


class Batch:
    """The rows of a batch, and what became of each so far."""

    def __init__(self, journal: Journal, output: Output, clock: Callable[[], float]) -> None:
        self.journal = journal
        self._output = output
        self._clock = clock
        self.counts: Counter[str] = Counter(journal.counts())
        """Rows by their state."""

    @property
    def ended(self) -> int:
        """Rows with a line in the output."""
        return self.counts["answered"] + self.failed

    @property
    def failed(self) -> int:
        """Rows that ended without an answer."""
        return self.counts["error"] + self.counts["ambiguous"]

    @property
    def total(self) -> int:
        """All rows."""
        return self.counts.total()

    def begin(self, row: Row) -> None:
        """Notes that the row's message is sent now."""
        self._move(row, "new", "asked")

    def put_back(self, row: Row) -> None:
        """Notes that the site did not take the row's message."""
        self._move(row, "asked", "new")

    def end(self, row: Row, result: Reply | ChatGpttError) -> None:
        """Writes the row's answer or error."""
        if isinstance(result, Reply):
            self._output.add(row, result, self._clock())
            self._move(row, "asked", "answered")
        else:
            self._output.add(row, as_document(result), self._clock())
            self._move(row, "asked", "ambiguous" if result.is_ambiguous else "error", result.code)

    def settle(self) -> None:
        """Writes the rows that are under way as ambiguous."""
        while (row := self.journal.first_asked()) is not None:
            self._output.add(row, LOST, self._clock())
            self._move(row, "asked", "ambiguous", str(LOST["code"]))

    def sort(self) -> None:
        """Puts the output's lines into the order of the input."""
        found = ((self.journal.find(line.row_id), line.offset) for line in self._output.lines())
        offsets = array("q")
        for row, offset in found:
            assert row is not None
            number, _ = row
            offsets.extend([-1] * (number + 1 - len(offsets)))
            offsets[number] = offset
        self._output.keep(offset for offset in offsets if offset >= 0)

    def _move(self, row: Row, before: State, after: State, code: str = "") -> None:
        self.journal.set(row.id, after, code)
        self.counts[before] -= 1
        self.counts[after] += 1


@contextlib.contextmanager
def open_batch(
    path: Path,
    rows: Iterable[Row | Mistake],
    form: OutputForm,
    *,
    retries: Sequence[State] = (),
    clock: Callable[[], float],
) -> Iterator[Batch]:
    """The batch whose output is `path`, new or going on, for the block.

    Args:
        path: the output; its journal is beside it.
        rows: those of the input.
        form: the output's.
        retries: the states whose rows are asked again.
        clock: Unix time in seconds.

    Raises:
        InvalidInputError: for an input with mistakes, and for an output of something else.
        OSError: where the files cannot be written.
    """
    check_file(path)
    place = find_place(path)
    size_bytes = place.stat().st_size if place.exists() else 0
    with Journal(place.with_name(f"{place.name}.journal")) as journal:
        if journal.is_new and size_bytes:
            raise InvalidInputError(
                f"{str(path)!r} exists, and no batch wrote it", hint="name another output, or remove the file"
            )
        journal.take(rows, form)
        with contextlib.closing(Output(place, form)) as output:
            _reconcile(journal, output, path)
            batch = Batch(journal, output, clock)
            batch.settle()
            for state in retries:
                journal.reopen(state)
            _drop_reopened(journal, output)
            batch.counts = Counter(journal.counts())
            yield batch


def _reconcile(journal: Journal, output: Output, path: Path) -> None:
    """Notes the rows that ended just before their batch was killed."""
    lines = 0
    for lines, line in enumerate(output.lines(), 1):
        match journal.find(line.row_id):
            case None:
                raise InvalidInputError(
                    f"line {lines} of {str(path)!r} is of no row of this batch",
                    hint="name another output, or remove this one and its .journal",
                )
            case (_, "asked"):
                journal.set(line.row_id, line.state, line.code)
    if not lines and set(journal.counts()) - {"new", "asked"}:
        raise InvalidInputError(
            f"{str(path)!r} is gone, but its journal is there", hint="remove the .journal to begin anew"
        )


def _drop_reopened(journal: Journal, output: Output) -> None:
    """Takes the lines of rows that will be asked again from the output."""
    kept, has_reopened = array("q"), False
    for line in output.lines():
        found = journal.find(line.row_id)
        if found is None or found[1] == "new":
            has_reopened = True
        else:
            kept.append(line.offset)
    if has_reopened:
        output.keep(kept)
