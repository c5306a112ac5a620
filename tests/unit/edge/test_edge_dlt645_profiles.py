"""A folder is a case: octets as a DL/T 645 meter sends them, and the values they must become."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest
import yaml

from edge_agent.drivers.dlt645.dlt645_driver import Dlt645Driver, Dlt645Meter
from edge_agent.drivers.dlt645.profile import load_dlt645_profile
from edge_agent.drivers.driver import ReadFailure, Reading
from edge_agent.drivers.registry import shipped_profiles
from metering.config_file import ConfigError
from metering.round import Quality
from tests.support.dlt645_answers import BEIJING, AnswerLine, At

CASES = Path(__file__).parents[2] / "cases" / "edge" / "dlt645_profiles"
MISTAKES = Path(__file__).parents[2] / "cases" / "edge" / "dlt645_profile_mistakes"
PROFILES = sorted(path.stem for path in shipped_profiles().glob("dlt645/*.yaml"))
NOW = At(datetime(2026, 7, 11, 10, 4, 0, tzinfo=BEIJING))


def answers(case: Path) -> dict[str, bytes]:
    text = (case / "answers.txt").read_text(encoding="utf-8")
    lines = [line.split("#")[0].split(maxsplit=1) for line in text.splitlines()]
    return {line[0]: bytes.fromhex(line[1]) for line in lines if line}


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
async def test_octets_become_values_in_our_units(case: Path):
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / f"{case.name.split('@')[0]}.yaml")
    driver = Dlt645Driver(AnswerLine(answers(case)), {"m": Dlt645Meter("000000000001", profile)}, NOW)
    expected = yaml.safe_load((case / "expected.yaml").read_text(encoding="utf-8"))

    reading = await driver.read("m", profile.quantities)

    assert isinstance(reading, Reading)
    assert {name: value for name, value in reading.values.items() if value is not None} == pytest.approx(expected)
    assert reading.values.keys() == profile.quantities


def test_every_shipped_profile_has_a_case():
    assert sorted({path.name.split("@")[0] for path in CASES.iterdir()}) == PROFILES


@pytest.mark.parametrize("name", PROFILES)
async def test_a_shipped_profile_reads_in_few_requests(name: str):
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / f"{name}.yaml")
    line = AnswerLine(answers(CASES / name))
    driver = Dlt645Driver(line, {"m": Dlt645Meter("000000000001", profile)}, NOW)

    cost = driver.cost("m", profile.quantities)
    await driver.read("m", profile.quantities)

    assert len(line.asked) == cost.requests
    assert cost.requests <= len(profile.quantities) * 0.8
    assert cost.line_s == pytest.approx(sum(line.pace.exchange_s(len(octets)) for octets in line.sent))


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("case", sorted(MISTAKES.iterdir()), ids=lambda case: case.name)
def test_a_wrong_map_is_refused_at_its_place_in_both_languages(case: Path, lang: str):
    with pytest.raises(ConfigError) as caught:
        load_dlt645_profile(case / "profile.yaml", lang)  # type: ignore[arg-type]

    assert f"{caught.value}\n".replace(f"{case}/", "") == (case / f"expected.{lang}.txt").read_text(encoding="utf-8")


async def test_a_meter_that_lacks_values_costs_no_useless_request_twice():
    case = CASES / "dlt645_three_phase@three_wire"
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / "dlt645_three_phase.yaml")
    line = AnswerLine(answers(case))
    driver = Dlt645Driver(line, {"m": Dlt645Meter("000000000001", profile)}, NOW)
    wanted = profile.quantities - {"clock_offset"}
    asked = []

    for _ in range(4):
        line.asked.clear()
        reading = await driver.read("m", wanted)
        assert isinstance(reading, Reading)
        assert reading.quality == Quality.PARTIAL | Quality.OUT_OF_RANGE
        asked.append(len(line.asked))

    assert asked[2] == asked[3] == len(answers(case)) < asked[1] < asked[0]
    await driver.connect()
    line.asked.clear()
    await driver.read("m", wanted)
    assert len(line.asked) == asked[0]


async def test_transformers_are_reckoned_in_and_bounds_are_those_of_the_terminals():
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / "dlt645_three_phase.yaml")
    line = AnswerLine(
        {"02010100": bytes.fromhex("0110"), "02020100": bytes.fromhex("000100"), "00010000": b"\x01\0\0\0"}
    )
    driver = Dlt645Driver(line, {"m": Dlt645Meter("000000000001", profile, ct_ratio=40, pt_ratio=100)}, NOW)

    reading = await driver.read("m", frozenset({"voltage_l1", "current_l1", "active_energy_import"}))

    assert isinstance(reading, Reading)
    assert reading.values == pytest.approx({"voltage_l1": 10010.0, "current_l1": 4.0, "active_energy_import": 40.0})
    assert reading.quality == 0


async def test_a_voltage_with_a_sign_is_no_voltage():
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / "dlt645_single_phase.yaml")
    driver = Dlt645Driver(
        AnswerLine({"02010100": bytes.fromhex("05A2")}), {"m": Dlt645Meter("000000000001", profile)}, NOW
    )

    reading = await driver.read("m", frozenset({"voltage_l1"}))

    assert isinstance(reading, Reading)
    assert reading.values == {"voltage_l1": None}
    assert reading.quality == Quality.PARTIAL | Quality.OUT_OF_RANGE


async def test_a_meter_that_refuses_everything_has_failed():
    profile = load_dlt645_profile(shipped_profiles() / "dlt645" / "dlt645_single_phase.yaml")
    driver = Dlt645Driver(AnswerLine({}), {"m": Dlt645Meter("000000000001", profile)}, NOW)

    outcome = await driver.read("m", profile.quantities)

    assert isinstance(outcome, ReadFailure)
    assert outcome.quality is Quality.REFUSED


def test_the_shipped_maps_say_where_they_come_from():
    for name in PROFILES:
        profile = load_dlt645_profile(shipped_profiles() / "dlt645" / f"{name}.yaml")
        assert re.search(r"A\.1", profile.source.page)
        assert not profile.checked_on_hardware
