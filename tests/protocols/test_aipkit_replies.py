from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import Case, cut, one_by_one, outcome_of, read, table
from wire import (
    FINISHED,
    FRESH_NONCE,
    PADDING,
    START,
    deltas,
    dump,
    event,
    failure,
    foreign_head,
    head,
    refusal,
)

from chatgptt._errors import ChatGpttError
from chatgptt._models import ReplyHead
from chatgptt.protocols import aipkit

JSON = head("json")
HTML = head("html")
ANSWER = ("Opens at ", "nine – ", "näh, “zehn” 🕙 ", "<b>&amp;</b>\n", "sharp.")
TEXT = "".join(ANSWER)
WHOLE = START + deltas(*ANSWER) + event({"id": "resp_1"}, "openai_response_id") + FINISHED
WEB_PAGE = b"<!DOCTYPE html>\n<html><head><title>Oops</title></head><body>502</body></html>"
CRITICAL = b"<p>There has been a critical error on this website.</p>"


def warned(body: bytes) -> bytes:
    return (
        b"<br />\n<b>Warning</b>:  Undefined array key in <b>/srv/x.php</b> on line <b>9</b><br />\n" + body
    )


def refused(words: str, **more: object) -> bytes:
    return failure(words, **more) + FINISHED


NOTICE = {
    "type": "quota_notice",
    "message": "Genug.",
    "actions": [{"label": "Buy", "url": "https://shop.example/buy"}],
}

