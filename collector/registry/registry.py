"""The registry: which meter hangs where, what it is rated for and what was contracted.

It holds pseudonyms, never names, and it never leaves the centre: gateways, topics and logs know technical
identifiers only. A registry is known by its digest, which every event carries as "the configuration in force".
A meter that is not registered is stored and counted, but no check that needs a rating judges it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, ConfigDict, Field

from metering.settings import Identifier, Language, Loaded, Problem, Settings, load_file

Trade = Literal["retail", "manufacturing", "catering", "logistics", "ecommerce", "other"]


class Site(Settings):
    """A park, a street, a building: what shares a calendar and a tariff."""

    id: Identifier = Field(description="Name of the site.")
    timezone: str = Field("Asia/Shanghai", description="IANA time zone of local days and tariff periods.")
    tariff: Identifier = Field("illustrative", description="Tariff in force: the name of a tariff file.")
    holidays: tuple[date, ...] = Field((), description="Local dates that count as holidays.")


class Meter(Settings):
    """One meter: ratings of the device, and what was contracted for the account behind it."""

    id: Identifier = Field(description="The same name as on the gateway.")
    site: Identifier = Field(description="Site the meter belongs to.")
    account: Identifier | None = Field(None, description="Pseudonym of the account; never a name.")
    trade: Trade = Field("other", description="Trade of the account.")
    phases: Literal[1, 3] = Field(3, description="Phases of the connection.")
    nominal_voltage_v: float = Field(230.0, gt=0, description="Nominal phase voltage, V.")
    base_current_a: float = Field(5.0, gt=0, description="Base (reference) current, A, on the primary side.")
    maximum_current_a: float = Field(60.0, gt=0, description="Maximum current, A, on the primary side.")
    contract_kva: float | None = Field(None, gt=0, description="Contracted capacity, kVA.")


class Approval(Settings):
    """Temporary capacity (临时增容) that was approved for a meter."""

    model_config = ConfigDict(populate_by_name=True)

    meter: Identifier = Field(description="Meter it was approved for.")
    starts_at: AwareDatetime = Field(alias="from", description="First instant of the window.")
    ends_at: AwareDatetime = Field(alias="to", description="First instant after the window.")
    kva: float = Field(gt=0, description="Capacity approved inside the window, kVA.")


class RegistrySettings(Settings):
    """The registry file."""

    version: Literal[1] = Field(1, description="Version of this format.")
    sites: tuple[Site, ...] = Field((), description="Sites.")
    meters: tuple[Meter, ...] = Field((), description="Meters.")
    approvals: tuple[Approval, ...] = Field((), description="Approved temporary capacity.")


class Registry:
    """A registry file, looked up by name."""

    def __init__(self, settings: RegistrySettings, digest: str) -> None:
        """Index the settings; ``digest`` names their content."""
        self.digest = digest
        self.sites = {site.id: site for site in settings.sites}
        self.meters = {meter.id: meter for meter in settings.meters}
        self._approvals: dict[str, list[Approval]] = {}
        for approval in sorted(settings.approvals, key=lambda one: one.starts_at):
            self._approvals.setdefault(approval.meter, []).append(approval)

    @classmethod
    def empty(cls) -> Registry:
        """No meter is known: everything is stored, nothing that needs a rating is judged."""
        return cls(RegistrySettings(), "none")

    def site_of(self, meter: str) -> Site | None:
        """The site of a registered meter."""
        known = self.meters.get(meter)
        return self.sites[known.site] if known else None

    def approvals_of(self, meter: str) -> list[Approval]:
        """The approvals of a meter by their start."""
        return self._approvals.get(meter, [])


def load_registry(path: Path, lang: Language = "en") -> Registry:
    """Read a registry file.

    Raises:
        ConfigError: every mistake in it.
    """
    settings = load_file(path, RegistrySettings, lang, lambda loaded: _check(loaded, lang))
    return Registry(settings, hashlib.sha256(path.read_bytes()).hexdigest()[:16])


def milliseconds(moment: datetime) -> int:
    """An aware instant as ms since 1970 UTC."""
    return round(moment.astimezone(UTC).timestamp() * 1000)


def _check(loaded: Loaded[RegistrySettings], lang: Language) -> list[Problem]:
    words = _WORDS[lang]
    settings = loaded.value
    problems = _given_twice(loaded, "sites", [site.id for site in settings.sites], words["twice"])
    problems += _given_twice(loaded, "meters", [meter.id for meter in settings.meters], words["twice"])
    for i, site in enumerate(settings.sites):
        try:
            ZoneInfo(site.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            problems.append(loaded.problem(("sites", i, "timezone"), words["zone"].format(site.timezone)))
    sites = {site.id for site in settings.sites}
    for i, meter in enumerate(settings.meters):
        if meter.site not in sites:
            problems.append(loaded.problem(("meters", i, "site"), words["site"].format(meter.site)))
        if meter.maximum_current_a < meter.base_current_a:
            problems.append(loaded.problem(("meters", i, "maximum_current_a"), words["currents"]))
    return problems + _approval_problems(loaded, words)


def _approval_problems(loaded: Loaded[RegistrySettings], words: Mapping[str, str]) -> list[Problem]:
    problems = []
    meters = {meter.id for meter in loaded.value.meters}
    for i, approval in enumerate(loaded.value.approvals):
        if approval.meter not in meters:
            problems.append(loaded.problem(("approvals", i, "meter"), words["meter"].format(approval.meter)))
        if approval.ends_at <= approval.starts_at:
            problems.append(loaded.problem(("approvals", i, "to"), words["window"]))
    return problems


def _given_twice(loaded: Loaded[RegistrySettings], name: str, ids: list[str], text: str) -> list[Problem]:
    repeated = [i for i, one in enumerate(ids) if one in ids[:i]] if len(set(ids)) < len(ids) else []
    return [loaded.problem((name, i, "id"), text.format(ids[i])) for i in repeated]


_WORDS = {
    "en": {
        "twice": "{} is given twice → every id once",
        "zone": "no time zone is called {} → write one like Asia/Shanghai",
        "site": "there is no site {} → add it under sites, or correct the name",
        "meter": "there is no meter {} → add it under meters, or correct the name",
        "currents": "the maximum current is below the base current → exchange or correct them",
        "window": "the window ends before it starts → correct from or to",
    },
    "zh": {
        "twice": "{} 重复 → 每个 id 只能出现一次",
        "zone": "没有名为 {} 的时区 → 请写成 Asia/Shanghai 这样的名称",
        "site": "没有站点 {} → 请在 sites 中添加，或更正名称",
        "meter": "没有电表 {} → 请在 meters 中添加，或更正名称",
        "currents": "最大电流小于基本电流 → 请更正",
        "window": "窗口的结束早于开始 → 请更正 from 或 to",
    },
}
