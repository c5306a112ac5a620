"""Answers → a commented gateway.yaml. Pure: what is asked and where it is written is the command's business."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final, Literal

from edge_agent.commissioning.found import ServerPlace
from edge_agent.drivers.dlms.bus_settings import DlmsBusSettings
from edge_agent.drivers.dlt645.bus_settings import Dlt645BusSettings
from edge_agent.drivers.registry import BusSettings
from metering import mqtt_settings
from metering.language import Language
from metering.topics import IDENTIFIER

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_PATH: Final = re.compile(r"/[A-Za-z0-9_./-]*")
_LIKE_OTHERS: Final = {"no", "yes", "on", "off", "true", "false", "null", "y", "n"}  # words YAML does not read as text
_METER: Final = re.compile(
    r"(?P<address>\d{1,3}|\d{12}|\d{1,5}(?:/\d{1,5}(?:/[24])?)?)=(?P<profile>[^:]+)"
    r"(?::(?P<name>[^:]*))?(?::(?P<ratio>[0-9./]+))?"
)
_BRACKETED: Final = re.compile(r"\[(?P<host>[^\]]*)\](?::(?P<port>.*))?")
_SPOOL: Final = "/var/lib/wattline/spool.db"
KEYS_FOLDER: Final = "keys"
"""Where a first file looks for keys, beside itself."""

Security = Literal["gmac", "low", "none"]


@dataclass(frozen=True, slots=True)
class DraftMeter:
    """One meter of the file."""

    address: str  # unit, 12 digits of a DL/T 645 meter, or place of a DLMS server: 1, 1/17
    profile: str
    name: str
    ratio: str = ""  # as on the plate, 200/5
    others: tuple[str, ...] = ()  # maps that fit as well
    client: int = 1  # towards a DLMS meter
    security: Security = "gmac"

    @property
    def secrets(self) -> dict[str, str]:
        """Which key of ``dlms:`` names which file; the files are still to be made."""
        ends = {"gmac": _KEY_FILES, "low": _PASSWORD_FILES, "none": {}}[self.security]
        return {key: f"{KEYS_FOLDER}/{self.name}.{end}" for key, end in ends.items()}

    @classmethod
    def parse(cls, text: str) -> DraftMeter:
        """Read ``1=eastron_sdm630:shop-101:200/5``; name and ratio may be absent.

        A DL/T 645 meter begins with its twelve digits, a DLMS meter with its place, ``1/17``.


        Raises:
            ValueError: it is no such text.
        """
        match = _METER.fullmatch(text.strip())
        if match is None:
            raise ValueError(text)
        address = match["address"]
        return cls(address, match["profile"], match["name"] or usual_name(address), match["ratio"] or "")


def usual_name(address: str) -> str:
    """What a meter is called until somebody knows better.

    >>> usual_name("1/17")
    'meter-1-17'
    """
    return f"meter-{address.replace('/', '-')}"


_KEY_FILES: Final = {"encryption_key_file": "ek", "authentication_key_file": "ak"}
_PASSWORD_FILES: Final = {"password_file": "password"}


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything that has been asked."""

    gateway: str
    bus: BusSettings
    meters: tuple[DraftMeter, ...]
    broker: str  # HOST[:PORT]
    ca_file: str = ""
    period: str = "60s"
    spool: str = _SPOOL
    schema: str = ""  # where editors find it
    system_title: str = ""  # 16 hexadecimal digits of this gateway alone, towards DLMS meters with keys


def gateway_yaml(draft: Draft, lang: Language) -> str:
    """The file, with a comment beside whatever one may want to change."""
    say = _COMMENTS[lang]
    host, port = _host_and_port(draft.broker)
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
    lines += _buses(draft, say)
    lines += ["", f"meters: # {say[f'meters {_kind(draft.bus)}']}"]
    if any(meter.secrets for meter in draft.meters) and isinstance(draft.bus, DlmsBusSettings):
        lines += [f"  # {say['keys'].format(KEYS_FOLDER)}", f"  # {say['credentials']}"]
    lines += [f"  - {_meter(meter, draft.bus, say['or'])}" for meter in draft.meters]
    lines += ["", f"groups: # {say['groups']}", f"  - {{id: main, every: {draft.period}}}"]
    return "\n".join(lines) + "\n"


def _kind(bus: BusSettings) -> str:
    if isinstance(bus, DlmsBusSettings):
        return "dlms"
    return "dlt645" if isinstance(bus, Dlt645BusSettings) else "modbus"


