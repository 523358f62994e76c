from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from readings import Case, cut, one_by_one, read, table
from wire import (
    DONE,
    FINISH,
    chunk,
    chunks,
    dump,
    event,
    foreign_head,
    head,
    json_answer,
    json_failure,
    typed,
)

from chatgptt._errors import RefusalReason
from chatgptt._models import ReplyHead
from chatgptt.protocols import wpaicg

JSON = head("json")
HTML = head("html")
ANSWER = ("Opens at ", "nine – ", "näh, “zehn” 🕙 ", "<b>&amp;</b>\n", "sharp.")
TEXT = "".join(ANSWER)
WHOLE = chunks(*ANSWER) + FINISH + DONE
SITE_DOWN = b"<!DOCTYPE html>\n<html><head><title>Oops &rsaquo; Error</title></head><body>502</body></html>"
CRITICAL = b"<p>There has been a critical error on this website.</p>"


def assistant(*texts: str) -> bytes:
    return b"".join(
        event(
            {
                "id": "msg_1",
                "object": "thread.message.delta",
                "delta": {"content": [{"index": 0, "type": "text", "text": {"value": text}}]},
            },
            "thread.message.delta",
        )
        for text in texts
    )


def warned(body: bytes) -> bytes:
    return (
        b"<br />\n<b>Warning</b>:  Undefined array key in <b>/srv/x.php</b> on line <b>9</b><br />\n" + body
    )


