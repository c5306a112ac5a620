"""A gateway's door for pushes on loopback, two meters that push to it, and what their lists hold."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from edge_agent.config import GatewaySettings, load
from edge_agent.drivers.dlms.push_driver import DlmsPushDriver
from edge_agent.drivers.registry import ProfileShelf, make_driver
from simulators.dlms.data import Data
from simulators.dlms.objects import MeterClock
from simulators.dlms.pushing import PushingMeter
from simulators.dlms.seal import MeterKeys
from tests.support.dlms_park import AK, EK, METER_TITLE, NOON_MS, SHANGHAI, StandingClock

ALL: Final = frozenset({"active_energy_import", "voltage_l1"})
PROFILE: Final = """
manufacturer: any
model: a meter that pushes
source: {document: none, taken_from: this test}
checked_on_hardware: false
push:
  - {holds: identity}
  - {holds: time}
  - {quantity: active_energy_import, minimum: 0}
  - {holds: scaler, quantity: active_energy_import}
  - {quantity: voltage_l1, scaler: -1, unit: V, maximum: 400}
  - {holds: other}
"""
GATEWAY: Final = """
gateway: g1
spool: {{path: spool.db}}
profiles: own
buses:
  - {{id: b1, type: dlms_push, listen: 127.0.0.1, port: {port}, counters: counters, every: 60s{more}}}
meters:
  - id: m1
    bus: b1
    profile: pushing
    ct_ratio: 200/5
    dlms: {{system_title: {title}, encryption_key_file: ek, authentication_key_file: ak}}
  - {{id: m2, bus: b1, profile: pushing, dlms: {{security: none, push_identity: CLEAR001}}}}
groups:
  - {{id: main, every: 30s}}
"""


def gateway(folder: Path, port: int, more: str = "") -> Path:
    """The files of a gateway with one meter that seals and one that does not."""
    (folder / "own" / "dlms").mkdir(parents=True, exist_ok=True)
    (folder / "own" / "dlms" / "pushing.yaml").write_text(PROFILE, encoding="utf-8")
    for name, key in (("ek", EK), ("ak", AK)):
        (folder / name).write_text(key.hex(), encoding="ascii")
        (folder / name).chmod(0o600)
    path = folder / "gateway.yaml"
    path.write_text(GATEWAY.format(port=port, more=more, title=METER_TITLE.hex()), encoding="utf-8")
    return path


def sealing(counter: int = 0) -> PushingMeter:
    """The meter with keys."""
    return PushingMeter(METER_TITLE, MeterKeys(EK, AK), counter)


def entries(kwh: int, identity: str = "SIM00001", at_ms: int = NOON_MS, volt: float = 230.1) -> list[Data]:
    """What a push says."""
    return [
        ("visible-string", identity),
        ("octet-string", MeterClock(SHANGHAI).stamp(at_ms)),
        ("double-long-unsigned", kwh * 10),
        ("structure", [("integer", 2), ("enum", 30)]),  # hundreds of Wh
        ("long-unsigned", round(volt * 10)),
        ("array", []),
    ]


def driver_of(settings: GatewaySettings, clock: StandingClock) -> DlmsPushDriver:
    """The driver of the door."""
    driver = make_driver(settings.buses[0], settings.meters, ProfileShelf(settings.profiles), clock)
    assert isinstance(driver, DlmsPushDriver)
    return driver


@asynccontextmanager
async def listening(
    folder: Path, port: int, clock: StandingClock | None = None, more: str = ""
) -> AsyncIterator[DlmsPushDriver]:
    """The driver of the door, listening."""
    driver = driver_of(load(gateway(folder, port, more)), clock or StandingClock())
    assert await driver.connect() is None
    try:
        yield driver
    finally:
        driver.close()
