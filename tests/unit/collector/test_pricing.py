"""What the pricing feed states: exact shares, two decimals of power factor, months as sums of days, revisions."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import pytest
from jsonschema import Draft202012Validator

from collector.engine.engine import Engine
from collector.feeds.pricing import DayDeterminants, MonthDeterminants, night_share, power_factor
from collector.feeds.statement import Statements, restated
from collector.registry.records import Approval
from collector.store.store import EnergyDayRow, EnergyMonthRow
from collector.store.table import Series, Table
from metering.round import Round
from tests.support.engines import engine, judge, registry, tariffs
from tests.support.rounds import MINUTE, make_round

HOUR = 60 * MINUTE
MAY_30 = round(datetime.fromisoformat("2026-05-30T12:00+08:00").timestamp() * 1000)
FIRST_OF_JUNE = round(datetime.fromisoformat("2026-06-01T00:00+08:00").timestamp() * 1000)

Rows = dict[tuple[Series, int], dict[str, float]]


def hourly(first: int, hours: int, kw_at: dict[int, float] | None = None, start_kwh: float = 1000.0) -> list[Round]:
    """Readings every five minutes; 6 kW but for the hours that say something else, a third of it reactive."""
    rounds, kwh, kvarh = [], start_kwh, 500.0
    for i in range(hours * 12 + 1):
        at = first + i * 5 * MINUTE
        values = {"active_energy_import": [kwh], "reactive_energy_import": [kvarh], "active_energy_export": [7.0]}
        rounds.append(make_round(values, meters=["m-1"], at=at))
        kw = (kw_at or {}).get(i // 12, 6.0)
        kwh += kw / 12
        kvarh += kw / 36
    return rounds


def rows_of(tables: Iterable[Table], measurement: str) -> Rows:
    found: Rows = {}
    for table in tables:
        if table.measurement == measurement:
            for row, (slot, at) in enumerate(zip(table.rows.tolist(), table.at.tolist(), strict=True)):
                values = found.setdefault((table.series[slot], at), {})
                for column in table.columns:
                    if column.valid is None or column.valid[row]:
                        values[column.name] = int(column.integers[row]) / 10**column.decimals
    return found


def judged(rounds: Iterable[Round], judging: Engine | None = None) -> tuple[list[EnergyDayRow], list[EnergyMonthRow]]:
    tables = judge(judging or engine(registry(["m-1"], trade="catering", account="A-1")), rounds).tables
    days, months = (rows_of(tables, name) for name in ("energy_day", "energy_month"))
    return (
        [EnergyDayRow(series.gateway, series.meter, at, values) for (series, at), values in sorted_rows(days)],
        [EnergyMonthRow(series.gateway, series.meter, at, values) for (series, at), values in sorted_rows(months)],
    )


def sorted_rows(rows: Rows) -> list[tuple[tuple[Series, int], dict[str, float]]]:
    return sorted(rows.items(), key=lambda item: item[0][1])


def months_of(
    days: list[EnergyDayRow], months: list[EnergyMonthRow], approvals: list[Approval] | None = None
) -> list[MonthDeterminants]:
    statements = Statements(registry(["m-1"], trade="catering", account="A-1"), tariffs())
    return list(statements.months(days, months, {"m-1": approvals or []}, 0, 2**43))


@pytest.mark.parametrize(
    ("night", "total", "above"),
    [(50.0, 100.0, False), (50.0001, 100.0, True), (49.9999, 100.0, False), (0.15, 0.3, False), (0.0, 0.0, False)],
)
def test_exactly_one_half_is_not_above_half(night: float, total: float, above: bool) -> None:
    share, is_above = night_share(night, total)

    assert is_above is above
    assert share == (pytest.approx(night / total, abs=1e-6) if total else None)


def test_sums_that_binary_fractions_would_bend_are_still_exactly_one_half() -> None:
    tenth = sum(0.1 for _ in range(3))  # 0.30000000000000004

    assert night_share(tenth, 0.6) == (0.5, False)


@pytest.mark.parametrize(
    ("kwh", "kvarh", "expected"),
    [(100, 0, 1.0), (0, 10, 0.0), (3, 4, 0.6), (100, 48.4322, 0.9), (4, 3, 0.8), (0, 0, None), (199, 19.999937, 0.99)],
)
def test_a_power_factor_has_two_decimals(kwh: float, kvarh: float, expected: float | None) -> None:
    assert power_factor(kwh, kvarh) == expected


def test_a_power_factor_on_the_edge_is_rounded_up() -> None:
    # 0.125 = 1 / 8: kvarh² = 63 kWh² has no exact root; one ten-thousandth to either side decides.
    assert power_factor(1000.0, 7937.2539) == 0.13
    assert power_factor(1000.0, 7937.2540) == 0.12


def test_a_month_that_is_over_is_the_sum_of_its_days() -> None:
    days, months = judged(hourly(MAY_30, 24 * 4))

    may, june = months_of(days, months)

    assert (may.month, may.running, may.complete) == (date(2026, 5, 1), False, False)
    assert (june.month, june.running) == (date(2026, 6, 1), True)
    assert may.total_kwh == pytest.approx(36 * 6.0)
    assert june.total_kwh == pytest.approx(60 * 6.0)
    assert may.total_kwh == sum(round(day.values["total"] * 1e4) for day in days if day.day_start < FIRST_OF_JUNE) / 1e4
    assert may.account == "A-1"
    assert may.own_window == ("10:00-14:00", "17:00-21:00")
    assert may.own_window_kwh == pytest.approx((2 + 4 + 8) * 6.0)
    assert may.power_factor == 0.95  # 3 / √10
    assert may.export_kwh == 0.0
    assert may.maximum_demand_kw == pytest.approx(6.0)


def test_the_row_of_a_month_and_the_sum_of_its_days_say_the_same() -> None:
    days, months = judged(hourly(MAY_30, 24 * 4, {5: 9.0, 40: 12.0}))

    stored = months_of(days, months)[0]
    summed = months_of(days, [])[0]

    assert stored == summed


def test_a_whole_month_is_complete_and_one_with_a_gap_over_a_period_is_not() -> None:
    first = FIRST_OF_JUNE - HOUR
    rounds = hourly(first, 24 * 30 + 2)[::3]
    hole = [one for one in rounds if not 24 * 60 < (one.scheduled_at - first) / MINUTE < 36 * 60]

    whole = months_of(*judged(rounds))
    holed = months_of(*judged(hole))

    assert [(one.month, one.complete, one.coverage) for one in whole[1:2]] == [(date(2026, 6, 1), True, 1.0)]
    assert whole[1].night_share == pytest.approx(1 / 3, abs=1e-4)
    assert not holed[1].complete
    assert holed[1].total_kwh == pytest.approx(whole[1].total_kwh, abs=1e-3)
    assert holed[1].estimated_share == pytest.approx(12 / (24 * 30), abs=2e-3)


def test_the_highest_approval_of_the_month_stands_beside_the_contract() -> None:
    approvals = [
        Approval.model_validate({"meter": "m-1", "from": start, "to": end, "kva": kva, "status": status})
        for start, end, kva, status in (
            ("2026-05-31T23:00+08:00", "2026-06-01T01:00+08:00", 40, "approved"),
            ("2026-06-10T00:00+08:00", "2026-06-11T00:00+08:00", 45, "approved"),
            ("2026-06-12T00:00+08:00", "2026-06-13T00:00+08:00", 60, "requested"),
        )
    ]

    may, june = months_of(*judged(hourly(MAY_30, 24 * 4)), approvals)

    assert (may.contract_kva, may.approved_kva) == (30, 40)
    assert june.approved_kva == 45


def test_a_late_reading_that_changes_a_closed_day_is_its_next_revision_and_only_once() -> None:
    rounds = hourly(FIRST_OF_JUNE - HOUR, 24 * 3, {30: 12.0})
    missing = range(24 * 12, 36 * 12)
    first = judge(engine(registry(["m-1"])), [one for i, one in enumerate(rounds) if i not in missing]).tables
    stated = rows_of(first, "energy_day")

    replayed = [one for one in judge(engine(registry(["m-1"])), rounds).tables if one.measurement == "energy_day"]
    over = FIRST_OF_JUNE + 48 * HOUR

    changed = rows_of(restated(replayed, stated, lambda _, at: at + 24 * HOUR <= over), "energy_day")

    # The hole lay in two days; 12 kW instead of 6 were used in it, after midnight.
    assert {at: values.get("revision") for (_, at), values in changed.items()} == {
        FIRST_OF_JUNE: 1.0,
        FIRST_OF_JUNE + 24 * HOUR: 1.0,
    }
    in_force = {key: values | changed.get(key, {}) for key, values in stated.items()}
    assert restated(replayed, in_force, lambda *_: True) == []
    (row,) = [EnergyDayRow("gw-1", "m-1", at, v) for (_, at), v in changed.items() if at == FIRST_OF_JUNE + 24 * HOUR]
    assert next(Statements(registry(["m-1"]), tariffs()).days([row])).revision == 1
    running = rows_of(restated(replayed, stated, lambda *_: False), "energy_day")
    assert all("revision" not in values for values in running.values())


def test_the_models_have_schemas_that_their_own_documents_meet() -> None:
    days, months = judged(hourly(MAY_30, 24 * 4))
    statements = Statements(registry(["m-1"]), tariffs())

    for model, documents in (
        (DayDeterminants, list(statements.days(days))),
        (MonthDeterminants, months_of(days, months)),
    ):
        schema = model.model_json_schema()
        Draft202012Validator.check_schema(schema)
        assert documents
        for document in documents:
            Draft202012Validator(schema).validate(document.model_dump(mode="json"))
