"""Slots are given once and for ever; a meter's name belongs to one gateway."""

from __future__ import annotations

import numpy as np

from collector.engine.fleet import Fleet
from collector.registry.registry import Registry
from tests.support.engines import registry, tariffs


def test_a_meter_keeps_its_slot_whatever_comes_between() -> None:
    fleet = Fleet(Registry.empty(), {})
    first = fleet.slots("gw-1", ("a", "b"))
    for i in range(200):
        fleet.slots("gw-2", (f"m-{i}",))

    assert fleet.slots("gw-1", ("b", "c", "a")).tolist() == [1, 202, 0]
    assert first.tolist() == [0, 1]
    assert fleet.meters_of("gw-1") == ("a", "b", "c")


def test_a_name_that_two_gateways_use_is_reported() -> None:
    fleet = Fleet(Registry.empty(), {})
    fleet.slots("gw-1", ("shop-1", "shop-2"))
    fleet.slots("gw-2", ("shop-2", "shop-3"))

    assert fleet.shared == ["shop-2"]


def test_ratings_of_a_meter_that_is_not_registered_are_unknown() -> None:
    fleet = Fleet(registry(["known"], contract_kva=25), tariffs())
    slots = fleet.slots("gw-1", ("known", "unknown"))

    limits = fleet.limits("contract_kva", slots)
    assert limits[0] == 25
    assert np.isnan(limits[1])
