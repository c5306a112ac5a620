"""Which kinds of bus, meter and profile there are, and the driver for a bus with its meters.

    Modbus     a meter has a ``unit``;    its register map stands in      profiles/*.yaml
    DLMS       a meter has a ``dlms``;    its profile stands in           profiles/dlms/*.yaml
    DL/T 645   a meter has an ``address``; its profile stands in          profiles/dlt645/*.yaml

A new kind is one more settings class in ``BusSettings``, one more kind of meter in ``MeterSettings`` with its line in
``_SHELVES``, and its case in ``make_driver``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, get_args

from pydantic import Discriminator, Field, Tag

from edge_agent.drivers.dlms.bus_settings import DlmsAccessSettings, DlmsBusSettings
from edge_agent.drivers.dlms.profile import DlmsProfile, load_dlms_profile
from edge_agent.drivers.dlms.push_settings import DlmsPushSettings
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
from metering.language import Language

BusSettings = Annotated[
    ModbusBusSettings | DlmsBusSettings | DlmsPushSettings | Dlt645BusSettings, Field(discriminator="type")
]
AnyProfile = Profile | DlmsProfile | Dlt645Profile

_HERE = Path(__file__).resolve().parent


class ModbusMeterSettings(MeterOnBus):
    """One meter on a Modbus bus."""

    unit: int = Field(ge=1, le=255, description="Modbus unit address; 1 to 247 on a serial line.", examples=[1])


class DlmsMeterSettings(MeterOnBus):
    """One meter on a DLMS bus."""

    dlms: DlmsAccessSettings = Field(
        description="On a DLMS bus, in place of unit: how to speak to the meter.",
        examples=[{"client": 1, "encryption_key_file": "keys/ek", "authentication_key_file": "keys/ak"}],
    )


class Dlt645MeterSettings(MeterOnBus):
    """One meter on a DL/T 645 line."""

    address: str = Field(
        pattern="^[0-9]{12}$",
        description="On a DL/T 645 line, in place of unit: the 12 digits of its name plate.",
        examples=["000012345678"],
    )


KEYS: Final[dict[type[MeterOnBus], str]] = {
    ModbusMeterSettings: "unit",
    DlmsMeterSettings: "dlms",
    Dlt645MeterSettings: "address",
}
"""The key that only this kind of meter has, and that tells the kinds apart."""

_SHELVES: Final[dict[type[MeterOnBus], tuple[str, Callable[[Path, Language], AnyProfile]]]] = {
    ModbusMeterSettings: ("*.yaml", load_profile),
    DlmsMeterSettings: ("dlms/*.yaml", load_dlms_profile),
    Dlt645MeterSettings: ("dlt645/*.yaml", load_dlt645_profile),
}


class _OnBus(dict[str, object]):
    """A meter as it stands in the file, without any key that tells its kind, and the kind of its bus."""

    kind: type[MeterOnBus]


def _kind(meter: object) -> str:
    """The tag of a meter, as settings or as what stands in the file; without any key that of its bus decides."""
    if isinstance(meter, MeterOnBus):
        return f"({KEYS[type(meter)]})"
    if isinstance(meter, _OnBus):
        return f"({KEYS[meter.kind]})"
    given = meter if isinstance(meter, dict) else {}
    return next((f"({key})" for key in ("dlms", "address") if key in given), "(unit)")


MeterSettings = Annotated[
    Annotated[ModbusMeterSettings, Tag("(unit)")]
    | Annotated[DlmsMeterSettings, Tag("(dlms)")]
    | Annotated[Dlt645MeterSettings, Tag("(address)")],
    Discriminator(_kind),
]


def kind_of(bus: BusSettings) -> type[MeterOnBus]:
    """The kind of meter that belongs on a bus."""
    if isinstance(bus, DlmsBusSettings | DlmsPushSettings):
        return DlmsMeterSettings
    return Dlt645MeterSettings if isinstance(bus, Dlt645BusSettings) else ModbusMeterSettings


_KIND_OF_TYPE: Final[dict[str, type[MeterOnBus]]] = {
    kind: meters
    for of, meters in (
        (ModbusBusSettings, ModbusMeterSettings),
        (DlmsBusSettings | DlmsPushSettings, DlmsMeterSettings),
        (Dlt645BusSettings, Dlt645MeterSettings),
    )
    for bus in get_args(of)
    for kind in get_args(bus.model_fields["type"].annotation)
}


def with_kinds(document: object) -> object:
    """gateway.yaml as it stands, where a meter without any address is of the kind of its bus.

    Then it is the right key that is told to be missing.
    """
    if not isinstance(document, dict):
        return document
    buses, meters = document.get("buses"), document.get("meters")
    if not isinstance(buses, list) or not isinstance(meters, list):
        return document
    kinds = {
        bus["id"]: _KIND_OF_TYPE.get(str(bus.get("type")))
        for bus in buses
        if isinstance(bus, dict) and isinstance(bus.get("id"), str)
    }
    return document | {"meters": [_on_bus(meter, kinds) for meter in meters]}


def _on_bus(meter: object, kinds: Mapping[str, type[MeterOnBus] | None]) -> object:
    if not isinstance(meter, dict) or any(key in meter for key in KEYS.values()):
        return meter
    kind = kinds.get(str(meter.get("bus")))
    if kind is None:
        return meter
    found = _OnBus(meter)
    found.kind = kind
    return found


def shipped_profiles() -> Path:
    """The folder of profiles that came with the program: beside the code, or in the source tree."""
    installed = _HERE.parent / "shipped" / "profiles"
    return installed if installed.is_dir() else _HERE.parents[1] / "config" / "profiles"


class ProfileShelf:
    """Profiles by kind of meter and name; an own folder goes before the shipped one."""

    def __init__(
        self, own: Path | None = None, lang: Language = "en", held: Mapping[str, Profile] | None = None
    ) -> None:
        """Look what there is; ``held`` register maps go before all files."""
        folders = [shipped_profiles(), *([own] if own is not None else [])]
        self._files = {
            (kind, path.stem): path
            for kind, (pattern, _) in _SHELVES.items()
            for folder in folders
            for path in sorted(folder.glob(pattern))
        }
        self._read: dict[tuple[type[MeterOnBus], str], AnyProfile] = {
            (ModbusMeterSettings, name): profile for name, profile in (held or {}).items()
        }
        self._lang = lang

    @property
    def names(self) -> list[str]:
        """Every register map there is."""
        return self.names_of(ModbusMeterSettings)

    def names_of(self, kind: type[MeterOnBus]) -> list[str]:
        """Every profile for one kind of meter."""
        return sorted(name for of, name in self._files if of is kind)

    def all(self) -> Iterator[tuple[str, AnyProfile]]:
        """Every profile of every kind, with its name.

        Raises:
            ConfigError: the file of one is wrong.
        """
        for kind in _SHELVES:
            for name in self.names_of(kind):
                yield name, self._profile(kind, name)

    def profile(self, name: str) -> Profile:
        """Read a register map once.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        found = self._profile(ModbusMeterSettings, name)
        assert isinstance(found, Profile)  # noqa: S101 - what stands on that shelf
        return found

    def of_kind(self, kind: type[MeterOnBus], name: str) -> AnyProfile:
        """The profile of that name for one kind of meter.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        return self._profile(kind, name)

    def of(self, meter: MeterSettings) -> AnyProfile:
        """The profile of a meter.

        Raises:
            KeyError: there is none of that name.
            ConfigError: its file is wrong.
        """
        return self._profile(type(meter), meter.profile)

    def _profile(self, kind: type[MeterOnBus], name: str) -> AnyProfile:
        if (kind, name) not in self._read:
            _, load = _SHELVES[kind]
            self._read[kind, name] = load(self._files[kind, name], self._lang)
        return self._read[kind, name]


def make_driver(bus: BusSettings, meters: Iterable[MeterSettings], shelf: ProfileShelf, clock: Clock) -> Driver:
    """The driver for one bus and the meters on it; a meter that does not fit the bus is left out."""
    here = [(meter, shelf.of(meter)) for meter in meters if meter.bus == bus.id and type(meter) is kind_of(bus)]
    if isinstance(bus, DlmsBusSettings | DlmsPushSettings):
        from edge_agent.drivers.dlms.lines import make_dlms_driver, make_push_driver  # noqa: PLC0415 - its ciphers take 9 MiB

        spoken_to = {
            meter.id: (meter.dlms, profile, (meter.ct_ratio, meter.pt_ratio))
            for meter, profile in here
            if isinstance(meter, DlmsMeterSettings) and isinstance(profile, DlmsProfile)
        }
        if isinstance(bus, DlmsPushSettings):
            return make_push_driver(bus, spoken_to, clock)
        return make_dlms_driver(bus, spoken_to, clock)
    if isinstance(bus, Dlt645BusSettings):
        addressed = {
            meter.id: Dlt645Meter(meter.address, profile, meter.ct_ratio, meter.pt_ratio)
            for meter, profile in here
            if isinstance(meter, Dlt645MeterSettings) and isinstance(profile, Dlt645Profile)
        }
        return Dlt645Driver(make_dlt645_link(bus), addressed, clock)
    on_bus = {
        meter.id: ModbusMeter(meter.unit, profile, meter.ct_ratio, meter.pt_ratio)
        for meter, profile in here
        if isinstance(meter, ModbusMeterSettings) and isinstance(profile, Profile)
    }
    return ModbusDriver(make_link(bus), on_bus, clock)
