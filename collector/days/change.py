"""consumption_change: the level of a meter has moved, and stays there.

    |ln(day / expected day)| > 0.35 with the same sign on seven days in a row                               [OURS]

A fact for those who serve the customer, not a suspicion: a new machine, fewer guests, another tenant. It starts on
the first of the seven days, and ends when three days in a row are as expected again: the load came back, or the new
level has become the usual one. What the registry announces (closure, change) and festivals are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from collector.checks.check import Finding, Lifecycle
from collector.days.day import ClosedDay, SiteDay, Standing
from collector.engine.fleet import Floats
from collector.store.table import Mask

KIND: Final = "consumption_change"

_MOVED: Final = 0.35  # ln units, about +42 % or -30 %
_BACK: Final = 0.2
_DAYS: Final = 7
_QUIET_DAYS: Final = 3
_PREFIX: Final = "change:"


def changes(
    past: Sequence[ClosedDay], today: SiteDay, log_ratio: Floats, silent: Mask
) -> tuple[dict[str, Standing], list[tuple[str, Finding]]]:
    """The standing of every meter (``change:<meter>``), and what opened or closed.

    Args:
        past: the closed days before.
        today: the day.
        log_ratio: by meter: ln(day / expected day), NaN = unknown: such a day changes nothing.
        silent: by meter: the registry or a festival explains the day.
    """
    before = past[-1].standing if past else {}
    standing = {name: one for name, one in before.items() if name.startswith(_PREFIX)}
    findings = []
    for row in np.flatnonzero(~np.isnan(log_ratio) & ~silent).tolist():
        meter = today.meters[row]
        key, ratio = _PREFIX + meter, float(log_ratio[row])
        was = standing.pop(key, None)
        now, lifecycle = _turn(was, ratio, today)
        if now is not None:
            standing[key] = now
        shown = now or was
        if lifecycle is not None and shown is not None:
            findings.append((meter, _finding(lifecycle, shown, ratio, today, row)))
    return standing, findings


def _turn(was: Standing | None, ratio: float, today: SiteDay) -> tuple[Standing | None, Lifecycle | None]:
    if was is None or was.opened_at is None:
        return _pending(was, ratio, today)
    if abs(ratio) > _BACK:
        return replace(was, until=today.ends_at, quiet=0), None
    if was.quiet + 1 < _QUIET_DAYS:
        return replace(was, quiet=was.quiet + 1), None
    return None, "closed"


def _pending(was: Standing | None, ratio: float, today: SiteDay) -> tuple[Standing | None, Lifecycle | None]:
    """Until it opens, ``quiet`` counts the days and ``highest`` holds the sum of their ratios."""
    if abs(ratio) <= _MOVED:
        return None, None
    if was is None or was.highest * ratio < 0:
        return Standing(today.starts_at, None, today.ends_at, quiet=1, highest=ratio), None
    grown = replace(was, until=today.ends_at, quiet=was.quiet + 1, highest=was.highest + ratio)
    if grown.quiet < _DAYS:
        return grown, None
    return replace(grown, opened_at=today.ends_at, quiet=0, highest=grown.highest / _DAYS), "opened"


def _finding(lifecycle: Lifecycle, standing: Standing, ratio: float, today: SiteDay, row: int) -> Finding:
    level = standing.highest if lifecycle == "opened" else ratio
    return Finding(
        row=row,
        kind=KIND,
        lifecycle=lifecycle,
        part="",
        started_at=float(standing.since),
        at=float(today.ends_at),
        severity="info",
        score=float(min(abs(standing.highest), 1.0)),
        readings={},
        limits={"ln_ratio": _MOVED, "days": float(_DAYS)},
        facts={"change_percent": 100 * float(np.expm1(level)), "reported_kwh": float(np.nansum(today.net[row]))},
        ruled_out=("announced_closure", "announced_change", "festival"),
        ended_at=None if lifecycle == "opened" else float(standing.until),
    )