STREAMS = [
    Case(name="an answer", body=WHOLE, text=TEXT),
    Case(name="an answer behind padding", body=PADDING + WHOLE, text=TEXT),
    Case(name="CRLF line ends", body=WHOLE.replace(b"\n", b"\r\n"), text=TEXT),
    Case(name="CR line ends", body=WHOLE.replace(b"\n", b"\r"), text=TEXT),
    Case(name="a byte order mark", body=b"\xef\xbb\xbf" + WHOLE, text=TEXT),
    Case(name="a PHP warning first", body=warned(WHOLE), text=TEXT),
    Case(name="declared as HTML", body=WHOLE, text=TEXT, head=HTML),
    Case(name="no blank line at the end", body=WHOLE[:-1], text=TEXT, is_ended=False),
    Case(name="no line end at the end", body=WHOLE[:-2], text=TEXT, is_ended=False),
    Case(name="garbage after the end", body=WHOLE + b"data: {\xff\n\n" + failure("Late."), text=TEXT),
    Case(name="a critical error after the end", body=WHOLE + CRITICAL, text=TEXT),
    Case(name="a named message event", body=START + event({"delta": "a"}, "message") + FINISHED, text="a"),
    Case(name="no start", body=deltas("a") + FINISHED, text="a"),
    Case(
        name="a warning is part of the answer",
        body=START + deltas("Well") + b'event: warning\nid: warn-1\ndata: {"error":" (Incomplete: max_tokens)"}\n\n' + FINISHED,
        text="Well (Incomplete: max_tokens)",
    ),
    Case(name="a warning alone", body=START + event({"error": " (Refusal: no)"}, "warning") + FINISHED, text=" (Refusal: no)"),
    Case(
        name="a greeting and an answer",
        body=event({"message_id": "trigger-1"}, "message_start") + deltas("Welcome!") + START + deltas("Nine.") + FINISHED,
        text="Welcome!\n\nNine.",
    ),
    Case(name="two starts", body=event({"message_id": "trigger-1"}, "message_start") + START + deltas("Nine.") + FINISHED, text="Nine."),
    Case(
        name="events that are not for us",
        body=START
        + event({"type": "response.created"}, "status")
        + deltas("a")
        + event([{"url": "https://a.example"}], "citations")
        + event({"x": 1}, "grounding_metadata")
        + event({"id": "i"}, "google_interaction_id")
        + event("no JSON", "invented_tomorrow")
        + FINISHED,
        text="a",
    ),
    Case(name="keys that are not known", body=START + event({"delta": "a", "index": 0}) + event({"other": 1}) + FINISHED, text="a"),
    Case(name="frames that are no JSON between", body=START + deltas("a") + event("{oops") + deltas("b") + FINISHED, text="ab"),
    Case(name="deltas that are no text", body=START + event({"delta": None}) + event({"delta": 5}) + deltas("a") + FINISHED, text="a"),
    Case(
        name="an emoji cut into two deltas",
        body=START + b'data: {"delta":"x\\ud83d"}\n\ndata: {"delta":"\\ude00!"}\n\n' + FINISHED,
        text="x😀!",
    ),
    Case(name="half an emoji at the end", body=START + b'data: {"delta":"x\\ud83d"}\n\n' + FINISHED, text="x\ufffd"),
    Case(name="half an emoji in the middle", body=START + b'data: {"delta":"\\ude00x\\ud83d"}\n\ndata: {"delta":"y"}\n\n' + FINISHED, text="\ufffdx\ufffdy"),
    # Broken off
    Case(name="no end", body=START + deltas("a ", "b "), text="a b ", code="stream_interrupted", is_ended=False),
    Case(name="no end and no start", body=deltas("a "), text="a ", code="stream_interrupted", is_ended=False),
    Case(name="nothing after the start", body=START, code="stream_interrupted", is_ended=False),
    Case(name="a critical error instead of the end", body=START + deltas("a ") + CRITICAL, text="a ", code="stream_interrupted", is_ended=False),
    Case(
        name="the provider's connection broke",
        body=START + deltas("a ") + failure("Connection Error: transfer closed with outstanding read data remaining"),
        text="a ", code="stream_interrupted", says="transfer closed",
    ),
    Case(name="the provider failed half-way", body=START + deltas("a ") + failure(" (Error: overloaded)"), text="a ", code="provider_error", says="overloaded"),
    Case(name="an error after text without a start", body=deltas("a ") + failure("Oh."), text="a ", code="provider_error", says="Oh."),
    # The provider failed
    Case(name="the provider refused", body=START + failure("API Error: Slow down (Code: rate_limit_exceeded)"), code="provider_error", says="Slow down"),
    Case(name="the provider refused behind padding", body=PADDING + START + failure("API Error: Bad key"), code="provider_error", says="Bad key"),
    Case(name="the provider could not be reached", body=START + failure("Connection Error: timed out"), code="provider_error", says="timed out"),
    Case(name="the provider said nothing", body=START + failure("Connection error: no data received from AI."), code="provider_error"),
    Case(name="the provider's words look like a quota", body=START + failure("API Error: You exceeded your current quota"), code="provider_error"),
    Case(name="the provider failed after a greeting", body=event({"message_id": "trigger-1"}, "message_start") + deltas("Hi!") + START + failure("API Error: Down"), text="Hi!\n\n", code="provider_error"),
    Case(name="the site has no key", body=refused("API key missing for OpenAI."), code="provider_error", says="API key missing"),
    Case(name="an error in no JSON", body=START + event("Broken pipe", "error"), code="provider_error", says="Broken pipe"),
    Case(name="the provider's web page", body=WEB_PAGE, code="provider_error", says="Oops", is_ended=False),
    # Refused
    Case(name="quota with a notice", body=refused("Genug.", quota_notice=NOTICE), code="refused", reason="quota", says="Genug."),
    Case(name="quota in words", body=refused("You have reached your quota for this period."), code="refused", reason="quota"),
    Case(name="quota in older words", body=refused("You have reached your token limit for this period."), code="refused", reason="quota"),
    Case(name="quota in the site's words", body=refused("Daily limit reached."), code="refused", reason="quota"),
    Case(name="a quota of use", body=refused("Your usage limit is used up."), code="refused", reason="quota"),
    Case(name="a quota of messages", body=refused("Message limit reached."), code="refused", reason="quota"),
    Case(name="a message too long", body=refused("Message exceeds the maximum limit of 2000 characters."), code="refused", reason="other"),
    Case(name="a refusal behind padding", body=PADDING + refused("Access disabled for guests."), code="refused", reason="guests_disabled"),
    Case(name="a role disabled", body=refused("Access disabled for your account/role."), code="refused", reason="other"),
    Case(name="a banned address", body=refused("Access from your IP address has been blocked."), code="refused", reason="banned_ip"),
    Case(name="banned words", body=refused("Sorry, your message could not be sent as it contains prohibited words."), code="refused", reason="banned_words"),
    Case(name="moderation", body=refused("Your message was flagged by the moderation system and could not be sent."), code="refused", reason="moderation"),
    Case(name="a trigger", body=refused("Session blocked by system."), code="refused", reason="other"),
    Case(name="an unknown bot", body=refused("Invalid chatbot specified."), code="refused", reason="other"),
    Case(name="a domain", body=refused("This domain is not permitted to access the chatbot."), code="refused", reason="other"),
    Case(name="a refusal in other words", body=refused("Heute nicht &amp; morgen nicht."), code="refused", reason="other", says="Heute nicht & morgen nicht."),
    Case(name="a refusal without words", body=event({}, "error") + FINISHED, code="refused", reason="other"),
    Case(name="a form first", body=event({"form": 1}, "display_form_event") + FINISHED, code="refused", reason="other", says="form"),
    # Tokens
    Case(name="a nonce rejected", body=refused("Security check failed. Please refresh the page and try again."), code="token_rejected", is_stale=True),
    Case(name="a nonce rejected (until 2.3.19)", body=refused("Security check failed (nonce)."), code="token_rejected", is_stale=True),
    Case(name="the key is unknown", body=refused("Message not found in cache."), code="token_rejected"),
    Case(name="the key is too old", body=refused("Cached message has expired."), code="token_rejected"),
    Case(name="the key is missing", body=refused("Message cache key is missing."), code="token_rejected"),
    # Nothing
    Case(name="an empty body", body=b"", code="empty_answer", is_ended=False),
    Case(name="only padding", body=PADDING, code="empty_answer", is_ended=False),
    Case(name="an end alone", body=FINISHED, code="empty_answer"),
    Case(name="no text", body=START + FINISHED, code="empty_answer"),
    Case(name="only blanks", body=START + deltas(" ", "\n") + FINISHED, text=" \n", code="empty_answer"),
    Case(name="only frames that are no JSON", body=START + event("{oops") + event("") + FINISHED, code="unreadable_answer", says="2 frames"),
    Case(name="words that are no event", body=b"hello there, this is no stream\n", code="unreadable_answer", is_ended=False),
]  # fmt: skip

