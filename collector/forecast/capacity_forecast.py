"""``capacity_forecast``: the capacity in force tomorrow will hardly be enough.

It is raised when a day is closed, at most once a day and meter, if both are so:

    the upper bound of tomorrow's peak (80 % interval) exceeds the limit in force tomorrow, at any time of the day
    the day just closed was above that limit, too

The bound alone would cry wolf: of the meter-days it points at in simulated towns, 8 of 100 came true. With the second
condition 85 of 100 did, and 83 of 100 days above the limit were announced. What is left out are the first days of an
excess, which no past can tell; of the others "above it today" alone says as much, but for days of rest. A peak that was
higher than expected on the day just closed is carried over, though such a day may teach nothing (whoever draws more
than contracted does so again): to the power of 0.85.

Silent: without a contract; on a day for which there is no forecast (short history, announced closure, festival); where
the day just closed stayed below the limit of tomorrow; for masters. It closes when the day is over, with what was
reached. [OURS; limits set on simulated towns, judged on others by ``make bench-forecast``]
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import numpy as np

from collector.checks.check import Finding
from collector.days.day import SiteDay, Warned
from collector.engine.fleet import Fleet, Floats
from collector.forecast.day_ahead import DayAhead
from collector.forecast.limits import assumption, hour, limits_of_day, power_factors, tightest
from collector.forecast.past import Past
from collector.forecast.spread import SHARES
from collector.tariff.calendar import LocalDay

KIND: Final = "capacity_forecast"

_CARRIED: Final = 0.85
_KW_PER_KWH: Final = 4.0  # of a quarter of an hour


def capacity_forecasts(
    fleet: Fleet, past: Past, ahead: DayAhead, today: SiteDay, tomorrow: LocalDay
) -> list[tuple[str, Finding, Warned]]:
    """The warnings about ``tomorrow``: meter, finding and what is to be remembered of it."""
    contract = fleet.limits("contract_kva", np.array(today.slots, np.intp))
    factor, assumed = power_factors(past.days, past)
    carried = _surprise(past) ** _CARRIED
    best = ahead.peak_kw.best * carried / factor
    upper = ahead.peak_kw.high[0] * carried / factor
    reached = past.peak_kw[-1] / factor
    found = []
    for m in np.flatnonzero((upper > contract) & (reached > contract)).tolist():
        meter = today.meters[m]
        if fleet.registry.mastered_by(meter) is not None:
            continue
        limits = limits_of_day(fleet, today.slots[m], float(contract[m]), tomorrow)
        curve = ahead.quarters.best[m]
        shape = (curve / max(float(curve.max()), 1e-6))[tomorrow.quarters]
        coming = tightest(upper[m] * shape, limits)
        was = tightest(past.net(len(past.days) - 1)[m][tomorrow.quarters] * _KW_PER_KWH / factor[m], limits)
        if coming.share <= 1.0 or was.share <= 1.0:
            continue
        warned = Warned("", ahead.day, today.ends_at, float(best[m]), coming.limit_kva, float(factor[m]))
        finding = Finding(
            row=0,
            kind=KIND,
            lifecycle="opened",
            part="",
            started_at=float(today.ends_at),
            at=float(today.ends_at),
            severity="info",
            score=float(np.clip(coming.share - 0.5, 0.01, 1.0)),
            readings={"maximum_demand": float(past.peak_kw[-1, m])},
            limits={"contract_kva": float(contract[m]), "limit_kva": coming.limit_kva, "interval": SHARES[0]},
            facts={
                "expected_kva": warned.expected_kva,
                "upper_kva": float(upper[m]),
                "reached_kva": float(reached[m]),
                "power_factor": warned.power_factor,
                "day": ahead.day.isoformat(),
                "hour": hour(tomorrow, coming.block),
                **assumption(bool(assumed[m])),
            },
            ruled_out=("approved_window", "announced_closure", "short_history"),
        )
        found.append((meter, finding, warned))
    return found


def _surprise(past: Past) -> Floats:
    """The highest quarter of the last day over what was expected of it, at least 1."""
    last = len(past.days) - 1
    made = past.days[last - 1] if last else None
    if made is None or made.ahead is None or made.day + timedelta(days=1) != past.days[last].day:
        return np.ones(len(past.meters))
    expected = past.lined_up(last - 1, made.ahead.peak_kw).astype(np.float64)
    ratio = past.peak_kw[last] / np.maximum(expected, 1e-6)
    found: Floats = np.where(np.isnan(ratio), 1.0, np.maximum(ratio, 1.0))
    return found
