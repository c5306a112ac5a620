"""Whatever a person writes into a file, loading it gives settings or a ``ConfigError`` with places in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.config import CollectorSettings
from collector.config import _check as check_collector
from collector.registry.records import RegistrySettings
from collector.registry.registry import _check as check_registry
from collector.tariff.periods import Tariff, mistakes
from edge_agent.config import GatewaySettings
from edge_agent.config import _mistakes as check_gateway
from metering.config_file import ConfigError, load_text
from metering.marked_yaml import Problem
from metering.yaml_slips import mend
from simulators.park_settings import ParkSettings, check_park

CONFIG = Path(__file__).parents[3] / "config"
FILES = {
    "gateway.example.yaml": (GatewaySettings, lambda loaded: list(check_gateway(loaded, CONFIG, "en"))),
    "collector.example.yaml": (CollectorSettings, lambda loaded: check_collector(loaded, "en")),
    "registry.example.yaml": (RegistrySettings, lambda loaded: check_registry(loaded, "en")),
    "tariffs/illustrative.yaml": (
        Tariff,
        lambda loaded: [loaded.problem(*one) for one in mistakes(loaded.value, "en")],
    ),
    "park.example.yaml": (ParkSettings, check_park),
}
TEXTS = {name: (CONFIG / name).read_text(encoding="utf-8") for name in FILES}
WRITTEN = st.one_of(
    st.sampled_from(" \t:：，-[]{}x'\"“#１0~\n\0"),
    st.sampled_from(["", ": ", "- ", "&a ", "*a", "!x ", "<<: ", "-1", "\n  "]),
)


@pytest.mark.parametrize("name", FILES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_changed_file_is_right_or_told_with_places_in_it(name: str, data: st.DataObject):
    text = TEXTS[name]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(WRITTEN) + text[at + data.draw(st.integers(0, 12)) :]
    model, check = FILES[name]

    problems: list[Problem] = []
    try:
        load_text(text, name, model, "zh", check)
    except ConfigError as error:
        problems = error.problems

    lines = text.split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines) + 1
        assert 1 <= problem.column <= max(map(len, lines)) + 2


@given(st.text("ab:： ，\t'\"#{}-１", max_size=40), st.data())
def test_a_place_of_the_mended_text_is_one_of_the_file(text: str, data: st.DataObject):
    mended = mend(text, ["a", "ab"])
    column = data.draw(st.integers(1, len(mended.text) + 1))

    assert 1 <= mended.column(1, column) <= len(text) + 1


@pytest.mark.parametrize("text", ["url: http://127.0.0.1:8086", "{url: http://a, name: b}", "[http://a,http://b]"])
def test_an_address_is_no_key_without_its_space(text: str):
    assert mend(text, ["url", "http", "name"]).slips == ()


def test_two_slips_in_one_column_are_both_mended():
    assert mend("\ta:１", ["a"]).text == "  a: 1"


def test_a_key_without_its_space_is_mended_where_a_key_may_stand():
    assert mend("- {unit:1, bus:b1}", ["unit", "bus"]).text == "- {unit: 1, bus: b1}"
