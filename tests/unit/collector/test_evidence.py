"""A finding carries the readings that decided it, its limits, and one message a day while it lasts."""

from __future__ import annotations

from collector.events.event import Event
from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round


def lost_current(hours: int) -> list[Event]:
    """Three hours of load, then nothing on L2; a reading every five minutes."""
    judging = engine(registry(["m-1"]))
    rounds = []
    for n in range(12 * (3 + hours)):
        values: dict[str, list[float | None]] = {f"voltage_l{phase}": [230.0] for phase in (1, 2, 3)}
        values |= {"current_l1": [6.0], "current_l2": [5.0 if n < 36 else 0.0], "current_l3": [7.0]}
        values |= {"power_factor": [1.0]}
        rounds.append(make_round(values, meters=["m-1"], at=T0 + 5 * n * MINUTE, period_ms=5 * MINUTE))
    return [event for event in judge(judging, rounds).events if event.kind == "current_loss"]


def test_the_last_eight_readings_that_decided_are_evidence() -> None:
    (opened,) = lost_current(hours=4)

    readings = opened.evidence["readings"]
    assert len(readings) == 8
    assert [one["values"]["current_l2"] for one in readings] == [0.0] * 8
    times = [one["measured_at"] for one in readings]
    assert times == sorted(times)
    assert times[-1] == opened.cloudevent()["time"]


def test_energy_at_stake_grows_and_is_told_once_a_day_under_its_own_id() -> None:
    opened, first, second = lost_current(hours=60)

    assert (opened.lifecycle, first.lifecycle, second.lifecycle) == ("opened", "updated", "updated")
    assert first.condition == second.condition == opened.condition
    assert first.id.endswith("-updated-20260618")
    assert second.id.endswith("-updated-20260619")
    # 230 V × the 6.5 A of the other phases are 1.495 kW.
    day = second.evidence["kwh_at_stake"]["best"] - first.evidence["kwh_at_stake"]["best"]
    assert abs(day - 24 * 1.495) < 0.2
    assert first.evidence["kwh_at_stake"]["low"] < first.evidence["kwh_at_stake"]["best"]


def test_a_finding_on_a_meter_without_a_past_is_only_to_be_looked_at() -> None:
    (opened,) = lost_current(hours=4)

    assert opened.severity == "look"