STREAMS = [
    Case(name="an answer", body=WHOLE, text=TEXT),
    Case(name="an answer declared as HTML", body=WHOLE, text=TEXT, head=HTML),
    Case(name="an answer declared as JSON", body=WHOLE, text=TEXT, head=JSON),
    Case(name="CRLF line ends", body=WHOLE.replace(b"\n", b"\r\n"), text=TEXT),
    Case(name="CR line ends", body=WHOLE.replace(b"\n", b"\r"), text=TEXT),
    Case(name="a byte order mark", body=b"\xef\xbb\xbf" + WHOLE, text=TEXT),
    Case(name="two byte order marks and blanks", body=b"\xef\xbb\xbf\n \xef\xbb\xbf" + WHOLE, text=TEXT),
    Case(name="a PHP warning first", body=warned(WHOLE), text=TEXT),
    Case(name="a PHP warning first, declared as HTML", body=warned(WHOLE), text=TEXT, head=HTML),
    Case(name="many PHP warnings first", body=warned(b"") * 60 + WHOLE, text=TEXT, is_ended=False),
    Case(name="a PHP warning and nothing else", body=warned(b""), code="provider_error", says="Undefined array key", is_ended=False),
    Case(name="a web page that quotes a stream", body=SITE_DOWN + WHOLE, code="provider_error", says="Oops", is_ended=False),
    Case(name="words that are no event", body=b"hello there, this is no stream\n", code="unreadable_answer", is_ended=False),
    Case(name="no blank after data:", body=WHOLE.replace(b"data: ", b"data:"), text=TEXT),
    Case(name="no blank lines between frames", body=WHOLE.replace(b"\n\n", b"\n") + b"\n", text=TEXT),
    Case(name="comments of the provider", body=b": OPENROUTER PROCESSING\n\n" + chunks("a") + b": ping\n\n" + chunk("b") + DONE, text="ab"),
    Case(name="garbage after the end mark", body=WHOLE + b"data: {\xff}\n\nevent: message\ndata: {}\n\n", text=TEXT),
    Case(name="a refusal after the end mark", body=WHOLE + event({"msg": "Late.", "tokenLimitReached": True}), text=TEXT),
    Case(name="garbage on the end mark's own line", body=chunks("a") + b"data: [DONE]<p>critical</p>\n\n", text="a"),
    Case(name="WordPress' critical error after the end mark", body=WHOLE + CRITICAL, text=TEXT),
    Case(name="JSON of the whole answer after the end mark (up to 1.8.84)", body=WHOLE + json_answer(TEXT), text=TEXT),
    Case(name="an end mark without a blank line", body=chunks("a", "b") + b"data: [DONE]", text="ab", is_ended=False),
    Case(name="no end mark but a finish reason", body=chunks("a") + FINISH, text="a", is_ended=False),
    Case(name="a critical error page without an end mark", body=chunks("a") + FINISH + CRITICAL, text="a", is_ended=False),
    Case(name="an old completion model", body=event({"id": "cmpl-1", "choices": [{"text": "Yes", "index": 0}]}) + DONE, text="Yes"),
    Case(name="empty data lines", body=b"data:\n" + chunks("a") + b"data: \n\n" + DONE, text="a"),
    Case(name="a chunk with usage and no choices", body=chunks("a") + event({"id": "c", "choices": [], "usage": {}}) + DONE, text="a"),
    Case(name="choices of other shapes", body=chunks("a") + event({"choices": {}}) + event({"choices": [7]}) + event([1]) + DONE, text="a"),
    Case(name="a delta that is no text", body=chunks("a") + event({"id": "c", "choices": [{"index": 0, "delta": {"content": None}}]}) + DONE, text="a"),
    Case(
        name="a line split by the site, its second half lost",
        body=chunks("a") + b'data: {"id":"gen-1","choices":[{"index":0,"delta":{"content":"lo\n\n' + chunk("b") + DONE,
        text="ab",
    ),
    Case(
        name="an emoji cut into two deltas",
        body=chunks("x") + b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n'
        b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"\\ude00!"}}]}\n\n' + DONE,
        text="x😀!",
    ),
    Case(
        name="half an emoji at the end",
        body=b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x\\ud83d"}}]}\n\n' + DONE,
        text="x\ufffd",
    ),
    Case(name="bare chunks that end properly", body=event({"choices": [{"delta": {"content": "Hi"}}]}, "message") + DONE, text="Hi"),
    Case(
        name="bare chunks before genuine ones",
        body=event({"choices": [{"delta": {"content": "H"}}]}, "message") + chunk("i") + DONE,
        text="Hi",
    ),
    # Broken off
    Case(name="no end mark", body=chunks("a ", "b "), text="a b ", code="stream_interrupted", is_ended=False),
    Case(name="no end mark but JSON (up to 1.8.84)", body=chunks("a ") + json_answer("a "), text="a ", code="stream_interrupted", is_ended=False),
    Case(name="cut within a frame", body=chunks("a ", "b ")[:-20], text="a ", code="stream_interrupted", is_ended=False),
    Case(name="cut before any text", body=chunk(""), code="stream_interrupted", is_ended=False),
    # Refused
    Case(name="quota", body=event({"msg": "Enough for today.", "tokenLimitReached": True}), code="refused", reason="quota", says="Enough for today."),
    Case(name="quota with blank words", body=event({"msg": "", "tokenLimitReached": True}), code="refused", reason="quota"),
    Case(name="a banned address, then the answer", body=event({"msg": "Not you.", "ipBanned": True}) + WHOLE, code="refused", reason="banned_ip", says="Not you."),
    Case(name="banned words, then the answer", body=event({"msg": "Not that.", "messageFlagged": True}) * 2 + WHOLE, code="refused", reason="banned_words", says="Not that."),
    Case(name="moderation", body=event({"msg": "Mind your words.", "modflag": True}), code="refused", reason="moderation"),
    Case(name="a refusal after text", body=chunks("a") + event({"msg": "Stop.", "tokenLimitReached": True}), text="a", code="refused", reason="quota"),
    Case(name="a refusal without blank lines behind it", body=event({"msg": "Not you.", "ipBanned": True})[:-1] + WHOLE, code="refused", reason="banned_ip"),
    # The provider failed
    Case(name="a provider's words typed out twice", body=typed("Quota of the key is used up"), code="provider_error", says="Quota of the key is used up"),
    Case(name="typed out, JSON behind (up to 1.8.84)", body=typed("Bad gateway") + json_answer(""), code="provider_error", says="Bad gateway"),
    Case(name="typed words with quotes that break the JSON", body=typed('The model "gpt-9" does not "exist"'), code="provider_error", says='The model "gpt-9" does not "exist"'),
    Case(name="typed words of HTML entities", body=typed("Isn&#039;t there"), code="provider_error", says="Isn't there"),
    Case(name="typed words cut off", body=typed("Over loaded now")[:100], code="provider_error", says="Over", is_ended=False),
    Case(name="an error among the chunks", body=chunks("a") + event({"error": {"message": "Overloaded"}}) + DONE, text="a", code="provider_error", says="Overloaded"),
    Case(name="an error in words only", body=event({"error": "Overloaded"}), code="provider_error", says="Overloaded"),
    Case(name="an error without words", body=event({"error": {"code": 1}}), code="provider_error"),
    Case(name="the vector store failed", body=event({"msg": "No index.", "pineconeError": True}), code="provider_error", says="No index."),
    Case(name="the provider's raw JSON", body=b'{\n  "error": {\n    "message": "Bad key"\n  }\n}\n', code="provider_error", says="Bad key", is_ended=False),
    Case(
        name="the provider's raw JSON, then its words in one frame",
        body=b'{\n  "error": {\n    "message": "Bad key"\n  }\n}\n' + typed("Bad\u00a0key"),
        code="provider_error",
        says="Bad key",
        is_ended=False,
    ),
    Case(
        name="the provider's raw JSON, its words on the same line",
        body=b'{"error":{"message":"Bad key"}}' + typed("Bad\u00a0key"),
        code="provider_error",
        says="Bad key",
        is_ended=False,
    ),
    Case(name="the provider's raw JSON amid the stream", body=event({"id": "c"}) + b'{"error": {"message": "Bad key"}}\n', code="provider_error", says="Bad key", is_ended=False),
    Case(name="the provider's web page", body=SITE_DOWN, code="provider_error", says="Oops", is_ended=False),
    Case(name="the provider's web page amid the stream", body=event({"id": "c"}) + SITE_DOWN, code="provider_error", says="Oops", is_ended=False),
    # Nothing
    Case(name="an empty body", body=b"", code="empty_answer", is_ended=False),
    Case(name="only blanks and a byte order mark", body=b"\xef\xbb\xbf\r\n \n", code="empty_answer", is_ended=False),
    Case(name="only comments", body=b": x\n\n", code="empty_answer", is_ended=False),
    Case(name="an end mark alone", body=DONE, code="empty_answer"),
    Case(name="an end mark alone before a web page", body=DONE + SITE_DOWN, code="empty_answer"),
    Case(name="JSON of an empty answer amid the stream", body=event({"id": "c"}) + json_answer(""), code="empty_answer", is_ended=False),
    Case(name="the mark of an exhausted quota", body=b"data: [LIMITED]\n\n", code="empty_answer"),
    Case(name="only frames that are no JSON", body=b"data: {oops\n\ndata: {again\n\n", code="unreadable_answer", says="2 frames", is_ended=False),
    # Assistants
    Case(
        name="an assistant",
        body=event("thread_9", "thread_id") + event({"x": 1}, "thread.run.created") + assistant("Good ", "day") + event("[DONE]", "done"),
        text="Good day",
    ),
    Case(name="an assistant's odd deltas", body=event({"delta": {"content": [5, {"type": "image_file"}, {"type": "text", "text": {}}]}}, "thread.message.delta") + event({"delta": 1}, "thread.message.delta") + assistant("x") + event("[DONE]", "done"), text="x"),
    Case(name="an assistant failed", body=event({"status": "error", "msg": "Run failed."}, "assistant_error") + event("", "done"), code="provider_error", says="Run failed."),
    Case(name="an assistant failed in no JSON", body=event("Run failed.", "assistant_error"), code="provider_error", says="Run failed."),
    Case(name="an assistant broke off", body=assistant("Good "), text="Good ", code="stream_interrupted", is_ended=False),
    Case(name="an assistant's failed run", body=b"", code="empty_answer", is_ended=False),
]  # fmt: skip

