"""One score per meter and day from all that speaks for and against it, and when it becomes a finding.

    score = 1 − (1 − balance) · (1 − w · oddness) · (1 − v · mean balance of the last five days)

``balance`` is what the feeder's balance attributes to the meter; ``oddness`` what its own past says. The weight w of
the past alone is 0.4: below the limit of a finding, however odd a day is. It is less where the balance of the feeder
closes (the energy was measured, the shop only lives differently), and more for two weeks after a cover was opened
or a magnet was near. The memory v is one half, less on a day on which the feeder closes without the meter. [OURS]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.check import Energy, Finding, Lifecycle
from collector.days.consumption import Behaviour
from collector.days.day import SiteDay, Standing
from collector.days.feeder_balances import Balances
from collector.engine.fleet import Floats
from metering.settings import Settings

KIND: Final = "consumption_suspect"

_ALONE: Final = 0.4
_BESIDE_AN_OPEN_BALANCE: Final = 0.3
_BALANCE_CLOSES: Final = 0.15
_TOUCHED: Final = 0.75
_MEMORY_DAYS: Final = 5
_MEMORY: Final = 0.5
_MEMORY_REFUTED: Final = 0.2  # today the feeder closes without the meter


class SuspicionSettings(Settings):
    """When a suspicion becomes a finding."""

    limit: float = Field(0.55, gt=0, le=1, description="Score from which a finding opens. [OURS]")
    clear: float = Field(0.3, ge=0, le=1, description="Score below which a day counts as quiet. [OURS]")
    quiet_days: int = Field(2, ge=1, description="Quiet days after which the finding closes. [OURS]")


def behaves_oddly(own: Behaviour, past: Floats) -> Floats:
    """How odd a meter's behaviour is, today and lately, 0 … 1; ``past`` is (days, meters), NaN = unknown."""
    remembered = 0.5 * memory(past)
    found: Floats = np.where(own.known, 1 - (1 - own.oddness) * (1 - remembered), remembered)
    return found


def memory(balance: Floats) -> Floats:
    """Mean balance of the last days that were judged; ``balance`` is (days, meters), NaN = not judged."""
    recent = balance[-_MEMORY_DAYS:]
    judged = ~np.isnan(recent)
    mean: Floats = np.nan_to_num(recent).sum(axis=0) / np.maximum(judged.sum(axis=0), 1)
    return mean


def weight(*, balanced: bool, closes: bool, touched: bool) -> float:
    """How much the meter's own past counts."""
    if touched:
        return _TOUCHED
    if not balanced:
        return _ALONE
    return _BALANCE_CLOSES if closes else _BESIDE_AN_OPEN_BALANCE


def fused(balances: Balances, oddness: Floats, weights: Floats, remembered: Floats) -> Floats:
    """The score of each meter."""
    faith = np.where(balances.closes, _MEMORY_REFUTED, _MEMORY)
    score: Floats = 1 - (1 - np.nan_to_num(balances.score)) * (1 - weights * oddness) * (1 - faith * remembered)
    return score


def advance(
    before: Standing | None, score: float, limits: SuspicionSettings, day: SiteDay, kwh: tuple[float, float, float]
) -> tuple[Standing, Lifecycle | None]:
    """The standing of a meter after a judged day, and whether that opened or closed a finding.

    Args:
        before: its standing at the end of the day before, if something was open; else the score reaches the limit.
        score: of the day.
        limits: settings in force.
        day: the day.
        kwh: missing that day: low, best, high.
    """
    low, best, high = kwh
    if before is None:
        return Standing(day.starts_at, day.ends_at, day.ends_at, 0, best, low, high, score), "opened"
    quiet = before.quiet + 1 if score < limits.clear else 0
    after = replace(
        before,
        until=day.ends_at if score >= limits.limit else before.until,
        quiet=quiet,
        kwh=before.kwh + best,
        kwh_low=before.kwh_low + low,
        kwh_high=before.kwh_high + high,
        highest=max(before.highest, score),
    )
    return after, "closed" if quiet >= limits.quiet_days else None


def finding(
    lifecycle: Lifecycle,
    standing: Standing,
    limits: SuspicionSettings,
    today: SiteDay,
    row: int,
    balances: Balances,
    own: Behaviour,
    expected: Floats,
) -> Finding:
    """The finding about the meter in one row of a day, with all that speaks for it."""
    facts: dict[str, float | str] = {
        "reported_kwh": float(np.nansum(today.net[row])),
        "expected_kwh": float(np.nansum(expected)),
        "feeder": "-",
        "shape": "-",
    }
    ruled_out = ["announced_closure", "communication_gap", "holiday"]
    if row in balances.attributed:
        feeder, found = balances.attributed[row]
        ruled_out += ["technical_loss", "other_meters_of_the_feeder"]
        facts |= {
            "feeder": feeder.id,
            "shape": found.shape,
            "missing_kwh": found.kwh,
            "missing_percent": 100 * found.missing,
            "explained_percent": 100 * found.share,
        }
    facts |= {f"signal_{name}": strength for name, strength in own.parts(row).items()}
    return Finding(
        row=row,
        kind=KIND,
        lifecycle=lifecycle,
        part="",
        started_at=float(standing.since),
        at=float(today.ends_at),
        severity="inspect",
        score=standing.highest,
        readings={},
        limits={"score": limits.limit, "clear": limits.clear},
        facts=facts,
        ruled_out=tuple(ruled_out),
        energy=Energy(max(standing.kwh_low, 0.0), max(standing.kwh, 0.0), max(standing.kwh_high, 0.0)),
        ended_at=None if lifecycle == "opened" else float(standing.until),
    )
