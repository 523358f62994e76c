"""The questions of a soak run, and what has to become of each: drawn from a seed, told in the question itself.

A question names its number and its fault in its own text. So the site needs no plan to play the fault, counts
each question by its number, and an answer or an error that got to another question than its own is seen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "FAULTS",
    "FAULT_SHARE",
    "FINE",
    "PART",
    "Fault",
    "Question",
    "Step",
    "draw_questions",
    "read_question",
]

FAULT_SHARE = 0.05

PART = 2_000
"""After so many questions the client is let come to rest."""

Step = Literal["message", "upload", "stream"]
"""Where a fault strikes: the one request of 1.x, or the first or second of 2.x."""

Words = Literal["", "own", "part"]
"""What of the question an error must hold: nothing, its number, or the beginning of its answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong and what has to come of it: an error's code, "" for the answer all the same.

    `taken` is how often the site takes the question on: never a second time, whatever happened, and not at
    all where it was too busy to the end (docs/errors.md, "What is repeated").
    """

    name: str
    step: Step
    code: str = ""
    words: Words = ""
    taken: int = 1


FINE = Fault(name="fine", step="message")

# By name: the code for a message of 1.x, for the first and for the second request of 2.x; None where it
# cannot happen there.
_ERRORS: dict[str, tuple[str | None, str | None, str | None]] = {
    "reset before the head": ("connect_error", "connect_error", "connect_error"),
    "closed before the head": ("connect_error", "connect_error", "connect_error"),
    "reset after the head": ("connect_error", "connect_error", "connect_error"),
    "silence before the head": ("timeout", "timeout", "timeout"),
    **{f"HTTP {status}": ("http_error",) * 3 for status in (408, 500, 502, 503, 504, 520, 403)},
    "challenge": ("challenge", "challenge", "challenge"),
    "garbage": ("unreadable_answer", "unreadable_answer", "unreadable_answer"),
    "empty": ("empty_answer", "empty_answer", "empty_answer"),
    "refusal": ("refused", "refused", "refused"),
    "provider": ("provider_error", None, "provider_error"),
    "provider in words": ("provider_error", None, None),
    "reset after some text": ("stream_interrupted", None, "stream_interrupted"),
    "cut after some text": ("stream_interrupted", None, "stream_interrupted"),
    "shorter than it says": ("stream_interrupted", None, "stream_interrupted"),
    "silence after some text": ("stream_interrupted", None, "stream_interrupted"),
    "busy for ever": ("rate_limited", "rate_limited", "rate_limited"),
    # and those that the client gets over
    "HTTP 429": ("", "", ""),
    "HTTP 429 for 0 s": ("", "", ""),
    "HTTP 429 for 1 s": ("", "", ""),
    "rejected nonce": ("", "", ""),
    "lost message": (None, None, ""),
    "slow": ("", None, ""),
    "garbage behind the end": ("", None, ""),
}
_STEPS: tuple[Step, ...] = ("message", "upload", "stream")


def _words(name: str, code: str) -> Words:
    if code in ("refused", "provider_error"):
        return "own"
    return "part" if code == "stream_interrupted" else ""


FAULTS = tuple(
    Fault(
        name=name, step=step, code=code, words=_words(name, code), taken=0 if name == "busy for ever" else 1
    )
    for name, codes in _ERRORS.items()
    for step, code in zip(_STEPS, codes, strict=True)
    if code is not None
)
_BY_WORDS = {(fault.step, fault.name): fault for fault in (*FAULTS, FINE)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; `is_new` says which generation of the plugin is asked, `is_streamed` how."""

    number: int
    fault: Fault
    is_new: bool
    is_streamed: bool
    text: str

    @property
    def answer(self) -> str:
        """What the site answers to it."""
        return f"You asked: {self.text}"

    @property
    def mark(self) -> str:
        """What the site's own words about it hold, where they are an error."""
        return f"question {self.number} "


def draw_questions(seed: int) -> Iterator[Question]:
    """Questions without end, the same for the same seed."""
    dice = random.Random(seed)
    number = 0
    while True:
        number += 1
        is_new = dice.random() < 0.5
        fault = FINE
        if dice.random() < FAULT_SHARE:
            is_early = (number - 1) % PART < PART / 2  # silence is over before the part is
            fault = dice.choice(
                [
                    fault
                    for fault in FAULTS
                    if (fault.step != "message") == is_new
                    and (is_early or not fault.name.startswith("silence"))
                ]
            )
        secret = f"{dice.getrandbits(64):016x}"
        words = " ".join(dice.choices(_VOCABULARY, k=dice.randint(0, 40)))
        text = f"Question {number} ({fault.step}: {fault.name}) {secret} {words}".strip()
        yield Question(number=number, fault=fault, is_new=is_new, is_streamed=dice.random() < 0.5, text=text)


_VOCABULARY = [
    "what",
    "why",
    "how",
    "the",
    "does",
    "it",
    "cost",
    "<b>",
    "50%",
    "naïve",
    "“so”",
    "東京",
    "🙂",
    "&amp;",
    "C:\\new",
]


def read_question(text: str) -> tuple[int, Fault]:
    """A question's number and its fault."""
    found = re.match(r"Question (\d+) \((\w+): ([^)]*)\) ", f"{text} ")
    if found is None:
        raise ValueError(f"this is no question of the run: {text[:80]!r}")
    step: Step = next(step for step in _STEPS if step == found[2])
    return int(found[1]), _BY_WORDS[step, found[3]]
