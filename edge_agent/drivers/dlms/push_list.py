"""What a push holds: a list of values in the order of the meter's push setup, which the profile repeats.

A DataNotification carries bare values (Blue Book, "Push setup", attribute 2 lists which). So the profile says of each

    value      the quantity, and how its number is to be read: scaler and unit, unless they are pushed, too
    scaler     scaler and unit of a quantity, as attribute 3 gives them
    time       when the values were taken
    identity   what the meter calls itself: how it is known when nothing is sealed
    other      nothing that we want

A push of another length is not read at all: one entry more or less would put every value in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Final, Literal

from pydantic import Field

from edge_agent.drivers.dlms import clock
from edge_agent.drivers.dlms.axdr import Value
from edge_agent.drivers.dlms.clock import DeviationSign
from edge_agent.drivers.dlms.errors import Malformed
from edge_agent.drivers.dlms.scaling import Bounds, Scaler, scaled, scaler_of
from edge_agent.drivers.dlms.xdlms import Notification
from edge_agent.drivers.transformers import transformer_ratio
from edge_agent.words import Words
from metering.config_file import Loaded
from metering.marked_yaml import Problem
from metering.quantity import QUANTITIES
from metering.settings import Settings

Holds = Literal["value", "scaler", "time", "identity", "other"]
Unit = Literal["W", "VA", "var", "Wh", "VAh", "varh", "A", "V", "Hz", "s", "none"]

_UNITS: Final[dict[Unit, int]] = {  # enumeration of units, Blue Book 4.3.2
    "s": 7,
    "W": 27,
    "VA": 28,
    "var": 29,
    "Wh": 30,
    "VAh": 31,
    "varh": 32,
    "A": 33,
    "V": 35,
    "Hz": 44,
    "none": 255,
}
_OF_QUANTITIES: Final = ("value", "scaler")
_READ_AS: Final = ("scaler", "unit", "minimum", "maximum")


class PushEntry(Settings):
    """One entry of the list."""

    holds: Holds = Field("value", description="value, scaler (and unit), time, identity of the meter, or other.")
    quantity: str | None = Field(None, description="Of value and scaler: which quantity, as in metering.quantity.")
    scaler: int | None = Field(None, ge=-18, le=18, description="Power of ten of a value; absent if it is pushed.")
    unit: Unit | None = Field(None, description="Unit of a value, as the meter counts; absent if it is pushed.")
    minimum: float | None = Field(None, description="Lowest credible value in our unit, before CT and PT ratio.")
    maximum: float | None = Field(None, description="Highest credible value in our unit, before CT and PT ratio.")

    @property
    def read_as(self) -> Scaler | None:
        """Scaler and unit, if the profile says them."""
        if self.scaler is None or self.unit is None:
            return None
        return scaler_of([self.scaler, _UNITS[self.unit]])

    @property
    def bounds(self) -> Bounds:
        """What can be true."""
        found = {k: v for k, v in (("minimum", self.minimum), ("maximum", self.maximum)) if v is not None}
        return Bounds(**found)


@dataclass(slots=True)
class Pushed:
    """What one push says."""

    values: dict[str, float | None] = field(default_factory=dict)
    dropped: bool = False  # there was a number and it cannot be true
    taken_ms: int | None = None  # ms since 1970 UTC, by the meter's clock, if it trusts it


def values_of(
    entries: Sequence[PushEntry],
    notification: Notification,
    zone: tzinfo,
    sign: DeviationSign = "utc_minus_local",
    ratios: tuple[float, float] = (1.0, 1.0),
) -> Pushed:
    """The quantities of a push.

    Args:
        entries: what the list holds.
        notification: what came.
        zone: of a meter that does not name its own.
        sign: how the meter counts its deviation.
        ratios: of current and voltage transformers.

    Raises:
        Malformed: it is not that list.
    """
    found = _listed(entries, notification)
    scalers = {entry.quantity: scaler_of(value) for entry, value in found if entry.holds == "scaler"}
    stamp: Value = notification.date_time
    pushed = Pushed()
    for entry, value in found:
        if entry.holds == "time" and isinstance(value, bytes):
            stamp = value
        if entry.holds != "value" or entry.quantity is None:
            continue
        read_as = entry.read_as or scalers.get(entry.quantity)
        if read_as is None:
            pushed.values[entry.quantity] = None
            pushed.dropped = pushed.dropped or value is not None
            continue
        one = scaled(entry.quantity, value, read_as, entry.bounds, transformer_ratio(entry.quantity, *ratios))
        pushed.values[entry.quantity] = one.number
        pushed.dropped = pushed.dropped or one.dropped
    if isinstance(stamp, bytes) and len(stamp) == clock.LENGTH:
        time = clock.decode(stamp, zone, sign)
        if time.at is not None and time.flags.trusted:
            pushed.taken_ms = round(time.at.timestamp() * 1000)
    return pushed


def identity_of(entries: Sequence[PushEntry], notification: Notification) -> str | None:
    """What the meter calls itself; ``None`` if it is not that list, or names nobody."""
    try:
        found = _listed(entries, notification)
    except Malformed:
        return None
    for entry, value in found:
        if entry.holds == "identity":
            return _name(value)
    return None


def _listed(entries: Sequence[PushEntry], notification: Notification) -> list[tuple[PushEntry, Value]]:
    values = notification.value
    if not isinstance(values, list) or len(values) != len(entries):
        count = len(values) if isinstance(values, list) else 1
        raise Malformed(f"a push of {count} entries, the profile lists {len(entries)}")
    return list(zip(entries, values, strict=True))


def _name(value: Value) -> str | None:
    """A name as people write it: text as text, other octets as hexadecimal digits."""
    if isinstance(value, str):
        return value.strip("\0 ") or None
    if not isinstance(value, bytes) or not value:
        return None
    text = value.decode("ascii", "replace").strip("\0 ")
    return text if text and text.isprintable() and "\ufffd" not in text else value.hex()


def push_mistakes(entries: Sequence[PushEntry], loaded: Loaded[Any], say: Words) -> Iterator[Problem]:
    """What is wrong with a push list, as far as the profile alone can tell."""
    told = {entry.quantity for entry in entries if entry.holds == "scaler"}
    seen: set[tuple[str, str | None]] = set()
    for i, entry in enumerate(entries):
        place = ("push", i)
        of_quantity = entry.holds in _OF_QUANTITIES
        if entry.quantity is not None and not of_quantity:
            yield loaded.problem((*place, "quantity"), say["push key"].format(entry.holds, "quantity"))
        for key in _READ_AS:
            if getattr(entry, key) is not None and entry.holds != "value":
                yield loaded.problem((*place, key), say["push key"].format(entry.holds, key))
        if not of_quantity:
            continue
        if entry.quantity is None:
            yield loaded.problem((*place, "quantity"), say["push value"].format("quantity"))
        elif entry.quantity not in QUANTITIES:
            yield loaded.problem((*place, "quantity"), say["no such quantity"].format(entry.quantity))
        elif (entry.holds, entry.quantity) in seen:
            yield loaded.problem((*place, "quantity"), say["register twice"].format(entry.quantity))
        elif entry.holds == "value":
            yield from _scale_mistakes(entry, entry.quantity, place, told, loaded, say)
        seen.add((entry.holds, entry.quantity))


def _scale_mistakes(
    entry: PushEntry,
    quantity: str,
    place: tuple[str | int, ...],
    told: set[str | None],
    loaded: Loaded[Any],
    say: Words,
) -> Iterator[Problem]:
    if entry.read_as is None:
        if quantity not in told or entry.scaler is not None or entry.unit is not None:
            yield loaded.problem((*place, "unit"), say["push scale"].format(quantity))
    elif entry.read_as.unit != QUANTITIES[quantity].unit:
        yield loaded.problem(
            (*place, "unit"), say["push unit"].format(quantity, QUANTITIES[quantity].unit or "–", entry.unit)
        )
