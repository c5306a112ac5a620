"""What a meter's own past says about its day: drop, shape, night, flat, inverted, zero-run, noise.

Each signal is a strength from 0 to 1. They describe behaviour, and behaviour has a hundred honest reasons: **alone they
never rise above "look"**. They matter beside the balance of the feeder, an opened cover or an electrical finding.

    drop       ln(day / expected), less what the peers of the trade did that day, in robust deviations; only down
    night      the share of the night hours fell while that of the day stayed
    zero_run   quarters at zero where load is expected, more than this meter ever had
    flat       the day varies less than a tenth as much as it is expected to
    inverted   the reversed day fits what is expected better than the day itself
    shape      correlation with what is expected, against this meter's own
    noise      quarter-to-quarter jumps three times those this meter is known for

[OURS], after the attack types of Jokar 2016; limits set on simulated parks.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.days.balance import smooth
from collector.days.day import QUARTERS
from collector.days.expected import History
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows

SIGNALS: Final = ("drop", "night", "zero_run", "flat", "inverted", "shape", "noise")

_WEIGHTS: Final = np.array([0.5, 0.3, 0.7, 0.8, 0.8, 0.4, 0.7])
_NIGHT: Final = slice(0, 24)  # 00:00–06:00
_FEWEST_PEERS: Final = 8
_SPREAD_FLOOR: Final = 0.12  # ln units: nobody is as regular as a short history looks
_LEAST_DROP: Final = 0.16  # ln units, about 15 %
_FEWEST_QUARTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The signals of all meters of a day; rows as in ``SiteDay.meters``."""

    strengths: Floats  # (signals, meters)
    log_ratio: Floats  # (meters,) ln(day / expected), NaN = unknown
    known: Mask  # (meters,) whether anything could be said

    @property
    def oddness(self) -> Floats:
        """All signals as one strength, 0 … 1, shape (meters,)."""
        weighted = _WEIGHTS[:, None] * self.strengths
        found: Floats = 1.0 - np.prod(1.0 - weighted, axis=0)
        return found

    def parts(self, meter: int) -> dict[str, float]:
        """The signals of one meter that speak."""
        return {name: round(float(s), 3) for name, s in zip(SIGNALS, self.strengths[:, meter], strict=True) if s > 0}


def behaviour(net: Floats, measured: Mask, expected: Floats, history: History, trades: Rows) -> Behaviour:
    """Compare a day with what was expected of it.

    Args:
        net: kWh by quarter, shape (meters, 96).
        measured: where it was read.
        expected: what was expected, NaN where unknown.
        history: the closed days before.
        trades: trade of each meter as a number; peers share it.
    """
    read = measured & ~np.isnan(net)
    enough = read.sum(axis=1) >= _FEWEST_QUARTERS
    known = enough & ~np.isnan(expected).any(axis=1) & (expected.sum(axis=1) > 0)
    usual = np.where(known[:, None], expected, 1.0)
    counted = np.where(known[:, None], _completed(net, read, usual), 1.0)
    ratio = np.log(np.maximum(counted.sum(axis=1), 1e-3) / np.maximum(usual.sum(axis=1), 1e-3))
    ratio = np.where(known, ratio, np.nan)
    spread, past_noise, past_zeros = _past(history)
    strengths = np.stack(
        [
            _drop(ratio - _of_peers(ratio, trades), spread),
            _night(counted, usual),
            _zero_run(counted, usual, past_zeros),
            _flat(counted, usual),
            *_fits(counted, usual),
            np.clip((_jumps(counted) / np.maximum(past_noise, 0.02) - 2.0) / 2.0, 0, 1),
        ]
    )
    return Behaviour(np.where(known, np.nan_to_num(strengths), 0.0), ratio, known)


def _completed(net: Floats, read: Mask, usual: Floats) -> Floats:
    """The day with quarters that were not read as they usually are, at the level of the others: a gap says nothing."""
    before = np.where(read, usual, 0.0).sum(axis=1, keepdims=True)
    level = np.where(read, net, 0.0).sum(axis=1, keepdims=True) / np.where(before > 0, before, 1.0)
    return np.where(read, net, usual * np.where(before > 0, level, 1.0))


