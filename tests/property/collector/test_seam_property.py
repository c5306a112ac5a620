"""A load profile beside live readings: two clocks, one register, no accusation and no kWh too many or too few."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.engine.engine import Engine, Outcome
from collector.engine.rows import ReadingRows
from collector.store.table import LOAD_BLOCK
from tests.support.engines import engine, registry
from tests.support.rounds import MINUTE, T0

HOUR = 60 * MINUTE
STEP_KWH = 0.01
Register = Callable[[float], float]


def register_of(rng: random.Random, most_kw: float) -> Register:
    """What a meter has counted at an instant: another load every ten minutes."""
    loads = [rng.choice([0.0, rng.uniform(0, most_kw)]) for _ in range(48 * 6)]
    marks = np.cumsum([1000.0, *(kw / 6 for kw in loads)])

    def register(at: float) -> float:
        exact = float(np.interp(at, T0 + 10 * MINUTE * np.arange(len(marks)), marks))
        return math.floor(exact / STEP_KWH + 1e-9) * STEP_KWH

    return register


def judged(judging: Engine, readings: list[tuple[float, float, bool]]) -> Outcome:
    """Readings of one meter, instant, register and whether a load profile gave it, judged by their instants."""
    at, values, profiled = (np.array(column) for column in zip(*sorted(readings), strict=True))
    slots = np.repeat(judging.fleet.slots("gw-1", ("m-1",)), len(at))
    whole = Outcome()
    quality = np.zeros(len(at), np.uint32)
    for frame in ReadingRows(slots, at, quality, {"active_energy_import": values}, profiled=profiled).frames():
        outcome = judging.process(frame)
        assert outcome.switched == []
        whole.events += outcome.events
        whole.tables += outcome.tables
    return whole


def blocks_kwh(outcome: Outcome) -> dict[int, float]:
    found: dict[int, float] = {}
    for table in outcome.tables:
        if table.measurement == LOAD_BLOCK:
            (energy,) = [one for one in table.columns if one.name == "import_kwh"]
            found |= dict(zip(table.at.tolist(), (energy.integers / 10.0**energy.decimals).tolist(), strict=True))
    return found


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    ahead_s=st.integers(-290, 290),
    first_s=st.integers(3600, 2 * 3600),
    lasts_s=st.integers(600, 5 * 3600),
    overlap=st.integers(0, 2),
    period=st.sampled_from([5, 15, 30, 60]),
    most_kw=st.sampled_from([0.5, 6.0, 50.0]),
)
@example(seed=1, ahead_s=-290, first_s=3605, lasts_s=3 * 3600, overlap=2, period=15, most_kw=50.0)
@example(seed=1, ahead_s=290, first_s=3605, lasts_s=3 * 3600, overlap=2, period=5, most_kw=50.0)
def test_two_clocks_accuse_nobody_and_count_every_kwh_once(
    seed: int, ahead_s: int, first_s: int, lasts_s: int, overlap: int, period: int, most_kw: float
) -> None:
    rng = random.Random(seed)
    register = register_of(rng, most_kw)
    begins, ends = T0 + 1000 * first_s, T0 + 1000 * (first_s + lasts_s)
    last = ends + 2 * HOUR
    minutes = [T0 + n * MINUTE + rng.randint(0, 20_000) for n in range((last - T0) // MINUTE)]
    live = [(float(at), register(at), False) for at in minutes if not begins <= at < ends]
    step = period * MINUTE
    stamps = range(T0 + step, last, step)
    wanted = [at for at in stamps if begins - overlap * step <= at < ends + overlap * step]
    profile = [(float(at), register(at - 1000 * ahead_s), True) for at in wanted]

    outcome = judged(engine(registry(["m-1"])), live + profile)

    assert [event.kind for event in outcome.events] == []
    blocks = blocks_kwh(outcome)
    edges = [at for at in sorted(blocks) if at >= T0 + 15 * MINUTE]
    near = (overlap + 1) * step
    away = [at for at in edges if not begins - near - HOUR <= at < ends + near]
    counted = sum(blocks[at] for at in edges)
    assert abs(counted - (register(edges[-1] + 15 * MINUTE) - register(edges[0]))) <= most_kw / 60 + 5 * STEP_KWH
    for at in away:
        assert abs(blocks[at] - (register(at + 15 * MINUTE) - register(at))) <= most_kw / 60 + 2 * STEP_KWH
    assert sorted(blocks) == list(range(min(blocks), max(blocks) + 1, 15 * MINUTE))


def test_a_register_that_truly_fell_in_the_hole_is_told() -> None:
    register = register_of(random.Random(3), 6.0)
    live = [(float(T0 + n * MINUTE), register(T0 + n * MINUTE), False) for n in range(60)]
    profile = [(float(T0 + n * 15 * MINUTE), register(T0 + n * 15 * MINUTE) - 40, True) for n in range(4, 12)]
    after = [(float(T0 + n * MINUTE), register(T0 + n * MINUTE) - 40, False) for n in range(180, 240)]

    events = judged(engine(registry(["m-1"])), live + profile + after).events

    assert [(event.kind, event.lifecycle) for event in events] == [
        ("register_fell", "opened"),
        ("register_fell", "closed"),
    ]


def test_without_a_load_profile_a_small_fall_of_live_readings_is_told_as_ever() -> None:
    values = [1000.0 + n / 10 for n in range(60)] + [1005.5 + n / 10 for n in range(30)]
    live = [(float(T0 + n * MINUTE), value, False) for n, value in enumerate(values)]

    events = judged(engine(registry(["m-1"])), live).events

    assert "register_fell" in {event.kind for event in events}
