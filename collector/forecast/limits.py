"""The capacity in force on a day to come, and how an expected peak stands to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.checks.capacity import limit_in_force
from collector.days.day import ClosedDay
from collector.engine.fleet import Fleet, Floats
from collector.forecast.past import Past, median
from collector.store.table import Mask
from collector.tariff.calendar import BLOCK_MS, LocalDay

ASSUMED_POWER_FACTOR: Final = 0.9  # where reactive energy is not read  [OURS]

_FACTOR_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Tightest:
    """The block of a day at which an expected peak comes nearest to the limit, or lies furthest above it."""

    block: int  # from the first of the day
    share: float  # expected / limit at that block
    limit_kva: float


def limits_of_day(fleet: Fleet, slot: int, contract_kva: float, day: LocalDay) -> Floats:
    """The limit in force in each block of a local day, kVA: the contract, or what is approved."""
    starts = np.arange(day.first, day.end, dtype=np.float64) * BLOCK_MS
    slots = np.full(len(starts), slot, np.intp)
    return limit_in_force(fleet, slots, starts, np.full(len(starts), contract_kva))[0]


def tightest(kva: Floats, limits: Floats) -> Tightest:
    """Where the blocks of a day (kVA) stand against their limits."""
    share = np.nan_to_num(kva / limits)
    block = int(np.argmax(share))
    return Tightest(block, float(share[block]), float(limits[block]))


def power_factors(days: Sequence[ClosedDay], past: Past) -> tuple[Floats, Mask]:
    """Power factor of each meter, and where it had to be assumed: the median of the last two weeks, where known."""
    found = np.full((_FACTOR_DAYS, len(past.meters)), np.nan)
    last = len(days) - 1
    for n, i in enumerate(range(last, max(last - _FACTOR_DAYS, -1), -1)):
        factor = days[i].power_factor
        if factor is not None:
            found[n] = past.lined_up(i, factor)
    usual = median(found)
    known = ~np.isnan(usual)
    return np.where(known, usual.round(3), ASSUMED_POWER_FACTOR), ~known


def hour(day: LocalDay, block: int) -> str:
    """The local time at which a block of a day starts."""
    quarter = int(day.quarters[block])
    return f"{quarter // 4:02d}:{quarter % 4 * 15:02d}"


def assumption(assumed: bool) -> dict[str, str]:
    """What a sentence says of a power factor that was not read, by language."""
    factor = f"{ASSUMED_POWER_FACTOR:.2f}"
    if not assumed:
        return {"assumed_zh": "", "assumed_en": ""}
    return {
        "assumed_zh": f"（功率因数未抄读，按 {factor} 计）",
        "assumed_en": f" (power factor not read, taken as {factor})",
    }