PLAIN = [
    Case(name="JSON", body=json_answer(TEXT), text=TEXT, head=JSON),
    Case(name="JSON of a streaming bot", body=json_answer(TEXT), text=TEXT),
    Case(name="JSON declared as HTML", body=json_answer(TEXT), text=TEXT, head=HTML),
    Case(name="JSON after a byte order mark", body=b"\xef\xbb\xbf" + json_answer("a"), text="a", head=JSON),
    Case(name="JSON after a PHP warning", body=warned(json_answer("a")), text="a", head=JSON),
    Case(name="JSON after a warning with braces", body=b"Notice: {x} in {y}\n" + json_answer("a"), text="a", head=JSON),
    Case(name="JSON before HTML", body=json_answer("a") + b"<!-- cached -->", text="a", head=JSON),
    Case(name="an answer of HTML", body=json_answer("<h2>A</h2>&lt;<br>"), text="<h2>A</h2>&lt;<br>", head=JSON),
    Case(name="embeddings only", body=dump({"status": "success", "msg": "I dont know", "data": "I dont know"}), text="I dont know", head=JSON),
    Case(name="half an emoji", body=json_answer("x\ud83d"), text="x\ufffd", head=JSON),
    Case(name="a tool call with text", body=json_answer({"content": "a"}), text="a", head=JSON),
    Case(name="a tool call", body=json_answer({"tool_calls": []}), code="empty_answer", head=JSON),
    Case(name="no text", body=json_answer(""), code="empty_answer", head=JSON),
    Case(name="Google's words", body=json_answer("Response from Google: API key not valid."), code="provider_error", says="API key not valid.", head=JSON),
    Case(name="Google's safety", body=json_answer("Sorry, but it is not allowed to generate this content due to safety concerns. Please try again."), code="refused", reason="moderation", head=JSON),
    Case(name="quota in JSON", body=dump({"msg": "Enough.", "tokenLimitReached": True}), code="refused", reason="quota", says="Enough.", head=JSON),
    Case(name="quota without words", body=dump({"msg": "", "tokenLimitReached": True}), code="refused", reason="quota", head=JSON),
    Case(name="quota in words", body=json_failure("You have reached your token limit."), code="refused", reason="quota", head=JSON),
    Case(name="banned address", body=json_failure("You are not allowed to access this feature."), code="refused", reason="banned_ip", head=JSON),
    Case(name="banned words", body=json_failure("Your message contains prohibited words. Please modify your message and try again."), code="refused", reason="banned_words", head=JSON),
    Case(name="moderation in JSON", body=json_failure("Your message has been flagged as potentially harmful."), code="refused", reason="moderation", head=JSON),
    Case(name="an empty message", body=json_failure("It appears that nothing was inputted."), code="refused", reason="other", head=JSON),
    Case(name="a refusal in other words", body=json_failure("Leider nein."), code="refused", reason="other", says="Leider nein.", head=JSON),
    Case(name="a refusal of another plugin", body=dump({"success": False, "data": "Leider nein."}), code="refused", reason="other", says="Leider nein.", head=JSON),
    Case(name="no key set up", body=json_failure("Unable to initialize the AI instance. Please make sure the API key is valid."), code="provider_error", head=JSON),
    Case(name="provider refused", body=json_failure("You didn&#039;t pay &amp; more", has_prompt=True), code="provider_error", says="You didn't pay & more", head=JSON),
    Case(name="provider refused over its own quota", body=json_failure("You exceeded your current quota", has_prompt=True), code="provider_error", head=JSON),
    Case(name="provider unreachable", body=json_failure("cURL error 28: Operation timed out"), code="provider_error", head=JSON),
    Case(name="embeddings not set up", body=dump({"status": "error", "msg": "Something wrong with Qdrant setup.", "data": "Something wrong with Qdrant setup."}), code="provider_error", says="Qdrant", head=JSON),
    Case(name="assistant failed", body=json_failure("Failed to create thread."), code="provider_error", head=JSON),
    Case(name="something went wrong", body=json_failure("Something went wrong"), code="provider_error", head=JSON),
    Case(name="an error object", body=dump({"error": {"message": "Down"}}), code="provider_error", says="Down", head=JSON),
    Case(name="JSON of another form", body=dump({"status": "ok", "data": 5}), code="unreadable_answer", head=JSON),
    Case(name="JSON of nobody's form", body=dump({"hello": 5}), code="unreadable_answer", head=JSON),
    Case(name="no JSON", body=b"hello", code="unreadable_answer", says="hello", head=JSON),
    Case(name="a web page with JSON in it", body=b'<!doctype html><html><title>Shop</title><script>x={"error":1}</script>', code="unreadable_answer", says="Shop", head=HTML),
    Case(name="nested too deep", body=b'{"a":' * 100_000, code="unreadable_answer", head=JSON),
    Case(name="nonce rejected (up to 1.8.90)", body=json_failure("Nonce verification failed"), code="token_rejected", is_stale=True, head=JSON),
    Case(name="nonce rejected (from 1.8.91)", body=b"The link you followed has expired.", code="token_rejected", is_stale=True, head=head("html", 403)),
    Case(name="nonce rejected with a way back", body=b'The link you followed has expired.</p><p><a href="https://shop.example/help/">Please try again.</a>', code="token_rejected", is_stale=True, head=head("html", 403)),
    Case(name="nonce rejected in German", body=b"Der Link, dem du gefolgt bist, ist abgelaufen.", code="token_rejected", is_stale=True, says="abgelaufen", head=head("html", 403)),
    Case(name="nonce rejected in Japanese", body="辿ったリンクは期限が切れています。".encode(), code="token_rejected", is_stale=True, head=head("html", 403)),
    Case(name="nonce rejected by WordPress", body=b"-1", code="token_rejected", is_stale=True, head=head("html", 403)),
    Case(name="a firewall's text", body=b"Forbidden by policy", code="http_error", says="403", head=foreign_head(403)),
    Case(name="a firewall's page with WordPress' headers", body=b"<!DOCTYPE html><html><title>403 Forbidden</title></html>", code="http_error", says="403 Forbidden", head=head("html", 403)),
    Case(name="a security plugin's JSON", body=b'{"code":"rest_forbidden"}', code="http_error", head=head("json", 403)),
    Case(name="a firewall's empty reply", body=b"", code="http_error", head=head("html", 403)),
    Case(name="a long text with 403", body=b"No. " * 1000, code="http_error", head=head("html", 403)),
    Case(name="plugin off", body=b"0", code="unreadable_answer", is_stale=True, head=head("html", 400)),
    Case(name="plugin off, a byte order mark first", body=b"\xef\xbb\xbf0", code="unreadable_answer", is_stale=True, head=head("html", 400)),
    Case(name="the action returned without an answer", body=b"0", code="unreadable_answer", says="took the message", head=HTML),
    Case(name="nonce rejected behind a warning", body=b"<br />\n<b>Warning</b>: x in <b>y</b><br />\nThe link you followed has expired.", code="token_rejected", is_stale=True, head=HTML),
    Case(name="PHP died", body=b"<p>There has been a critical error on this website.</p>", code="http_error", says="critical error", head=head("html", 500)),
    Case(name="gateway timeout", body=b"", code="http_error", says="504", head=foreign_head(504)),
    Case(name="maintenance", body=b"Briefly unavailable for scheduled maintenance.", code="rate_limited", head=foreign_head(503)),
    Case(name="a redirect", body=b"", code="http_error", says="redirects", head=foreign_head(302)),
    Case(name="a challenge", body=b"<html>Just wait", code="challenge", head=foreign_head(403, {"cf-mitigated": "challenge"})),
    Case(name="a challenge with status 200", body=b'<!doctype html><html><script id="anubis_challenge">{"error":1}</script>', code="challenge", says="Anubis", head=foreign_head(200)),
    Case(name="a long error page", body=b"<html><title>Down</title>" + b"x" * 200_000, code="http_error", says="Down", head=foreign_head(502)),
]  # fmt: skip

