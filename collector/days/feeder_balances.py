"""The balances of a site's feeders on one day: who hangs where, what was read, what clean days taught about loss.

A feeder is balanced if its master and all its meters were read in the same quarters, eight hours at least; a meter
that has never been heard of leaves the whole feeder unbalanced. What a balance says of a meter is a number from 0 to
1; no balance is NaN, which is not the same as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

import numpy as np

from collector.days.balance import SHAPES, Attribution, Balance, FeederReport, balance, report
from collector.days.day import QUARTERS, ClosedDay, FeederDay, SiteDay
from collector.days.fingerprint import DAYS, Fingerprint, fingerprints
from collector.engine.fleet import Floats
from collector.registry.records import Feeder
from collector.registry.registry import Registry
from collector.store.table import Mask, Rows

Prepared = tuple[Floats, Floats]
"""What was expected of a day's meters, and what their trades draw."""

_LOSS_DAYS: Final = 28
_FEWEST_CLEAN: Final = 3
_NAMED_BY_WEEK: Final = 0.1  # what it is worth that a week names a meter and today does not
_DOUBTED: Final = 0.3  # what a claim is worth against such a doubt
_LEAST_DROP: Final = 0.4  # of the drop that a claim implies
_DAY_SPREAD: Final = 0.1  # ln units a day may differ anyway
_FULL_MISSING: Final = 0.1  # share of a day's energy
_FINGERPRINT: Final = 0.9  # what a fingerprint without a doubt is worth


@dataclass(slots=True)
class Balances:
    """What the balances of a day say, by row of the day's meters."""

    score: Floats  # NaN = no balance
    closes: Mask  # the meter's feeder closes
    attributed: dict[int, tuple[Feeder, Attribution]] = field(default_factory=dict)
    days: dict[str, FeederDay] = field(default_factory=dict)

    def kwh(self, row: int) -> tuple[float, float, float]:
        """What a meter did not count that day: low, best, high."""
        if row not in self.attributed:
            return 0.0, 0.0, 0.0
        one = self.attributed[row][1]
        return one.kwh - 2 * one.spread_kwh, one.kwh, one.kwh + 2 * one.spread_kwh


class FeederBalances:
    """Balances the feeders of a registry, and keeps the prepared days of two weeks at hand."""

    def __init__(self, registry: Registry) -> None:
        """Nothing is prepared yet."""
        self._registry = registry
        self._reports: dict[tuple[str, date], FeederReport | None] = {}

    def forget(self) -> None:
        """Forget what was prepared: days have changed."""
        self._reports.clear()

    def of(
        self,
        past: Sequence[ClosedDay],
        today: SiteDay,
        net: Floats,
        prepared: Prepared,
        changed: Floats,
        prepare: Callable[[Sequence[ClosedDay], ClosedDay], Prepared],
    ) -> Balances:
        """Balance every feeder of the site.

        Args:
            past: the closed days before.
            today: the day; ``net`` is its net energy, NaN where it was not read.
            net: see ``today``.
            prepared: of today.
            changed: by meter: ln(days / expected days) of the last week, NaN = unknown.
            prepare: the same for a day of the past that is not at hand any more.
        """
        rows = {meter: i for i, meter in enumerate(today.meters)}
        found = Balances(np.full(len(rows), np.nan), np.zeros(len(rows), np.bool_))
        for feeder in self._registry.feeders.values():
            if feeder.site != today.site:
                continue
            made = self._reports[feeder.id, today.day] = self._report(feeder, rows, net, prepared)
            if made is None:
                continue
            week = [one for one in self._week(past, feeder, prepare) if one is not None]
            chosen = [rows[meter] for meter in self._registry.on_feeder(feeder.id)]
            balanced = balance([*week, made], *_learnt(past, feeder.id))
            prints = fingerprints([*week, made])
            generates = [self._registry.meters[meter].pv_kw > 0 for meter in self._registry.on_feeder(feeder.id)]
            doubts = [_Doubts(float(changed[row]), own) for row, own in zip(chosen, generates, strict=True)]
            _note(found, feeder, chosen, balanced, made, prints, doubts)
        self._reports = {key: one for key, one in self._reports.items() if (today.day - key[1]).days < DAYS}
        return found

    def _report(self, feeder: Feeder, rows: dict[str, int], net: Floats, prepared: Prepared) -> FeederReport | None:
        children = self._registry.on_feeder(feeder.id)
        if not children or any(meter not in rows for meter in (feeder.master, *children)):
            return None
        chosen = [rows[meter] for meter in children]
        both = [rows[feeder.master], *chosen]
        expected, typical = prepared
        return report(net[both[0]], net[chosen], expected[chosen], typical[chosen], ~np.isnan(net[both]))

    def _week(
        self,
        past: Sequence[ClosedDay],
        feeder: Feeder,
        prepare: Callable[[Sequence[ClosedDay], ClosedDay], Prepared],
    ) -> list[FeederReport | None]:
        """The reports of the days before that are looked at, made anew where they are not at hand."""
        found = []
        for n in range(max(0, len(past) - DAYS + 1), len(past)):
            closed = past[n]
            if (feeder.id, closed.day) not in self._reports:
                rows = {meter: i for i, meter in enumerate(closed.meters)}
                net = closed.net.astype(np.float64)
                self._reports[feeder.id, closed.day] = self._report(feeder, rows, net, prepare(past[:n], closed))
            found.append(self._reports[feeder.id, closed.day])
        return found


