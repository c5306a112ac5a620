"""Mean apparent power of quarters of an hour, max(|P|, S) in kVA: what capacity is judged by.

Where readings come every few minutes, apparent power is integrated between them. Where they come more rarely, or too
much of a block was not read, the energy of the block decides: its mean power from the registers, times the S/P that
the readings of the block showed. A block of which neither covers enough stays unknown. [OURS]

Later checks of the frame find, where a block ended, its end ``kva_end`` (ms), its ``kva`` and its energy ``kva_kwh``;
the last two are NaN where it is unknown.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.checks.check import Step
from collector.checks.interval import USUAL, is_gap, learn
from collector.checks.load_block import ended_blocks
from collector.checks.register_difference import EXPORT, IMPORT
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.engine.state import zero_where_unknown
from collector.store.table import Mask
from collector.tariff.calendar import BLOCK_MS, block_of

_OFTEN_MS: Final = BLOCK_MS / 3  # readings that come more rarely are no fair sample of a block's power  [OURS]
_BLOCKS_PER_HOUR: Final = 3_600_000 / BLOCK_MS
_FURTHEST: Final = 5.0  # S/P of a power factor of 0.2: beyond it the readings say nothing about the block  [OURS]


class ApparentPower:
    """Means of blocks."""

    name = "apparent_power"
    fields = ("block", "kva_ms", "kw_ms", "covered_ms", "last_at", "last_kva", "last_kw", *USUAL)

    def __init__(self, observed: float) -> None:
        """Judge blocks of which this share has been observed."""
        self._observed = observed

    def concerns(self, frame: Frame) -> bool:
        """Frames that carry active power."""
        return "active_power" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:  # noqa: ARG002 - no rating is needed
        """Integrate; derive the mean of a block when it ends."""
        kw, kva = _magnitudes(frame)
        last_at = state[4]
        usable = ~np.isnan(kva) & ~(frame.at <= last_at)
        elapsed = frame.at - last_at
        between = usable & ~np.isnan(last_at)
        joined = between & ~is_gap(elapsed, state[7:])
        mean_kva, mean_kw = (state[5] + kva) / 2, (state[6] + kw) / 2
        block = block_of(frame.at)
        ended = usable & (block > state[0])
        zero_where_unknown(state[1:4])
        derived: dict[str, Floats] = {}
        if ended.any():
            # The interval that crosses the edge belongs to both blocks, each its part.
            edge = (state[0] + 1) * BLOCK_MS
            _add(state, mean_kva, mean_kw, np.where(joined, np.where(ended, edge - last_at, elapsed), 0.0))
            derived = _ended(frame, state, ended, self._observed)
            state[1:4, ended] = 0.0
            following = ended & joined & (block == state[0] + 1)
            _add(state, mean_kva, mean_kw, np.where(following, frame.at - edge, 0.0))
        else:
            _add(state, mean_kva, mean_kw, np.where(joined, elapsed, 0.0))
        state[7:] = learn(elapsed, state[7:], between)
        state[0] = np.where(usable, block, state[0])
        state[4:7] = np.where(usable, np.stack([frame.at, kva, kw]), state[4:7])
        return Step(state, derived=derived)


def _magnitudes(frame: Frame) -> tuple[Floats, Floats]:
    """|P| and max(|P|, S), with S from Q where the meter has no register for it; kW, kVA."""
    active = np.abs(frame.columns["active_power"])
    apparent, reactive = frame.values("apparent_power"), frame.values("reactive_power")
    found = active
    if reactive is not None:
        found = np.sqrt(active * active + np.where(np.isnan(reactive), 0.0, reactive * reactive))
    if apparent is not None:
        found = np.where(np.isnan(apparent), found, np.fmax(active, np.abs(apparent)))
    return active, np.where(np.isnan(active), np.nan, found)


def _add(state: Floats, kva: Floats, kw: Floats, span_ms: Floats) -> None:
    covers = span_ms > 0
    state[1] += np.where(covers, kva * span_ms, 0.0)
    state[2] += np.where(covers, kw * span_ms, 0.0)
    state[3] += np.where(covers, span_ms, 0.0)


def _ended(frame: Frame, state: Floats, ended: Mask, observed: float) -> dict[str, Floats]:
    """The blocks that ended: from readings, from registers, or unknown."""
    kva_ms, kw_ms, covered_ms = state[1:4]
    seen = np.where(covered_ms >= observed * BLOCK_MS, covered_ms, np.nan)
    kva, kwh = kva_ms / seen, kw_ms / seen / _BLOCKS_PER_HOUR
    counted = _counted_kwh(frame, state[0], observed)
    rarely = ~(np.maximum(state[7], state[8]) <= _OFTEN_MS)
    better = ~np.isnan(counted) & (rarely | np.isnan(kva))
    if better.any():
        ratio = np.where(kw_ms > 0, np.clip(kva_ms / kw_ms, 1.0, _FURTHEST), 1.0)
        kva = np.where(better, counted * _BLOCKS_PER_HOUR * ratio, kva)
        kwh = np.where(better, counted, kwh)
    return {
        "kva_end": np.where(ended, (state[0] + 1) * BLOCK_MS, np.nan),
        "kva": np.where(ended, kva, np.nan),
        "kva_kwh": np.where(ended, kwh, np.nan),
    }


def _counted_kwh(frame: Frame, block: Floats, observed: float) -> Floats:
    """kWh that the registers counted in a block, import and export alike; NaN where too little of it was measured."""
    found = np.full(len(frame), np.nan)
    for register in (IMPORT, EXPORT):
        blocks = ended_blocks(frame, register)
        if blocks is None:
            continue
        same = (blocks.block == block[blocks.row]) & (blocks.covered >= observed)
        row = blocks.row[same]
        found[row] = np.nan_to_num(found[row]) + blocks.energy[same] / blocks.spanned[same]
    return found
