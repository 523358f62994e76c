"""Reading replies in tests: one whole, cut into bytes, cut anywhere; and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from wire import head

from chatgptt._errors import ChatGpttError, RefusedError, TokenRejectedError
from chatgptt._models import ReplyEnding, ReplyHead
from chatgptt.protocols import aipkit, wpaicg

READERS: dict[str, type[wpaicg.ReplyReader] | type[aipkit.ReplyReader]] = {
    "wpaicg": wpaicg.ReplyReader,
    "aipkit": aipkit.ReplyReader,
}


@dataclass(frozen=True)
class Outcome:
    """All that a caller learns from a reply."""

    text: str
    code: str = ""
    reason: str = ""
    message: str = ""
    partial_text: str = ""
    status: int | None = None
    url: str | None = None
    is_stale: bool = False
    is_key_lost: bool = False
    ending: ReplyEnding | None = None
    is_stream: bool = False


def read(protocol: str, reply_head: ReplyHead, pieces: Iterable[bytes]) -> Outcome:
    """Feeds a reply's bytes to its reader as the client does."""
    reader = READERS[protocol](reply_head)
    texts: list[str] = []
    for piece in pieces:
        texts += reader.receive(piece)
        if reader.is_finished:
            break
    try:
        rest, ending = reader.end()
    except ChatGpttError as error:
        assert reader.is_finished
        return outcome_of(error, "".join(texts), reader.is_stream)
    text = "".join([*texts, *rest])
    assert text == reader.text
    text.encode()  # a lone half of a surrogate pair could not be
    return Outcome(text=text, ending=ending, is_stream=reader.is_stream)


def outcome_of(error: ChatGpttError, text: str = "", is_stream: bool = False) -> Outcome:
    """An error's fields; the text that the user has seen is part of what the error carries."""
    assert error.partial_text.startswith(text)
    error.partial_text.encode()
    return Outcome(
        text=error.partial_text,
        code=error.code,
        reason=error.reason if isinstance(error, RefusedError) else "",
        message=error.message,
        partial_text=error.partial_text,
        status=error.status,
        url=error.url,
        is_stale=error.is_stale,
        is_key_lost=isinstance(error, TokenRejectedError) and error.is_key_lost,
        is_stream=is_stream,
    )


def one_by_one(body: bytes) -> Iterator[bytes]:
    """Its bytes, each by itself."""
    return (body[at : at + 1] for at in range(len(body)))


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    """`body` cut at the places, which may lie beyond its end."""
    edges = [0, *sorted({min(place, len(body)) for place in places}), len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A reply and what it amounts to: a text, or an error's code whose message holds `says`."""

    name: str
    body: bytes
    text: str = ""
    code: str = ""
    reason: str = ""
    says: str = ""
    head: ReplyHead = field(default_factory=head)
    is_stale: bool = False
    is_ended: bool = True
    """Whether the body itself shows its end, so that what follows it is ignored."""

    def check(self, outcome: Outcome) -> None:
        """Compares an outcome with the expected one."""
        assert (outcome.text, outcome.code, outcome.reason) == (self.text, self.code, self.reason), outcome
        assert self.says in outcome.message
        assert outcome.is_stale == self.is_stale
        if self.code:
            assert outcome.url == self.head.url
            assert outcome.status == self.head.status


def table(cases: Iterable[Case]) -> list[object]:
    """The cases as pytest's parameters, by their names."""
    return [pytest.param(case, id=case.name) for case in cases]
