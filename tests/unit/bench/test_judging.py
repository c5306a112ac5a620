from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from tests.bench.judging import ANY, FEEDER, SUSPECT, Condition, Incident, Judgement, World, auc, conditions, judge

ZONE = ZoneInfo("Asia/Shanghai")
FIRST = date(2026, 3, 1)
DAYS = 40


def local(day: int, hour: int = 0) -> datetime:
    """An instant of the day with this number, from 0."""
    return datetime(2026, 3, 1, hour, tzinfo=ZONE) + timedelta(days=day)


def incident(
    meter: str, scenario: str, of: str, days: range, expected: tuple[str, ...] = (), allowed: tuple[str, ...] = ()
) -> Incident:
    touched = tuple(FIRST + timedelta(days=n) for n in days)
    return Incident(
        meter, scenario, of, local(days[0]), local(days[-1] + 1), touched, frozenset(expected), frozenset(allowed)
    )


def condition(kind: str, meter: str, first: int, last: int | None, severity: str = "inspect") -> Condition:
    """Open on the days from the first to the last, decided at the end of the first."""
    ended = None if last is None else local(last + 1)
    return Condition(kind, meter, severity, local(first), local(first + 1), ended)


def judged(
    incidents: list[Incident], opened: list[Condition], scores: Mapping[tuple[str, date], float] | None = None
) -> Judgement:
    feeders = {"a": "f1", "b": "f1", "c": None}
    return judge(World(FIRST, DAYS, feeders, {"f1-master": "f1"}, incidents), opened, scores or {})


def event(lifecycle: str, at: str, ended_at: str | None, condition: str = "x") -> dict[str, Any]:
    data = {"condition": condition, "kind": "bypass", "lifecycle": lifecycle, "meter": "a", "severity": "inspect"}
    return {"time": at, "data": data | {"started_at": "2026-03-01T00:00:00.000Z", "ended_at": ended_at}}


def test_a_condition_is_known_from_all_its_events() -> None:
    found = conditions(
        [
            event("opened", "2026-03-01T01:00:00.000Z", None),
            event("opened", "2026-03-02T00:00:00.000Z", None, "y"),
            event("updated", "2026-03-01T02:00:00.000Z", None),
            event("closed", "2026-03-03T02:00:00.000Z", "2026-03-03T01:30:00.000Z"),
        ]
    )

    assert [one.opened_at for one in found] == [datetime(2026, 3, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)]
    assert [one.ended_at for one in found] == [datetime(2026, 3, 3, 1, 30, tzinfo=UTC), None]


def test_a_condition_is_open_on_the_local_dates_it_touches() -> None:
    at_midnight = condition("bypass", "a", 3, 5)

    assert list(at_midnight.days(date(2026, 4, 9))) == [date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)]
    assert len(list(condition("bypass", "a", 3, None).days(date(2026, 3, 10)))) == 7


def test_falsified_days_are_found_while_the_case_is_open() -> None:
    judgement = judged([incident("a", "h1", "falsification", range(10, 20))], [condition(SUSPECT, "a", 14, 25)])
    found = judgement.found["falsification", "h1"]

    assert (found.cases, found.found, found.days, found.found_days) == (1, 1, 10, 6)
    assert found.median_delay == 5
    assert judgement.false_days["falsification", SUSPECT] == 0


def test_a_case_of_another_meter_finds_nothing_and_is_false() -> None:
    judgement = judged([incident("a", "h1", "falsification", range(10, 20))], [condition(SUSPECT, "b", 14, 15)])

    assert judgement.whole("falsification").found == 0
    assert judgement.false_days["falsification", SUSPECT] == 2


def test_a_case_that_was_open_before_the_falsification_has_not_found_it() -> None:
    judgement = judged([incident("a", "h1", "falsification", range(10, 20))], [condition(SUSPECT, "a", 5, 12)])
    found = judgement.whole("falsification")

    assert found.found == 0
    assert found.found_days == 3
    assert judgement.false_days["falsification", SUSPECT] == 5


def test_honest_days_leave_out_electrical_incidents_and_two_weeks_after_any() -> None:
    judgement = judged(
        [
            incident("a", "h1", "falsification", range(10)),
            incident("b", "bypass", "electrical", range(20, 30)),
            incident("c", "downturn", "benign", range(40)),
        ],
        [],
    )

    assert judgement.honest_days["falsification"] == (40 - 10 - 14) + (40 - 10 - 10) + 40


def test_falsification_is_told_apart_by_whether_a_master_stands_above() -> None:
    judgement = judged(
        [
            incident("a", "h1", "falsification", range(5)),
            incident("c", "h1", "falsification", range(5)),
        ],
        [condition(SUSPECT, "a", 0, 4)],
    )

    assert judgement.whole("falsification by line").days == 10
    assert judgement.found["falsification by line", "under_a_master"].day_rate == 1.0
    assert judgement.found["falsification by line", "under_no_master"].day_rate == 0.0


