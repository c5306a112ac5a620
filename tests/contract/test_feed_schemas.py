"""The feeds keep their word: messages of today validate for ever, and no field is taken away or changes its type."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry as References
from referencing import Resource

from collector.feeds.schema import MODELS, asyncapi, documents, schema_of
from tests.support.schema_change import losses

HERE = Path(__file__).parent / "feeds"
SHIPPED = Path(__file__).parents[2] / "config" / "schema"
GOLDEN = sorted(HERE.glob("*.golden.json"))


def of(path: Path) -> str:
    """The message a golden file holds: ``<message>.<what>.golden.json``."""
    return path.name.partition(".")[0]


def fields(schema: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The place of every property in a schema."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties":
                yield from ((*path, key, name) for name in value)
            yield from fields(value, (*path, key))


def test_the_shipped_schemas_are_those_of_the_models() -> None:
    shipped = {
        path.name: path.read_text(encoding="utf-8")
        for path in SHIPPED.glob("*.json")
        if path.suffixes != [".schema", ".json"]
    }

    assert shipped == documents(), "write them anew: wattline-collector schema --out config/schema"


@pytest.mark.parametrize("name", MODELS)
def test_every_schema_is_one_and_says_what_each_field_means(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)

    for path in fields(schema):
        field: Any = schema
        for part in path:
            field = field[part]
        assert field.get("description") or "$ref" in field or field.get("allOf"), path


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_messages_of_earlier_versions_validate_for_ever(path: Path) -> None:
    message = json.loads(path.read_text(encoding="utf-8"))

    Draft202012Validator(schema_of(of(path)), format_checker=Draft202012Validator.FORMAT_CHECKER).validate(message)


def test_there_is_a_golden_message_of_every_kind() -> None:
    assert {of(path) for path in GOLDEN} == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_no_field_of_the_first_version_is_removed_or_retyped(name: str) -> None:
    first = json.loads((HERE / "first_schemas.json").read_text(encoding="utf-8"))

    assert losses(first[name], schema_of(name)) == []


@pytest.mark.parametrize("name", MODELS)
def test_removing_or_retyping_any_field_is_seen(name: str) -> None:
    old = schema_of(name)
    for *place, field in fields(old):
        removed, retyped = copy.deepcopy(old), copy.deepcopy(old)
        at_removed: Any = removed
        at_retyped: Any = retyped
        for part in place:
            at_removed, at_retyped = at_removed[part], at_retyped[part]
        del at_removed[field]
        at_retyped[field] = {"type": "boolean" if at_retyped[field].get("type") != "boolean" else "string"}
        assert any(str(field) in one for one in losses(old, removed)), (place, field)
        assert any(str(field) in one for one in losses(old, retyped)), (place, field)


def test_a_field_more_takes_nothing_away() -> None:
    new = copy.deepcopy(schema_of("event"))
    new["properties"]["later"] = {"type": "string"}

    assert losses(schema_of("event"), new) == []


def test_the_asyncapi_document_names_only_what_there_is() -> None:
    document = asyncapi()
    references = References().with_resources(
        [("", Resource.opaque(document))] + [(f"{name}.json", Resource.opaque(schema_of(name))) for name in MODELS]
    )

    def every(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if "$ref" in part:
                yield part["$ref"]
            for value in part.values():
                yield from every(value)
        elif isinstance(part, list):
            for value in part:
                yield from every(value)

    found = list(every(document))
    assert found
    for reference in found:
        references.resolver().lookup(reference)
    assert {channel["address"] for channel in document["channels"].values()} == {
        "{prefix}/v1/events/{kind}/{meter}",
        "{prefix}/v1/feed/pricing/{meter}",
        "{prefix}/v1/feed/inspection/{meter}",
    }
