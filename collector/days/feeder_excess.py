"""feeder_excess: a feeder misses more than its loss explains, and no meter can be named.

    excess > median + max(3 deviations of clean days, 2 % of the day),  on two days in a row               [OURS]

The balance flags the group; attribution then names a meter or does not. What stays unnamed may be an unregistered
connection, an unread meter or a master meter that drifts: it is for an engineer of the grid, not about a customer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from collector.checks.check import Energy, Finding, Lifecycle
from collector.days.day import ClosedDay, FeederDay, SiteDay, Standing
from collector.days.feeder_balances import Balances
from collector.registry.registry import Registry

KIND: Final = "feeder_excess"

_DEVIATIONS: Final = 3.0
_SHARE: Final = 0.02
_FEWEST_CLEAN: Final = 7
_LOOKED_AT: Final = 28
_QUIET_DAYS: Final = 2


def excesses(
    registry: Registry, past: Sequence[ClosedDay], today: SiteDay, balances: Balances
) -> tuple[dict[str, Standing], list[tuple[str, Finding]]]:
    """The standing of every feeder (``feeder:<id>``), and what opened or closed, by master meter."""
    before = past[-1].standing if past else {}
    standing = {name: one for name, one in before.items() if name.startswith("feeder:")}
    findings = []
    for name, day in balances.days.items():
        was = standing.pop(f"feeder:{name}", None)
        limit = _limit(past, name, day.energy_kwh)
        named = any(feeder.id == name for feeder, _ in balances.attributed.values())
        over = limit is not None and day.excess_kwh > limit and not named
        now, lifecycle = _turn(was, day.excess_kwh, today, over=over)
        if now is not None:
            standing[f"feeder:{name}"] = now
        shown = now or was
        if lifecycle is not None and shown is not None:
            findings.append((registry.feeders[name].master, _finding(lifecycle, shown, name, day, limit, today)))
    return standing, findings


def _limit(past: Sequence[ClosedDay], feeder: str, energy_kwh: float) -> float | None:
    days = [one.feeders[feeder] for one in past[-_LOOKED_AT:] if feeder in one.feeders]
    excess = np.array([one.excess_kwh for one in days if one.clean])
    if len(excess) < _FEWEST_CLEAN:
        return None
    middle = float(np.median(excess))
    spread = 1.4826 * float(np.median(np.abs(excess - middle)))
    return middle + max(_DEVIATIONS * spread, _SHARE * energy_kwh)


def _turn(was: Standing | None, kwh: float, today: SiteDay, *, over: bool) -> tuple[Standing | None, Lifecycle | None]:
    """The standing after a day: the second day in a row opens it, the second quiet day closes it."""
    if over:
        if was is None:
            return Standing(today.starts_at, None, today.ends_at, 0, kwh, 0.0, kwh), None
        grown = replace(was, until=today.ends_at, quiet=0, kwh=was.kwh + kwh, kwh_high=was.kwh_high + kwh)
        return (grown, None) if was.opened_at else (replace(grown, opened_at=today.ends_at), "opened")
    if was is None or was.opened_at is None:
        return None, None
    if was.quiet + 1 >= _QUIET_DAYS:
        return None, "closed"
    return replace(was, quiet=was.quiet + 1), None


def _finding(
    lifecycle: Lifecycle, standing: Standing, feeder: str, day: FeederDay, limit: float | None, today: SiteDay
) -> Finding:
    return Finding(
        row=0,
        kind=KIND,
        lifecycle=lifecycle,
        part=feeder,
        started_at=float(standing.since),
        at=float(today.ends_at),
        severity="look",
        score=0.4,
        readings={},
        limits={"deviations": _DEVIATIONS, "share": _SHARE},
        facts={"excess_kwh": day.excess_kwh, "usual_kwh": limit or 0.0, "energy_kwh": day.energy_kwh},
        ruled_out=("technical_loss", "communication_gap"),
        energy=Energy(0.0, max(standing.kwh, 0.0), max(standing.kwh_high, 0.0)),
        ended_at=None if lifecycle == "opened" else float(standing.until),
    )
