"""What a park file may say, and its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, cast

from pydantic import AwareDatetime, Field

from metering.config_file import Loaded
from metering.marked_yaml import Problem
from metering.settings import Duration, Identifier, Settings, TimeZone
from simulators.faults import FaultName
from simulators.lies import LieName
from simulators.load_curves import TRADES, MonthDay, Trade
from simulators.modbus_meter import UnknownUnit
from simulators.paced_line import LineSpeed
from simulators.scenarios import ONLY_LOGGED, ScenarioName

Model = Literal[
    "eastron_sdm630",
    "chint_dtsu666",
    "eastron_sdm120",
    "eastron_sdm230",
    "schneider_iem3000",
    "abb_ab",
    "carlo_gavazzi_em24",
    "carlo_gavazzi_em340",
    "janitza_b23",
    "acrel_adw300",
    "sunspec_meter",
]
LineType = Literal[
    "modbus_tcp",
    "modbus_tls",
    "modbus_rtu_tcp",
    "modbus_rtu",
    "dlms_tcp",
    "dlms_hdlc_tcp",
    "dlms_hdlc",
    "dlt645_tcp",
    "dlt645_serial",
]
Protocol = Literal["modbus", "dlms", "dlt645"]
Security = Literal["gmac", "low", "none"]
SERIAL_PORTS: Final = ("modbus_rtu", "dlms_hdlc", "dlt645_serial")
CHARACTERS: Final = ("modbus_rtu_tcp", "dlms_hdlc_tcp", "dlt645_tcp", *SERIAL_PORTS)
"""Lines whose characters take their time."""

Baudrate = Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200]

MAX_UNIT: Final = 247
PREFIXES: Final[dict[Trade, str]] = {
    "retail": "shop-1",
    "manufacturing": "works-2",
    "catering": "kitchen-3",
    "logistics": "depot-4",
    "ecommerce": "online-5",
}


class ScenarioSettings(Settings):
    """Something done to one meter."""

    meter: Identifier = Field(description="Which meter.")
    scenario: ScenarioName = Field(description="What is done to it.")
    after: Duration = Field(0.0, ge=0, description="Time from the start of the park to its beginning, whole minutes.")
    lasts: Duration = Field(86400.0, gt=0, description="How long it lasts, whole minutes.")
    level: float | None = Field(None, ge=0, le=3, description="Its strength; drawn from the seed if absent.")


class LineSettings(Settings):
    """How the meters of one endpoint are connected."""

    line: LineType = Field("modbus_tcp", description="What is spoken, as in gateway.yaml.")
    baudrate: Baudrate = Field(9600, description="Of a serial line; most DL/T 645 meters have 2400.")
    parity: Literal["none", "even", "odd"] = Field("none", description="Of a serial line.")
    stop_bits: Literal[1, 2] = Field(1, description="Of a serial line.")
    security: Security = Field("gmac", description="How its DLMS meters are asked, as in gateway.yaml.")
    certificate_file: Path | None = Field(None, description="Certificate of the endpoint, PEM (modbus_tls).")
    key_file: Path | None = Field(None, description="Its key, PEM (modbus_tls).")
    ca_file: Path | None = Field(None, description="Whom a client has to trust, PEM (modbus_tls).")

    @property
    def protocol(self) -> Protocol:
        """What its meters speak, whatever model they would be otherwise."""
        return cast("Protocol", self.line.partition("_")[0])

    @property
    def speed(self) -> LineSpeed:
        """How fast characters go over it."""
        return LineSpeed(self.baudrate, 9 + (self.parity != "none") + self.stop_bits)


class FaultSettings(Settings):
    """Something wrong on the wire, or with what a meter says."""

    fault: FaultName | LieName = Field(description="What goes wrong.")
    meters: tuple[Identifier, ...] = Field((), description="Meters concerned; none named: all.")
    share: float = Field(1.0, ge=0, le=1, description="Share of the answers that suffer.")
    delay: Duration = Field(0.0, ge=0, le=60, description="How late an answer arrives, real time (fault: delay, late).")
    code: int = Field(4, ge=1, le=255, description="Modbus exception code (fault: exception).")
    after: Duration = Field(0.0, ge=0, description="Time from the start of the park to its beginning.")
    lasts: Duration | None = Field(None, gt=0, description="How long it lasts; absent: for ever.")


class ClockSettings(Settings):
    """A meter whose own clock is wrong from the start."""

    meter: Identifier = Field(description="Which meter; it speaks DLMS or DL/T 645.")
    ahead: Duration = Field(0.0, ge=0, le=366 * 86400, description="How far its clock is ahead, to the second.")
    behind: Duration = Field(0.0, ge=0, le=366 * 86400, description="How far it is behind, to the second.")

    @property
    def ahead_s(self) -> int:
        """Ahead, or behind if negative."""
        return round(self.ahead - self.behind)


class ParkSettings(Settings):
    """What a park file may say."""

    park: Identifier = Field("park-01", description="Name of the park, of its site and of its gateway.")
    seed: int = Field(7, ge=0, lt=2**32, description="All randomness comes from here.")
    start: AwareDatetime | None = Field(
        None, description="First instant of the simulated time; absent: today's midnight, in real time."
    )
    speed: float = Field(1.0, gt=0, le=1_000_000, description="How fast simulated time runs (needs 'start').")
    timezone: TimeZone = Field("Asia/Shanghai", description="Local time of the trades.")
    host: str = Field("127.0.0.1", min_length=1, description="Address the endpoints listen on.")
    port: int = Field(5020, ge=1, le=65535, description="Port of the first endpoint; the others follow.")
    meters_per_endpoint: int = Field(32, ge=1, le=MAX_UNIT, description="Meters behind one TCP endpoint.")
    lines: tuple[LineSettings, ...] = Field(
        (LineSettings(),), min_length=1, description="How endpoints are connected, dealt out in turn."
    )
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
    faults: tuple[FaultSettings, ...] = Field((), description="What goes wrong on the wire or in a meter, and when.")
    clocks: tuple[ClockSettings, ...] = Field(
        (), description="Meters whose clocks are wrong; `clock --set` mends them."
    )


def meter_names(settings: ParkSettings) -> list[tuple[str, Trade]]:
    """The names of the meters, in the order of the trades."""
    return [(f"{PREFIXES[trade]}{n + 1:02d}", trade) for trade, count in settings.trades.items() for n in range(count)]


def check_park(loaded: Loaded[ParkSettings]) -> list[Problem]:
    """Mistakes across keys: unknown meters, times that are no whole minutes, impossible festivals."""
    settings = loaded.value
    if not loaded.whole("trades"):
        return []
    known = {name for name, _ in meter_names(settings)}
    problems: list[Problem] = []
    if not known:
        problems.append(loaded.problem(("trades",), "the park has no meters"))
    problems += [
        loaded.problem(("lines", n, "parity"), "a pseudo-terminal has no parity → none, or a line over TCP")
        for n, line in enumerate(settings.lines)
        if line.line in SERIAL_PORTS and line.parity != "none"
    ]
    problems += [
        loaded.problem(("lines", n), "HDLC has neither parity nor a second stop bit → leave both out")
        for n, line in enumerate(settings.lines)
        if line.line == "dlms_hdlc_tcp" and (line.parity, line.stop_bits) != ("none", 1)
    ]
    problems += _tls_files(loaded)
    for n, scenario in enumerate(settings.scenarios):
        if scenario.meter not in known:
            problems.append(loaded.problem(("scenarios", n, "meter"), f"there is no meter {scenario.meter!r}"))
        if scenario.scenario in ONLY_LOGGED and scenario.meter in known and _speaks_modbus(settings, scenario.meter):
            text = f"{scenario.meter} speaks Modbus and keeps no log → a meter on a line of DLMS or DL/T 645"
            problems.append(loaded.problem(("scenarios", n, "scenario"), text))
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
    problems += _clocks(loaded, known)
    for n, festival in enumerate(settings.festivals):
        try:
            month_day(festival)
        except ValueError:
            problems.append(loaded.problem(("festivals", n), f"{festival!r} is not a date like 06-18"))
    return problems


def _clocks(loaded: Loaded[ParkSettings], known: set[str]) -> Iterator[Problem]:
    for n, clock in enumerate(loaded.value.clocks):
        if clock.meter not in known:
            yield loaded.problem(("clocks", n, "meter"), f"there is no meter {clock.meter!r}")
        elif _speaks_modbus(loaded.value, clock.meter):
            text = f"{clock.meter} speaks Modbus and tells no time → a meter on a line of DLMS or DL/T 645"
            yield loaded.problem(("clocks", n, "meter"), text)


def _speaks_modbus(settings: ParkSettings, meter: str) -> bool:
    number = [name for name, _ in meter_names(settings)].index(meter)
    return settings.lines[number // settings.meters_per_endpoint % len(settings.lines)].protocol == "modbus"


def _tls_files(loaded: Loaded[ParkSettings]) -> Iterator[Problem]:
    for n, line in enumerate(loaded.value.lines):
        for key in ("certificate_file", "key_file", "ca_file") if line.line == "modbus_tls" else ():
            file: Path | None = getattr(line, key)
            if file is None:
                yield loaded.problem(("lines", n), f"modbus_tls needs {key}")
            elif not file.is_file():
                yield loaded.problem(("lines", n, key), f"there is no file {file}")


def month_day(text: str) -> MonthDay:
    """Month and day of a date like 06-18.

    Raises:
        ValueError: it is no date.
    """
    day = date.fromisoformat(f"2000-{text}")  # a leap year: 02-29 is a date
    return day.month, day.day
