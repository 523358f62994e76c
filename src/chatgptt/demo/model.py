"""The made-up AI: its answers, and the failures of its provider.

The first word of a message may be one of `WORDS`, which ask for a certain answer or failure. The answer to
every other message repeats the message. An answer is a sequence of steps, which no protocol shapes: each
generation of the plugin sends the same steps in its own form.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

WORDS: dict[str, str] = {
    "HISTORY": "the JSON list of what would reach the model, pairs of role and content",
    "QUOTES": "an answer with quotation marks, accents, tags, an entity and a line break",
    "CONTROL": "an answer with terminal control sequences and a right-to-left override",
    "SURROGATE": "an emoji whose two UTF-16 halves come in two deltas",
    "LONG": "LONG n: n deltas of one word",
    "BIG": "BIG n: one delta of n bytes",
    "SLOW": "SLOW n: n seconds before the first text",
    "SLOWWORDS": "SLOWWORDS n: n seconds after each word",
    "EMPTY": "an answer without any text",
    "CUT": "the provider breaks off halfway",
    "MIDERROR": "the provider reports an error after some words",
    "DROP": "the connection is closed in the middle of a chunk, after some words",
    "RESET": "the connection is reset after some words",
    "DROPFIRST": "the connection is closed before any byte of the reply",
    "PROVIDER401": "the provider refuses the site's key",
    "PROVIDER429": "the provider has had too many requests",
    "PROVIDER500": "the provider has an error",
    "PROVIDERQUOTE": "the provider has an error whose text contains quotation marks",
    "PROVIDERDOWN": "the provider can't be reached",
    "PROVIDERHTML": "a proxy before the provider answers with an HTML page",
    "REFUSAL": "the model refuses (2.x: a warning that is the answer)",
    "WARNING": "2.x: a warning in the middle that is part of the answer",
    "TRIGGER": "2.x: a trigger's own message comes before the answer",
    "CITATIONS": "2.x: the answer has citations",
    "THREAD": "1.x assistants: which thread this is, and how many messages it has",
    "ASSISTANTERROR": "1.x assistants: the run fails with an error event; assistant_error does the same",
    "assistant_error": "see ASSISTANTERROR",
    "UNKNOWNEVENT": "events of unknown kinds in between",
    "SPLITLINE": "an unreadable data line in between",
    "GARBAGE": "more text after the end of the answer",
    "CRLF": "lines end in CR LF",
    "CR": "lines end in CR",
    "NOCRLF": "the last lines have no end",
    "CHUNKS": "CHUNKS n: the body comes in pieces of n bytes, whatever they cut in two",
    "QUOTA": "refused: the visitor's quota is used up",
    "BANIP": "refused: a banned address (a 1.x stream goes on all the same)",
    "BANWORD": "refused: a banned word (a 1.x stream goes on all the same)",
    "MODERATION": "refused by moderation",
    "GUESTS": "2.x: refused, no guests",
    "PINECONE": "1.x: the vector store isn't set up",
    "PINECONEERROR": "1.x: the vector store fails (in a stream: a flag)",
    "PHPWARNING": "a warning of PHP is printed before the reply",
    "NONCE": "the nonce is rejected, whatever it is",
    "NONCEONCE": "the nonce is rejected the first time this text is sent",
    "NONCESTREAM": "2.x: the nonce is rejected by the second request",
    "NONCESTREAMONCE": "2.x: the same, the first time this text is sent",
    "KEYLOST": "2.x: the second request never finds the message of the first",
    "KEYLOSTONCE": "2.x: the same, the first time this text is sent",
    "KEYEXPIREDONCE": "2.x: the message has expired, the first time this text is sent",
    "BUSY": "429 with Retry-After: 1, the first two times this text is sent",
    "BUSYLONG": "429 with Retry-After: 7200",
    "ERR500": "WordPress' critical error, 500",
    "ERR502ONCE": "502 the first time this text is sent",
}
"""Each scripted word and its effect. The word comes first in the message, and its case counts."""

MOST = 256_000_000
"""The limit of LONG and BIG: the size of `/huge/`."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, as the model gets it."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """A message, its scripted word (one of `WORDS`, or empty), and the number after the word."""

    text: str
    word: str
    number: float | None


