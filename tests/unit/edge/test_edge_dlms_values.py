from __future__ import annotations

import doctest
import itertools
from pathlib import Path

import pytest

from edge_agent.drivers import transformers
from edge_agent.drivers.dlms import scaling
from edge_agent.drivers.dlms.axdr import Data, Tag, Value, encode
from edge_agent.drivers.dlms.initiate import READING
from edge_agent.drivers.dlms.profile import DlmsProfile, load_dlms_profile
from edge_agent.drivers.dlms.reader import Reader
from edge_agent.drivers.dlms.scaling import Bounds, Scaled, Scaler, scaled, scaler_of
from edge_agent.drivers.dlms.values import Question, Taken, read
from edge_agent.drivers.dlms.xdlms import Attribute
from metering.config_file import ConfigError

ROOT = Path(__file__).parents[3]
PROFILES = sorted((ROOT / "config" / "profiles" / "dlms").glob("*.yaml"))
MISTAKES = ROOT / "tests" / "cases" / "edge" / "dlms_profile_mistakes"
WH = [0, 30]


@pytest.mark.parametrize("module", [scaling, transformers])
def test_the_examples_hold(module) -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize(
    ("quantity", "raw", "scaler_unit", "value"),
    [
        ("active_energy_import", 123456, [0, 30], 123.456),
        ("active_energy_import", 12345, [-3, 30], 0.012345),
        ("active_energy_import", 7, [6, 30], 7000.0),
        ("reactive_energy_q1", 5, [3, 32], 5.0),
        ("active_power", -1500, [0, 27], -1.5),
        ("voltage_l1", 2301, [-1, 35], 230.1),
        ("power_factor", 985, [-3, 255], 0.985),
        ("frequency", 50.01, [0, 44], 50.01),
        ("active_energy_import", None, [0, 30], None),
    ],
)
def test_values_are_scaled_as_the_meter_says(quantity: str, raw: Value, scaler_unit: list[int], value) -> None:
    scaler = scaler_of(scaler_unit)

    assert scaler is not None
    assert scaled(quantity, raw, scaler, Bounds()) == Scaled(value)


@pytest.mark.parametrize(
    ("quantity", "raw", "scaler"),
    [
        ("active_energy_import", 5, Scaler(0, "kvarh")),
        ("active_power", 5, Scaler(0, "kWh")),
        ("active_energy_import", True, Scaler(0, "kWh")),
        ("active_energy_import", b"\1\2", Scaler(0, "kWh")),
        ("active_energy_import", "12", Scaler(0, "kWh")),
        ("active_energy_import", [5], Scaler(0, "kWh")),
        ("active_energy_import", float("nan"), Scaler(0, "kWh")),
        ("active_energy_import", float("inf"), Scaler(0, "kWh")),
        ("active_energy_import", 2**63, Scaler(18, "kWh")),
        ("active_energy_import", -1, Scaler(0, "kWh")),
    ],
)
def test_what_cannot_be_true_is_dropped_and_not_bent(quantity: str, raw: Value, scaler: Scaler) -> None:
    assert scaled(quantity, raw, scaler, Bounds(minimum=0)) == Scaled(None, dropped=True)


@pytest.mark.parametrize("said", [None, 30, [], [0], [0, 30, 1], ["0", 30], [0, None], [19, 30], [-19, 30], [0, 1]])
def test_a_scaler_that_says_nothing_is_none(said: object) -> None:
    assert scaler_of(said) is None


def taken(profile: DlmsProfile, *results: Data | int, scalers: dict[Attribute, Scaler | None] | None = None) -> Taken:
    question = Question(profile.objects)
    conversation = read(Reader(READING, 1000, itertools.cycle(range(16))), question, {} if scalers is None else scalers)
    request = next(conversation)
    content = b"".join(bytes((1, one)) if isinstance(one, int) else b"\0" + encode(one) for one in results)
    try:
        conversation.send(bytes((0xC4, 3, request[2], len(results))) + content)
    except StopIteration as end:
        found: Taken = end.value
        return found
    raise AssertionError("more was asked")


def a_profile(*quantities: str) -> DlmsProfile:
    return DlmsProfile.model_validate(
        {
            "manufacturer": "x",
            "model": "y",
            "source": {"document": "d", "taken_from": "t"},
            "checked_on_hardware": False,
            "objects": [{"quantity": quantity} for quantity in quantities],
        }
    )


def scaler_unit(exponent: int, unit: int) -> Data:
    return Data(Tag.STRUCTURE, (Data(Tag.INT8, exponent), Data(Tag.ENUM, unit)))


def test_a_denied_value_costs_itself_and_not_the_others() -> None:
    profile = a_profile("active_energy_import", "active_energy_export")
    scaler = scaler_unit(0, 30)

    found = taken(profile, Data(Tag.UINT32, 5000), 4, scaler, 4)

    assert found.values == {"active_energy_import": 5.0, "active_energy_export": None}
    assert not found.dropped


def test_a_value_without_a_scaler_is_dropped_because_its_size_is_not_known() -> None:
    found = taken(a_profile("active_energy_import", "active_power"), *[Data(Tag.UINT32, 5)] * 2, 4, scaler_unit(0, 27))

    assert found.values == {"active_energy_import": None, "active_power": 0.005}
    assert found.dropped


def test_scalers_are_asked_once() -> None:
    profile = a_profile("active_energy_import", "active_power")
    known: dict[Attribute, Scaler | None] = {}

    taken(profile, *[Data(Tag.UINT32, 5)] * 2, scaler_unit(0, 30), scaler_unit(0, 27), scalers=known)
    again = taken(profile, *[Data(Tag.UINT32, 6)] * 2, scalers=known)

    assert again.values == {"active_energy_import": 0.006, "active_power": 0.006}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_shipped_profiles_are_right(path: Path) -> None:
    profile = load_dlms_profile(path)

    assert {"active_energy_import", "active_power", "clock_offset"} <= profile.quantities
    assert not profile.checked_on_hardware


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("case", sorted(MISTAKES.iterdir()), ids=lambda case: case.name)
def test_every_mistake_of_a_profile_is_shown_with_its_place(case: Path, lang) -> None:
    with pytest.raises(ConfigError) as caught:
        load_dlms_profile(case / "profile.yaml", lang)

    assert f"{caught.value}\n".replace(f"{case}/", "") == (case / f"expected.{lang}.txt").read_text(encoding="utf-8")
