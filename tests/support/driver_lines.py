"""Every way in which a driver is connected with meters: the same two customers, settings as in gateway.yaml, one wire.

Meter ``m1`` is the shop, ``m2`` the roof. Faults are told in the words of ``simulators.faults``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from edge_agent.drivers.driver import Driver, ReadFailure, Reading
from edge_agent.drivers.registry import BusSettings, MeterSettings, ProfileShelf, make_driver
from simulators.dlms.data import logical_name
from simulators.dlms.device import LogicalDevice
from simulators.dlms.meter import electricity_meter
from simulators.dlms.objects import MeterClock
from simulators.dlms.seal import MeterKeys
from simulators.dlms_meter import DlmsEndpoint, DlmsServer, HdlcLine
from simulators.dlt645_meter import Dlt645Endpoint, Dlt645Meter
from simulators.faults import Fault, FaultName, Wire
from simulators.lies import Metered
from simulators.meter_images import EASTRON_SDM630
from simulators.modbus_meter import Endpoint, LineEndpoint, ModbusServer, Slave
from simulators.paced_line import LineSpeed
from simulators.rtu_tcp_server import RtuTcpServer
from simulators.terminal_line import PtyLine
from tests.support.customers import NOW_MS, ROOF, SHOP
from tests.support.dlms_park import ACCESSES, AK, EK, GMAC, LOW, PASSWORD, READER, SHANGHAI, StandingClock

TIMEOUT_S: Final = 0.12
SPEED: Final = LineSpeed(115200)
UNITS: Final = {"m1": 1, "m2": 2}
FREQUENCY_REGISTER: Final = 0x46

Medium = Literal["mbap", "rtu", "wrapper", "hdlc", "dlt645"]

_BUS: Final[TypeAdapter[Any]] = TypeAdapter(BusSettings)
_METER: Final[TypeAdapter[Any]] = TypeAdapter(MeterSettings)
_SHELF: Final = ProfileShelf()
_SECURITY: Final[dict[str, dict[str, object]]] = {
    "none": {"client": READER, "security": "none"},
    "low": {"client": LOW, "security": "low", "password_file": "password"},
    "gmac": {"client": GMAC, "encryption_key_file": "ek", "authentication_key_file": "ak"},
}


@dataclass(frozen=True)
class Way:
    """One way: the type of the bus in gateway.yaml, and what travels on it."""

    bus: str
    medium: Medium
    serial: bool = False
    security: str = ""

    def __str__(self) -> str:
        return f"{self.bus} {self.security}".strip()

    @property
    def patience_s(self) -> float:
        """How long the driver waits for an answer; HDLC asks twice again."""
        return TIMEOUT_S * (3 if self.medium == "hdlc" else 1)


WAYS: Final = (
    Way("modbus_tcp", "mbap"),
    Way("modbus_rtu_tcp", "rtu"),
    Way("modbus_rtu", "rtu", serial=True),
    Way("dlms_tcp", "wrapper", security="none"),
    Way("dlms_tcp", "wrapper", security="low"),
    Way("dlms_tcp", "wrapper", security="gmac"),
    Way("dlms_hdlc_tcp", "hdlc", security="gmac"),
    Way("dlms_hdlc", "hdlc", serial=True, security="none"),
    Way("dlt645_tcp", "dlt645"),
    Way("dlt645_serial", "dlt645", serial=True),
)


@dataclass
class DriverLine:
    """A driver, its line with two meters, and the server behind it."""

    way: Way
    driver: Driver
    server: ModbusServer | RtuTcpServer | DlmsServer | PtyLine
    clock: StandingClock

    def suffers(self, name: FaultName, delay_s: float = 0.0) -> None:
        """From now on every answer of ``m1`` meets this fault."""
        self.server.endpoint.wire.faults = (Fault(name, frozenset({UNITS["m1"]}), delay_s=delay_s),)

    def recovers(self) -> None:
        """Nothing is wrong any more."""
        self.server.endpoint.wire.faults = ()

    async def read(self, meter: str, quantities: frozenset[str]) -> Reading | ReadFailure:
        """Ask as a bus does: the line is opened first if it is not open."""
        if not self.driver.connected and (failure := await self.driver.connect()) is not None:
            return failure
        return await self.driver.read(meter, quantities)


@asynccontextmanager
async def driver_line(way: Way, folder: Path, *, frequency: bool = True) -> AsyncIterator[DriverLine]:
    """The line, not connected yet; without ``frequency`` its meters do not have that quantity."""
    clock = StandingClock(NOW_MS)
    customers: dict[int, Metered] = {UNITS["m1"]: SHOP, UNITS["m2"]: ROOF}
    server = _server(way, customers, clock, folder, frequency=frequency)
    await server.start()
    try:
        driver = make_driver(
            _BUS.validate_python(_bus(way, server, folder)),
            [_METER.validate_python(_meter(way, name, unit, folder)) for name, unit in UNITS.items()],
            _SHELF,
            clock,
        )
        try:
            yield DriverLine(way, driver, server, clock)
        finally:
            driver.close()
    finally:
        await server.stop()


def _server(
    way: Way, customers: Mapping[int, Metered], clock: StandingClock, folder: Path, *, frequency: bool
) -> ModbusServer | RtuTcpServer | DlmsServer | PtyLine:
    wire = Wire(7)
    line: LineEndpoint
    if way.medium == "wrapper":
        return DlmsServer(DlmsEndpoint(_devices(customers, frequency=frequency), wire=wire), clock)
    if way.medium == "hdlc":
        line = HdlcLine(_devices(customers, frequency=frequency), wire)
    elif way.medium == "dlt645":
        lacks = frozenset() if frequency else frozenset({0x02800002})
        line = Dlt645Endpoint({unit: Dlt645Meter(one, lacks=lacks) for unit, one in customers.items()}, wire)
    else:
        image = EASTRON_SDM630
        if not frequency:
            (first, end), *others = image.blocks
            parts = (first, FREQUENCY_REGISTER), (FREQUENCY_REGISTER + 2, end)
            image = replace(image, blocks=(*parts, *others))
        line = Endpoint({unit: Slave(image, one) for unit, one in customers.items()}, wire)
        if way.medium == "mbap":
            return ModbusServer(line, clock)
    if way.serial:
        return PtyLine(line, clock, folder / "line-1", SPEED)
    return RtuTcpServer(line, clock, speed=SPEED)


def _devices(customers: Mapping[int, Metered], *, frequency: bool) -> dict[int, LogicalDevice]:
    absent = () if frequency else (logical_name("1-0:14.7.0"),)
    return {
        unit: LogicalDevice.of(
            [one for one in electricity_meter(customer, MeterClock(SHANGHAI)) if one.name not in absent],
            ACCESSES,
            keys=MeterKeys(EK, AK),
        )
        for unit, customer in customers.items()
    }


def _bus(way: Way, server: ModbusServer | RtuTcpServer | DlmsServer | PtyLine, folder: Path) -> dict[str, object]:
    bus: dict[str, object] = {"id": "b", "type": way.bus, "timeout": f"{TIMEOUT_S * 1000:g}ms", "turnaround": "1ms"}
    if isinstance(server, PtyLine):
        bus["device"] = str(server.path)
    else:
        bus |= {"host": "127.0.0.1", "port": server.port}
    if way.medium in ("rtu", "hdlc", "dlt645"):
        bus["baudrate"] = SPEED.baudrate
    if way.medium == "dlt645":
        bus |= {"parity": "none", "quiet": "60ms"}
    if way.security:
        bus |= {"system_title": b"WTL\0\0\0\0\x01".hex(), "counters": str(folder / "counters")}
    return bus


def _meter(way: Way, name: str, unit: int, folder: Path) -> dict[str, object]:
    meter: dict[str, object] = {"id": name, "bus": "b"}
    if way.medium == "dlt645":
        return meter | {"profile": "dlt645_three_phase", "address": f"{unit:012d}"}
    if not way.security:
        return meter | {"profile": "eastron_sdm630", "unit": unit}
    for secret, text in (("ek", EK.hex()), ("ak", AK.hex()), ("password", PASSWORD.decode())):
        (folder / secret).write_text(text, encoding="ascii")
        (folder / secret).chmod(0o600)
    access = {
        key: str(folder / str(value)) if key.endswith("_file") else value
        for key, value in _SECURITY[way.security].items()
    }
    address = {"server": 1, "physical": unit, "address_octets": 2} if way.medium == "hdlc" else {"server": unit}
    return meter | {"profile": "iec_generic", "dlms": access | address}
