"""What is found depends on each meter's own rows, in their order: not on frames, periods, repetitions, other meters."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.engine.engine import Engine
from collector.engine.frame import Frame
from metering.meter_event import MeterEvent
from tests.support.engines import engine, registry
from tests.support.rounds import MINUTE, T0

METERS = [f"m-{i}" for i in range(4)]
COLUMNS = [
    "active_power",
    "power_factor",
    "current_n",
    "clock_offset",
    "active_energy_import",
    *(f"{name}_l{phase}" for name in ("voltage", "current", "active_power") for phase in (1, 2, 3)),
]
NAN = float("nan")
STEP = 5
Three = list[float]
PLUS = [1.0] * 3
SHOWN: dict[str, Callable[[Three, Three], tuple[Three, Three, Three]]] = {  # span → voltages, currents, signs
    "honest": lambda u, i: (u, i, PLUS),
    "lost": lambda u, i: (u, [i[0], 0.0, i[2]], PLUS),
    "shunted": lambda u, i: (u, [i[0], i[1], 0.1 * i[2]], PLUS),
    "dead": lambda u, i: ([0.004 * one for one in u], [0.0 * one for one in i], PLUS),
    "low": lambda u, i: ([150.0, u[1], u[2]], i, PLUS),
    "back": lambda u, i: (u, i, [-1.0, 1.0, 1.0]),
    "idle": lambda u, i: (u, [0.01 * one for one in i], PLUS),
    "unread": lambda u, i: (u, i, PLUS),
    "fast": lambda u, i: (u, [110.0, i[1], i[2]], PLUS),
    "still": lambda u, i: (u, i, PLUS),
    "off": lambda u, i: (u, i, PLUS),
}


@dataclass(frozen=True)
class Row:
    meter: int
    at: float
    values: dict[str, float]  # what is carried
    quality: int
    events: tuple[MeterEvent, ...]


def rows_of(meter: int, rng: random.Random) -> list[Row]:
    """One meter's life: a few hours of honest load, then spans of anything."""
    found: list[Row] = []
    at, register = float(T0 + 7 * meter), 1000.0
    spans = ["honest", *rng.choices(list(SHOWN), k=6)]
    for n, span in enumerate(spans):
        for _ in range(40 if n == 0 else rng.randint(5, 40)):
            at += STEP * MINUTE + rng.randint(-500, 500)
            voltage = [230.0] * 3
            current = [rng.uniform(4, 12) for _ in range(3)]
            voltage, current, signs = SHOWN[span](voltage, current)
            power = [0.95 * sign * u * i / 1000 for sign, u, i in zip(signs, voltage, current, strict=True)]
            register += 0.0 if span == "still" else max(sum(power), 0.0) * STEP / 60
            values = {"active_power": sum(power), "power_factor": 0.95, "active_energy_import": round(register, 2)}
            values |= {"clock_offset": 600.0 if span == "off" else 1.0, "current_n": current[0]}
            for phase in range(3):
                values[f"voltage_l{phase + 1}"] = voltage[phase]
                values[f"current_l{phase + 1}"] = current[phase]
                values[f"active_power_l{phase + 1}"] = power[phase]
            if rng.random() < 0.05:  # a group of its own, or a value that is missing
                for name in rng.sample(COLUMNS, rng.randint(1, len(COLUMNS) - 1)):
                    del values[name]
            failed = span == "unread"
            said = (rng.choice(list(MeterEvent)),) if rng.random() < 0.02 else ()
            found.append(Row(meter, at, {} if failed else values, int(failed), said))
    return found


def frame_of(judging: Engine, rows: list[Row], period_ms: int, carried: list[str]) -> Frame:
    slots = np.array([judging.fleet.slots("gw-1", (METERS[row.meter],))[0] for row in rows])
    columns = {name: np.array([row.values.get(name, NAN) for row in rows]) for name in carried}
    quality = np.array([row.quality for row in rows], np.uint32)
    events = {i: row.events for i, row in enumerate(rows) if row.events}
    return Frame(slots, np.array([row.at for row in rows]), quality, period_ms, columns, events)


def judged(judging: Engine, frames: list[Frame]) -> dict[str, str]:
    """The body of every event of an integrity check by its id."""
    found = {}
    for frame in frames:
        outcome = judging.process(frame)
        assert outcome.switched == []
        found |= {event.id: event.body() for event in outcome.events if "capacity" not in event.kind}
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_framing_repetition_and_restarts_change_nothing(seed: int, framing: int) -> None:
    rows = {meter: rows_of(meter, random.Random(seed + meter)) for meter in range(len(METERS))}
    known = registry(METERS)
    plain = engine(known)
    each_alone = [frame_of(plain, [row], STEP * MINUTE, COLUMNS) for meter in rows for row in rows[meter]]
    expected = judged(plain, each_alone)

    rng = random.Random(framing)
    judging = engine(known)
    found: dict[str, str] = {}
    at = dict.fromkeys(rows, 0)
    while waiting := [meter for meter in rows if at[meter] < len(rows[meter])]:
        chosen = rng.sample(waiting, rng.randint(1, len(waiting)))
        now = [rows[meter][at[meter]] for meter in chosen]
        if rng.random() < 0.2:  # a duplicate, or something older that comes late
            now = [
                rows[meter][rng.randrange(at[meter])] if at[meter] else row
                for meter, row in zip(chosen, now, strict=True)
            ]
        for meter, row in zip(chosen, now, strict=True):
            at[meter] += row is rows[meter][at[meter]]
        # What no row of a frame carries may be a column of nothing or no column.
        carried = [name for name in COLUMNS if any(name in row.values for row in now) or rng.random() < 0.5]
        found |= judged(judging, [frame_of(judging, now, rng.choice([1, 5, 60]) * MINUTE, carried)])
        if rng.random() < 0.05:
            snapshot = judging.snapshot("gw-1")
            judging = engine(known)
            assert judging.restore("gw-1", snapshot) == ()

    assert found == expected


def test_these_lives_hold_findings_of_many_kinds() -> None:
    kinds: set[str] = set()
    for seed in range(12):
        judging = engine(registry(METERS))
        rows = rows_of(0, random.Random(seed))
        frames = [frame_of(judging, [row], STEP * MINUTE, COLUMNS) for row in rows]
        for frame in frames:
            kinds |= {event.kind for event in judging.process(frame).events}
    assert kinds >= {
        "current_loss",
        "voltage_loss",
        "outage",
        "reverse_flow",
        "register_stopped",
        "over_current",
        "clock_offset",
        "read_failure",
        "cover_opened",
    }
