"""Any bytes give values or errors of the project, and no text in either holds half a character."""

from __future__ import annotations

import pytest
from hostile.readers import READERS, check_texts, pieces_of, read, read_reply
from hostile.strategies import CASES, DOCUMENTS, REPLIES, TEXTS, URLS
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import cut
from wire import PAGE, aipkit_box, head

from chatgptt._errors import ChatGpttError
from chatgptt.protocols import aipkit
from chatgptt.protocols.box_choice import find_boxes
from chatgptt.protocols.page import Page
from chatgptt.protocols.reply_errors import words_of
from chatgptt.protocols.text import loads

bounded = settings(max_examples=150, deadline=None, database=None, derandomize=True)
"""The same examples in each run; the fuzzer is for finding others."""

BYTES = {
    "page": DOCUMENTS,
    "document": st.builds(
        lambda charset, page: b"text/html; charset=%b\n%b" % (charset, page),
        st.sampled_from(
            [b"utf-16", b"latin1", b"cp1252", b"cp0", b"idna", b"shift_jis", b"iso-2022-jp", b"gb18030", b"cp" + b"1" * 300]
        ),
        DOCUMENTS,
    ),
    "wpaicg": REPLIES,
    "aipkit": REPLIES,
    "upload": REPLIES,
    "events": REPLIES,
    "failures": REPLIES,
    "text": TEXTS,
    "prompt": TEXTS,
    "url": URLS,
    "observations": st.builds(lambda *lines: b"\n".join(lines), URLS, URLS, TEXTS),
    "case": CASES,
}  # fmt: skip


def test_every_reader_has_its_bytes() -> None:
    assert BYTES.keys() == READERS.keys()


@pytest.mark.parametrize("name", READERS)
@bounded
@given(st.data())
def test_any_bytes_give_values_or_errors_of_the_project(name: str, data: st.DataObject) -> None:
    read(READERS[name], data.draw(BYTES[name] | st.binary(max_size=200)))


@pytest.mark.parametrize("protocol", ["wpaicg", "aipkit"])
@bounded
@given(REPLIES, st.lists(st.integers(0, 2000), max_size=6))
def test_a_hostile_reply_is_the_same_however_it_is_cut(protocol: str, data: bytes, places: list[int]) -> None:
    body = data[2:]
    outcomes: list[object] = []
    for pieces in ([body], cut(body, places), pieces_of(body, 1)):
        try:
            texts, rest, ending = read_reply(protocol, head(), pieces)
            outcomes.append(("".join([*texts, *rest]), ending))
        except ChatGpttError as error:
            outcomes.append(error.as_dict())
    assert outcomes[0] == outcomes[1] == outcomes[2]


# What these readers once stumbled over, each by itself.

HALF = r"\ud83d"
LONG_REFERENCE = "&#" + "9" * 5000 + ";"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("aipkit", b'\0\0event: error\ndata: {"error":"%b"}\n\n' % LONG_REFERENCE.encode()),
        ("aipkit", b'\0\0event: error\ndata: {"error":"a %b b"}\n\n' % HALF.encode()),
        ("wpaicg", b'\0\0{"status":"error","msg":"a %b b"}' % HALF.encode()),
        ("wpaicg", b'\0\0event: assistant_error\ndata: {"msg":"a %b b"}\n\n' % HALF.encode()),
        ("upload", b'\0\0{"success":true,"data":{"cache_key":"%b"}}' % HALF.encode()),
        ("failures", b"\4\0\n<title>%b</title>" % LONG_REFERENCE.encode()),
        ("text", b'{"%b":["%b",{"a":"%b"}]}' % ((HALF.encode(),) * 3)),
        ("observations", b"http://[/wp-admin/admin-ajax.php\n\n"),
        ("observations", b'http://a:x/aipkit/v1/chatbots/\n\n{"botId":1,"nonce":"3fa4c91b07"}'),
        ("observations", b"a=b\n\n" + b'{"botId":1,"nonce":' * 900 + b"1" + b"}" * 900),
        ("case", b"a = " + b"[" * 5000),
        ("case", CASES_HEAD := b"format = 1\nrecorded = 2026-01-01\npage = 'x'\n[[ask]]\noutcome = 'answered'\n[[exchange]]\nmethod = 'GET'\npath = '/'\nstatus = 200\nchunks = [inf]\n"),
        ("case", CASES_HEAD.replace(b"[inf]", b"[]\ndelays = [1%b]" % (b"0" * 400))),
    ],
    ids=["a reference of 5,000 digits", "half a character in an event", "in a reply", "in an assistant's error", "in a key", "a reference in a title",
         "half characters all over", "an address that is none", "a port that is none", "JSON that cannot be written again", "deep TOML", "an endless chunk", "a huge delay"],
)  # fmt: skip
def test_it_is_read_or_named(name: str, data: bytes) -> None:
    read(READERS[name], data)


def test_an_error_shows_a_mark_for_half_a_character() -> None:
    assert words_of("a \ud83d b") == "a \ufffd b"
    assert words_of(LONG_REFERENCE) == "\ufffd"
    assert loads(rf'{{"{HALF}": ["{HALF}x", "\\ud800", "\ud83d\ude00"]}}') == {
        "\ufffd": ["\ufffdx", r"\ud800", "😀"]
    }


def test_a_bots_name_and_consent_hold_no_half_a_character() -> None:
    box = aipkit_box(headerName="a\ud83d", requireConsentCompliance=True, text={"consentMessage": "\ude00b"})
    found = find_boxes(Page(box.encode(), PAGE))
    check_texts(found)
    assert (found[0].name, found[0].consent) == ("a\ufffd", "\ufffdb")


@pytest.mark.parametrize(
    ("config", "name"),
    [({"headerName": "x" * 10_000}, "x" * 200), ({"headerName": "&amp;" * 200}, "&" * 200)],
)
def test_a_bots_name_is_200_characters_at_most(config: dict[str, object], name: str) -> None:
    assert find_boxes(Page(aipkit_box(**config).encode(), PAGE))[0].name == name


def test_a_key_that_no_query_can_carry_is_none() -> None:
    body = '{"success":true,"data":{"cache_key":"' + "k" * 5000 + '"}}'
    with pytest.raises(ChatGpttError, match="no form that the chat protocols know"):
        aipkit.read_cache_key(head("json"), body)
