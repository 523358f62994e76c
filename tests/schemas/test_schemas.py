"""The schemas are whole, have the codes of the program, and there is one for every command that prints JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

import click
import pytest
from jsonschema import Draft202012Validator
from schemas.schemas import DOCUMENTS, FOLDER, SCHEMAS, check, faults_of

from chatgptt._errors import ErrorCode, RefusalReason
from chatgptt._models import BoxKind, Level, PluginGeneration, Rung, Strategy
from chatgptt.cli.app import command as root
from chatgptt.health.report import HealthCode, PhaseName, Status, Verdict
from chatgptt.recordings.case import Framing, Outcome, ReplyEnding, Sender
from chatgptt.serve.failures import ServeCode

PAGE = Path(__file__).parents[2] / "docs" / "json.md"


def parts(schema: object) -> Iterator[dict[str, object]]:
    """Every schema within a schema, itself included; examples are none."""
    if isinstance(schema, dict):
        yield schema
        for key, value in schema.items():
            if key not in ("examples", "enum", "const"):
                yield from parts(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from parts(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert SCHEMAS[name]["title"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_explained(name: str) -> None:
    for part in parts(SCHEMAS[name]):
        properties = part.get("properties", {})
        assert isinstance(properties, dict)
        for key, schema in properties.items():
            assert "description" in schema or "$ref" in schema, key


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_examples_are_documents(name: str) -> None:
    examples = SCHEMAS[name]["examples"]
    assert isinstance(examples, list)
    assert examples
    for example in examples:
        check(name, example)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_key_that_is_not_in_the_schema_is_a_fault(name: str) -> None:
    examples = SCHEMAS[name]["examples"]
    assert isinstance(examples, list)
    for example in examples:
        wrong = json.loads(json.dumps(example))
        (wrong[0] if isinstance(wrong, list) else wrong)["added_since"] = 1
        assert faults_of(name, wrong)


def values_of(kind: object) -> set[str]:
    """The values of a Literal, or of a union of them."""
    if get_origin(kind) in (Union, UnionType):
        return {value for each in get_args(kind) for value in values_of(each)}
    return set(get_args(kind))


def values_in(schema: object) -> set[str]:
    """The values that a schema lists, those of the definitions that it refers to included."""
    assert isinstance(schema, dict)
    found = set(schema.get("enum", ()))
    for each in schema.get("anyOf", ()):
        found |= values_in(each)
    reference = schema.get("$ref", "")
    if reference:
        found |= values_in(definition(reference.rpartition("/")[2]))
    return found


def definition(name: str) -> object:
    definitions = SCHEMAS["common"]["$defs"]
    assert isinstance(definitions, dict)
    return definitions[name]


def at(name: str, *keys: str) -> object:
    """A part of a schema by its keys."""
    found: object = SCHEMAS[name]
    for key in keys:
        assert isinstance(found, dict)
        found = found[key]
    return found


EXCHANGE = ("properties", "exchange", "items", "properties")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (definition("error_code"), ErrorCode),
        (definition("refusal_reason"), RefusalReason),
        (definition("protocol"), PluginGeneration),
        (definition("box_kind"), BoxKind),
        (definition("rung"), Rung),
        (definition("strategy"), Strategy),
        (definition("level"), Level),
        (definition("verdict"), Verdict),
        (definition("phase_name"), PhaseName),
        (definition("health_code"), HealthCode),
        (definition("outcome"), Outcome),
        (at("common", "$defs", "phase", "properties", "status"), Status),
        (at("serve-error", "properties", "error", "properties", "code"), ServeCode),
        (at("case", *EXCHANGE, "framing"), Framing),
        (at("case", *EXCHANGE, "ending"), ReplyEnding),
        (at("case", *EXCHANGE, "by"), Sender),
    ],
    ids=str,
)
def test_the_values_are_those_of_the_program(schema: object, kind: object) -> None:
    assert values_in(schema) == values_of(kind)


def json_commands(command: click.Command, *words: str) -> Iterator[str]:
    """The commands with `--json`."""
    if any("--json" in option.opts for option in command.params):
        yield " ".join(words)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from json_commands(below, *words, name)


def rows() -> dict[str, list[str]]:
    """The table of docs/json.md: a command or another document, and its schemas."""
    found = re.findall(r"^\| `?(.+?)`? \| (\[.*?) \|", PAGE.read_text(), re.M)
    return {what: re.findall(r"\(schemas/([\w-]+)\.json\)", links) for what, links in found}


def test_every_command_that_prints_json_has_a_schema() -> None:
    commands = set(json_commands(root))
    assert {"ask", "log show", "sites add"} <= commands
    assert commands <= rows().keys()


def test_the_page_names_every_schema_and_no_other() -> None:
    named = {schema for schemas in rows().values() for schema in schemas}
    assert named == set(DOCUMENTS)
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.json" for name in SCHEMAS}
