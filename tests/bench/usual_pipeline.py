"""The peer: what a usual Python collector does with the same readings as JSON rows.

One validated object a reading (pydantic), the same four rules as plain conditions over one object's memory, one
``Point`` a reading to line protocol (influxdb-client). Written as well as that way of writing allows: whole messages
are validated at once, memory has slots, nothing is logged.
"""

from __future__ import annotations

from influxdb_client import Point
from pydantic import BaseModel, TypeAdapter

from collector.registry.registry import Registry

BLOCK_MS = 900_000


class Row(BaseModel):
    """One reading as JSON."""

    gateway: str
    meter: str
    measured_at: int
    quality: int
    active_energy_import: float | None
    active_power: float | None
    reactive_power: float | None
    power_factor: float | None
    voltage_l1: float | None
    voltage_l2: float | None
    voltage_l3: float | None
    current_l1: float | None
    current_l2: float | None
    current_l3: float | None


ROWS = TypeAdapter(list[Row])
FIELDS = tuple(Row.model_fields)[4:]


class Memory:
    """What the rules remember of one meter."""

    __slots__ = ("base", "block", "contract", "kva", "kwh", "last_at", "loaded", "lost", "nominal", "shunted", "usual")

    def __init__(self, base: float, nominal: float, contract: float) -> None:
        self.base, self.nominal, self.contract = base, nominal, contract
        self.last_at = 0
        self.kwh = self.kva = 0.0
        self.block = 0
        self.lost, self.shunted, self.loaded = [0, 0, 0], [0, 0, 0], [0, 0, 0]
        self.usual = [1.0, 1.0, 1.0]


class UsualPipeline:
    """JSON in, line protocol out."""

    def __init__(self, registry: Registry) -> None:
        self.memories = {
            one.id: Memory(one.base_current_a or 10.0, one.nominal_voltage_v, one.contract_kva or 30.0)
            for one in registry.meters.values()
        }
        self.found: list[tuple[str, str]] = []

    def take(self, message: bytes) -> int:
        """One message through all stages; how many readings it held."""
        found = ROWS.validate_json(message)
        for row in found:
            self.judge(row)
        b"\n".join([self.line(row) for row in found])
        return len(found)

    def line(self, row: Row) -> bytes:
        point = Point("reading").tag("gateway", row.gateway).tag("meter", row.meter)
        for name in FIELDS:
            value = getattr(row, name)
            if value is not None:
                point.field(name, value)
        return point.time(row.measured_at, "ms").to_line_protocol().encode()

    def judge(self, row: Row) -> None:
        memory = self.memories[row.meter]
        if row.measured_at <= memory.last_at or row.active_power is None or row.active_energy_import is None:
            return
        hours = (row.measured_at - memory.last_at) / 3_600_000 if memory.last_at else 0.0
        difference = row.active_energy_import - memory.kwh if memory.last_at else 0.0
        if difference < 0 or abs(difference - row.active_power * hours) > 0.15 * row.active_power * hours + 0.1:
            self.found.append((row.meter, "energy_mismatch"))
        block = row.measured_at // BLOCK_MS
        apparent = (row.active_power**2 + (row.reactive_power or 0.0) ** 2) ** 0.5
        if block != memory.block:
            if memory.kva / 15 > memory.contract:
                self.found.append((row.meter, "over_capacity"))
            memory.block, memory.kva = block, 0.0
        memory.kva += apparent
        self.judge_phases(row, memory)
        memory.last_at, memory.kwh = row.measured_at, row.active_energy_import

    def judge_phases(self, row: Row, memory: Memory) -> None:
        currents = (row.current_l1, row.current_l2, row.current_l3)
        voltages = (row.voltage_l1, row.voltage_l2, row.voltage_l3)
        if None in currents or None in voltages:
            return
        median = sorted(currents)[1]  # type: ignore[type-var]
        for phase in range(3):
            current, voltage = currents[phase], voltages[phase]
            others = (sum(currents) - current) / 2  # type: ignore[arg-type, operator]
            energised = voltage > 0.7 * memory.nominal  # type: ignore[operator]
            if energised and current < 0.005 * memory.base and others >= 0.05 * memory.base:  # type: ignore[operator]
                memory.lost[phase] += 1
                if memory.lost[phase] == 3 and memory.loaded[phase] >= 6:
                    self.found.append((row.meter, "current_loss"))
            else:
                memory.lost[phase] = 0
            if median >= 0.05 * memory.base:  # type: ignore[operator]
                share = current / median  # type: ignore[operator]
                if share < 0.3 and memory.usual[phase] > 0.5:
                    memory.shunted[phase] += 1
                    if memory.shunted[phase] == 16:
                        self.found.append((row.meter, "current_shunt"))
                else:
                    memory.shunted[phase] = 0
                    memory.usual[phase] += 0.02 * (share - memory.usual[phase])
                memory.loaded[phase] += 1
