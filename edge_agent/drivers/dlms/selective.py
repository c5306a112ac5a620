"""Selective access to the buffer of a profile (Blue Book, profile generic): by time, or by number of the entry."""

from __future__ import annotations

from typing import Final

from edge_agent.drivers.dlms.axdr import Data, Tag
from edge_agent.drivers.dlms.xdlms import Attribute, Selection, logical_name
from metering.obis import ObisCode

CLOCK_TIME: Final = Attribute(8, ObisCode(0, 0, 1, 0, 0), 2)
_BY_RANGE: Final = 1
_BY_ENTRY: Final = 2


def by_range(first: bytes, last: bytes, column: Attribute = CLOCK_TIME) -> Selection:
    """The rows from ``first`` to ``last``, both with them; twelve octets each, as ``clock.encode`` makes them."""
    restricting = Data(
        Tag.STRUCTURE,
        (
            Data(Tag.UINT16, column.class_id),
            Data(Tag.OCTET_STRING, logical_name(column.obis)),
            Data(Tag.INT8, column.number),
            Data(Tag.UINT16, 0),
        ),
    )
    bounds = (Data(Tag.OCTET_STRING, first), Data(Tag.OCTET_STRING, last))
    return Selection(_BY_RANGE, Data(Tag.STRUCTURE, (restricting, *bounds, Data(Tag.ARRAY, ()))))


def by_entry(first: int, last: int = 0) -> Selection:
    """The rows number ``first`` to ``last``, both with them; the oldest is 1, 0 means the newest."""
    numbers = (Data(Tag.UINT32, first), Data(Tag.UINT32, last), Data(Tag.UINT16, 1), Data(Tag.UINT16, 0))
    return Selection(_BY_ENTRY, Data(Tag.STRUCTURE, numbers))
