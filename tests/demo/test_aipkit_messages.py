from __future__ import annotations

import json
import re

import httpx
import pytest
from demo.visitors import Aipkit, events, field_of

from chatgptt.demo import DemoSite
from chatgptt.demo.aipkit import messages

V2320, V2343 = "aipkit-2.3.20/", "aipkit-2.3.43/"
ECHO = "This answer is made up by the demo, no AI was asked. You wrote: "
PREAMBLE = ":" + " " * 4096 + "\n\n"
FOREIGN = {"Origin": "https://other.example"}


def test_an_answer_of_the_latest_version(site: DemoSite, client: httpx.Client) -> None:
    reply = Aipkit(site, client).send("Hello /é")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"].endswith("max-age=0, no-transform")
    assert reply.headers["x-accel-buffering"] == "no"
    assert reply.text.startswith(PREAMBLE)
    assert '"delta":"\\/é"' in reply.text
    found = events(reply.text)
    kinds = [event.kind for event in found]
    assert kinds[:3] == ["message_start", "status", ""]
    assert kinds[-2:] == ["openai_response_id", "done"]
    assert re.fullmatch(r"aipkit-msg-[0-9a-f]{14}\.\d{8}", str(found[0].json["message_id"]))
    assert found[1].json["response_id"] == found[-2].json["id"]
    assert found[-1].json == {"finished": True}
    assert Aipkit(site, client).text("Hello") == ECHO + "Hello"


@pytest.mark.parametrize("page", [V2320, V2343])
def test_older_versions_have_neither_preamble_nor_status(
    site: DemoSite, client: httpx.Client, page: str
) -> None:
    reply = Aipkit(site, client, page).send("Hello")
    assert reply.text.startswith("event: message_start\n")
    assert "event: status" not in reply.text
    assert "no-transform" not in reply.headers["cache-control"]


