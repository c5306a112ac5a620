"""``close(past, today)``: judge one local day of a site.

A pure function of the closed days before and of the day itself, so that a day which late readings change is judged
again with the outcome it would have had. In: kWh by quarter. Out: the closed day, what opened or closed, and the
score of every meter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from collector.checks.check import Finding
from collector.days import suspicion
from collector.days.change import changes
from collector.days.consumption import Behaviour, behaviour
from collector.days.day import DAYS_LOOKED_AT, ClosedDay, DayClass, SiteDay, Standing
from collector.days.expected import History
from collector.days.feeder_balances import Balances, FeederBalances, Prepared, typical
from collector.days.feeder_excess import excesses
from collector.days.suspicion import SuspicionSettings
from collector.engine.fleet import Floats
from collector.registry.registry import Registry
from collector.store.table import Mask, Rows

_FOLLOWED_MS: Final = 14 * 86_400_000  # after a cover or a magnet
_LEARNT_AFTER: Final = 21  # odd days in a row that become usual: nothing else spoke against them
_ODD: Final = 0.6  # oddness from which a day teaches nothing, unless the feeder closes
_ODD_ALONE: Final = 0.35  # the same where no balance speaks
_INNOCENT: Final = 0.3
_COMPLETE_QUARTERS: Final = 80
_WEEKDAYS: Final[tuple[DayClass, ...]] = (*("workday",) * 5, "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the closing of a day led to."""

    closed: ClosedDay
    findings: tuple[tuple[str, Finding], ...]  # meter, finding
    scores: Mapping[str, float]  # by meter; only those that could be judged


