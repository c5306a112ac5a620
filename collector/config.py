"""The collector's file: every room's settings in one YAML, checked as a whole before anything starts."""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from collector.checks.apparent_power import ApparentPower
from collector.checks.capacity import Capacity, CapacitySettings
from collector.checks.check import Check, SparseCheck
from collector.checks.day_peak import DayPeak
from collector.checks.energy_day import EnergyDay
from collector.checks.energy_mismatch import EnergyMismatch, EnergyMismatchSettings
from collector.checks.integrity import ClassSettings, IntegritySettings, integrity_checks
from collector.checks.load_block import LoadBlock
from collector.checks.read_count import ReadCount
from collector.checks.reading_order import ReadingOrder
from collector.checks.register_day import COLUMN_OF, RegisterDay
from collector.checks.register_difference import REGISTERS, RegisterDifference
from collector.checks.register_jumped import RegisterJumped
from collector.checks.sliding_demand import SlidingDemand
from collector.checks.temporary_capacity import TemporaryCapacity
from collector.days.closing import Closing
from collector.days.suspicion import SuspicionSettings
from collector.engine.fleet import Fleet
from collector.feeds.http.settings import HttpSettings, Token, read_tokens
from collector.registry.approvals import Approvals
from collector.registry.registry import Registry, load_registry
from collector.store.influx_connection import InfluxSettings
from collector.store.influx_queries import InfluxQueries
from collector.store.influx_writer import InfluxStore
from collector.store.sqlite_queries import SqliteQueries
from collector.store.sqlite_store import SqliteStore
from collector.store.store import Queries, Store
from collector.tariff.periods import Tariff, load_tariff
from metering.config_file import Loaded, load_file
from metering.errors import StopAndFix
from metering.language import Language
from metering.marked_yaml import Problem
from metering.mqtt_settings import MqttSettings
from metering.settings import Identifier, Settings

PACKAGE: Final = Path(__file__).parent


class SqliteSettings(Settings):
    """The embedded store."""

    type: Literal["sqlite"] = Field(description="SQLite, without a server.")
    path: Path = Field(description="The database file.")


class ChecksSettings(IntegritySettings):
    """Limits of the checks; the defaults are those of the catalogue."""

    energy_mismatch: EnergyMismatchSettings = Field(EnergyMismatchSettings(), description="Register against power.")
    capacity: CapacitySettings = Field(CapacitySettings(), description="Contract and temporary capacity.")
    suspicion: SuspicionSettings = Field(SuspicionSettings(), description="Consumption that seems not to be measured.")
    classes: tuple[ClassSettings, ...] = Field((), description="Other limits for some meters; later ones win.")


def all_checks(limits: ChecksSettings) -> tuple[Check | SparseCheck, ...]:
    """The checks in the order they run: register differences come first, then load blocks; others use them."""
    return (
        *(RegisterDifference(register) for register in REGISTERS),
        ReadCount(),
        RegisterJumped(),
        LoadBlock(),
        EnergyDay(),
        *(RegisterDay(register) for register in COLUMN_OF),
        SlidingDemand(),
        DayPeak("sliding_demand", "sliding_end", "sliding_kw"),
        EnergyMismatch(limits.energy_mismatch),
        ApparentPower(limits.capacity.observed),
        Capacity(limits.capacity),
        TemporaryCapacity(),
        DayPeak("peak_kva", "kva_end", "kva"),
        ReadingOrder(),
        *integrity_checks(limits, limits.classes),
    )


class CollectorSettings(Settings):
    """The whole file. Relative paths are relative to its folder."""

    mqtt: MqttSettings = Field(MqttSettings(), description="The broker.")
    shards: tuple[Identifier, ...] = Field(("00",), min_length=1, description="Shards this collector is in charge of.")
    state: Path = Field(description="State file: sequence marks, engine state, outbox, quarantine.")
    registry: Path | None = Field(None, description="Registry of sites, meters and approvals.")
    tariffs: Path | None = Field(None, description="Folder of tariff files; the shipped examples by default.")
    store: Annotated[SqliteSettings | InfluxSettings, Field(discriminator="type")] = Field(
        description="Where readings are kept."
    )
    window: int = Field(32, ge=1, le=1000, description="Unacknowledged messages a gateway may have under way.")
    checks: ChecksSettings = Field(ChecksSettings(), description="Limits of the checks.")
    http: HttpSettings | None = Field(None, description="The feeds over HTTP; without it, none.")