PLAIN = [
    Case(name="a plain reply (up to 2.4.0)", body=dump({"success": True, "data": {"reply": TEXT, "message_id": "m"}}), text=TEXT, head=JSON),
    Case(name="a plain reply behind a warning", body=warned(dump({"success": True, "data": {"reply": "a"}})), text="a", head=JSON),
    Case(name="a plain reply behind a byte order mark", body=b"\xef\xbb\xbf" + dump({"success": True, "data": {"reply": "a"}}), text="a", head=JSON),
    Case(name="a plain reply with half an emoji", body=dump({"success": True, "data": {"reply": "x\ud83d"}}), text="x\ufffd", head=JSON),
    Case(name="a plain reply without text", body=dump({"success": True, "data": {"reply": ""}}), code="empty_answer", head=JSON),
    Case(name="a plain reply of another form", body=dump({"success": True, "data": 5}), code="unreadable_answer", head=JSON),
    Case(name="a plain nonce refusal", body=refusal("nonce_failure", "Security check failed. Please refresh."), code="token_rejected", is_stale=True, head=head("json", 403)),
    Case(name="a plain provider failure", body=dump({"success": False, "data": {"message": "API Error: Bad key"}}), code="provider_error", head=head("json", 401)),
    Case(name="a plain refusal", body=dump({"success": False, "data": "Access disabled for guests."}), code="refused", reason="guests_disabled", head=head("json", 403)),
    Case(name="PHP died", body=CRITICAL, code="http_error", says="critical error", head=head("html", 500)),
    Case(name="plugin off", body=b"0", code="unreadable_answer", is_stale=True, head=head("html", 400)),
    Case(name="WordPress' own nonce check", body=b"-1", code="token_rejected", is_stale=True, head=head("html", 403)),
    Case(name="a wall", body=b"<html><title>403 Forbidden</title>", code="http_error", says="403 Forbidden", head=foreign_head(403)),
    Case(name="a challenge", body=b"", code="challenge", head=foreign_head(403, {"cf-mitigated": "challenge"})),
    Case(name="maintenance", body=b"Briefly unavailable", code="rate_limited", head=foreign_head(503, {"retry-after": "600"})),
    Case(name="a redirect", body=b"", code="http_error", head=foreign_head(301)),
    Case(name="another page", body=WEB_PAGE, code="unreadable_answer", says="Oops", head=HTML),
    Case(name="a long error page", body=b"<title>Down</title>" + b"x" * 100_000, code="http_error", head=foreign_head(502)),
]  # fmt: skip

