"""What a technician is told to look at: one wrong thing at a time, and nothing for a meter that is right."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.commands.check import told
from edge_agent.commissioning.sanity import Finding, Plate, better_order, credible, fallen, suspicions

LINE = (230.0, 231.0, 229.0)
SHIFT = math.radians(120)


def meter(
    voltages=LINE, currents=(10.0, 12.0, 11.0), angles=(0.3, 0.3, 0.3), *, scale: float = 1.0, **others: float | None
) -> dict[str, float | None]:
    values: dict[str, float | None] = {"frequency": 50.0}
    total = 0.0
    for phase, (u, i, angle) in enumerate(zip(voltages, currents, angles, strict=True), 1):
        values[f"voltage_l{phase}"], values[f"current_l{phase}"] = u, i
        power = u * i * math.cos(angle) / 1000 * scale
        values[f"active_power_l{phase}"] = power
        total += power
    return values | {"active_power": total} | others


def keys(values: dict[str, float | None], plate: Plate = Plate()) -> list[str]:  # noqa: B008
    return [finding.key for finding in suspicions(values, plate)]


def test_a_meter_that_is_right_is_not_suspected():
    assert keys(meter(), Plate(maximum_current_a=80)) == []


@given(
    st.tuples(*[st.floats(205, 250)] * 3),
    st.tuples(*[st.floats(0.5, 75)] * 3),
    st.floats(-0.7, 0.7),
    st.sampled_from([(1.0, 1.0), (40.0, 1.0), (40.0, 100.0)]),
)
def test_no_ordinary_load_is_suspected(voltages, currents, angle, ratios):
    ct, pt = ratios
    values = meter([u * pt for u in voltages], [i * ct for i in currents], [angle] * 3)

    assert keys(values, Plate(ct, pt, maximum_current_a=80)) == []


@pytest.mark.parametrize(
    ("values", "plate", "expected"),
    [
        (meter(voltages=(230.0, 0.0, 229.0)), Plate(), "phase_dead"),
        (meter(voltages=(4000.0, 4010.0, 3990.0)), Plate(), "voltage_absurd"),
        (meter(voltages=(400.0, 401.0, 399.0)), Plate(), "voltage_linked"),
        (meter(frequency=5.0), Plate(), "frequency"),
        (meter(active_power=20.0, currents=(40.0, 40.0, 40.0)), Plate(), "sum"),
        (meter(angles=(math.pi, math.pi, math.pi)), Plate(), "export"),
        (meter(angles=(0.3, math.pi, 0.3)), Plate(), "reversed"),
        (meter(currents=(10.0, 10.0, 10.0), angles=(0.3 + SHIFT, 0.3 - SHIFT, 0.3)), Plate(), "crossed"),
        (meter(scale=1000.0), Plate(), "scale"),
        (meter(scale=10.0), Plate(), "scale"),
        (meter(scale=3.0), Plate(), "too_strong"),
        (meter(currents=(3.0, 3.0, 3.0)), Plate(maximum_current_a=6.0), "ratio_missing"),
        (meter(), Plate(ct_ratio=40, counts_primary=True), "ratio_twice"),
        (meter(currents=(400.0, 390.0, 410.0)), Plate(maximum_current_a=80.0), "over_rating"),
        (meter(currents=(0.2, 0.2, 0.2)), Plate(maximum_current_a=80.0), "idle"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_one_wrong_thing_is_one_suspicion(values, plate, expected):
    assert keys(values, plate) == [expected]


def test_the_exchanged_transformers_are_named():
    values = meter(currents=(10.0, 10.0, 10.0), angles=(0.3, 0.3 + SHIFT, 0.3 - SHIFT))

    assert suspicions(values, Plate()) == [Finding("crossed", ("L2", "L3"))]


def test_a_single_phase_meter_is_judged_by_what_it_has():
    assert keys({"voltage_l1": 230.0, "current_l1": 5.0, "active_power": 1.1, "frequency": 50.0}) == []
    assert keys({"voltage_l1": 230.0, "current_l1": 5.0, "active_power": -1.1}) == ["export"]


def test_a_meter_without_values_is_not_suspected():
    assert keys({"voltage_l1": None, "active_power": None, "frequency": None}) == []


def test_the_order_that_makes_sense_is_named():
    tried = {("little", "big"): {"voltage_l1": 230.1}, ("big", "little"): {"voltage_l1": 1e-38}}

    assert better_order(tried) == [Finding("order", ("little", "big", "230.1"))]
    assert better_order({("little", "big"): {"voltage_l1": None}}) == []


def test_energy_that_falls_between_two_reads_is_told():
    before, after = {"active_energy_import": 500.0, "frequency": 50.1}, {"active_energy_import": 4.0, "frequency": 49.9}

    assert fallen(before, after, 1.0) == [Finding("fell", ("active_energy_import", "500", "4", "1.0"))]
    assert fallen(before, after | {"active_energy_import": 0.0}, 1.0)[0].blanks[2] == "0"
    assert fallen(after | {"active_energy_import": 500.0}, before, 1.0) == []
    assert fallen(before, after | {"active_energy_import": None}, 1.0) == []


def test_voltages_behind_a_transformer_are_judged_at_the_meter():
    assert credible({"voltage_l1": 5770.0}, pt_ratio=100)
    assert not credible({"voltage_l1": 5770.0})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_suspicion_can_be_said(lang):
    findings = [
        *suspicions(meter(voltages=(4000.0, 0.0, 3990.0), frequency=5.0, active_power=1e6), Plate(40, 1, 5, True)),
        Finding("crossed", ("L1", "L2")),
        *better_order({("little", "big"): {"voltage_l1": 230.1}}),
    ]

    assert len(findings) == len(told(findings, lang)) >= 6
