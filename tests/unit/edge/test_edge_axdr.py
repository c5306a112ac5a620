from __future__ import annotations

import math

import pytest

from edge_agent.drivers.dlms.axdr import MAX_DEPTH, BitString, Data, Tag, Value, decode, decode_at, encode
from edge_agent.drivers.dlms.errors import Malformed


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        ("00", None),
        ("0301", True),
        ("040ca0f0", BitString(12, b"\xa0\xf0")),
        ("05fffffc18", -1000),
        ("06ffffffff", 4294967295),
        ("0902aabb", b"\xaa\xbb"),
        ("0a034b574d", "KWM"),
        ("0c06e4b8ade69687", "中文"),
        ("0d42", 42),
        ("0fff", -1),
        ("10ff38", -200),
        ("11ff", 255),
        ("12ffff", 65535),
        ("14ffffffffffffffff", -1),
        ("15ffffffffffffffff", 18446744073709551615),
        ("161e", 30),
        ("1741200000", 10.0),
        ("184024000000000000", 10.0),
        ("1907ea0302010c000000fe2000", bytes.fromhex("07ea0302010c000000fe2000")),
        ("1a07ea030201", bytes.fromhex("07ea030201")),
        ("1b0c000000", bytes.fromhex("0c000000")),
        ("02020fff161e", [-1, 30]),
        ("0102020112000102011200ff", [[1], [255]]),
    ],
)
def test_every_data_type_is_read(octets: str, value: Value) -> None:
    assert decode(bytes.fromhex(octets)) == value


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        ("", "cut short"),
        ("06000003", "cut short"),
        ("0902aa", "cut short"),
        ("0981", "cut short"),
        ("0401", "cut short"),
        ("19070000", "cut short"),
        ("0d", "cut short"),
        ("0000", "1 octets after the value"),
        ("018400ffffff", "16777215 elements in 0 octets"),
        ("098400ffffff", "cut short"),
        ("0985000000000100", "too many octets"),
        ("0980", "no or too many octets"),
        ("13001100", "data type 19"),
        ("1c01", "data type 28"),
        ("2101", "data type 33"),
        ("ff", "data type 255"),
        ("0c02c328", "not UTF-8"),
        ("0d1a", "not two decimal digits"),
        ("0da1", "not two decimal digits"),
    ],
)
def test_whatever_is_not_exactly_one_known_value_is_refused_with_its_reason(octets: str, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        decode(bytes.fromhex(octets))


def test_a_value_cut_at_any_octet_is_refused_and_never_read_as_less() -> None:
    whole = bytes.fromhex("0107060000000517412000000902aabb0c03e4b8ad0408a0000202030116ff")

    assert len(decode(whole)) == 7  # type: ignore[arg-type]
    for end in range(len(whole)):
        with pytest.raises(Malformed):
            decode(whole[:end])


def test_nesting_ends_at_the_limit() -> None:
    assert decode(b"\x01\x01" * MAX_DEPTH + b"\0") is not None
    for depth in (MAX_DEPTH + 1, 5000):
        with pytest.raises(Malformed, match="nested deeper"):
            decode(b"\x01\x01" * depth + b"\0")


def test_values_that_follow_each_other_are_read_one_by_one() -> None:
    octets = bytes.fromhex("06000003e700120007")

    first, after = decode_at(octets, 0)
    second, end = decode_at(octets, after)
    third, finish = decode_at(octets, end)

    assert [first, second, third, finish] == [999, None, 7, len(octets)]


def test_floats_that_are_no_number_come_through_for_the_driver_to_drop() -> None:
    value = decode(bytes.fromhex("177fc00000"))

    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "data",
    [
        Data(Tag.UINT8, 256),
        Data(Tag.INT8, None),
        Data(Tag.BCD, 100),
        Data(Tag.DATE_TIME, bytes(11)),
        Data(Tag.BIT_STRING, BitString(9, b"\0")),
        Data(Tag.OCTET_STRING, "text"),
        Data(Tag.NULL, 0),
        Data(Tag.ARRAY, None),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_not_sent(data: Data) -> None:
    with pytest.raises(ValueError, match=f"no {data.tag.name}"):
        encode(data)


def test_nothing_is_sent_that_would_not_be_read() -> None:
    data = Data(Tag.NULL)
    for _ in range(MAX_DEPTH + 1):
        data = Data(Tag.ARRAY, (data,))

    with pytest.raises(ValueError, match="nested deeper"):
        encode(data)
