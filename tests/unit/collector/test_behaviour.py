"""Each signal of a meter's own past speaks on its own pattern, and on no ordinary day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from collector.days.consumption import SIGNALS, Behaviour, behaviour
from collector.days.day import QUARTERS, ClosedDay
from collector.days.expected import History
from collector.engine.fleet import Floats
from tests.support.feeders import ATTACKS, FIRST, Shops

SHOPS = Shops(7, meters=10)
EVERYTHING = np.ones((10, QUARTERS), np.bool_)


def day(number: int) -> Floats:
    """One shop opens at night, so that its day reversed is another one."""
    return SHOPS.load(number, {4: -18})


def past(days: int = 12) -> History:
    none = np.full(10, np.nan, np.float32)
    closed = [
        ClosedDay(
            FIRST + timedelta(days=n), "workday", tuple(SHOPS.names), day(n).astype(np.float32),
            np.ones(10, np.bool_), none, none, np.zeros(10, np.float32), none, none,
        )
        for n in range(days)
    ]  # fmt: skip
    return History.of(closed, tuple(SHOPS.names), [None] * 10)


HISTORY = past()
EXPECTED = HISTORY.expected("workday")


def judged(net: Floats, read: Floats | None = None) -> Behaviour:
    measured = EVERYTHING if read is None else read.astype(np.bool_)
    return behaviour(np.where(measured, net, np.nan), measured, EXPECTED, HISTORY, np.zeros(10, np.intp))


def signal(name: str, found: Behaviour, meter: int = 4) -> float:
    return float(found.strengths[SIGNALS.index(name), meter])


def _night_off(load: Floats) -> Floats:
    told = load.copy()
    told[:24] *= 0.02
    return told


def _jumpy(load: Floats) -> Floats:
    return load * np.random.default_rng(1).choice([0.05, 2.0], QUARTERS)


PATTERNS: dict[str, Callable[[Floats], Floats]] = {
    "drop": lambda load: 0.3 * load,
    "night": _night_off,
    "zero_run": lambda load: ATTACKS["h2"](load, np.random.default_rng(1)),
    "flat": lambda load: ATTACKS["h5"](load, np.random.default_rng(1)),
    "inverted": lambda load: load[::-1].copy(),
    "shape": lambda load: np.roll(load, 48),
    "noise": _jumpy,
}


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_speaks_on_its_own_pattern(name: str) -> None:
    load = day(30)
    load[4] = PATTERNS[name](load[4])
    found = judged(load)

    assert signal(name, found) > 0.3
    assert name in found.parts(4)
    assert (found.oddness[[0, 1, 2, 3, 5, 6, 7, 8, 9]] < 0.3).all()


def test_ordinary_days_are_not_odd() -> None:
    odd = np.array([judged(day(n)).oddness for n in range(30, 50)])

    assert (odd < 0.3).all()
    assert np.median(odd) < 0.05


def test_what_all_peers_of_the_trade_do_is_no_drop() -> None:
    found = judged(0.5 * day(30))

    assert (found.strengths[SIGNALS.index("drop")] < 0.2).all()
    assert (found.log_ratio < -0.4).all()


@pytest.mark.parametrize("start", [0, 40, 60, 80])
def test_quarters_that_were_not_read_say_nothing(start: int) -> None:
    load, read = day(30), EVERYTHING.copy()
    read[4, start : start + 16] = False
    found = judged(load, read)

    assert found.known[4]
    assert found.oddness[4] < 0.3
    assert found.log_ratio[4] == pytest.approx(judged(load).log_ratio[4], abs=0.15)


def test_a_drop_is_seen_beside_a_gap() -> None:
    load, read = day(30), EVERYTHING.copy()
    load[4] *= 0.3
    read[4, 40:50] = False

    assert signal("drop", judged(load, read)) > 0.3


def test_a_day_of_which_too_little_was_read_says_nothing() -> None:
    read = EVERYTHING.copy()
    read[4, :17] = False
    found = judged(0.1 * day(30), read)

    assert not found.known[4]
    assert np.isnan(found.log_ratio[4])
    assert found.oddness[4] == 0


def test_a_meter_without_a_past_is_not_odd() -> None:
    none = History.of([], tuple(SHOPS.names), [None] * 10)
    found = behaviour(day(1), EVERYTHING, none.expected("workday"), none, np.zeros(10, np.intp))

    assert not found.known.any()
    assert (found.oddness == 0).all()


@pytest.mark.parametrize("kind", sorted(ATTACKS))
def test_strengths_lie_between_nothing_and_everything(kind: str) -> None:
    found = judged(np.stack([ATTACKS[kind](load, np.random.default_rng(1)) for load in day(30)]))

    assert ((found.strengths >= 0) & (found.strengths <= 1)).all()
    assert ((found.oddness >= 0) & (found.oddness <= 1)).all()