@dataclass(frozen=True, slots=True)
class Say:
    """A delta."""

    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A pause."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """An event beside the answer, which only some protocols can send."""

    kind: Literal["warning", "refusal", "citations", "unknown", "split"]


@dataclass(frozen=True, slots=True)
class Fail:
    """The provider's failure. No step follows it. An `error` has the provider's HTTP status."""

    how: Literal["error", "unreachable", "page", "midway", "cut", "close", "reset"]
    message: str = ""
    code: str = ""
    status: int = 0


Step = Say | Wait | Note | Fail

_FAILURES = {
    "PROVIDER401": Fail("error", "Incorrect API key provided: sk-demo.", "invalid_api_key", 401),
    "PROVIDER429": Fail("error", "Rate limit reached for requests", "rate_limit_exceeded", 429),
    "PROVIDER500": Fail("error", "The server had an error while processing your request", "", 500),
    "PROVIDERQUOTE": Fail("error", 'There is no model called "demo" here', "model_not_found", 404),
    "PROVIDERDOWN": Fail("unreachable", "Failed to connect to 127.0.0.1 port 9: Connection refused"),
    "PROVIDERHTML": Fail(
        "page", "<html>\n<head><title>502 Bad Gateway</title></head>\n<body>made up</body>\n</html>\n"
    ),
    "ASSISTANTERROR": Fail("error", "The run of the made-up assistant failed.", "server_error", 500),
}
_ENDINGS = {
    "CUT": Fail("cut", "transfer closed with outstanding read data remaining"),
    "MIDERROR": Fail("midway", "The provider broke down in the middle of its sentence."),
    "DROP": Fail("close"),
    "RESET": Fail("reset"),
}
_TEXTS = {
    "QUOTES": (
        "Made up by the demo: ✓ naïve “quotes” <b>&amp;</b>\nand a second line, with \"these\" and 'those'."
    ),
    "CONTROL": (
        "Made up by the demo: \x1b[31mred\x1b[0m, \x1b]0;a new title\x07bell, \x9b2Jcleared, "
        "one\rtwo\x08, \u202ereversed\u202c, \x00nil."
    ),
    "SURROGATE": "Made up by the demo: \ud83d\ude00 is a smile.",
}
_NOTES = {
    "WARNING": Note("warning"),
    "CITATIONS": Note("citations"),
    "UNKNOWNEVENT": Note("unknown"),
    "SPLITLINE": Note("split"),
}


def read_message(text: str) -> ParsedMessage:
    """The message with its scripted word and the number behind that, if any."""
    first, number = [*text.split(None, 2), "", ""][:2]
    if not text.startswith(first) or first not in WORDS:
        return ParsedMessage(text, "", None)
    is_number = re.fullmatch(r"\d{1,12}(\.\d{1,9})?", number) is not None
    return ParsedMessage(
        text, "ASSISTANTERROR" if first.islower() else first, float(number) if is_number else None
    )


def split_words(text: str) -> list[str]:
    """The pieces in which a text streams, one for each word. Together they are the text."""
    return re.findall(r"\S+\s*|\s+", text)


def answer_steps(message: ParsedMessage, prompt: Sequence[Turn]) -> Iterator[Step]:
    """The steps of the answer to `message`. `prompt` is what the model gets."""
    match message.word:
        case "HISTORY":
            yield from _say(json.dumps([[turn.role, turn.content] for turn in prompt], ensure_ascii=False))
        case "QUOTES" | "CONTROL":
            yield from _say(_TEXTS[message.word])
        case "SURROGATE":
            before, after = _TEXTS["SURROGATE"].split("\ude00")
            yield from map(Say, (before, "\ude00", after))
        case "LONG":
            yield from (Say(f"w{n} ") for n in range(int(min(message.number or 100.0, MOST))))
        case "BIG":
            yield Say("x" * int(min(message.number or 1_000_000.0, MOST)))
        case "SLOW":
            yield Wait(1.0 if message.number is None else message.number)
            yield from _say(_echo(message))
        case "SLOWWORDS":
            for word in split_words(_echo(message)):
                yield Say(word)
                yield Wait(0.1 if message.number is None else message.number)
        case "EMPTY":
            return
        case "CUT" | "MIDERROR" | "DROP" | "RESET":
            yield from (Say(f"w{n} ") for n in range(10))
            yield _ENDINGS[message.word]
        case "REFUSAL":
            yield Note("refusal")
        case "WARNING" | "CITATIONS" | "UNKNOWNEVENT" | "SPLITLINE":
            yield from _say("Made up by the demo: ")
            yield _NOTES[message.word]
            yield from _say("and that was the one in between.")
        case failing if failing in _FAILURES:
            yield _FAILURES[failing]
        case _:
            yield from _say(_echo(message))


@dataclass(frozen=True, slots=True)
class FinishedAnswer:
    """An answer and how it ended."""

    text: str
    fail: Fail | None


async def collect_answer(steps: Iterable[Step]) -> FinishedAnswer:
    """The whole answer, as a provider gives it that does not stream."""
    found = [step async for step in after_waits(steps)]
    text = "".join(step.text for step in found if isinstance(step, Say))
    return FinishedAnswer(text, next((step for step in found if isinstance(step, Fail)), None))


async def after_waits(steps: Iterable[Step]) -> AsyncGenerator[Say | Note | Fail]:
    """The steps, with the pauses made instead of given out."""
    for step in steps:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
        else:
            yield step


def with_note_texts(steps: Iterable[Step], texts: Mapping[str, str]) -> Iterator[Step]:
    """The steps, with the text of each note that has one in place of the note."""
    for step in steps:
        if isinstance(step, Note) and step.kind in texts:
            yield Say(texts[step.kind])
        else:
            yield step


def _echo(message: ParsedMessage) -> str:
    return f"This answer is made up by the demo, no AI was asked. You wrote: {message.text}"


def _say(text: str) -> Iterator[Say]:
    return map(Say, split_words(text))