def _past(history: History) -> tuple[Floats, Floats, Floats]:
    """Spread of the day, jumps and zero quarters that each meter is known for, shape (meters,)."""
    meters = len(history.meters)
    if not len(history.days):
        return np.full(meters, _SPREAD_FLOOR), np.full(meters, np.inf), np.full(meters, float(QUARTERS))
    learns = history.learns[-28:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # meters without a past
        ratio = np.where(learns, history.log_ratio[-28:], np.nan)
        spread = 1.4826 * np.nanmedian(np.abs(ratio - np.nanmedian(ratio, axis=0)), axis=0)
        net = np.where(learns[:, :, None], history.net[-28:], np.nan)
        jumps = np.nanquantile(_jumps(net), 0.8, axis=0)
        zeros = np.nanmax(np.where(learns, _zeros(net).sum(axis=2), np.nan), axis=0)
    return np.fmax(spread, _SPREAD_FLOOR), np.where(np.isnan(jumps), np.inf, jumps), np.nan_to_num(zeros, nan=QUARTERS)


def _of_peers(ratio: Floats, trades: Rows) -> Floats:
    """What the peers of each meter's trade did: their median, or that of the site where peers are few."""
    known = ~np.isnan(ratio)
    site = float(np.median(ratio[known])) if known.sum() >= _FEWEST_PEERS else 0.0
    common = np.full(len(ratio), site)
    for trade in np.unique(trades):
        peers = (trades == trade) & known
        if peers.sum() >= _FEWEST_PEERS:
            common[trades == trade] = np.median(ratio[peers])
    return common


def _drop(ratio: Floats, spread: Floats) -> Floats:
    strength: Floats = np.clip((-ratio / spread - 2.0) / 4.0, 0, 1)
    return np.where(ratio < -_LEAST_DROP, strength, 0.0)


def _night(counted: Floats, usual: Floats) -> Floats:
    """Night share against the usual one; only where nights usually carry load."""
    share = counted[:, _NIGHT].sum(axis=1) / np.maximum(counted.sum(axis=1), 1e-9)
    before = usual[:, _NIGHT].sum(axis=1) / np.maximum(usual.sum(axis=1), 1e-9)
    strength: Floats = np.clip((0.5 - share / np.maximum(before, 1e-9)) / 0.4, 0, 1)
    return np.where(before > 0.04, strength, 0.0)  # noqa: PLR2004 - a tenth of an even night says nothing


def _zeros(net: Floats) -> Mask:
    found: Mask = np.abs(net) < 0.02 * np.maximum(np.abs(net).mean(axis=-1, keepdims=True), 1e-6)
    return found


def _zero_run(counted: Floats, usual: Floats, past: Floats) -> Floats:
    where = _zeros(counted) & (usual > 0.3 * usual.mean(axis=1, keepdims=True))
    strength: Floats = np.clip((where.sum(axis=1) - past - 3) / 8.0, 0, 1)
    return strength


def _flat(counted: Floats, usual: Floats) -> Floats:
    varies = counted.std(axis=1) / np.maximum(counted.mean(axis=1), 1e-6)
    varied = usual.std(axis=1) / np.maximum(usual.mean(axis=1), 1e-6)
    strength: Floats = np.clip((0.2 - varies / np.maximum(varied, 0.05)) / 0.15, 0, 1)
    return np.where(counted.mean(axis=1) > 0.02, strength, 0.0)  # noqa: PLR2004 - a closed shop is flat too


def _fits(counted: Floats, usual: Floats) -> tuple[Floats, Floats]:
    """Strengths of ``inverted`` and ``shape``."""
    straight, reversed_ = _correlation(counted, usual), _correlation(counted[:, ::-1], usual)
    itself = _correlation(usual[:, ::-1], usual)
    inverted: Floats = np.clip((reversed_ - straight - 0.15) / 0.4, 0, 1) * (itself < 0.9)  # noqa: PLR2004
    shape: Floats = np.clip((0.5 - straight) / 0.5, 0, 1)
    return inverted, shape


def _correlation(one: Floats, other: Floats) -> Floats:
    one, other = smooth(one), smooth(other)
    one, other = one - one.mean(axis=1, keepdims=True), other - other.mean(axis=1, keepdims=True)
    norm = np.sqrt((one * one).sum(axis=1) * (other * other).sum(axis=1))
    found: Floats = (one * other).sum(axis=1) / np.maximum(norm, 1e-9)
    return found


def _jumps(net: Floats) -> Floats:
    """Mean jump from quarter to quarter in parts of the mean, over the last axis."""
    mean = np.maximum(np.abs(net).mean(axis=-1), 1e-6)
    found: Floats = np.abs(np.diff(net, axis=-1)).mean(axis=-1) / mean
    return found
