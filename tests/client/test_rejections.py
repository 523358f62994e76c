"""A rejected nonce is an inference; a nonce that comes back the same past all caches revises it."""

from __future__ import annotations

import json

import pytest
from asking import answer, client_of, failure
from faults import AIPKIT_PAGE, NONCE, WPAICG_PAGE, Answer, Connection, Got, reply, serving, stream_reply

pytestmark = pytest.mark.anyio

FRESH = "5b4c3d2e1f"
NO_CACHE = {"Expires": "Wed, 11 Jan 1984 05:00:00 GMT", "X-Robots-Tag": "noindex"}
KEY = reply('{"success":true,"data":{"cache_key":"aipkit_sse_x"}}', kind="application/json")
LOCKED = "Sorry, visitors may not do this here."
FAILED = "Security check failed. Please refresh the page and try again."


def json_reply(value: object, status: int = 200) -> bytes:
    return reply(json.dumps(value), status=status, kind="application/json", headers=NO_CACHE)


def sentence(words: str, status: int = 403) -> bytes:
    return reply(words, status=status, headers=NO_CACHE)


def event(words: str) -> bytes:
    text = f"event: error\ndata: {json.dumps({'error': words})}\n\nevent: done\ndata: {{}}\n\n"
    return stream_reply(text.encode())


# Of each refusal: generation, whether it is of the second request, its bytes, the code that it comes to.
INFERRED = {
    "1.x, a sentence": ("1.x", False, sentence(LOCKED), "http_error", LOCKED),
    "1.x, in another language": ("1.x", False, sentence("Zugriff verweigert."), "http_error", "Zugriff"),
    "1.6, words": ("1.x", False, sentence("Security check", 200), "refused", "Security check"),
    "1.x, words in JSON": ("1.x", False, json_reply({"status": "error", "msg": "Security check"}), "refused", "check"),
    "2.x, words": ("2.x", False, json_reply({"success": False, "data": {"message": FAILED}}, 403), "refused", FAILED),
    "2.x, event": ("2.x", True, event(FAILED), "refused", FAILED),
}  # fmt: skip
SURE = {
    "1.x, -1": ("1.x", False, sentence("-1"), "token_rejected", "-1"),
    "1.x, WordPress": ("1.x", False, sentence("The link you followed has expired."), "token_rejected", "expired"),
    "1.x, 1.8.90": ("1.x", False, json_reply({"status": "error", "msg": "Nonce verification failed"}), "token_rejected", "failed"),
    "2.x, code": ("2.x", False, json_reply({"success": False, "data": {"message": "x", "code": "nonce_failure_cache_sse"}}, 403), "token_rejected", "'x'"),
}  # fmt: skip
REFUSALS = {**INFERRED, **SURE}


def page_of(generation: str, nonce: str) -> str:
    return (WPAICG_PAGE if generation == "1.x" else AIPKIT_PAGE).format(nonce=nonce)


def site(generation: str, is_second: bool, refusal: bytes, *, fresh: str, good: frozenset[str]) -> Answer:
    """A site whose pages past caches show `fresh`, and that answers messages with a nonce in `good`."""

    async def answer(connection: Connection, got: Got) -> bool:
        fields = got.fields
        nonce = (
            fields.get("_wpnonce") or fields.get("_ajax_nonce") or got.target.rpartition("_ajax_nonce=")[2]
        )
        is_stream = "aipkit_frontend_chat_stream" in got.target
        if fields.get("action") == "aipkit_get_frontend_chat_nonce":
            data = json_reply({"success": True, "data": {"nonce": fresh}})
        elif not is_stream and got.method == "GET":
            data = reply(page_of(generation, NONCE if got.target == "/chat/" else fresh))
        elif nonce not in good and is_stream is is_second:
            data = refusal
        elif is_stream:
            data = stream_reply(b'data: {"delta":"Hi there"}\n\nevent: done\ndata: {}\n\n')
        else:
            data = KEY if generation == "2.x" else stream_reply()
        await connection.send(data)
        return True

    return answer


def messages(got: list[Got]) -> int:
    return sum(
        "message" in one.fields.get("action", "") or "action=aipkit_cache" in one.target for one in got
    )


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_nonce_that_stays_the_same_past_all_caches_ends_it_with_the_site_s_words(name: str) -> None:
    generation, is_second, refusal, code, words = REFUSALS[name]
    async with serving(site(generation, is_second, refusal, fresh=NONCE, good=frozenset())) as server:
        error = await failure(f"{server.url}/chat/")  # a browser may be run, and would be an error here
        assert messages(server.got) == 2
    assert error.code == code
    assert words in error.message
    assert any("nonce that it rejected" in finding.saw for finding in error.findings)
    assert not any(finding.rung == "browser" for finding in error.findings)
    if code == "http_error":
        assert "security plugin" in error.hint


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_fresh_nonce_is_an_answer_s(name: str) -> None:
    generation, is_second, refusal, _, _ = REFUSALS[name]
    async with serving(site(generation, is_second, refusal, fresh=FRESH, good=frozenset({FRESH}))) as server:
        result = await answer(f"{server.url}/chat/", strategy="static")
        assert (result.text, result.attempts) == ("Hi there", 2)


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_fresh_nonce_that_is_rejected_too_is_a_rejection(name: str) -> None:
    generation, is_second, refusal, _, _ = REFUSALS[name]
    async with serving(site(generation, is_second, refusal, fresh=FRESH, good=frozenset())) as server:
        error = await failure(f"{server.url}/chat/", strategy="static")
        assert messages(server.got) == 2
    assert error.code == "token_rejected"


async def test_a_site_that_erred_once_is_answered_with_the_same_nonce() -> None:
    refusals = [sentence(LOCKED)]

    async def erring(connection: Connection, got: Got) -> bool:
        html = reply(page_of("1.x", NONCE))
        sent = (refusals.pop() if refusals else stream_reply()) if got.is_message else html
        await connection.send(sent)
        return True

    async with serving(erring) as server, client_of(server.url) as client:
        assert (await client.ask("Hello")).attempts == 2
