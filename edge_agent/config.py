"""gateway.yaml: puts the rooms' settings together and finds mistakes that only show across them."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pydantic import Field, model_validator

from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings, DlmsHdlcSettings
from edge_agent.drivers.dlms.keys import from_folder
from edge_agent.drivers.dlms.meter_mistakes import meter_mistakes
from edge_agent.drivers.dlms.profile import DlmsProfile
from edge_agent.drivers.dlms.push_inbox import POLLS_A_PUSH
from edge_agent.drivers.dlms.push_settings import (
    DlmsPushSettings,
    push_meter_mistakes,
    push_name,
    push_profile_mistake,
)
from edge_agent.drivers.dlt645.bus_settings import Dlt645SerialSettings
from edge_agent.drivers.modbus.bus_settings import HIGHEST_LINE_UNIT, ModbusRtuSettings
from edge_agent.drivers.registry import (
    KEYS,
    BusSettings,
    DlmsMeterSettings,
    Dlt645MeterSettings,
    MeterSettings,
    ModbusMeterSettings,
    ProfileShelf,
    kind_of,
    make_driver,
    with_kinds,
)
from edge_agent.polling.rate_group import GroupSettings
from edge_agent.polling.upkeep_settings import UpkeepSettings
from edge_agent.polling.workload import loads_of
from edge_agent.publishing.publisher import PublishSettings
from edge_agent.spool.spool_settings import SpoolSettings
from edge_agent.words import Words, words
from metering.clock import SystemClock
from metering.config_file import ConfigError, Loaded
from metering.config_file import load_file as load_yaml
from metering.language import Language
from metering.marked_yaml import Place, Problem
from metering.mqtt_settings import MqttSettings
from metering.quantity import QUANTITIES
from metering.settings import Identifier, Settings

_PORTS: Final = (ModbusRtuSettings, DlmsHdlcSettings, Dlt645SerialSettings)
_SECRETS: Final = ("encryption_key_file", "authentication_key_file", "password_file")
_TLS_FILES: Final = ("ca_file", "certificate_file", "key_file")
_FOR_EXAMPLE: Final = {
    "unit": "unit: 1",
    "dlms": "dlms: {client: …, security: …}",
    "address": 'address: "000012345678"',
}
_SPEEDS: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200)
_NEAR_SHARE: Final = 0.05  # receivers stand 2 to 5 % of error, so nothing so near is another speed


class GatewaySettings(Settings):
    """One gateway: where its meters are, what to read, where to send it."""

    gateway: Identifier = Field(description="Name of this gateway, unique in the whole fleet.")
    shard: Identifier = Field("00", description="Which collector it belongs to.")
    mqtt: MqttSettings = Field(MqttSettings(), description="The broker.")
    spool: SpoolSettings = Field(SpoolSettings(), description="Where rounds wait for their acknowledgement.")
    profiles: Path | None = Field(None, description="Folder with register maps of your own, before the shipped ones.")
    buses: tuple[BusSettings, ...] = Field(max_length=1000, description="Lines and endpoints.")
    meters: tuple[MeterSettings, ...] = Field(max_length=10_000, description="Meters on the buses.")
    groups: tuple[GroupSettings, ...] = Field(max_length=20, description="Rate groups.")
    publish: PublishSettings = Field(PublishSettings(), description="How rounds are sent.")
    upkeep: UpkeepSettings = Field(UpkeepSettings(), description="What meters remember: histories, logs, clocks.")

    @model_validator(mode="before")
    @classmethod
    def _kinds(cls, document: object) -> object:
        return with_kinds(document)


def load(path: Path, lang: Language = "en") -> GatewaySettings:
    """Read ``gateway.yaml``. Relative paths in it start at its own folder.

    Raises:
        ConfigError: every mistake of the file.
    """
    settings = load_yaml(path, GatewaySettings, lang, lambda loaded: list(_mistakes(loaded, path.parent, lang)))
    spool = settings.spool.model_copy(update={"path": path.parent / settings.spool.path})
    own = path.parent / settings.profiles if settings.profiles else None
    buses = tuple(_bus_from(bus, path.parent) for bus in settings.buses)
    meters = tuple(_meter_from(meter, path.parent) for meter in settings.meters)
    return settings.model_copy(update={"spool": spool, "profiles": own, "buses": buses, "meters": meters})


def _bus_from(bus: BusSettings, folder: Path) -> BusSettings:
    if isinstance(bus, DlmsBusSettings | DlmsPushSettings):
        return bus.model_copy(update={"counters": folder / bus.counters})
    named = {key: getattr(bus, key, None) for key in _TLS_FILES}
    return bus.model_copy(update={key: folder / file for key, file in named.items() if file is not None})


def _meter_from(meter: MeterSettings, folder: Path) -> MeterSettings:
    if not isinstance(meter, DlmsMeterSettings):
        return meter
    named = {key: getattr(meter.dlms, key) for key in _SECRETS}
    found = {key: from_folder(name, folder) for key, name in named.items() if name is not None}
    return meter.model_copy(update={"dlms": meter.dlms.model_copy(update=found)})


def _mistakes(loaded: Loaded[GatewaySettings], folder: Path, lang: Language) -> Iterator[Problem]:
    say = words(lang)
    settings = loaded.value
    shelf = ProfileShelf(folder / settings.profiles if settings.profiles else None, lang)
    if settings.profiles and not (folder / settings.profiles).is_dir():  # the shipped maps would be read in their place
        yield loaded.problem(("profiles",), say["no such folder"].format(settings.profiles))
    yield from _broker(loaded, say)
    for key, ids in (
        ("buses", [bus.id for bus in settings.buses]),
        ("meters", [meter.id for meter in settings.meters]),
        ("groups", [group.id for group in settings.groups]),
    ):
        if not ids and loaded.whole(key):  # min_length of a tuple would also complain when its only entry is wrong
            yield loaded.problem((key,), say["none"])
        yield from (loaded.problem((key, i, "id"), say["id twice"].format(name)) for i, name in _repeated(ids))
    yield from _buses(loaded, folder, say)
    yield from _meters(loaded, shelf, say)
    yield from _addresses(loaded, folder, say)
    yield from _groups(loaded, shelf, say)
    yield from _overloaded(loaded, shelf, say)


def _broker(loaded: Loaded[GatewaySettings], say: Words) -> Iterator[Problem]:
    mqtt = loaded.value.mqtt
    if mqtt.unprotected and loaded.whole("mqtt"):
        yield loaded.problem(("mqtt", "host"), say["unprotected"].format(mqtt.host))
    for key in (*_TLS_FILES, "password_file"):
        file = getattr(mqtt, key)
        if file is not None and not file.is_file():
            yield loaded.problem(("mqtt", key), say["no such file"].format(file))


def _buses(loaded: Loaded[GatewaySettings], folder: Path, say: Words) -> Iterator[Problem]:
    buses = loaded.value.buses
    places = [str(bus.device.resolve()) if isinstance(bus, _PORTS) else f"{bus.host}:{bus.port}" for bus in buses]
    for i, place in _repeated(places):
        key = "listen" if isinstance(buses[i], DlmsPushSettings) else "host"
        key = "device" if isinstance(buses[i], _PORTS) else key
        yield loaded.problem(("buses", i, key), say["endpoint twice"].format(place))
    for i, bus in enumerate(buses):
        for key in _TLS_FILES:
            file = getattr(bus, key, None)
            if file is not None and not (folder / file).is_file():
                yield loaded.problem(("buses", i, key), say["no such file"].format(file))
        speed = getattr(bus, "baudrate", None)
        if (meant := _near_miss(speed)) is not None:
            yield loaded.problem(("buses", i, "baudrate"), say["unusual speed"].format(speed, meant))


def _near_miss(baudrate: int | None) -> int | None:
    """The usual speed that was meant; a speed that is far from all of them is meant as it is."""
    if baudrate is None or baudrate in _SPEEDS:
        return None
    return next((speed for speed in _SPEEDS if abs(speed - baudrate) < speed * _NEAR_SHARE), None)


def _meters(loaded: Loaded[GatewaySettings], shelf: ProfileShelf, say: Words) -> Iterator[Problem]:
    settings = loaded.value
    buses = loaded.named("buses")
    kinds = {bus.id: kind_of(bus) for bus in settings.buses}
    pushing = {bus.id for bus in settings.buses if isinstance(bus, DlmsPushSettings)}
    for i, meter in enumerate(settings.meters):
        if buses and meter.bus not in buses:
            yield loaded.problem(
                ("meters", i, "bus"), say["no such bus"].format(meter.bus) + _hint(meter.bus, buses, say)
            )
        here: Place = ("meters", i, "profile")
        names = shelf.names_of(type(meter))
        if meter.profile not in names and meter.profile in shelf.names_of(kinds.get(meter.bus, type(meter))):
            continue  # right for its bus: it is the address that is of another kind
        if meter.profile not in names:
            hint = _hint(meter.profile, names, say)
            yield loaded.problem(here, say["no such profile"].format(meter.profile) + hint)
            continue
        try:
            profile = shelf.of(meter)
        except ConfigError as error:
            yield loaded.problem(here, say["broken profile"].format(error))
            continue
        if meter.bus in pushing and isinstance(meter, DlmsMeterSettings) and isinstance(profile, DlmsProfile):
            text = push_profile_mistake(meter.dlms, meter.profile, profile, say)
            yield from () if text is None else (loaded.problem(here, text),)


def _addresses(loaded: Loaded[GatewaySettings], folder: Path, say: Words) -> Iterator[Problem]:
    """Every meter has one address of the kind of its bus, and no other meter has it."""
    buses = {bus.id: bus for bus in loaded.value.buses}
    meters = loaded.value.meters
    for i, meter in enumerate(meters):
        if (bus := buses.get(meter.bus)) is not None:
            for keys, text in _address_mistakes(bus, meter, folder, say):
                yield loaded.problem(("meters", i, *keys), text)
    places = [f"{meter.bus}/{KEYS[type(meter)]}/{_address(meter, buses.get(meter.bus))}" for meter in meters]
    for i, _ in _repeated(places):
        meter, key = meters[i], KEYS[type(meters[i])]
        first = meters[places.index(places[i])].id
        address = _address(meter, bus := buses.get(meter.bus))
        text = say["push twice"].format(first) if isinstance(bus, DlmsPushSettings) else say[f"{key} twice"]
        yield loaded.problem(("meters", i, key), text.format(address, meter.bus, first))


def _address_mistakes(bus: BusSettings, meter: MeterSettings, folder: Path, say: Words) -> Iterator[tuple[Place, str]]:
    key, wanted = KEYS[type(meter)], KEYS[kind_of(bus)]
    if key != wanted:
        yield (key,), say["other kind"].format(bus.type, key, _FOR_EXAMPLE[wanted])
    elif isinstance(meter, DlmsMeterSettings) and isinstance(bus, DlmsBusSettings):
        for one, text in meter_mistakes(bus, meter.dlms, folder, say):
            yield ("dlms", one), text
    elif isinstance(meter, DlmsMeterSettings) and isinstance(bus, DlmsPushSettings):
        for one, text in push_meter_mistakes(meter.dlms, folder, say):
            yield ("dlms", one), text
    elif isinstance(meter, ModbusMeterSettings) and bus.on_a_line and meter.unit > HIGHEST_LINE_UNIT:
        yield ("unit",), say["unit on a line"].format(meter.unit)


def _address(meter: MeterSettings, bus: BusSettings | None) -> str:
    """Where on its bus a meter is; one that pushes is where its name says, and without a name nowhere else's."""
    if isinstance(meter, DlmsMeterSettings) and isinstance(bus, DlmsPushSettings):
        return push_name(meter.dlms) or meter.id
    if isinstance(meter, Dlt645MeterSettings):
        return meter.address
    if isinstance(meter, ModbusMeterSettings):
        return str(meter.unit)
    physical = "" if meter.dlms.physical is None else f"/{meter.dlms.physical}"
    return f"{meter.dlms.server}{physical}"


