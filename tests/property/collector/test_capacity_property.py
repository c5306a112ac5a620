"""Every true excess of two blocks is found and nothing else, under random loads, steps and approvals."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.events.event import Event
from metering.round import Round
from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round

BLOCK = 15 * MINUTE
CONTRACT = 30
Window = tuple[int, int, int]  # minutes from, minutes to, kVA


def readings(loads: list[int], step: int) -> list[tuple[int, int, Fraction]]:
    """Minute, kW and register (kWh) of every reading; the load of a block is constant."""
    found = []
    for minute in range(0, len(loads) * 15 + 1, step):
        kw = loads[min(minute // 15, len(loads) - 1)]
        counted = sum(
            (Fraction(load * max(0, min(15, minute - 15 * i)), 60) for i, load in enumerate(loads)), Fraction(0)
        )
        found.append((minute, kw, counted))
    return found


def means(loads: list[int], step: int) -> list[Fraction]:
    """Between readings power runs straight; readings every 15 minutes leave it to the register."""
    if step == 15:
        return [Fraction(load) for load in loads]
    sums = [Fraction(0)] * len(loads)
    for (m0, p0, _), (m1, p1, _) in pairwise(readings(loads, step)):
        sums[m0 // 15] += Fraction((p0 + p1) * (m1 - m0), 2)
    return [one / 15 for one in sums]


def limits(windows: list[Window], blocks: int) -> list[Fraction]:
    """The mean of the limits of the minutes of a block."""
    by_minute = [max([CONTRACT, *(kva for a, b, kva in windows if a <= m < b)]) for m in range(blocks * 15)]
    return [Fraction(sum(by_minute[15 * i : 15 * i + 15]), 15) for i in range(blocks)]


def iso(minute: int) -> str:
    return datetime.fromtimestamp((T0 + minute * MINUTE) / 1000, UTC).isoformat()


@pytest.mark.parametrize("step", [1, 5, 15])
@settings(max_examples=60, deadline=None)
@given(
    loads=st.lists(st.sampled_from([5, 20, 29, 31, 36, 44, 55]), min_size=4, max_size=30),
    windows=st.lists(
        st.tuples(st.integers(0, 400), st.integers(1, 200), st.sampled_from([33, 40, 50])).map(
            lambda one: (one[0], one[0] + one[1], one[2])
        ),
        max_size=3,
    ),
    sizes=st.lists(st.integers(1, 9), max_size=20),
)
def test_every_excess_of_two_blocks_is_found_and_nothing_else(
    step: int, loads: list[int], windows: list[Window], sizes: list[int]
) -> None:
    approvals = [{"meter": "m-1", "from": iso(a), "to": iso(b), "kva": kva} for a, b, kva in windows]
    judging = engine(registry(["m-1"], approvals=approvals, contract_kva=CONTRACT))
    rounds = [
        make_round(
            {"active_power": [kw], "active_energy_import": [float(1000 + kwh)]}, meters=["m-1"], at=T0 + minute * MINUTE
        )
        for minute, kw, kwh in readings(loads, step)
    ]

    events = judged(judging, rounds, sizes)

    means_, limits_ = means(loads, step), limits(windows, len(loads))
    above = [mean > limit for mean, limit in zip(means_, limits_, strict=True)]
    said = spans([one for one in events if one.kind in ("over_capacity", "over_approved")])
    for block, (one, other) in enumerate(pairwise(above)):
        if one and other:
            assert any(first <= block + 1 < end for first, end in said), (block, said, above)
    for first, _ in said:
        assert above[first]
        assert (first > 0 and above[first - 1]) or above[first + 1], (first, above)


def judged(judging: object, rounds: list[Round], sizes: list[int]) -> list[Event]:
    events: list[Event] = []
    at = 0
    for size in [*sizes, len(rounds)]:
        events += judge(judging, rounds[at : at + size]).events  # type: ignore[arg-type]
        at += size
    return events


def spans(events: list[Event]) -> list[tuple[int, float]]:
    """First block and first block after of every finding; one that is still open has no end."""
    found: dict[str, tuple[int, float]] = {}
    for event in events:
        end = float("inf") if event.ended_at is None else (event.ended_at - T0) // BLOCK
        found[event.condition] = ((event.started_at - T0) // BLOCK, end)
    return list(found.values())
