"""Rows: the four forms of an input, what a row may leave out, and each mistake with its line."""

from __future__ import annotations

import json

import pytest

from chatgptt import InvalidInputError
from chatgptt.batch.rows import (
    MAX_LINE_BYTES,
    InputForm,
    Mistake,
    Reading,
    Row,
    guess_form,
    read_rows,
    take_beginning,
)

SITES = {"https://d.example/": "https://d.example", "shop": "https://s.example"}


def origin_of(site: str) -> str:
    if site not in SITES:
        raise InvalidInputError(f"unknown site {site!r}")
    return SITES[site]


def read(data: str | bytes, form: InputForm = "json", column: str = "message") -> list[Row | Mistake]:
    reading = Reading(
        form=form, column=column, site="https://d.example/", bot="7", system="Be brief.", origin_of=origin_of
    )
    lines = (data.encode() if isinstance(data, str) else data).splitlines(keepends=True)
    return list(read_rows(lines, reading))


def row(number: int, id: str, message: object, **more: str) -> Row:  # noqa: A002 - as the field
    assert isinstance(message, str | list)
    fields = {
        "site": "https://d.example/",
        "origin": "https://d.example",
        "system": "Be brief.",
        "bot": "7",
        **more,
    }
    return Row(
        number=number,
        id=id,
        message=message,
        site=fields["site"],
        origin=fields["origin"],
        system=fields["system"],
        bot=fields["bot"],
        model=fields.get("model", ""),
    )


def request(**body: object) -> str:
    return json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})


TURNS = [{"role": "system", "content": "S"}, {"role": "user", "content": "Hi"}]


def test_simple_json_lines_name_what_they_like() -> None:
    lines = '{"id": "a", "message": "Hi", "system": "S", "site": "shop", "bot": 5}\n\n{"message": "Hi"}\n'
    assert read(lines) == [
        row(1, "a", "Hi", system="S", site="shop", origin="https://s.example", bot="5"),
        row(3, "3", "Hi"),
    ]


def test_openai_s_form_is_read() -> None:
    assert read(request(model="gpt-4o", messages=TURNS, temperature=0)) == [
        row(1, "a", TURNS, model="gpt-4o")
    ]
    assert read(json.dumps({"custom_id": 3, "body": {"messages": TURNS}})) == [row(1, "3", TURNS)]


@pytest.mark.parametrize("model", ["shop", "chatgptt/shop"])
def test_a_model_that_is_a_site_s_name_chooses_the_site(model: str) -> None:
    (read_row,) = read(request(model=model, messages=TURNS))
    assert read_row == row(1, "a", TURNS, model=model, site="shop", origin="https://s.example")


def test_a_line_of_text_is_a_message() -> None:
    assert read(b"\xef\xbb\xbfOne\r\n\n  Two {\n", "text") == [row(1, "1", "One"), row(3, "3", "  Two {")]


def test_a_column_of_a_table_is_the_message() -> None:
    table = 'id,question,site\na,"Two\nlines",shop\nb,One,\n'
    assert read(table, "csv", "question") == [
        row(2, "a", "Two\nlines", site="shop", origin="https://s.example"),
        row(4, "b", "One"),
    ]


def test_a_field_of_a_table_may_be_as_long_as_a_message() -> None:
    long = "x" * 199_000
    assert read(f"message,about\n{long},{'y' * 999_999}\nHello,\n", "csv") == [
        row(2, "2", long),
        row(3, "3", "Hello"),
    ]


def test_a_field_behind_the_last_column_is_a_mistake() -> None:
    assert read('id,message\n1,Hello, world\n2,"Hello, world"\n3\n', "csv") == [
        Mistake(number=2, why="it has more fields than the table has columns"),
        row(3, "2", "Hello, world"),
        Mistake(number=4, why="the message is empty"),
    ]


@pytest.mark.parametrize(
    ("beginning", "column", "form"),
    [
        (b'{"id"', "", "json"),
        (b'\xef\xbb\xbf {"id"', "", "json"),
        (b"Hello {", "", "text"),
        (b"", "", "text"),
        (b"{", "q", "csv"),
        (b'\n \r\n{"id": 1}\nHello', "", "json"),
        (b'\xef\xbb\xbf\n{"id": 1}', "", "json"),
        (b"\nHello\n{", "", "text"),
        (b'[{"id": 1},\n', "", "json"),
        (b'[ {"id": 1}]', "", "json"),
        (b'[\n  {"id": 1}', "", "json"),
        (b"[sic] Hello", "", "text"),
        (b"[1] Hello\n{", "", "text"),
    ],
)
def test_the_form_is_guessed(beginning: bytes, column: str, form: str) -> None:
    lines = iter(beginning.splitlines(keepends=True))
    assert guess_form(take_beginning(lines), column) == form


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "it is no JSON object; JSON lines are wanted, an object on each line"),
        ("[1]", "it is no JSON object; JSON lines are wanted, an object on each line"),
        ("[" * 100_000, "it is no JSON object; JSON lines are wanted, an object on each line"),
        ('{"id": "a"}', "it has no message"),
        ('{"message": 5}', "it has no message"),
        ('{"message": " "}', "the message is empty"),
        ('{"message": "0"}', 'the message "0" counts as empty on these sites'),
        ('{"message": "Hi", "site": "nope"}', "unknown site 'nope'"),
        ('{"message": "Hi", "id": [1]}', "its id is no text"),
        ('{"message": "Hi", "bot": true}', "its bot is no text"),
        (
            '{"message": "Hi", "sytem": "S", "x": 1}',
            "its key 'sytem' is unknown; a row has id, message, messages, system, site, bot",
        ),
        ('{"message": "Hi", "messages": []}', "it has both message and messages"),
        ('{"custom_id": "a"}', "it has no body"),
        ('{"custom_id": "a", "body": {}}', "it has no message"),
        (
            '{"custom_id": "a", "url": "/v1/embeddings", "body": {}}',
            "its url is another than /v1/chat/completions",
        ),
        ('{"custom_id": "a", "body": {"messages": [{"role": "user"}]}}', "messages[0] has no content"),
    ],
)
def test_a_mistake_has_its_line_and_the_rest_is_read(line: str, why: str) -> None:
    assert read(f'{{"message": "First"}}\n{line}\n{{"message": "Last"}}\n') == [
        row(1, "1", "First"),
        Mistake(number=2, why=why),
        row(3, "3", "Last"),
    ]


def test_a_message_that_is_too_long_is_a_mistake() -> None:
    (mistake,) = read(json.dumps({"message": "x" * 200_001}))
    assert isinstance(mistake, Mistake)
    assert "over the limit of 200000" in mistake.why


@pytest.mark.parametrize(
    ("data", "form", "words"),
    [
        (b"ok\n\xff\n", "text", "line 2 of the input cannot be read: it is not UTF-8"),
        (b"x" * (MAX_LINE_BYTES + 1), "text", "line 1 of the input cannot be read: it is longer"),
        (b"id,question\na,b\n", "csv", "no column 'message'; its columns are: id, question"),
        (b"", "csv", "no column 'message'"),
        (b'message\nok\n"open\n', "csv", "line 3 of the input cannot be read: unexpected end of data"),
    ],
)
def test_what_cannot_be_read_on_is_an_error(data: bytes, form: InputForm, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        read(data, form)
