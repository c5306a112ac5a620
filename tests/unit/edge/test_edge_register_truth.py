"""What a register may not do is marked, never changed, and believed once it goes on from there."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.polling.register_truth import BELIEVED_AFTER, LARGEST_METER_KW, RegisterTruth, Terminals
from metering.round import REGISTER_DOUBTED, Quality

NOW = 1_772_400_000_000
MINUTE = 60_000
FINE = Quality(0)
FELL, ZERO, JUMPED, STUCK = (
    Quality.REGISTER_FELL,
    Quality.REGISTER_ZERO,
    Quality.REGISTER_JUMPED,
    Quality.REGISTER_STUCK,
)


def judged(reads: list[float | None], truth: RegisterTruth, power: float = 0.0, every: int = MINUTE) -> list[Quality]:
    return [
        truth.judge("m", NOW + i * every, {"active_energy_import": value, "active_power": power})
        for i, value in enumerate(reads)
    ]


@pytest.mark.parametrize(
    ("reads", "bits"),
    [
        ([10, 10, 11], [FINE, FINE, FINE]),
        ([10, 9.5, 11], [FINE, FELL, FINE]),
        ([10, 0, 10], [FINE, ZERO, FINE]),
        ([0, 0, 1], [FINE, FINE, FINE]),
        ([10, None, 9], [FINE, FINE, FELL]),
        ([10, 1, 2, 3, 4, 5], [FINE, FELL, FELL, FELL, FINE, FINE]),
        ([10, 3, 2, 1, 2, 3], [FINE, *[FELL] * 5]),
        ([10, 0, 0, 0, 0, 11], [FINE, *[ZERO] * 4, FINE]),
        ([10, 9113, 10.1], [FINE, JUMPED, FINE]),
        ([10, 9113, 500, 8000, 10.5], [FINE, *[JUMPED] * 3, FINE]),
        ([10, 9113, 9113.5, 9114, 9114.5], [FINE, *[JUMPED] * 3, FINE]),
        ([9999.6, 0.2, 0.4, 0.9, 1.2], [FINE, *[FELL] * 3, FINE]),
    ],
)
def test_what_a_register_may_not_do_is_marked_until_it_counts_again(reads, bits):
    assert judged(reads, RegisterTruth()) == bits


@pytest.mark.parametrize(
    ("reads", "notes"),
    [
        ([9999.6, 0.2, 0.4, 0.9], ["fell", "rolled_over"]),
        ([4321.0, 2.5, 2.6, 2.7], ["fell", "exchanged"]),
        ([4321.0, 0.0, 4321.0], ["zero"]),
        ([10.0, 9113.0, 9113.5, 9114.0], ["jumped", "exchanged"]),
    ],
)
def test_a_note_says_what_has_probably_happened(reads, notes):
    truth = RegisterTruth()
    judged(reads, truth)

    assert [note.what for note in truth.notes] == notes
    assert truth.notes[0].before == reads[0]
    assert truth.notes[0].after == reads[1]


def test_a_register_rolls_over_where_its_profile_says():
    rolls = Terminals(rolls_at={"active_energy_import": 5000.0})
    truth = RegisterTruth({"m": rolls})
    judged([4999.0, 0.5, 0.6, 0.7], truth)

    assert [note.what for note in truth.notes] == ["fell", "rolled_over"]


def test_a_transformer_raises_what_a_meter_may_carry():
    small, large = Terminals(LARGEST_METER_KW, 1.0), Terminals(LARGEST_METER_KW * 40, 40.0)
    reads = [1000.0, 1030.0]

    assert judged(reads, RegisterTruth({"m": small})) == [FINE, JUMPED]
    assert judged(reads, RegisterTruth({"m": large})) == [FINE, FINE]
    assert judged(reads, RegisterTruth({"m": Terminals(math.inf)}), every=0) == [FINE, FINE]


def test_a_register_that_agrees_with_the_power_is_not_doubted_whatever_the_name_plate_says():
    small = Terminals(5.0)
    reads = [1000.0 + 9.2 * i for i in range(6)]  # 552 kW through transformers that nobody told us of

    assert judged(reads, RegisterTruth({"m": small}), power=552.0) == [FINE] * 6
    assert judged([10.0, 9113.0, 19.2], RegisterTruth({"m": small}), power=552.0) == [FINE, JUMPED, FINE]


def test_a_register_that_stands_while_power_flows_is_stuck_and_its_value_stays_good():
    truth = RegisterTruth()
    bits = judged([10.0, 10.1, 10.2, *[10.2] * 30], truth, power=10.0)

    assert bits[:17] == [FINE] * 17  # a quarter of an hour
    assert set(bits[18:]) == {STUCK}
    assert not STUCK & REGISTER_DOUBTED
    assert [note.what for note in truth.notes] == ["stuck"]


@pytest.mark.parametrize("power", [0.0, 0.3, -10.0])
def test_a_register_may_stand_when_nothing_or_next_to_nothing_is_imported(power: float):
    assert set(judged([10.0, 10.1, *[10.1] * 60], RegisterTruth(), power)) == {FINE}


def test_power_may_fall_and_meters_do_not_mix():
    truth = RegisterTruth()
    truth.judge("a", NOW, {"active_energy_import": 10, "active_power": 5})

    assert truth.judge("a", NOW + 1, {"active_power": 0}) == FINE
    assert truth.judge("b", NOW + 1, {"active_energy_import": 3}) == FINE


def test_a_clock_set_back_raises_no_doubt():
    truth = RegisterTruth()
    truth.judge("m", NOW, {"active_energy_import": 10.0})

    assert truth.judge("m", NOW - 3_600_000, {"active_energy_import": 14.0}) == FINE


def test_readings_that_come_after_later_ones_are_as_good_as_those():
    truth = RegisterTruth()
    came = [0, 1, 5, 2, 3, 4, 6, 7]  # a meter pushes the newest first, and then what it could not push before

    found = [truth.judge("m", NOW + n * 15 * MINUTE, {"active_energy_import": 100 + 1.5 * n}) for n in came]

    assert found == [FINE] * len(came)
    assert truth.notes == ()


def test_a_register_that_fell_further_than_it_can_count_is_doubted_though_the_clock_was_set_back():
    truth = RegisterTruth()
    truth.judge("m", NOW, {"active_energy_import": 5000.0})

    assert truth.judge("m", NOW - MINUTE, {"active_energy_import": 3.0}) == FELL


honest = st.lists(st.floats(0, 2), min_size=4, max_size=30)
garbage = st.one_of(st.just(0.0), st.floats(0, 90), st.floats(400, 1e9))


@given(honest, st.dictionaries(st.integers(1, 29), garbage, max_size=6))
def test_no_single_spike_passes_and_an_honest_register_is_never_lost(rises: list[float], spikes: dict[int, float]):
    """Garbage that does not agree with itself is marked; the reading after it is judged as if it had never been."""
    truth, level = RegisterTruth(), 100.0
    alone = {i for i in spikes if i - 1 not in spikes and i - 2 not in spikes and i < len(rises)}
    for i, rise in enumerate(rises):
        level += rise
        value = spikes[i] if i in alone else level
        bits = truth.judge("m", NOW + i * MINUTE, {"active_energy_import": value})
        assert bool(bits & REGISTER_DOUBTED) == (i in alone)


@given(st.floats(0.001, 50), st.integers(BELIEVED_AFTER, 8))
def test_an_exchanged_meter_is_believed_after_three_reads(start: float, reads: int):
    truth = RegisterTruth()
    bits = judged([5000.0, *[start + 0.1 * i for i in range(reads)]], truth)

    assert [bool(bit) for bit in bits] == [False, *[True] * BELIEVED_AFTER, *[False] * (reads - BELIEVED_AFTER)]
