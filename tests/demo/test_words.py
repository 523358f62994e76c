"""Scripted words whose effect is the same in both protocols, or is compared between them."""

from __future__ import annotations

import json

import httpx
import pytest
from demo.visitors import Aipkit, Wpaicg, events, text_of

from chatgptt.demo import DemoSite
from chatgptt.demo.front import PHP_WARNING
from chatgptt.demo.model import (
    WORDS,
    Fail,
    ParsedMessage,
    Say,
    Turn,
    Wait,
    answer_steps,
    read_message,
    split_words,
)


def steps(message: str) -> list[object]:
    return list(answer_steps(read_message(message), [Turn("user", message)]))


def said(message: str) -> str:
    return "".join(step.text for step in steps(message) if isinstance(step, Say))


@pytest.mark.parametrize(
    ("message", "word", "number"),
    [
        ("SLOW 2", "SLOW", 2.0),
        ("SLOW 0.25 and more", "SLOW", 0.25),
        ("SLOW\n3", "SLOW", 3.0),
        ("SLOW", "SLOW", None),
        ("SLOW -1", "SLOW", None),
        ("SLOW inf", "SLOW", None),
        ("slow 2", "", None),
        (" SLOW 2", "", None),
        ("SLOWER", "", None),
        ("please SLOW", "", None),
        ("", "", None),
        ("assistant_error", "ASSISTANTERROR", None),
    ],
)
def test_a_word_stands_first_and_its_case_counts(message: str, word: str, number: float | None) -> None:
    assert read_message(message) == ParsedMessage(message, word, number)


def test_every_word_does_something_that_ends() -> None:
    for word in WORDS:
        found = steps(f"{word} 3")
        assert all(not isinstance(step, Fail) for step in found[:-1])


def test_pieces_are_words_and_make_up_the_text() -> None:
    text = "  one two\n\nthree  "
    assert split_words(text) == ["  ", "one ", "two\n\n", "three  "]
    assert "".join(split_words(text)) == text


def test_an_answer_says_that_it_is_made_up() -> None:
    assert "made up by the demo" in said("Hello")
    assert said("Hello").endswith("Hello")
    assert len(steps("Hello")) > 5


def test_texts_with_something_in_them() -> None:
    assert "✓ naïve “quotes” <b>&amp;</b>\nand" in said("QUOTES")
    assert "\x1b[31m" in said("CONTROL")
    assert "\u202e" in said("CONTROL")
    assert [len(step.text) for step in steps("SURROGATE") if isinstance(step, Say)][1] == 1
    assert len(steps("LONG 7")) == 7
    assert len(steps("LONG")) == 100
    assert [len(said("BIG 12")), len(said("BIG"))] == [12, 1_000_000]
    assert steps("EMPTY") == []
    assert json.loads(said("HISTORY")) == [["user", "HISTORY"]]


def test_words_that_wait() -> None:
    assert steps("SLOW 2")[0] == Wait(2.0)
    assert steps("SLOW")[0] == Wait(1.0)
    assert steps("SLOWWORDS 0")[1::2] == [Wait(0.0)] * len(split_words(said("SLOWWORDS 0")))
    assert steps("SLOWWORDS")[1] == Wait(0.1)


def test_waiting_is_part_of_every_way_to_answer(site: DemoSite, client: httpx.Client) -> None:
    for page in ("wpaicg/", "wpaicg/json/", "wpaicg/assistant/"):
        assert Wpaicg(site, client, page).text("SLOW 0.01").endswith("SLOW 0.01")
        assert Wpaicg(site, client, page).text("SLOWWORDS 0").endswith("SLOWWORDS 0")
    assert Aipkit(site, client).text("SLOW 0.01").endswith("SLOW 0.01")


@pytest.mark.parametrize("word", ["QUOTES", "CONTROL", "SURROGATE", "LONG 50", "BIG 100000"])
def test_the_text_is_the_same_whichever_way_it_comes(site: DemoSite, client: httpx.Client, word: str) -> None:
    expected = said(word).encode("utf-16", "surrogatepass").decode("utf-16")

    def joined(text: str) -> str:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")

    for page in ("wpaicg/", "wpaicg/json/", "wpaicg/assistant/", "wpaicg/assistant-json/"):
        assert joined(Wpaicg(site, client, page).text(word)) == expected
    assert joined(Aipkit(site, client).text(word)) == expected
    old = Aipkit(site, client, "aipkit-2.3.20/json/")
    assert joined(old.text(word)) == expected
    assert joined(old.plain(word).json()["data"]["reply"]) == expected


def test_half_an_emoji_travels_as_an_escape(site: DemoSite, client: httpx.Client) -> None:
    for body in (Wpaicg(site, client).send("SURROGATE").text, Aipkit(site, client).send("SURROGATE").text):
        assert "\\ud83d" in body
        assert "\\ude00" in body
        assert "😀" not in body


