"""Simulated DLMS meters for tests: steady physics, all ways to be asked, and a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from metering.clock import Clock
from simulators.dlms.device import Access, LogicalDevice
from simulators.dlms.meter import electricity_meter
from simulators.dlms.objects import MeterClock
from simulators.dlms.seal import MeterKeys
from simulators.dlms.session import public_access
from simulators.dlms_meter import DlmsEndpoint, DlmsServer
from simulators.physics import Flow, Reading

SHANGHAI: Final = ZoneInfo("Asia/Shanghai")
NOON_MS: Final = 1_772_424_000_000  # 2026-03-02T12:00:00+08:00
DAY_MS: Final = 86_400_000
EK: Final = bytes(range(16))
AK: Final = bytes(range(0xD0, 0xE0))
METER_TITLE: Final = b"SIM\0\0\0\0\x01"
PASSWORD: Final = b"12345678"
PUBLIC, READER, LOW, GMAC, GMAC_SIGNED = 16, 1, 2, 3, 4

ACCESSES: Final = {
    PUBLIC: public_access(),
    READER: Access(),
    LOW: Access("low", PASSWORD),
    GMAC: Access("gmac", control=0x30),
    GMAC_SIGNED: Access("gmac", control=0x10),
}


@dataclass
class StandingClock:
    """Shows one instant until somebody moves it."""

    at_ms: int = NOON_MS

    def now_ms(self) -> int:
        return self.at_ms

    async def sleep_until(self, at_ms: int) -> None:
        self.at_ms = max(self.at_ms, at_ms)


class SteadyMeter:
    """Draws 6 kW for ever: the import register tells the instant."""

    def reading(self, at_ms: int) -> Reading:
        kwh = (at_ms - (NOON_MS - 100 * DAY_MS)) / 3_600_000 * 2
        flow = Flow((230.1, 231.2, 229.3), (8.7, 8.65, 8.722), (2.0, 2.0, 2.0), (0.5, 0.5, 0.5), 50.01)
        return Reading(flow, (kwh, kwh, kwh), (kwh / 4, kwh / 4, kwh / 4))


def import_wh(at_ms: int) -> int:
    """What the import register shows at an instant."""
    return round(sum(SteadyMeter().reading(at_ms).import_kwh) * 1000)


def device(clock: MeterClock | None = None, meter: Mapping[str, Any] | None = None, **rest: Any) -> LogicalDevice:
    """A meter that answers every kind of client."""
    objects = electricity_meter(SteadyMeter(), clock or MeterClock(SHANGHAI), **(meter or {}))
    accesses = rest.pop("accesses", ACCESSES)
    return LogicalDevice.of(
        objects, accesses, **({"title": METER_TITLE, "keys": MeterKeys(EK, AK), "sent": 1000} | rest)
    )


@asynccontextmanager
async def serving(
    devices: Mapping[int, LogicalDevice],
    framing: Literal["wrapper", "hdlc"] = "wrapper",
    information: int = 128,
    clock: Clock | None = None,
) -> AsyncIterator[DlmsServer]:
    """The devices behind one port; without a clock it is noon for ever."""
    server = DlmsServer(DlmsEndpoint(devices, framing, information), clock or StandingClock())
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
