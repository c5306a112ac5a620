from datetime import date

import numpy as np
import pytest

from simulators.history.metering import Day, History
from simulators.history.population import NOMINAL_V
from simulators.history.scenarios import SCENARIOS, Incident
from simulators.history.span import Span
from simulators.load_curves import Floats

WEEK = Span(date(2026, 3, 2), 7)
METER = "m0004"


def days(history: History) -> list[Day]:
    return list(history.days())


def column(history: History, made: list[Day], name: str, meter: str = METER) -> Floats:
    place = history.names.index(meter)
    return np.concatenate([day.quantities[name][:, place] for day in made])


def rise(register: Floats) -> Floats:
    return np.diff(register)


def with_incident(scenario: str, first: int, last: int, **details: object) -> tuple[History, list[Day]]:
    incident = Incident(METER, scenario, first, last, **details)  # type: ignore[arg-type]
    history = History(5, 12, WEEK, [incident])
    return history, days(history)


@pytest.fixture(scope="module")
def honest() -> tuple[History, list[Day]]:
    history = History(5, 12, WEEK, [])
    return history, days(history)


def test_the_same_seed_gives_the_same_readings_and_another_seed_gives_others() -> None:
    first, again, other = (days(History(seed, 30, WEEK)) for seed in (5, 5, 6))

    for name in first[0].quantities:
        assert np.array_equal(first[6].quantities[name], again[6].quantities[name])
    assert not np.array_equal(
        first[6].quantities["active_power"][:, -30:], other[6].quantities["active_power"][:, -30:]
    )


def test_a_longer_history_begins_like_a_shorter_one() -> None:
    short, long = (days(History(5, 12, Span(WEEK.start, n), [])) for n in (7, 9))

    for name, values in short[6].quantities.items():
        assert np.array_equal(values, long[6].quantities[name])


def test_one_more_meter_changes_no_reading_of_the_others() -> None:
    fewer, more = History(5, 29, WEEK), History(5, 30, WEEK)
    for one, other in zip(fewer.days(), more.days(), strict=True):
        for name, values in one.quantities.items():
            assert np.array_equal(
                values[:, fewer.names.index("m0001") :], other.quantities[name][:, more.names.index("m0001") : -1]
            )


def test_a_register_is_the_running_sum_of_the_reported_power(honest: tuple[History, list[Day]]) -> None:
    history, made = honest
    counted = rise(column(history, made, "active_energy_import"))
    power = column(history, made, "active_power")[1:] * WEEK.hours

    assert (counted >= 0).all()
    assert counted.sum() == pytest.approx(power.sum(), rel=0.01)
    assert np.abs(counted - power).max() < 0.1 * power.max() + 0.02


@pytest.mark.parametrize("scenario", ["h1", "h3", "h4", "h5", "h6"])
def test_the_register_of_a_falsifying_meter_agrees_with_its_powers(scenario: str) -> None:
    history, made = with_incident(scenario, 0, WEEK.intervals, level=0.5)
    counted = rise(column(history, made, "active_energy_import"))
    power = column(history, made, "active_power")[1:] * WEEK.hours

    assert counted.sum() == pytest.approx(power.sum(), rel=0.01)


@pytest.mark.parametrize("scenario", ["h5", "h6"])
def test_flat_and_reversed_days_keep_the_energy_of_each_day(scenario: str, honest: tuple[History, list[Day]]) -> None:
    history, made = with_incident(scenario, 0, WEEK.intervals)
    ends = [day.quantities["active_energy_import"][-1, history.names.index(METER)] for day in made]
    honest_ends = [day.quantities["active_energy_import"][-1, history.names.index(METER)] for day in honest[1]]

    assert ends == pytest.approx(honest_ends, abs=0.011)
    assert not np.allclose(
        column(history, made, "active_energy_import"), column(*honest, "active_energy_import"), atol=0.5
    )


def test_the_master_sees_what_its_customers_truly_draw_and_the_loss() -> None:
    history = History(5, 30, WEEK)
    masters = len(history.masters.names)
    made = days(history)
    for number, line in enumerate(history.population.masters):
        under = masters + np.flatnonzero(history.population.line_of == line)
        master = np.concatenate([day.true_kw[:, number] for day in made])
        drawn = np.concatenate([day.true_kw[:, under].sum(axis=1) for day in made])
        assert ((master - drawn)[drawn > 1] > 0).all()
        assert 0.005 < (master - drawn).sum() / drawn.sum() < 0.12


def test_a_falsifying_customer_opens_a_gap_under_the_master(honest: tuple[History, list[Day]]) -> None:
    history, made = with_incident("h1", 3 * 96, 7 * 96, level=0.3)
    master, meters = history.names.index("f01-master"), [history.names.index(n) for n in history.population.names]

    def gap_kw(day: Day) -> float:
        power = day.quantities["active_power"]
        return float((power[:, master] - power[:, meters].sum(axis=1)).mean())

    missing = float(made[4].true_kw[:, history.names.index(METER)].mean()) * 0.7
    assert gap_kw(made[1]) == pytest.approx(gap_kw(honest[1][1]))
    assert gap_kw(made[4]) - gap_kw(honest[1][4]) == pytest.approx(missing, rel=0.1)


def test_a_meter_is_off_by_half_a_percent_at_most(honest: tuple[History, list[Day]]) -> None:
    history, made = honest
    place = history.names.index(METER)
    true_kwh = sum(float(day.true_kw[:, place].sum()) for day in made[1:]) * WEEK.hours
    register = [day.quantities["active_energy_import"][-1, place] for day in (made[0], made[-1])]

    error = (register[1] - register[0]) / true_kwh - 1
    assert 1e-5 < abs(error) < 0.0051


