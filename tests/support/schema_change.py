"""What a newer schema takes away from those who rely on the older one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def losses(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Fields that were removed, retyped or no longer promised, by their path."""
    return list(_losses(old, new, old, new, "", frozenset()))


def _losses(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    old_root: Mapping[str, Any],
    new_root: Mapping[str, Any],
    path: str,
    seen: frozenset[str],
) -> Iterator[str]:
    if "$ref" in old:
        if old["$ref"] in seen:
            return
        seen |= {old["$ref"]}
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    was, now = _types(old, old_root), _types(new, new_root)
    if was != now:
        yield f"{path or '/'}: {sorted(was)} became {sorted(now)}"
        return
    yield from (f"{path}: {word} is no word any more" for word in _words(old) - (_words(new) or _words(old)))
    for name, field in old.get("properties", {}).items():
        other = new.get("properties", {}).get(name)
        if other is None:
            yield f"{path}/{name}: removed"
            continue
        if name in old.get("required", ()) and name not in new.get("required", ()):
            yield f"{path}/{name}: no longer promised"
        yield from _losses(field, other, old_root, new_root, f"{path}/{name}", seen)
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict):
            yield from _losses(old[key], new.get(key) or {}, old_root, new_root, f"{path}/{key}", seen)
    for one, other in zip(_members(old), _members(new), strict=False):
        yield from _losses(one, other, old_root, new_root, path, seen)


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        found: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def _members(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]


def _words(schema: Mapping[str, Any]) -> set[str]:
    return set(schema.get("enum", ()))


def _types(schema: Mapping[str, Any], root: Mapping[str, Any]) -> set[str]:
    """JSON types a value may have, with their format."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return set().union(*(_types(one, root) for one in schema["anyOf"]))
    return {f"{schema.get('type')} {schema.get('format', '')}".strip()}
