"""What is right of data that has mistakes, so that it can be checked across keys in the same run.

A wrong value that has a default is cut out; a wrong value without one takes its list entry or its mapping with it; a
wrong setting of the file itself without a default is left empty. What is cut out is never replaced by a guess.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast, get_origin

from pydantic import BaseModel, ValidationError, create_model

from metering.marked_yaml import MarkedTree, Place

Model = TypeVar("Model", bound=BaseModel)

Kept = dict[Place, list[int]]
"""By the place of a list that was shortened: which of its entries are left."""


def valid_part(model: type[Model], data: object, tree: MarkedTree) -> tuple[Model | None, Kept]:
    """The model of what is right of ``data``, and what was left out; ``None`` if nothing is.

    A setting of the file itself that is wrong and has no default is ``None``, or empty if it is a list.
    """
    if not isinstance(data, dict):
        return None, {}
    cut: set[Place] = set()
    absent: dict[str, Any] = {}
    before = -1
    while before < len(cut) + len(absent):  # an error that cutting does not move ends it
        before = len(cut) + len(absent)
        kept: Kept = {(name,): [] for name in absent}
        partial = create_model("Partial", __base__=model, **absent) if absent else model
        try:
            return partial.model_validate(_without(data, cut, (), kept)), kept
        except ValidationError as error:
            errors = error.errors(include_url=False, include_context=False, include_input=False)
        for one in errors:
            place = _in_file(one["loc"], kept, tree)
            if one["type"] != "missing":
                cut.add(place)
            elif not place:
                absent[str(one["loc"][-1])] = _nothing(model, str(one["loc"][-1]))
            else:
                cut.add(place)
        if () in cut:
            break
    return None, {}


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
