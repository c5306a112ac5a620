"""The expected curve of a day: the mean shape of the last clean days of its class, at the expected level.

A day counts for its shape (kWh of a quarter over kWh of the day), newer days more, those of the same weekday more. A
meter that sends energy back has no shape of that kind: there the mean of the curves themselves is expected. [OURS]
"""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.days.day import QUARTERS, DayClass
from collector.engine.fleet import Floats
from collector.forecast.past import FEWEST_OF_CLASS, Past
from collector.store.table import Mask

_MOST: Final = 15  # days of the class that are looked at
_FADES: Final = 0.93  # weight of a day against the next one of the class
_SAME_WEEKDAY: Final = 3.0  # how much more such a day counts


def curve_of(past: Past, kind: DayClass, weekday: int, kwh: Floats) -> tuple[Floats, Mask]:
    """The expected kWh by quarter, shape (meters, 96), NaN where unknown; and which meters send energy back.

    Args:
        past: the closed days.
        kind: class of the day.
        weekday: of the day, 0 = Monday.
        kwh: expected of the day, shape (meters,).
    """
    chosen = past.of_class(past.stand_in(kind))[-_MOST:]
    shape = len(past.meters), QUARTERS
    shaped, whole, weight = (np.zeros(shape, np.float32) for _ in range(3))
    number = np.zeros(shape[0])
    below = np.zeros(shape, np.float32)
    fades = 1.0
    for i in reversed(chosen):
        counts = past.clean[i]
        number += counts
        net = past.net(i)
        counted = counts[:, None] & ~np.isnan(net)
        net = np.where(counted, net, np.float32(0.0))
        factor = np.float32(fades * (_SAME_WEEKDAY if past.days[i].day.weekday() == weekday else 1.0))
        scale = np.where(past.kwh[i] > 0, 1.0 / np.maximum(past.kwh[i], 1e-3), 0.0).astype(np.float32)
        shaped += factor * scale[:, None] * net
        whole += factor * net
        weight += factor * counted
        below = np.minimum(below, net)
        fades *= _FADES
    back: Mask = np.asarray(below.min(axis=1) < 0, np.bool_)
    enough = (number >= FEWEST_OF_CLASS)[:, None] & (weight > 0)
    divisor = np.where(enough, weight, 1.0)
    plain = whole / divisor
    shares = shaped / divisor
    total = shares.sum(axis=1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        forward = shares * np.where(total > 0, kwh / total, np.nan)[:, None]
    found = np.where(back[:, None], plain, forward)
    return np.where(enough.all(axis=1, keepdims=True), found, np.nan).astype(np.float64), back