def _buses(draft: Draft, say: dict[str, str]) -> list[str]:
    bus = draft.bus
    parts = [f"id: {_text(bus.id)}", f"type: {bus.type}"]
    for key in ("device", "host"):
        if (place := getattr(bus, key, None)) is not None:
            parts.append(f"{key}: {_text(str(place))}")
    parts += [f"{key}: {value}" for key in ("port", "baudrate") if (value := getattr(bus, key, None)) is not None]
    if not isinstance(bus, DlmsBusSettings):
        parts += [f"parity: {parity}"] if (parity := getattr(bus, "parity", None)) is not None else []
        return ["buses:", f"  - {{{', '.join(parts)}}}"]
    lines = ["buses:", *(f"  {'-' if part is parts[0] else ' '} {part}" for part in parts)]
    if any(meter.security == "gmac" for meter in draft.meters):
        lines.append(f'    system_title: "{draft.system_title}" # {say["title"]}')
        if draft.spool != _SPOOL:
            lines.append(f"    counters: {_text(str(PurePosixPath(draft.spool).parent / 'counters'))}")
        lines.append(f"    # {say['counters']}")
    return lines


def _meter(meter: DraftMeter, bus: BusSettings, or_else: str) -> str:
    parts = [f"id: {_text(meter.name)}", f"bus: {_text(bus.id)}"]
    if not isinstance(bus, DlmsBusSettings):
        digits = isinstance(bus, Dlt645BusSettings)
        parts.append(f'address: "{meter.address}"' if digits else f"unit: {meter.address}")
    parts.append(f"profile: {_text(meter.profile)}")
    if meter.ratio not in ("", "1"):
        parts.append(f"ct_ratio: {meter.ratio}")
    doubt = f" # {or_else.format(', '.join(meter.others))}" if meter.others else ""
    if isinstance(bus, DlmsBusSettings):
        return "\n    ".join([*parts, f"dlms: {{{_access(meter)}}}{doubt}"])
    return f"{{{', '.join(parts)}}}{doubt}"


def _access(meter: DraftMeter) -> str:
    server, physical, octets = ServerPlace.parse(meter.address)
    parts = [f"server: {server}"]
    parts += [] if physical is None else [f"physical: {physical}", f"address_octets: {octets}"]
    parts += [f"client: {meter.client}", f"security: {meter.security}"]
    return ", ".join(parts + [f"{key}: {_text(file)}" for key, file in meter.secrets.items()])


def _text(value: str) -> str:
    """A scalar that YAML reads as this text."""
    plain = _PLAIN.fullmatch(value) or _PATH.fullmatch(value)
    if plain and value.lower() not in _LIKE_OTHERS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def is_local(broker: str) -> bool:
    """Whether the broker, HOST[:PORT], is on this machine."""
    return mqtt_settings.is_local(_host_and_port(broker)[0])


def _host_and_port(broker: str) -> tuple[str, str]:
    """HOST[:PORT]; an IPv6 address with a port stands in brackets, one without need not."""
    match = _BRACKETED.fullmatch(broker)
    if match is not None:
        return match["host"], match["port"] or ""
    host, _, port = broker.partition(":")
    return (broker, "") if ":" in port else (host, port)


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
        "meters modbus": "unit = Modbus address; behind current transformers add ct_ratio: 200/5",
        "meters dlt645": "address = the 12 digits of the plate; behind current transformers add ct_ratio: 200/5",
        "meters dlms": "client, security and keys are what the utility has set; all keys: config/README.md",
        "title": "our name towards meters with keys: of this gateway alone, never changed",
        "counters": "counters: a folder of invocation counters, never rolled back; default /var/lib/wattline/counters",
        "keys": "a key is a file of its own with 32 hexadecimal digits: (umask 077; mkdir -p {0}; cat > {0}/NAME.ek)",
        "credentials": "or credential:NAME, which systemd passes: LoadCredential=NAME:/etc/wattline/NAME in the unit",
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
        "meters modbus": "unit 为 Modbus 地址；经互感器接入时加 ct_ratio: 200/5",
        "meters dlt645": "address 为铭牌上的 12 位数字；经互感器接入时加 ct_ratio: 200/5",
        "meters dlms": "client、security 和密钥以供电公司设置为准；各键说明见 config/README.md",
        "title": "本网关的系统标题，各网关不同，不得更改",
        "counters": "counters：调用计数器文件夹，不得回退；默认 /var/lib/wattline/counters",
        "keys": "每个密钥单独存为文件，32 位十六进制数字：(umask 077; mkdir -p {0}; cat > {0}/名称.ek)",
        "credentials": "或写 credential:名称，由 systemd 传入：在 unit 中写 LoadCredential=名称:/etc/wattline/名称",
        "or": "也可能是 {}：以铭牌为准",
        "groups": "一起读取的量及周期；不写 quantities 则读取全部",
    },
}