class Closing:
    """Judges days by one registry and one set of limits."""

    def __init__(self, registry: Registry, limits: SuspicionSettings) -> None:
        """Judge by these."""
        self._registry = registry
        self._limits = limits
        self._feeders = FeederBalances(registry)

    def day_class(self, site: str, day: date) -> DayClass:
        """The class of a local date."""
        known = self._registry.sites[site]
        if day in known.holidays:
            return "holiday"
        return "festival" if day in known.festivals else _WEEKDAYS[day.weekday()]

    def forget(self) -> None:
        """Forget what was prepared: days have changed."""
        self._feeders.forget()

    def close(self, past: Sequence[ClosedDay], today: SiteDay, touched: Mapping[str, int]) -> Verdict:
        """Judge ``today``.

        Args:
            past: the closed days before it, oldest first.
            today: the day.
            touched: when covers were opened or magnets seen that day, meter → ms.
        """
        remembered, past = past, past[-DAYS_LOOKED_AT:]
        kind = self.day_class(today.site, today.day)
        history = self._history(past, today.meters, today.day)
        net = np.where(today.measured, today.net, np.nan)
        trades = self._trades(today.meters)
        prepared = history.expected(kind), typical(net, trades)
        own = behaviour(net, today.measured, prepared[0], history, trades)
        changed = _changed(history, own)
        balances = self._feeders.of(remembered, today, net, prepared, changed, self._prepare)
        followed = _followed(past, touched, today)
        closure = np.array([self._registry.closed_on(meter, today.day) for meter in today.meters], np.bool_)
        silent = closure | (kind == "festival")
        oddness = np.where(silent, 0.0, suspicion.behaves_oddly(own, history.oddness))
        score = suspicion.fused(
            balances,
            oddness,
            _weights(today.meters, balances, followed),
            suspicion.memory(history.balance),
        )
        balanced = ~np.isnan(balances.score)
        judged = own.known | balanced | (oddness > 0)
        judged &= np.array([self._registry.mastered_by(meter) is None for meter in today.meters], np.bool_)
        standing, findings = self._advance(past, today, score, judged, balances, own, prepared[0])
        of_feeders, more = excesses(self._registry, past, today, balances)
        of_changes, moved = changes(past, today, own.log_ratio, silent)
        odd = own.oddness >= np.where(balanced, _ODD, _ODD_ALONE)
        odd_days = np.where(odd, _last(history.odd_days) + 1, 0.0)
        learns = ((~np.isnan(net)).sum(axis=1) >= _COMPLETE_QUARTERS) & ~closure
        learns &= (np.nan_to_num(balances.score) < _INNOCENT) & (score < self._limits.limit)
        learns &= ~odd | balances.closes | (odd_days > _LEARNT_AFTER)
        closed = ClosedDay(
            day=today.day,
            kind=kind,
            meters=today.meters,
            net=net.astype(np.float32),
            learns=learns,
            score=np.where(judged, score, np.nan).astype(np.float32),
            balance=balances.score.astype(np.float32),
            log_ratio=own.log_ratio.astype(np.float32),
            oddness=np.where(own.known & ~silent, own.oddness, np.nan).astype(np.float32),
            odd_days=odd_days.astype(np.float32),
            feeders=balances.days,
            standing=standing | of_feeders | of_changes,
            touched=followed,
            power_factor=today.power_factor.astype(np.float32),
        )
        scores = {meter: float(score[i]) for i, meter in enumerate(today.meters) if judged[i]}
        return Verdict(closed, (*findings, *more, *moved), scores)

    def _prepare(self, past: Sequence[ClosedDay], closed: ClosedDay) -> Prepared:
        """What a day of the past was compared with."""
        history = self._history(past[-DAYS_LOOKED_AT:], closed.meters, closed.day)
        return history.expected(closed.kind), typical(closed.net.astype(np.float64), self._trades(closed.meters))

    def _history(self, past: Sequence[ClosedDay], meters: tuple[str, ...], day: date) -> History:
        since = [
            max((one.on for one in self._registry.changes_of(meter) if one.on <= day), default=None) for meter in meters
        ]
        return History.of(past, meters, since)

    def _trades(self, meters: tuple[str, ...]) -> Rows:
        names = [known.trade if (known := self._registry.meters.get(meter)) else "other" for meter in meters]
        order = sorted(set(names))
        return np.array([order.index(name) for name in names], np.intp)

    def _advance(
        self,
        past: Sequence[ClosedDay],
        today: SiteDay,
        score: Floats,
        judged: Mask,
        balances: Balances,
        own: Behaviour,
        expected: Floats,
    ) -> tuple[dict[str, Standing], list[tuple[str, Finding]]]:
        standing = dict(past[-1].standing) if past else {}
        standing = {name: one for name, one in standing.items() if ":" not in name}  # a meter's name has none
        findings = []
        for i in np.flatnonzero(judged).tolist():
            meter = today.meters[i]
            was = standing.get(meter)
            if was is None and score[i] < self._limits.limit:
                continue
            now, lifecycle = suspicion.advance(was, float(score[i]), self._limits, today, balances.kwh(i))
            if lifecycle is not None:
                finding = suspicion.finding(lifecycle, now, self._limits, today, i, balances, own, expected[i])
                findings.append((meter, finding))
            if lifecycle == "closed":
                del standing[meter]
            else:
                standing[meter] = now
        return standing, findings


def _changed(history: History, own: Behaviour) -> Floats:
    """By how much each meter has changed: mean ln(day / expected day) of the last week, NaN where nobody knows."""
    recent = np.concatenate([history.log_ratio[-6:], own.log_ratio[None]])
    known = ~np.isnan(recent)
    return np.where(known.any(axis=0), np.nan_to_num(recent).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.nan)


def _weights(meters: tuple[str, ...], balances: Balances, followed: Mapping[str, int]) -> Floats:
    balanced = ~np.isnan(balances.score)
    return np.array(
        [
            suspicion.weight(balanced=bool(balanced[i]), closes=bool(balances.closes[i]), touched=meter in followed)
            for i, meter in enumerate(meters)
        ]
    )


def _followed(past: Sequence[ClosedDay], touched: Mapping[str, int], today: SiteDay) -> dict[str, int]:
    before = past[-1].touched if past else {}
    return {meter: at for meter, at in sorted({**before, **touched}.items()) if today.ends_at - at <= _FOLLOWED_MS}


def _last(rows: Floats) -> Floats:
    found: Floats = np.nan_to_num(rows[-1]) if len(rows) else np.zeros(rows.shape[1])
    return found
