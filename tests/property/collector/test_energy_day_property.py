"""Energy by period against an independent, slow computation that knows nothing of blocks in vectors."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.store.table import ENERGY_DAY, Scaled
from collector.tariff.periods import Period
from tests.support.engines import engine, judge, registry, tariffs
from tests.support.rounds import MINUTE, T0, make_round

Reading = tuple[int, int]  # ms, Wh

NAMES = {Period.SHARP: "sharp", Period.PEAK: "peak", Period.FLAT: "flat", Period.VALLEY: "valley"}


def brute_force(readings: list[Reading], zone: ZoneInfo) -> dict[date, dict[str, Fraction]]:
    """Walk every interval minute by minute in exact arithmetic."""
    tariff = tariffs()["illustrative"]
    days: dict[date, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for (t0, e0), (t1, e1) in pairwise(readings):
        rate = Fraction(e1 - e0, t1 - t0)
        at = t0
        while at < t1:
            stop = min(t1, at // MINUTE * MINUTE + MINUTE)
            local = datetime.fromtimestamp(at // MINUTE * 60, UTC).astimezone(zone)
            period = tariff.day(local.date(), frozenset())[(local.hour * 60 + local.minute) // 15]
            days[local.date()][NAMES[period]] += rate * (stop - at)
            at = stop
    return days


@st.composite
def series(draw: st.DrawFn, start: int) -> list[Reading]:
    at, energy = start + draw(st.integers(0, 86_400_000)), draw(st.integers(0, 10**8))
    readings = [(at, energy)]
    for _ in range(draw(st.integers(1, 40))):
        elapsed = draw(st.integers(1_000, 5 * MINUTE) | st.integers(MINUTE, 7 * 3_600_000))
        at += elapsed
        energy += draw(st.integers(0, 15 * elapsed // 1000))  # what a meter of 80 A can carry
        readings.append((at, energy))
    return readings


# Clocks change in Berlin on these days: one of 23 hours, one of 25; Shanghai's leap day; a year's end.
STARTS = {
    "shanghai": ("Asia/Shanghai", "2028-02-28T00:00+08:00"),
    "new year": ("Asia/Shanghai", "2026-12-30T12:00+08:00"),
    "spring": ("Europe/Berlin", "2026-03-28T12:00+01:00"),
    "autumn": ("Europe/Berlin", "2026-10-24T12:00+02:00"),
    "kathmandu": ("Asia/Kathmandu", "2026-06-18T00:00+05:45"),
}


def _says(column: Scaled, row: int) -> bool:
    return column.valid is None or bool(column.valid[row])


@pytest.mark.parametrize("name", STARTS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), split=st.integers(1, 10))
def test_energy_by_period_is_exact_to_the_register(name: str, data: st.DataObject, split: int) -> None:
    zone_name, start = STARTS[name]
    readings = data.draw(series(round(datetime.fromisoformat(start).timestamp() * 1000)))
    known = registry(["m-1"], timezone=zone_name)
    judging = engine(known)
    found: defaultdict[date, dict[str, float]] = defaultdict(dict)
    zone = ZoneInfo(zone_name)
    for i in range(0, len(readings), split):
        rounds = [
            make_round({"active_energy_import": [wh / 1000]}, meters=["m-1"], at=at)
            for at, wh in readings[i : i + split]
        ]
        for table in judge(judging, rounds).tables:
            if table.measurement != ENERGY_DAY:
                continue
            for row, at in enumerate(table.at.tolist()):  # a later row may say some columns only, as in a store
                said = {c.name: c.integers[row] / 10**c.decimals for c in table.columns if _says(c, row)}
                found[datetime.fromtimestamp(at / 1000, zone).date()] |= said

    expected = brute_force(readings, zone)
    last_block = (readings[-1][0] // (15 * MINUTE)) * 15 * MINUTE
    complete = {
        d: v
        for d, v in expected.items()
        if datetime.combine(d + timedelta(1), datetime.min.time(), zone).timestamp() * 1000 <= last_block
    }
    assert set(complete) <= set(found)
    for day, periods in complete.items():
        for name_ in NAMES.values():
            assert found[day][name_] == pytest.approx(float(periods[name_]) / 1000, abs=2e-4)
        assert found[day]["total"] == pytest.approx(float(sum(periods.values())) / 1000, abs=5e-4)


def test_a_gap_over_a_period_edge_is_marked_estimated_and_one_within_a_period_is_not() -> None:
    judging = engine(registry(["m-1"]))

    def rounds(*points: tuple[float, float]) -> list[object]:
        return [
            make_round({"active_energy_import": [kwh]}, meters=["m-1"], at=T0 + round(hours * 3_600_000))
            for hours, kwh in points
        ]

    # Valley is 00–08, peak 08–11 in June. A gap inside the valley, then one over its end.
    outcome = judge(judging, rounds((1, 10), (5, 14), (9, 22), (9 + 1 / 60, 22), (9.25, 22)))  # type: ignore[arg-type]

    day = {c.name: c.integers[-1] / 10**c.decimals for c in outcome.tables[-1].columns}
    assert day["total"] == pytest.approx(12)
    assert day["valley"] == pytest.approx(4 + 8 * 3 / 4)
    assert day["peak"] == pytest.approx(8 / 4)
    assert day["estimated"] == pytest.approx(8)


def test_maximum_demand_is_the_highest_block_that_was_measured_throughout() -> None:
    judging = engine(registry(["m-1"]))
    kwh, rounds = 100.0, []
    for minute in range(0, 121, 5):
        kwh += {30: 3.0, 35: 3.0, 40: 3.0}.get(minute - 5, 0.5)
        rounds.append(
            make_round({"active_energy_import": [kwh]}, meters=["m-1"], at=T0 + minute * MINUTE, period_ms=5 * MINUTE)
        )

    outcome = judge(judging, rounds)

    day = {c.name: c.integers[-1] / 10**c.decimals for c in outcome.tables[-1].columns}
    assert day["maximum_demand"] == pytest.approx(4 * 9.0)
    assert day["maximum_demand_at"] == T0 + 30 * MINUTE
    assert day["coverage"] == pytest.approx(2 / 24, abs=1e-4)


@pytest.mark.parametrize("garbage", [[0.0], [0.0, 0.0], [4_000_000.0], [3.5, 0.0]])
def test_a_transient_zero_or_jump_costs_no_energy_and_makes_no_spike(garbage: list[float]) -> None:
    judging = engine(registry(["m-1"]))
    values = [1000.0, 1000.5, *garbage, 1001.5, 1002.0, 1002.5]
    values[-3] += 0.5 * (len(garbage) - 1)
    rounds = [
        make_round({"active_energy_import": [value]}, meters=["m-1"], at=T0 + i * 15 * MINUTE, period_ms=15 * MINUTE)
        for i, value in enumerate(values)
    ]
    if garbage == [0.0, 0.0]:  # confirmed by a second reading: a new register; what came before it stays counted
        rounds = rounds[:4]

    day = judge(judging, rounds).tables[-1]

    total = next(c for c in day.columns if c.name == "total")
    counted = total.integers[-1] / 10**total.decimals
    assert counted == pytest.approx(0.5 if garbage == [0.0, 0.0] else values[-1] - values[0])


def test_an_exchanged_meter_counts_on_from_its_new_register() -> None:
    judging = engine(registry(["m-1"]))
    values = [9000.0, 9000.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    rounds = [
        make_round({"active_energy_import": [value]}, meters=["m-1"], at=T0 + i * 15 * MINUTE, period_ms=15 * MINUTE)
        for i, value in enumerate(values)
    ]

    day = judge(judging, rounds).tables[-1]

    total = next(c for c in day.columns if c.name == "total")
    assert total.integers[-1] / 10**total.decimals == pytest.approx(0.5 + 1.5)
