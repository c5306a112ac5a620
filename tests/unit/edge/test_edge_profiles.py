"""A folder is a case: registers as a meter sends them, and the values they must become."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import yaml

from edge_agent.drivers.driver import Reading
from edge_agent.drivers.modbus.profile import load_profile
from edge_agent.drivers.registry import ProfileShelf, shipped_profiles
from metering.config_file import ConfigError
from metering.quantity import QUANTITIES, Kind
from tests.support.register_links import NETWORK, SERIAL, RegisterLine, driver_on

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "edge" / "profiles"
MISTAKES = ROOT / "tests" / "cases" / "edge" / "profile_mistakes"
PROFILES = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
ONE_REQUEST_OF_ELEVEN_REGISTERS = {"carlo_gavazzi_em24"}


def registers(case: Path) -> dict[int, int]:
    found = {}
    for line in (case / "registers.txt").read_text(encoding="utf-8").splitlines():
        address, *words = line.split("#")[0].split() or ["0"]
        found |= {int(address, 16) + i: int(word, 16) for i, word in enumerate(words)}
    return found


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
async def test_registers_become_values_in_our_units(case: Path):
    profile = ProfileShelf().profile(case.name.split("@")[0])
    driver = driver_on(RegisterLine(registers=registers(case), functions=(profile.function,)), profile)
    expected = yaml.safe_load((case / "expected.yaml").read_text(encoding="utf-8"))

    reading = await driver.read("m", profile.quantities)

    assert isinstance(reading, Reading)
    there = {name: value for name, value in reading.values.items() if value is not None or name in expected}
    assert there == {
        name: value if value is None else pytest.approx(value, rel=1e-9) for name, value in expected.items()
    }


def test_every_shipped_profile_has_a_case():
    assert {path.name.split("@")[0] for path in CASES.iterdir()} == set(ProfileShelf().names)


@pytest.mark.parametrize("name", PROFILES)
def test_every_shipped_profile_says_where_it_comes_from_and_reads_in_few_requests(name: str):
    profile = ProfileShelf().profile(name)
    requests = [
        driver_on(RegisterLine(pace), profile).cost("m", profile.quantities).requests for pace in (SERIAL, NETWORK)
    ]

    assert profile.source.taken_from
    assert not profile.checked_on_hardware
    assert max(requests) * (3 if name in ONE_REQUEST_OF_ELEVEN_REGISTERS else 4) <= len(profile.quantities)
    assert requests[1] <= requests[0]


@pytest.mark.parametrize("name", PROFILES)
def test_every_shipped_profile_bounds_what_can_be_bounded(name: str):
    for of_map in ProfileShelf().profile(name).maps:
        for register in of_map:
            quantity = QUANTITIES[register.quantity]
            signed = register.type.startswith(("int", "float"))
            if quantity.kind is Kind.REGISTER and signed:
                assert register.minimum == 0, register.quantity
            if quantity.unit in ("V", "Hz"):
                assert register.maximum is not None, register.quantity


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("case", sorted(MISTAKES.iterdir()), ids=lambda case: case.name)
def test_a_wrong_map_is_refused_at_its_place_in_both_languages(case: Path, lang: str):
    with pytest.raises(ConfigError) as caught:
        load_profile(case / "profile.yaml", lang)  # type: ignore[arg-type]

    assert f"{caught.value}\n".replace(f"{case}/", "") == (case / f"expected.{lang}.txt").read_text(encoding="utf-8")


@cache
def guide() -> str:
    return (ROOT / "config" / "profiles" / "README.md").read_text(encoding="utf-8")


def test_the_example_of_the_guide_is_a_right_profile(tmp_path: Path):
    example = guide().split("```yaml\n")[1].split("```")[0]
    file = tmp_path / "my_meter.yaml"
    file.write_text(example, encoding="utf-8")

    assert load_profile(file).quantities
