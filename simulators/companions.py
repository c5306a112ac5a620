"""The files that the other programs need to work with a park: written from the park alone, into one folder.

    park.yaml        the park itself, with nothing left to defaults
    gateway.yaml     for the edge agent: where each meter is and what to ask it
    registry.yaml    for the collector: contracts, ratings, trades, approvals
    collector.yaml   for the collector: broker, state, store
    truth.jsonl      what was done to which meter: nobody but a judge may read it
    keys/            keys and passwords of DLMS meters, for their owner only

Paths inside the files are relative to the folder.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal
from zlib import crc32

import yaml

from metering.errors import StopAndFix
from simulators.dlms_secrets import CLIENT, files_of, write_secrets
from simulators.park import Park, ParkMeter
from simulators.park_settings import CHARACTERS, SERIAL_PORTS

_TRUTH: Final = "truth.jsonl"  # only a simulation has it
_LIVE_FILES: Final = ("gateway.yaml", "registry.yaml", "collector.yaml")

QUANTITIES: Final = (
    "active_energy_import",
    "active_power",
    "active_power_l1",
    "active_power_l2",
    "active_power_l3",
    "reactive_power",
    "power_factor",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
    "current_l1",
    "current_l2",
    "current_l3",
    "frequency",
)
"""What every simulated model offers; a DTSU666 has no register of apparent power."""


@dataclass(frozen=True, slots=True)
class Services:
    """Where broker and store are."""

    mqtt_host: str = "127.0.0.1"
    mqtt_port: int = 1883
    protocol: Literal["5", "3.1.1"] = "5"
    prefix: str = "wattline"
    influx_url: str | None = None  # None: the embedded SQLite store
    database: str = "wattline"
    keep_acknowledged: str = "24h"  # how long the edge keeps rounds that are stored


def claim(folder: Path) -> None:
    """Make the folder, unless files of the same names stand there that were not written here.

    Raises:
        StopAndFix: they do, or there can be no such folder.
    """
    theirs = [one for one in _LIVE_FILES if (folder / one).exists()]
    if theirs and not (folder / _TRUTH).exists():
        raise StopAndFix(f"{folder}: {theirs[0]} there is of no simulation → name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StopAndFix(f"{folder}: {error.strerror} → name a folder that can be written to") from error


def write_companions(park: Park, folder: Path, services: Services) -> None:
    """Write all of them.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "park.yaml", park.settings.model_dump(mode="json", exclude_none=True))
    _write(folder / "gateway.yaml", gateway(park, services, folder))
    _write(folder / "registry.yaml", registry(park))
    _write(folder / "collector.yaml", collector(services))
    write_keys(park, folder)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in park.truth())
    (folder / _TRUTH).write_text("".join(lines), encoding="utf-8")


def write_keys(park: Park, folder: Path) -> None:
    """Write what the gateway has to know of its DLMS meters and YAML must not say.

    Raises:
        OSError: the folder cannot be written to.
    """
    for one in park.meters:
        line = park.line(one.endpoint)
        if line.protocol == "dlms" and line.security != "none":
            write_secrets(folder, park.settings.seed, one.meter.name, line.security)


def gateway(park: Park, services: Services, folder: Path) -> dict[str, Any]:
    """The configuration of the edge agent; serial ports are linked into ``folder``."""
    settings = park.settings
    return {
        "gateway": settings.park,
        "shard": "00",
        "mqtt": _mqtt(services),
        "spool": {"path": "spool.db", "max_size_mb": 256, "keep_acknowledged": services.keep_acknowledged},
        "buses": [_bus(park, number, folder) for number, _ in enumerate(park.ports)],
        "meters": [_polled(park, one) for one in park.meters],
        "groups": [{"id": "main", "every": settings.model_dump()["every"], "quantities": list(QUANTITIES)}],
    }


def _polled(park: Park, one: ParkMeter) -> dict[str, Any]:
    meter = {"id": one.meter.name, "bus": f"b{one.endpoint + 1}"}
    line = park.line(one.endpoint)
    match line.protocol:
        case "dlt645":
            return meter | {"address": f"{one.unit:012d}", "profile": "dlt645_three_phase"}
        case "dlms":
            access = {"client": CLIENT, "security": line.security, **files_of(one.meter.name, line.security)}
            address = {"server": one.unit} if line.line == "dlms_tcp" else {"server": 1, **_on_the_line(one.unit)}
            return meter | {"profile": "iec_generic", "dlms": address | access}
        case "modbus":
            return meter | {"unit": one.unit, "profile": one.model}


def _on_the_line(unit: int) -> dict[str, int]:
    """Physical address of an HDLC meter: seven bits in an address of two octets, else fourteen in four."""
    return {"physical": unit, "address_octets": 2 if unit <= 0x7F else 4}  # noqa: PLR2004 - seven bits


def _bus(park: Park, number: int, folder: Path) -> dict[str, Any]:
    line = park.line(number)
    bus: dict[str, Any] = {"id": f"b{number + 1}", "type": line.line}
    if line.line in SERIAL_PORTS:
        bus["device"] = str(park.device(number, folder))
    else:
        bus |= {"host": park.settings.host, "port": park.ports[number]}
    if line.line in CHARACTERS:
        bus["baudrate"] = line.baudrate
    if line.line in CHARACTERS and line.protocol != "dlms":
        bus |= {"parity": line.parity, "stop_bits": line.stop_bits}
    if line.protocol == "dlms":
        bus |= {"system_title": f"{b'WTL'.hex()}{crc32(park.settings.park.encode()):010x}", "counters": "counters"}
    if line.line == "modbus_tls":
        bus["ca_file"] = str(line.ca_file)
    return bus | {"timeout": "1s"}


def registry(park: Park) -> dict[str, Any]:
    """Contracts, ratings and approvals."""
    settings = park.settings
    document: dict[str, Any] = {
        "version": 1,
        "sites": [{"id": settings.park, "timezone": settings.timezone, "tariff": "illustrative"}],
        "meters": [_registered(park, one) for one in park.meters],
    }
    document["approvals"] = [
        {
            "meter": approval.meter,
            "from": _instant(park, approval.from_ms),
            "to": _instant(park, approval.to_ms),
            "kva": approval.kva,
        }
        for approval in park.approvals
    ]
    return document


def collector(services: Services) -> dict[str, Any]:
    """The configuration of the collector."""
    store: dict[str, Any] = {"type": "sqlite", "path": "readings.db"}
    if services.influx_url is not None:
        store = {"type": "influx", "api": "v1", "url": services.influx_url, "database": services.database}
    return {
        "mqtt": _mqtt(services),
        "shards": ["00"],
        "state": "state.db",
        "registry": "registry.yaml",
        "store": store,
    }


def _registered(park: Park, one: ParkMeter) -> dict[str, Any]:
    rating = one.meter.rating
    return {
        "id": one.meter.name,
        "site": park.settings.park,
        "account": one.account,
        "trade": one.meter.demand.trade,
        "phases": 3,
        "nominal_voltage_v": rating.nominal_voltage_v,
        "base_current_a": rating.base_current_a,
        "maximum_current_a": rating.maximum_current_a,
        "contract_kva": rating.contract_kva,
    }


def _mqtt(services: Services) -> dict[str, Any]:
    return {
        "host": services.mqtt_host,
        "port": services.mqtt_port,
        "protocol": services.protocol,
        "prefix": services.prefix,
    }


def _instant(park: Park, at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, park.zone).isoformat()


def _write(path: Path, document: dict[str, Any]) -> None:
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=160)
    path.write_text(text, encoding="utf-8")