CASES = [*STREAMS, *PLAIN]
ENDED = [case for case in STREAMS if case.is_ended]


@pytest.mark.parametrize("case", table(CASES))
def test_a_reply_is_read_as_a_whole(case: Case) -> None:
    case.check(read("aipkit", case.head, [case.body]))


@pytest.mark.parametrize("case", table(case for case in CASES if len(case.body) < 50_000))
def test_a_reply_reads_the_same_byte_by_byte(case: Case) -> None:
    assert read("aipkit", case.head, one_by_one(case.body)) == read("aipkit", case.head, [case.body])


@pytest.mark.parametrize("trail", [b"\n\xff\x00", b"<!DOCTYPE html><html>", failure("Late."), deltas("more")])
@pytest.mark.parametrize("case", table(ENDED))
def test_what_follows_the_end_is_ignored(case: Case, trail: bytes) -> None:
    expected = read("aipkit", case.head, [case.body])
    assert read("aipkit", case.head, [case.body + trail]) == expected
    assert read("aipkit", case.head, [case.body, trail]) == expected


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 1500), max_size=8))
def test_a_stream_reads_the_same_however_it_is_cut(case: Case, places: list[int]) -> None:
    assert read("aipkit", case.head, cut(case.body, places)) == read("aipkit", case.head, [case.body])


