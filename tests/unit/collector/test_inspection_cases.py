"""Cases: what belongs together, what is at stake, what a verdict does; no order of arrival changes any of it."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import pytest

from collector.events.event import Event, withdrawn
from collector.feeds.announcements import feeder_of
from collector.feeds.case import Case, Verdict
from collector.feeds.inspection import FLOOR_KWH, cases_of
from tests.support.findings import DAY, DAY_MS, HOUR_MS, START, event, life, park
from tests.support.rounds import T0


def fold(events: list[Event], verdicts: list[Verdict] | None = None, now: datetime = START + 3 * DAY) -> list[Case]:
    return cases_of([one.cloudevent() for one in events], verdicts or [], now)


def verdict(case: Case, at: datetime, decision: str = "dismissed") -> Verdict:
    conditions = [one.condition for one in case.conditions]
    return Verdict.model_validate(
        {"case": case.id, "meter": case.meter, "verdict": decision, "by": "team-3", "at": at, "conditions": conditions}
    )


def test_findings_about_one_meter_join_one_case_and_those_of_another_do_not() -> None:
    found = fold([event(), event("energy_mismatch", part="", start=T0 + DAY_MS), event(meter="m-2")])

    assert {case.meter: case.kinds for case in found} == {
        "m-1": ("current_loss", "energy_mismatch"),
        "m-2": ("current_loss",),
    }


@pytest.mark.parametrize(
    ("kind", "severity"), [("over_capacity", "look"), ("capacity_warning", "info"), ("current_loss", "info")]
)
def test_contract_and_information_make_no_case(kind: str, severity: str) -> None:
    assert fold([event(kind, severity=severity)]) == []  # type: ignore[arg-type]


def test_a_case_ends_fourteen_days_after_its_last_condition_closed() -> None:
    closed_at = T0 + DAY_MS
    events = life(T0, closed_at)
    end = START + DAY + timedelta(days=14)

    (case,) = fold(events, now=end)
    assert (case.status, case.ends_at) == ("open", end)
    (case,) = fold(events, now=end + timedelta(seconds=1))
    assert case.status == "ended"

    at_the_end, after_it = closed_at + 14 * DAY_MS, closed_at + 14 * DAY_MS + 1
    assert len(fold([*events, event(start=at_the_end)])) == 1
    assert len(fold([*events, event(start=after_it)])) == 2


def test_a_condition_that_lasts_keeps_its_case_open_for_ever() -> None:
    (case,) = fold([event(), *life(T0 + 40 * DAY_MS, T0 + 41 * DAY_MS, part="L1")], now=START + 400 * DAY)

    assert (case.status, case.ends_at, len(case.conditions)) == ("open", None, 2)


def test_one_fault_that_raises_two_kinds_of_a_family_counts_once() -> None:
    (both,) = fold([event(score=0.9), event("current_shunt", score=0.8)])
    (with_balance,) = fold([event(score=0.9), event("consumption_suspect", part="", score=0.5)])

    assert both.score == 0.9
    assert with_balance.score == pytest.approx(1 - 0.1 * 0.5)


def test_energy_is_counted_once_where_conditions_overlap_and_added_where_they_do_not() -> None:
    overlapping = [event(kwh=(1, 2, 3)), event("energy_mismatch", part="", start=T0 + HOUR_MS, kwh=(4, 5, 9))]
    (case,) = fold(overlapping)
    assert case.kwh_at_stake is not None
    assert case.kwh_at_stake.model_dump() == {"low": 4.0, "best": 5.0, "high": 9.0}

    apart = life(T0, T0 + DAY_MS, kwh=(1, 2, 3)) + life(T0 + 2 * DAY_MS, T0 + 3 * DAY_MS, kwh=(4, 5, 6))
    (case,) = fold(apart)
    assert case.kwh_at_stake is not None
    assert case.kwh_at_stake.model_dump() == {"low": 5.0, "best": 7.0, "high": 9.0}


def test_phases_are_different_wires_and_add_up() -> None:
    (case,) = fold([event(part="L1", kwh=(1, 2, 3)), event(part="L2", kwh=(1, 2, 3))])

    assert case.kwh_at_stake is not None
    assert case.kwh_at_stake.best == 4.0


def test_the_list_is_ranked_by_score_times_energy_and_a_strong_finding_without_energy_is_not_last() -> None:
    found = fold(
        [
            event(meter="m-1", score=0.6, kwh=(1, 2, 3)),
            event(meter="m-2", score=0.9, kwh=None),
            event(meter="m-3", score=0.5, kwh=(80, 100, 120)),
        ]
    )

    assert [case.meter for case in found] == ["m-3", "m-2", "m-1"]
    assert [case.rank_value for case in found] == [50.0, 0.9 * FLOOR_KWH, 0.6 * FLOOR_KWH]


def test_what_only_deserves_a_look_stands_behind_all_that_needs_an_inspection() -> None:
    found = fold([event(meter="m-1", severity="look", kwh=(100, 900, 1000)), event(meter="m-2", kwh=None, score=0.5)])

    assert [(case.meter, case.severity) for case in found] == [("m-2", "inspect"), ("m-1", "look")]


def test_a_verdict_decides_the_case_and_what_begins_after_it_is_a_new_one() -> None:
    events = life(T0, T0 + DAY_MS)
    (case,) = fold(events)
    said = verdict(case, START + 2 * DAY)

    (decided,) = fold(events, [said])
    assert (decided.status, decided.verdict) == ("dismissed", said)

    later = [*events, event(start=T0 + 3 * DAY_MS)]
    assert {case.status for case in fold(later, [said])} == {"dismissed", "open"}
    assert len(fold(later)) == 1


def test_the_newest_verdict_counts() -> None:
    (case,) = fold([event()])
    said = [verdict(case, START + 2 * DAY, "confirmed"), verdict(case, START + DAY, "dismissed")]

    assert [one.status for one in fold([event()], said)] == ["confirmed"]


def test_a_verdict_stays_with_its_conditions_when_late_data_show_an_earlier_one() -> None:
    (case,) = fold([event()])
    said = verdict(case, START + 2 * DAY, "confirmed")

    (moved,) = fold([event(), *life(T0 - DAY_MS, T0 - HOUR_MS, part="L1")], [said])

    assert moved.id != case.id
    assert moved.status == "confirmed"


def test_no_order_no_copy_and_no_lost_update_changes_a_case() -> None:
    events = [
        *life(T0, T0 + DAY_MS),
        *life(T0 + 3 * DAY_MS, T0 + 4 * DAY_MS, kind="energy_mismatch", part=""),
        event(meter="m-2"),
        *life(T0 + 30 * DAY_MS, T0 + 31 * DAY_MS),
    ]
    wanted = fold(events)
    rng = random.Random(7)
    for _ in range(20):
        mixed = events + rng.sample(events, 3)
        rng.shuffle(mixed)
        assert fold(mixed) == wanted


def test_a_case_names_its_feeder_and_the_customer_is_never_accused() -> None:
    registry = park("m-1", feeder=True)
    bodies = [
        event(registry=registry).cloudevent(),
        event("feeder_excess", meter="master", part="f-1", severity="look", registry=registry).cloudevent(),
    ]

    found = {case.meter: case for case in cases_of(bodies, [], START, feeder_of(registry))}

    assert (found["m-1"].feeder, found["m-1"].account) == ("f-1", "A-m-1")
    assert (found["master"].feeder, found["master"].account) == ("f-1", None)
    for case in found.values():
        for text in (case.text.customer, case.text.inspector):
            assert "theft" not in text.en.lower()
            assert "steal" not in text.en.lower()
            assert "窃" not in text.zh
        assert "needs inspection" in case.text.customer.en
        assert "计量需要检查" in case.text.customer.zh


def test_what_late_readings_do_not_bear_out_is_withdrawn_and_counts_no_more() -> None:
    opened = event(kwh=(5, 6, 7))
    other = event("energy_mismatch", part="", start=T0 + HOUR_MS, score=0.7, kwh=(1, 2, 3))
    back = withdrawn(opened.cloudevent())

    (alone,) = fold([opened, back])
    (case,) = fold([opened, other, back])
    (as_before,) = fold([opened, other])

    assert (alone.status, alone.score, alone.kwh_at_stake, alone.rank_value) == ("withdrawn", 0.0, None, 0.0)
    assert (case.id, case.status, case.score) == (as_before.id, "open", 0.7)
    assert case.kwh_at_stake is not None
    assert case.kwh_at_stake.best == 2.0
    assert fold([back]) == []
