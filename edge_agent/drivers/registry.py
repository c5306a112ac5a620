"""Which kinds of bus and which profiles there are, and the driver for a bus with its meters.

A new kind of bus is one more settings class in ``BusSettings``; what opens it is chosen in ``make_driver`` or in the
``make_link`` of its protocol. Which kind a meter is of, its keys tell: ``unit`` is Modbus, ``address`` DL/T 645.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator, Field, Tag

from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings
from edge_agent.drivers.dlt645.dlt645_driver import Dlt645Driver, Dlt645Meter
from edge_agent.drivers.dlt645.link import make_dlt645_link
from edge_agent.drivers.dlt645.profile import Dlt645Profile, load_dlt645_profile
from edge_agent.drivers.driver import Driver
from edge_agent.drivers.meter_settings import MeterOnBus
from edge_agent.drivers.modbus.bus_settings import ModbusBusSettings
from edge_agent.drivers.modbus.links import make_link
from edge_agent.drivers.modbus.modbus_driver import ModbusDriver, ModbusMeter
from edge_agent.drivers.modbus.profile import Profile, load_profile
from metering.clock import Clock
from metering.settings import Language

BusSettings = Annotated[ModbusBusSettings | Dlt645BusSettings, Field(discriminator="type")]

_HERE = Path(__file__).resolve().parent


class ModbusMeterSettings(MeterOnBus):
    """One meter on a Modbus bus."""

    unit: int = Field(ge=1, le=255, description="Modbus unit address; 1 to 247 on a serial line.")


class Dlt645MeterSettings(MeterOnBus):
    """One meter on a DL/T 645 line."""

    address: str = Field(
        pattern="^[0-9]{12}$", description="On a DL/T 645 line, in place of unit: the 12 digits of its name plate."
    )


def _kind(meter: object) -> str:
    """The key ``address`` tells the kinds apart."""
    is_dlt645 = isinstance(meter, Dlt645MeterSettings) or (isinstance(meter, dict) and "address" in meter)
    return "(dlt645)" if is_dlt645 else "(modbus)"


MeterSettings = Annotated[
    Annotated[ModbusMeterSettings, Tag("(modbus)")] | Annotated[Dlt645MeterSettings, Tag("(dlt645)")],
    Discriminator(_kind),
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
        self._dlt645_files = {path.stem: path for folder in folders for path in sorted(folder.glob("dlt645/*.yaml"))}
        self._read = dict(held or {})
        self._dlt645_read: dict[str, Dlt645Profile] = {}
        self._lang = lang

    @property
    def names(self) -> list[str]:
        """Every register map there is."""
        return sorted(self._files)

    @property
    def dlt645_names(self) -> list[str]:
        """Every profile of DL/T 645 meters; they stand in a folder ``dlt645``."""
        return sorted(self._dlt645_files)

    def profile(self, name: str) -> Profile:
        """Read a register map once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._read:
            self._read[name] = load_profile(self._files[name], self._lang)
        return self._read[name]

    def dlt645_profile(self, name: str) -> Dlt645Profile:
        """Read a profile of a DL/T 645 meter once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        if name not in self._dlt645_read:
            self._dlt645_read[name] = load_dlt645_profile(self._dlt645_files[name], self._lang)
        return self._dlt645_read[name]

    def names_for(self, meter: MeterSettings) -> list[str]:
        """Every profile that a meter like this may have."""
        return self.dlt645_names if isinstance(meter, Dlt645MeterSettings) else self.names

    def of(self, meter: MeterSettings) -> Profile | Dlt645Profile:
        """The profile of a meter.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        is_dlt645 = isinstance(meter, Dlt645MeterSettings)
        return self.dlt645_profile(meter.profile) if is_dlt645 else self.profile(meter.profile)


def make_driver(bus: BusSettings, meters: Iterable[MeterSettings], shelf: ProfileShelf, clock: Clock) -> Driver:
    """The driver for one bus and the meters on it; a meter that does not fit the bus is left out."""
    here = [meter for meter in meters if meter.bus == bus.id]
    if isinstance(bus, Dlt645BusSettings):
        addressed = {
            meter.id: Dlt645Meter(meter.address, shelf.dlt645_profile(meter.profile), meter.ct_ratio, meter.pt_ratio)
            for meter in here
            if isinstance(meter, Dlt645MeterSettings)
        }
        return Dlt645Driver(make_dlt645_link(bus), addressed, clock)
    on_bus = {
        meter.id: ModbusMeter(meter.unit, shelf.profile(meter.profile), meter.ct_ratio, meter.pt_ratio)
        for meter in here
        if isinstance(meter, ModbusMeterSettings)
    }
    return ModbusDriver(make_link(bus), on_bus, clock)