@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 30), st.binary(max_size=9)), max_size=4),
    st.lists(st.integers(0, 1500), max_size=4),
)
def test_a_damaged_reply_reads_the_same_however_it_is_cut(
    case: Case, damages: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    body = case.body[:20_000]
    for at, length, instead in damages:
        body = body[:at] + instead + body[at + length :]
    assert read("aipkit", case.head, cut(body, places)) == read("aipkit", case.head, [body])


HEADS = [
    head(kind, status)
    for kind in ("stream", "json", "html")
    for status in (200, 202, 302, 400, 403, 429, 500)
]
LINES = st.sampled_from(
    [b"data: ", b"data:", b"event: error", b"event: done", b"event: message_start", b"event: warning", b":", b"\n", b"\r",
    b'{"delta":"a"}', b'{"delta":"\\ud83d"}', b'{"error":"no"}', b"{", b"}", b'{"finished":true}', b"\n\n", b"\r\n",
    b"<html>", b"\xef\xbb\xbf", b"\xff", b'{"success":true,"data":{"reply":"a"}}', b'{"success":false,"data":"a"}']
)  # fmt: skip
BYTES = st.binary(max_size=200) | st.text().map(str.encode) | st.lists(LINES).map(b"".join)


@given(st.sampled_from(HEADS), BYTES)
def test_any_bytes_give_text_or_an_error_of_the_project(reply_head: ReplyHead, body: bytes) -> None:
    outcome = read("aipkit", reply_head, [body])
    assert bool(outcome.text.strip()) or outcome.code
    assert read("aipkit", reply_head, one_by_one(body)) == outcome


@given(st.sampled_from(HEADS), BYTES)
def test_any_bytes_give_a_cache_key_or_an_error_of_the_project(reply_head: ReplyHead, body: bytes) -> None:
    text = body.decode("utf-8", "replace")
    aipkit.maybe_fresh_nonce(reply_head, text)
    with suppress(ChatGpttError):
        assert aipkit.read_cache_key(reply_head, text)


def test_only_a_lost_key_asks_for_the_message_again() -> None:
    lost = read("aipkit", head(), [refused("Message not found in cache.")])
    rejected = read("aipkit", head(), [refused("Security check failed.")])
    assert (lost.is_key_lost, rejected.is_key_lost) == (True, False)


def test_pieces_come_as_soon_as_their_event_is_complete() -> None:
    reader = aipkit.ReplyReader(head())
    assert reader.receive(START + deltas("Good ")) == ["Good "]
    assert reader.receive(deltas("day")[:-1]) == []
    assert reader.receive(b"\n") == ["day"]


def test_nothing_is_read_after_the_end() -> None:
    reader = aipkit.ReplyReader(head())
    reader.receive(WHOLE)
    assert reader.is_finished
    assert reader.receive(deltas("more")) == []
    assert reader.text == TEXT


@pytest.mark.parametrize(
    ("body", "message_id"),
    [(WHOLE, "aipkit-msg-77"), (PLAIN[0].body, "m"), (deltas("a") + FINISHED, "")],
    ids=["stream", "plain", "none"],
)
def test_the_messages_id_is_in_the_ending(body: bytes, message_id: str) -> None:
    ending = read("aipkit", head(), [body]).ending
    assert ending is not None
    assert ending.message_id == message_id


def test_a_reader_says_whether_it_was_a_stream() -> None:
    assert read("aipkit", head(), [WHOLE]).is_stream
    assert not read("aipkit", JSON, [PLAIN[0].body]).is_stream


def test_unreadable_frames_are_counted() -> None:
    ending = read("aipkit", head(), [START + deltas("a") + event("{oops") + FINISHED]).ending
    assert ending is not None
    assert ending.unreadable_frames == 1


@pytest.mark.parametrize("size", [2**10, 2**20, 2**25], ids=["1 kB", "1 MB", "at once"])
def test_an_endless_event_is_given_up_after_what_came_before(size: int) -> None:
    body = START + deltas("a") + b"data: " + b"x" * (16 * 2**20 + 1)
    outcome = read("aipkit", head(), (body[at : at + size] for at in range(0, len(body), size)))
    assert (outcome.code, outcome.text, outcome.status) == ("unreadable_answer", "a", 200)


def test_an_endless_event_behind_the_end_is_ignored() -> None:
    assert read("aipkit", head(), [WHOLE + b"data: " + b"x" * (16 * 2**20 + 1)]).text == TEXT


# Step 1

KEY = dump({"success": True, "data": {"cache_key": "aipkit_sse_Ab9"}})
REJECTED = refusal("nonce_failure_cache_sse", "Your session has expired or the request is invalid.")


@pytest.mark.parametrize(
    "body", [KEY, b"\xef\xbb\xbf" + KEY, warned(KEY), b"{oops} " + KEY, KEY + CRITICAL],
    ids=["alone", "byte order mark", "PHP warning", "stray brace", "trailing HTML"],
)  # fmt: skip
def test_step_1_gives_the_cache_key(body: bytes) -> None:
    assert aipkit.read_cache_key(JSON, body.decode()) == "aipkit_sse_Ab9"


STEP_1 = [
    Case(name="a nonce rejected", body=REJECTED, code="token_rejected", is_stale=True, head=head("json", 403)),
    Case(name="a nonce rejected in other words", body=refusal("nonce_failure_cache_sse", "Sitzung abgelaufen."), code="token_rejected", is_stale=True, head=head("json", 403)),
    Case(name="a nonce rejected without a code", body=dump({"success": False, "data": {"message": "Security check failed."}}), code="token_rejected", is_stale=True, head=head("json", 403)),
    Case(name="an empty message", body=refusal("empty_data_to_cache"), code="refused", reason="other", head=head("json", 400)),
    Case(name="a foreign origin", body=refusal("cors_denied"), code="refused", reason="other", head=head("json", 403)),
    Case(name="an embed without a word", body=refusal("embed_not_available", ""), code="refused", reason="other", says="embed_not_available", head=head("json", 403)),
    Case(name="an image", body=refusal("image_too_large"), code="refused", reason="other", head=head("json", 413)),
    Case(name="a refusal without words", body=dump({"success": False}), code="refused", reason="other", head=head("json", 400)),
    Case(name="a refusal of another plugin, as text", body=dump({"success": False, "data": "Genug."}), code="refused", reason="other", says="Genug.", head=JSON),
    Case(name="a refusal of another plugin, as WP_Error", body=dump({"success": False, "data": [{"code": "x", "message": "Genug."}]}), code="refused", reason="other", says="Genug.", head=JSON),
    Case(name="an answer of the other generation", body=dump({"status": "success", "data": "Hallo"}), code="unreadable_answer", head=JSON),
    Case(name="a refusal with status 200", body=refusal("x", "Genug."), code="refused", reason="other", says="Genug.", head=JSON),
    Case(name="a quota with 429", body=refusal("x", "You have reached your quota."), code="refused", reason="quota", head=head("json", 429)),
    Case(name="a quota with 429 and a time", body=refusal("x", "You have reached your quota."), code="rate_limited", head=head("json", 429, {"retry-after": "5"})),
    Case(name="a rate limit", body=refusal("x", "Slow down."), code="rate_limited", says="Slow down.", head=head("json", 429)),
    Case(name="a rate limit that says so", body=refusal("x", "Rate limit exceeded, slow down"), code="rate_limited", head=head("json", 429)),
    Case(name="the site cannot encode it", body=refusal("json_encode_failed"), code="http_error", head=head("json", 400)),
    Case(name="the site's database", body=refusal("sse_cache_db_insert_failed"), code="http_error", head=head("json", 500)),
    Case(name="a part is missing", body=refusal("cache_component_missing"), code="http_error", head=head("json", 503)),
    Case(name="the service is not ready", body=dump({"success": False, "data": {"message": "SSE service not ready."}}), code="http_error", head=head("json", 503)),
    Case(name="a challenge that talks JSON", body=b'{"success":false,"data":"captcha-delivery.com"}', code="challenge", head=foreign_head(503)),
    Case(name="the provider", body=refusal("x", "API Error: Bad key"), code="provider_error", head=head("json", 500)),
    Case(name="a message beside data", body=dump({"message": "Nope.", "code": "rest"}), code="refused", reason="other", says="Nope.", head=head("json", 400)),
    Case(name="plugin off", body=b"0", code="unreadable_answer", is_stale=True, head=head("html", 400)),
    Case(name="nothing", body=b" ", code="empty_answer", head=JSON),
    Case(name="a page", body=WEB_PAGE, code="unreadable_answer", head=HTML),
    Case(name="a key with an error status", body=KEY, code="http_error", head=head("json", 500)),
    Case(name="a key that is no text", body=dump({"success": True, "data": {"cache_key": 5}}), code="unreadable_answer", head=JSON),
    Case(name="data that is no object", body=dump({"success": True, "data": []}), code="unreadable_answer", head=JSON),
]  # fmt: skip


@pytest.mark.parametrize("case", table(STEP_1))
def test_step_1_says_what_it_amounts_to_instead(case: Case) -> None:
    with pytest.raises(ChatGpttError) as caught:
        aipkit.read_cache_key(case.head, case.body.decode())
    case.check(outcome_of(caught.value))


# The nonce action

RENEWED = dump({"success": True, "data": {"nonce": FRESH_NONCE}})


@pytest.mark.parametrize(
    ("body", "status", "nonce"),
    [
        (RENEWED, 200, FRESH_NONCE),
        (warned(RENEWED), 200, FRESH_NONCE),
        (RENEWED, 403, None),
        (b"0", 400, None),
        (b"", 200, None),
        (dump({"success": True, "data": {"nonce": "0000000000"}}), 200, None),
        (dump({"success": True, "data": {"nonce": 5}}), 200, None),
        (dump({"success": True, "data": []}), 200, None),
        (refusal("cors_denied"), 200, None),
    ],
    ids=["renewed", "a warning first", "an error status", "unknown action", "empty", "a placeholder", "a number", "no data", "refused"],
)  # fmt: skip
def test_a_fresh_nonce_is_read(body: bytes, status: int, nonce: str | None) -> None:
    assert aipkit.maybe_fresh_nonce(head("json", status), body.decode()) == nonce
