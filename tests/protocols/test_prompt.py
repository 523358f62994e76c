from __future__ import annotations

import pytest

from chatgptt._errors import InvalidInputError
from chatgptt._models import Turn
from chatgptt.protocols.prompt import MAX_MESSAGE_BYTES, check_message, fold, read_turns


def turn(role: str, content: object = "Hi") -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("message", "turns"),
    [
        ("Hi", [("user", "Hi")]),
        ("x\ud83d", [("user", "x\ufffd")]),
        ([turn("user")], [("user", "Hi")]),
        (
            [turn("System"), turn("developer"), turn("user")],
            [("system", "Hi"), ("system", "Hi"), ("user", "Hi")],
        ),
        (
            (turn("user"), turn("assistant"), turn("MODEL")),
            [("user", "Hi"), ("assistant", "Hi"), ("assistant", "Hi")],
        ),
        ([turn("user", [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])], [("user", "a\nb")]),
        (
            [turn("user", [{"type": "input_text", "text": "a"}, {"type": "output_text", "text": "b"}, "c"])],
            [("user", "a\nb\nc")],
        ),
        (
            [turn("user"), turn("tool", "42") | {"name": "sum"}, turn("function", "x"), turn("user")],
            [("user", "Hi"), ("tool", "sum: 42"), ("function", "x"), ("user", "Hi")],
        ),
        ([turn("user"), turn("assistant", None), turn("system", None)], [("user", "Hi")]),
        ([{"role": "assistant", "tool_calls": [{"id": "1"}]}, turn("user")], [("user", "Hi")]),
    ],
    ids=[
        "text", "half an emoji", "one", "system", "assistant", "parts", "other parts", "tools", "null", "a call",
    ],
)  # fmt: skip
def test_messages_are_read(message: object, turns: list[tuple[str, str]]) -> None:
    assert [(item.role, item.content) for item in read_turns(message)] == turns


@pytest.mark.parametrize(
    "message",
    [
        None, 5, b"Hi", {"role": "user"}, [], ["Hi"], [None], [turn("system")], [turn("assistant")], [turn("tool")],
        [turn("robot")],
        [turn("user", None)], [turn("user", 5)], [turn("user", b"Hi")], [{"content": "Hi"}], [{"role": 5, "content": "Hi"}],
        [turn("user", [{"type": "image_url"}])], [turn("user", [None])], [turn("user", {"type": "text", "text": "Hi"})],
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_no_message_is_invalid_input(message: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_turns(message)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ([turn("user"), "Hi"], "messages[1] is of the type str"),
        ([turn("user"), None], "messages[1] is of the type NoneType"),
        ([turn("user"), turn("robot")], "messages[1] has an unknown role, 'robot'"),
        ([turn("user"), {"content": "Hi"}], "messages[1] has no role"),
        ([turn("user"), {"role": "user"}], "messages[1] has no content"),
        ([turn("user"), turn("user", 5)], "the content of messages[1] is a int"),
        (
            [
                turn("user"),
                turn("user"),
                turn("user", ["a", {"type": "image_url", "image_url": {"url": "x"}}]),
            ],
            "messages[2].content[1] is of the type 'image_url'",
        ),
        ([turn("user", [{"type": "input_audio"}])], "messages[0].content[0] is of the type 'input_audio'"),
        ([turn("user", [{"type": "text"}])], "messages[0].content[0] is a text part without a text"),
        ([turn("user", ["a", 7])], "messages[0].content[1] is of the type int"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_sent_is_named_by_its_index(message: object, words: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_turns(message)
    assert caught.value.message.startswith(words)
    assert caught.value.hint


def test_one_turn_passes_verbatim() -> None:
    assert fold([Turn(role="user", content=" Hi\n")]) == " Hi\n"


def test_several_turns_become_lines_with_roles() -> None:
    turns = [
        Turn(role="system", content="Be brief."),
        Turn(role="user", content="Hi"),
        Turn(role="assistant", content=" "),
    ]
    assert (
        fold([*turns, Turn(role="user", content="Who?")])
        == "System: Be brief.\nUser: Hi\nUser: Who?\nAssistant:"
    )


def test_a_result_of_a_tool_has_the_name_of_the_call_that_it_answers() -> None:
    calls = [
        {"id": "1", "type": "function", "function": {"name": "sum", "arguments": "{}"}},
        {"id": "2", "type": "function", "function": {"name": "double", "arguments": "{}"}},
    ]
    results = [("1", "4"), ("2", "8"), ("3", "9"), (["1"], "5")]
    turns = read_turns(
        [
            turn("user"),
            turn("assistant", None) | {"tool_calls": calls},
            *(turn("tool", content) | {"tool_call_id": call} for call, content in results),
        ]
    )
    assert [item.content for item in turns[1:]] == ["sum: 4", "double: 8", "9", "5"]


@pytest.mark.parametrize(
    "calls", ["1", 5, [None], [{"id": "1"}], [{"id": "1", "function": {"name": 5}}]], ids=repr
)
def test_a_call_without_a_name_names_nothing(calls: object) -> None:
    messages = [
        turn("user"),
        {"role": "assistant", "tool_calls": calls},
        turn("tool", "4") | {"tool_call_id": "1"},
    ]
    assert read_turns(messages)[-1] == Turn(role="tool", content="4")


def test_what_tools_gave_becomes_lines_too() -> None:
    turns = read_turns(
        [
            turn("developer", "Be brief.") | {"name": "ops"},
            turn("user", "2 + 2?"),
            turn("assistant", None) | {"tool_calls": [{"id": "1", "type": "function"}]},
            turn("tool", "4") | {"tool_call_id": "1", "name": "sum"},
        ]
    )
    assert fold(turns) == "System: ops: Be brief.\nUser: 2 + 2?\nTool: sum: 4\nAssistant:"


@pytest.mark.parametrize(
    "text", ["Hi", "00", "0.", "x" * MAX_MESSAGE_BYTES, "\ud83d"], ids=["text", "00", "0.", "longest", "half"]
)
def test_a_message_that_a_site_takes_is_good(text: str) -> None:
    check_message(text)


@pytest.mark.parametrize(
    "text",
    ["", " \n", "0", " 0\n", "x" * (MAX_MESSAGE_BYTES + 1), "ä" * MAX_MESSAGE_BYTES],
    ids=["empty", "blank", "0", "0 in blanks", "too long", "too many bytes"],
)
def test_a_message_that_a_site_refuses_is_never_sent(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        check_message(text)
    assert len(caught.value.message) < 200
