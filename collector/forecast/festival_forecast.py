"""``festival_forecast``: a week before a sales festival, whether the capacity will hardly be enough for it.

    expected peak = present level of such a weekday × what a festival did to the peak

What a festival did is taken from the first of these that there is, and the warning says from which:

    the account's own same festival of the year before (at most ten days off: calendars move)
    the account's own last festival day of any kind
    the median over the meters of the same trade at the site, if at least five have a festival day

It is raised once a meter and run of festival days, when the last day before the week is closed, if the expected peak
reaches 90 % of the limit in force on that day; it closes when the day is over, with what was reached. Silent: without
any such basis, without a contract, where the present level is not known, for masters, and before an announced closure.
What was seen before the tenant, the contract or the equipment changed is no basis. [OURS]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np

from collector.checks.check import Finding
from collector.days.day import SiteDay, Warned
from collector.engine.fleet import Fleet
from collector.forecast.day_ahead import DayAhead
from collector.forecast.festival_days import FestivalDay, ordinary
from collector.forecast.limits import assumption, hour, limits_of_day, power_factors, tightest
from collector.forecast.past import Past
from collector.tariff.calendar import LocalDay

KIND: Final = "festival_forecast"
DAYS_BEFORE: Final = 7

_SAME_FESTIVAL_DAYS: Final = 10
_FEWEST_OF_TRADE: Final = 5
_WARNING_RATIO: Final = 0.9


@dataclass(frozen=True, slots=True)
class Basis:
    """From what a surge is expected."""

    ratio: float
    zh: str
    en: str


def due(festivals: Sequence[date], before: date | None, today: date) -> list[date]:
    """The first days of festivals of which to speak when ``today`` is closed.

    Args:
        festivals: the festival days of a site.
        before: the day that was closed before, if any.
        today: the day that is closed.
    """
    known = set(festivals)
    found = []
    for day in sorted(known):
        speak = day - timedelta(days=DAYS_BEFORE + 1)  # the message comes on the day after
        spoken = before is not None and before >= speak
        if day - timedelta(days=1) not in known and speak <= today < day and not spoken:
            found.append(day)
    return found


def bases(memory: Sequence[FestivalDay], fleet: Fleet, meters: Sequence[str], festival: date) -> dict[str, Basis]:
    """What a festival is expected to do to the peak of each meter, where there is any basis."""
    registry = fleet.registry
    own: dict[str, list[tuple[date, float]]] = {}
    for one in memory:
        if one.day >= festival:
            continue
        for meter, ratio in zip(one.meters, one.peak_ratio.tolist(), strict=True):
            changed = max((change.on for change in registry.changes_of(meter) if change.on <= festival), default=None)
            if changed is None or one.day >= changed:
                own.setdefault(meter, []).append((one.day, ratio))
    by_trade: dict[str, list[tuple[date, float]]] = {}
    for meter, seen in own.items():
        if meter in registry.meters and registry.mastered_by(meter) is None:
            by_trade.setdefault(registry.meters[meter].trade, []).append(seen[-1])
    found = {}
    for meter in meters:
        basis = _own(own.get(meter, []), festival)
        if basis is None and meter in registry.meters:
            basis = _of_trade(by_trade.get(registry.meters[meter].trade, []))
        if basis is not None:
            found[meter] = basis
    return found


def festival_forecasts(
    fleet: Fleet,
    past: Past,
    ahead: DayAhead,
    today: SiteDay,
    festival: LocalDay,
    memory: Sequence[FestivalDay],
) -> list[tuple[str, Finding, Warned]]:
    """The warnings about a ``festival``: meter, finding and what is to be remembered of it."""
    day = festival.date
    contract = fleet.limits("contract_kva", np.array(today.slots, np.intp))
    factor, assumed = power_factors(past.days, past)
    present = ahead.peak_level.of(ordinary("festival", day), day.weekday())
    judged = np.flatnonzero(~np.isnan(present) & ~np.isnan(contract) & ahead.known).tolist()
    basis_of = bases(memory, fleet, [today.meters[m] for m in judged], day)
    found = []
    for m in judged:
        meter = today.meters[m]
        basis = basis_of.get(meter)
        if basis is None or fleet.registry.mastered_by(meter) or fleet.registry.closed_on(meter, day):
            continue
        expected = float(present[m]) * basis.ratio / float(factor[m])
        curve = ahead.quarters.best[m]
        shape = (curve / max(float(curve.max()), 1e-6))[festival.quarters]
        coming = tightest(expected * shape, limits_of_day(fleet, today.slots[m], float(contract[m]), festival))
        if coming.share < _WARNING_RATIO:
            continue
        warned = Warned(day.isoformat(), day, today.ends_at, expected, coming.limit_kva, float(factor[m]))
        finding = Finding(
            row=0,
            kind=KIND,
            lifecycle="opened",
            part=day.isoformat(),
            started_at=float(today.ends_at),
            at=float(today.ends_at),
            severity="info",
            score=float(np.clip(coming.share - 0.5, 0.01, 1.0)),
            readings={"maximum_demand": float(present[m])},
            limits={"contract_kva": float(contract[m]), "limit_kva": coming.limit_kva, "warning_ratio": _WARNING_RATIO},
            facts={
                "expected_kva": expected,
                "present_kva": float(present[m]) / float(factor[m]),
                "surge_ratio": basis.ratio,
                "power_factor": float(factor[m]),
                "day": day.isoformat(),
                "hour": hour(festival, coming.block),
                "basis_zh": basis.zh,
                "basis_en": basis.en,
                **assumption(bool(assumed[m])),
            },
            ruled_out=("approved_window", "announced_closure", "short_history"),
        )
        found.append((meter, finding, warned))
    return found


def _own(seen: Sequence[tuple[date, float]], festival: date) -> Basis | None:
    if not seen:
        return None
    year = timedelta(days=365)
    off = [(abs((festival - year - day).days), day, ratio) for day, ratio in seen]
    nearest = min(off)
    if nearest[0] <= _SAME_FESTIVAL_DAYS:
        _, day, ratio = nearest
        return Basis(ratio, f"该户去年同一节日（{day}）", f"the account's own same festival last year ({day})")
    day, ratio = seen[-1]
    return Basis(ratio, f"该户最近一次节日（{day}）", f"the account's own last festival ({day})")


def _of_trade(seen: Sequence[tuple[date, float]]) -> Basis | None:
    if len(seen) < _FEWEST_OF_TRADE:
        return None
    return Basis(
        float(np.median([ratio for _, ratio in seen])),
        f"同站点同行业 {len(seen)} 块电表的中位值",
        f"the median of {len(seen)} meters of the same trade at the site",
    )
