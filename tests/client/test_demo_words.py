"""Every scripted word of the demo's AI, in every way that an answer travels, and what it amounts to.

An outcome is `text`, an error's code, or `refused` with its reason; then how often the made-up AI was asked, and
how often the message was posted.
"""

from __future__ import annotations

import json

import anyio
import pytest
from asking import ECHO, client_of

from chatgptt import AsyncClient, ChatGpttError, RefusedError, Reply
from chatgptt.demo import DemoSite
from chatgptt.demo.model import WORDS

Row = tuple[str, str, str]

OK = "text 1 1"
PROVIDER = "provider_error 1 1"
EMPTY = "empty_answer 1 1"
BROKEN = "stream_interrupted 1 1"
LOST = "connect_error 1 1"
SAME = (OK, OK, OK)

#           1.x stream, 1.x JSON, 2.x
TABLE: dict[str, Row] = {
    "HISTORY": SAME,
    "QUOTES": SAME,
    "CONTROL": SAME,
    "SURROGATE": SAME,
    "LONG 500": SAME,
    "BIG 300000": SAME,
    "SLOW 0.01": SAME,
    "SLOWWORDS 0.001": SAME,
    "EMPTY": (EMPTY, EMPTY, EMPTY),
    "CUT": (BROKEN, PROVIDER, BROKEN),
    "MIDERROR": (PROVIDER, PROVIDER, PROVIDER),
    "DROP": (BROKEN, LOST, BROKEN),
    "RESET": (BROKEN, LOST, BROKEN),
    "DROPFIRST": ("connect_error 0 1",) * 3,
    "PROVIDER401": (PROVIDER, PROVIDER, PROVIDER),
    "PROVIDER429": (PROVIDER, PROVIDER, PROVIDER),
    "PROVIDER500": (PROVIDER, PROVIDER, PROVIDER),
    "PROVIDERQUOTE": (PROVIDER, PROVIDER, PROVIDER),
    # An unreachable provider leaves a 1.x stream without a word, and a page of it leaves JSON without one (W6).
    "PROVIDERDOWN": (EMPTY, PROVIDER, PROVIDER),
    "PROVIDERHTML": (PROVIDER, EMPTY, PROVIDER),
    "REFUSAL": SAME,
    "WARNING": SAME,
    "TRIGGER": SAME,
    "CITATIONS": SAME,
    "THREAD": SAME,
    "ASSISTANTERROR": (PROVIDER, PROVIDER, PROVIDER),
    "assistant_error": (PROVIDER, PROVIDER, PROVIDER),
    "UNKNOWNEVENT": SAME,
    "SPLITLINE": SAME,
    "GARBAGE": SAME,
    "CRLF": SAME,
    "CR": SAME,
    "NOCRLF": SAME,
    "CHUNKS 1": SAME,
    "CHUNKS 7": SAME,
    "QUOTA": ("refused quota 0 1",) * 3,
    "BANIP": ("refused banned_ip 1 1", "refused banned_ip 0 1", "refused banned_ip 0 1"),
    "BANWORD": ("refused banned_words 1 1", "refused banned_words 0 1", "refused banned_words 0 1"),
    "MODERATION": ("refused moderation 0 1", "refused moderation 0 1", "refused moderation 0 1"),
    "GUESTS": (OK, OK, "refused guests_disabled 0 1"),
    "PINECONE": ("provider_error 0 1", "provider_error 0 1", OK),
    "PINECONEERROR": ("provider_error 0 1", "provider_error 0 1", OK),
    "PHPWARNING": SAME,
    "NONCE": ("token_rejected 0 2",) * 3,
    "NONCEONCE": ("text 1 2",) * 3,
    "NONCESTREAM": (OK, OK, "refused other 0 2"),
    "NONCESTREAMONCE": (OK, OK, "text 1 2"),
    "KEYLOST": (OK, OK, "token_rejected 0 2"),
    "KEYLOSTONCE": (OK, OK, "text 1 2"),
    "KEYEXPIREDONCE": (OK, OK, "text 1 2"),
    "ERR500": ("http_error 0 1",) * 3,
    "ERR502ONCE": ("http_error 0 1",) * 3,
    "BUSYLONG": ("rate_limited 0 1",) * 3,  # the last, since the site wants no other message after it
}
STREAMS, JSON, AIPKIT = range(3)
SITES = {
    "wpaicg/": STREAMS,
    "wpaicg-1.8.79/": STREAMS,
    "wpaicg-1.8.90/": STREAMS,
    "wpaicg-1.8.95/": STREAMS,
    "wpaicg-1.8.98/": STREAMS,
    "wpaicg/json/": JSON,
    "wpaicg-1.8.79/json/": JSON,
    "wpaicg-1.8.90/json/": JSON,
    "aipkit/": AIPKIT,
    "aipkit-2.3.20/": AIPKIT,
    "aipkit-2.3.43/": AIPKIT,
}
INBETWEEN = "Made up by the demo: and that was the one in between."
WARNED = "Made up by the demo:  (Warning: Content Filtered) and that was the one in between."
REFUSED = "I would rather not answer that, said the made-up model."
TEXTS: dict[str, Row] = {
    "QUOTES": (
        "Made up by the demo: ✓ naïve “quotes” <b>&amp;</b>\nand a second line, with \"these\" and 'those'.",
    )
    * 3,
    "CONTROL": (
        "Made up by the demo: \x1b[31mred\x1b[0m, \x1b]0;a new title\x07bell, \x9b2Jcleared, one\rtwo\x08, \u202ereversed\u202c, \x00nil.",
    )
    * 3,
    "SURROGATE": ("Made up by the demo: 😀 is a smile.",) * 3,
    "LONG 500": ("".join(f"w{n} " for n in range(500)),) * 3,
    "BIG 300000": ("x" * 300_000,) * 3,
    "REFUSAL": (REFUSED, REFUSED, " (Refusal: I'd rather not.)"),
    "WARNING": (INBETWEEN, INBETWEEN, WARNED),
    "TRIGGER": (f"{ECHO}TRIGGER", f"{ECHO}TRIGGER", f"A trigger of the demo says hello. \n\n{ECHO}TRIGGER"),
    "CITATIONS": (INBETWEEN,) * 3,
    "UNKNOWNEVENT": (INBETWEEN,) * 3,
    "SPLITLINE": (INBETWEEN,) * 3,
}