def test_a_day_without_a_score_stands_below_every_score() -> None:
    falsified = {("a", FIRST + timedelta(days=n)): 0.9 for n in range(10, 15)}
    honest = {("b", FIRST + timedelta(days=n)): 0.1 for n in range(40)}
    incidents = [incident("a", "h1", "falsification", range(10, 20))]

    assert judged(incidents, [], falsified | honest).auc == pytest.approx(0.5 + 0.5 * (40 + 16) / 96 / 2)
    assert judged(incidents, [], {}).auc == 0.5


@pytest.mark.parametrize(
    ("true", "honest", "expected"),
    [([2.0, 3.0], [0.0, 1.0], 1.0), ([0.0], [1.0, 2.0], 0.0), ([1.0], [1.0], 0.5), ([0.0, 2.0], [1.0, 2.0], 0.375)],
)
def test_auc_is_the_chance_of_ranking_above_with_ties_halved(
    true: list[float], honest: list[float], expected: float
) -> None:
    assert auc(np.array(true), np.array(honest)) == pytest.approx(expected)


def test_an_electrical_case_needs_an_expected_kind_at_its_meter_in_its_window() -> None:
    cases = [incident("a", "bypass", "electrical", range(10, 20), ("current_shunt",))]

    assert judged(cases, [condition("current_shunt", "a", 12, None)]).whole("electrical").found == 1
    assert judged(cases, [condition("current_shunt", "a", 5, None)]).whole("electrical").found == 0
    assert judged(cases, [condition("current_shunt", "a", 25, None)]).whole("electrical").found == 0
    assert judged(cases, [condition("current_shunt", "b", 12, None)]).whole("electrical").found == 0
    assert judged(cases, [condition("low_power_factor", "a", 12, None)]).whole("electrical").found == 0


def test_a_rule_of_closed_days_may_speak_on_the_day_after() -> None:
    cases = [incident("a", "slow_register", "electrical", range(10, 11), ("energy_mismatch",))]

    assert judged(cases, [condition("energy_mismatch", "a", 10, None)]).whole("electrical").found == 1


def test_electrical_events_are_false_on_meters_without_an_electrical_incident() -> None:
    judgement = judged(
        [incident("a", "bypass", "electrical", range(10, 20), ("current_shunt",))],
        [
            condition("current_shunt", "a", 30, 31),  # a meter that had its incident is not counted
            condition("current_shunt", "b", 30, 31),
            condition("voltage_loss", "b", 31, 31),
            condition("energy_mismatch", "f1-master", 3, 3),
            condition("outage", "b", 1, 9, "info"),
        ],
    )

    assert judgement.honest_days["electrical"] == 3 * DAYS
    assert judgement.false_days["electrical", "current_shunt"] == 2
    assert judgement.false_days["electrical", ANY] == 3
    assert judgement.false_per_1000("electrical", ANY) == pytest.approx(3 / 120 * 1000)


def test_a_kind_that_states_the_truth_is_not_false() -> None:
    judgement = judged(
        [incident("a", "site_outage", "benign", range(10, 12), allowed=("phase_break",))],
        [condition("phase_break", "a", 11, 12)],
    )

    assert judgement.false_days["electrical", "phase_break"] == 1


def test_capacity_is_judged_by_its_own_kinds() -> None:
    judgement = judged(
        [
            incident("a", "over_capacity", "capacity", range(10, 12), ("over_capacity",)),
            incident("b", "approved_surge", "capacity", range(10, 12), ("temporary_capacity",)),
        ],
        [
            condition("over_capacity", "a", 10, 10, "look"),
            condition("temporary_capacity", "b", 10, 10, "info"),
            condition("over_capacity", "c", 10, 10, "look"),
        ],
    )

    assert judgement.whole("capacity").case_rate == 1.0
    assert judgement.false_days["capacity", ANY] == 1
    assert judgement.false_days["electrical", ANY] == 0


def test_a_feeder_may_miss_energy_where_somebody_falsifies() -> None:
    judgement = judged(
        [incident("b", "h3", "falsification", range(10, 20))],
        [condition(FEEDER, "f1-master", 8, 12)],
    )

    assert judgement.honest_days["feeder"] == 30
    assert judgement.false_days["feeder", FEEDER] == 2
    assert judgement.false_days["electrical", ANY] == 0


def test_towns_are_pooled_by_their_counts() -> None:
    one = judged([incident("a", "h1", "falsification", range(10))], [condition(SUSPECT, "a", 0, 9)])
    two = judged([incident("a", "h1", "falsification", range(30))], [condition(SUSPECT, "c", 0, 9)])
    one.add(two)

    assert one.whole("falsification").day_rate == 0.25
    assert one.honest_days["falsification"] == 16 + 80 + 80 + 0
    assert one.false_per_1000("falsification", SUSPECT) == pytest.approx(10 / 176 * 1000)
    assert len(one.true_scores) == 40
