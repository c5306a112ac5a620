"""A DLMS profile says which COSEM object of a meter holds which quantity: YAML, never code.

Unlike a register map it needs no scales: scaler and unit are asked of the meter. A quantity that stands under its
usual OBIS code needs nothing but its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from edge_agent.drivers.dlms.push_list import PushEntry, push_mistakes
from edge_agent.drivers.dlms.scaling import Bounds
from edge_agent.drivers.dlms.xdlms import Attribute
from edge_agent.drivers.meter_model import MeterModel
from edge_agent.words import words
from metering.config_file import Loaded, load_file
from metering.language import Language
from metering.marked_yaml import Problem
from metering.obis import ObisCode
from metering.quantity import QUANTITIES, Kind
from metering.settings import Settings

CLOCK_OFFSET: Final = "clock_offset"

_SCALER_ATTRIBUTE: Final = {3: 3, 4: 3, 5: 4}


def _obis(value: object) -> object:
    if isinstance(value, str):
        try:
            return ObisCode.parse(value)
        except ValueError:
            pass
    if isinstance(value, ObisCode):
        return value
    raise PydanticCustomError("obis", "not an OBIS code")


Obis = Annotated[ObisCode, BeforeValidator(_obis, json_schema_input_type=str), PlainSerializer(str, return_type=str)]
"""An OBIS code, written ``1-0:1.8.0`` or ``1-0:1.8.0*255``."""


class ProfileObject(Settings):
    """Where one quantity stands."""

    quantity: str = Field(description="Name of the quantity, as in metering.quantity.")
    obis: Obis | None = Field(None, description="Logical name of the object; absent: the quantity's usual one.")
    class_id: Literal[3, 4, 5] = Field(3, description="3 register, 4 extended register, 5 demand register.")
    attribute: int = Field(2, ge=2, le=5, description="Which attribute holds the value.")
    minimum: float | None = Field(None, description="Lowest credible value in our unit, before CT and PT ratio.")
    maximum: float | None = Field(None, description="Highest credible value in our unit, before CT and PT ratio.")

    rollover: float | None = Field(
        None, gt=0, description="Count at which an energy register starts anew, if the vendor says so; kWh or kvarh."
    )

    @property
    def logical_name(self) -> ObisCode:
        """Of the object."""
        return self.obis or QUANTITIES[self.quantity].obis

    @property
    def value(self) -> Attribute:
        """The attribute that is read."""
        return Attribute(self.class_id, self.logical_name, self.attribute)

    @property
    def scaler(self) -> Attribute:
        """The attribute that says how to read it."""
        return Attribute(self.class_id, self.logical_name, _SCALER_ATTRIBUTE[self.class_id])

    @property
    def bounds(self) -> Bounds:
        """What can be true."""
        found = {k: v for k, v in (("minimum", self.minimum), ("maximum", self.maximum)) if v is not None}
        return Bounds(**found)


class DlmsProfile(MeterModel):
    """The objects of one model, or of all that follow a standard."""

    longest_list: int = Field(20, ge=1, le=100, description="Most attributes in one question.")
    clock: Obis | None = Field(ObisCode(0, 0, 1, 0, 0), description="The clock object; null if there is none.")
    counter: Obis = Field(ObisCode(0, 0, 43, 1, 0), description="Where everyone may read the invocation counter.")
    load_profile: Obis | None = Field(ObisCode(1, 0, 99, 1, 0), description="The load profile; null if there is none.")
    event_log: Obis | None = Field(ObisCode(0, 0, 99, 98, 0), description="The event log; null if there is none.")
    objects: tuple[ProfileObject, ...] = Field(
        (), max_length=100, description="Where the quantities stand; may be empty for a meter that only pushes."
    )
    push: tuple[PushEntry, ...] = Field(
        (), max_length=100, description="What the meter sends by itself, entry by entry, as its push setup lists it."
    )

    @cached_property
    def quantities(self) -> frozenset[str]:
        """Everything the profile offers."""
        named = {entry.quantity for entry in self.objects}
        return frozenset(named | {CLOCK_OFFSET} if self.clock else named)

    @cached_property
    def pushed(self) -> frozenset[str]:
        """Every quantity of the push list."""
        return frozenset(entry.quantity for entry in self.push if entry.holds == "value" and entry.quantity)

    @property
    def rollovers(self) -> dict[str, float]:
        """Count at which a register starts anew, by quantity, at the meter's terminals."""
        return {entry.quantity: entry.rollover for entry in self.objects if entry.rollover}

    def wanted(self, quantities: Iterable[str]) -> list[ProfileObject]:
        """The objects of these quantities, in the order of the file."""
        asked = frozenset(quantities)
        return [entry for entry in self.objects if entry.quantity in asked]


def load_dlms_profile(path: Path, lang: Language = "en") -> DlmsProfile:
    """Read one profile.

    Raises:
        ConfigError: every mistake of the file.
    """
    return load_file(path, DlmsProfile, lang, lambda loaded: list(_mistakes(loaded, lang)))


def _mistakes(loaded: Loaded[DlmsProfile], lang: Language) -> Iterator[Problem]:
    say = words(lang)
    yield from push_mistakes(loaded.value.push, loaded, say)
    if not loaded.value.objects and not loaded.value.push:
        yield loaded.problem(("objects",), say["none"])
    seen: set[str] = set()
    for i, entry in enumerate(loaded.value.objects):
        place = ("objects", i, "quantity")
        if entry.quantity not in QUANTITIES or entry.quantity == CLOCK_OFFSET:
            yield loaded.problem(place, say["no such quantity"].format(entry.quantity))
        elif entry.quantity in seen:
            yield loaded.problem(place, say["register twice"].format(entry.quantity))
        elif entry.rollover and QUANTITIES[entry.quantity].kind is not Kind.REGISTER:
            yield loaded.problem(("objects", i, "rollover"), say["rolls not over"].format(entry.quantity))
        seen.add(entry.quantity)
