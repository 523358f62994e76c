"""The questions of a soak run, drawn from a seed, and the outcome that each must have.

A question begins with the scripted word of the demo that plays its fault, and holds its own number. So the
site counts each question by its number, and an answer that belongs to another question shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

FAULT_SHARE = 0.05

PART = 2_000
"""Questions between two rests of the client."""

ECHO = "This answer is made up by the demo, no AI was asked. You wrote: "

WORDS = "".join(f"w{n} " for n in range(10))
"""The text before the demo breaks an answer off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A scripted word and its outcome: an error's code, or "" for the answer.

    `asked` is how often the AI gets the question: never twice, whatever happens. `sent` is how often the
    client sends it, without the times at which its nonce was rejected (docs/errors.md, "What is repeated").
    `part` begins with the text that a broken answer has.
    """

    word: str
    code: str = ""
    asked: int = 1
    sent: int = 1
    part: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether only the client's limit for silence ends it."""
        return self.word.endswith(" 60")

    @property
    def is_about_nonces(self) -> bool:
        """Whether the site rejects its nonce."""
        return self.word.startswith("NONCE")


FINE = Fault(word="")

# Not among them is BUSYLONG: after it the site wants no message for an hour (tests/client/test_pauses.py).
_BOTH = (
    Fault(word="EMPTY", code="empty_answer"),
    Fault(word="CUT", code="stream_interrupted", part=WORDS),
    Fault(word="DROP", code="stream_interrupted", part=WORDS),
    Fault(word="RESET", code="stream_interrupted", part=WORDS),
    Fault(word="SLOW 60", code="timeout"),
    Fault(word="SLOWWORDS 60", code="stream_interrupted", part=ECHO),
    Fault(word="MIDERROR", code="provider_error", part=WORDS),
    Fault(word="PROVIDER401", code="provider_error"),
    Fault(word="PROVIDER500", code="provider_error"),
    Fault(word="PROVIDERQUOTE", code="provider_error"),
    Fault(word="DROPFIRST", code="connect_error", asked=0),
    Fault(word="QUOTA", code="refused", asked=0),
    Fault(word="MODERATION", code="refused", asked=0),
    Fault(word="ERR500", code="http_error", asked=0),
    Fault(word="ERR502ONCE", code="http_error", asked=0),
    Fault(word="NONCE", code="token_rejected", asked=0, sent=0),
    # The client gets over these.
    Fault(word="NONCEONCE"),
    Fault(word="BUSY", sent=3),
    Fault(word="PHPWARNING"),
    Fault(word="GARBAGE"),
    Fault(word="CRLF"),
    Fault(word="CHUNKS 7"),
    Fault(word="SLOWWORDS 0.05"),
)
FAULTS = {
    "wpaicg": (
        *_BOTH,
        Fault(word="PROVIDERDOWN", code="empty_answer"),
        Fault(word="BANWORD", code="refused"),
    ),
    "aipkit": (
        *_BOTH,
        Fault(word="PROVIDERDOWN", code="provider_error"),
        Fault(word="BANWORD", code="refused", asked=0),
        Fault(word="GUESTS", code="refused", asked=0),
        Fault(word="NONCESTREAMONCE", sent=2),
        Fault(word="KEYLOST", code="token_rejected", asked=0, sent=2),
        Fault(word="KEYLOSTONCE", sent=2),
        Fault(word="KEYEXPIREDONCE", sent=2),
    ),
}
"""The faults of each page of the demo: one has a box of 1.x, the other one of 2.x."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: the page that it goes to, and whether its answer is read as a stream."""

    number: int
    fault: Fault
    page: str
    is_streamed: bool
    text: str

    @property
    def answer(self) -> str:
        """The answer of the demo."""
        return f"{ECHO}{self.text}"


def draw_questions(seed: int) -> Iterator[Question]:
    """Questions without end, the same for the same seed."""
    dice = random.Random(seed)
    number = 0
    while True:
        number += 1
        page = dice.choice(tuple(FAULTS))
        fault = FINE
        if dice.random() < FAULT_SHARE:
            # Silence has to end within the part. At its beginning all nonces are stale, and the site rejects each
            # question's nonce once: a second rejection would be final.
            is_early = (number - 1) % PART < PART / 4
            fault = dice.choice(
                [
                    fault
                    for fault in FAULTS[page]
                    if not (fault.is_about_nonces if is_early else fault.is_silent)
                ]
            )
        secret = f"{dice.getrandbits(64):016x}"
        words = " ".join(dice.choices(_VOCABULARY, k=dice.randint(0, 40)))
        text = f"{fault.word} Question {number} {secret} {words}".strip()
        yield Question(number=number, fault=fault, page=page, is_streamed=dice.random() < 0.5, text=text)


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


def read_number(text: str) -> int:
    """The number of a question."""
    found = re.match(r"(?:[A-Z0-9]+ (?:[\d.]+ )?)?Question (\d+) ", f"{text} ")
    if found is None:
        raise ValueError(f"this is no question of the run: {text[:80]!r}")
    return int(found[1])
