"""What a DLMS meter says of itself: the list of its objects (association LN, attribute 2), and what stands in them.

    class 1   data                attribute 2
    class 3   register            attribute 2, scaler and unit in 3
    class 4   extended register   the same
    class 5   demand register     the current average in 2, scaler and unit in 4
    class 7   profile             how many rows it holds (attribute 7): its rows are another matter
    class 8   clock               attribute 2

Of other classes the name alone is shown. What the meter denies is shown as denied, with the meter's reason. No value
is a guess: a number whose unit nobody knows is shown as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, NamedTuple

from edge_agent.drivers.dlms import clock
from edge_agent.drivers.dlms.axdr import BitString, Value
from edge_agent.drivers.dlms.errors import Declined, Malformed
from edge_agent.drivers.dlms.reader import Conversation, Reader, Result
from edge_agent.drivers.dlms.scaling import scaler_of
from edge_agent.drivers.dlms.xdlms import Attribute, Denied, Item
from metering.obis import ObisCode
from metering.quantity import QUANTITIES

_LIST: Final = Attribute(15, ObisCode(0, 0, 40, 0, 0), 2)
_VALUES: Final = {1: 2, 3: 2, 4: 2, 5: 2, 7: 7, 8: 2}
_SCALERS: Final = {3: 3, 4: 3, 5: 4}
_PROFILE, _CLOCK = 7, 8
_MOST_OBJECTS: Final = 5000
_NAME_OCTETS: Final = 6
_ENTRY: Final = 4  # class, version, name, access rights
_LARGEST_SCALER: Final = 18
_LONGEST: Final = 64  # characters of a value
_UNITS: Final = {6: "min", 9: "°C", 13: "m³", 23: "Pa", 24: "bar", 56: "%"}  # beside those of ``scaling``
_NAMES: Final = {one.obis: name for name, one in QUANTITIES.items()}
_MEASURING: Final = (3, 4, 5)


class Entry(NamedTuple):
    """One object of the list."""

    class_id: int
    version: int
    obis: ObisCode


@dataclass(frozen=True, slots=True)
class Listed:
    """One object with what stands in it."""

    entry: Entry
    value: float | str | None = None
    unit: str = ""
    denied: str = ""  # the meter's reason

    @property
    def quantity(self) -> str | None:
        """Our name for it, where it is one of ours."""
        return _NAMES.get(self.entry.obis) if self.entry.class_id in (*_MEASURING, _CLOCK) else None


def object_list(reader: Reader) -> Conversation[list[Entry]]:
    """Every object that this association may know of.

    Raises:
        Declined: the meter does not give its list.
        Malformed: it is no list of objects.
    """
    found = yield from reader.get(Item(_LIST))
    if isinstance(found, Denied):
        raise Declined(f"the list of objects: {found}", found.code)
    return entries_of(found)


def entries_of(found: Value) -> list[Entry]:
    """The objects in the value of attribute 2.

    Raises:
        Malformed: it is no list of objects.
    """
    if not isinstance(found, list) or len(found) > _MOST_OBJECTS:
        raise Malformed("no list of objects, or too long a one")
    entries = []
    for one in found:
        match one:
            case [int(class_id), int(version), bytes(name), *rest] if (
                len(name) == _NAME_OCTETS and len(rest) <= _ENTRY - 3 and class_id >= 0
            ):
                entries.append(Entry(class_id, version, ObisCode(*name)))
            case _:
                raise Malformed("an entry of the list of objects is none")
    return entries


def read_objects(reader: Reader, entries: Sequence[Entry], zone: tzinfo) -> Conversation[list[Listed]]:
    """The same objects with what stands in them; what has no value that we show is not asked for.

    Raises:
        DlmsError: there is no answer that can be used.
    """
    attributes = [attribute for entry in entries for attribute in _attributes(entry)]
    answers = yield from reader.get_all([Item(attribute) for attribute in attributes])
    results = dict(zip(attributes, answers, strict=True))
    return [_listed(entry, results, zone) for entry in entries]


def _attributes(entry: Entry) -> list[Attribute]:
    if entry.class_id not in _VALUES:
        return []
    numbers = [_VALUES[entry.class_id]] + [_SCALERS[one] for one in (entry.class_id,) if one in _SCALERS]
    return [Attribute(entry.class_id, entry.obis, number) for number in numbers]


def _listed(entry: Entry, results: dict[Attribute, Result], zone: tzinfo) -> Listed:
    asked = _attributes(entry)
    if not asked:
        return Listed(entry)
    value = results[asked[0]]
    if isinstance(value, Denied):
        return Listed(entry, denied=str(value))
    if entry.class_id == _CLOCK and isinstance(value, bytes) and len(value) == clock.LENGTH:
        at = clock.decode(value, zone).at
        return Listed(entry, at.isoformat(timespec="seconds") if at else value.hex())
    if entry.class_id == _PROFILE:
        return Listed(entry, shown(value), "rows")
    scaler = results[asked[1]] if len(asked) > 1 else None
    return _scaled(entry, value, scaler)


def _scaled(entry: Entry, value: Value, scaler: Result) -> Listed:
    known = scaler_of(scaler)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Listed(entry, shown(value))
    if known is not None:
        return Listed(entry, _times_power(value, known.exponent), known.unit)
    if not isinstance(scaler, list) or len(scaler) != 2:  # noqa: PLR2004 - scaler and unit
        return Listed(entry, value)
    exponent, unit = scaler
    if not isinstance(exponent, int) or not isinstance(unit, int):
        return Listed(entry, value)
    if unit in _UNITS and abs(exponent) <= _LARGEST_SCALER:
        return Listed(entry, _times_power(value, exponent), _UNITS[unit])
    return Listed(entry, f"{value} × 10^{exponent}", f"unit {unit}")


def _times_power(value: float, exponent: int) -> float:
    power = 10 ** abs(exponent)
    return float(value * power if exponent >= 0 else value / power)


def shown(value: Value) -> float | str | None:
    """A value for people: text as text, other octets as digits, lists by their length."""
    if isinstance(value, bool) or value is None:
        return None if value is None else str(value).lower()
    if isinstance(value, int | float):
        return value
    if isinstance(value, BitString):
        return "".join(f"{octet:08b}" for octet in value.octets)[: min(value.length, _LONGEST)]
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = value if isinstance(value, str) else value.decode("ascii", "replace")
    if not text.isprintable() or "\ufffd" in text:
        text = value.hex() if isinstance(value, bytes) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
