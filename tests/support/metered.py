"""A meter that always shows the same, to be put behind any line."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from edge_agent.drivers.modbus.read_plan import Span
from simulators.faults import Fault, Wire
from simulators.meter_images import EASTRON_SDM630
from simulators.modbus_meter import Endpoint, Slave
from simulators.physics import Flow, Reading

FUNCTION = EASTRON_SDM630.functions[0]
READING = Reading(
    Flow((229.5, 230.25, 231.0), (10.5, 11.0, 12.25), (2.0, 2.25, 2.5), (0.5, 0.25, 0.75), 50.0),
    import_kwh=(1000.5, 2000.25, 3000.75),
    import_kvarh=(100.0, 200.0, 300.0),
)


class Still:
    def reading(self, at_ms: int) -> Reading:
        del at_ms
        return READING


def endpoint(units: Iterable[int] = (1, 2), faults: Iterable[Fault] = ()) -> Endpoint:
    return Endpoint({unit: Slave(EASTRON_SDM630, Still()) for unit in units}, Wire(7, faults))


def registers(block: Span) -> list[int]:
    """What the meter has there, by its image alone."""
    pdu = EASTRON_SDM630.answer(struct.pack(">BHH", FUNCTION, block.address, block.count), READING)
    return list(struct.unpack(f">{block.count}H", pdu[2:]))
