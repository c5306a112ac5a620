"""A park: what its YAML may say, and the meters, contracts, approvals and faults that this expands to.

Expansion is pure and depends on the settings alone: the same file gives the same park for ever, and a change of
one meter leaves the others as they are. Times in the file count from the start of the park, so that the same
park can run today or on 18 June.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, Field

from metering.settings import Duration, Identifier, Loaded, Problem, Settings
from simulators.faults import Fault, FaultName, Wire
from simulators.load_curves import TRADES, Demand, MonthDay, Trade, generator
from simulators.meter_image import MODELS
from simulators.modbus_meter import Endpoint, Slave, UnknownUnit
from simulators.physics import Rating, SimulatedMeter
from simulators.scenarios import LEVELS, Scenario, ScenarioName

Model = Literal["eastron_sdm630", "chint_dtsu666"]

MAX_UNIT: Final = 247
PREFIXES: Final[dict[Trade, str]] = {
    "retail": "shop-1",
    "manufacturing": "works-2",
    "catering": "kitchen-3",
    "logistics": "depot-4",
    "ecommerce": "online-5",
}

_CONTRACT_STEP_KVA: Final = 5
_USED_AT_MOST: Final = 0.78  # of the contract, by the highest honest quarter of an hour
_CEILING: Final = 0.80  # of the contract: what the installed machines can draw
_REFERENCE_DAYS: Final = 7
_MARGIN_MS: Final = 1_800_000  # an approval begins before the surge and ends after it


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError("not a time zone; write it like Asia/Shanghai") from error
    return name


class ScenarioSettings(Settings):
    """Something done to one meter."""

    meter: Identifier = Field(description="Which meter.")
    scenario: ScenarioName = Field(description="What is done to it.")
    after: Duration = Field(0.0, ge=0, description="Time from the start of the park to its beginning, whole minutes.")
    lasts: Duration = Field(86400.0, gt=0, description="How long it lasts, whole minutes.")
    level: float | None = Field(None, ge=0, le=3, description="Its strength; drawn from the seed if absent.")


class FaultSettings(Settings):
    """Something wrong on the wire."""

    fault: FaultName = Field(description="What goes wrong.")
    meters: tuple[Identifier, ...] = Field((), description="Meters concerned; none named: all.")
    share: float = Field(1.0, ge=0, le=1, description="Share of the answers that suffer.")
    delay: Duration = Field(0.0, ge=0, le=60, description="How late an answer arrives, real time (fault: delay).")
    code: int = Field(4, ge=1, le=255, description="Modbus exception code (fault: exception).")
    after: Duration = Field(0.0, ge=0, description="Time from the start of the park to its beginning.")
    lasts: Duration | None = Field(None, gt=0, description="How long it lasts; absent: for ever.")


class ParkSettings(Settings):
    """What a park file may say."""

    park: Identifier = Field("park-01", description="Name of the park, of its site and of its gateway.")
    seed: int = Field(7, ge=0, lt=2**32, description="All randomness comes from here.")
    start: AwareDatetime | None = Field(
        None, description="First instant of the simulated time; absent: today's midnight, in real time."
    )
    speed: float = Field(1.0, gt=0, le=1_000_000, description="How fast simulated time runs (needs 'start').")
    timezone: Annotated[str, AfterValidator(_zone)] = Field("Asia/Shanghai", description="Local time of the trades.")
    host: str = Field("127.0.0.1", min_length=1, description="Address the Modbus TCP endpoints listen on.")
    port: int = Field(5020, ge=1, le=65535, description="Port of the first endpoint; the others follow.")
    meters_per_endpoint: int = Field(32, ge=1, le=MAX_UNIT, description="Meters behind one TCP endpoint.")
    unknown_unit: UnknownUnit = Field("silent", description="What a unit that is not there does.")
    every: Duration = Field(300.0, ge=1, le=86400, description="Polling period written into gateway.yaml.")
    trades: dict[Trade, Annotated[int, Field(ge=0, le=99)]] = Field(
        default_factory=lambda: dict.fromkeys(TRADES, 2), description="Number of meters of each trade."
    )
    models: tuple[Model, ...] = Field(
        ("eastron_sdm630", "chint_dtsu666"), min_length=1, description="Models of meters, dealt out in turn."
    )
    nominal_voltage_v: Literal[220, 230] = Field(230, description="Phase voltage.")
    monthly_kwh: tuple[float, float] = Field((1000.0, 5000.0), description="Smallest and largest customer.")
    festivals: tuple[str, ...] = Field(("06-18", "11-11"), description="Festival dates, MM-DD (618, 双11).")
    scenarios: tuple[ScenarioSettings, ...] = Field((), description="What is done to which meter, and when.")
    faults: tuple[FaultSettings, ...] = Field((), description="What goes wrong on the wire, and when.")


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
        """TCP port of each endpoint."""
        return [self.settings.port + n for n in range(1 + max((m.endpoint for m in self.meters), default=0))]

    def truth(self) -> list[dict[str, object]]:
        """What was done to every meter, honest ones too (for the whole time of the park)."""
        done = {scenario.meter for scenario in self.scenarios}
        records = [scenario.truth(self.zone) for scenario in self.scenarios]
        for one in self.meters:
            if one.meter.name not in done:
                record = Scenario("honest", one.meter.name, self.start_ms, self.start_ms).truth(self.zone)
                records.append(record | {"ends_at": None})
        return records

    def endpoints(self) -> list[Endpoint]:
        """The endpoints, each with its units and its wire."""
        found = []
        for number, _ in enumerate(self.ports):
            here = [one for one in self.meters if one.endpoint == number]
            units = {one.unit: Slave(MODELS[one.model], one.meter) for one in here}
            faults = [fault for s in self.settings.faults if (fault := self._fault(s, here)) is not None]
            found.append(Endpoint(units, Wire(self.settings.seed + number, faults), self.settings.unknown_unit))
        return found

    def _fault(self, settings: FaultSettings, here: list[ParkMeter]) -> Fault | None:
        units = frozenset(one.unit for one in here if one.meter.name in settings.meters)
        if settings.meters and not units:
            return None
        fault = Fault(
            settings.fault,
            units if settings.meters else None,
            settings.share,
            settings.delay,
            settings.code,
            self.start_ms + int(settings.after * 1000),
        )
        if settings.lasts is None:
            return fault
        return replace(fault, ends_at_ms=fault.starts_at_ms + int(settings.lasts * 1000))


def meter_names(settings: ParkSettings) -> list[tuple[str, Trade]]:
    """The names of the meters, in the order of the trades."""
    return [(f"{PREFIXES[trade]}{n + 1:02d}", trade) for trade, count in settings.trades.items() for n in range(count)]


def check_park(loaded: Loaded[ParkSettings]) -> list[Problem]:
    """Mistakes across keys: unknown meters, times that are no whole minutes, impossible festivals."""
    settings = loaded.value
    if not loaded.whole("trades"):
        return []
    known = {name for name, _ in meter_names(settings)}
    problems = []
    if not known:
        problems.append(loaded.problem(("trades",), "the park has no meters"))
    for n, scenario in enumerate(settings.scenarios):
        if scenario.meter not in known:
            problems.append(loaded.problem(("scenarios", n, "meter"), f"there is no meter {scenario.meter!r}"))
        problems += [
            loaded.problem(("scenarios", n, key), "write whole minutes")
            for key in ("after", "lasts")
            if getattr(scenario, key) % 60
        ]
    for n, fault in enumerate(settings.faults):
        problems += [
            loaded.problem(("faults", n, "meters"), f"there is no meter {name!r}")
            for name in fault.meters
            if name not in known
        ]
    for n, festival in enumerate(settings.festivals):
        try:
            _month_day(festival)
        except ValueError:
            problems.append(loaded.problem(("festivals", n), f"{festival!r} is not a date like 06-18"))
    return problems


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
    festivals = tuple(_month_day(text) for text in settings.festivals)
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


def _month_day(text: str) -> MonthDay:
    day = date.fromisoformat(f"2000-{text}")  # a leap year: 02-29 is a date
    return day.month, day.day