CASES = [*STREAMS, *PLAIN]
ENDED = [case for case in STREAMS if case.is_ended]


@pytest.mark.parametrize("case", table(CASES))
def test_a_reply_is_read_as_a_whole(case: Case) -> None:
    case.check(read("wpaicg", case.head, [case.body]))


@pytest.mark.parametrize("case", table(case for case in CASES if len(case.body) < 100_000))
def test_a_reply_reads_the_same_byte_by_byte(case: Case) -> None:
    assert read("wpaicg", case.head, one_by_one(case.body)) == read("wpaicg", case.head, [case.body])


@pytest.mark.parametrize(
    "trail", [b"\n\xff\x00", b"<!DOCTYPE html><html>", b'\n{"error":{"message":"late"}}\n\n']
)
@pytest.mark.parametrize("case", table(ENDED))
def test_what_follows_the_end_of_a_stream_is_ignored(case: Case, trail: bytes) -> None:
    expected = read("wpaicg", case.head, [case.body])
    assert read("wpaicg", case.head, [case.body + trail]) == expected
    assert read("wpaicg", case.head, [case.body, trail]) == expected


@given(st.sampled_from(STREAMS), st.lists(st.integers(0, 2000), max_size=8))
def test_a_stream_reads_the_same_however_it_is_cut(case: Case, places: list[int]) -> None:
    assert read("wpaicg", case.head, cut(case.body, places)) == read("wpaicg", case.head, [case.body])