def worth(found: Attribution) -> float:
    """What one attribution is worth, 0 … 1: a day alone at most 0.6."""
    amount = min(1.0, found.missing / _FULL_MISSING)
    today = 0.6 * min(1.0, found.share / 0.8) * amount
    if found.week_share is None:
        return today
    return max(today, 0.5 * min(1.0, found.week_share / 0.5) * amount + 0.5 * min(1.0, found.share / 0.5) * amount)


@dataclass(frozen=True, slots=True)
class _Doubts:
    """What speaks against a claim about one meter."""

    changed: float  # ln(days / expected days) of the last week, NaN = unknown
    generates: bool  # the same clouds pass over all generation: its wiggles are nobody's own

    def believed(self, shape: str, weight: float) -> float:
        """How far a claim is believed, 0 … 1.

        What is expected was learnt on days on which nothing was missing of the meter. If it now reported a fraction
        only, it would report less than that; a meter that reports what it always did is not the one.
        """
        unchanged = shape == "share" and -self.changed < _LEAST_DROP * np.log1p(weight) - _DAY_SPREAD
        return _DOUBTED if unchanged or self.generates else 1.0


def typical(net: Floats, trades: Rows) -> Floats:
    """What each meter's trade draws on a day, as shares of the day, shape (meters, quarters)."""
    total = np.nansum(net, axis=1, keepdims=True)
    shares = np.where(total > 0, np.nan_to_num(net) / np.maximum(total, 1e-9), 0.0)
    found = np.full(net.shape, 1.0 / QUARTERS)
    for trade in np.unique(trades):
        own = (trades == trade) & (total[:, 0] > 0)
        if own.any():
            found[trades == trade] = shares[own].mean(axis=0)
    return found


def _note(
    found: Balances,
    feeder: Feeder,
    chosen: list[int],
    balanced: Balance,
    made: FeederReport,
    prints: Sequence[Fingerprint],
    doubts: Sequence[_Doubts],
) -> None:
    found.score[chosen] = 0.0
    for meter in balanced.named:
        found.score[chosen[meter]] = _NAMED_BY_WEEK
    for one in balanced.attributions:
        believed = doubts[one.meter].believed(one.shape, one.weight)
        found.score[chosen[one.meter]] = worth(one) * believed
        found.attributed[chosen[one.meter]] = (feeder, one)
    for print_ in prints:
        row = chosen[print_.meter]
        believed = doubts[print_.meter].believed(print_.shape, print_.weight)
        found.score[row] = 1 - (1 - found.score[row]) * (1 - _FINGERPRINT * print_.sureness * believed)
        if row not in found.attributed:
            found.attributed[row] = (feeder, _attribution(print_, made))
    clean = balanced.clean and not prints
    found.closes[chosen] = clean
    found.days[feeder.id] = FeederDay(
        (float(balanced.loss[0]), float(balanced.loss[1]), float(balanced.loss[2])),
        balanced.noise_kwh,
        clean,
        balanced.excess_kwh,
        float(made.master[made.valid].sum()),
    )


def _attribution(print_: Fingerprint, made: FeederReport) -> Attribution:
    """A fingerprint as what it says about today."""
    shape = made.shapes[SHAPES.index(print_.shape) * len(made.counted) + print_.meter]
    amount, counted = float(np.abs(shape).sum()) * print_.weight, float(np.abs(made.counted[print_.meter]).sum())
    return Attribution(
        meter=print_.meter,
        shape=print_.shape,
        weight=print_.weight,
        kwh=float(shape.sum()) * print_.weight,
        spread_kwh=abs(float(shape.sum())) * print_.error,
        share=0.0,
        week_share=None,
        missing=amount / max(amount + counted, 1e-9),
    )


def _learnt(past: Sequence[ClosedDay], feeder: str) -> tuple[Floats | None, float | None]:
    """Loss and noise of the clean days of a feeder, ``None`` before there are enough."""
    days = [one.feeders[feeder] for one in past[-_LOSS_DAYS:] if feeder in one.feeders and one.feeders[feeder].clean]
    if len(days) < _FEWEST_CLEAN:
        return None, None
    return np.median([one.loss for one in days], axis=0), float(np.median([one.noise_kwh for one in days]))