@dataclass(frozen=True, slots=True)
class Rules:
    """What readings are judged by: live, in a replay and in a back-test."""

    registry: Registry
    tariffs: dict[str, Tariff]
    limits: ChecksSettings
    digest: str  # names all three

    def checks(self) -> tuple[Check | SparseCheck, ...]:
        """The checks with the limits in force."""
        return all_checks(self.limits)

    def closing(self) -> Closing:
        """What judges the days of the sites."""
        return Closing(self.registry, self.limits.suspicion)

    def fleet(self, approvals: Approvals | None = None) -> Fleet:
        """No meter yet, with all that is known about those to come."""
        return Fleet(self.registry, self.tariffs, approvals)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The file and what it refers to, read and checked."""

    settings: CollectorSettings
    path: Path
    rules: Rules

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    @property
    def registry(self) -> Registry:
        """The registry in force."""
        return self.rules.registry

    @property
    def digest(self) -> str:
        """Names registry, tariffs and limits in force."""
        return self.rules.digest

    @property
    def state(self) -> Path:
        """The state file."""
        return self.folder / self.settings.state

    def store(self) -> Store:
        """The store that is configured.

        Raises:
            StopAndFix: a secret's file is missing or open to other users.
        """
        settings = self.settings.store
        if isinstance(settings, InfluxSettings):
            return InfluxStore(self._with_secrets(settings))
        return SqliteStore(self.folder / settings.path)

    def queries(self) -> Queries:
        """Questions to the store that is configured.

        Raises:
            StopAndFix: a secret's file is missing or open to other users.
        """
        settings = self.settings.store
        if isinstance(settings, InfluxSettings):
            return InfluxQueries(self._with_secrets(settings))
        return SqliteQueries(self.folder / settings.path)

    def tokens(self) -> tuple[Token, ...] | None:
        """Who may ask the feeds over HTTP; ``None`` for everybody.

        Raises:
            StopAndFix: the file of tokens cannot be used.
        """
        http = self.settings.http
        return None if http is None or http.tokens_file is None else read_tokens(self.folder / http.tokens_file)

    def _with_secrets(self, settings: InfluxSettings) -> InfluxSettings:
        files = {
            name: self.folder / path
            for name in ("password_file", "token_file")
            if (path := getattr(settings, name)) is not None
        }
        return settings.model_copy(update=files)


def load(path: Path, lang: Language = "en") -> Configuration:
    """Read the file, its registry and its tariffs.

    Raises:
        ConfigError: every mistake of the first file that has one.
        StopAndFix: a tariff that a site refers to does not exist.
    """
    settings = load_file(path, CollectorSettings, lang, lambda loaded: _check(loaded, lang))
    folder = path.parent
    rules = load_rules(
        folder / settings.registry if settings.registry else None,
        folder / settings.tariffs if settings.tariffs else None,
        settings.checks,
        lang,
    )
    return Configuration(settings, path, rules)


def load_rules(registry: Path | None, tariffs: Path | None, limits: ChecksSettings, lang: Language = "en") -> Rules:
    """Read a registry and a folder of tariffs (``None``: the shipped examples).

    Raises:
        ConfigError: every mistake of the first file that has one.
        StopAndFix: a tariff that a site refers to does not exist.
    """
    known = load_registry(registry, lang) if registry else Registry.empty()
    found = _tariffs(tariffs or _shipped_tariffs(), lang) | known.tariffs
    unknown = sorted({site.tariff for site in known.sites.values()} - set(found))
    if unknown:
        names = ", ".join(sorted(found)) or "-"
        text = {
            "en": f"{registry}: no tariff is called {', '.join(unknown)} → known: {names}",
            "zh": f"{registry}：没有名为 {', '.join(unknown)} 的电价 → 可用：{names}",
        }
        raise StopAndFix(text[lang])
    return Rules(known, found, limits, _digest(limits, known, found))


def _check(loaded: Loaded[CollectorSettings], lang: Language) -> list[Problem]:
    problems = []
    if loaded.value.mqtt.unprotected and loaded.whole("mqtt"):
        text = {
            "en": "readings would travel unencrypted → give ca_file, or say allow_plaintext: true",
            "zh": "读数将以明文传输 → 请配置 ca_file，或写明 allow_plaintext: true",
        }
        problems.append(loaded.problem(("mqtt", "host"), text[lang]))
    if loaded.value.http is not None and loaded.value.http.open_to_all and loaded.whole("http"):
        text = {
            "en": "everybody could read the feeds → give tokens_file, or a loopback host and allow_anonymous: true",
            "zh": "任何人都能读取数据 → 请配置 tokens_file，或使用本机地址并写明 allow_anonymous: true",
        }
        problems.append(loaded.problem(("http", "host"), text[lang]))
    if len(set(loaded.value.shards)) < len(loaded.value.shards):
        text = {"en": "a shard is named twice → name each once", "zh": "分片重复 → 每个只写一次"}
        problems.append(loaded.problem(("shards",), text[lang]))
    return problems


def _shipped_tariffs() -> Path:
    packaged = Path(str(importlib.resources.files("collector"))) / "shipped" / "tariffs"
    return packaged if packaged.is_dir() else PACKAGE.parent / "config" / "tariffs"


def _tariffs(folder: Path, lang: Language) -> dict[str, Tariff]:
    if not folder.is_dir():
        raise StopAndFix(f"{folder}: there is no such folder of tariffs")
    tariffs = [load_tariff(path, lang) for path in sorted(folder.glob("*.yaml"))]
    return {tariff.id: tariff for tariff in tariffs}


def _digest(limits: ChecksSettings, registry: Registry, tariffs: dict[str, Tariff]) -> str:
    parts = [registry.digest, limits.model_dump_json()]
    parts += [tariff.model_dump_json() for _, tariff in sorted(tariffs.items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