def test_a_message_may_be_multipart(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    fields = {
        "action": "aipkit_cache_sse_message",
        "message": "Hi\nthere",
        "_ajax_nonce": str(visitor.config()["nonce"]),
    }
    reply = client.post(visitor.ajax, files={name: (None, value) for name, value in fields.items()})
    key = str(field_of(reply.json(), "data", "cache_key"))
    assert re.fullmatch("aipkit_sse_[A-Za-z0-9]{32}", key)
    visitor.open(key)
    assert site.messages[0].message == "Hi\nthere"


def test_a_key_is_good_once(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    key = visitor.key("Hello")
    assert "done" in [event.kind for event in events(visitor.open(key).text)]
    again = events(visitor.open(key).text)
    assert again[0].json == {"error": "Message not found in cache."}
    assert len(site.messages) == 1


def test_a_key_is_good_for_a_minute(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    early, late = visitor.key("Hello"), visitor.key("Hello")
    site.advance(60.0)
    assert "[DONE]" not in visitor.open(early).text
    assert site.messages[0].message == "Hello"
    site.advance(0.5)
    assert events(visitor.open(late).text)[0].json == {"error": "Cached message has expired."}


def test_keys_belong_to_their_site_and_are_not_kept_for_ever(
    site: DemoSite, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = Aipkit(site, client)
    key = visitor.key("Hello")
    assert "not found" in Aipkit(site, client, V2343).open(key).text
    assert events(visitor.open("").text)[0].json == {"error": "Message cache key is missing."}
    monkeypatch.setattr(messages, "MOST_PENDING", 1)
    visitor.key("Hello again")
    assert "not found" in visitor.open(key).text


def test_the_nonce_of_the_first_request_counts_in_its_body_only(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    nonce = str(visitor.config()["nonce"])
    fields = {"action": "aipkit_cache_sse_message", "message": "Hello"}
    reply = client.post(visitor.ajax, params={"_ajax_nonce": nonce}, data=fields)
    assert reply.status_code == 403
    assert reply.json()["data"]["code"] == "nonce_failure_cache_sse"
    assert visitor.hold("Hello", _ajax_nonce="0123456789").status_code == 403


def test_the_second_request_is_read_from_its_query(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    nonce = str(visitor.config()["nonce"])
    key = visitor.key("Hello")
    rejected = visitor.open(key, _ajax_nonce="0123456789")
    assert rejected.status_code == 200
    found = events(rejected.text)
    assert [event.kind for event in found] == ["error", "done"]
    assert found[0].json["error"] == "Security check failed. Please refresh the page and try again."
    everything = {
        "action": "aipkit_frontend_chat_stream",
        "cache_key": key,
        "bot_id": "5",
        "session_id": "s",
        "conversation_uuid": "c",
        "_ajax_nonce": nonce,
    }
    posted = client.post(visitor.ajax, data=everything)
    assert "Message cache key is missing." in posted.text
    del everything["_ajax_nonce"]
    mixed = client.post(visitor.ajax, params=everything, data={"_ajax_nonce": nonce})
    assert "event: done" in mixed.text
    assert "event: error" not in mixed.text


@pytest.mark.parametrize("message", ["", "0", "  \n"])
def test_an_empty_message(site: DemoSite, client: httpx.Client, message: str) -> None:
    reply = Aipkit(site, client).hold(message)
    assert (reply.status_code, reply.json()["data"]["code"]) == (400, "empty_data_to_cache")


def test_another_site_may_not_ask(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    fields = {
        "action": "aipkit_cache_sse_message",
        "message": "Hi",
        "_ajax_nonce": str(visitor.config()["nonce"]),
    }
    held = client.post(visitor.ajax, data=fields, headers=FOREIGN)
    assert (held.status_code, held.json()["data"]["code"]) == (403, "embed_not_available")
    opened = visitor.open(visitor.key("Hello"), origin=FOREIGN["Origin"])
    assert events(opened.text)[0].json == {"error": "This domain is not permitted to access the chatbot."}
    for own in (site.url, "http://127.0.0.1", "http://127.0.0.1:1"):
        assert client.post(visitor.ajax, data=fields, headers={"Origin": own}).status_code == 200
    for other in ("https://127.0.0.1", "null", "http://localhost"):
        assert client.post(visitor.ajax, data=fields, headers={"Origin": other}).status_code == 403
    old = Aipkit(site, client, V2320)
    fields["_ajax_nonce"] = str(old.config()["nonce"])
    assert client.post(old.ajax, data=fields, headers=FOREIGN).status_code == 200


def test_nonces_are_given_out_from_2_3_41_on(site: DemoSite, client: httpx.Client) -> None:
    action = {"action": "aipkit_get_frontend_chat_nonce", "bot_id": "5"}
    for page in ("aipkit/", V2343):
        visitor = Aipkit(site, client, page)
        for reply in (client.post(visitor.ajax, data=action), client.get(visitor.ajax, params=action)):
            assert reply.json() == {"success": True, "data": {"nonce": visitor.config()["nonce"]}}
        denied = client.post(visitor.ajax, data=action, headers=FOREIGN)
        assert (denied.status_code, denied.json()["data"]["code"]) == (403, "cors_denied")
        assert (
            client.post(visitor.ajax, data={"action": action["action"]}, headers=FOREIGN).status_code == 200
        )
    unknown = client.post(Aipkit(site, client, V2320).ajax, data=action)
    assert (unknown.status_code, unknown.text) == (400, "0")


def test_a_fresh_nonce_of_a_stale_page_works(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client, "aipkit/cached-hard/")
    site.advance(90_000.0)
    assert visitor.hold("Hello").status_code == 403
    reply = client.post(visitor.ajax, data={"action": "aipkit_get_frontend_chat_nonce"})
    nonce = str(field_of(reply.json(), "data", "nonce"))
    key = str(field_of(visitor.hold("Hello", _ajax_nonce=nonce).json(), "data", "cache_key"))
    assert "event: done" in visitor.open(key, _ajax_nonce=nonce).text


def test_actions_of_1x_and_unknown_ones_are_a_zero(site: DemoSite, client: httpx.Client) -> None:
    for action in ("wpaicg_chatbox_message", "", "aipkit_unheard_of"):
        reply = Aipkit(site, client).hold("Hello", action=action)
        assert (reply.status_code, reply.text) == (400, "0")


def test_a_conversation_is_kept_by_the_server(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    visitor.text("I am <script>Ada</script> & co &amp; more")

    def known(**more: str) -> list[list[str]]:
        found: list[list[str]] = json.loads(visitor.text("HISTORY", **more))
        return found[1:-1]

    assert known() == [
        ["user", "I am Ada &amp; co &amp; more"],
        ["assistant", ECHO + "I am Ada &amp; co &amp; more"],
    ]
    assert len(known(conversation_uuid=visitor.conversation.upper() + "!")) == 4
    assert known(session_id="another session") == []
    assert known(bot_id="7") == []
    assert known(conversation_uuid="another") == []
    site.clear()
    assert known() == []


def test_fifteen_messages_are_remembered(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    for _ in range(10):
        visitor.text("EMPTY")
    assert len(json.loads(visitor.text("HISTORY"))) == 1 + 15 + 1


def test_who_leaves_gets_nothing_into_the_history(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    params = {
        "action": "aipkit_frontend_chat_stream",
        "cache_key": visitor.key("SLOWWORDS 3600"),
        "bot_id": "5",
        "session_id": visitor.session,
        "conversation_uuid": visitor.conversation,
        "_ajax_nonce": str(visitor.config()["nonce"]),
    }
    with client.stream("GET", visitor.ajax, params=params) as stream:
        next(stream.iter_bytes())
    turns = json.loads(visitor.text("HISTORY"))
    assert [turn[0] for turn in turns] == ["system", "user", "user"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"bot_id": "99"}, "Invalid chatbot specified."),
        ({"bot_id": ""}, "Invalid chatbot specified."),
        ({"conversation_uuid": ""}, "Conversation ID is missing."),
        ({"conversation_uuid": "!!"}, "Conversation ID is missing."),
        ({"session_id": ""}, "Session ID is missing for guest."),
        ({"session_id": "x" * 65}, "Failed to log user message."),
        ({"conversation_uuid": "x" * 37}, "Failed to log user message."),
    ],
)
def test_ids_are_checked(site: DemoSite, client: httpx.Client, more: dict[str, str], text: str) -> None:
    assert Aipkit(site, client).refusal("Hello", **more) == text
    assert site.messages == []


def test_ids_may_be_as_long_as_their_columns(site: DemoSite, client: httpx.Client) -> None:
    assert (
        Aipkit(site, client).text("Hello", session_id="x" * 64, conversation_uuid="x" * 36) == ECHO + "Hello"
    )


@pytest.mark.parametrize(
    ("page", "message", "text"),
    [
        ("aipkit/draft/", "Hello", "Invalid chatbot specified."),
        ("aipkit/guests-disabled/", "Hello", "Access disabled for guests."),
        ("aipkit/", "GUESTS", "Access disabled for guests."),
        ("aipkit/", "QUOTA", "You have reached your quota for this period."),
        (V2320, "QUOTA", "You have reached your token limit for this period."),
        ("aipkit/", "BANIP", "Access from your IP address has been blocked."),
        ("aipkit/", "BANWORD", "Sorry, your message could not be sent as it contains prohibited words."),
        ("aipkit/", "MODERATION", "Your message was flagged by the moderation system and could not be sent."),
        ("aipkit/", '{"stream_context": "x"}', "Unsupported stream context."),
        ("aipkit/", "KEYLOST", "Message not found in cache."),
        ("aipkit/", "NONCESTREAM", "Security check failed. Please refresh the page and try again."),
    ],
)
def test_refusals(site: DemoSite, client: httpx.Client, page: str, message: str, text: str) -> None:
    assert Aipkit(site, client, page).refusal(message) == text
    assert site.messages == []


def test_text_about_a_stream_context_is_text(site: DemoSite, client: httpx.Client) -> None:
    for message in ("stream_context", '{"a": "stream_context"}', '["stream_context"]'):
        assert Aipkit(site, client).text(message) == ECHO + message


def test_a_quota_notice_comes_with_the_quota_since_2_4_5(site: DemoSite, client: httpx.Client) -> None:
    error = Aipkit(site, client).events("QUOTA")[0]
    assert error.kind == "error"
    notice = error.json["quota_notice"]
    assert field_of(notice, "type") == "quota_notice"
    assert field_of(notice, "actions", 0, "url") == "https://example.org/more"
    assert "quota_notice" not in Aipkit(site, client, V2343).events("QUOTA")[0].json


def test_a_quota_is_per_session_and_bot(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client, "aipkit/quota/")
    kinds = [visitor.events("Hello")[0].kind for _ in range(4)]
    assert kinds == ["message_start", "message_start", "error", "error"]
    assert visitor.text("Hello", bot_id="5") == ECHO + "Hello"
    visitor.session = "another"
    assert visitor.text("Hello") == ECHO + "Hello"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("PROVIDER401", "API Error: Incorrect API key provided: sk-demo. (Code: invalid_api_key)"),
        ("PROVIDER429", "API Error: Rate limit reached for requests (Code: rate_limit_exceeded)"),
        ("PROVIDER500", "API Error: The server had an error while processing your request"),
        ("PROVIDERDOWN", "Connection Error: Failed to connect to 127.0.0.1 port 9: Connection refused"),
        ("PROVIDERHTML", "API Error: the provider answered with HTTP 502"),
        ("CUT", "Connection Error: transfer closed with outstanding read data remaining"),
        ("MIDERROR", " (Error: The provider broke down in the middle of its sentence.)"),
    ],
)
def test_after_a_failure_of_the_provider_nothing_follows(
    site: DemoSite, client: httpx.Client, word: str, text: str
) -> None:
    found = Aipkit(site, client).events(word)
    assert found[0].kind == "message_start"
    assert (found[-1].kind, found[-1].json) == ("error", {"error": text})
    has_deltas = word in ("CUT", "MIDERROR")
    assert ("" in [event.kind for event in found]) is has_deltas
    assert "id: err-1750032060\n" in Aipkit(site, client).send(word).text


def test_a_failed_turn_stays_as_a_lone_message(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    visitor.send("PROVIDER500")
    visitor.send("BANWORD")
    assert [turn[1] for turn in json.loads(visitor.text("HISTORY"))[1:]] == ["PROVIDER500", "HISTORY"]


def test_an_empty_answer_is_done_without_a_delta(site: DemoSite, client: httpx.Client) -> None:
    assert [event.kind for event in Aipkit(site, client).events("EMPTY")] == [
        "message_start",
        "status",
        "openai_response_id",
        "done",
    ]


def test_events_beside_the_text(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    warned = visitor.events("WARNING")
    assert [event.kind for event in warned].count("warning") == 1
    assert "(Warning: Content Filtered) and that was" in visitor.text("WARNING")
    cited = visitor.events("CITATIONS")
    assert "citations" in [event.kind for event in cited]
    assert cited[-1].json["finished"] is True
    assert len(str(cited[-1].json["citations"])) > 10
    assert "citations" not in Aipkit(site, client, V2343).send("CITATIONS").text.replace("CITATIONS", "")
    assert "demo_unknown" in [event.kind for event in visitor.events("UNKNOWNEVENT")]
    triggered = visitor.events("TRIGGER")
    assert [event.kind for event in triggered[:4]] == ["message_start", "", "message_start", "status"]
    assert str(triggered[0].json["message_id"]).startswith("trigger-")


def test_what_happens_once(site: DemoSite, client: httpx.Client) -> None:
    visitor = Aipkit(site, client)
    for word, text in (
        ("KEYLOSTONCE", "not found"),
        ("KEYEXPIREDONCE", "has expired"),
        ("NONCESTREAMONCE", "Security check"),
    ):
        assert text in visitor.refusal(word)
        assert visitor.text(word) == ECHO + word
    assert visitor.refusal("KEYLOST") == visitor.refusal("KEYLOST")


@pytest.mark.parametrize("word", ["DROP", "RESET"])
def test_the_connection_breaks_in_the_middle(site: DemoSite, client: httpx.Client, word: str) -> None:
    with pytest.raises(httpx.TransportError):
        Aipkit(site, client).send(word)
    with pytest.raises(httpx.TransportError):
        Aipkit(site, client, "aipkit-2.3.20/json/").plain(word)


@pytest.mark.parametrize("page", ["aipkit-2.3.20/json/", V2320, "aipkit-2.3.43/json/"])
def test_one_request_is_enough_up_to_2_4_0(site: DemoSite, client: httpx.Client, page: str) -> None:
    visitor = Aipkit(site, client, page)
    reply = visitor.plain("Hello é")
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    data = reply.json()["data"]
    assert data["reply"] == ECHO + "Hello é"
    assert re.fullmatch(r"aipkit-msg-[0-9a-f]{22}", data["message_id"])
    assert data["openai_response_id"].startswith("resp_")
    assert "\\u00e9" in reply.text
    assert len(json.loads(visitor.plain("HISTORY").json()["data"]["reply"])) == 4
    assert visitor.text("Hello") == ECHO + "Hello"


def test_one_request_is_no_longer_enough(site: DemoSite, client: httpx.Client) -> None:
    reply = Aipkit(site, client).plain("Hello")
    assert (reply.status_code, reply.text) == (400, "0")


@pytest.mark.parametrize(
    ("message", "more", "status", "text"),
    [
        ("Hello", {"_ajax_nonce": "x"}, 403, "Security check failed. Please refresh the page and try again."),
        ("NONCE", {}, 403, "Security check failed. Please refresh the page and try again."),
        ("Hello", {"bot_id": ""}, 400, "Bot ID is required."),
        ("Hello", {"conversation_uuid": ""}, 400, "Conversation ID is required."),
        ("Hello", {"session_id": ""}, 400, "Session ID is missing for guest."),
        ("0", {}, 400, "Message or image cannot be empty."),
        ("Hello", {"bot_id": "10"}, 400, "Invalid chatbot specified."),
        ("QUOTA", {}, 429, "You have reached your token limit for this period."),
        ("BANIP", {}, 403, "Access from your IP address has been blocked."),
        ("PROVIDER401", {}, 401, "OpenAI API Error (HTTP 401): Incorrect API key provided: sk-demo."),
        ("PROVIDER429", {}, 429, "OpenAI API Error (HTTP 429): Rate limit reached for requests"),
        (
            "PROVIDERDOWN",
            {},
            503,
            "Connection Error: Failed to connect to 127.0.0.1 port 9: Connection refused",
        ),
    ],
)
def test_refusals_of_the_single_request(
    site: DemoSite, client: httpx.Client, message: str, more: dict[str, str], status: int, text: str
) -> None:
    reply = Aipkit(site, client, "aipkit-2.3.20/json/").plain(message, **more)
    assert reply.status_code == status
    assert reply.json() == {"success": False, "data": {"message": text}}


def test_an_unknown_bot_kills_the_single_request(site: DemoSite, client: httpx.Client) -> None:
    reply = Aipkit(site, client, "aipkit-2.3.20/json/").plain("Hello", bot_id="99")
    assert reply.status_code == 500
    assert reply.headers["content-type"] == "text/html; charset=UTF-8"
