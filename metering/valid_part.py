"""What is right of data that has mistakes, so that it can be checked across keys in the same run.

A wrong value that has a default is cut out; a wrong value without one takes its list entry or its mapping with it; a
wrong setting of the file itself without a default is left empty. What is cut out is never replaced by a guess.
"""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar, cast, get_origin

from pydantic import BaseModel, ValidationError, create_model

from metering.marked_yaml import MarkedTree, Place

Model = TypeVar("Model", bound=BaseModel)

Kept = dict[Place, list[int]]
"""By the place of a list that was shortened: which of its entries are left."""


class ValidPart(NamedTuple, Generic[Model]):
    """What is right, and what was left out of it."""

    value: Model | None  # nothing if no cutting helps
    cut: frozenset[Place] = frozenset()
    kept: Kept = {}  # noqa: RUF012 - never written to


def valid_part(model: type[Model], data: object, tree: MarkedTree) -> ValidPart[Model]:
    """The model of what is right of ``data``.

    A setting of the file itself that is wrong and has no default is ``None``, or empty if it is a list.
    """
    cut: set[Place] = set()
    absent: dict[str, Any] = {}
    before = -1
    while isinstance(data, dict) and () not in cut and before < len(cut):  # an error that cutting does not move ends it
        before = len(cut)
        kept: Kept = {}
        partial = create_model("Partial", __base__=model, **absent) if absent else model
        try:
            return ValidPart(partial.model_validate(_without(data, cut, (), kept)), frozenset(cut), kept)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
        for one in errors:
            missing = one["type"] == "missing"
            place = _in_file(one["loc"][:-1] if missing else one["loc"], kept, tree)
            if missing and not place:
                name = str(one["loc"][-1])
                absent[name] = _nothing(model, name)
                place = (name, "")
            cut.add(place)
    return ValidPart(None)


def _nothing(model: type[BaseModel], alias: str) -> Any:
    field = next((one for name, one in model.model_fields.items() if alias in (name, one.alias)), None)
    empty = () if field is not None and get_origin(field.annotation) is tuple else None
    return (Any, empty)


def _without(data: object, cut: set[Place], path: Place, kept: Kept) -> object:
    """A copy of the data without the places that are cut."""
    if isinstance(data, dict):
        entries = cast("dict[str, object]", data).items()
        return {key: _without(one, cut, (*path, key), kept) for key, one in entries if (*path, key) not in cut}
    if isinstance(data, list):
        left = [i for i in range(len(data)) if (*path, i) not in cut]
        if len(left) < len(data):
            kept[path] = left
        return [_without(data[i], cut, (*path, i), kept) for i in left]
    return data


def _in_file(location: Place, kept: Kept, tree: MarkedTree) -> Place:
    """The place in the file of an error in the shortened data; of what is missing, the mapping that lacks it."""
    real: Place = ()
    for part in location:
        left = kept.get(real)
        step = left[part] if left is not None and isinstance(part, int) and part < len(left) else part
        if (*real, step) in tree.values:
            real = (*real, step)
    return real
