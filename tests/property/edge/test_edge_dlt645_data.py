"""Packed decimal digits of DL/T 645 → values: against an encoding of the test's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.dlt645.data import (
    Value,
    decode,
    expected_octets,
    series_of,
    series_of_block,
    taken_apart,
    values_in_block,
)

SIGNED = ("02020100", "02030000", "02040300", "02060000", "00000000")
UNSIGNED = ("00010000", "00020400", "02010300", "02800002", "01010000")


def packed(number: int, octets: int, *, negative: bool = False) -> bytes:
    """Low octet first, the sign in the highest bit."""
    digits = bytearray.fromhex(f"{number:0{2 * octets}d}")
    digits[0] |= 0x80 if negative else 0
    return bytes(digits[::-1])


@given(identifier=st.sampled_from(SIGNED), negative=st.booleans(), data=st.data())
def test_signed_values_come_back(identifier: str, negative: bool, data: st.DataObject):
    series = series_of(identifier)
    assert series is not None
    number = data.draw(st.integers(0, 8 * 10 ** (2 * series.octets - 1) - 1))

    value = decode(identifier, packed(number, series.octets, negative=negative))

    assert value == Value((-1 if negative else 1) * number / 10**series.decimals)


@given(identifier=st.sampled_from(UNSIGNED), data=st.data())
def test_values_without_sign_use_all_their_digits(identifier: str, data: st.DataObject):
    series = series_of(identifier)
    assert series is not None
    number = data.draw(st.integers(0, 10 ** (2 * series.octets) - 1))

    assert decode(identifier, packed(number, series.octets)) == Value(number / 10**series.decimals)


@given(identifier=st.sampled_from(SIGNED + UNSIGNED), octets=st.binary(max_size=9))
def test_any_octets_are_a_finite_value_or_none(identifier: str, octets: bytes):
    value = decode(identifier, octets)
    series = series_of(identifier)

    assert series is not None
    assert value.number is None or abs(value.number) < 10 ** (2 * series.octets - series.decimals)


@pytest.mark.parametrize(("octets", "value"), [("FFFF", Value(None)), ("0A22", Value(None, dropped=True))])
def test_no_value_is_no_fault_and_a_digit_that_is_none_is(octets: str, value: Value):
    assert decode("02010100", bytes.fromhex(octets)) == value


def test_a_block_is_taken_apart_by_its_length():
    voltages = bytes.fromhex("0122") + bytes.fromhex("0222") + bytes.fromhex("0322")
    energies = b"".join(packed(n, 4) for n in (100, 10, 20, 30, 40, 0, 0))

    assert taken_apart("0201FF00", voltages) == {
        "02010100": bytes.fromhex("0122"),
        "02010200": bytes.fromhex("0222"),
        "02010300": bytes.fromhex("0322"),
    }
    assert taken_apart("0201FF00", voltages[:2]) == {"02010100": bytes.fromhex("0122")}
    assert list(taken_apart("0001FF00", energies) or ()) == [f"0001{n:02X}00" for n in range(5)]


@pytest.mark.parametrize(("identifier", "octets"), [("0201FF00", 5), ("0201FF00", 0), ("02010100", 3), ("01010000", 3)])
def test_what_ends_in_the_middle_of_a_value_is_not_taken(identifier: str, octets: int):
    assert taken_apart(identifier, bytes(octets)) is None


def test_a_maximum_demand_is_read_without_its_time_of_occurrence():
    octets = packed(123456, 3) + bytes.fromhex("3014010726")

    assert expected_octets("01010000") == 8
    assert taken_apart("01010000", octets) == {"01010000": octets}
    assert decode("01010000", octets) == Value(12.3456)


def test_the_table_knows_blocks_from_values_and_leaves_out_what_it_has_no_unit_for():
    assert values_in_block("0203FF00") == ("02030000", "02030100", "02030200", "02030300")
    assert series_of("0203FF00") is None
    assert series_of_block("02030000") is None
    assert series_of_block("0280FF02") is None
    assert series_of("00030000") is None  # 组合无功 1: what it adds up is set in the meter