def _groups(loaded: Loaded[GatewaySettings], shelf: ProfileShelf, say: Words) -> Iterator[Problem]:
    groups = loaded.value.groups
    offered = _offered(loaded.value, shelf) if loaded.whole("meters") else set()
    taken: dict[str, str] = {}
    for i, group in enumerate(groups):
        if 86_400_000 % group.period_ms:
            yield loaded.problem(("groups", i, "every"), say["uneven period"])
        if group.quantities is None and any(other.quantities is None for other in groups[:i]):
            yield loaded.problem(("groups", i), say["two open groups"])
        if group.quantities == ():
            yield loaded.problem(("groups", i, "quantities"), say["none"])
        for k, quantity in enumerate(group.quantities or ()):
            here: Place = ("groups", i, "quantities", k)
            if quantity not in QUANTITIES:
                near = difflib.get_close_matches(quantity, offered or QUANTITIES, 1)
                text = say["misspelt quantity"].format(quantity, near[0]) if near else say["no such quantity"]
                yield loaded.problem(here, text.format(quantity))
            elif offered and quantity not in offered:
                yield loaded.problem(here, say["nobody offers"].format(quantity, _listed(offered)))
            elif quantity in taken:
                yield loaded.problem(here, say["quantity twice"].format(quantity, taken[quantity]))
            taken.setdefault(quantity, group.id)
        if (
            group.quantities is None
            and loaded.whole("groups")
            and offered
            and not offered - {q for g in groups for q in g.quantities or ()}
        ):
            yield loaded.problem(("groups", i), say["nothing left"])


