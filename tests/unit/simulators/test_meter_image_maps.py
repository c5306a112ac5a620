"""Every simulated meter, read with the map that is shipped for it, says what it measures: a wrong map disagrees."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.drivers.driver import Reading
from edge_agent.drivers.registry import ProfileShelf
from metering.quantity import QUANTITIES
from simulators.meter_images import MODELS
from simulators.physics import Flow, Three
from simulators.physics import Reading as Physics
from tests.support.register_links import NETWORK, SERIAL, ImageLine, driver_on

SHELF = ProfileShelf()
ONE_PHASE = {"eastron_sdm120", "eastron_sdm230"}
RESOLUTION = {"V": 0.051, "A": 0.0051, "kW": 0.0051, "kvar": 0.0051, "kVA": 0.0051, "": 0.00051, "Hz": 0.051}
ENERGY_RESOLUTION = 0.051
NOT_MEASURED = {
    "abb_ab": {"current_n", "apparent_energy_import"},
    "sunspec_meter": {"apparent_energy_import", *(f"reactive_energy_q{n}" for n in (1, 2, 3, 4))},
}


def three(values: st.SearchStrategy[float]) -> st.SearchStrategy[Three]:
    return st.tuples(values, values, values)


@st.composite
def physics(draw: st.DrawFn) -> Physics:
    volts = draw(three(st.floats(190, 260)))
    amperes = draw(three(st.one_of(st.just(0.0), st.floats(0.1, 80))))
    angles = draw(three(st.floats(-math.pi, math.pi)))
    kva = [u * i / 1000 for u, i in zip(volts, amperes, strict=True)]
    active = tuple(s * math.cos(a) for s, a in zip(kva, angles, strict=True))
    reactive = tuple(s * math.sin(a) for s, a in zip(kva, angles, strict=True))
    flow = Flow(volts, amperes, active, reactive, draw(st.floats(49, 51)))  # type: ignore[arg-type]
    energy = three(st.floats(1, 30_000))
    return Physics(flow, draw(energy), draw(energy), draw(energy), draw(energy))


def measured(what: Physics, phases: int) -> dict[str, float]:
    """All quantities from first principles; nothing here knows a register."""
    flow = what.flow
    here = range(phases)
    found: dict[str, float] = {"frequency": flow.frequency_hz}
    kva = [flow.voltage_v[n] * flow.current_a[n] / 1000 for n in range(3)]
    for n in here:
        found[f"voltage_l{n + 1}"] = flow.voltage_v[n]
        found[f"current_l{n + 1}"] = flow.current_a[n]
        found[f"active_power_l{n + 1}"] = flow.active_kw[n]
        found[f"reactive_power_l{n + 1}"] = flow.reactive_kvar[n]
        found[f"apparent_power_l{n + 1}"] = kva[n]
        found[f"power_factor_l{n + 1}"] = flow.active_kw[n] / kva[n] if kva[n] else 1.0
    kw, kvar = (sum(part[n] for n in here) for part in (flow.active_kw, flow.reactive_kvar))
    found |= {"active_power": kw, "reactive_power": kvar, "apparent_power": math.hypot(kw, kvar)}
    found["power_factor"] = kw / found["apparent_power"] if found["apparent_power"] else 1.0
    for direction, kwh, kvarh in (
        ("import", what.import_kwh, what.import_kvarh),
        ("export", what.export_kwh, what.export_kvarh),
    ):
        found[f"active_energy_{direction}"] = sum(kwh[n] for n in here)
        found[f"reactive_energy_{direction}"] = sum(kvarh[n] for n in here)
    return found


def test_every_profile_has_a_simulated_meter():
    assert set(MODELS) == set(SHELF.names)


@pytest.mark.parametrize("pace", [SERIAL, NETWORK], ids=["serial", "network"])
@pytest.mark.parametrize("name", MODELS)
@settings(deadline=None)
@given(what=physics())
async def test_what_is_read_is_what_is_measured(name: str, pace, what: Physics):
    profile = SHELF.profile(name)
    line = ImageLine(pace, image=MODELS[name], physics=what)
    driver = driver_on(line, profile)

    reading = await driver.read("m", profile.quantities)

    assert isinstance(reading, Reading)
    expected = measured(what, 1 if name in ONE_PHASE else 3)
    for quantity, value in reading.values.items():
        if quantity in NOT_MEASURED.get(name, ()):
            assert value is None, quantity
            continue
        unit = QUANTITIES[quantity].unit
        near = expected[quantity]
        # A power factor worked out from registers cannot be finer than the power is.
        within = RESOLUTION.get(unit, max(ENERGY_RESOLUTION, 1e-6 * near))
        assert value == pytest.approx(near, abs=within), quantity


@pytest.mark.parametrize("name", MODELS)
async def test_no_request_is_refused_by_the_meter_the_map_is_for(name: str):
    what = Physics(Flow((230, 231, 229), (5, 6, 7), (1, 1.2, 1.4), (0.2, 0.2, 0.2), 50), (1, 2, 3), (4, 5, 6))
    line = ImageLine(SERIAL, image=MODELS[name], physics=what)
    profile = SHELF.profile(name)
    driver = driver_on(line, profile)

    await driver.read("m", profile.quantities)

    assert line.refused == []


@pytest.mark.parametrize("name", [name for name in MODELS if SHELF.profile(name).identity])
def test_the_meter_is_known_by_its_identity_and_no_other_is_taken_for_it(name: str):
    what = Physics(Flow((230, 231, 229), (5, 6, 7), (1, 1.2, 1.4), (0.2, 0.2, 0.2), 50), (1, 2, 3), (4, 5, 6))
    profile = SHELF.profile(name)
    known = set()
    for model, image in MODELS.items():
        for one in profile.identity:
            request = struct.pack(">BHH", profile.function_of(one), one.address, one.count)
            answer = image.answer(request, what)
            if not answer[0] & 0x80 and one.fits(struct.unpack(f">{one.count}H", answer[2:])):
                known.add(model)

    assert known == {name}
