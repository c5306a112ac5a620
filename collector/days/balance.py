"""The balance of a feeder: what its master counts beyond its meters and the loss, and which meter it belongs to.

    residual[q] = master[q] − Σ meters[q] − (a·mean + b·master[q] + c·master[q]²/mean)             q: quarters

The loss (a fixed share, line loss, copper loss) is fitted with non-negative coefficients and a prior from clean
days. What an honest meter draws cancels out of the residual to the last machine that is switched on; what a meter
does not count stays in it with that meter's own fingerprint. So the residual is explained by few *shapes*, each
made of one meter's own readings, with non-negative weights (non-negative least squares, shapes taken in greedily):

    share     x            every reading is a fraction of the truth
    noise     e − x        readings that do not follow the load: what is expected less what was reported
    reversed  x(−q) − x    the day told backwards
    zeros     e in the quarters reported as zero
    flat      e − x, where the report is as good as constant

A shape has to fit in the large *and* in its fast wiggles (less a moving mean over seven quarters): another shop
with the same hours has the same large shape, but never the same wiggles. A week's residual says who, the day's
residual says whether it happened today. Quarters in which any meter was not read are left out.

Idea after Yip 2017 (regression of the shortfall on the meters' readings) and Zheng 2019 (shape against shortfall);
the fingerprint test is ours. All limits [OURS], set on simulated parks: no field data has been seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.days.day import QUARTERS
from collector.engine.fleet import Floats
from collector.store.table import Mask, Rows

SHAPES: Final = ("share", "noise", "reversed", "zeros", "flat")

_LEAST: Final = np.array([0.08, 0.3, 0.5, 0.3, 0.3])  # weight below which a shape means nothing
_MOST: Final = np.array([9.0, 1.6, 1.6, 3.0, 3.0])  # weight above which it cannot be the truth
_FLAT: Final = SHAPES.index("flat")
_SURE: Final = 3.0  # standard errors by which the wiggles of a shape must be there
_SMOOTH: Final = 7  # quarters of the moving mean that parts shape from wiggles
_FEWEST_QUARTERS: Final = 32
_WEEK: Final = 7
_LOSS_GUESS: Final = np.array([0.0, 0.04, 0.0])  # before anything was learnt
_WIGGLE_FLOOR: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Attribution:
    """What one meter did not count today, as the balance sees it."""

    meter: int  # row
    shape: str
    weight: float
    kwh: float  # missing today
    spread_kwh: float  # one standard error of it
    share: float  # of the residual, that this shape alone explains today
    week_share: float | None  # the same over a week; None if the week does not name the meter
    missing: float  # |missing| / (|missing| + counted)


@dataclass(frozen=True, slots=True)
class Balance:
    """The balance of one feeder and day."""

    loss: Floats  # the three coefficients
    noise_kwh: float
    excess_kwh: float  # beyond the loss as it used to be
    attributions: tuple[Attribution, ...]
    named: tuple[int, ...]  # meters the week names and the day does not

    @property
    def clean(self) -> bool:
        """Whether the loss explains everything."""
        return not self.attributions and not self.named


@dataclass(frozen=True, slots=True)
class FeederReport:
    """One day of a feeder, ready for the fit."""

    master: Floats  # (quarters,)
    counted: Floats  # (meters, quarters)
    residual: Floats  # (quarters,) before loss; 0 where not valid
    residual_wiggles: Floats  # the same, less its moving mean
    losses: Floats  # (quarters, 3)
    shapes: Floats  # (5 · meters, quarters)
    wiggles: Floats  # the same, less their moving mean
    valid: Mask

    @property
    def scale(self) -> float:
        """Mean load of the feeder, kWh a quarter."""
        return float(self.master[self.valid].mean())


def report(master: Floats, counted: Floats, expected: Floats, typical: Floats, measured: Mask) -> FeederReport | None:
    """Prepare one day of a feeder, or ``None`` if too little of it was read.

    Args:
        master: kWh by quarter, shape (96,).
        counted: kWh of its meters, import less export, shape (meters, 96).
        expected: what was expected of them, NaN where unknown.
        typical: what their trade draws, as shares of a day: stands in where nothing is expected yet.
        measured: where master and meter were read, shape (1 + meters, 96), the master first.
    """
    valid = measured.all(axis=0) & ~np.isnan(master) & ~np.isnan(counted).any(axis=0)
    if valid.sum() < _FEWEST_QUARTERS or not master[valid].mean() > 0:
        return None
    master, counted = _filled(master[None], valid)[0], _filled(counted, valid)
    shapes = _shapes(counted, expected, typical)
    mean = float(master[valid].mean())
    losses = np.stack([np.full(QUARTERS, mean), master, master * master / mean], axis=1)
    residual = master - counted.sum(axis=0)
    wiggles = shapes - smooth(shapes)
    for matrix in (shapes, wiggles):
        matrix[:, ~valid] = 0.0
    residual_wiggles = residual - smooth(residual[None])[0]
    residual[~valid] = 0.0
    losses[~valid] = 0.0
    return FeederReport(master, counted, residual, residual_wiggles, losses, shapes, wiggles, valid)


def balance(days: Sequence[FeederReport], prior: Floats | None, noise_kwh: float | None) -> Balance:
    """Explain the residual of the last of ``days`` (at most a week, the same meters in all).

    Args:
        days: reports up to today.
        prior: loss of clean days, ``None`` before there were any.
        noise_kwh: residual of a quarter on clean days, one standard deviation.
    """
    today = days[-1]
    floor = 0.004 * today.scale + 0.01
    sigma = max(floor, noise_kwh or 0.0)
    one = _Fit([today], prior, sigma)
    by_day = one.explain(least_z=60.0, least_share=0.2, most=6)
    by_week: dict[int, _Found] = {}
    if len(days) > 1:
        by_week = _Fit(days[-_WEEK:], prior, sigma).explain(least_z=90.0, least_share=0.06, most=8)
    suspects = np.array(sorted(set(by_day) | set(by_week)), np.intp)
    both = one.explain(least_z=20.0, least_share=0.03, most=8, among=suspects) if len(suspects) else {}
    attributions = []
    for meter, found in both.items():
        if meter not in by_day and meter not in by_week:
            continue
        missing = today.shapes[found.row] * found.weight
        counted = float(np.abs(today.counted[meter]).sum())
        amount = float(np.abs(missing).sum())
        attributions.append(
            Attribution(
                meter=meter,
                shape=SHAPES[found.family],
                weight=found.weight,
                kwh=float(missing.sum()),
                spread_kwh=abs(float(today.shapes[found.row].sum())) * found.error,
                share=float(found.share),
                week_share=by_week[meter].share if meter in by_week else None,
                missing=amount / (amount + counted) if amount else 0.0,
            )
        )
    named = tuple(meter for meter in by_week if meter not in both)
    loss, residual = one.without_shapes() if not both else one.with_shapes([f.row for f in both.values()])
    usual = _LOSS_GUESS if prior is None else prior
    excess = float((today.residual - today.losses @ usual).sum())
    noise = float(1.4826 * np.median(np.abs(residual[today.valid])))
    return Balance(loss, noise, excess, tuple(attributions), named)


@dataclass(frozen=True, slots=True)
class _Found:
    row: int  # of the matrix of shapes
    family: int
    weight: float
    error: float  # of the weight
    share: float  # of what is left without it


class _Fit:
    """Non-negative least squares of some days' residual on loss and chosen shapes."""

    def __init__(self, days: Sequence[FeederReport], prior: Floats | None, sigma: float) -> None:
        self._sigma = sigma
        self._days = len(days)
        self._residual = np.concatenate([day.residual for day in days])
        self._losses = np.concatenate([day.losses for day in days])
        self._shapes = np.concatenate([day.shapes for day in days], axis=1)
        self._wiggles = np.concatenate([day.wiggles for day in days], axis=1)
        self._valid = np.concatenate([day.valid for day in days])
        meters = len(days[-1].counted)
        self._meter = np.tile(np.arange(meters), len(SHAPES))
        self._family = np.repeat(np.arange(len(SHAPES)), meters)
        # The prior is a few rows more: a loss that differs from it costs as much as a residual does.
        strength = (0.7 if prior is None else 3.0) * np.sqrt(len(self._residual)) * 0.1 * days[-1].scale
        self._prior_rows = strength * np.eye(3)
        self._prior = strength * (_LOSS_GUESS if prior is None else prior)
        basis, _ = np.linalg.qr(self._losses)
        self._basis = basis
        free = self._shapes - (self._shapes @ basis) @ basis.T
        self._free = free
        self._norm = np.einsum("ij,ij->i", free, free)
        self._wiggle_norm = np.maximum(np.einsum("ij,ij->i", self._wiggles, self._wiggles), _WIGGLE_FLOOR)

    def without_shapes(self) -> tuple[Floats, Floats]:
        """Loss and what it leaves."""
        return self.with_shapes([])

    def with_shapes(self, rows: Sequence[int]) -> tuple[Floats, Floats]:
        """Loss and what it and these shapes leave."""
        weights, left = self._solve(rows)
        return weights[:3], left

    def explain(self, *, least_z: float, least_share: float, most: int, among: Rows | None = None) -> dict[int, _Found]:
        """The shapes that explain the residual, at most one a meter, by meter."""
        chosen: list[int] = []
        weights, left = self._solve(chosen)
        open_to = np.ones(len(self._meter), np.bool_) if among is None else np.isin(self._meter, among)
        for _ in range(most):
            gain, total = self._gain(left)
            gain[~open_to] = 0.0
            best = int(gain.argmax())
            if gain[best] < least_z * self._sigma**2 or gain[best] < least_share * total:
                break
            chosen.append(best)
            open_to &= self._meter != self._meter[best]
            weights, left = self._solve(chosen)
        found = {}
        rest = float(left @ left)
        for n, row in enumerate(chosen):
            _, without = self._solve([other for other in chosen if other != row])
            gained = float(without @ without) - rest
            noise = max(self._sigma, float(np.sqrt(rest / max(self._valid.sum(), 1))))
            error = noise / float(np.sqrt(max(self._norm[row], _WIGGLE_FLOOR)))
            share = max(gained, 0.0) / max(gained + rest, _WIGGLE_FLOOR)
            found[int(self._meter[row])] = _Found(row, int(self._family[row]), float(weights[3 + n]), error, share)
        return found

    def _solve(self, rows: Sequence[int]) -> tuple[Floats, Floats]:
        matrix = np.concatenate([self._losses, self._shapes[list(rows)].T], axis=1) if rows else self._losses
        prior = np.concatenate([self._prior_rows, np.zeros((3, len(rows)))], axis=1)
        from scipy.optimize import nnls  # noqa: PLC0415 - half a second of start that only who judges days should pay

        weights, _ = nnls(np.concatenate([matrix, prior]), np.concatenate([self._residual, self._prior]))
        left: Floats = self._residual - matrix @ weights
        return weights, left

    def _gain(self, left: Floats) -> tuple[Floats, float]:
        """By how much each shape would lower the sum of squares, if its wiggles fit too; and that sum."""
        left = left - self._basis @ (self._basis.T @ left)
        dot = self._free @ left
        weight = np.minimum(dot / np.maximum(self._norm, _WIGGLE_FLOOR), _MOST[self._family])
        gain = np.where(weight > _LEAST[self._family], 2 * weight * dot - weight * weight * self._norm, 0.0)
        by_day = left.reshape(self._days, QUARTERS)
        fast = (by_day - smooth(by_day)).ravel()
        fast[~self._valid] = 0.0
        wiggle = self._wiggles @ fast / self._wiggle_norm
        noise = max(self._sigma, float(np.sqrt(fast @ fast / max(self._valid.sum(), 1))))
        error = noise / np.sqrt(self._wiggle_norm)
        fits = (wiggle > 0.45 * weight - error) & (wiggle < 1.8 * weight + error) & (wiggle > _SURE * error)
        gain *= fits | (self._family == _FLAT)
        return gain, float(left @ left)


