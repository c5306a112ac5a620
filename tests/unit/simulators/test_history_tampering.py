from datetime import date

import numpy as np
import pytest

from simulators.history.electricity import Flow
from simulators.history.population import Population, settle
from simulators.history.scenarios import Incident
from simulators.history.span import Span
from simulators.history.tampering import Seen, Tampering

SPAN = Span(date(2026, 3, 2), 7)
POPULATION: Population = settle(1, 3)
METER, COLUMN = "m0002", 1


def true_flow() -> Flow:
    rng = np.random.default_rng(3)
    kw = 1 + np.sin(np.arange(96) / 96 * 2 * np.pi + 4)[None, :, None] * 0.8 + rng.uniform(0, 0.3, (3, 96, 3))
    return Flow(np.full((3, 96, 3), 225.0), kw, 0.4 * kw)


def seen(scenario: str, **details: object) -> Seen:
    found = Seen.of(true_flow())
    incident = Incident(METER, scenario, 0, SPAN.intervals, **details)  # type: ignore[arg-type]
    Tampering(POPULATION, SPAN, [incident]).apply(2, found)
    return found


def reported_kw(found: Seen) -> np.ndarray:
    return found.active_kw[:, :, COLUMN].sum(axis=0)


TRUE_KW = true_flow().active_kw[:, :, COLUMN].sum(axis=0)
FALSIFIED = [
    ("h1", {"level": 0.4}),
    ("h2", {"hours": (9.0, 14.0), "notes": {"each_day_anew": "no"}}),
    ("h3", {}),
    ("h4", {}),
    ("h5", {}),
    ("h6", {}),
]


def test_h1_reports_one_fraction_of_everything() -> None:
    assert reported_kw(seen("h1", level=0.4)) == pytest.approx(0.4 * TRUE_KW)


def test_h2_reports_nothing_in_its_hours_and_the_truth_otherwise() -> None:
    kw = reported_kw(seen("h2", hours=(9.0, 14.0), notes={"each_day_anew": "no"}))

    assert not kw[36:56].any()
    assert kw[:36] == pytest.approx(TRUE_KW[:36])
    assert kw[56:] == pytest.approx(TRUE_KW[56:])


def test_h2_may_take_other_hours_each_day_but_as_many() -> None:
    tampering = Tampering(
        POPULATION,
        SPAN,
        [Incident(METER, "h2", 0, SPAN.intervals, hours=(9.0, 14.0), notes={"each_day_anew": "yes"})],
    )
    zeros = []
    for day in range(7):
        found = Seen.of(true_flow())
        tampering.apply(day, found)
        zeros.append(np.flatnonzero(reported_kw(found) == 0))

    assert {len(one) for one in zeros} <= {19, 20, 21}
    assert len({int(one[0]) for one in zeros}) > 3


def test_h3_reports_a_fraction_of_its_own_each_time() -> None:
    fraction = reported_kw(seen("h3")) / TRUE_KW

    assert fraction.min() > 0.1
    assert fraction.max() < 0.9
    assert fraction.std() > 0.15


def test_h4_reports_fractions_of_the_mean() -> None:
    fraction = reported_kw(seen("h4")) / TRUE_KW.mean()

    assert 0.1 < fraction.min() < fraction.max() < 0.9
    assert abs(np.corrcoef(fraction, TRUE_KW)[0, 1]) < 0.3


def test_h5_reports_the_mean_all_day_and_keeps_the_energy() -> None:
    kw = reported_kw(seen("h5"))

    assert np.ptp(kw) == pytest.approx(0, abs=1e-9)
    assert kw.sum() == pytest.approx(TRUE_KW.sum())


def test_h6_reverses_the_day_and_keeps_the_energy() -> None:
    kw = reported_kw(seen("h6"))

    assert kw == pytest.approx(TRUE_KW[::-1])
    assert kw.sum() == pytest.approx(TRUE_KW.sum())


@pytest.mark.parametrize(("scenario", "details"), FALSIFIED)
def test_nothing_electrical_contradicts_a_falsified_report(scenario: str, details: dict[str, object]) -> None:
    found = seen(scenario, **details)
    apparent = np.hypot(found.active_kw, found.reactive_kvar)[:, :, COLUMN]

    assert found.current_a[:, :, COLUMN] * found.voltage_v[:, :, COLUMN] / 1000 == pytest.approx(apparent)
    reported = apparent[0] > 0
    assert found.reactive_kvar[:, reported, COLUMN] == pytest.approx(0.4 * found.active_kw[:, reported, COLUMN])
    assert (found.counted == 1).all()


@pytest.mark.parametrize(("scenario", "details"), FALSIFIED)
def test_the_other_meters_are_left_alone(scenario: str, details: dict[str, object]) -> None:
    found, untouched = seen(scenario, **details), Seen.of(true_flow())

    assert np.array_equal(found.active_kw[:, :, [0, 2]], untouched.active_kw[:, :, [0, 2]])


@pytest.mark.parametrize("scenario", ["h4", "h5", "h6"])
def test_nothing_is_reported_without_power(scenario: str) -> None:
    flow = true_flow()
    flow.active_kw[:, 30:50] = 0
    flow.reactive_kvar[:, 30:50] = 0
    found = Seen.of(flow)
    Tampering(POPULATION, SPAN, [Incident(METER, scenario, 0, SPAN.intervals)]).apply(0, found)

    assert not reported_kw(found)[30:50].any()
    assert reported_kw(found)[:30].all()


def test_a_bypass_hides_power_and_current_of_one_phase() -> None:
    found, untouched = seen("bypass", level=0.1, phase=1), Seen.of(true_flow())

    assert found.current_a[1, :, COLUMN] == pytest.approx(0.1 * untouched.current_a[1, :, COLUMN])
    assert np.array_equal(found.current_a[0], untouched.current_a[0])
    assert np.array_equal(found.voltage_v, untouched.voltage_v)


def test_a_lost_voltage_takes_the_power_with_it_and_leaves_the_current() -> None:
    found, untouched = seen("voltage_loss", level=0.3, phase=0), Seen.of(true_flow())

    assert found.voltage_v[0, :, COLUMN] == pytest.approx(0.3 * 225)
    assert found.active_kw[0, :, COLUMN] == pytest.approx(0.3 * untouched.active_kw[0, :, COLUMN])
    assert np.array_equal(found.current_a, untouched.current_a)


def test_a_reversed_transformer_turns_the_power_of_one_phase_around() -> None:
    found, untouched = seen("reversed_ct", level=-1.0, phase=2), Seen.of(true_flow())

    assert found.active_kw[2, :, COLUMN] == pytest.approx(-untouched.active_kw[2, :, COLUMN])
    assert np.array_equal(found.current_a, untouched.current_a)


def test_a_slow_register_counts_less_than_the_meter_shows() -> None:
    found = seen("slow_register", level=0.6)

    assert (found.counted[:, COLUMN] == 0.6).all()
    assert np.array_equal(found.active_kw, true_flow().active_kw)


def test_a_register_leaps_once() -> None:
    tampering = Tampering(POPULATION, SPAN, [Incident(METER, "register_fall", 96 + 5, 4 * 96, level=50.0)])
    leaps = []
    for day in range(4):
        found = Seen.of(true_flow())
        tampering.apply(day, found)
        leaps.append(found.jump_kwh[:, COLUMN].copy())

    assert np.concatenate(leaps).nonzero()[0].tolist() == [96 + 5]
    assert leaps[1][5] == -50.0
