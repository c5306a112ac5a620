"""A park: the meters, contracts, approvals and faults that its settings expand to.

Expansion is pure and depends on the settings alone: the same file gives the same park for ever, and a change of
one meter leaves the others as they are. Times in the file count from the start of the park, so that the same
park can run today or on 18 June.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Final, cast, get_args
from zoneinfo import ZoneInfo

from simulators.dlms.device import LogicalDevice
from simulators.dlms.meter import electricity_meter
from simulators.dlms.objects import MeterClock
from simulators.dlms_meter import DlmsEndpoint, HdlcLine
from simulators.dlms_secrets import locked, secrets_of
from simulators.dlt645_meter import Dlt645Endpoint, Dlt645Meter
from simulators.event_log import dlms_entries, dlt645_records
from simulators.faults import Fault, FaultName, Wire
from simulators.lies import Lie, LieName, LyingMeter, Metered
from simulators.load_curves import TRADES, Demand, Trade, generator
from simulators.meter_images import MODELS
from simulators.modbus_meter import Endpoint, Slave
from simulators.park_settings import (
    FaultSettings,
    LineSettings,
    Model,
    ParkSettings,
    ScenarioSettings,
    Security,
    meter_names,
    month_day,
)
from simulators.physics import Rating, SimulatedMeter
from simulators.scenarios import LEVELS, Scenario

AnyEndpoint = Endpoint | DlmsEndpoint | HdlcLine | Dlt645Endpoint
"""What stands behind one port of a park."""

_CONTRACT_STEP_KVA: Final = 5
_USED_AT_MOST: Final = 0.78  # of the contract, by the highest honest quarter of an hour
_CEILING: Final = 0.80  # of the contract: what the installed machines can draw
_REFERENCE_DAYS: Final = 7
_MARGIN_MS: Final = 1_800_000  # an approval begins before the surge and ends after it


@dataclass(frozen=True, slots=True)
class Approval:
    """A temporary capacity that the utility has approved."""

    meter: str
    from_ms: int
    to_ms: int
    kva: float


@dataclass(frozen=True, slots=True)
class ParkMeter:
    """One meter of the park and where it is found."""

    meter: SimulatedMeter
    model: Model
    account: str
    endpoint: int  # 0, 1, 2 …
    unit: int


@dataclass(frozen=True, slots=True)
class Park:
    """An expanded park."""

    settings: ParkSettings
    start_ms: int
    meters: tuple[ParkMeter, ...]
    approvals: tuple[Approval, ...]
    scenarios: tuple[Scenario, ...]

    @property
    def zone(self) -> ZoneInfo:
        """Local time of the park."""
        return ZoneInfo(self.settings.timezone)

    @property
    def ports(self) -> list[int]:
        """TCP port of each endpoint; one that is a serial port has none, and its number stays free."""
        return [self.settings.port + n for n in range(1 + max((m.endpoint for m in self.meters), default=0))]

    def line(self, endpoint: int) -> LineSettings:
        """How the meters of an endpoint are connected."""
        return self.settings.lines[endpoint % len(self.settings.lines)]

    def device(self, endpoint: int, folder: Path) -> Path:
        """Path of the serial port of an endpoint."""
        return folder.resolve() / f"line-{endpoint + 1}"

    def truth(self) -> list[dict[str, object]]:
        """What was done to every meter, honest ones too (for the whole time of the park)."""
        done = {scenario.meter for scenario in self.scenarios}
        records = [scenario.truth(self.zone) for scenario in self.scenarios]
        for one in self.meters:
            if one.meter.name not in done:
                record = Scenario("honest", one.meter.name, self.start_ms, self.start_ms).truth(self.zone)
                records.append(record | {"ends_at": None})
        return records

    def endpoints(self, counted: int = 0) -> list[AnyEndpoint]:
        """The endpoints, each with its units and its wire; the address of a DL/T 645 or DLMS meter is its unit.

        Args:
            counted: where the invocation counters of DLMS meters stand; they must never go back.
        """
        found: list[AnyEndpoint] = []
        for number, _ in enumerate(self.ports):
            here = [one for one in self.meters if one.endpoint == number]
            faults = [fault for s in self.settings.faults if (fault := self._fault(s, here)) is not None]
            wire = Wire(self.settings.seed + number, faults)
            line = self.line(number)
            if line.protocol == "dlt645":
                found.append(Dlt645Endpoint({one.unit: self._dlt645_meter(one) for one in here}, wire))
            elif line.protocol == "dlms":
                devices = {one.unit: self._device(one, line.security, counted) for one in here}
                hdlc = line.line != "dlms_tcp"
                found.append(HdlcLine(devices, wire) if hdlc else DlmsEndpoint(devices, wire=wire))
            else:
                units = {one.unit: Slave(MODELS[one.model], self._metered(one)) for one in here}
                found.append(Endpoint(units, wire, self.settings.unknown_unit))
        return found

    def _device(self, one: ParkMeter, security: Security, counted: int) -> LogicalDevice:
        """A DLMS meter whose load profile begins with the park."""
        name = one.meter.name
        clock = MeterClock(self.zone, offset_s=self._ahead_s(name))
        events = dlms_entries(self._done_to(name))
        objects = electricity_meter(self._metered(one), clock, serial=name, installed_ms=self.start_ms, events=events)
        return locked(objects, security, secrets_of(self.settings.seed, name), counted)

    def _dlt645_meter(self, one: ParkMeter) -> Dlt645Meter:
        metered = self._metered(one)
        name = one.meter.name
        return Dlt645Meter(
            metered, ahead_s=self._ahead_s(name), lived=partial(dlt645_records, self._done_to(name), metered)
        )

    def _ahead_s(self, meter: str) -> int:
        return sum(clock.ahead_s for clock in self.settings.clocks if clock.meter == meter)

    def _done_to(self, meter: str) -> list[Scenario]:
        return [scenario for scenario in self.scenarios if scenario.meter == meter]

    def _metered(self, one: ParkMeter) -> Metered:
        """The meter, behind its lies if it has any."""
        lies = []
        for told in self.settings.faults:
            if told.fault in get_args(LieName) and (not told.meters or one.meter.name in told.meters):
                lie = Lie(cast("LieName", told.fault), told.share, self.start_ms + _ms(told.after))
                lies.append(lie if told.lasts is None else replace(lie, ends_at_ms=lie.starts_at_ms + _ms(told.lasts)))
        return LyingMeter(one.meter, self.settings.seed, lies) if lies else one.meter

    def _fault(self, settings: FaultSettings, here: list[ParkMeter]) -> Fault | None:
        if settings.fault in get_args(LieName):
            return None
        units = frozenset(one.unit for one in here if one.meter.name in settings.meters)
        if settings.meters and not units:
            return None
        fault = Fault(
            cast("FaultName", settings.fault),
            units if settings.meters else None,
            settings.share,
            settings.delay,
            settings.code,
            self.start_ms + _ms(settings.after),
        )
        if settings.lasts is None:
            return fault
        return replace(fault, ends_at_ms=fault.starts_at_ms + _ms(settings.lasts))


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def expand(settings: ParkSettings, today: datetime) -> Park:
    """Settings → park.

    Args:
        settings: what the file says.
        today: the present instant; a park without ``start`` starts at its local midnight.

    Raises:
        ValueError: a festival is not a date.
    """
    zone = ZoneInfo(settings.timezone)
    start = (settings.start or _midnight(today.astimezone(zone))).astimezone(zone)
    start_ms = int(start.timestamp() * 1000)
    midnight = (start.date(), int(_midnight(start).timestamp() * 1000))
    found, scenarios, approvals = [], [], []
    for n, (name, trade) in enumerate(meter_names(settings)):
        demand, rating = _customer(settings, name, trade, start.date())
        mine = [
            _scenario(settings, s, rating, start_ms, index)
            for index, s in enumerate(settings.scenarios)
            if s.meter == name
        ]
        approvals += [_approval(scenario) for scenario in mine if scenario.approved_kva]
        scenarios += mine
        endpoint, position = divmod(n, settings.meters_per_endpoint)
        model = settings.models[n % len(settings.models)]
        meter = SimulatedMeter(demand, rating, midnight, mine)
        found.append(ParkMeter(meter, model, f"A-{n + 1:04d}", endpoint, position + 1))
    return Park(settings, start_ms, tuple(found), tuple(approvals), tuple(scenarios))


def _customer(settings: ParkSettings, name: str, trade: Trade, first: date) -> tuple[Demand, Rating]:
    """A customer's demand, and the contract and the meter that suit it."""
    monthly_kwh = float(generator(settings.seed, name, "size").uniform(*settings.monthly_kwh))
    festivals = tuple(month_day(text) for text in settings.festivals)
    demand = Demand(settings.seed, name, trade, monthly_kwh, festivals=festivals)
    worst_power_factor = TRADES[trade].power_factor[0]
    peak_kva = demand.peak_kw(first, _REFERENCE_DAYS) / worst_power_factor
    contract_kva = _rounded_up(peak_kva / _USED_AT_MOST)
    demand = replace(demand, ceiling_kw=_CEILING * contract_kva * worst_power_factor)
    # A phase may carry half of a surge of twice the contract without leaving the meter's range.
    needed_a = contract_kva * 1000 / settings.nominal_voltage_v
    maximum_a = next((a for a in (60.0, 80.0) if a >= needed_a), 100.0)
    base_a = 5.0 if maximum_a == 60.0 else 10.0  # noqa: PLR2004 - as on name plates: 5(60), 10(80), 10(100)
    return demand, Rating(float(settings.nominal_voltage_v), base_a, maximum_a, contract_kva)


def _scenario(settings: ParkSettings, wanted: ScenarioSettings, rating: Rating, start_ms: int, index: int) -> Scenario:
    rng = generator(settings.seed, wanted.meter, "scenario", index)
    drawn = float(rng.uniform(*LEVELS[wanted.scenario]))
    phase = int(rng.integers(3))
    approved = {"approved_surge": 1.5, "over_approved": 1.2}.get(wanted.scenario, 0.0)
    starts_at_ms = start_ms + int(wanted.after * 1000)
    return Scenario(
        wanted.scenario,
        wanted.meter,
        starts_at_ms,
        starts_at_ms + int(wanted.lasts * 1000),
        drawn if wanted.level is None else wanted.level,
        phase,
        _rounded_up(approved * rating.contract_kva) if approved else 0.0,
    )


def _approval(scenario: Scenario) -> Approval:
    return Approval(
        scenario.meter, scenario.starts_at_ms - _MARGIN_MS, scenario.ends_at_ms + _MARGIN_MS, scenario.approved_kva
    )


def _rounded_up(kva: float) -> float:
    return float(math.ceil(kva / _CONTRACT_STEP_KVA) * _CONTRACT_STEP_KVA)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
