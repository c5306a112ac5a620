"""clock_offset 时钟超差 (3105): the meter's clock is more than 300 s off [FW]; it is right again at 240 s [OURS].

Not judged from 23:55 to 00:05 local time, when meters freeze their day and set their clocks [FW]. Two readings
must agree [OURS]. The offset comes as a quantity of its own, in seconds. While it is open, energy by tariff
period as the *meter* counts it (t1 … t4) is in the wrong period; ours follows the time of the gateway.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from pydantic import Field

from collector.checks.rules import WHOLE, EveryRowRules, Rule, RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.book import Pages
from collector.engine.frame import Frame
from collector.store.table import Mask, Rows
from metering.settings import Duration

KIND: Final = "clock_offset"

_MIDNIGHT_MINUTES: Final = 5


class ClockOffsetSettings(RuleSettings):
    """Limits of ``clock_offset``."""

    offset: Duration = Field(300.0, gt=0, description="Offset that it must exceed, ahead or behind. [FW]")
    clear_offset: Duration = Field(240.0, gt=0, description="Offset up to which the clock is right again. [OURS]")
    delay: Duration = Field(0.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(2, ge=1, description="Readings that must agree. [OURS]")


class ClockOffset(EveryRowRules):
    """Clocks that are wrong."""

    name = KIND

    def __init__(self, settings: ClockOffsetSettings) -> None:
        """Judge by these limits."""
        super().__init__((Rule(KIND, "look", settings, WHOLE, ("around_midnight",)),))
        self._clock = settings

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry the offset."""
        return KIND in frame.columns and "row_elapsed_ms" in frame.columns

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """Clocks that are off."""
        del pages
        found: Mask = np.abs(sight.column(KIND)) > self._clock.offset
        return found

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """Off, away from midnight."""
        del pages
        away = np.abs(near.column(KIND))
        known = ~np.isnan(away)
        for i in np.flatnonzero(known).tolist():
            known[i] = not _at_midnight(near, int(rows[i]), float(near.at[i]))
        verdicts.put(KIND, (away > self._clock.offset)[None], (away <= self._clock.clear_offset)[None], known[None])
        verdicts.score[:] = 0.5

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """The offset in minutes."""
        del pages, kind, phase
        return {"offset_minutes": float(near.column(KIND)[i]) / 60}


def _at_midnight(near: Sight, row: int, at_ms: float) -> bool:
    meter = near.fleet.series[int(near.frame.slots[row])].meter
    site = near.fleet.registry.site_of(meter)
    local = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(site.timezone if site else "UTC"))
    minutes = 60 * local.hour + local.minute + local.second / 60
    return minutes < _MIDNIGHT_MINUTES or minutes >= 24 * 60 - _MIDNIGHT_MINUTES
