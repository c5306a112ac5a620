"""The registry: which meter hangs where, what it is rated for and what was contracted.

It holds pseudonyms, never names, and it never leaves the centre: gateways, topics and logs know technical
identifiers only. A registry is known by its digest, which every event carries as "the configuration in force".
A meter that is not registered is stored and counted, but no check that needs a rating judges it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from collector.registry.records import Approval, Change, Closure, Feeder, RegistrySettings, Site, WorkOrder
from collector.tariff.periods import mistakes
from metering.config_file import Loaded, load_file
from metering.language import Language
from metering.marked_yaml import Problem

About = TypeVar("About", Approval, Change, Closure, WorkOrder)


class Registry:
    """A registry file, looked up by name."""

    def __init__(self, settings: RegistrySettings, digest: str) -> None:
        """Index the settings; ``digest`` names their content."""
        self.digest = digest
        self.sites = {site.id: site for site in settings.sites}
        self.feeders = {feeder.id: feeder for feeder in settings.feeders}
        self.meters = {meter.id: meter for meter in settings.meters}
        self.tariffs = {tariff.id: tariff for tariff in settings.tariffs}
        self._approvals = _by_meter(sorted(settings.approvals, key=lambda one: one.starts_at))
        self._closures = _by_meter(settings.closures)
        self._work_orders = _by_meter(settings.work_orders)
        self._changes = _by_meter(settings.changes)
        self._masters = {feeder.master: feeder for feeder in settings.feeders}

    @classmethod
    def empty(cls) -> Registry:
        """No meter is known: everything is stored, nothing that needs a rating is judged."""
        return cls(RegistrySettings(), "none")

    def site_of(self, meter: str) -> Site | None:
        """The site of a registered meter."""
        known = self.meters.get(meter)
        return self.sites[known.site] if known else None

    def approvals_of(self, meter: str) -> list[Approval]:
        """The requests and approvals of a meter by their start."""
        return self._approvals.get(meter, [])

    def closed_on(self, meter: str, day: date) -> bool:
        """Whether the account announced to be closed on a local date."""
        return any(one.first <= day <= one.last for one in self._closures.get(meter, ()))

    def work_orders_of(self, meter: str) -> list[WorkOrder]:
        """The approved work at a meter."""
        return self._work_orders.get(meter, [])

    def changes_of(self, meter: str) -> list[Change]:
        """The changes of tenant, contract or equipment of a meter."""
        return self._changes.get(meter, [])

    def mastered_by(self, meter: str) -> Feeder | None:
        """The feeder whose master this meter is."""
        return self._masters.get(meter)

    def on_feeder(self, feeder: str) -> list[str]:
        """The meters that hang on a feeder, without its master."""
        return [meter.id for meter in self.meters.values() if meter.feeder == feeder and meter.id not in self._masters]


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
    sites, feeders = loaded.named("sites"), loaded.named("feeders")
    for i, meter in enumerate(settings.meters):
        if meter.site not in sites:
            problems.append(loaded.problem(("meters", i, "site"), words["site"].format(meter.site)))
        if meter.feeder is not None and meter.feeder not in feeders:
            problems.append(loaded.problem(("meters", i, "feeder"), words["feeder"].format(meter.feeder)))
        if meter.maximum_current_a is not None and meter.maximum_current_a < meter.base_current_a:
            problems.append(loaded.problem(("meters", i, "maximum_current_a"), words["currents"]))
    for i, tariff in enumerate(settings.tariffs):
        problems += [loaded.problem(("tariffs", i, *place), text) for place, text in mistakes(tariff, lang)]
    return problems + _feeder_problems(loaded, words, sites) + _window_problems(loaded, words)


def _feeder_problems(loaded: Loaded[RegistrySettings], words: Mapping[str, str], sites: set[str]) -> list[Problem]:
    settings = loaded.value
    problems = _given_twice(loaded, "feeders", [feeder.id for feeder in settings.feeders], words["twice"])
    meters, known = {meter.id: meter for meter in settings.meters}, loaded.named("meters")
    for i, feeder in enumerate(settings.feeders):
        if feeder.site not in sites:
            problems.append(loaded.problem(("feeders", i, "site"), words["site"].format(feeder.site)))
        master = meters.get(feeder.master)
        if feeder.master not in known:
            problems.append(loaded.problem(("feeders", i, "master"), words["meter"].format(feeder.master)))
        elif master is not None and master.feeder == feeder.id:
            problems.append(loaded.problem(("feeders", i, "master"), words["own master"].format(feeder.master)))
    return problems


def _window_problems(loaded: Loaded[RegistrySettings], words: Mapping[str, str]) -> list[Problem]:
    """Records about meters: the meter has to exist, and a window may not end before it starts."""
    problems = []
    settings = loaded.value
    meters = loaded.named("meters")
    for name in ("approvals", "closures", "work_orders", "changes"):
        for i, record in enumerate(getattr(settings, name)):
            if record.meter not in meters:
                problems.append(loaded.problem((name, i, "meter"), words["meter"].format(record.meter)))
    for name in ("approvals", "work_orders"):
        for i, window in enumerate(getattr(settings, name)):
            if window.ends_at <= window.starts_at:
                problems.append(loaded.problem((name, i, "to"), words["window"]))
    for i, closure in enumerate(settings.closures):
        if closure.last < closure.first:
            problems.append(loaded.problem(("closures", i, "to"), words["window"]))
    return problems


def _by_meter(records: Iterable[About]) -> dict[str, list[About]]:
    found: dict[str, list[About]] = {}
    for record in records:
        found.setdefault(record.meter, []).append(record)
    return found


def _given_twice(loaded: Loaded[RegistrySettings], name: str, ids: list[str], text: str) -> list[Problem]:
    repeated = [i for i, one in enumerate(ids) if one in ids[:i]] if len(set(ids)) < len(ids) else []
    return [loaded.problem((name, i, "id"), text.format(ids[i])) for i in repeated]


_WORDS = {
    "en": {
        "twice": "{} is given twice → every id once",
        "site": "there is no site {} → add it under sites, or correct the name",
        "feeder": "there is no feeder {} → add it under feeders, or correct the name",
        "own master": "{} hangs on the feeder whose master it is → take feeder away from this meter",
        "meter": "there is no meter {} → add it under meters, or correct the name",
        "currents": "the maximum current is below the base current → exchange or correct them",
        "window": "the window ends before it starts → correct from or to",
    },
    "zh": {
        "twice": "{} 重复 → 每个 id 只能出现一次",
        "site": "没有站点 {} → 请在 sites 中添加，或更正名称",
        "feeder": "没有馈线 {} → 请在 feeders 中添加，或更正名称",
        "own master": "{} 是该馈线的总表，不能挂在该馈线下 → 请去掉该电表的 feeder",
        "meter": "没有电表 {} → 请在 meters 中添加，或更正名称",
        "currents": "最大电流小于基本电流 → 请更正",
        "window": "窗口的结束早于开始 → 请更正 from 或 to",
    },
}
