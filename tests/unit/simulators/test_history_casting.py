from collections import Counter
from datetime import date, datetime

import pytest

from simulators.history.casting import cast
from simulators.history.population import settle
from simulators.history.scenarios import SCENARIOS, Incident
from simulators.history.span import Span

SPAN = Span(date(2026, 3, 1), 112)


@pytest.fixture(scope="module")
def incidents() -> tuple[Incident, ...]:
    return cast(settle(3, 3000), SPAN)


def meters_of(incidents: tuple[Incident, ...], of: str) -> set[str]:
    return {one.meter for one in incidents if SCENARIOS[one.scenario].of == of}


def test_most_customers_are_honest(incidents: tuple[Incident, ...]) -> None:
    falsify, electrical = meters_of(incidents, "falsification"), meters_of(incidents, "electrical")

    assert 0.055 < len(falsify) / 3000 < 0.085
    assert 0.025 < len(electrical) / 3000 < 0.045
    assert not falsify & electrical


def test_every_scenario_happens_to_somebody(incidents: tuple[Incident, ...]) -> None:
    assert {one.scenario for one in incidents} == set(SCENARIOS)


def test_some_lines_have_several_customers_who_falsify_and_most_have_few(incidents: tuple[Incident, ...]) -> None:
    population = settle(3, 3000)
    falsify = meters_of(incidents, "falsification")
    by_line = Counter(one.line for one in population.customers if one.name in falsify and one.line >= 0)

    assert sum(n >= 3 for n in by_line.values()) >= 5
    assert sum(by_line[n] <= 2 for n in range(len(population.lines))) > len(population.lines) / 2


def test_most_falsification_begins_after_five_honest_weeks_and_some_with_the_first_day(
    incidents: tuple[Incident, ...],
) -> None:
    begins = [one.first // SPAN.per_day for one in incidents if SCENARIOS[one.scenario].of == "falsification"]

    assert {day for day in begins if day < 35} == {0}
    assert 0.05 < begins.count(0) / len(begins) < 0.25


def test_windows_lie_inside_the_history_and_last_one_to_eight_weeks(incidents: tuple[Incident, ...]) -> None:
    assert all(0 <= one.first < one.last <= SPAN.intervals for one in incidents)
    assert {
        7 <= (one.last - one.first) // SPAN.per_day <= 56
        for one in incidents
        if SCENARIOS[one.scenario].of == "falsification" and one.last < SPAN.intervals
    } == {True}


def test_a_meter_has_at_most_two_electrical_incidents_well_apart(incidents: tuple[Incident, ...]) -> None:
    by_meter: dict[str, list[Incident]] = {}
    for one in incidents:
        if SCENARIOS[one.scenario].of == "electrical":
            by_meter.setdefault(one.meter, []).append(one)
    pairs = [found for found in by_meter.values() if len(found) > 1]

    assert pairs
    assert all(len(found) == 2 and found[0].scenario != found[1].scenario for found in pairs)
    assert all(found[1].first - found[0].last == 10 * SPAN.per_day for found in pairs)


def test_one_more_meter_changes_nothing_for_the_others(incidents: tuple[Incident, ...]) -> None:
    fewer = cast(settle(3, 2999), SPAN)
    of_customers = [one for one in incidents if one.meter.startswith("m") and one.meter != "m3000"]

    assert settle(3, 2999).customers == settle(3, 3000).customers[:-1]
    assert [one for one in fewer if one.meter.startswith("m")] == of_customers


def test_another_seed_is_another_town(incidents: tuple[Incident, ...]) -> None:
    assert cast(settle(4, 3000), SPAN) != incidents


def test_a_customer_with_generation_falsifies_nothing(incidents: tuple[Incident, ...]) -> None:
    generating = {one.name for one in settle(3, 3000).customers if one.pv_kw}

    assert generating
    assert not generating & (meters_of(incidents, "falsification") | meters_of(incidents, "electrical"))


def test_the_truth_says_which_instants_and_local_dates_an_incident_touches() -> None:
    span = Span(date(2026, 3, 1), 20, 15)
    line = Incident("m0001", "bypass", 2 * 96 + 40, 4 * 96 + 1, level=0.1, phase=2).truth(span)

    assert line["class"] == "electrical"
    assert line["from"] == "2026-03-03T10:00:00+08:00"
    assert line["to"] == "2026-03-05T00:15:00+08:00"
    assert line["days"] == ["2026-03-03", "2026-03-04", "2026-03-05"]
    assert "current_shunt" in line["expected"]  # type: ignore[operator]
    assert line["parameters"] == {"level": 0.1, "phase": "l3", "hours": [0.0, 24.0]}


def test_the_truth_ends_with_the_history() -> None:
    span = Span(date(2026, 3, 1), 7)
    line = Incident("m0001", "retrofit", 96, 10_000).truth(span)

    assert datetime.fromisoformat(str(line["to"])) == span.instant(7 * 96)
    assert line["days"][-1] == "2026-03-07"  # type: ignore[index]
