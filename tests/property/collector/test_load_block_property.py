"""Load blocks against exact fractions; and what may not change them: grouping, polling period, absent columns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.round import Quality, Round
from tests.support.engines import engine, judge, registry
from tests.support.rounds import MINUTE, T0, make_round

Reading = tuple[int, int]  # ms, Wh
Blocks = dict[int, dict[str, float]]

BLOCK = 15 * MINUTE


def brute_force(readings: list[Reading]) -> dict[int, Fraction]:
    """Wh of every block that ended, by exact fractions of every interval."""
    found: dict[int, Fraction] = {}
    for (t0, e0), (t1, e1) in pairwise(readings):
        for block in range(t0 // BLOCK, (t1 - 1) // BLOCK + 1):
            inside = min(t1, (block + 1) * BLOCK) - max(t0, block * BLOCK)
            found[block] = found.get(block, Fraction(0)) + Fraction((e1 - e0) * inside, t1 - t0)
    return {block: wh for block, wh in found.items() if (block + 1) * BLOCK <= readings[-1][0]}


def blocks_of_rounds(rounds: list[Round], sizes: list[int], work_orders: Sequence[dict[str, object]] = ()) -> Blocks:
    judging = engine(registry(["m-1"], work_orders=work_orders))
    found: Blocks = {}
    at = 0
    for size in [*sizes, len(rounds)]:
        for table in judge(judging, rounds[at : at + size]).tables:
            if table.measurement != "load_block":
                continue
            for row, start in enumerate(table.at.tolist()):
                values = found.setdefault(start // BLOCK, {})
                for column in table.columns:
                    if column.valid is None or column.valid[row]:
                        values[column.name] = int(column.integers[row]) / 10**column.decimals
        at += size
    return found


@st.composite
def series(draw: st.DrawFn) -> list[Reading]:
    at, energy = T0 + draw(st.integers(0, 86_400_000)), draw(st.integers(0, 10**8))
    readings = [(at, energy)]
    for _ in range(draw(st.integers(1, 40))):
        elapsed = draw(st.integers(1_000, 5 * MINUTE) | st.integers(MINUTE, 7 * 3_600_000))
        at += elapsed
        energy += draw(st.integers(0, 15 * elapsed // 1000))  # what a meter of 80 A can carry
        readings.append((at, energy))
    return readings


@settings(max_examples=150, deadline=None)
@given(series(), st.lists(st.integers(1, 7), max_size=10))
def test_blocks_are_exact_and_add_up_to_the_register(readings: list[Reading], sizes: list[int]) -> None:
    rounds = [make_round({"active_energy_import": [wh / 1000]}, meters=["m-1"], at=at) for at, wh in readings]

    found = blocks_of_rounds(rounds, sizes)

    expected = brute_force(readings)
    assert set(found) == set(expected)
    for block, wh in expected.items():
        assert found[block]["import_kwh"] == pytest.approx(float(wh) / 1000, abs=6e-5)
        assert 0 <= found[block]["covered"] <= 1


@settings(max_examples=60, deadline=None)
@given(series(), st.lists(st.integers(1, 7), max_size=10), st.integers(1, 3_600_000), st.randoms())
def test_grouping_periods_absent_columns_and_old_rows_change_nothing(
    readings: list[Reading], sizes: list[int], period_ms: int, rng: object
) -> None:
    plain = [make_round({"active_energy_import": [wh / 1000]}, meters=["m-1"], at=at) for at, wh in readings]
    other: list[Round] = []
    for at, wh in readings:
        other.append(
            make_round(
                {"active_energy_import": [wh / 1000], "active_energy_export": [None], "active_power": [None]},
                meters=["m-1"],
                at=at,
                period_ms=period_ms,
            )
        )
        if rng.random() < 0.3:  # type: ignore[attr-defined]
            other.append(make_round({"active_energy_import": [0.0]}, meters=["m-1"], at=at - 1000, period_ms=period_ms))
            other.append(other[-2])

    assert blocks_of_rounds(other, sizes) == blocks_of_rounds(plain, [])


def spaced(minutes: list[int], kw: float = 6.0) -> list[Round]:
    return [
        make_round({"active_energy_import": [100 + kw * minute / 60]}, meters=["m-1"], at=T0 + minute * MINUTE)
        for minute in minutes
    ]


def test_a_gap_is_spread_over_its_blocks_and_marked_and_makes_no_spike() -> None:
    found = blocks_of_rounds(spaced([*range(40), *range(100, 136)]), [])

    first = T0 // BLOCK
    assert [found[first + i]["import_kwh"] for i in range(9)] == pytest.approx([1.5] * 9)
    assert [found[first + i]["estimated"] for i in range(9)] == [0, 0, 1, 1, 1, 1, 1, 0, 0]
    covered = [found[first + i]["covered"] for i in range(9)]
    assert covered == pytest.approx([1, 1, 9 / 15, 0, 0, 0, 5 / 15, 1, 1], abs=1e-4)


def test_a_gap_inside_one_block_is_exact() -> None:
    found = blocks_of_rounds(spaced([*range(17), *range(29, 31)]), [])

    assert found[T0 // BLOCK + 1] == {"import_kwh": 1.5, "covered": 1.0, "estimated": 0.0}


def test_one_reading_that_was_missed_is_no_gap_and_one_that_came_late_teaches_nothing() -> None:
    late = make_round({"active_energy_import": [102.998]}, meters=["m-1"], at=T0 + 30 * MINUTE - 1000)
    rounds = [*spaced(list(range(0, 30, 5))), late, *spaced([30, 35, 40, 50, 55, 60])]

    found = blocks_of_rounds(rounds, [])

    assert [values["estimated"] for values in found.values()] == [0.0] * 4


def test_an_interval_that_is_longer_than_a_block_is_spread_even_if_it_is_usual() -> None:
    found = blocks_of_rounds(spaced(list(range(0, 361, 60))), [])

    assert [values["estimated"] for values in found.values()] == [1.0] * 24
    assert sum(values["import_kwh"] for values in found.values()) == pytest.approx(36)


def test_what_the_gateway_doubted_is_not_read() -> None:
    rounds = spaced(list(range(0, 60, 5)))
    doubted = make_round(
        {"active_energy_import": [101.0]},
        meters=["m-1"],
        at=T0 + 12 * MINUTE,
        quality=[int(Quality.REGISTER_FELL)],
    )

    found = blocks_of_rounds([*rounds[:3], doubted, *rounds[3:]], [])

    assert found == blocks_of_rounds(rounds, [])


def test_a_register_that_passed_its_highest_number_counts_on() -> None:
    values = [99_998.0, 99_999.0, 0.0, 1.0, 2.0, 3.0, 4.0]
    rounds = [
        make_round({"active_energy_import": [value]}, meters=["m-1"], at=T0 + i * 15 * MINUTE)
        for i, value in enumerate(values)
    ]

    found = blocks_of_rounds(rounds, [])

    assert sum(one["import_kwh"] for one in found.values()) == pytest.approx(6.0)


def test_registers_that_are_read_in_different_rounds_end_in_one_row() -> None:
    rounds: list[Round] = []
    for minute in range(0, 46, 5):
        rounds.append(make_round({"active_energy_import": [10 + minute]}, meters=["m-1"], at=T0 + minute * MINUTE))
        if minute % 15 == 0:
            slow = {"active_energy_export": [50 + minute / 10], "reactive_energy_import": [70 + minute / 5]}
            rounds.append(make_round(slow, meters=["m-1"], at=T0 + minute * MINUTE + 30_000, group="slow"))

    found = blocks_of_rounds(rounds, [])

    first = T0 // BLOCK
    assert found[first + 1] == {
        "import_kwh": 15.0,
        "export_kwh": 1.5,
        "import_kvarh": 3.0,
        "covered": 1.0,
        "estimated": 0.0,
    }


def test_an_announced_exchange_needs_no_second_reading() -> None:
    order = {
        "meter": "m-1",
        "kind": "exchange",
        "from": datetime.fromtimestamp((T0 + 28 * MINUTE) / 1000, UTC),
        "to": datetime.fromtimestamp((T0 + 32 * MINUTE) / 1000, UTC),
    }
    values = [9000.0, 9000.5, 9001.0, 3.0, 3.5, 4.0, 4.5, 5.0]
    rounds = [
        make_round({"active_energy_import": [value]}, meters=["m-1"], at=T0 + i * 10 * MINUTE)
        for i, value in enumerate(values)
    ]

    announced = sum(one.get("import_kwh", 0.0) for one in blocks_of_rounds(rounds, [], work_orders=[order]).values())
    silent = sum(one.get("import_kwh", 0.0) for one in blocks_of_rounds(rounds, []).values())

    # The last block ends at 60 minutes: 1 kWh of the old meter, and 1.5 or only 1.0 of the new one.
    assert announced == pytest.approx(1.0 + 1.5)
    assert silent == pytest.approx(1.0 + 1.0)
