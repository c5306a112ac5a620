"""current_loss 失流 (3004): a phase has its voltage but no current, while the others carry their usual load.

    U > 70 % Un  and  I < 0.5 % Ib  and  the others ≥ 5 % Ib on average            recover: I > 5 % Ib      [FW]

断流 (3006) is the same condition: the firmware gives both one current limit, and asks of 断流 only U > 60 %. Where the
voltage is above 70 % every 断流 with load elsewhere is a 失流; between 60 and 70 % the voltage is what has to be looked
at, and ``undervoltage`` and ``voltage_loss`` say so. So 断流 is folded in, and the figures carry both codes.

An open current transformer and a removed link look like that; so does a shop at night whose only load hangs on one
phase. Gates keep the shop out [OURS]: the phase has carried load before; the other phases carry at least half of what
they usually do when this one carries load too; the condition holds for an hour and three readings (the
firmware's 60 s are one reading), longer on a phase that is unsteady or at hours at which it often carries nothing
(``phase_usual``); and twice as long as the phase was ever seen idle and came back by itself. While the others carry
little nothing is learnt from the phase, neither for nor against it.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from collector.checks.phase_usual import NO_CURRENT, PhaseUsual
from collector.checks.rules import RuleSettings, Verdicts
from collector.checks.sight import Sight
from collector.engine.fleet import Floats
from collector.store.table import Mask
from metering.settings import Duration

KIND = "current_loss"


class CurrentLossSettings(RuleSettings):
    """Limits of ``current_loss``."""

    voltage: float = Field(0.70, gt=0, description="Share of the nominal voltage that must be present. [FW]")
    current: float = Field(NO_CURRENT, gt=0, description="Share of the base current below which there is none. [FW]")
    load: float = Field(0.05, gt=0, description="Share of the base current that counts as load. [FW]")
    usual: float = Field(0.5, gt=0, description="Share of their usual current the other phases must carry. [OURS]")
    idle: float = Field(2.0, ge=0, description="Multiple of the longest idle time seen that it must last. [OURS]")
    delay: Duration = Field(3600.0, ge=0, description="How long it must hold at least; the firmware says 60 s. [OURS]")
    readings: int = Field(3, ge=1, description="Readings that must agree. [OURS]")
    loaded_quarters: int = Field(
        5, ge=1, description="Quarters of an hour with load a phase must have had before. [OURS]"
    )


def could_be(limits: CurrentLossSettings, sight: Sight) -> Mask:
    """Rows at which a phase could have lost its current."""
    idle = sight.lowest_a < limits.current * sight.base_a
    found: Mask = idle & (sight.highest_a >= limits.load * sight.base_a)
    return found


def judge(
    limits: CurrentLossSettings, near: Sight, usual: PhaseUsual, complete: Mask, delay_ms: Floats, verdicts: Verdicts
) -> None:
    """No current where the others carry what they usually do."""
    others = (near.total_a - near.current) / 2
    load_a = limits.load * near.base_a
    energised = near.voltage > limits.voltage * near.nominal_v
    lost = energised & (near.current < limits.current * near.base_a) & (others >= load_a)
    trigger = lost & usual.judged(limits.loaded_quarters) & (others >= limits.usual * usual.others)
    clear = near.current >= load_a
    lanes = verdicts.put(KIND, trigger, clear, complete & (trigger | clear))
    verdicts.missing_kw[lanes] = near.voltage * np.maximum(others - near.current, 0.0) * near.power_factor / 1000
    verdicts.score[lanes] = 0.7 + 0.3 * np.clip(others / np.maximum(usual.others, 0.001), 0.0, 1.0)
    verdicts.delay_ms[lanes] = usual.delay_ms(delay_ms, limits.idle * usual.idle_ms)
