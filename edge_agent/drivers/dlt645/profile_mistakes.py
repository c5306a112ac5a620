"""Mistakes of a DL/T 645 profile that only show across its keys, each at its place.

The same quantity twice or unknown, an identifier that the standard does not have, or one that holds another unit or
phase than its quantity, blocks of nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from edge_agent.drivers.dlt645.data import Series, series_of, series_of_block, values_in_block
from edge_agent.words import Words
from metering.config_file import Loaded
from metering.marked_yaml import Place, Problem
from metering.quantity import QUANTITIES, Kind

if TYPE_CHECKING:
    from edge_agent.drivers.dlt645.profile import Dlt645Profile, ProfileValue


def mistakes(loaded: Loaded[Dlt645Profile], say: Words) -> list[Problem]:
    """All of them."""
    profile = loaded.value
    found = []
    if not profile.values and loaded.whole("values"):
        found.append(loaded.problem(("values",), say["none"]))
    first: dict[str, int] = {}
    for i, value in enumerate(profile.values):
        if first.setdefault(value.quantity, i) != i:
            found.append(loaded.problem(("values", i, "quantity"), say["register twice"].format(value.quantity)))
        found += _value(loaded, ("values", i), value, say)
    held = {value.identifier for value in profile.values}
    for i, block in enumerate(profile.blocks):
        if series_of_block(block) is None:
            found.append(loaded.problem(("blocks", i), say["unknown block"].format(block)))
        elif loaded.whole("values") and not held.intersection(values_in_block(block)):
            found.append(loaded.problem(("blocks", i), say["idle block"].format(block)))
    return found


def _value(loaded: Loaded[Dlt645Profile], place: Place, value: ProfileValue, say: Words) -> Iterator[Problem]:
    name, identifier = value.quantity, value.identifier
    quantity, series = QUANTITIES.get(name), series_of(identifier)
    if quantity is None:
        yield loaded.problem((*place, "quantity"), say["no such quantity"].format(name))
    elif value.rollover and quantity.kind is not Kind.REGISTER:
        yield loaded.problem((*place, "rollover"), say["rolls not over"].format(name))
    if series is None:
        yield loaded.problem((*place, "identifier"), say["unknown identifier"].format(identifier))
    elif quantity is not None and quantity.unit != series.unit:
        text = say["identifier of another unit"].format(name, quantity.unit or "1", identifier, series.unit or "1")
        yield loaded.problem((*place, "identifier"), text)
    elif quantity is not None and (phases := _phases(name, identifier, series)) is not None:
        yield loaded.problem(
            (*place, "identifier"), say["identifier of another phase"].format(name, phases[0], identifier, phases[1])
        )


def _phases(quantity: str, identifier: str, series: Series) -> tuple[str, str] | None:
    """Phase of the quantity and of the identifier, if both have one and they differ; 0 is the total."""
    if not series.di3_di2.startswith("02") or not series.has_block:
        return None
    of_quantity = quantity[-1] if quantity[-3:-1] == "_l" else "0"
    of_identifier = str(int(identifier[4:6], 16))
    return None if of_quantity == of_identifier else (of_quantity, of_identifier)
