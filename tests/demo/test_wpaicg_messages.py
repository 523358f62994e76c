from __future__ import annotations

import json
from typing import Literal

import httpx
import pytest
from demo.visitors import Wpaicg, events, field_of, text_of

from chatgptt.demo import DemoSite

OLD, OLDER, NEWER, LATEST = "wpaicg-1.8.79/", "wpaicg-1.8.90/", "wpaicg-1.8.98/", "wpaicg/"
ECHO = "This answer is made up by the demo, no AI was asked. You wrote: "
EXPIRED = "The link you followed has expired."


def test_an_answer_streams_as_the_provider_sent_it(site: DemoSite, client: httpx.Client) -> None:
    reply = Wpaicg(site, client).send("Hello ✓")
    assert reply.headers["content-type"] == "text/event-stream;charset=UTF-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-accel-buffering"] == "no"
    assert text_of(reply) == ECHO + "Hello ✓"
    found = events(reply.text)
    assert found[0].json == {
        "id": "chatcmpl-demo",
        "created": 1750032060,
        "model": "gpt-4o-mini",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
    }
    assert field_of(found[-2].json, "choices", 0, "finish_reason") == "stop"
    assert found[-1].data == "[DONE]"
    assert reply.text.endswith("data: [DONE]\n\n")


def test_a_bot_that_does_not_stream_answers_in_json(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/json/")
    first, second = visitor.send("Hello é/"), visitor.send("Hello")
    assert first.headers["content-type"] == "application/json; charset=UTF-8"
    assert first.headers["expires"] == "Wed, 11 Jan 1984 05:00:00 GMT"
    assert first.headers["x-robots-tag"] == "noindex"
    assert "\\u00e9\\/" in first.text
    reply = first.json()
    assert list(reply) == ["status", "msg", "greeting_message", "data", "log"]
    assert (reply["status"], reply["msg"]) == ("success", "Something went wrong")
    assert (type(reply["log"]), type(second.json()["log"])) == (int, str)
    assert visitor.send("Hello", wpaicg_chat_client_id="").json()["log"] is False


@pytest.mark.parametrize("page", [LATEST, "wpaicg/json/", OLD])
def test_urlencoded_and_multipart_are_both_understood(
    site: DemoSite, client: httpx.Client, page: str
) -> None:
    visitor = Wpaicg(site, client, page)
    parts = {name: (None, value) for name, value in visitor.fields("Hello ✓").items()}
    assert text_of(client.post(visitor.ajax, files=parts)) == ECHO + "Hello ✓"


@pytest.mark.parametrize(("page", "works"), [(OLD, True), (OLDER, True), (NEWER, False), (LATEST, False)])
def test_fields_in_the_query_count_up_to_1_8_90(
    site: DemoSite, client: httpx.Client, page: str, works: bool
) -> None:
    visitor = Wpaicg(site, client, page)
    reply = client.get(visitor.ajax, params=visitor.fields("Hello"))
    assert ("[DONE]" in reply.text) is works
    assert ("nothing was inputted" in reply.text) is not works


def test_action_and_nonce_may_stand_in_the_query_of_every_version(
    site: DemoSite, client: httpx.Client
) -> None:
    fields = Wpaicg(site, client).fields("Hello")
    query = {name: fields.pop(name) for name in ("action", "_wpnonce")}
    assert "[DONE]" in client.post(Wpaicg(site, client).ajax, params=query, data=fields).text


@pytest.mark.parametrize(("page", "status"), [(OLD, 200), (OLDER, 200), (NEWER, 403), (LATEST, 403)])
@pytest.mark.parametrize("nonce", ["", "0123456789"])
def test_a_bad_nonce_is_rejected_in_the_form_of_the_version(
    site: DemoSite, client: httpx.Client, page: str, status: int, nonce: str
) -> None:
    reply = Wpaicg(site, client, page).send("Hello", _wpnonce=nonce)
    assert reply.status_code == status
    if status == 200:
        assert reply.json() == {"status": "error", "msg": "Nonce verification failed"}
    else:
        assert reply.text == EXPIRED
        assert reply.headers["content-type"] == "text/html; charset=UTF-8"
        assert reply.headers["cache-control"] == "no-cache, must-revalidate, max-age=0"
    assert site.messages == []


def test_a_rejection_links_back_to_a_page_of_the_site(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    referer = site.page("wpaicg/")
    own = client.post(visitor.ajax, data=visitor.fields("NONCE"), headers={"Referer": referer})
    assert own.text == f'{EXPIRED}</p><p><a href="{referer}">Please try again.</a>'
    other = client.post(visitor.ajax, data=visitor.fields("NONCE"), headers={"Referer": "https://a.example/"})
    assert other.text == EXPIRED


def test_an_unknown_action_is_a_zero(site: DemoSite, client: httpx.Client) -> None:
    for action in ("", "wpaicg_unheard_of", "aipkit_cache_sse_message"):
        reply = Wpaicg(site, client).send("Hello", action=action)
        assert (reply.status_code, reply.text) == (400, "0")
        assert reply.headers["content-type"] == "text/html; charset=UTF-8"


@pytest.mark.parametrize(
    ("page", "message", "is_empty"),
    [
        (LATEST, "", True),
        (LATEST, "0", True),
        (OLD, " \n ", True),
        (OLD, "<b></b>", True),
        (LATEST, " ", False),
    ],
)
def test_an_empty_message(
    site: DemoSite, client: httpx.Client, page: str, message: str, is_empty: bool
) -> None:
    reply = Wpaicg(site, client, page).send(message)
    assert ("It appears that nothing was inputted." in reply.text) is is_empty
    assert reply.headers["content-type"].startswith("application/json") is is_empty


@pytest.mark.parametrize(
    ("page", "left"),
    [
        (OLD, "it\\'s a b c"),
        (OLDER, "it\\'s a b c"),
        ("wpaicg-1.8.95/", "it's a b c"),
        (NEWER, "it's <i>a</i>\nb %20c"),
        (LATEST, "it's <i>a</i>\nb %20c"),
    ],
)
def test_what_becomes_of_a_message(site: DemoSite, client: httpx.Client, page: str, left: str) -> None:
    Wpaicg(site, client, page).send("it's <i>a</i>\nb %20c")
    assert site.messages[0].message == left


def test_versions_up_to_1_8_84_append_the_answer_as_json(site: DemoSite, client: httpx.Client) -> None:
    body = Wpaicg(site, client, OLD).send("Hello").text
    assert json.loads(body.rpartition("data: [DONE]\n\n")[2])["data"] == ECHO + "Hello"
    body = Wpaicg(site, client, OLD).send("CUT").text
    assert json.loads(body[body.rindex("\n\n") :])["data"] == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 "
    assert Wpaicg(site, client, OLDER).send("Hello").text.endswith("[DONE]\n\n")


def test_an_unknown_bot_is_the_default_one_of_its_action(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    for bot in ("99999", "x", "", "-4", "٤"):
        assert "[DONE]" in visitor.send("Hello", bot_id=bot).text
    assert visitor.send("Hello", bot_id="4").headers["content-type"].startswith("application/json")


def test_a_page_and_its_server_may_disagree(site: DemoSite, client: httpx.Client) -> None:
    google = Wpaicg(site, client, "wpaicg/google/")
    assert google.box()["data-openai_stream_nav"] == "1"
    assert "<br>" in google.send("QUOTES").json()["data"]
    widget = Wpaicg(site, client, "wpaicg/widget-streams/")
    assert widget.box()["data-openai_stream_nav"] == "0"
    assert "[DONE]" in widget.send("Hello").text


def test_googles_failures_are_successes(site: DemoSite, client: httpx.Client) -> None:
    google = Wpaicg(site, client, "wpaicg/google/")
    assert google.text("PROVIDER429") == "Response from Google: Rate limit reached for requests"
    assert google.text("PROVIDERDOWN") == ""
    with pytest.raises(httpx.RemoteProtocolError):
        google.send("DROP")


def test_a_quota_is_per_visitor_and_bot(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/quota/")
    assert [len(events(visitor.send("Hello").text)) > 1 for _ in range(4)] == [True, True, False, False]
    refusal = visitor.send("Hello")
    assert refusal.text == 'data: {"msg":"You have reached your token limit.","tokenLimitReached":true}\n\n'
    assert visitor.text("Hello", bot_id="5") == ECHO + "Hello"
    visitor.client_id = "another123"
    assert visitor.text("Hello") == ECHO + "Hello"
    assert len(site.messages) == 4


FLAGS = {
    "QUOTA": "tokenLimitReached",
    "BANIP": "ipBanned",
    "BANWORD": "messageFlagged",
    "MODERATION": "modflag",
    "PINECONEERROR": "pineconeError",
}


@pytest.mark.parametrize("word", FLAGS)
def test_a_refusal_in_a_stream_is_a_flag(site: DemoSite, client: httpx.Client, word: str) -> None:
    reply = Wpaicg(site, client).send(word)
    first, *rest = events(reply.text)
    assert first.json[FLAGS[word]] is True
    goes_on = word in ("BANIP", "BANWORD")
    assert bool(rest) is goes_on
    assert ("[DONE]" in reply.text) is goes_on
    assert bool(site.messages) is goes_on


@pytest.mark.parametrize("word", FLAGS)
def test_a_refusal_in_json_has_no_flag_but_that_of_the_quota(
    site: DemoSite, client: httpx.Client, word: str
) -> None:
    reply = Wpaicg(site, client, "wpaicg/json/").send(word).json()
    if word == "QUOTA":
        assert reply == {"msg": "You have reached your token limit.", "tokenLimitReached": True}
    else:
        assert list(reply) == ["status", "msg"]
        assert reply["status"] == "error"
    assert site.messages == []


def test_a_missing_vector_store_is_json_even_for_a_bot_that_streams(
    site: DemoSite, client: httpx.Client
) -> None:
    reply = Wpaicg(site, client).send("PINECONE").json()
    assert reply["status"] == "error"
    assert reply["data"] == reply["msg"]


def test_a_providers_error_is_disguised_in_a_stream_and_comes_twice(
    site: DemoSite, client: httpx.Client
) -> None:
    reply = Wpaicg(site, client).send("PROVIDER401")
    found = events(reply.text)
    half = len(found) // 2
    assert found[:half] == found[half:]
    assert {event.kind for event in found[: half - 1]} == {"message"}
    words = [str(field_of(event.json, "choices", 0, "delta", "content")) for event in found[: half - 1]]
    assert "".join(words) == "Incorrect API key provided: sk-demo."
    assert found[half - 1].json == {"choices": [{"finish_reason": "stop"}]}
    assert "[DONE]" not in reply.text


def test_a_quotation_mark_in_an_error_makes_lines_unreadable(site: DemoSite, client: httpx.Client) -> None:
    reply = Wpaicg(site, client).send("PROVIDERQUOTE")
    assert 'data: {"choices":[{"delta":{"content":" "demo""}}]}\n\n' in reply.text
    json_reply = Wpaicg(site, client, "wpaicg/json/").send("PROVIDERQUOTE").json()
    assert "&quot;demo&quot;" in json_reply["msg"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("PROVIDER401", "Incorrect API key provided: sk-demo."),
        ("PROVIDERDOWN", "cURL error 7: Failed to connect to 127.0.0.1 port 9: Connection refused"),
        ("CUT", "cURL error 18: transfer closed with outstanding read data remaining"),
        ("MIDERROR", "The provider broke down in the middle of its sentence."),
    ],
)
def test_a_providers_error_in_json(site: DemoSite, client: httpx.Client, word: str, message: str) -> None:
    reply = Wpaicg(site, client, "wpaicg/json/").send(word).json()
    assert list(reply) == ["status", "msg", "greeting_message", "log"]
    assert (reply["status"], reply["msg"]) == ("error", message)


def test_failures_in_a_stream_without_a_word(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    down = visitor.send("PROVIDERDOWN")
    assert (down.status_code, down.text) == (200, "")
    assert down.headers["content-type"].startswith("text/event-stream")
    assert visitor.send("PROVIDERHTML").text.startswith("<html>")
    assert Wpaicg(site, client, "wpaicg/json/").send("PROVIDERHTML").json()["data"] == ""
    cut = visitor.send("CUT")
    assert text_of(cut) == "w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 "
    assert "[DONE]" not in cut.text
    broken = events(visitor.send("MIDERROR").text)
    assert "message" in str(broken[-1].json["error"])
    empty = visitor.send("EMPTY")
    assert text_of(empty) == ""
    assert empty.text.endswith("[DONE]\n\n")


@pytest.mark.parametrize("page", ["wpaicg/", "wpaicg/json/", "wpaicg/assistant/"])
@pytest.mark.parametrize("word", ["DROP", "RESET"])
def test_the_connection_breaks_in_the_middle(
    site: DemoSite, client: httpx.Client, page: str, word: Literal["DROP", "RESET"]
) -> None:
    visitor = Wpaicg(site, client, page)
    error = httpx.RemoteProtocolError if word == "DROP" else httpx.ReadError
    with client.stream("POST", visitor.ajax, data=visitor.fields(word)) as stream:
        assert stream.status_code == 200
        with pytest.raises(error):
            stream.read()
    assert site.requests[-1].sent_bytes > 0


def test_the_connection_breaks_before_the_first_byte(site: DemoSite, client: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        Wpaicg(site, client).send("DROPFIRST")
    assert site.requests[-1].status is None


def test_an_assistant_keeps_its_thread(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/assistant/")
    first = visitor.send("Hello")
    assert first.headers["connection"] == "keep-alive"
    found = events(first.text)
    thread = found[0].data
    assert (found[0].kind, thread[:7]) == ("thread_id", "thread_")
    assert {event.kind for event in found[1:-1]} == {"thread.message.delta"}
    assert (found[-1].kind, found[-1].data) == ("done", "[DONE]")
    assert text_of(first) == ECHO + "Hello"
    second = visitor.send("THREAD", thread_id=thread)
    assert text_of(second) == f"{thread} has 3 messages."
    assert "event: thread_id" not in second.text
    turns = json.loads(visitor.text("HISTORY", thread_id=thread, wpaicg_chat_history='["Human: ignored"]'))
    assert [turn[0] for turn in turns] == ["user", "assistant", "user", "assistant", "user"]


def test_an_assistant_in_json(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/assistant-json/")
    reply = visitor.send("Hello").json()
    assert reply["data"] == ECHO + "Hello"
    assert visitor.text("THREAD", thread_id=reply["thread_id"]).endswith("has 3 messages.")
    assert visitor.send("EMPTY").json()["msg"] == "No assistant message found in run steps."
    assert "No thread found" in visitor.send("Hello", thread_id="thread_x").json()["msg"]
    assert visitor.send("MIDERROR").json()["status"] == "error"
    with pytest.raises(httpx.RemoteProtocolError):
        visitor.send("DROP")


def test_how_an_assistants_run_fails(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client, "wpaicg/assistant/")
    for word in ("ASSISTANTERROR", "assistant_error", "PROVIDER500", "PROVIDERDOWN"):
        _, error, done = events(visitor.send(word).text)
        assert (done.kind, done.data) == ("done", "")
        assert (error.kind, error.json["status"]) == ("assistant_error", "error")
        assert visitor.send(word).text.endswith("event: done\ndata: \n\n")
    unknown = visitor.send("Hello", thread_id="thread_x")
    assert unknown.text.startswith("event: assistant_error\n")
    assert [event.kind for event in events(visitor.send("EMPTY").text)] == ["thread_id"]
    assert "done" not in [event.kind for event in events(visitor.send("CUT").text)]
    assert text_of(visitor.send("REFUSAL")).startswith("I would rather not")
    assert "thread.run.step.created" in visitor.send("UNKNOWNEVENT").text


def test_a_bot_with_an_assistants_number_is_an_ordinary_one_in_old_versions(
    site: DemoSite, client: httpx.Client
) -> None:
    assert "chat.completion.chunk" in Wpaicg(site, client, OLDER).send("Hello", bot_id="7").text


def test_a_challenge_answers_instead_of_the_plugin(site: DemoSite, client: httpx.Client) -> None:
    for prefix, status in (("challenge/message", 403), ("challenge/message-429", 429)):
        reply = Wpaicg(site, client, f"{prefix}/", prefix=prefix).send("Hello")
        assert (reply.status_code, reply.headers["cf-mitigated"]) == (status, "challenge")
    assert site.messages == []
