"""The second stage: touches find their day, sites close on their own, and what is put back is judged again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import pytest

from collector.days.closing import Closing, Verdict
from collector.days.day import ClosedDay, SiteDay, encode_day
from collector.days.days import Days, Judged
from collector.days.suspicion import SuspicionSettings
from collector.engine.engine import Outcome
from collector.engine.fleet import Fleet
from collector.events.event import Event
from collector.registry.records import RegistrySettings
from collector.registry.registry import Registry
from collector.store.table import LOAD_BLOCK, Table, scaled
from collector.tariff.calendar import BLOCK_MS
from tests.support.engines import tariffs
from tests.support.rounds import T0

FIRST = T0 // BLOCK_MS
T0_DAY = date(2026, 6, 18)
DAY_MS = 86_400_000
GATEWAYS = {"a": "gw-1", "b": "gw-2", "t": "gw-1"}
REGISTRY = Registry(
    RegistrySettings.model_validate(
        {
            "sites": [{"id": "park"}, {"id": "town"}],
            "meters": [{"id": "a", "site": "park"}, {"id": "b", "site": "park"}, {"id": "t", "site": "town"}],
        }
    ),
    "test",
)


def room() -> tuple[Fleet, Days]:
    fleet = Fleet(REGISTRY, tariffs())
    for meter, gateway in GATEWAYS.items():
        fleet.slots(gateway, (meter,))
    return fleet, Days(fleet, Closing(REGISTRY, SuspicionSettings()), "test")


def blocks(fleet: Fleet, meters: str, first: int, last: int) -> Outcome:
    """Blocks of these meters from one quarter of the first day to before another."""
    count = last - first
    slots = np.repeat(np.concatenate([fleet.slots(GATEWAYS[meter], (meter,)) for meter in meters]), count)
    at = np.tile(np.arange(FIRST + first, FIRST + last) * BLOCK_MS, len(meters))
    columns = tuple(scaled(name, 4, np.ones(len(at))) for name in ("import_kwh", "covered"))
    return Outcome(tables=[Table(LOAD_BLOCK, fleet.series, slots, at, columns)])


def touch(fleet: Fleet, meter: str, at: int) -> Event:
    """A cover of a meter was opened."""
    slot = int(fleet.slots(GATEWAYS[meter], (meter,))[0])
    return Event("cover_opened", "opened", fleet.series[slot], "", at, at, None, "look", 0.5, "park", None, {})


def touches(judged: Judged) -> dict[int, dict[str, int]]:
    """Day of June 2026 → the touches that are followed at its end."""
    return {day.day.day: day.touched for _, day in judged.closed}


def test_a_touch_belongs_to_its_day_however_many_days_come_at_once() -> None:
    fleet, days = room()
    first, second = T0 + 3_600_000, T0 + DAY_MS + 3_600_000
    outcome = blocks(fleet, "ab", 0, 2 * 96 + 13)
    outcome.events += [touch(fleet, "a", first), touch(fleet, "a", second)]

    assert touches(days.take(outcome)) == {18: {"a": first}, 19: {"a": second}}


def test_a_touch_is_followed_for_fourteen_days() -> None:
    fleet, days = room()
    outcome = blocks(fleet, "a", 0, 17 * 96 + 13)
    outcome.events.append(touch(fleet, "a", T0 + 3_600_000))
    followed = [bool(one.touched) for _, one in days.take(outcome).closed]

    assert followed == [True] * 14 + [False] * 3


def test_a_touch_at_another_gateway_is_still_known_when_a_day_is_judged_again() -> None:
    fleet, days = room()
    outcome = blocks(fleet, "ab", 0, 3 * 96 + 13)
    outcome.events += [touch(fleet, "a", T0 + 5), touch(fleet, "b", T0 + DAY_MS + 7)]
    before = days.take(outcome)
    days.reopen("park", T0 + DAY_MS + 1)
    again = days.take(blocks(fleet, "a", 96, 3 * 96 + 13))

    assert touches(again) == {day: found for day, found in touches(before).items() if day > 18}
    assert touches(again)[19] == {"a": T0 + 5, "b": T0 + DAY_MS + 7}


def test_touches_and_days_under_way_are_kept_gateway_by_gateway() -> None:
    fleet, days = room()
    outcome = blocks(fleet, "ab", 0, 50)
    outcome.events += [touch(fleet, "a", T0 + 5), touch(fleet, "b", T0 + 7)]
    days.take(outcome)
    anew, again = room()
    for gateway in ("gw-1", "gw-2"):
        again.restore(gateway, days.snapshot(gateway))
    rest = blocks(anew, "ab", 50, 96 + 13)
    (one,), (other,) = (those.take(rest).closed for those in (days, again))

    assert encode_day(one[1]) == encode_day(other[1])
    assert one[1].touched == {"a": T0 + 5, "b": T0 + 7}


def test_a_site_of_the_late_gateway_from_which_nothing_new_comes_is_judged_again_too() -> None:
    fleet, days = room()
    before = days.take(blocks(fleet, "at", 0, 96 + 13))
    for site in ("park", "town"):
        days.reopen(site, T0 + 1)
    again = days.take(blocks(fleet, "a", 0, 96 + 13))

    assert [(site, encode_day(day)) for site, day in again.closed] == [
        (site, encode_day(day)) for site, day in before.closed
    ]
    assert [site for site, _ in before.closed] == ["park", "town"]


def test_a_day_before_the_instant_is_not_opened_again() -> None:
    fleet, days = room()
    days.take(blocks(fleet, "a", 0, 3 * 96 + 13))
    days.reopen("park", T0 + DAY_MS)

    assert [day.day.day for _, day in days.take(Outcome()).closed] == [19, 20]


def test_a_gateway_that_was_away_is_named_with_its_oldest_block_of_a_day_that_is_over() -> None:
    fleet, days = room()
    assert days.take(blocks(fleet, "a", 0, 96 + 13)).missed == {}
    assert days.take(blocks(fleet, "b", 80, 120)).missed == {"gw-2": T0 + 80 * BLOCK_MS}


def test_the_end_of_the_readings_closes_every_site() -> None:
    fleet, days = room()
    days.take(blocks(fleet, "ta", 0, 10))

    assert [site for site, _ in days.finish().closed] == ["park", "town"]
    assert days.finish().closed == []


def test_bytes_that_are_no_days_are_refused() -> None:
    _, days = room()
    with pytest.raises(ValueError, match="no days under way"):
        days.restore("gw-1", b"\xff")


class Broken(Closing):
    """A bug that shows on one day of one site."""

    def close(self, past: Sequence[ClosedDay], today: SiteDay, touched: Mapping[str, int]) -> Verdict:
        if (today.site, today.day.day) == ("park", 19):
            raise ZeroDivisionError("a bug")
        return super().close(past, today, touched)


def test_a_bug_in_judging_a_day_costs_that_day_of_that_site_alone() -> None:
    fleet = Fleet(REGISTRY, tariffs())
    days = Days(fleet, Broken(REGISTRY, SuspicionSettings()), "test")
    judged = days.take(blocks(fleet, "abt", 0, 3 * 96 + 13))

    assert [(site, day.day.day) for site, day in judged.closed] == [
        ("park", 18), ("park", 20), ("town", 18), ("town", 19), ("town", 20)
    ]  # fmt: skip
    assert judged.failed == [("park", T0_DAY + timedelta(days=1), "ZeroDivisionError: a bug")]
