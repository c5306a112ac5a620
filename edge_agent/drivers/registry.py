"""Which kinds of bus and which profiles there are, and the driver for a bus with its meters.

A new kind of bus is one more settings class in ``BusSettings``; what opens it is chosen in ``make_driver`` or, for
Modbus, in ``make_link``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from edge_agent.drivers.dlms.bus_settings import (
    DlmsAccessSettings,
    DlmsBusSettings,
)
from edge_agent.drivers.dlms.lines import make_dlms_driver
from edge_agent.drivers.dlms.profile import DlmsProfile, load_dlms_profile
from edge_agent.drivers.driver import Driver
from edge_agent.drivers.meter_settings import MeterOnBus
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile, load_profile
from metering.clock import Clock
from metering.settings import Language

BusSettings = Annotated[ModbusBusSettings | DlmsBusSettings, Field(discriminator="type")]

_HERE = Path(__file__).resolve().parent


class ModbusMeterSettings(MeterOnBus):
    """One meter on a Modbus bus."""

    unit: int = Field(ge=1, le=255, description="Modbus unit address; 1 to 247 on a serial line.")


class DlmsMeterSettings(MeterOnBus):
    """One meter on a DLMS bus."""

    dlms: DlmsAccessSettings = Field(description="On a DLMS bus, in place of unit: how to speak to the meter.")


def _kind(meter: object) -> str:
    """The key ``dlms`` tells the two kinds apart."""
    return (
        "(dlms)"
        if isinstance(meter, DlmsMeterSettings) or (isinstance(meter, dict) and "dlms" in meter)
        else "(modbus)"
    )


MeterSettings = Annotated[
    Annotated[ModbusMeterSettings, Tag("(modbus)")] | Annotated[DlmsMeterSettings, Tag("(dlms)")], Discriminator(_kind)
]


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
        self._dlms_files = {path.stem: path for folder in folders for path in sorted(folder.glob("dlms/*.yaml"))}
        self._read = dict(held or {})
        self._dlms_read: dict[str, DlmsProfile] = {}
        self._lang = lang

    @property
    def names(self) -> list[str]:
        """Every register map there is."""
        return sorted(self._files)

    @property
    def dlms_names(self) -> list[str]:
        """Every DLMS profile there is; they stand in a folder ``dlms``."""
        return sorted(self._dlms_files)

    def profile(self, name: str) -> Profile:
        """Read a register map once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._read:
            self._read[name] = load_profile(self._files[name], self._lang)
        return self._read[name]

    def dlms_profile(self, name: str) -> DlmsProfile:
        """Read a DLMS profile once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._dlms_read:
            self._dlms_read[name] = load_dlms_profile(self._dlms_files[name], self._lang)
        return self._dlms_read[name]

    def names_for(self, meter: MeterSettings) -> list[str]:
        """Every profile that a meter like this may have."""
        return self.dlms_names if isinstance(meter, DlmsMeterSettings) else self.names

    def of(self, meter: MeterSettings) -> Profile | DlmsProfile:
        """The profile of a meter.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        is_dlms = isinstance(meter, DlmsMeterSettings)
        return self.dlms_profile(meter.profile) if is_dlms else self.profile(meter.profile)


def make_driver(bus: BusSettings, meters: Iterable[MeterSettings], shelf: ProfileShelf, clock: Clock) -> Driver:
    """The driver for one bus and the meters on it; a meter that does not fit the bus is left out."""
    here = [meter for meter in meters if meter.bus == bus.id]
    if isinstance(bus, DlmsBusSettings):
        return make_dlms_driver(
            bus,
            {
                meter.id: (meter.dlms, shelf.dlms_profile(meter.profile), (meter.ct_ratio, meter.pt_ratio))
                for meter in here
                if isinstance(meter, DlmsMeterSettings)
            },
            clock,
        )
    on_bus = {
        meter.id: ModbusMeter(meter.unit, shelf.profile(meter.profile), meter.ct_ratio, meter.pt_ratio)
        for meter in here
        if isinstance(meter, ModbusMeterSettings)
    }
    return ModbusDriver(make_link(bus), on_bus, clock)
