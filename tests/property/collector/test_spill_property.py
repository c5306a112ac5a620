"""Readings in any order, cut anywhere, given twice: the frames are those of readings in order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.backtest.readings import Batch
from collector.backtest.spill import Spill
from collector.engine.frame import Frame
from collector.engine.rows import ReadingRows
from metering.meter_event import MeterEvent
from tests.support.engines import engine, registry

METERS = ("m-1", "m-2", "m-3")
QUANTITIES = ("active_power", "active_energy_import")
DAY_MS = 86_400_000
START = 20_000 * DAY_MS

Reading = tuple[int, str, tuple[float, float], str]
"""Instant in ms, meter, values (NaN = none), events."""

VALUES = st.sampled_from([1.0, 2.0, 3.0, np.nan])
READINGS = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda n: START + n * DAY_MS // 5),
        st.sampled_from(METERS),
        st.tuples(VALUES, VALUES),
        st.sampled_from(["", "", "cover_opened", "cover_closed clock_set", "lid_lost"]),
    ),
    max_size=40,
)


def batch(readings: Sequence[Reading]) -> Batch:
    names = sorted({one[1] for one in readings})
    return Batch(
        np.array([one[0] for one in readings], np.int64),
        names,
        np.array([names.index(one[1]) for one in readings], np.int64),
        np.array([one[2] for one in readings], np.float64).T,
        {row: one[3] for row, one in enumerate(readings) if one[3]},
    )


def spilled(readings: Sequence[Reading], cuts: Sequence[int] = ()) -> list[Frame]:
    """The frames of all days, of readings that came in batches."""
    fleet = engine(registry(METERS), []).fleet
    fleet.slots("park", METERS)
    edges = [0, *sorted(min(cut, len(readings)) for cut in cuts), len(readings)]
    with tempfile.TemporaryDirectory() as folder:
        spill = Spill(Path(folder), QUANTITIES)
        for start, stop in pairwise(edges):
            if stop > start:
                spill.add(batch(readings[start:stop]))
        assert spill.rows == len(readings)
        gateways = ["park"] * len(spill.meters)
        found = [frame for day in spill.days for frame in spill.frames(day, fleet, gateways)]
        assert not list(Path(folder).iterdir())
        return found


def told(frames: Sequence[Frame]) -> list[tuple[Any, ...]]:
    return [
        (f.slots.tolist(), f.at.tolist(), {n: repr(v.tolist()) for n, v in f.columns.items()}, dict(f.meter_events))
        for f in frames
    ]


def merged(readings: Sequence[Reading]) -> dict[tuple[int, str], tuple[list[float], set[str]]]:
    """What a store would hold: a later value takes the place of an earlier one, events add up."""
    found: dict[tuple[int, str], tuple[list[float], set[str]]] = {}
    for at, meter, values, said in readings:
        held, events = found.setdefault((at, meter), ([np.nan, np.nan], set()))
        held[:] = [old if np.isnan(new) else new for old, new in zip(held, values, strict=True)]
        events |= {name for name in said.split() if name != "lid_lost"}
    return found


@settings(max_examples=50, deadline=None)
@given(READINGS, st.lists(st.integers(0, 40), max_size=4))
def test_frames_hold_every_reading_once_as_a_store_would(readings: list[Reading], cuts: list[int]) -> None:
    found = {}
    for frame in spilled(readings, cuts):
        for row, (slot, at) in enumerate(zip(frame.slots.tolist(), frame.at.tolist(), strict=True)):
            values = [float(frame.columns[name][row]) for name in QUANTITIES]
            events = {str(event) for event in frame.meter_events.get(row, ())}
            assert (at, METERS[slot]) not in found
            found[int(at), METERS[slot]] = (values, events)

    expected = merged(readings)
    assert found.keys() == expected.keys()
    for key, (values, events) in found.items():
        np.testing.assert_array_equal(values, expected[key][0])
        assert events == expected[key][1]


@settings(max_examples=50, deadline=None)
@given(READINGS)
def test_no_frame_has_a_slot_twice_and_time_never_turns_back(readings: list[Reading]) -> None:
    latest: dict[int, float] = {}
    newest = -np.inf
    for frame in spilled(readings):
        slots = frame.slots.tolist()
        assert sorted(set(slots)) == slots
        assert frame.at.min() >= newest
        newest = frame.at.max()
        for slot, at in zip(slots, frame.at.tolist(), strict=True):
            assert latest.get(slot, -np.inf) < at
            latest[slot] = at


@settings(max_examples=50, deadline=None)
@given(READINGS, st.randoms(use_true_random=False), st.lists(st.integers(0, 40), max_size=4))
def test_the_order_of_the_readings_and_of_the_batches_is_seen_in_nothing(
    readings: list[Reading], random: Any, cuts: list[int]
) -> None:
    once = list({(at, meter): (at, meter, values, said) for at, meter, values, said in readings}.values())
    shuffled = random.sample(once, len(once))

    assert told(spilled(shuffled, cuts)) == told(spilled(sorted(once, key=lambda one: one[:2])))
    assert told(spilled([*once, *shuffled])) == told(spilled(once))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), unique=True, max_size=40))
def test_rows_are_cut_into_as_few_frames_as_their_slots_allow(rows: list[tuple[int, int]]) -> None:
    slots, at = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    frames = list(ReadingRows(slots.astype(np.intp), at.astype(float), np.zeros(len(rows), np.uint32), {}).frames())
    order = sorted(rows, key=lambda row: (row[1], row[0]))
    fewest, seen = int(bool(rows)), set[int]()
    for slot, _ in order:
        fewest, seen = (fewest + 1, {slot}) if slot in seen else (fewest, seen | {slot})

    assert sum(map(len, frames)) == len(rows)
    assert len(frames) == fewest


def test_only_one_day_is_read_at_a_time(tmp_path: Path) -> None:
    fleet = engine(registry(METERS), []).fleet
    spill = Spill(tmp_path, QUANTITIES)
    spill.add(batch([(START + n * DAY_MS, "m-1", (1.0, 2.0), "") for n in range(30)]))
    assert len(list(tmp_path.iterdir())) == 30

    list(spill.frames(spill.days[0], fleet, ["park"]))
    assert len(list(tmp_path.iterdir())) == 29


def test_events_that_nobody_knows_are_named(tmp_path: Path) -> None:
    spill = Spill(tmp_path, QUANTITIES)
    spill.add(batch([(START, "m-1", (1.0, 2.0), f"lid_lost {MeterEvent.CLOCK_SET} a_b")]))

    assert spill.unknown_events() == ["a_b", "lid_lost"]