def test_line_ends(site: DemoSite, client: httpx.Client) -> None:
    def bodies(word: str) -> list[bytes]:
        return [Wpaicg(site, client).send(word).content, Aipkit(site, client).send(word).content]

    for body in bodies("CRLF"):
        assert body.count(b"\r\n") == body.count(b"\n") == body.count(b"\r") > 10
    for body in bodies("CR"):
        assert b"\n" not in body
        assert body.count(b"\r") > 10
    for body in bodies("NOCRLF"):
        assert b"\n\n" in body
        assert not body.endswith(b"\n")


def test_chunks_cut_anywhere(site: DemoSite, client: httpx.Client) -> None:
    for word in ("CHUNKS 3 ✓✓✓", "CHUNKS", "CHUNKS 100000"):
        assert Wpaicg(site, client).text(word).endswith(word)
        assert Aipkit(site, client).text(word).endswith(word)


def test_what_stands_after_the_end(site: DemoSite, client: httpx.Client) -> None:
    assert Wpaicg(site, client).send("GARBAGE").text.partition("data: [DONE]\n\n")[2].startswith("<p>")
    assert Aipkit(site, client).send("GARBAGE").text.partition('{"finished":true}\n\n')[2].startswith("<p>")


def test_noise_in_between(site: DemoSite, client: httpx.Client) -> None:
    for send in (Wpaicg(site, client).send, Aipkit(site, client).send):
        unknown = send("UNKNOWNEVENT").text
        assert ": a comment\n\n" in unknown
        assert "id: 7\nretry: 5000\n\n" in unknown
        data = [event.data for event in events(send("SPLITLINE").text)]
        assert len([text for text in data if text.startswith("{") and not text.endswith("}")]) == 1
    assert Aipkit(site, client).text("UNKNOWNEVENT").endswith("in between.")


@pytest.mark.parametrize("word", ["UNKNOWNEVENT", "SPLITLINE", "WARNING", "CITATIONS"])
def test_what_a_protocol_cannot_say_is_left_out(site: DemoSite, client: httpx.Client, word: str) -> None:
    expected = "Made up by the demo: and that was the one in between."
    assert Wpaicg(site, client, "wpaicg/json/").text(word) == expected
    if word != "SPLITLINE":  # the visitors of these tests don't read what is no JSON
        assert Wpaicg(site, client).text(word) == expected


def test_a_warning_of_php_comes_first(site: DemoSite, client: httpx.Client) -> None:
    for page in ("wpaicg/", "wpaicg/json/"):
        assert Wpaicg(site, client, page).send("PHPWARNING").text.startswith(PHP_WARNING)
    assert Aipkit(site, client).hold("PHPWARNING").text.startswith(PHP_WARNING)
    assert Aipkit(site, client, "aipkit-2.3.20/json/").plain("PHPWARNING").text.startswith(PHP_WARNING)


def test_busy_twice_then_not_and_per_text(site: DemoSite, client: httpx.Client) -> None:
    visitor = Wpaicg(site, client)
    replies = [visitor.send("BUSY a") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [429, 429, 200]
    assert [reply.headers.get("retry-after") for reply in replies] == ["1", "1", None]
    assert visitor.send("BUSY b").status_code == 429
    other = Aipkit(site, client)
    assert [other.hold("BUSY a").status_code for _ in range(3)] == [429, 429, 200]
    site.clear()
    assert other.hold("BUSY a").status_code == 429
    assert visitor.send("BUSYLONG").headers["retry-after"] == "7200"


def test_errors_of_the_server(site: DemoSite, client: httpx.Client) -> None:
    for visitor in (Wpaicg(site, client).send, Aipkit(site, client).hold):
        assert [visitor("ERR502ONCE").status_code for _ in range(2)] == [502, 200]
        reply = visitor("ERR500")
        assert reply.status_code == 500
        assert "There has been a critical error on this website." in reply.text
    with pytest.raises(httpx.RemoteProtocolError):
        Aipkit(site, client).hold("DROPFIRST")
    assert Aipkit(site, client, "aipkit-2.3.20/").plain("ERR500").status_code == 500


def test_a_nonce_is_rejected_on_demand(site: DemoSite, client: httpx.Client) -> None:
    visitor, other = Wpaicg(site, client), Aipkit(site, client)
    assert [visitor.send("NONCE").status_code for _ in range(2)] == [403, 403]
    assert [visitor.send("NONCEONCE a").status_code for _ in range(2)] == [403, 200]
    assert visitor.send("NONCEONCE b").status_code == 403
    assert [other.hold("NONCE").status_code for _ in range(2)] == [403, 403]
    assert [other.hold("NONCEONCE").status_code for _ in range(2)] == [403, 200]


def test_a_refusal_of_the_model_is_text_in_1x_and_a_warning_in_2x(
    site: DemoSite, client: httpx.Client
) -> None:
    assert text_of(Wpaicg(site, client).send("REFUSAL")).startswith("I would rather not")
    assert text_of(Wpaicg(site, client, "wpaicg/json/").send("REFUSAL")).startswith("I would rather not")
    assert Aipkit(site, client).text("REFUSAL") == " (Refusal: I'd rather not.)"
