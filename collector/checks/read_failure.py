"""read_failure 抄表失败 (310F): a meter was asked in three rounds and gave nothing; one good read ends it [FW].

Where the line or the endpoint was down it is no matter of the meter: such rows count neither way. A meter that the
gateway leaves alone after repeated failures counts as failing, because that is why. A row that was read later from the
meter's load profile says nothing about whether the meter answered then.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from pydantic import Field

from collector.checks.rules import WHOLE, EveryRowRules, Rule, RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.book import Pages
from collector.engine.frame import Frame, failed
from collector.store.table import Mask, Rows
from metering.round import Origin, Quality
from metering.settings import Duration

KIND: Final = "read_failure"


class ReadFailureSettings(RuleSettings):
    """Limits of ``read_failure``."""

    delay: Duration = Field(0.0, ge=0, description="How long it must hold. [FW]")
    readings: int = Field(3, ge=1, description="Rounds in a row. [FW]")


class ReadFailure(EveryRowRules):
    """Meters that do not answer."""

    name = KIND

    def __init__(self, settings: ReadFailureSettings) -> None:
        """Judge by these limits."""
        super().__init__((Rule(KIND, "look", settings, WHOLE, ("bus_fault",), clear_readings=1),))

    def concerns(self, frame: Frame) -> bool:
        """Every live frame whose rows are in order."""
        return "row_elapsed_ms" in frame.columns and frame.origin is Origin.LIVE

    def screen(self, sight: Sight, pages: Pages) -> Mask:
        """Rows that failed."""
        del pages
        return failed(sight.frame.quality)

    def judge(self, near: Sight, rows: Rows, pages: Pages, verdicts: Verdicts) -> None:
        """Failed, and not because of the line."""
        del pages
        quality = near.frame.quality[rows]
        silent = failed(quality)
        line = (quality & np.uint32(int(Quality.LINK_DOWN))) != 0
        verdicts.put(KIND, silent[None], ~silent[None], ~line[None])
        verdicts.score[:] = 0.5

    def facts(self, near: Sight, pages: Pages, kind: str, phase: int, i: int) -> dict[str, float | str]:
        """The quality bits of the row."""
        del pages, kind, phase
        return {"quality": float(near.frame.quality[near.row(i)])}
