"""Answers → a commented gateway.yaml. Pure: what is asked and where it is written is the command's business."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.modbus.bus_settings import (
    ModbusBusSettings,
    ModbusRtuSettings,
    ModbusRtuTcpSettings,
)
from metering.settings import Language
from metering.topics import IDENTIFIER

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PATH: Final = re.compile(r"/[A-Za-z0-9_./-]*")
_LIKE_OTHERS: Final = {"no", "yes", "on", "off", "true", "false", "null", "y", "n"}  # words YAML does not read as text
_METER: Final = re.compile(r"(?P<unit>\d{1,3})=(?P<profile>[^:]+)(?::(?P<name>[^:]*))?(?::(?P<ratio>[0-9./]+))?")


@dataclass(frozen=True, slots=True)
class DraftMeter:
    """One meter of the file."""

    unit: int
    profile: str
    name: str
    ratio: str = ""  # as on the plate, 200/5
    others: tuple[str, ...] = ()  # maps that fit as well

    @classmethod
    def parse(cls, text: str) -> DraftMeter:
        """Read ``1=eastron_sdm630:shop-101:200/5``; name and ratio may be absent.

        Raises:
            ValueError: it is no such text.
        """
        match = _METER.fullmatch(text.strip())
        if match is None:
            raise ValueError(text)
        unit = int(match["unit"])
        return cls(unit, match["profile"], match["name"] or f"meter-{unit}", match["ratio"] or "")


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that has been asked."""

    gateway: str
    bus: ModbusBusSettings
    meters: tuple[DraftMeter, ...]
    broker: str  # HOST[:PORT]
    ca_file: str = ""
    period: str = "60s"
    spool: str = "/var/lib/wattline/spool.db"
    schema: str = ""  # where editors find it


def gateway_yaml(draft: Draft, lang: Language) -> str:
    """The file, with a comment beside whatever one may want to change."""
    say = _COMMENTS[lang]
    host, _, port = draft.broker.rpartition(":") if ":" in draft.broker else (draft.broker, "", "")
    lines = [f"# yaml-language-server: $schema={draft.schema}"] if draft.schema else []
    lines += [
        f"# {say['head']}",
        f"gateway: {_text(draft.gateway)} # {say['gateway']}",
        'shard: "00" # ' + say["shard"],
    ]
    lines += ["", "mqtt:", f"  host: {_text(host)}"]
    lines += [f"  port: {port}"] if port else []
    lines += [f"  ca_file: {_text(draft.ca_file)}"] if draft.ca_file else []
    lines += (
        [f"  allow_plaintext: true # {say['plaintext']}"] if not draft.ca_file and not is_local(draft.broker) else []
    )
    lines += [
        f"  # username: {_text(draft.gateway)}",
        f"  # password_file: /etc/wattline/mqtt.password # {say['password']}",
    ]
    lines += ["", "spool:", f"  path: {_text(draft.spool)} # {say['spool']}", ""]
    lines += ["buses:", f"  - {_bus(draft.bus)}", "", f"meters: # {say['meters']}"]
    lines += [f"  - {_meter(meter, draft.bus.id, say['or'])}" for meter in draft.meters]
    lines += ["", f"groups: # {say['groups']}", f"  - {{id: main, every: {draft.period}}}"]
    return "\n".join(lines) + "\n"


def _bus(bus: ModbusBusSettings) -> str:
    parts = [f"id: {_text(bus.id)}", f"type: {bus.type}"]
    if isinstance(bus, ModbusRtuSettings):
        parts.append(f"device: {_text(str(bus.device))}")
    else:
        parts += [f"host: {_text(bus.host)}", f"port: {bus.port}"]
    if isinstance(bus, ModbusRtuSettings | ModbusRtuTcpSettings):
        parts += [f"baudrate: {bus.baudrate}", f"parity: {bus.parity}"]
    return f"{{{', '.join(parts)}}}"


def _meter(meter: DraftMeter, bus: str, or_else: str) -> str:
    parts = [
        f"id: {_text(meter.name)}",
        f"bus: {_text(bus)}",
        f"unit: {meter.unit}",
        f"profile: {_text(meter.profile)}",
    ]
    if meter.ratio not in ("", "1"):
        parts.append(f"ct_ratio: {meter.ratio}")
    doubt = f" # {or_else.format(', '.join(meter.others))}" if meter.others else ""
    return f"{{{', '.join(parts)}}}{doubt}"


def _text(value: str) -> str:
    """A scalar that YAML reads as this text."""
    plain = _PLAIN.fullmatch(value) or _PATH.fullmatch(value)
    if plain and value.lower() not in _LIKE_OTHERS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def is_local(broker: str) -> bool:
    """Whether the broker, HOST[:PORT], is on this machine: then nothing leaves it in the clear."""
    return broker.startswith(("127.", "localhost"))


def is_name(text: str) -> bool:
    """Whether a text may be the name of a gateway or a meter."""
    return IDENTIFIER.fullmatch(text) is not None


_COMMENTS: Final[dict[Language, dict[str, str]]] = {
    "en": {
        "head": "Written by wattline-edge init. Every key: config/README.md. Check: wattline-edge check --live -c FILE",
        "gateway": "unique in the whole fleet",
        "shard": "which collector it belongs to",
        "plaintext": "readings travel in the clear; better: ca_file",
        "password": "chmod 600",
        "spool": "readings wait here until the collector has them",
        "meters": "unit = Modbus address; behind current transformers add ct_ratio: 200/5",
        "or": "or {}: see the name plate",
        "groups": "what is read together, and how often; without quantities: everything",
    },
    "zh": {
        "head": "由 wattline-edge init 生成。各键说明见 config/README.md。检查：wattline-edge check --live -c 文件",
        "gateway": "全网唯一",
        "shard": "所属的采集中心",
        "plaintext": "读数以明文传输；最好配置 ca_file",
        "password": "chmod 600",
        "spool": "读数在此等待采集中心确认",
        "meters": "unit 为 Modbus 地址；经互感器接入时加 ct_ratio: 200/5",
        "or": "也可能是 {}：以铭牌为准",
        "groups": "一起读取的量及周期；不写 quantities 则读取全部",
    },
}