def test_an_outage_leaves_neither_voltage_nor_power_and_says_so() -> None:
    history, made = with_incident("site_outage", 2 * 96 + 40, 2 * 96 + 48, notes={"answers": "yes"})
    place = history.names.index(METER)
    day = made[2]

    assert not day.quantities["voltage_l1"][40:48, place].any()
    assert not day.quantities["current_l1"][40:48, place].any()
    assert day.quantities["voltage_l1"][[39, 48], place].all()
    assert not rise(day.quantities["active_energy_import"][39:48, place]).any()
    assert day.events == {(40, place): "power_failed", (48, place): "power_restored"} or not day.present[40:49].all()


def test_a_meter_that_does_not_answer_keeps_counting_and_tells_its_events_later() -> None:
    history, made = with_incident("communication_gap", 96, 3 * 96, notes={"answers": "no"})
    place = history.names.index(METER)

    assert not made[1].present[:, place].any()
    assert not made[2].present[:, place].any()
    assert made[3].present[:, place].sum() > 90
    assert rise(column(history, made, "active_energy_import"))[96 : 3 * 96].sum() > 1


def test_events_of_a_silent_outage_come_with_the_first_reading_after_it() -> None:
    history, made = with_incident("site_outage", 2 * 96 + 90, 3 * 96 + 2, notes={"answers": "no"})
    place = history.names.index(METER)

    told = {row: words for (row, at), words in made[3].events.items() if at == place}
    assert not made[2].events
    assert list(told.values()) == ["power_failed power_restored"]
    assert 2 <= next(iter(told)) <= 4


def test_an_opened_cover_is_told_before_the_consumption_drops(honest: tuple[History, list[Day]]) -> None:
    history, made = with_incident("opened_and_reduced", 2 * 96, 7 * 96, level=0.4, notes={"event": "cover_opened"})
    place = history.names.index(METER)
    reported, true = (one[3].quantities["active_power"][:, place] for one in (made, honest[1]))

    assert "cover_opened" in made[2].events.values() or "cover_opened cover_closed" in made[2].events.values()
    assert reported == pytest.approx(0.4 * true, abs=0.002)


def test_generation_turns_into_export_when_the_sun_shines() -> None:
    history, made = with_incident("pv_installed", 3 * 96, 7 * 96, level=60.0)

    assert rise(column(history, made, "active_energy_export"))[: 3 * 96 - 1].sum() == 0
    assert rise(column(history, made, "active_energy_export"))[3 * 96 :].sum() > 10
    assert column(history, made, "active_power").min() < -1
    assert (rise(column(history, made, "active_energy_import")) >= 0).all()


@pytest.mark.parametrize(
    ("scenario", "limit"), [("over_capacity", 1.0), ("approved_surge", 1.0), ("over_approved", 1.3)]
)
def test_a_surge_is_above_the_limit_in_its_hours_only(scenario: str, limit: float) -> None:
    level = 1.2
    history, made = with_incident(scenario, 96, 3 * 96, level=level, hours=(10.0, 12.0))
    contract = history.population.customers[3].contract_kva
    kva = np.hypot(column(history, made, "active_power"), column(history, made, "reactive_power"))
    surge = np.zeros(len(kva), dtype=bool)
    for day in (1, 2):
        surge[day * 96 + 40 : day * 96 + 48] = True

    assert kva[surge] == pytest.approx(np.full(16, level * limit * contract), rel=0.09)
    assert kva[~surge].max() < contract


def test_honest_shops_stay_within_their_contract_and_near_the_nominal_voltage() -> None:
    history = History(2, 60, WEEK, [])
    masters = len(history.masters.names)
    contract = np.array([one.contract_kva for one in history.population.customers])
    for day in history.days():
        kva = np.hypot(day.quantities["active_power"], day.quantities["reactive_power"])[:, masters:]
        assert (kva < contract).all()
        for phase in (1, 2, 3):
            assert (np.abs(day.quantities[f"voltage_l{phase}"] / NOMINAL_V - 1) < 0.12).all()


def test_no_two_honest_customers_of_a_trade_are_alike() -> None:
    history = History(2, 60, WEEK, [])
    retail = [n for n, one in enumerate(history.population.customers) if one.trade == "retail"]
    load = np.concatenate([day.true_kw[:, len(history.masters.names) :] for day in history.days()])[:, retail]
    fast = np.diff(load / load.mean(axis=0), axis=0)
    alike = np.corrcoef(fast.T)[np.triu_indices(len(retail), 1)]

    assert alike.max() < 0.75


@pytest.mark.parametrize("scenario", [name for name, one in SCENARIOS.items() if one.of == "electrical"])
def test_every_electrical_incident_shows_in_the_readings(scenario: str, honest: tuple[History, list[Day]]) -> None:
    level = {"current_imbalance": 0.8, "over_current": 1.1, "over_voltage": 1.25, "low_power_factor": 0.2}
    notes = {"event": "magnetic_field"} if scenario == "opened_and_reduced" else {}
    history, made = with_incident(
        scenario, 2 * 96 + 8, 4 * 96, level=level.get(scenario, 0.5), notes=notes, hours=(10.0, 12.0)
    )
    place = history.names.index(METER)
    differs = [
        any(
            not np.allclose(
                np.diff(one.quantities[name][:, place]), np.diff(other.quantities[name][:, place]), atol=0.02
            )
            for name in one.quantities
        )
        for one, other in zip(made, honest[1], strict=True)
    ]

    assert differs[:2] == [False, False]
    assert differs[2]
    assert differs[4:] == [False, False, False]
