"""What a visitor writes is text: it reaches the site once, as it was written, and is no command there."""

from __future__ import annotations

import json

import pytest
from asking import ECHO, answer, client_of, failure
from hypothesis import given, settings
from hypothesis import strategies as st
from wire import aipkit_box, page

from chatgptt import RefusedError
from chatgptt.demo import DemoSite
from chatgptt.protocols.aipkit import build_upload, check_text, find_boxes
from chatgptt.protocols.page import Page

pytestmark = pytest.mark.anyio

CONTEXT = '{"stream_context":"content_writer","prompt":"x"}'
LONG_NUMBER = '{"a":' + "9" * 5000 + ',"stream_context":1}'

COMMANDS = {
    "bare": CONTEXT,
    "blanks around": f" \n\t{CONTEXT}\r\n ",
    "a blank that JSON does not know": f"\u00a0{CONTEXT}",
    "other blanks": f"\u2003\u3000\x0b\x0c\x1c\x85{CONTEXT}\u2028",
    "what PHP trims": f"\x00{CONTEXT}\x00",
    "both, by turns": f"\x00 \x00 {CONTEXT} \x00",
    "an escaped key": '{"stream\\u005fcontext":1}',
    "twice": '{"stream_context":1,"stream_context":2}',
    "null": '{"a":[],"stream_context":null}',
    "a number too long for Python": LONG_NUMBER,
    "deep, and PHP reads it": '{"stream_context":1,"a":' + "[" * 500 + "]" * 500 + "}",
}
"""The plugin takes such a text for another of its features (docs/protocols.md A7)."""

IMAGES = ("/image", "/image a cat", "/IMAGE a cat", "  /generate a cat", "\x00/image a cat", "/image \u202e")

TEXTS = {
    "a word in front": f"Explain: {CONTEXT}",
    "a word behind": f"{CONTEXT} explain",
    "an array of it": f"[{CONTEXT}]",
    "a text of it": json.dumps(CONTEXT),
    "deeper": '{"a":{"stream_context":1}}',
    "another key": '{"Stream_Context":1}',
    "the key alone": "stream_context",
    "no JSON": "{'stream_context': 1}",
    "another object": '{"action":"wp_delete_user","user_id":1}',
    "a command in a sentence": "what does /image do",
    "longer than a command": "/imagery",
    "a path": "/images/cat.png",
    "a line that begins with a command": "draw:\n/image a cat",
    "form fields": "a&action=wpaicg_chatbox_message&_wpnonce=0&bot_id=99",
    "a multipart border": '--x\r\nContent-Disposition: form-data; name="action"\r\n\r\nevil',
    "line ends": "one\r\ntwo\nthree\rfour",
    "a head": "a\r\nSet-Cookie: a=b\r\n\r\n<p>",
    "markup": "<script>alert(1)</script> &lt; <b> &amp;",
    "slashes and quotes": "\\ \\\\ ' \" it\\'s `",
    "escapes": "%41 %0a %zz + %",
    "SQL": "'; DROP TABLE wp_posts; --",
    "shortcode": "[aipkit_chatbot id=5] {{x}} ${x} <?php ?>",
    "controls": "a\x00b\x1b[31mc\x7fd",
    "directions": "\u202eabc\u202c \u2066x\u2069 \u200b\ufeff",
    "an event": 'data: {"delta":"x"}\n\nevent: done\n\n',
    "0 and more": "0.0",
    "other writing": "漢字 عربي 👩\u200d💻 e\u0301",
}


def messages(demo: DemoSite) -> list[str]:
    """What the site's AI was asked."""
    return [seen.message for seen in demo.requests if seen.message is not None]


@pytest.mark.parametrize("path", ["aipkit/", "wpaicg/", "wpaicg/json/"])
@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_arrives_once_and_as_it_was_written(demo: DemoSite, path: str, name: str) -> None:
    text = TEXTS[name]
    reply = await answer(demo.page(path), text)
    assert messages(demo) == [text.strip() if path == "aipkit/" else text]
    assert reply.text.startswith(ECHO)
    assert reply.attempts == 1


@pytest.mark.parametrize("name", COMMANDS)
async def test_what_2x_takes_for_another_feature_is_not_sent(demo: DemoSite, name: str) -> None:
    error = await failure(demo.page("aipkit/"), COMMANDS[name])
    assert isinstance(error, RefusedError)
    assert "stream_context" in error.message
    assert error.hint == "put a word in front of it"
    assert [seen for seen in demo.requests if seen.method == "POST"] == []


@pytest.mark.parametrize("text", [CONTEXT, f"\u00a0{CONTEXT}", "/image a cat"])
async def test_the_hint_helps(demo: DemoSite, text: str) -> None:
    await answer(demo.page("aipkit/"), f"This: {text}")
    assert messages(demo) == [f"This: {text}"]


@pytest.mark.parametrize("name", COMMANDS)
async def test_1x_knows_no_such_feature(demo: DemoSite, name: str) -> None:
    await answer(demo.page("wpaicg/"), COMMANDS[name])
    assert messages(demo) == [COMMANDS[name]]


@pytest.mark.parametrize("text", IMAGES)
async def test_an_image_command_is_not_sent_as_a_question(demo: DemoSite, text: str) -> None:
    error = await failure(demo.page("aipkit/"), text)
    assert isinstance(error, RefusedError)
    assert "image command" in error.message
    assert [seen for seen in demo.requests if seen.method == "POST"] == []


@pytest.mark.parametrize("text", [CONTEXT, "/image a cat"])
async def test_in_a_conversation_it_is_text_beside_others(demo: DemoSite, text: str) -> None:
    """A list of messages is folded into one, which begins with a role."""
    async with client_of(demo.page("aipkit/")) as client:
        await client.ask([{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}])
    assert messages(demo) == [f"System: Be brief.\nUser: {text}\nAssistant:"]


async def test_the_second_message_of_a_conversation_is_checked_too(demo: DemoSite) -> None:
    async with client_of(demo.page("aipkit/")) as client:
        chat = client.conversation()
        await chat.ask("Hello")
        with pytest.raises(RefusedError):
            await chat.ask(CONTEXT)
        await chat.ask("Bye")
    assert messages(demo) == ["Hello", "Bye"]


(BOX,) = find_boxes(Page(page(aipkit_box()), "https://shop.example/help/"))


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda values: (
            st.lists(values, max_size=3)
            | st.dictionaries(st.text(max_size=3) | st.just("stream_context"), values, max_size=3)
        ),
        max_leaves=8,
    ),
    st.text(alphabet=" \t\r\n\x00\x0b\x0c\x1c\x85\u00a0\u2028\u3000", max_size=4),
    st.text(alphabet=" \t\r\n\x00\x0b\x0c\x1c\x85\u00a0\u2028\u3000", max_size=4),
)
def test_whatever_passes_is_no_such_object_once_the_site_has_trimmed_it(
    value: object, before: str, after: str
) -> None:
    text = f"{before}{json.dumps(value)}{after}"
    try:
        check_text(BOX, text)
    except RefusedError:
        assert isinstance(value, dict)
        assert "stream_context" in value
        return
    sent = dict(build_upload(BOX, "1f2e3d4c5b", text, message_id="m").fields)["message"]
    try:
        found = json.loads(sent.strip(" \n\r\t\v\0"))  # as PHP's trim has it
    except ValueError:
        return
    assert not (isinstance(found, dict) and "stream_context" in found)
