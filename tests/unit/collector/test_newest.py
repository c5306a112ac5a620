"""Which readings are late is known meter by meter, and said gateway by gateway."""

from __future__ import annotations

import numpy as np

from collector.engine.fleet import Fleet
from collector.engine.newest import Newest
from collector.registry.registry import Registry


def room() -> tuple[Fleet, Newest]:
    fleet = Fleet(Registry.empty(), {})
    return fleet, Newest(fleet)


def take(newest: Newest, fleet: Fleet, gateway: str, *readings: tuple[str, int]) -> dict[str, int]:
    slots = fleet.slots(gateway, tuple(meter for meter, _ in readings))
    late = newest.take(slots, np.array([at for _, at in readings], np.float64))
    return {gateway: min(instants) for gateway, instants in late.items()}


def test_what_is_older_than_its_own_meters_newest_is_late() -> None:
    fleet, newest = room()
    assert take(newest, fleet, "gw-1", ("a", 100), ("b", 50)) == {}
    assert take(newest, fleet, "gw-1", ("a", 101), ("b", 60)) == {}

    assert take(newest, fleet, "gw-1", ("a", 70), ("b", 70)) == {"gw-1": 70}
    assert newest.of_gateway("gw-1") == 101


def test_the_same_instant_again_is_not_late() -> None:
    fleet, newest = room()
    take(newest, fleet, "gw-1", ("a", 100))

    assert take(newest, fleet, "gw-1", ("a", 100)) == {}


def test_the_late_readings_of_each_gateway_are_said() -> None:
    fleet, newest = room()
    slots = np.concatenate([fleet.slots("gw-1", ("a", "b")), fleet.slots("gw-2", ("c",))])
    newest.take(slots, np.array([100.0, 100.0, 100.0]))

    assert newest.take(slots, np.array([30.0, 20.0, 40.0])) == {"gw-1": [30, 20], "gw-2": [40]}


def test_a_meter_that_occurs_many_times_is_as_new_as_its_newest_reading() -> None:
    fleet, newest = room()
    take(newest, fleet, "gw-1", ("a", 10), ("a", 90), ("a", 50))

    assert newest.of_gateway("gw-1") == 90
    assert take(newest, fleet, "gw-1", ("a", 60)) == {"gw-1": 60}


def test_a_gateway_that_was_never_heard_of_has_none() -> None:
    fleet, newest = room()
    fleet.slots("gw-2", ("z",))

    assert newest.of_gateway("gw-1") is None
    assert newest.of_gateway("gw-2") is None


def test_it_is_kept_gateway_by_gateway() -> None:
    fleet, newest = room()
    meters = tuple(f"m-{n}" for n in range(100))
    take(newest, fleet, "gw-1", *((meter, 10 * n) for n, meter in enumerate(meters)))
    take(newest, fleet, "gw-2", ("a", 7))
    anew, again = room()
    anew.slots("gw-2", ("a",))  # slots are given in another order
    anew.slots("gw-1", meters)
    for gateway in ("gw-1", "gw-2"):
        again.restore(gateway, newest.snapshot(gateway))

    assert again.of_gateway("gw-1") == 990
    assert again.of_gateway("gw-2") == 7
    assert take(again, anew, "gw-1", ("m-50", 499), ("m-51", 511)) == {"gw-1": 499}


def test_what_was_kept_of_other_meters_is_passed_over() -> None:
    fleet, newest = room()
    take(newest, fleet, "gw-1", ("a", 100))
    anew, again = room()
    anew.slots("gw-1", ("a", "b"))
    again.restore("gw-1", newest.snapshot("gw-1"))

    assert again.of_gateway("gw-1") is None