def _overloaded(loaded: Loaded[GatewaySettings], shelf: ProfileShelf, say: Words) -> Iterator[Problem]:
    """Lines that would need more than all of their time; only once everything they read is known."""
    settings = loaded.value
    kinds = {bus.id: kind_of(bus) for bus in settings.buses}
    sound = all(kinds.get(meter.bus) is type(meter) for meter in settings.meters)
    if not sound or not _offered(settings, shelf):
        return
    for i, bus in enumerate(settings.buses):
        driver = make_driver(bus, settings.meters, shelf, SystemClock())
        meters = [meter for meter in settings.meters if meter.bus == bus.id]
        loads = loads_of(settings.groups, meters, {bus.id: driver})[bus.id]
        share = sum(load.share for load in loads)
        longest_s = bus.every / POLLS_A_PUSH if isinstance(bus, DlmsPushSettings) else math.inf
        slow = {load.group for load in loads if load.meters and load.period_s > longest_s}
        for k in (k for k, group in enumerate(settings.groups) if group.id in slow):
            text = say["push period"].format(bus.id, longest_s * POLLS_A_PUSH, longest_s)
            yield loaded.problem(("groups", k, "every"), text)
        if share > 1:
            yield loaded.problem(("buses", i), say["overloaded"].format(bus.id, share, bus.speed))


def _offered(settings: GatewaySettings, shelf: ProfileShelf) -> set[str]:
    """Every quantity of every usable profile; empty if a profile is missing or wrong, which is said elsewhere."""
    offered: set[str] = set()
    pushing = {bus.id for bus in settings.buses if isinstance(bus, DlmsPushSettings)}
    kinds = {(meter.profile, type(meter), meter.bus in pushing): meter for meter in settings.meters}
    for (_, _, pushes), meter in kinds.items():
        try:
            profile = shelf.of(meter)
            offered |= profile.pushed if pushes and isinstance(profile, DlmsProfile) else profile.quantities
        except (KeyError, ConfigError):
            return set()
    return offered


def _repeated(names: list[str]) -> Iterator[tuple[int, str]]:
    """Position and name of every entry that has stood before."""
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        if seen[name]:
            yield i, name
        seen[name] += 1


def _hint(wrong: str, names: Iterable[str], say: Words) -> str:
    """The name that was probably meant, or all there are."""
    near = difflib.get_close_matches(wrong, names, 1)
    return say["did you mean"].format(near[0]) if near else say["known"].format(_listed(names))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
