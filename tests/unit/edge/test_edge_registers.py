"""Decoding by hand-worked examples: word order, width, sentinels, bounds, transformer ratios."""

from __future__ import annotations

import doctest

import pytest

from edge_agent.drivers.modbus import registers
from edge_agent.drivers.modbus.registers import Conversion, Value, decode
from edge_agent.drivers.transformers import transformer_ratio


@pytest.mark.parametrize(
    ("words", "order", "kind", "scale", "number"),
    [
        ([0xFFFE], "big", "int16", 1, -2),
        ([0xFFFE], "big", "uint16", 0.1, 6553.4),
        ([0x0102, 0x0103], "big", "int32", 1, 16908547),
        ([0x0102, 0x0103], "little", "int32", 1, 16974082),
        ([0xFFFF, 0xFFFF], "big", "uint32", 1, 4294967295),
        ([0x4366, 0x8000], "big", "float32", 1, 230.5),
        ([0x8000, 0x4366], "little", "float32", 1, 230.5),
        ([0, 0, 0x0001, 0xE240], "big", "int64", 0.001, 123.456),
        ([0xE240, 0x0001, 0, 0], "little", "uint64", 0.001, 123.456),
    ],
)
def test_words_become_numbers(words, order, kind, scale, number):
    value = decode(words, Conversion("active_energy_import", kind, scale, word_order=order))

    assert value == Value(pytest.approx(number))


def test_a_sentinel_is_no_reading_and_no_fault():
    assert decode([0x7FFF], Conversion("frequency", "int16", invalid=(0x7FFF,))) == Value(None)


@pytest.mark.parametrize("words", [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0], [0x7F7F, 0xFFFF], [0x44FA, 0x2000]])
def test_what_cannot_be_is_dropped_and_said(words):
    conversion = Conversion("voltage_l1", "float32", minimum=0, maximum=2000)

    assert decode(words, conversion) == Value(None, dropped=True)


def test_what_no_round_can_carry_is_dropped_after_the_ratio():
    conversion = Conversion("active_energy_import", "float32", 1e6)

    assert decode([0x4366, 0x8000], conversion).number == pytest.approx(230.5e6)
    assert decode([0x4366, 0x8000], conversion, 1e6) == Value(None, dropped=True)


@pytest.mark.parametrize(
    ("quantity", "ratio"),
    [("current_l1", 40), ("voltage_l1", 100), ("active_power", 4000), ("reactive_energy_q1", 4000),
     ("apparent_power_l3", 4000), ("demand", 4000), ("power_factor", 1), ("frequency", 1)],
)  # fmt: skip
def test_transformers_multiply_what_goes_through_them(quantity, ratio):
    assert transformer_ratio(quantity, 40, 100) == ratio


def test_the_examples_in_the_text_hold():
    assert doctest.testmod(registers).failed == 0
