"""Which kinds of bus and which profiles there are, and the driver for a bus with its meters.

A new kind of bus is one more settings class in ``BusSettings``; what opens it is chosen in ``make_driver`` or, for
Modbus, in ``make_link``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from edge_agent.drivers.driver import Driver
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile, load_profile
from metering.clock import Clock
from metering.settings import Identifier, Language, Ratio, Settings

BusSettings = Annotated[ModbusBusSettings, Field(discriminator="type")]

_HERE = Path(__file__).resolve().parent


class MeterSettings(Settings):
    """One meter on one bus."""

    id: Identifier = Field(description="Name of the meter, unique in the whole fleet.")
    bus: Identifier = Field(description="Name of the bus it is on.")
    unit: int = Field(ge=1, le=255, description="Modbus unit address; 1 to 247 on a serial line.")
    profile: Identifier = Field(description="Name of its register map.")
    maximum_current_a: float | None = Field(
        None, gt=0, le=10_000, description="Highest current on the name plate: 60 for 5(60) A, 6 for 1.5(6) A."
    )
    ct_ratio: Ratio = Field(
        1.0, gt=0, le=100_000, description="Current transformer ratio as on its plate: 200/5, or 40."
    )
    pt_ratio: Ratio = Field(1.0, gt=0, le=100_000, description="Voltage transformer ratio: 10000/100, or 100.")


def shipped_profiles() -> Path:
    """The folder of profiles that came with the program: beside the code, or in the source tree."""
    installed = _HERE.parent / "shipped" / "profiles"
    return installed if installed.is_dir() else _HERE.parents[1] / "config" / "profiles"


class ProfileShelf:
    """Profiles by name; an own folder goes before the shipped one."""

    def __init__(
        self, own: Path | None = None, lang: Language = "en", held: Mapping[str, Profile] | None = None
    ) -> None:
        """Look what there is; ``held`` goes before all files."""
        folders = [shipped_profiles(), *([own] if own is not None else [])]
        self._files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
        self._read = dict(held or {})
        self._lang = lang

    @property
    def names(self) -> list[str]:
        """Every profile there is."""
        return sorted(self._files)

    def profile(self, name: str) -> Profile:
        """Read a profile once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._read:
            self._read[name] = load_profile(self._files[name], self._lang)
        return self._read[name]


def make_driver(bus: BusSettings, meters: Iterable[MeterSettings], shelf: ProfileShelf, clock: Clock) -> Driver:
    """The driver for one bus and the meters on it."""
    on_bus = {
        meter.id: ModbusMeter(meter.unit, shelf.profile(meter.profile), meter.ct_ratio, meter.pt_ratio)
        for meter in meters
        if meter.bus == bus.id
    }
    return ModbusDriver(make_link(bus), on_bus, clock)