async def asked(client: AsyncClient, message: str) -> Reply | ChatGpttError:
    try:
        return await client.ask(message)
    except ChatGpttError as error:
        return error


def described(result: Reply | ChatGpttError) -> str:
    if isinstance(result, Reply):
        return "text"
    return f"{result.code} {result.reason}" if isinstance(result, RefusedError) else result.code


@pytest.mark.anyio
@pytest.mark.parametrize("path", SITES)
async def test_each_word_has_its_outcome_and_no_message_is_sent_twice_without_need(
    demo: DemoSite, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    column = SITES[path]
    outcomes, texts, partial = {}, {}, {}
    async with client_of(demo.page(path)) as client:
        for message in TABLE:
            demo.clear()
            result = await asked(client, message)
            if isinstance(result, Reply):
                texts[message] = result.text
                assert result.is_streamed == (column != JSON)
            else:
                partial[message] = result.partial_text
                assert result.hint
            posted = [seen for seen in demo.requests if seen.fields.get("message")]
            if isinstance(result, Reply):
                assert result.attempts == len(posted)
            outcomes[message] = f"{described(result)} {len(demo.messages)} {len(posted)}"
    assert outcomes == {message: row[column] for message, row in TABLE.items()}
    assert json.loads(texts.pop("HISTORY"))[-1] == ["user", "HISTORY"]
    assert texts == {
        message: TEXTS[message][column] if message in TEXTS else f"{ECHO}{message}" for message in texts
    }
    broken = {message for message, row in TABLE.items() if row[column] == BROKEN}
    typed = broken | ({"MIDERROR"} if column != JSON else set())
    assert {message for message in partial if partial[message]} == typed
    assert all(partial[message].startswith("w0 w1 ") for message in typed)


def test_the_table_has_every_word() -> None:
    assert {message.split()[0] for message in TABLE} == WORDS.keys() - {"BUSY"}


@pytest.mark.anyio
async def test_a_busy_site_gets_the_message_when_its_retry_after_has_passed(demo: DemoSite) -> None:
    async def ask(path: str) -> None:
        async with client_of(demo.page(path)) as client:
            reply = await client.ask("BUSY")
        assert reply.text == f"{ECHO}BUSY"
        assert reply.attempts == 3
        assert reply.elapsed >= 2.0

    async with anyio.create_task_group() as tasks:
        for path in ("wpaicg/", "wpaicg-1.8.79/json/", "aipkit/"):
            tasks.start_soon(ask, path)
    assert [seen.message for seen in demo.messages] == ["BUSY"] * 3


ASSISTANT: dict[str, tuple[str, str]] = {
    "THREAD": (OK, OK),
    "EMPTY": (EMPTY, PROVIDER),
    "CUT": (BROKEN, PROVIDER),
    # Without streaming, words that are not the plugin's own come without any sign of whose they are (W6).
    "ASSISTANTERROR": (PROVIDER, "refused other 1 1"),
    "PROVIDERDOWN": (PROVIDER, PROVIDER),
    "PROVIDERHTML": (EMPTY, "refused other 1 1"),
    "DROP": (BROKEN, LOST),
    "BANIP": ("refused banned_ip 1 1", "refused banned_ip 0 1"),
    "UNKNOWNEVENT": (OK, OK),
    "CRLF": (OK, OK),
}


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["wpaicg/assistant/", "wpaicg/assistant-json/", "wpaicg-1.8.98/assistant/"])
async def test_each_word_has_its_outcome_with_an_assistant(demo: DemoSite, path: str) -> None:
    column = int(path.endswith("json/"))
    outcomes = {}
    async with client_of(demo.page(path)) as client:
        for message in ASSISTANT:
            demo.clear()
            result = await asked(client, message)
            outcomes[message] = f"{described(result)} {len(demo.messages)} {len(demo.messages) or 1}"
    assert outcomes == {message: row[column] for message, row in ASSISTANT.items()}


@pytest.mark.anyio
async def test_the_provider_s_words_come_out_whole_and_unescaped(demo: DemoSite) -> None:
    words = 'There is no model called "demo" here'
    for path in ("wpaicg/", "wpaicg/json/", "aipkit/"):
        async with client_of(demo.page(path)) as client:
            with pytest.raises(ChatGpttError, match="There is no") as caught:
                await client.ask("PROVIDERQUOTE")
        assert words in caught.value.message
        assert caught.value.message.count("There") == 1