def smooth(rows: Floats) -> Floats:
    """The moving mean over seven quarters of each row, around midnight."""
    half = _SMOOTH // 2
    padded = np.concatenate([rows[:, -half:], rows, rows[:, :half]], axis=1)
    total = np.cumsum(np.concatenate([np.zeros((len(rows), 1)), padded], axis=1), axis=1)
    mean: Floats = (total[:, _SMOOTH:] - total[:, :-_SMOOTH]) / _SMOOTH
    return mean


def _shapes(counted: Floats, expected: Floats, typical: Floats) -> Floats:
    known = ~np.isnan(expected).any(axis=1, keepdims=True)
    total = counted.sum(axis=1, keepdims=True)
    mean = np.maximum(np.abs(counted).mean(axis=1, keepdims=True), _WIGGLE_FLOOR)
    template = np.where(known, expected, smooth(smooth(counted)))
    stand_in = np.where(known, expected, typical * np.maximum(total, 0.0))
    zero = np.abs(counted) < 0.02 * mean
    zero &= zero.sum(axis=1, keepdims=True) >= 4  # noqa: PLR2004 - an hour: rarer zeros are machines
    flat = counted.std(axis=1, keepdims=True) < 0.05 * mean
    return np.concatenate(
        [
            counted,
            template - counted,
            counted[:, ::-1] - counted,
            np.where(zero, stand_in, 0.0),
            np.where(flat, stand_in - stand_in.mean(axis=1, keepdims=True), 0.0),
        ]
    )


def _filled(rows: Floats, valid: Mask) -> Floats:
    """Straight lines over quarters that are not valid: the wiggles of their neighbours stay what they are."""
    if valid.all():
        return rows
    at = np.arange(QUARTERS)
    return np.stack([np.interp(at, at[valid], row[valid]) for row in rows])
