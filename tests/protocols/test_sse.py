from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import cut, one_by_one

from chatgptt._errors import AnswerError
from chatgptt.protocols.sse import MAX_EVENT_BYTES, Event, EventDecoder


def decode(*pieces: bytes) -> tuple[list[Event], str]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.receive(piece)]
    return [*events, *decoder.end()], decoder.stray


STREAMS = [
    pytest.param(b"data: a\n\n", [Event("", "a")], "", id="one event"),
    pytest.param(b"data: a\n\ndata: b\n\n", [Event("", "a"), Event("", "b")], "", id="two events"),
    pytest.param(b"event: x\ndata: a\n\ndata: b\n\n", [Event("x", "a"), Event("", "b")], "", id="a name is for one event"),
    pytest.param(b"event: x\n\ndata: b\n\n", [Event("", "b")], "", id="a name without data"),
    pytest.param(b"data: a\ndata: b\n\n", [Event("", "a\nb")], "", id="two data lines"),
    pytest.param(b"data:a\ndata:  b\n\n", [Event("", "a\n b")], "", id="one blank is dropped"),
    pytest.param(b"data\n\n", [Event("", "")], "", id="no colon"),
    pytest.param(b"data: a:b\n\n", [Event("", "a:b")], "", id="colons in data"),
    pytest.param(b"id: 1\nretry: 5\n: comment\ndata: a\n\n", [Event("", "a")], "", id="ids, retries and comments"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [Event("", "a"), Event("", "b")], "", id="CRLF"),
    pytest.param(b"data: a\r\ndata: b\r\n\r\n", [Event("", "a\nb")], "", id="CRLF between data lines"),
    pytest.param(b"data: a\r\rdata: b\r\r", [Event("", "a"), Event("", "b")], "", id="CR"),
    pytest.param(b"data: a\r\n\ndata: b\n\r\n", [Event("", "a"), Event("", "b")], "", id="mixed line ends"),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event("", "a")], "", id="a byte order mark"),
    pytest.param(b"\r\n\xef\xbb\xbf \xef\xbb\xbfdata: a\n\n", [Event("", "a")], "", id="blanks and byte order marks"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event("", "a")], "\ufeffdata: b", id="a late byte order mark"),
    pytest.param(b"data: a", [Event("", "a")], "", id="no line end at the end"),
    pytest.param(b"data: a\n", [Event("", "a")], "", id="no blank line at the end"),
    pytest.param(b"data: a\n\n<p>b</p>\nc\n", [Event("", "a")], "<p>b</p>\nc", id="lines that are no field"),
    pytest.param("data: ä\u2028\x85\x0b\n\n".encode(), [Event("", "ä\u2028\x85\x0b")], "", id="what only looks like a line end"),
    pytest.param(b"data: \xff\n\n", [Event("", "\ufffd")], "", id="no UTF-8"),
    pytest.param(b"", [], "", id="nothing"),
    pytest.param(b"\xef\xbb\xbf", [], "", id="a byte order mark alone"),
]  # fmt: skip


@pytest.mark.parametrize(("stream", "events", "stray"), STREAMS)
def test_a_stream_is_decoded_however_it_is_cut(stream: bytes, events: list[Event], stray: str) -> None:
    assert decode(stream) == (events, stray)
    assert decode(*one_by_one(stream)) == (events, stray)
    for place in range(len(stream)):
        assert decode(*cut(stream, [place]), b"") == (events, stray)
        assert decode(stream[:place], b"", stream[place:]) == (events, stray)


LINES = st.lists(
    st.sampled_from([b"data: a", b"event: x", b"\n", b"\r", b"\r\n", b"\n\n", b":", b"\xef\xbb\xbf", b"z"])
)


@given(st.binary() | LINES.map(b"".join), st.lists(st.integers(0, 60)))
def test_any_bytes_are_decoded_the_same_however_they_are_cut(stream: bytes, places: list[int]) -> None:
    assert decode(*cut(stream, places)) == decode(*one_by_one(stream)) == decode(stream)


def test_events_come_one_at_a_time() -> None:
    decoder = EventDecoder()
    events = decoder.receive(b"data: a\n\nstray\ndata: b\n\n")
    assert next(events) == Event("", "a")
    assert decoder.stray == ""


SIZES = [pytest.param(size, id=f"in pieces of {size}") for size in (2**14, 2**20 + 1, 2**26)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("body", "is_good"),
    [
        (b"data: " + b"x" * (MAX_EVENT_BYTES - 6) + b"\n\n", True),
        (b"data: " + b"x" * (MAX_EVENT_BYTES - 5) + b"\n\n", False),
        (b"data: " + b"x" * 2**20 + b"\n", True),
        ((b"data: " + b"x" * 2**20 + b"\n") * 16, False),
        (b": " + b"x" * MAX_EVENT_BYTES + b"\n\n", False),
        (b"x" * (MAX_EVENT_BYTES + 1), False),
        ((b"data: " + b"x" * 2**20 + b"\n\n") * 17, True),
    ],
    ids=["line at the bound", "line above it", "one line", "lines above it", "comment above it", "no line end", "events"],
)  # fmt: skip
def test_one_event_is_bounded(body: bytes, is_good: bool, size: int) -> None:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    if is_good:
        assert decode(*pieces)[0]
    else:
        with pytest.raises(AnswerError) as caught:
            decode(*pieces)
        assert caught.value.code == "unreadable_answer"


def test_stray_lines_are_kept_up_to_64_kb() -> None:
    assert len(decode(b"stray line\n" * 100_000)[1]) <= 2**16 + 10_000


def test_a_long_event_may_arrive_in_single_bytes() -> None:
    assert len(decode(*one_by_one(b"data: " + b"x" * 200_000 + b"\n\n"))[0][0].data) == 200_000
