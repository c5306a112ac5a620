from datetime import UTC, date, datetime
from math import hypot

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.load_curves import TRADES, Demand, Trade
from simulators.physics import Rating, SimulatedMeter
from simulators.scenarios import EXPECTED, Scenario, ScenarioName

FIRST = date(2026, 6, 18)
MIDNIGHT_MS = int(datetime(2026, 6, 17, 16, tzinfo=UTC).timestamp() * 1000)
MINUTE_MS = 60_000
DAY_MS = 86_400_000
RATING = Rating(230.0, 10.0, 80.0, 25.0)


def simulated(trade: Trade = "retail", scenarios: tuple[Scenario, ...] = (), seed: int = 7) -> SimulatedMeter:
    return SimulatedMeter(Demand(seed, "m-1", trade, 3000.0), RATING, (FIRST, MIDNIGHT_MS), scenarios)


HONEST = simulated()
SLOW = simulated(scenarios=(Scenario("slow_register", "m-1", MIDNIGHT_MS, MIDNIGHT_MS + 3 * DAY_MS, level=0.6),))
BYPASSED = simulated(scenarios=(Scenario("bypass", "m-1", MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS, level=0.1, phase=2),))


@settings(max_examples=40, deadline=None)
@given(
    trade=st.sampled_from(list(TRADES)),
    scenario=st.sampled_from([name for name in EXPECTED if name != "slow_register"]),
    first_minute=st.integers(0, 2 * 1440),
    minutes=st.integers(1, 400),
    lead_ms=st.integers(0, MINUTE_MS - 1),
)
def test_a_register_is_the_integral_of_the_power_the_meter_shows(
    trade: Trade, scenario: ScenarioName, first_minute: int, minutes: int, lead_ms: int
) -> None:
    meter = simulated(trade, (Scenario(scenario, "m-1", MIDNIGHT_MS + 3_600_000, MIDNIGHT_MS + 10**8, 0.1, 1, 30.0),))
    first_ms = MIDNIGHT_MS + first_minute * MINUTE_MS
    last_ms = first_ms + minutes * MINUTE_MS

    kw = meter.metered_kw(first_ms, minutes + 1)
    whole = kw[:minutes].sum(axis=0) / 60
    # both ends lie ``lead_ms`` inside their minutes
    lead_h = lead_ms / 3_600_000
    expected = whole + (kw[minutes] - kw[0]) * lead_h
    before, after = meter.reading(first_ms + lead_ms), meter.reading(last_ms + lead_ms)
    counted = [b - a for a, b in zip(before.import_kwh, after.import_kwh, strict=True)]

    assert counted == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    meter=st.sampled_from([HONEST, SLOW, BYPASSED]),
    at_ms=st.integers(-DAY_MS, 3 * DAY_MS),
    later_ms=st.integers(0, DAY_MS),
)
def test_registers_never_fall(meter: SimulatedMeter, at_ms: int, later_ms: int) -> None:
    before, after = meter.reading(MIDNIGHT_MS + at_ms), meter.reading(MIDNIGHT_MS + at_ms + later_ms)

    assert all(b >= a for a, b in zip(before.import_kwh, after.import_kwh, strict=True))
    assert all(b >= a for a, b in zip(before.import_kvarh, after.import_kvarh, strict=True))


@given(at_ms=st.integers(MIDNIGHT_MS, MIDNIGHT_MS + DAY_MS))
def test_the_metered_quantities_belong_together(at_ms: int) -> None:
    flow = BYPASSED.reading(at_ms).flow

    for u, i, p, q in zip(flow.voltage_v, flow.current_a, flow.active_kw, flow.reactive_kvar, strict=True):
        assert u * i / 1000 == pytest.approx(hypot(p, q))
        assert 0.94 * 230 < u < 1.06 * 230
        assert 0.84 < p / hypot(p, q) < 0.98
    assert 49.9 < flow.frequency_hz < 50.1


def test_a_meter_is_a_function_of_the_instant_whatever_was_asked_before() -> None:
    at_ms = MIDNIGHT_MS + 2 * DAY_MS + 12_345_678
    wandering = simulated()
    for other in (0, 5 * DAY_MS, DAY_MS, 4 * DAY_MS):
        wandering.reading(MIDNIGHT_MS + other)

    assert wandering.reading(at_ms) == simulated().reading(at_ms)


def test_what_is_bypassed_flows_but_is_not_seen() -> None:
    noon = MIDNIGHT_MS + 12 * 3_600_000
    true, seen = BYPASSED.true_flow(noon), BYPASSED.reading(noon).flow

    assert seen.active_kw[2] == pytest.approx(0.1 * true.active_kw[2], rel=1e-6)
    assert seen.current_a[2] == pytest.approx(0.1 * true.current_a[2], rel=1e-6)
    assert seen.active_kw[:2] == pytest.approx(true.active_kw[:2])
    assert seen.voltage_v == true.voltage_v


def test_a_slow_register_leaves_power_and_current_alone() -> None:
    noon = MIDNIGHT_MS + 12 * 3_600_000

    def day_kwh(meter: SimulatedMeter) -> float:
        return sum(meter.reading(MIDNIGHT_MS + DAY_MS).import_kwh) - sum(meter.reading(MIDNIGHT_MS).import_kwh)

    assert SLOW.reading(noon).flow == HONEST.reading(noon).flow
    assert day_kwh(SLOW) == pytest.approx(0.6 * day_kwh(HONEST))
