"""A folder is a case: registers as a meter sends them, and the values they must become."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from edge_agent.drivers.modbus.profile import load_profile
from edge_agent.drivers.modbus.read_plan import plan
from edge_agent.drivers.modbus.registers import decode
from edge_agent.drivers.registry import ProfileShelf, shipped_profiles
from metering.settings import ConfigError

CASES = Path(__file__).parents[3] / "tests" / "cases" / "edge" / "profiles"


def registers(case: Path) -> dict[int, int]:
    found = {}
    for line in (case / "registers.txt").read_text(encoding="utf-8").splitlines():
        address, *words = line.split("#")[0].split()
        found |= {int(address, 16) + i: int(word, 16) for i, word in enumerate(words)}
    return found


@pytest.mark.parametrize("case", sorted(CASES.iterdir()), ids=lambda case: case.name)
def test_registers_become_values_in_our_units(case: Path):
    profile = ProfileShelf().profile(case.name)
    words = registers(case)
    expected = yaml.safe_load((case / "expected.yaml").read_text(encoding="utf-8"))

    found = {}
    for register in profile.registers:
        span = range(register.span.address, register.span.end)
        if all(address in words for address in span):
            found[register.quantity] = decode([words[a] for a in span], profile.conversion(register)).number

    assert found == {
        name: value if value is None else pytest.approx(value, rel=1e-9) for name, value in expected.items()
    }


def test_every_shipped_profile_has_a_case():
    assert {path.name for path in CASES.iterdir()} == set(ProfileShelf().names)


@pytest.mark.parametrize("path", sorted(shipped_profiles().glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_profile_says_where_it_comes_from_and_reads_in_few_requests(path: Path):
    profile = load_profile(path)

    assert profile.source.taken_from
    assert len(plan((r.span for r in profile.registers), profile.blocks.limits(20))) * 5 <= len(profile.registers)


HEAD = "{manufacturer: a, model: b, source: {document: c, taken_from: d}, checked_on_hardware: false, registers: [%s]}"


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ("{quantity: active_powr, address: 0, type: int16}", "registers[0].quantity: unknown quantity 'active_powr'"),
        ("{quantity: active_power, address: 0, type: int8}", "unknown → one of"),
        ("{quantity: active_power, address: 0x10000, type: int16}", "at most 65535"),
        (
            "{quantity: active_power, address: 0, type: int16}, {quantity: active_power, address: 9, type: int16}",
            "registers[1].quantity: 'active_power' stands twice",
        ),
        (
            "{quantity: active_power, address: 0, type: int32}, {quantity: frequency, address: 1, type: int16}",
            "registers[1].address: the registers of 'frequency' begin inside those of 'active_power'",
        ),
    ],
)
def test_a_wrong_map_is_refused_at_its_place(tmp_path: Path, entries: str, text: str):
    file = tmp_path / "p.yaml"
    file.write_text(HEAD % entries, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_profile(file)

    assert text in str(caught.value).removeprefix(f"{file}:")
