"""The balance of a feeder names the meter that does not count, says how much, and nobody else."""

from __future__ import annotations

import numpy as np
import pytest

from collector.days.balance import Balance, FeederReport, balance, report
from collector.engine.fleet import Floats
from tests.support.feeders import ATTACKS, LOSS, QUARTERS, Shops, master, reports

SHAPE_OF = {"h1": "share", "h2": "zeros", "h3": "noise", "h4": "noise", "h5": "flat", "h6": "reversed"}
EVERYTHING = np.ones((21, QUARTERS), np.bool_)


def learnt(shops: Shops) -> tuple[Floats, float]:
    """Loss and noise of seven clean days."""
    clean = [balance([one], None, None) for one in reports(shops, range(7))]
    return np.median([one.loss for one in clean], axis=0), float(np.median([one.noise_kwh for one in clean]))


def balanced(shops: Shops, attacks: dict[int, str], days: int = 7) -> Balance:
    return balance(reports(shops, range(20, 20 + days), attacks), *learnt(shops))


def one_day(load: Floats, told: Floats, shops: Shops, read: Floats | None = None) -> FeederReport | None:
    usual = np.median([shops.told(n, shops.load(n), {}) for n in range(1000, 1010)], axis=0)
    typical = np.tile((usual / usual.sum(axis=1, keepdims=True)).mean(axis=0), (shops.meters, 1))
    return report(master(load), told, usual, typical, EVERYTHING if read is None else read.astype(np.bool_))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", sorted(ATTACKS))
def test_each_kind_of_falsification_is_attributed_to_its_meter_and_to_no_other(kind: str, seed: int) -> None:
    found = balanced(Shops(seed), {4: kind})

    assert [one.meter for one in found.attributions] == [4]
    assert found.attributions[0].shape == SHAPE_OF[kind]
    assert set(found.named) <= {4}
    assert not found.clean


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["h1", "h2"])
def test_what_was_not_counted_is_known_within_a_fifth(kind: str, seed: int) -> None:
    shops = Shops(seed)
    missing = float(shops.load(26)[4].sum() - shops.told(26, shops.load(26), {4: kind})[4].sum())
    (found,) = balanced(shops, {4: kind}).attributions

    assert found.kwh == pytest.approx(missing, rel=0.2)


@pytest.mark.parametrize("kind", ["h5", "h6"])
def test_what_keeps_the_energy_misses_none(kind: str) -> None:
    (found,) = balanced(Shops(1), {4: kind}).attributions

    assert abs(found.kwh) < 0.02 * Shops(1).load(26)[4].sum()


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_attributed_when_all_are_honest(seed: int) -> None:
    assert balanced(Shops(seed), {}).clean


@pytest.mark.parametrize("change", ["closed", "shrunk", "moved", "generates"])
def test_an_honest_shop_may_close_shrink_move_its_hours_or_generate(change: str) -> None:
    shops = Shops(5)
    load = shops.load(30, {4: 12} if change == "moved" else None)
    if change == "closed":
        load[4] *= 0.02
    if change == "shrunk":
        load[4] *= 0.4
    if change == "generates":  # netted: at noon it feeds back
        load[4] -= 1.5 * load[4].max() * np.clip(np.sin((np.arange(QUARTERS) - 26) / 46 * np.pi), 0, None)
    made = one_day(load, shops.told(30, load, {}), shops)

    assert made is not None
    assert balance([*reports(shops, range(24, 30)), made], *learnt(shops)).clean


def test_two_at_once_are_both_named() -> None:
    found = balanced(Shops(2), {3: "h1", 11: "h6"})

    assert {one.meter: one.shape for one in found.attributions} == {3: "share", 11: "reversed"}


def test_the_loss_of_clean_days_is_found() -> None:
    shops = Shops(3)
    loss, _ = learnt(shops)
    total = shops.load(26).sum(axis=0)
    total = master(shops.load(26))
    mean = total.mean()
    lost = float((loss[0] * mean + loss[1] * total + loss[2] * total * total / mean).sum())
    true = float((total - shops.load(26).sum(axis=0)).sum())

    assert lost == pytest.approx(true, rel=0.15)
    assert (loss >= 0).all()
    assert LOSS.sum() == pytest.approx(loss.sum(), rel=0.3)


def test_quarters_in_which_a_meter_was_not_read_are_left_out() -> None:
    shops = Shops(4)
    load = shops.load(30)
    told = shops.told(30, load, {})
    read = np.ones((21, QUARTERS))
    read[8, 40:60] = 0
    told[7, 40:60] = np.nan
    made = one_day(load, told, shops, read)

    assert made is not None
    assert made.valid.sum() == QUARTERS - 20
    assert (made.residual[40:60] == 0).all()
    assert balance([made], *learnt(shops)).clean


def test_fewer_common_quarters_than_eight_hours_are_no_balance() -> None:
    shops = Shops(4)
    load = shops.load(30)
    read = np.ones((21, QUARTERS))
    read[3, 32:] = 0
    assert one_day(load, shops.told(30, load, {}), shops, read) is not None
    read[9, 31] = 0
    assert one_day(load, shops.told(30, load, {}), shops, read) is None


def test_a_master_that_counts_nothing_is_no_balance() -> None:
    shops = Shops(4)
    assert report(np.zeros(QUARTERS), np.zeros((20, QUARTERS)), *[shops.load(1)] * 2, EVERYTHING) is None
