"""However rounds are grouped, repeated or interrupted, the engine ends in the same state with the same events."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.checks.check import Step
from collector.config import ChecksSettings, all_checks
from collector.engine.engine import Engine
from collector.engine.fleet import Fleet, Floats
from collector.engine.frame import Frame
from collector.events.event import Event
from metering.round import Round
from tests.support.engines import engine, judge, registry, tariffs
from tests.support.rounds import MINUTE, T0, make_round, plausible

GATEWAYS = {"gw-a": ["a-1", "a-2", "a-3"], "gw-b": ["b-1"], "gw-c": ["c-1", "c-2"]}
METERS = [meter for meters in GATEWAYS.values() for meter in meters]


def rounds_of(seed: int, ticks: int, period: int = 5) -> dict[str, list[Round]]:
    """Honest readings, but one phase of a-2 loses its current and c-1 draws too much."""
    rng = random.Random(seed)
    energy: dict[str, float] = {}
    found: dict[str, list[Round]] = {gateway: [] for gateway in GATEWAYS}
    for tick in range(ticks):
        for gateway, meters in GATEWAYS.items():
            values = plausible(rng, meters, energy, period)
            if gateway == "gw-a" and ticks // 3 <= tick < 2 * ticks // 3:
                values["current_l2"][1] = 0.0
            if gateway == "gw-c" and tick > ticks // 2:
                values["active_power"][0] = 33.0
            found[gateway].append(
                make_round(
                    values,
                    meters=meters,
                    gateway=gateway,
                    at=T0 + tick * period * MINUTE,
                    measured_at=[T0 + tick * period * MINUTE + 100 * i for i in range(len(meters))],
                    period_ms=period * MINUTE,
                )
            )
    return found


def ids(events: list[Event]) -> list[str]:
    return sorted(event.id for event in events)


def snapshots(judging: Engine) -> dict[str, bytes]:
    return {gateway: judging.snapshot(gateway) for gateway in GATEWAYS}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_grouping_repetition_and_restarts_change_nothing(seed: int, grouping: int) -> None:
    rounds = rounds_of(seed, 60)
    plain = engine(registry(METERS))
    expected: list[Event] = []
    for tick in range(60):
        for gateway in GATEWAYS:
            expected += judge(plain, [rounds[gateway][tick]]).events

    judging = engine(registry(METERS))
    events: list[Event] = []
    at = dict.fromkeys(GATEWAYS, 0)
    rng = random.Random(grouping)
    while any(at[gateway] < 60 for gateway in GATEWAYS):
        commit: list[Round] = []
        for gateway in rng.sample(list(GATEWAYS), len(GATEWAYS)):
            n = rng.randint(0, 12)
            commit += rounds[gateway][at[gateway] : at[gateway] + n]
            at[gateway] = min(60, at[gateway] + n)
        if commit and rng.random() < 0.7:
            events += judge(judging, commit).events
        elif commit:  # the process dies before the commit and starts from what was committed
            saved = snapshots(judging)
            judge(judging, commit)
            judging = engine(registry(METERS))
            for gateway, snapshot in saved.items():
                judging.restore(gateway, snapshot)
            events += judge(judging, commit).events

    assert ids(events) == ids(expected)
    assert {e.id: e.body() for e in events} == {e.id: e.body() for e in expected}
    assert {e.kind for e in events} >= {"current_loss", "over_capacity"}
    again = engine(registry(METERS))
    for gateway, snapshot in snapshots(judging).items():
        again.restore(gateway, snapshot)
    assert judge(again, [rounds["gw-a"][59]]).events == []


def test_rounds_that_were_judged_already_change_nothing() -> None:
    rounds = rounds_of(1, 40)["gw-a"]
    judging = engine(registry(METERS))
    judge(judging, rounds)
    before = judging.snapshot("gw-a")

    outcome = judge(judging, rounds[10:30])

    assert outcome.events == []
    assert outcome.tables == []
    assert judging.snapshot("gw-a") == before


class Broken:
    """A check with a bug that one gateway's readings bring out."""

    name = "broken"
    fields = ("seen",)

    def concerns(self, frame: Frame) -> bool:
        return "active_power" in frame.columns

    def step(self, frame: Frame, fleet: Fleet, state: Floats) -> Step:
        if any(fleet.series[slot].gateway == "gw-b" for slot in frame.slots):
            raise ZeroDivisionError("a bug")
        return Step(state + 1 if state.any() else state)


@pytest.mark.parametrize("first", [True, False])
def test_a_bug_in_a_check_is_switched_off_for_its_gateway_and_hurts_nobody_else(first: bool) -> None:
    rounds = rounds_of(3, 60)
    good = engine(registry(METERS))
    checks = (Broken(), *all_checks(ChecksSettings())) if first else (*all_checks(ChecksSettings()), Broken())
    judging = engine(registry(METERS), checks)
    events, expected, switched = [], [], []
    for tick in range(60):
        commit = [rounds[gateway][tick] for gateway in GATEWAYS]
        expected += judge(good, commit).events
        outcome = judge(judging, commit)
        events += outcome.events
        switched += outcome.switched

    assert ids(events) == ids(expected)
    assert [(one.check, one.gateway) for one in switched] == [("broken", "gw-b")]
    assert "ZeroDivisionError" in switched[0].reason


def test_a_check_that_was_switched_off_stays_off_over_a_restart_but_not_over_an_upgrade() -> None:
    rounds = rounds_of(3, 2)
    judging = engine(registry(METERS), (Broken(),))
    judge(judging, [rounds["gw-b"][0]])
    snapshot = judging.snapshot("gw-b")

    same = engine(registry(METERS), (Broken(),))
    same.restore("gw-b", snapshot)
    assert judge(same, [rounds["gw-b"][1]]).switched == []

    newer = Engine(Fleet(registry(METERS), tariffs()), (Broken(),), "test", "2")
    newer.restore("gw-b", snapshot)
    assert len(judge(newer, [rounds["gw-b"][1]]).switched) == 1


def test_bytes_that_are_no_snapshot_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="not a snapshot"):
        engine(registry(METERS)).restore("gw-a", b"garbage")
