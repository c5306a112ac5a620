"""Which kinds of bus and which profiles there are, and the driver for a bus with its meters.

A new kind of bus is one more settings class in ``BusSettings``; what opens it is chosen in ``make_driver`` or in the
``make_link`` of its protocol. A profile says with its key ``protocol`` what its meter speaks; without one it is Modbus.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings, Dlt645SerialSettings, Dlt645TcpSettings
from edge_agent.drivers.dlt645.dlt645_driver import Dlt645Driver, Dlt645Meter
from edge_agent.drivers.dlt645.frame import ADDRESS_DIGITS
from edge_agent.drivers.dlt645.link import make_link as make_dlt645_link
from edge_agent.drivers.dlt645.profile import Dlt645Profile
from edge_agent.drivers.dlt645.profile import load_profile as load_dlt645_profile
from edge_agent.drivers.driver import Driver
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile, load_profile
from metering.clock import Clock
from metering.settings import Identifier, Language, Ratio, Settings

BusSettings = Annotated[ModbusBusSettings | Dlt645BusSettings, Field(discriminator="type")]
AnyProfile = Profile | Dlt645Profile

_HERE = Path(__file__).resolve().parent
_DLT645: Final = re.compile(r"^protocol:\s*[\"']?dlt645\b", re.MULTILINE)


class MeterSettings(Settings):
    """One meter on one bus."""

    id: Identifier = Field(description="Name of the meter, unique in the whole fleet.")
    bus: Identifier = Field(description="Name of the bus it is on.")
    unit: int | None = Field(None, ge=1, le=255, description="Modbus unit address; 1 to 247 on a serial line.")
    address: str | None = Field(
        None,
        pattern=f"^[0-9]{{{ADDRESS_DIGITS}}}$",
        description="DL/T 645 address, 12 digits in quotes; instead of unit.",
    )
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
        self, own: Path | None = None, lang: Language = "en", held: Mapping[str, AnyProfile] | None = None
    ) -> None:
        """Look what there is; ``held`` goes before all files."""
        folders = [shipped_profiles(), *([own] if own is not None else [])]
        self._files = {path.stem: path for folder in folders for path in sorted(folder.glob("*.yaml"))}
        self._read: dict[str, AnyProfile] = dict(held or {})
        self._lang = lang

    @property
    def names(self) -> list[str]:
        """Every profile there is."""
        return sorted(self._files)

    @property
    def register_maps(self) -> list[str]:
        """Those of Modbus meters."""
        return [name for name in self.names if not _is_dlt645(self._files[name])]

    def profile(self, name: str) -> AnyProfile:
        """Read a profile once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._read:
            file = self._files[name]
            load = load_dlt645_profile if _is_dlt645(file) else load_profile
            self._read[name] = load(file, self._lang)
        return self._read[name]

    def register_map(self, name: str) -> Profile:
        """Read the profile of a Modbus meter once.

        Raises:
            KeyError: there is none of that name for Modbus.
            ConfigError: its file is wrong.
        """
        profile = self.profile(name)
        if not isinstance(profile, Profile):
            raise KeyError(name)
        return profile


def _is_dlt645(file: Path) -> bool:
    """By its text alone, so that a file with mistakes is judged by the right rules."""
    try:
        return _DLT645.search(file.read_text(encoding="utf-8", errors="replace")) is not None
    except OSError:
        return False


def fits(bus: BusSettings, profile: AnyProfile) -> bool:
    """Whether a meter of this profile can be on this bus."""
    return _is_dlt645_bus(bus) == isinstance(profile, Dlt645Profile)


def key_of_address(bus: BusSettings) -> str:
    """Which key of a meter says whom to ask."""
    return "address" if _is_dlt645_bus(bus) else "unit"


def _is_dlt645_bus(bus: BusSettings) -> bool:
    return isinstance(bus, Dlt645SerialSettings | Dlt645TcpSettings)


def make_driver(bus: BusSettings, meters: Iterable[MeterSettings], shelf: ProfileShelf, clock: Clock) -> Driver:
    """The driver for one bus and the meters on it.

    Meters that cannot be on the bus are left out; ``config`` has refused them before.
    """
    here = [(meter, shelf.profile(meter.profile)) for meter in meters if meter.bus == bus.id]
    if isinstance(bus, Dlt645SerialSettings | Dlt645TcpSettings):
        addressed = {
            meter.id: Dlt645Meter(meter.address, profile, meter.ct_ratio, meter.pt_ratio)
            for meter, profile in here
            if meter.address is not None and isinstance(profile, Dlt645Profile)
        }
        return Dlt645Driver(make_dlt645_link(bus), addressed, clock)
    units = {
        meter.id: ModbusMeter(meter.unit, profile, meter.ct_ratio, meter.pt_ratio)
        for meter, profile in here
        if meter.unit is not None and isinstance(profile, Profile)
    }
    return ModbusDriver(make_link(bus), units, clock)
