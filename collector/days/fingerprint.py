"""Whose wiggles are in the residual: all meters of a feeder at once, over two weeks.

    wiggles of the residual = Σ bₘ · wiggles of xₘ + Σ cₘ · wiggles of (reversed xₘ − xₘ) + noise

An honest meter's wiggles are in the master's too and cancel, but for the marginal loss, which all share: b is the same
few percent for everybody. Who reports a fraction of its load has b near 1/fraction − 1; who reports readings that do
not follow the load has b near −1, for what it reported was never drawn. Ordinary least squares says how sure that
is: a weight counts only by how far it lies, in its standard errors, beyond what is allowed to anybody. Recent days
weigh more, and a day that does not show it ends it. This finds the small and steady, which the fit of whole shapes
leaves to noise; on one day it knows little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.days.balance import SHAPES, FeederReport
from collector.engine.fleet import Floats

DAYS: Final = 14

_FADES: Final = 0.85  # weight of a day against the day after  [OURS]
_ALLOWED: Final = {"share": 0.1, "noise": 0.35, "reversed": 0.35}  # weight that says nothing  [OURS]
_POSSIBLE: Final = {"share": 4.5, "noise": 1.6, "reversed": 1.6}  # weight beyond which it cannot be the truth  [OURS]
_LEAST_SURE: Final = 3.0  # standard errors beyond it  [OURS]
_FULLY_SURE: Final = 9.0
_REFUTED: Final = 2.5  # standard errors by which today may fall short of the two weeks  [OURS]
_FEWEST_DAYS: Final = 3
_SHARE, _REVERSED = SHAPES.index("share"), SHAPES.index("reversed")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One meter whose wiggles are in the residual."""

    meter: int  # row
    shape: str
    weight: float  # beyond what the loss gives everybody
    error: float
    sureness: float  # 0 … 1


def fingerprints(days: Sequence[FeederReport]) -> list[Fingerprint]:
    """The meters whose wiggles are in the residual of the last days, at most one shape each."""
    days = days[-DAYS:]
    if len(days) < _FEWEST_DAYS:
        return []
    meters = len(days[-1].counted)
    rows = np.r_[_SHARE * meters : (_SHARE + 1) * meters, _REVERSED * meters : (_REVERSED + 1) * meters]
    fade = np.repeat(np.sqrt(_FADES ** np.arange(len(days) - 1, -1, -1)), [day.valid.sum() for day in days])
    columns = np.concatenate([day.wiggles[rows][:, day.valid] for day in days], axis=1) * fade
    target = np.concatenate([day.residual_wiggles[day.valid] for day in days]) * fade
    norm = np.einsum("ij,ij->i", columns, columns)
    moves = norm > 1e-4 * max(float(np.median(norm)), 1e-12)
    weight, error, left = _least_squares(columns[moves], target)
    today = slice(len(target) - int(days[-1].valid.sum()), None)
    own = columns[moves][:, today]
    own_norm = np.einsum("ij,ij->i", own, own)
    then = weight + own @ left[today] / np.maximum(own_norm, 1e-12)  # the weight if only today counted
    doubt = float(np.sqrt(np.mean(left * left))) / np.sqrt(np.maximum(own_norm, 1e-12))
    both = np.full((4, len(rows)), np.nan)
    both[:, moves] = weight, error, then, doubt
    share, backwards = both[:, :meters], both[:, meters:]
    share[0] -= np.nanmedian(share[0])
    share[2] -= np.nanmedian(share[2])
    mirrored = share * np.array([[-1.0], [1.0], [-1.0], [1.0]])
    found: dict[int, Fingerprint] = {}
    for shape, (values, errors, today_values, today_errors) in (
        ("share", share),
        ("noise", mirrored),
        ("reversed", backwards),
    ):
        sure = (values - _ALLOWED[shape]) / errors
        possible = values - 2 * errors < _POSSIBLE[shape]
        refuted = today_values < values - _REFUTED * today_errors
        for meter in np.flatnonzero((sure > _LEAST_SURE) & possible & ~refuted).tolist():
            sureness = min(1.0, float((sure[meter] - _LEAST_SURE) / (_FULLY_SURE - _LEAST_SURE)))
            if meter not in found or found[meter].sureness < sureness:
                found[meter] = Fingerprint(meter, shape, float(values[meter]), float(errors[meter]), sureness)
    return list(found.values())


def _least_squares(columns: Floats, target: Floats) -> tuple[Floats, Floats, Floats]:
    """Weights, their standard errors and what they leave; ``columns`` is (weights, quarters)."""
    gram = columns @ columns.T
    gram[np.diag_indices_from(gram)] *= 1 + 1e-6
    inverse = np.linalg.inv(gram)
    weight: Floats = inverse @ (columns @ target)
    left = target - weight @ columns
    variance = float(left @ left) / max(len(target) - len(weight), 1)
    error: Floats = np.sqrt(variance * np.diag(inverse))
    return weight, error, left
