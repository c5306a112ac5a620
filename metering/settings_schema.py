"""What an editor and a reader need to know about a YAML file: its JSON Schema, and a table of its options.

Both are made from the settings classes alone. A program writes them for the files that it reads; tests keep what is
shipped in step.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from metering.errors import StopAndFix

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_text(name: str, model: type[BaseModel]) -> str:
    """The JSON Schema of one kind of file, as it is shipped."""
    schema = {"$schema": _DIALECT, "$id": f"urn:wattline:config:{name}"} | model.model_json_schema()
    return json.dumps(schema, ensure_ascii=False, indent=1, sort_keys=False) + "\n"


def write_schemas(folder: Path, models: Mapping[str, type[BaseModel]], readme: Path | None = None) -> list[Path]:
    """Write ``<name>.schema.json`` for every kind of file, and their option tables anew into a Markdown file.

    Returns:
        What was written.

    Raises:
        StopAndFix: something cannot be written, or the Markdown file has no place for a table.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in models.items():
            path = folder / f"{name}.schema.json"
            path.write_text(schema_text(name, model), encoding="utf-8")
            paths.append(path)
        if readme is not None:
            readme.write_text(with_tables(readme.read_text(encoding="utf-8"), models), encoding="utf-8")
            paths.append(readme)
    except OSError as error:
        raise StopAndFix(f"{error.filename}: cannot be written: {error.strerror}") from error
    except ValueError as error:
        raise StopAndFix(f"{readme}: {error}") from error
    return paths


def with_tables(text: str, models: Mapping[str, type[BaseModel]]) -> str:
    """A Markdown text with the option table of every model between its markers.

    Raises:
        ValueError: the markers of a table are not there.
    """
    for name, model in models.items():
        begin, end = f"<!-- options: {name} -->\n", f"<!-- end of options: {name} -->\n"
        if begin not in text or end not in text:
            raise ValueError(f"there is no {begin.strip()} … {end.strip()}")
        head, rest = text.split(begin, 1)
        text = head + begin + options_table(model) + end + rest.split(end, 1)[1]
    return text


def options_table(model: type[BaseModel]) -> str:
    """Every key of a file with its type, its default and what it means, as a Markdown table."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    seen: dict[str, str] = {}
    for key, field in _options(model, ""):
        value = _type_text(field.annotation, field)
        row = f"| `{key}` | {value} | {_default(field)} | {(field.description or '').replace('|', '/')} |"
        if seen.get(key) != row:
            lines.append(row)
        seen[key] = row
    return "\n".join(lines) + "\n"


def _options(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """Keys in the order of the file; the kinds of a union one after the other."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        inner = list(_models(field.annotation))
        listed = any(get_origin(part) in (tuple, list) for part in (field.annotation, *get_args(field.annotation)))
        yield key, field
        for one in inner:
            yield from _options(one, f"{key}[]." if listed else f"{key}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _type_text(annotation: object, field: FieldInfo) -> str:
    """The type in a word or two, with its limits; ``Duration`` and the like by their JSON Schema."""
    if any(True for _ in _models(annotation)):
        return "list" if get_origin(annotation) in (tuple, list) else "mapping"
    if field.examples:
        return "text"
    schema = _schema_of(annotation, field)
    return _schema_words(schema)


def _schema_of(annotation: object, field: FieldInfo) -> dict[str, Any]:
    annotated: Any = typing.Annotated[annotation, *field.metadata] if field.metadata else annotation
    return TypeAdapter(annotated).json_schema()


def _schema_words(schema: Mapping[str, Any]) -> str:
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{one}`" for one in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_schema_words(one) for one in schema["anyOf"] if one.get("type") != "null"))
    kind = str(schema.get("type", "any"))
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    limits = f" {low:g}…{high:g}" if low is not None and high is not None else ""
    if kind == "string" and "examples" in schema:
        return "length of time"
    names = {
        "integer": "whole number",
        "string": "text",
        "array": "list",
        "object": "mapping",
        "boolean": "true, false",
    }
    return names.get(kind, kind) + limits


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**must be given**"
    value = field.default
    if value is None or value is PydanticUndefined or value == () or isinstance(value, BaseModel):
        return ""
    return f"`{_plain(value, field)}`"


def _plain(value: object, field: FieldInfo) -> str:
    annotated: Any = typing.Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    shown = TypeAdapter(annotated).dump_python(value, mode="json")
    return shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
