"""The schemas of docs/schemas, and documents checked by them."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012, Schema

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
SCHEMAS: dict[str, dict[str, object]] = {
    path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))
}
DOCUMENTS = [name for name in SCHEMAS if name != "common"]

_REGISTRY: Registry[Schema] = Registry().with_resources(
    (f"{name}.json", DRAFT202012.create_resource(schema)) for name, schema in SCHEMAS.items()
)


def faults_of(name: str, document: object) -> list[str]:
    """What is wrong with a document by a schema; empty where nothing is."""
    validator = Draft202012Validator({"$ref": f"{name}.json"}, registry=_REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def check(name: str, document: object) -> None:
    """Fails where a document is not as the schema says."""
    assert faults_of(name, document) == [], document
