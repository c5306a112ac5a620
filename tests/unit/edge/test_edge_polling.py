"""The pure parts of polling: breaker, agenda, gathering, shares of rate groups."""

from __future__ import annotations

import pytest

from edge_agent.polling.agenda import Agenda, Chore, Errand, Inquiry
from edge_agent.polling.breaker import Breaker
from edge_agent.polling.gathering import Gathering, RoundName, Row
from edge_agent.polling.rate_group import GroupSettings, share
from edge_agent.polling.schedule import Tick, clock_is_set
from metering.round import Quality, unpack

NOW = 1_772_400_000_000
FINE = Quality(0)


def test_a_breaker_opens_after_three_failures_and_pauses_ever_longer():
    breaker, now = Breaker(3, 1000, 6000), NOW
    pauses = []
    for _ in range(7):
        assert breaker.allows(now)
        breaker.failed(now)
        pauses.append(breaker.pause_ms)
        assert breaker.pause_ms == 0 or not breaker.allows(now + breaker.pause_ms - 1)
        now += breaker.pause_ms

    assert pauses == [0, 0, 1000, 2000, 4000, 6000, 6000]


def test_one_answer_closes_a_breaker():
    breaker = Breaker(1, 1000, 6000)
    breaker.failed(NOW)
    assert (breaker.open, breaker.suspect, breaker.allows(NOW)) == (True, True, False)

    breaker.succeeded()

    assert (breaker.open, breaker.suspect, breaker.allows(NOW)) == (False, False, True)


def test_a_clock_set_back_does_not_leave_a_meter_alone_for_hours():
    breaker = Breaker(1, 1000, 6000)
    breaker.failed(NOW)

    assert breaker.allows(NOW - 3_600_000)


def errand(meter: str, ends_at: int = NOW, *, suspect: bool = False, priority: int = 1) -> Errand:
    return Errand(meter, frozenset(), ends_at, print, suspect, priority)


async def nothing() -> None:
    return None


def test_who_waits_comes_first_then_priority_then_urgent_ticks_then_what_failed_and_chores_come_last():
    agenda = Agenda()
    again = errand("again").last_try(Quality.NO_ANSWER)
    for one in (
        errand("slow group", NOW + 60_000),
        errand("dead", suspect=True),
        again,
        errand("first"),
        errand("second"),
        errand("important", NOW + 70_000, priority=0),
        Chore("can wait", nothing, print),
        Inquiry("asked for", nothing, print),
    ):
        agenda.add(one)

    taken = [agenda.take().meter for _ in range(len(agenda))]

    assert taken == ["asked for", "important", "first", "second", "slow group", "dead", "again", "can wait"]
    with pytest.raises(IndexError):
        agenda.take()


def test_what_is_overdue_is_found_wherever_it_stands():
    agenda = Agenda()
    for one in (errand("soon", NOW + 20), errand("late", NOW + 10, priority=2), errand("dead", NOW, suspect=True)):
        agenda.add(one)

    found = [[one.meter for one in agenda.overdue(now)] for now in (NOW - 1, NOW + 10, NOW + 10, NOW + 20)]

    assert found == [[], ["late", "dead"], [], ["soon"]]
    assert len(agenda) == 0


def gathering() -> Gathering:
    name = RoundName("g", "main", 60_000, ("active_power", "voltage_l1"))
    return Gathering(name, Tick(NOW, NOW + 1, NOW + 2, NOW + 3), ["a", "b", "c"])


def test_a_round_keeps_the_order_of_the_configuration_and_late_rows_make_another():
    rows = gathering()
    rows.add(Row("c", NOW + 9, FINE, {"active_power": 1.5, "voltage_l1": 230.0}))
    rows.add(Row("a", NOW + 8, Quality.PARTIAL, {"active_power": None}))
    first = rows.take()
    assert first is not None
    assert (first.meters, list(unpack(first.measured_at, "q"))) == (("a", "c"), [NOW + 8, NOW + 9])
    assert [c.values(2) for c in first.columns] == [[None, 1.5], [None, 230.0]]
    assert (rows.complete, rows.take()) == (False, None)

    rows.add(Row("b", NOW + 10, Quality.NO_ANSWER))
    second = rows.take()

    assert second is not None
    assert (second.meters, second.scheduled_at, rows.complete) == (("b",), NOW, True)
    assert list(unpack(second.quality, "I")) == [Quality.NO_ANSWER]


def test_a_meter_has_one_row_a_tick():
    rows = gathering()
    rows.add(Row("a", NOW, FINE))
    rows.add(Row("a", NOW, FINE))
    rows.add(Row("stranger", NOW, FINE))

    taken = rows.take()

    assert taken is not None
    assert taken.meters == ("a",)


def test_a_group_without_quantities_takes_what_the_others_leave():
    power = GroupSettings(id="p", every="15s", quantities=("active_power", "frequency"))
    rest = GroupSettings(id="r", every="60s")
    offered = frozenset({"active_power", "voltage_l1", "current_l1"})

    assert share(power, (power, rest), offered) == {"active_power"}
    assert share(rest, (power, rest), offered) == {"voltage_l1", "current_l1"}


def test_a_clock_that_was_never_set_shows():
    assert not clock_is_set(0)
    assert not clock_is_set(1_500_000_000_000)
    assert clock_is_set(NOW)
