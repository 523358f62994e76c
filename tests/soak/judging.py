"""Compares each question's outcome, and the site's counts of it, with what its fault calls for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from soak.chat_site import Counts
from soak.questions import FINE, Question

from chatgptt import ChatGpttError, Reply

Outcome = Reply | Exception

_MIXED_UP = "not the text of this question:"
_UNMAPPED = "no error of the project:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The result of a question. It does not hold the error, which would keep its whole call in memory."""

    question: Question
    code: str
    attempts: int | None
    problem: str


@dataclass(slots=True)
class Totals:
    """The totals of a run. `problems` says in words what went wrong."""

    questions: int = 0
    faults: int = 0
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    rejected: int = 0
    unsent: int = 0
    doubles: int = 0
    lost: int = 0
    mixed_up: int = 0
    unmapped: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, questions: list[Question], results: list[Result], counts: dict[int, Counts]) -> None:
        """Adds a part of the run."""
        by_number = {result.question.number: result for result in results}
        if len(by_number) != len(results):
            self.problems.append("a question has two results")
        if unknown := counts.keys() - {question.number for question in questions}:
            self.problems.append(f"the site got questions that nothing had asked: {sorted(unknown)[:5]}")
        for question in questions:
            result, counted = by_number.get(question.number), counts.get(question.number, Counts())
            self.problems += [
                f"{question.text[:70]}: {what}" for what in self._add(question, result, counted)
            ]

    def _add(self, question: Question, result: Result | None, counts: Counts) -> Iterator[str]:
        """Adds one question, and says what went wrong with it."""
        fault = question.fault
        self.questions += 1
        self.faults += fault is not FINE
        self.sent += counts.sent
        self.rejected += counts.rejected
        self.doubles += max(0, counts.asked - 1)
        if result is None or counts.asked < fault.asked:
            self.lost += 1
            yield "it was lost"
        if counts.asked > fault.asked:
            yield f"the AI got it {counts.asked} times, not {fault.asked}"
        if counts.sent - counts.rejected != fault.sent or counts.rejected > 2:
            yield f"it was sent {fault.sent} times if no nonce is rejected, but here: {counts}"
        if result is None:
            return
        if result.attempts is not None and result.attempts < counts.sent:
            yield f"its reply says {result.attempts} attempts, the site counted {counts.sent}"
        self.unsent += 0 if result.attempts is None else max(0, result.attempts - counts.sent)
        if result.problem:
            self.mixed_up += result.problem.startswith(_MIXED_UP)
            self.unmapped += result.problem.startswith(_UNMAPPED)
            yield result.problem
        elif result.code:
            self.errors[result.code] += 1
        else:
            self.answers += 1


def judge(question: Question, outcome: Outcome) -> Result:
    """The result of a question."""
    return Result(
        question=question,
        code=outcome.code if isinstance(outcome, ChatGpttError) else "",
        attempts=outcome.attempts if isinstance(outcome, Reply) else None,
        problem=_problem_of(question, outcome),
    )


def _problem_of(question: Question, outcome: Outcome) -> str:
    """What is wrong with an outcome; "" for nothing."""
    fault = question.fault
    match outcome:
        case Reply() if fault.code:
            return f"an answer instead of {fault.code}"
        case Reply(text=text):
            return "" if text == question.answer else f"{_MIXED_UP} {text[:100]!r}"
        case ChatGpttError(code=code) if code != fault.code:
            return f"{code} instead of {fault.code or 'an answer'}: {outcome}"
        case ChatGpttError(partial_text=part):
            is_right = bool(part) == bool(fault.part) and fault.part.startswith(part)
            return "" if is_right else f"{_MIXED_UP} {part[:100]!r}"
        case _:
            return f"{_UNMAPPED} {outcome!r}"