@given(
    st.sampled_from(CASES),
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 30), st.binary(max_size=9)), max_size=4),
    st.lists(st.integers(0, 3000), max_size=4),
)
def test_a_damaged_reply_reads_the_same_however_it_is_cut(
    case: Case, damages: list[tuple[int, int, bytes]], places: list[int]
) -> None:
    body = case.body[:20_000]
    for at, length, instead in damages:
        body = body[:at] + instead + body[at + length :]
    assert read("wpaicg", case.head, cut(body, places)) == read("wpaicg", case.head, [body])


HEADS = [
    head(kind, status)
    for kind in ("stream", "json", "html")
    for status in (200, 202, 302, 400, 403, 429, 500)
]
LINES = st.sampled_from(
    [b"data: ", b"data:", b"event: message", b"event: done", b"event: thread_id", b":", b"\n", b"\r", b"\r\n", b"[DONE]",
    b'{"choices":[{"delta":{"content":"', b'"}}]}', b'{"error":', b'{"msg":"no","ipBanned":true}', b"{", b"}", b"\\ud83d",
    b"<html>", b"\xef\xbb\xbf", b"\xff", b'{"status":"success","data":"a"}', b'{"choices":[{"finish_reason":"stop"}]}']
)  # fmt: skip


@given(
    st.sampled_from(HEADS),
    st.binary(max_size=200) | st.text().map(str.encode) | st.lists(LINES).map(b"".join),
)
def test_any_bytes_give_text_or_an_error_of_the_project(reply_head: ReplyHead, body: bytes) -> None:
    outcome = read("wpaicg", reply_head, [body])
    assert bool(outcome.text.strip()) or outcome.code
    assert read("wpaicg", reply_head, one_by_one(body)) == outcome


