"""A synthetic feeder: shops with hours, noise and meters of a class of their own, a master, a loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from collector.days.balance import FeederReport, report, smooth
from collector.days.closing import Closing, Verdict
from collector.days.day import ClosedDay, SiteDay
from collector.days.suspicion import SuspicionSettings
from collector.engine.fleet import Floats
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry

QUARTERS: Final = 96
FIRST: Final = date(2026, 3, 2)  # a Monday
LOSS: Final = np.array([0.01, 0.025, 0.01])  # share of the mean, of the load, of its square

Attack = Callable[[Floats, np.random.Generator], Floats]


def _hours_off(load: Floats, _: np.random.Generator) -> Floats:
    told = load.copy()
    told[40:60] = 0.0
    return told


ATTACKS: Final[Mapping[str, Attack]] = {
    "h1": lambda load, _: 0.35 * load,
    "h2": _hours_off,
    "h3": lambda load, rng: load * rng.uniform(0.1, 0.9, QUARTERS),
    "h4": lambda load, rng: load.mean() * rng.uniform(0.1, 0.9, QUARTERS),
    "h5": lambda load, _: np.full(QUARTERS, load.mean()),
    "h6": lambda load, _: load[::-1].copy(),
}
"""Jokar's six: what a falsified meter tells of its load."""


@dataclass(frozen=True)
class Shops:
    """The customers of one feeder, drawn from a seed; every day is drawn from the seed and its number alone."""

    seed: int
    meters: int = 20

    @property
    def names(self) -> list[str]:
        return [f"m-{n:02}" for n in range(self.meters)]

    def load(self, number: int, shift_quarters: Mapping[int, int] | None = None) -> Floats:
        """What they draw on a day, kWh by quarter, shape (meters, 96); some shops may have moved their hours."""
        habits = np.random.default_rng(self.seed)
        size = habits.uniform(0.6, 2.4, self.meters)
        opens, closes = habits.uniform(28, 40, self.meters), habits.uniform(66, 86, self.meters)
        for shop, quarters in (shift_quarters or {}).items():
            opens[shop] += quarters
            closes[shop] += quarters
        rng = np.random.default_rng((self.seed, number))
        at = np.arange(QUARTERS)
        work = ((at > opens[:, None]) & (at < closes[:, None])).astype(np.float64)
        level = rng.lognormal(0, 0.08, (self.meters, 1))
        found: Floats = size[:, None] * level * smooth(0.15 + work) * rng.lognormal(0, 0.25, (self.meters, QUARTERS))
        return found

    def told(self, number: int, load: Floats, attacks: Mapping[int, str]) -> Floats:
        """What the meters tell of it: each within its class, some falsified."""
        class_error = np.random.default_rng((self.seed, 10**6)).normal(0, 0.003, (self.meters, 1))
        rng = np.random.default_rng((self.seed, 10**7 + number))
        told = load * (1 + class_error)
        for shop, attack in attacks.items():
            told[shop] = ATTACKS[attack](told[shop], rng)
        return told


def master(load: Floats) -> Floats:
    """What the master counts of a load: its sum, and the loss."""
    total = load.sum(axis=0)
    mean = total.mean()
    counted: Floats = total + LOSS[0] * mean + LOSS[1] * total + LOSS[2] * total * total / mean
    return counted


def reports(
    shops: Shops, numbers: Sequence[int], attacks: Mapping[int, str] | None = None, since: int = 0
) -> list[FeederReport]:
    """Reports of some days, compared with the median of ten honest days."""
    usual = np.median([shops.told(n, shops.load(n), {}) for n in range(1000, 1010)], axis=0)
    typical = np.tile((usual / usual.sum(axis=1, keepdims=True)).mean(axis=0), (shops.meters, 1))
    found = []
    for number in numbers:
        load = shops.load(number)
        told = shops.told(number, load, attacks or {} if number >= since else {})
        made = report(master(load), told, usual, typical, np.ones((shops.meters + 1, QUARTERS), np.bool_))
        assert made is not None
        found.append(made)
    return found


def registry_of(meters: Sequence[str], *, feeder: bool = True, trade: str = "retail", **more: object) -> Registry:
    """One site; with ``feeder`` all meters hang on one line with the master ``f-master``."""
    hangs = {"feeder": "f-1"} if feeder else {}
    document: dict[str, object] = {
        "sites": [{"id": "park", **more.pop("site", {})}],  # type: ignore[dict-item]
        "feeders": [{"id": "f-1", "site": "park", "master": "f-master"}] if feeder else [],
        "meters": [
            *([{"id": "f-master", "site": "park"}] if feeder else []),
            *({"id": name, "site": "park", "trade": trade} | hangs for name in meters),
        ],
    }
    return Registry(RegistrySettings.model_validate(document | more), "test")


def site_day(number: int, meters: Sequence[str], net: Floats, measured: Floats | None = None) -> SiteDay:
    """A local day in Shanghai; ``number`` counts from a Monday."""
    day = FIRST + timedelta(days=number)
    starts = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo("Asia/Shanghai")).astimezone(UTC)
    starts_ms = round(starts.timestamp() * 1000)
    order = sorted(range(len(meters)), key=lambda row: meters[row])
    return SiteDay(
        site="park",
        day=day,
        starts_at=starts_ms,
        ends_at=starts_ms + 86_400_000,
        meters=tuple(meters[row] for row in order),
        slots=tuple(range(len(meters))),
        imported=net[order],
        exported=np.full(net.shape, np.nan),
        measured=np.ones(net.shape, np.bool_) if measured is None else measured[order].astype(np.bool_),
        power_factor=np.full(len(meters), np.nan),
    )


def site_day_of(shops: Shops, number: int, attacks: Mapping[int, str] | None = None, lost: float = 0.0) -> SiteDay:
    """A day of a feeder with its master; ``lost`` is drawn by nobody known, as a share of the load."""
    load = shops.load(number)
    told = shops.told(number, load, attacks or {})
    counted = master(load) + lost * load.mean() * shops.meters
    return site_day(number, ["f-master", *shops.names], np.concatenate([counted[None], told]))


@dataclass
class Judge:
    """Closes one day after the other."""

    registry: Registry

    def __post_init__(self) -> None:
        self.closing = Closing(self.registry, SuspicionSettings())
        self.past: list[ClosedDay] = []

    def close(self, day: SiteDay, touched: Mapping[str, int] | None = None) -> Verdict:
        verdict = self.closing.close(self.past, day, touched or {})
        self.past.append(verdict.closed)
        return verdict
