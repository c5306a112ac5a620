"""The peer: what a usual Python service does with the same readings.

    JSON row → pydantic model → rules as ``if`` over the state of one meter → influxdb-client ``Point`` → line

The rules are those of ``collector/checks``, row by row: register difference, energy by period and demand, register
against integral, capacity, and the two checks on phase currents. Nothing is slower here than a careful author would
write it; times are numbers already, and the model has one type a field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from influxdb_client import Point, WritePrecision
from pydantic import BaseModel

from collector.engine.fleet import Fleet
from collector.registry.records import Meter
from tests.bench.readings import TEN, Row

_ZONE = ZoneInfo("Asia/Shanghai")
_PERIOD_OF_HOUR = ("valley",) * 8 + ("flat",) * 2 + ("peak",) * 2 + ("flat",) * 3 + ("sharp",) * 4 + ("peak",) * 5
_BLOCK_MS = 900_000
_BUCKET_MS = 6 * 3_600_000
_DAY_MS = 86_400_000


class Reading(BaseModel):
    """One row of JSON."""

    gateway: str
    meter: str
    measured_at: int
    active_power: float
    reactive_power: float
    power_factor: float
    voltage_l1: float
    voltage_l2: float
    voltage_l3: float
    current_l1: float
    current_l2: float
    current_l3: float
    active_energy_import: float


def json_of(row: Row) -> bytes:
    """A row as JSON, as compact as JSON is."""
    names = {"gateway": row.gateway, "meter": row.meter, "measured_at": row.measured_at}
    return msgspec.json.encode(names | row.values)


def line_of(reading: Reading) -> str:
    """A reading as a line."""
    point = Point("reading").tag("gateway", reading.gateway).tag("meter", reading.meter)
    for name in TEN:
        point.field(name, getattr(reading, name))
    return point.time(reading.measured_at, WritePrecision.MS).to_line_protocol()


@dataclass
class Phase:
    """What is remembered of one phase."""

    usual_others: float = 0.0
    usual_share: float = 0.0
    loaded: int = 0
    lost_since: int = 0
    lost_for: int = 0
    lost: bool = False
    shunted_for: int = 0
    shunted: bool = False


@dataclass
class State:
    """What is remembered of one meter."""

    at: int = 0
    kwh: float = 0.0
    kw: float = 0.0
    kva: float = 0.0
    doubted_at: int = 0
    doubted_kwh: float = 0.0
    block: int = 0
    block_kwh: float = 0.0
    block_ms: int = 0
    block_kva_ms: float = 0.0
    periods: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("sharp", "peak", "flat", "valley"), 0.0))
    maximum_demand: float = 0.0
    readings: int = 0
    over_for: int = 0
    over: bool = False
    bucket: int = 0
    sums: list[list[float]] = field(default_factory=lambda: [[0.0, 0.0] for _ in range(4)])
    phases: tuple[Phase, Phase, Phase] = field(default_factory=lambda: (Phase(), Phase(), Phase()))


class Rules:
    """All rules over all meters, one reading at a time."""

    def __init__(self, fleet: Fleet) -> None:
        """Know the ratings; remember nothing yet."""
        self._registry = fleet.registry.meters
        self._states: dict[tuple[str, str], State] = {}
        self.found: list[tuple[str, str, int]] = []
        self.lines: list[str] = []

    def judge(self, reading: Reading) -> None:
        """Apply every rule to one reading."""
        key = reading.gateway, reading.meter
        state = self._states.get(key)
        rating = self._registry[reading.meter]
        if state is None:
            at = reading.measured_at
            state = self._states[key] = State(at, reading.active_energy_import, reading.active_power)
            state.block, state.bucket = at // _BLOCK_MS, at // _BUCKET_MS
            return
        elapsed = reading.measured_at - state.at
        if elapsed <= 0:
            return
        self._energy(reading, state, rating, elapsed)
        self._capacity(reading, state, rating, elapsed)
        self._phases(reading, state, rating)
        state.at = reading.measured_at
        state.kw = reading.active_power

    def _energy(self, reading: Reading, state: State, rating: Meter, elapsed: int) -> None:
        register = reading.active_energy_import
        used = register - state.kwh
        carries = (rating.maximum_current_a or math.inf) * rating.phases * rating.nominal_voltage_v * 0.0012
        if used < 0 or used > carries * elapsed / 3_600_000 + 0.02:
            if not state.doubted_at or register < state.doubted_kwh:
                state.doubted_at, state.doubted_kwh = reading.measured_at, register
                return
            used = 0.0
        state.doubted_at = 0
        state.kwh = register
        period = _PERIOD_OF_HOUR[datetime.fromtimestamp(reading.measured_at / 1000, _ZONE).hour]
        state.periods[period] += used
        state.readings += 1
        block = reading.measured_at // _BLOCK_MS
        if block != state.block:
            self._end_block(reading, state, rating)
            state.block = block
        state.block_kwh += used
        state.block_ms += elapsed
        if elapsed <= 180_000:
            state.sums[0][0] += max((state.kw + reading.active_power) / 2, 0.0) * elapsed / 3_600_000
            state.sums[0][1] += used
        bucket = reading.measured_at // _BUCKET_MS
        if bucket != state.bucket:
            integral, counted = (sum(one[i] for one in state.sums) for i in (0, 1))
            if abs(counted - integral) > 0.15 * integral + 0.1:
                self.found.append(("energy_mismatch", reading.meter, reading.measured_at))
            state.bucket = bucket
            state.sums = [[0.0, 0.0], *state.sums[:3]]

    def _end_block(self, reading: Reading, state: State, rating: Meter) -> None:
        if state.block_ms >= 0.999 * _BLOCK_MS:
            state.maximum_demand = max(state.maximum_demand, state.block_kwh * 4)
        if rating.contract_kva is not None and state.block_ms >= 0.8 * _BLOCK_MS:
            kva = state.block_kva_ms / state.block_ms
            if kva > rating.contract_kva:
                state.over_for += 1
                if state.over_for >= 2 and not state.over:
                    state.over = True
                    self.found.append(("over_capacity", reading.meter, reading.measured_at))
            elif kva <= 0.95 * rating.contract_kva:
                state.over_for, state.over = 0, False
        state.block_kwh, state.block_ms, state.block_kva_ms = 0.0, 0, 0.0
        point = Point("energy_day").tag("gateway", reading.gateway).tag("meter", reading.meter)
        for name, kwh in state.periods.items():
            point.field(name, kwh)
        point.field("total", sum(state.periods.values())).field("maximum_demand", state.maximum_demand)
        point.field("readings", state.readings)
        day = reading.measured_at // _DAY_MS * _DAY_MS
        self.lines.append(point.time(day, WritePrecision.MS).to_line_protocol())

    def _capacity(self, reading: Reading, state: State, rating: Meter, elapsed: int) -> None:
        if rating.contract_kva is None:
            return
        kva = (reading.active_power**2 + reading.reactive_power**2) ** 0.5
        if elapsed <= 180_000:
            state.block_kva_ms += (state.kva + kva) / 2 * elapsed
        state.kva = kva

    def _phases(self, reading: Reading, state: State, rating: Meter) -> None:
        if rating.phases != 3:
            return
        base, nominal = rating.base_current_a, rating.nominal_voltage_v
        voltages = reading.voltage_l1, reading.voltage_l2, reading.voltage_l3
        currents = abs(reading.current_l1), abs(reading.current_l2), abs(reading.current_l3)
        total = sum(currents)
        median = total - max(currents) - min(currents)
        loaded = median >= 0.05 * base and min(voltages) > 0
        for voltage, current, phase in zip(voltages, currents, state.phases, strict=True):
            others = (total - current) / 2
            self._loss(reading, phase, voltage > 0.7 * nominal, current, others, base)
            if loaded and current >= 0.005 * base:
                self._shunt(reading, phase, current / median)

    def _loss(
        self, reading: Reading, phase: Phase, energised: bool, current: float, others: float, base: float
    ) -> None:
        if current >= 0.05 * base:
            phase.usual_others += 0.02 * (others - phase.usual_others) if phase.loaded else others
            phase.loaded += 1
            phase.lost_for, phase.lost = 0, False
        elif (
            energised
            and current < 0.005 * base
            and others >= 0.05 * base
            and phase.loaded >= 6
            and others >= 0.5 * phase.usual_others
        ):
            if not phase.lost_for:
                phase.lost_since = reading.measured_at
            phase.lost_for += 1
            if phase.lost_for >= 3 and reading.measured_at - phase.lost_since >= 60_000 and not phase.lost:
                phase.lost = True
                self.found.append(("current_loss", reading.meter, reading.measured_at))

    def _shunt(self, reading: Reading, phase: Phase, share: float) -> None:
        if share < 0.3:
            if phase.usual_share > 0.5 and phase.loaded >= 12:
                phase.shunted_for += 1
                if phase.shunted_for >= 16 and not phase.shunted:
                    phase.shunted = True
                    self.found.append(("current_shunt", reading.meter, reading.measured_at))
        else:
            if not phase.shunted:
                phase.usual_share += 0.02 * (share - phase.usual_share) if phase.usual_share else share
            if share > 0.5:
                phase.shunted_for, phase.shunted = 0, False