def test_pieces_come_as_soon_as_their_frame_is_complete() -> None:
    reader = wpaicg.ReplyReader(head())
    assert reader.receive(chunk("Good ")) == ["Good "]
    assert reader.receive(chunk("day")[:-1]) == []
    assert reader.receive(b"\n") == ["day"]
    assert reader.text == "Good day"


def test_a_typed_error_is_never_shown_as_text() -> None:
    reader = wpaicg.ReplyReader(head())
    assert [piece for byte in one_by_one(typed("Key expired")) for piece in reader.receive(byte)] == []
    assert reader.is_finished


def test_nothing_is_read_after_the_end() -> None:
    reader = wpaicg.ReplyReader(head())
    reader.receive(WHOLE)
    assert reader.is_finished
    assert reader.receive(chunk("more")) == []
    assert reader.text == TEXT


def test_an_assistants_thread_is_in_the_ending() -> None:
    outcome = read(
        "wpaicg", head(), [event("thread_9", "thread_id") + assistant("a") + event("[DONE]", "done")]
    )
    assert outcome.ending is not None
    assert outcome.ending.thread_id == "thread_9"


def test_a_json_replys_thread_is_in_the_ending() -> None:
    body = dump({"status": "success", "data": "a", "thread_id": "thread_9"})
    outcome = read("wpaicg", JSON, [body])
    assert outcome.ending is not None
    assert outcome.ending.thread_id == "thread_9"


def test_unreadable_frames_are_counted() -> None:
    outcome = read("wpaicg", head(), [chunks("a") + b"data: {oops\n\n" + DONE])
    assert outcome.ending is not None
    assert outcome.ending.unreadable_frames == 1


@pytest.mark.parametrize(
    ("case", "is_stream"),
    [(STREAMS[0], True), (STREAMS[8], True), (PLAIN[0], False), (PLAIN[1], False)],
    ids=["a stream", "a stream behind a warning", "JSON", "JSON declared as a stream"],
)
def test_a_reader_says_whether_it_was_a_stream(case: Case, is_stream: bool) -> None:
    assert read("wpaicg", case.head, [case.body]).is_stream is is_stream


def test_an_error_page_is_read_only_at_its_beginning() -> None:
    reader = wpaicg.ReplyReader(foreign_head(502))
    reader.receive(b"x" * 70_000)
    assert reader.is_finished


def test_a_page_full_of_open_titles_is_read() -> None:
    assert read("wpaicg", HTML, [b"<title" * 1_000_000]).code == "unreadable_answer"


def test_an_endless_event_is_given_up() -> None:
    outcome = read("wpaicg", head(), [chunk("a"), *[b"data: " + b"x" * 2**20] * 17])
    assert (outcome.code, outcome.text) == ("unreadable_answer", "a")
    assert outcome.status == 200


@pytest.mark.parametrize(
    ("reason", "version", "may_be"),
    [
        ("other", "", True),
        ("other", "1.8.79", True),
        ("other", "1.8.90", True),
        ("other", "1.8.91", False),
        ("other", "1.9.18", False),
        ("quota", "1.8.79", False),
    ],
)
def test_an_unread_refusal_of_an_old_version_may_be_a_rejected_nonce(
    reason: RefusalReason, version: str, may_be: bool
) -> None:
    assert wpaicg.may_be_rejection(reason, version) is may_be
