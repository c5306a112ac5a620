"""A fingerprint is the small and steady that two weeks of wiggles show, and nobody else's."""

from __future__ import annotations

import numpy as np
import pytest

from collector.days.balance import FeederReport, report
from collector.days.fingerprint import fingerprints
from collector.engine.fleet import Floats
from tests.support.feeders import QUARTERS, Shops, master, reports


def steady(shops: Shops, days: int, share: float, until: int = 10**6) -> list[FeederReport]:
    """Days on which meter 4 tells this share of its load, up to day ``until``."""
    found = []
    for number in range(days):
        load = shops.load(number)
        told = shops.told(number, load, {})
        told[4] *= share if number < until else 1.0
        found.append(reported(load, told))
    return found


def reported(load: Floats, told: Floats) -> FeederReport:
    unknown = np.full(told.shape, np.nan)
    made = report(master(load), told, unknown, told / told.sum(), np.ones((len(told) + 1, QUARTERS), np.bool_))
    assert made is not None
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_steady_share_is_named_after_two_weeks_and_nobody_else(seed: int) -> None:
    (found,) = fingerprints(steady(Shops(seed), 14, 0.6))

    assert (found.meter, found.shape) == (4, "share")
    assert found.weight == pytest.approx(1 / 0.6 - 1, abs=4 * found.error + 0.1)
    assert found.sureness > 0.3


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_is_not_named_any_more_once_it_has_ended(seed: int) -> None:
    ended = steady(Shops(seed), 15, 0.5, until=14)

    assert fingerprints(ended[:14])
    assert not fingerprints(ended)


def test_days_make_it_surer() -> None:
    days = steady(Shops(1), 14, 0.5)
    errors = [next(one.error for one in fingerprints(days[:n]) if one.meter == 4) for n in (5, 8, 14)]

    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("seed", range(6))
def test_honest_meters_have_no_fingerprint(seed: int) -> None:
    assert not fingerprints(reports(Shops(seed), range(14)))


def test_two_days_say_nothing() -> None:
    assert not fingerprints(steady(Shops(1), 2, 0.2))


def test_one_huge_meter_does_not_stand_for_another() -> None:
    shops = Shops(2)
    found = []
    for number in range(14):
        load = shops.load(number)
        load[0] *= 20
        told = shops.told(number, load, {})
        told[4] *= 0.3
        found.append(reported(load, told))

    assert {one.meter for one in fingerprints(found)} <= {4}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("attack", ["h1", "h3", "h4", "h6"])
def test_the_only_neighbour_of_one_who_falsifies_is_not_named(attack: str, seed: int) -> None:
    named = {one.meter for one in fingerprints(reports(Shops(seed, meters=2), range(14), {1: attack}))}

    assert named <= {1}


def test_a_feeder_on_which_nothing_moves_has_none() -> None:
    load = np.full((3, QUARTERS), 1.0)

    assert not fingerprints([reported(load, load)] * 5)
